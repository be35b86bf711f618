"""Reference portfolios are margined by the exchange's rules: what those make of a range, checked where it is simple."""

import pytest

from holdfast.protocol.margin.params import MarginParams
from holdfast.protocol.ranges.params import DEFAULT_LIMITS, RANGE_MAX_PPM, RANGE_MIN_PPM
from holdfast.risk.black import Terms, compute_price
from holdfast.risk.range_models import ASSETS
from holdfast.risk.reference_margin import PORTFOLIOS, compute_margins_ppm, is_admitted

RANGES = (130_000, 160_000, 200_000, 300_000)


@pytest.mark.parametrize("underlying", ["BTC", "ETH"])
def test_margins__of_a_future__are_the_range_and_the_basis_charge(underlying: str) -> None:
    found = compute_margins_ppm(underlying, RANGES)["long future"]
    assert found == {range_ppm: range_ppm + MarginParams().basis_im_ppm for range_ppm in RANGES}


@pytest.mark.parametrize("range_ppm", RANGES)
def test_margins__of_a_short_straddle__are_black_s_worst_loss_and_the_short_charge(range_ppm: int) -> None:
    # Flat volatility in place of the surface, so to a hundredth: half as high again, at the edge up or at the double
    # price, of whose loss a share as large as the range counts.
    legs = [Terms(100.0, 30 * 86_400.0, is_call) for is_call in (True, False)]

    def loss(forward: float) -> float:
        return sum(compute_price(leg, forward, 0.9) - compute_price(leg, 100.0, 0.6) for leg in legs)

    worst = max(loss(100.0 + range_ppm / 10_000), loss(200.0) * range_ppm / 1_000_000)
    expected_ppm = worst * 10_000 + 2 * MarginParams().short_im_ppm
    assert compute_margins_ppm("BTC", [range_ppm])["short straddle"][range_ppm] == pytest.approx(
        expected_ppm, abs=10_000
    )


@pytest.mark.parametrize("range_ppm", RANGES)
def test_margins__of_a_hedged_call__are_below_the_call_s_with_its_put(range_ppm: int) -> None:
    found = compute_margins_ppm("BTC", [range_ppm])
    assert 0 < found["short call, delta-hedged"][range_ppm] < found["short straddle"][range_ppm]


@pytest.mark.parametrize("name", PORTFOLIOS)
def test_margins__grow_with_the_range(name: str) -> None:
    ranges = range(100_000, 320_000, 20_000)
    found = list(compute_margins_ppm("ETH", ranges)[name].values())
    assert found == sorted(found)
    assert found[-1] > 1.5 * found[0]


def test_margins__of_one_range__do_not_depend_on_the_others() -> None:
    for name, by_range in compute_margins_ppm("BTC", RANGES).items():
        assert compute_margins_ppm("BTC", (200_000,))[name] == {200_000: by_range[200_000]}


@pytest.mark.parametrize(
    ("range_ppm", "expected"), [(RANGE_MIN_PPM - 1, False), (RANGE_MIN_PPM, True), (RANGE_MAX_PPM + 1, False)]
)
def test_is_admitted__keeps_the_hard_bounds(range_ppm: int, *, expected: bool) -> None:
    assert is_admitted(range_ppm) is expected


@pytest.mark.parametrize("underlying", ASSETS)
def test_is_admitted__takes_the_start_of_every_underlying(underlying: str) -> None:
    assert is_admitted(DEFAULT_LIMITS[ASSETS[underlying]].start_ppm)
