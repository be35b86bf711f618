"""From returns to ranges: integers in, integers out, no state.

A return is relative, x 1e9, scaled to one epoch. The range is that of filtered historical simulation: past returns,
each over the volatility of its own time, are brought to today's volatility, and their tail is taken. It is that of one
epoch's returns times the root of the horizon: returns over a whole horizon would overlap, and a few weeks hold too few
that do not.

Sources: RiskMetrics Technical Document 1996, 5.2 (moving variance and covariance, root of time); Hull and White,
J. Risk 1998, and Barone-Adesi, Giannopoulos and Vosper, J. Futures Markets 1999 (rescaled returns); Regulation (EU)
153/2013, article 28 (buffer, stressed weight, floor); Gurrola-Perez and Murphy, Bank of England WP 525 2015 (what
rescaling does in a crisis).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec.structs import replace

from holdfast.primitives.check import ensure
from holdfast.primitives.units import PPM, div_ceil, div_floor, sqrt_floor
from holdfast.protocol.ranges.params import (
    GRAIN_PPM,
    RESIDUAL_MAX_PPM,
    RESIDUAL_NORMAL_PPM,
    VARIANCE_MAX_E18,
    RangeLimits,
    RangeParams,
)
from holdfast.protocol.ranges.state import Correlation, Range, Schedule

E9: Final = 10**9
_E3: Final = 1_000
RETURN_MAX_E9: Final = E9

ensure(RETURN_MAX_E9**2 <= VARIANCE_MAX_E18, "a variance of returns in bounds is in bounds")


class Band(NamedTuple):
    """Between what a figure in force must lie: below the one it has to rise, above the other it may fall."""

    low_ppm: int
    high_ppm: int


def compute_return_e9(before_e8: int, after_e8: int, epochs: int) -> int:
    """Return a relative price change over some epochs, scaled to one by the root of time, x 1e9.

    Rounds: its size down; it is at most one whole in size.
    """
    ensure(before_e8 > 0 and epochs > 0, "a return has a price and a time behind it")
    size = div_floor(abs(after_e8 - before_e8) * E9 * E9, before_e8 * sqrt_floor(epochs * E9 * E9))
    size = min(size, RETURN_MAX_E9)
    return size if after_e8 >= before_e8 else -size


def compute_variance_e18(decay_ppm: int, before_e18: int, return_e9: int) -> int:
    """Return the moving mean of squared returns after one more. Rounds: up, so that it never dies out."""
    return div_ceil(before_e18 * decay_ppm + return_e9**2 * (PPM - decay_ppm), PPM)


def compute_covariance_e18(decay_ppm: int, before_e18: int, one_e9: int, other_e9: int) -> int:
    """Return the moving mean of two returns' products after one more. Rounds: down."""
    return div_floor(before_e18 * decay_ppm + one_e9 * other_e9 * (PPM - decay_ppm), PPM)


def compute_residual_ppm(return_e9: int, variance_e18: int) -> int:
    """Return the size of a return in deviations of the variance before it, x 1e6. Rounds: up; bounded."""
    return min(RESIDUAL_MAX_PPM, div_ceil(abs(return_e9) * PPM, max(1, sqrt_floor(variance_e18))))


def compute_tail_ppm(residuals_ppm: Sequence[int], quantile_ppm: int) -> int:
    """Return the least residual that at most the tail's share of all exceeds, and no less than the normal law's.

    Rounds: the number that may exceed it down, so that of a short past it is the largest.
    """
    beyond = div_floor(len(residuals_ppm) * (PPM - quantile_ppm), PPM)
    ordered = sorted(residuals_ppm, reverse=True)
    return max(RESIDUAL_NORMAL_PPM, ordered[beyond]) if ordered else RESIDUAL_NORMAL_PPM


def compute_credible_tail_ppm(params: RangeParams, residuals_ppm: Sequence[int]) -> int:
    """Return the tail of a past as far as it reaches, and the stated one for what is missing of its length.

    Why: the largest of a few returns says little of one in two hundred. Rounds: up.
    """
    known = len(residuals_ppm)
    tail_ppm = compute_tail_ppm(residuals_ppm, params.quantile_ppm)
    missing = params.tail_start_ppm * (params.history_epochs - known)
    return div_ceil(tail_ppm * known + missing, params.history_epochs)


