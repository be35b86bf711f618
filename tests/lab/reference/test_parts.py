"""The reference's parts against the product's, over drawn inputs; and what it says of what it does not know."""

import ast
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.lab import reference
from holdfast.lab.reference import NotCoveredError, ReferenceExchange, accounts, fields, oracle, pricing, world
from holdfast.lab.reference import ranges as reference_ranges
from holdfast.lab.reference import surface as reference_surface
from holdfast.lab.reference.closing import share_out
from holdfast.lab.reference.listing import list_expiries
from holdfast.lab.reference.margin import _JOINT, _OPPOSED, _USDT_SHOCKS
from holdfast.lab.reference.refusals import RefusedError
from holdfast.lab.reference.reports import decode_report
from holdfast.lab.reference.tree import compute_root
from holdfast.primitives import pricing as kernel
from holdfast.primitives.pricing.golden import golden_inputs
from holdfast.primitives.reject import Malformed, RejectedError
from holdfast.protocol.accounts.rules import compute_nonce_window
from holdfast.protocol.instruments.params import InstrumentParams
from holdfast.protocol.instruments.rules import compute_expiries
from holdfast.protocol.liquidation import rules as liquidation_rules
from holdfast.protocol.margin import params as margin_params
from holdfast.protocol.oracle import messages
from holdfast.protocol.oracle import rules as oracle_rules
from holdfast.protocol.ranges import rules as range_rules
from holdfast.protocol.ranges.params import DEFAULT_LIMITS, RangeParams
from holdfast.protocol.schema import TABLES
from holdfast.protocol.surface import params as surface_params
from holdfast.protocol.surface import rules as surface_rules
from holdfast.state.tree import StateTree
from tests.support.twin import TwinMarket

KEYS = st.binary(min_size=1, max_size=12)
DAY_MS = 86_400_000


@given(st.dictionaries(KEYS, st.binary(max_size=12), max_size=60))
def test_root__of_any_rows__is_the_trees(rows: dict[bytes, bytes]) -> None:
    assert compute_root(rows) == StateTree().plan(list(rows.items())).root


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(1, 9)), min_size=1, max_size=12))
def test_median__of_any_entries__rounds_to_the_products(entries: list[tuple[int, int]]) -> None:
    exact = oracle.median(entries)
    assert exact // 1 == oracle_rules.compute_median_floor(entries)
    assert -(-exact // 1) == oracle_rules.compute_median_ceil(entries)


@given(st.integers(0, 200), st.lists(st.integers(0, 300), max_size=40))
def test_nonces__in_any_order__are_used_up_and_refused_alike(highest: int, nonces: list[int]) -> None:
    window = None
    mine = world.World()
    for nonce in (highest, *nonces):
        code = expected = 0
        try:
            window = compute_nonce_window(window, nonce)
        except RejectedError as refusal:
            expected = int(refusal.code)
        try:
            accounts.use_nonce(mine, 1_000, bytes(32), nonce)
        except RefusedError as refused:
            code = int(refused.code)
        assert code == expected
        assert mine.nonces.get((1_000, bytes(32))) == window


@st.composite
def range_params(draw: st.DrawFn) -> RangeParams:
    up = draw(st.integers(10_000, 500_000))
    return RangeParams(
        decay_ppm=draw(st.integers(900_000, 999_900)),
        history_epochs=draw(st.integers(100, 130)),
        quantile_ppm=draw(st.integers(950_000, 999_900)),
        tail_start_ppm=draw(st.integers(2_807_000, 20_000_000)),
        horizon_epochs=draw(st.integers(1, 1_440)),
        model_weight_ppm=draw(st.integers(500_000, 750_000)),
        buffer_ppm=draw(st.integers(0, 1_000_000)),
        step_up_ppm=up,
        step_down_ppm=draw(st.integers(2_000, min(up, 50_000))),
        announce_epochs=draw(st.integers(1, 5)),
        lag_ppm=draw(st.integers(0, 500_000)),
        emergency_ppm=draw(st.integers(up, 1_000_000)),
        correlation_doubt_ppm=draw(st.integers(100_000, 1_000_000)),
    )


@given(range_params(), st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=140))
def test_range__of_any_past_and_parameters__is_the_same_to_both(params: RangeParams, returns: list[int]) -> None:
    limits = DEFAULT_LIMITS[1]
    theirs = range_rules.start_range(params, limits, ())
    mine = theirs
    for return_e9 in returns:
        mine = reference_ranges._take(params, mine, return_e9)
        theirs = range_rules._observe(params, theirs, return_e9)
    assert mine == theirs
    band = range_rules.compute_range_band(params, limits, theirs)
    assert reference_ranges._range_band(params, limits, mine) == tuple(band)
    assert reference_ranges._advance(params, mine.schedule, band) == range_rules.advance(params, theirs.schedule, band)


