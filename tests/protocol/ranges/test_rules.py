"""How ranges follow a history: bounds, step limits, announcements, and what grows with what."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.units import E8, PPM, sqrt_floor
from holdfast.protocol.ledger.state import BTC
from holdfast.protocol.ranges import rules
from holdfast.protocol.ranges.params import (
    DEFAULT_LIMITS,
    GRAIN_PPM,
    RANGE_MAX_PPM,
    RangeParams,
    check,
    check_limits,
)
from holdfast.protocol.ranges.rules import Band
from holdfast.protocol.ranges.state import Range, Schedule

PARAMS: Final = RangeParams()
LIMITS: Final = DEFAULT_LIMITS[BTC]
PRICE_E8: Final = 100_000 * E8

returns = st.lists(st.integers(-400_000_000, 400_000_000), min_size=1, max_size=60)
waits = st.integers(1, 4)


def follow(returns_e9: Iterable[int], params: RangeParams = PARAMS) -> list[Range]:
    """Return the states that a price walks through, sampled at each epoch, the first sample included."""
    states, price_e8 = [rules.start_range(params, LIMITS, ())], PRICE_E8
    for epoch, return_e9 in enumerate((0, *returns_e9), 1_000):
        price_e8 = max(1, price_e8 + price_e8 * return_e9 // 10**9)
        states.append(rules.follow(params, LIMITS, states[-1], epoch, price_e8, 0))
    return states


@given(st.integers(0, 2**200))
def test_sqrt_floor__any_integer__is_that_of_the_library(value: int) -> None:
    assert sqrt_floor(value) == math.isqrt(value)


def test_sqrt_floor__negative__is_our_mistake() -> None:
    with pytest.raises(BrokenInvariantError, match="a square root has a real value"):
        sqrt_floor(-1)


def test_the_default_parameters__checked__are_in_bounds() -> None:
    check(PARAMS)
    for limits in DEFAULT_LIMITS.values():
        check_limits(limits)


def test_return__over_four_epochs__counts_half() -> None:
    assert rules.compute_return_e9(100, 110, 1) == 100_000_000
    assert rules.compute_return_e9(100, 110, 4) == 50_000_000
    assert rules.compute_return_e9(100, 90, 4) == -50_000_000
    assert rules.compute_return_e9(100, 1_000, 1) == 10**9


def test_variance__constant_returns__comes_to_their_square_and_never_dies_out() -> None:
    variance = 10**15
    for _ in range(3_000):
        variance = rules.compute_variance_e18(990_000, variance, 10_000_000)
    assert variance == pytest.approx(10**14, rel=1e-9)
    for _ in range(10_000):
        variance = rules.compute_variance_e18(900_000, variance, 0)
    assert variance > 0


def test_tail__of_a_thousand__is_exceeded_by_half_a_percent() -> None:
    residuals = [10_000 * number for number in range(1, 1_001)]
    tail = rules.compute_tail_ppm(residuals, 995_000)
    assert sum(residual > tail for residual in residuals) == 5


def test_tail__short_or_calm_past__is_at_least_the_normal_laws() -> None:
    assert rules.compute_tail_ppm([], 995_000) == 2_807_000
    assert rules.compute_tail_ppm([1_000_000] * 500, 995_000) == 2_807_000
    assert rules.compute_tail_ppm([1_000_000, 9_000_000], 995_000) == 9_000_000


def test_credible_tail__of_a_past_half_as_long__is_half_the_stated_one() -> None:
    assert rules.compute_credible_tail_ppm(PARAMS, []) == PARAMS.tail_start_ppm
    assert rules.compute_credible_tail_ppm(PARAMS, [5_500_000] * 360) == 4_500_000
    assert rules.compute_credible_tail_ppm(PARAMS, [5_500_000] * 720) == 5_500_000


def test_model__a_known_volatility__is_tail_times_root_of_time() -> None:
    # 0.5 % an epoch, a tail of 4 deviations, 25 epochs: 0.5 % x 4 x 5 = 10 %.
    assert rules.compute_model_ppm(25 * 10**12, 4_000_000, 25) == 100_000


def test_band__calm_and_wild__floors_mixes_buffers_and_caps() -> None:
    assert rules.compute_band(PARAMS, LIMITS, 0) == Band(130_000, 162_500)
    # 0.75 x 20 % + 0.25 x 37 % = 24.25 %; a quarter more is 30.32 %.
    assert rules.compute_band(PARAMS, LIMITS, 200_000) == Band(242_500, 303_200)
    assert rules.compute_band(PARAMS, LIMITS, 10**9) == Band(RANGE_MAX_PPM, RANGE_MAX_PPM)


@pytest.mark.parametrize(("correlation_ppm", "weight_ppm"), [(750_000, 500_000), (-1_000_000, 1_000_000)])
def test_weight__a_correlation__is_the_deviation_of_the_difference(correlation_ppm: int, weight_ppm: int) -> None:
    one, other = 10**12, 4 * 10**12
    band = rules.compute_weight_band(PARAMS, 2 * 10**12 * correlation_ppm // PPM, one, other)
    assert band == Band(weight_ppm, weight_ppm)


def test_advance__inside_the_band__rests() -> None:
    schedule = rules.start_schedule(PARAMS, 200_000)
    assert rules.advance(PARAMS, schedule, Band(180_000, 220_000)) == schedule


def test_advance__band_above_within_the_lag__announces_first() -> None:
    schedule = rules.start_schedule(PARAMS, 200_000)
    announced = rules.advance(PARAMS, schedule, Band(215_000, 260_000))
    assert announced == Schedule(200_000, (215_000,))
    assert rules.advance(PARAMS, announced, Band(215_000, 260_000)) == Schedule(215_000, (215_000,))


def test_advance__band_far_above__takes_one_emergency_step_at_once() -> None:
    schedule = rules.start_schedule(PARAMS, 200_000)
    assert rules.advance(PARAMS, schedule, Band(400_000, 500_000)) == Schedule(250_000, (275_000,))


def test_advance__band_below__falls_slowly() -> None:
    schedule = rules.start_schedule(PARAMS, 200_000)
    assert rules.advance(PARAMS, schedule, Band(100_000, 120_000)) == Schedule(200_000, (199_600,))


@settings(max_examples=60)
@given(returns, st.integers(1, 4))
def test_follow__any_history__keeps_bounds_step_limits_and_announcements(
    returns_e9: Sequence[int], announce: int
) -> None:
    params = msgspec.structs.replace(PARAMS, announce_epochs=announce)
    for before, after in pairwise(follow(returns_e9, params)[1:]):
        old, new = before.schedule.in_force_ppm, after.schedule.in_force_ppm
        for ppm in (new, *after.schedule.announced_ppm):
            assert LIMITS.floor_ppm <= ppm <= LIMITS.ceiling_ppm
            assert ppm % GRAIN_PPM == 0
        assert old * (PPM - params.step_down_ppm) <= new * PPM <= old * (PPM + params.emergency_ppm)
        for near, far in pairwise((new, *after.schedule.announced_ppm)):
            assert near * (PPM - params.step_down_ppm) <= far * PPM <= near * (PPM + params.step_up_ppm)
        assert new >= before.schedule.announced_ppm[0]
        band = rules.compute_range_band(params, LIMITS, after)
        if new > before.schedule.announced_ppm[0]:
            # Only what the band lacks beyond the lag comes unannounced.
            assert (new - GRAIN_PPM) * (PPM + params.lag_ppm) < band.low_ppm * PPM
        assert len(after.schedule.announced_ppm) == announce


@settings(max_examples=60)
@given(returns, st.integers(1_000, 3_000))
def test_follow__a_history_scaled_up__never_gives_a_smaller_range(returns_e9: Sequence[int], percent: int) -> None:
    calm = [one // 20 for one in returns_e9]
    wild = [one * percent // 1_000 for one in calm]
    start = rules.start_range(PARAMS, LIMITS, ())
    low = high = start
    for one, other in zip(calm, wild, strict=True):
        low = _take(low, one)
        high = _take(high, other)
        # Two integers' rounding of a return and of its deviation may cost a grain.
        assert high.schedule.in_force_ppm >= low.schedule.in_force_ppm - GRAIN_PPM


def _take(state: Range, return_e9: int) -> Range:
    """Return a state after a return that no price has rounded."""
    observed = rules._observe(PARAMS, state, return_e9)
    band = rules.compute_range_band(PARAMS, LIMITS, observed)
    return msgspec.structs.replace(observed, schedule=rules.advance(PARAMS, state.schedule, band))


bands = st.tuples(st.integers(130_000, 500_000), st.integers(130_000, 500_000)).map(
    lambda ends: Band(min(ends) // 100 * 100, max(ends) // 100 * 100)
)
schedules = st.tuples(st.integers(1_300, 5_000), st.integers(1_300, 5_000)).map(
    lambda parts: Schedule(parts[0] * 100, (parts[1] * 100,))
)


@given(schedules, schedules, bands, bands)
def test_advance__more_of_everything__never_gives_less(one: Schedule, other: Schedule, near: Band, far: Band) -> None:
    lower = Schedule(min(one.in_force_ppm, other.in_force_ppm), (min(one.announced_ppm[0], other.announced_ppm[0]),))
    upper = Schedule(max(one.in_force_ppm, other.in_force_ppm), (max(one.announced_ppm[0], other.announced_ppm[0]),))
    small = Band(min(near.low_ppm, far.low_ppm), min(near.high_ppm, far.high_ppm))
    large = Band(max(near.low_ppm, far.low_ppm), max(near.high_ppm, far.high_ppm))
    less, more = rules.advance(PARAMS, lower, small), rules.advance(PARAMS, upper, large)
    assert less.in_force_ppm <= more.in_force_ppm
    assert less.announced_ppm[0] <= more.announced_ppm[0]


@given(st.integers(1, 1_000), st.integers(-300_000_000, 300_000_000))
def test_follow__after_a_halt_of_many_epochs__moves_one_step(epochs: int, return_e9: int) -> None:
    before = follow([1_000_000] * 5)[-1]
    price = max(1, before.price_e8 + before.price_e8 * return_e9 // 10**9)
    after = rules.follow(PARAMS, LIMITS, before, before.epoch + epochs, price, 0)
    assert after.epochs == epochs
    assert len(after.residuals_ppm) == len(before.residuals_ppm) + 1
    assert after.schedule.in_force_ppm * PPM >= before.schedule.in_force_ppm * (PPM - PARAMS.step_down_ppm)


def test_follow__the_same_epoch_twice__is_our_mistake() -> None:
    state = follow([0])[-1]
    with pytest.raises(BrokenInvariantError, match="an epoch is sampled once"):
        rules.follow(PARAMS, LIMITS, state, state.epoch, PRICE_E8, 0)


def test_start__with_a_past__begins_at_the_upper_end_of_its_band() -> None:
    state = rules.start_range(PARAMS, LIMITS, [20_000_000, -20_000_000] * 400)
    assert len(state.residuals_ppm) == PARAMS.history_epochs
    assert state.schedule.in_force_ppm == rules.compute_range_band(PARAMS, LIMITS, state).high_ppm > LIMITS.start_ppm


@given(st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9)), max_size=40))
def test_correlation__any_returns__stays_between_minus_one_and_one(pairs: Sequence[tuple[int, int]]) -> None:
    state = rules.start_correlation(PARAMS, (10**13, 10**13), pairs, 500_000)
    one, other = state.variances_e18
    # Cauchy and Schwarz, but for a floor: what is clamped is rounding.
    assert abs(state.covariance_e18) <= math.isqrt(one * other) + len(pairs) + 1
    assert PARAMS.weight_min_ppm <= state.schedule.in_force_ppm <= PARAMS.weight_max_ppm


def test_follow_pair__together_then_apart__moves_the_weight_up_fast() -> None:
    together = rules.start_correlation(PARAMS, (10**13, 10**13), [(5_000_000, 5_000_000)] * 200, 500_000)
    assert together.schedule.in_force_ppm == PARAMS.weight_min_ppm
    apart, weights = together, []
    for epoch in range(1, 120):
        apart = rules.follow_pair(PARAMS, apart, epoch, (5_000_000, -5_000_000))
        weights.append(apart.schedule.in_force_ppm)
    assert weights == sorted(weights)
    assert weights[-1] > 600_000


@given(st.lists(st.integers(0, 3 * 10**9), min_size=2, max_size=20))
def test_charge_scale__more_open_interest__never_charges_less_and_is_bounded(interests: Sequence[int]) -> None:
    scales = [rules.compute_charge_scale_ppm(PARAMS, LIMITS, usd) for usd in sorted(interests)]
    assert scales == sorted(scales)
    assert all(PPM <= scale <= PARAMS.interest_scale_ppm for scale in scales)