def compute_volatility_ppm(variance_e18: int, horizon_epochs: int) -> int:
    """Return one deviation over the horizon, for people. Rounds: down."""
    return div_floor(sqrt_floor(variance_e18 * horizon_epochs), _E3)


def compute_model_ppm(variance_e18: int, tail_ppm: int, horizon_epochs: int) -> int:
    """Return the move over the horizon: today's volatility times the tail times the root of time. Rounds: up."""
    return div_ceil((sqrt_floor(variance_e18 * horizon_epochs - 1) + 1) * tail_ppm, PPM * _E3)


def compute_band(params: RangeParams, limits: RangeLimits, model_ppm: int) -> Band:
    """Return a range's band: the mix of model and stress, above the floor, and the buffer above that. Rounds: up."""
    stressed = limits.stress_ppm * (PPM - params.model_weight_ppm)
    mix = max(limits.floor_ppm, div_ceil(model_ppm * params.model_weight_ppm + stressed, PPM))
    buffered = div_ceil(mix * (PPM + params.buffer_ppm), PPM)
    return Band(min(limits.ceiling_ppm, _up_to_grain(mix)), min(limits.ceiling_ppm, _up_to_grain(buffered)))


def compute_weight_band(
    params: RangeParams, covariance_e18: int, one_variance_e18: int, other_variance_e18: int
) -> Band:
    """Return the weight of opposed scenarios at the low bound of the correlation.

    Of what the difference of two equal moves deviates by at a correlation of minus one, it is the part that is left at
    this one: the root of (1 - correlation) / 2. Rounds: up.
    """
    low_ppm = compute_correlation_ppm(covariance_e18, one_variance_e18, other_variance_e18)
    low_ppm = max(-PPM, low_ppm - params.correlation_doubt_ppm)
    weight = sqrt_floor(div_ceil((PPM - low_ppm) * PPM, 2) - 1) + 1
    inside = min(params.weight_max_ppm, max(params.weight_min_ppm, _up_to_grain(weight)))
    return Band(inside, inside)


def compute_correlation_ppm(covariance_e18: int, one_variance_e18: int, other_variance_e18: int) -> int:
    """Return a correlation, between -1 and 1. Rounds: down."""
    scale = max(1, sqrt_floor(one_variance_e18 * other_variance_e18))
    return max(-PPM, min(PPM, div_floor(covariance_e18 * PPM, scale)))


def start_schedule(params: RangeParams, start_ppm: int) -> Schedule:
    """Return the schedule of a figure that nothing is announced for."""
    return Schedule(start_ppm, (start_ppm,) * params.announce_epochs)


def advance(params: RangeParams, before: Schedule, band: Band) -> Schedule:
    """Move a schedule on by one epoch: what was announced for it comes into force, and one more epoch is announced.

    A figure rests inside its band. An announced one is at most a step from the one before it. What is in force is
    never less than the band's low end less `lag_ppm`, as far as one emergency step goes: that alone is not announced,
    and raises what was. Each part grows with the band and with what was before.
    """
    due, *later = before.announced_ppm
    lacking = _up_to_grain(div_ceil(band.low_ppm * PPM, PPM + params.lag_ppm))
    in_force = max(due, min(lacking, _limit_up(before.in_force_ppm, params.emergency_ppm)))
    if in_force > due:
        later = [max(ppm, in_force) for ppm in later]
    last = later[-1] if later else in_force
    wanted = max(band.low_ppm, min(band.high_ppm, last))
    stepped = min(_limit_up(last, params.step_up_ppm), max(_limit_down(last, params.step_down_ppm), wanted))
    return Schedule(in_force, (*later, stepped))


def compute_charge_scale_ppm(params: RangeParams, limits: RangeLimits, interest_usd: int) -> int:
    """Return what charges are multiplied by: one up to the lower mark of open interest, all from the upper one on.

    Rounds: up. Source: dYdX's margin fraction that is scaled by open interest, linear between two caps.
    """
    width = limits.interest_upper_usd - limits.interest_lower_usd
    over = min(width, max(0, interest_usd - limits.interest_lower_usd))
    return PPM + div_ceil((params.interest_scale_ppm - PPM) * over, width)