@given(range_params(), st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9)), max_size=30))
def test_correlation__of_any_returns__is_the_same_to_both(params: RangeParams, pairs: list[tuple[int, int]]) -> None:
    theirs = range_rules.start_correlation(params, (10**13, 2 * 10**13), pairs, 500_000)
    mine = range_rules.start_correlation(params, (10**13, 2 * 10**13), (), 500_000)
    for pair in pairs:
        mine = reference_ranges._take_pair(params, mine, *pair)
    assert (mine.covariance_e18, mine.variances_e18) == (theirs.covariance_e18, theirs.variances_e18)
    band = range_rules.compute_weight_band(params, theirs.covariance_e18, *theirs.variances_e18)
    assert reference_ranges._weight_band(params, mine) == tuple(band)


@pytest.mark.parametrize("range_ppm", [50_000, 160_000, 329_900, 330_000, 330_100, 500_000])
def test_grid__of_a_range__is_the_same_to_both(range_ppm: int) -> None:
    grid = surface_params.make_grid(range_ppm)
    surface_params.check(grid)
    assert reference_ranges.make_grid(range_ppm) == grid


@st.composite
def report(draw: st.DrawFn) -> messages.Report:
    feeds = sorted(draw(st.sets(st.integers(0, 400), max_size=6)))
    surfaces = sorted(draw(st.sets(st.integers(0, 400), max_size=3)))
    price = st.integers(1, 10**15)
    return messages.Report(
        tuple(
            messages.FeedReport(feed, draw(price), draw(st.integers(0, 10**9)), draw(st.integers(0, 255)), 7)
            for feed in feeds
        ),
        tuple(
            messages.SurfaceReport(
                surface,
                tuple(
                    messages.SliceReport(
                        60_000 * minute,
                        draw(price),
                        draw(st.integers(0, 10**15)),
                        draw(st.integers(-(10**6), 10**6)),
                        draw(st.integers(0, 10**8)),
                        draw(st.integers(-(10**8), 10**8)),
                        draw(st.integers(0, 10**9)),
                    )
                    for minute in sorted(draw(st.sets(st.integers(1, 10**6), max_size=4)))
                ),
            )
            for surface in surfaces
        ),
    )


@given(report())
def test_report__as_encoded__is_read_alike(given_report: messages.Report) -> None:
    expected: object = tuple(given_report)
    assert decode_report(messages.encode_report(given_report)) == expected


@settings(max_examples=300)
@given(report(), st.data())
def test_report__with_any_byte_changed__is_taken_or_refused_alike(
    given_report: messages.Report, data: st.DataObject
) -> None:
    encoded = bytearray(messages.encode_report(given_report))
    place = data.draw(st.integers(0, len(encoded) - 1))
    changed = data.draw(st.sampled_from(["flip", "cut", "grow"]))
    if changed == "flip":
        encoded[place] ^= data.draw(st.integers(1, 255))
    elif changed == "cut":
        del encoded[place:]
    else:
        encoded.insert(place, data.draw(st.integers(0, 255)))
    try:
        expected: object = tuple(messages.decode_report(bytes(encoded)))
    except Malformed:
        expected = None
    assert decode_report(bytes(encoded)) == expected


