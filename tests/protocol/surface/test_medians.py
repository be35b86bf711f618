"""The surface that a quorum of reports gives, and what stands in for a median with arbitrage."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.primitives.units import DAY_MS, E8
from holdfast.protocol.oracle.messages import FeedReport, Report, SliceReport, SurfaceReport
from holdfast.protocol.oracle.params import OracleParams
from holdfast.protocol.surface import rules
from holdfast.protocol.surface.rules import Agreed, Candidate
from holdfast.protocol.surface.state import Slice

NOW = 20_000 * DAY_MS
EXPIRIES = (NOW + DAY_MS, NOW + 7 * DAY_MS, NOW + 30 * DAY_MS)
THETAS = (10**9, 6 * 10**9, 25 * 10**9)


def make_report(
    rho: int = -150_000,
    eta: int = 800_000,
    thetas: tuple[int, ...] = THETAS,
    price: int = 100_000,
    sources: int = 5,
    expiries: tuple[int, ...] = EXPIRIES,
    shift: int = 0,
    width: int = 1_000_000,
) -> Report:
    slices = tuple(
        SliceReport(expiry, price * E8 + index * price * E8 // 100, theta, rho, eta, shift, width)
        for index, (expiry, theta) in enumerate(zip(expiries, thetas, strict=True))
    )
    return Report((FeedReport(1, price * E8, E8, sources, 0),), (SurfaceReport(1, slices),))


def agree(*reports: Report, total: int | None = None) -> Agreed | None:
    voted = [(index, 1, report) for index, report in enumerate(reports)]
    candidates = rules.list_candidates(OracleParams(), 1, voted)
    return rules.compute_agreed(candidates, total or len(reports), NOW)


def test_agreed__four_reports__is_the_median_of_each_parameter() -> None:
    found = agree(
        make_report(rho=-100_000, eta=700_000, thetas=(10, 20, 30), width=1_300_000),
        make_report(rho=-120_000, eta=900_000, thetas=(12, 40, 50), shift=100_000),
        make_report(rho=-140_000, eta=800_000, thetas=(14, 30, 60), shift=200_000),
        make_report(rho=-200_000, eta=850_000, thetas=(99, 99, 99), shift=900_000, width=1_900_000),
    )
    assert found is not None
    assert not found.is_fallback
    assert {(part.rho_ppm, part.eta_ppm) for part in found.slices} == {(-130_000, 825_000)}
    assert {(part.shift_ppm, part.width_ppm) for part in found.slices} == {(150_000, 1_150_000)}
    assert [part.theta_e12 for part in found.slices] == [13, 35, 55]
    assert [part.forward_ratio_e9 for part in found.slices] == [1_000_000_000, 1_010_000_000, 1_020_000_000]


def test_agreed__without_a_quorum_of_admissible_reports__is_nothing() -> None:
    good, falling = make_report(), make_report(thetas=(30, 20, 10))
    assert agree(good, good, good, falling) is not None
    assert agree(good, good, falling, falling) is None
    assert agree(good, good, make_report(eta=3_990_000), make_report(sources=2)) is None
    assert agree(good, good, total=3) is None


def test_agreed__liar_with_an_admissible_surface__moves_nothing_out_of_the_honest_range() -> None:
    honest = [make_report(rho=-150_000 + step, thetas=tuple(t + step for t in THETAS)) for step in (0, 10, 20)]
    found = agree(*honest, make_report(rho=900_000, eta=1, thetas=(10**13, 10**13, 10**13), price=10**6))
    assert found is not None
    for part, theta in zip(found.slices, THETAS, strict=True):
        assert theta <= part.theta_e12 <= theta + 20
        assert -150_000 <= part.rho_ppm <= -149_980
        assert part.forward_ratio_e9 <= 1_020_000_000


def test_candidates__forward_out_of_all_proportion__does_not_count() -> None:
    report = make_report()
    absurd = SurfaceReport(1, (SliceReport(EXPIRIES[0], 10**17, THETAS[0], -150_000, 800_000),))
    for price in (1, 10**17, 4 * 10**16, 2 * 10**17):
        feeds = (FeedReport(1, min(price, 10**17), 0, 5, 0),)
        found = rules.list_candidates(OracleParams(), 1, [(0, 1, Report(feeds, (absurd,)))])
        assert len(found) == (price >= 10**17)
    assert rules.list_candidates(OracleParams(), 1, [(0, 1, report)])


def test_agreed__expiry_that_few_report__is_left_out() -> None:
    short = make_report(thetas=THETAS[:2], expiries=EXPIRIES[:2])
    found = agree(make_report(), make_report(), short, short)
    assert found is not None
    assert [part.expiry_ms for part in found.slices] == list(EXPIRIES[:2])


def test_agreed__expiry_that_has_come__is_left_out() -> None:
    past = make_report(expiries=(NOW - 60_000, NOW, NOW + DAY_MS))
    found = agree(past, past, past)
    assert found is not None
    assert [part.expiry_ms for part in found.slices] == [NOW + DAY_MS]


def test_agreed__median_with_arbitrage__is_the_report_nearest_to_all() -> None:
    # Each is admissible, eta (1 + |rho|) <= 4; their medians, rho -0.44 and eta 2.995, are not.
    skews = ((-900_000, 2_090_000), (-880_000, 2_110_000), (0, 3_950_000), (20_000, 3_880_000))
    found = agree(*(make_report(rho=rho, eta=eta) for rho, eta in skews))
    assert found is not None
    assert found.is_fallback
    distances = [sum(abs(rho - r) + abs(eta - e) for r, e in skews) for rho, eta in skews]
    assert {(part.rho_ppm, part.eta_ppm) for part in found.slices} == {skews[distances.index(min(distances))]}
    assert [part.theta_e12 for part in found.slices] == list(THETAS)


def test_agreed__medians_over_different_reports_cross__falls_back_to_a_whole_report() -> None:
    # The near expiry is high where the far one is missing, so the two medians come from different reports.
    near, far = EXPIRIES[0], EXPIRIES[1]
    candidates = [
        Candidate(0, 2, {near: make_slice(near, 90)}),
        Candidate(1, 3, {near: make_slice(near, 10), far: make_slice(far, 20)}),
        Candidate(2, 1, {near: make_slice(near, 90), far: make_slice(far, 95)}),
        Candidate(3, 1, {near: make_slice(near, 90), far: make_slice(far, 99)}),
    ]
    found = rules.compute_agreed(candidates, 7, NOW)
    assert found is not None
    assert found.is_fallback
    assert [part.theta_e12 for part in found.slices] == [10, 20]


def make_slice(expiry_ms: int, theta_e12: int) -> Slice:
    return Slice(expiry_ms, 10**9, theta_e12, 0, 800_000, 0, 10**6)


THETA = st.lists(st.integers(1, 10**13), min_size=3, max_size=3).map(lambda values: tuple(sorted(values)))


SMILES = st.tuples(
    st.integers(-990_000, 990_000),
    st.integers(1, 2_000_000),
    THETA,
    st.integers(-500_000, 500_000),
    st.integers(500_000, 9_000_000),
)


@given(st.lists(SMILES, min_size=3, max_size=7))
def test_agreed__any_reports__is_admissible_and_within_their_range(
    drawn: list[tuple[int, int, tuple[int, ...], int, int]],
) -> None:
    reports = [make_report(rho, eta, thetas, shift=shift, width=width) for rho, eta, thetas, shift, width in drawn]
    voted = [(index, 1, report) for index, report in enumerate(reports)]
    candidates = rules.list_candidates(OracleParams(), 1, voted)
    found = rules.compute_agreed(candidates, len(reports), NOW)
    assert (found is None) == (3 * len(candidates) <= 2 * len(reports))
    if found is not None:
        assert rules.is_admissible(found.slices)
        skews = [part.rho_ppm for one in candidates for part in one.slices.values()]
        assert all(min(skews) <= part.rho_ppm <= max(skews) for part in found.slices)
        again = rules.compute_agreed(list(reversed(candidates)), len(reports), NOW)
        assert again == found


def test_interpolate_ratio__between_and_beyond_nodes__is_linear_then_flat() -> None:
    expiries, ratios = (NOW + 100, NOW + 200), (1_000_000_100, 1_000_000_300)
    found = [rules.interpolate_ratio_e9(expiries, ratios, NOW + after, NOW) for after in (0, 50, 100, 150, 200, 900)]
    assert [value - 10**9 for value in found] == [0, 50, 100, 200, 300, 300]