def start_range(params: RangeParams, limits: RangeLimits, returns_e9: Sequence[int]) -> Range:
    """Return an underlying's first state, before any price.

    With returns from before, oldest first, its range begins at the upper end of the band that they give, and may fall
    from there; without any, at the stated start.
    """
    state = Range(0, 0, 0, 0, limits.variance_start_e18, (), start_schedule(params, limits.start_ppm), PPM)
    for return_e9 in returns_e9:
        state = _observe(params, state, return_e9)
    if not returns_e9:
        return state
    start_ppm = compute_range_band(params, limits, state).high_ppm
    return replace(state, schedule=start_schedule(params, start_ppm))


def compute_range_band(params: RangeParams, limits: RangeLimits, state: Range) -> Band:
    """Return the band that an underlying's past gives its range."""
    tail_ppm = compute_credible_tail_ppm(params, state.residuals_ppm)
    return compute_band(params, limits, compute_model_ppm(state.variance_e18, tail_ppm, params.horizon_epochs))


def follow(
    params: RangeParams, limits: RangeLimits, before: Range, epoch: int, price_e8: int, interest_usd: int
) -> Range:
    """Return an underlying's state after the sample of a new epoch: one step, however many epochs were missed.

    The first sample gives no return, and moves no range.
    """
    ensure(before.price_e8 == 0 or epoch > before.epoch, "an epoch is sampled once")
    scale_ppm = compute_charge_scale_ppm(params, limits, interest_usd)
    if before.price_e8 == 0:
        return replace(before, epoch=epoch, price_e8=price_e8, charge_scale_ppm=scale_ppm)
    epochs = epoch - before.epoch
    state = _observe(params, before, compute_return_e9(before.price_e8, price_e8, epochs))
    schedule = advance(params, before.schedule, compute_range_band(params, limits, state))
    return replace(state, epoch=epoch, price_e8=price_e8, epochs=epochs, schedule=schedule, charge_scale_ppm=scale_ppm)


def start_correlation(
    params: RangeParams,
    start_variances_e18: tuple[int, int],
    returns_e9: Sequence[tuple[int, int]],
    start_ppm: int,
) -> Correlation:
    """Return the first state of a correlation, from returns of the same epochs from before, oldest first.

    Without any, opposed scenarios weigh the stated start.
    """
    one, other = start_variances_e18
    covariance = div_floor(params.correlation_start_ppm * sqrt_floor(one * other), PPM)
    state = Correlation(0, covariance, (one, other), start_schedule(params, start_ppm))
    for pair in returns_e9:
        state = _observe_pair(params, state, pair)
    if not returns_e9:
        return state
    band = compute_weight_band(params, state.covariance_e18, *state.variances_e18)
    return replace(state, schedule=start_schedule(params, band.high_ppm))


def follow_pair(params: RangeParams, before: Correlation, epoch: int, returns_e9: tuple[int, int]) -> Correlation:
    """Return a correlation's state after both underlyings' returns of a new epoch."""
    ensure(epoch > before.epoch, "an epoch's returns are taken once")
    state = _observe_pair(params, before, returns_e9)
    band = compute_weight_band(params, state.covariance_e18, *state.variances_e18)
    return replace(state, epoch=epoch, schedule=advance(params, before.schedule, band))


def _observe(params: RangeParams, before: Range, return_e9: int) -> Range:
    residual = compute_residual_ppm(return_e9, before.variance_e18)
    return replace(
        before,
        return_e9=return_e9,
        variance_e18=compute_variance_e18(params.decay_ppm, before.variance_e18, return_e9),
        residuals_ppm=(*before.residuals_ppm, residual)[-params.history_epochs :],
    )


def _observe_pair(params: RangeParams, before: Correlation, returns_e9: tuple[int, int]) -> Correlation:
    one, other = returns_e9
    one_variance, other_variance = before.variances_e18
    return replace(
        before,
        covariance_e18=compute_covariance_e18(params.decay_ppm, before.covariance_e18, one, other),
        variances_e18=(
            compute_variance_e18(params.decay_ppm, one_variance, one),
            compute_variance_e18(params.decay_ppm, other_variance, other),
        ),
    )


def _limit_up(ppm: int, step_ppm: int) -> int:
    return div_floor(ppm * (PPM + step_ppm), PPM * GRAIN_PPM) * GRAIN_PPM


def _limit_down(ppm: int, step_ppm: int) -> int:
    return div_ceil(ppm * (PPM - step_ppm), PPM * GRAIN_PPM) * GRAIN_PPM


def _up_to_grain(ppm: int) -> int:
    return div_ceil(ppm, GRAIN_PPM) * GRAIN_PPM