@settings(max_examples=60)
@given(st.integers(0, 40 * 365), st.integers(0, DAY_MS - 1), st.integers(0, 4), st.integers(0, 3), st.integers(0, 3))
def test_expiries__at_any_time__are_the_calendars(
    day: int, ms: int, dailies: int, monthlies: int, quarters: int
) -> None:
    params = InstrumentParams(dailies=dailies, weeklies=2, monthlies=monthlies, quarterlies=quarters)
    now = day * DAY_MS + ms
    product = [(expiry, list(map(int, tenors))) for expiry, tenors in compute_expiries(params, now)]
    assert list_expiries(params, now) == product


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=12), st.data())
def test_share_out__of_any_amount__goes_to_the_same(weights: list[int], data: st.DataObject) -> None:
    pairs = list(enumerate(weights, 1_000))
    amount = data.draw(st.integers(0, sum(weights)))
    assert share_out(amount, pairs) == liquidation_rules.share_out(amount, pairs)


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 10**6)), min_size=1, max_size=6, unique_by=lambda n: n[0]),
    st.integers(-5, 80),
)
def test_interpolation__at_any_expiry__rounds_alike(nodes: list[tuple[int, int]], expiry: int) -> None:
    nodes = sorted(nodes)
    expiries, values = [node[0] for node in nodes], [node[1] for node in nodes]
    theta = reference_surface.theta_at(nodes, expiry, 0)
    assert theta == surface_rules.interpolate_theta_e12(expiries, values, expiry, 0)
    if expiry > 0:
        ratio = reference_surface.ratio_at(nodes, expiry, 0)
        assert ratio == surface_rules.interpolate_ratio_e9(expiries, values, expiry, 0)


def test_scenarios__are_those_that_margin_lists() -> None:
    assert sorted(_JOINT) == sorted(margin_params.JOINT)
    assert sorted(_OPPOSED) == sorted(margin_params.OPPOSED)
    assert tuple(_USDT_SHOCKS) == surface_params.USDT_SHOCKS_PPM


def golden() -> tuple[list[pricing.Inputs], list[surface_params.ScenarioGrid]]:
    slices, options, grid = golden_inputs()
    grids = [surface_params.ScenarioGrid(*(tuple(column[row].tolist()) for column in grid)) for row in range(2)]
    inputs = []
    for number, columns in enumerate(zip(*(column.tolist() for column in options), strict=True)):
        part = [int(column[columns[0]]) for column in slices]
        inputs.append(pricing.Inputs._make([number, *part, columns[1], bool(columns[2]), columns[3]]))
    return inputs, grids


def test_prices__over_the_golden_inputs__are_within_a_unit_of_the_formulas() -> None:
    assert len(pricing.price_all(*golden())) == 256


def test_price__two_units_off__is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = kernel.compute_rows

    def off(*args: object) -> kernel.IntArray:
        result = rows(*args)  # type: ignore[arg-type]
        result[11, 5] += 2
        return result

    monkeypatch.setattr(kernel, "compute_rows", off)
    with pytest.raises(pricing.PricingError, match="instrument 11, scenario 5"):
        pricing.price_all(*golden())


def test_reference__imports__no_rule_of_the_protocol() -> None:
    allowed = {"state", "params", "messages"}
    for path in Path(reference.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [name.name for name in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names += [f"{node.module}.{name.name}" for name in node.names]
            for name in names:
                parts = name.split(".")
                if parts[:2] != ["holdfast", "protocol"] or len(parts) < 3:
                    continue
                is_whole = parts[2] in {"chain", "genesis", "messages", "schema"}
                assert is_whole or len(parts) < 4 or parts[3] in allowed, f"{path.name} imports {name}"


def test_field__that_is_new__is_not_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "KNOWN", {InstrumentParams: "dailies weeklies"})
    with pytest.raises(NotCoveredError, match="not covered: field monthlies of InstrumentParams"):
        ReferenceExchange(b"")


def test_table__that_is_new__is_not_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "TABLES", (*TABLES, SimpleNamespace(name="charters", tag=250)))
    with pytest.raises(NotCoveredError, match="not covered: table charters"):
        world.World()


def test_command__that_is_new__is_not_covered() -> None:
    market = TwinMarket()
    with pytest.raises(NotCoveredError, match="not covered: command Fraction"):
        market.reference._execute(1_000, Fraction(1))  # type: ignore[arg-type]
