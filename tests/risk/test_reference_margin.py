"""Reference portfolios are margined by the exchange's rules: what those make of a range, checked where it is simple."""

import pytest

from holdfast.protocol.margin.params import MarginParams
from holdfast.protocol.ranges.params import DEFAULT_LIMITS, RANGE_MAX_PPM, RANGE_MIN_PPM
from holdfast.risk.range_models import ASSETS
from holdfast.risk.reference_margin import PORTFOLIOS, compute_margins_ppm, is_admitted

RANGES = (130_000, 160_000, 200_000, 300_000)


@pytest.mark.parametrize("underlying", ["BTC", "ETH"])
def test_margins__of_a_future__are_the_range_and_the_basis_charge(underlying: str) -> None:
    found = compute_margins_ppm(underlying, RANGES)["long future"]
    assert found == {range_ppm: range_ppm + MarginParams().basis_im_ppm for range_ppm in RANGES}


def test_margins__of_a_short_straddle__are_less_than_the_future_s_and_their_premium_and_charge() -> None:
    found = compute_margins_ppm("BTC", RANGES)
    short = MarginParams().short_im_ppm
    for range_ppm in RANGES:
        # It loses at most the move and what higher volatility adds: half of an at-the-money straddle of 60 % over a month.
        assert range_ppm - 140_000 < found["short straddle"][range_ppm] < range_ppm + 70_000 + 2 * short
        assert found["short call, delta-hedged"][range_ppm] < found["short straddle"][range_ppm]


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
