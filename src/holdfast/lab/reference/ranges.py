"""How far prices are assumed to move: one sample an epoch, in exact fractions, rounded where the documents say so."""

from fractions import Fraction
from math import ceil, floor, isqrt
from typing import Final

from msgspec.structs import replace

from holdfast.lab.reference.oracle import SAMPLE, allows
from holdfast.lab.reference.rounding import PPM, worth_atoms
from holdfast.lab.reference.world import UNDERLYINGS, World
from holdfast.protocol.genesis import Genesis
from holdfast.protocol.ranges.params import RangeLimits, RangeParams
from holdfast.protocol.ranges.state import Correlation, Range, Schedule
from holdfast.protocol.surface.params import ScenarioGrid

_GRAIN: Final = 100
_NORMAL_TAIL: Final = Fraction(2_807, 1_000)
_RESIDUAL_MAX: Final = 20
_RATE_MAX: Final = {"short": 100_000, "concentration": 200_000}
_VOLATILITIES: Final = (-250_000, 0, 500_000)
_TAILS: Final = (-500_000, -330_000, 500_000, 1_000_000)
_SKEW: Final = -250_000

Band = tuple[int, int]


def begin(world: World, genesis: Genesis) -> None:
    """Write the first ranges, their grids, and the weight of opposed scenarios."""
    params = genesis.range_params
    past = {history.underlying: list(history.returns_e9) for history in genesis.range_history}
    world.range_params[0] = params
    for limits in genesis.range_limits:
        world.range_limits[limits.underlying] = limits
        world.grids[limits.underlying] = make_grid(limits.start_ppm)
        if not params.is_adaptive:
            continue
        state = Range(0, 0, 0, 0, limits.variance_start_e18, (), _still(params, limits.start_ppm), PPM)
        returns = past.get(limits.underlying, [])
        for one in returns:
            state = _take(params, state, one)
        if returns:
            state = replace(state, schedule=_still(params, _range_band(params, limits, state)[1]))
        world.ranges[limits.underlying] = state
        world.grids[limits.underlying] = make_grid(state.schedule.in_force_ppm)
    if params.is_adaptive:
        _begin_correlation(world, [past.get(underlying, []) for underlying in UNDERLYINGS])


def step(world: World) -> None:
    """Sample every underlying that has not been in this epoch and whose price may be used."""
    params = world.range_params[0]
    if not params.is_adaptive:
        return
    epoch = world.now_ms // params.epoch_ms
    for underlying in UNDERLYINGS:
        before = world.ranges[underlying]
        if before.epoch < epoch and allows(world, underlying, SAMPLE):
            after = _sample(world, underlying, before, epoch)
            world.ranges[underlying] = after
            world.grids[underlying] = make_grid(after.schedule.in_force_ppm)
            if after.charge_scale_ppm != before.charge_scale_ppm:
                world.charge_scales[underlying] = after.charge_scale_ppm
    one, other = (world.ranges[underlying] for underlying in UNDERLYINGS)
    were = world.correlations[0]
    if were.epoch < epoch == one.epoch == other.epoch and one.epochs == other.epochs > 0:
        now = _take_pair(params, were, one.return_e9, other.return_e9)
        schedule = _advance(params, were.schedule, _weight_band(params, now))
        world.correlations[0] = replace(now, epoch=epoch, schedule=schedule)
        _weigh(world, schedule.in_force_ppm)


def rate(world: World, kind: str, underlying: int, rate_ppm: int) -> int:
    """Return a charge's rate after what open interest makes of it, within the charge's own bound."""
    scale = world.charge_scales.get(underlying, PPM)
    return min(_RATE_MAX[kind], ceil(Fraction(rate_ppm * scale, PPM)))


def make_grid(range_ppm: int) -> ScenarioGrid:
    """Return the 32 shocks of a spot range: nine moves by three volatilities, four damped tails, one skew."""
    moves = [floor(Fraction(range_ppm * step, 4)) for step in range(-4, 5)]
    parts = [min(PPM, floor(Fraction(range_ppm * PPM, abs(tail)))) for tail in _TAILS]
    return ScenarioGrid(
        (*(move for move in moves for _ in _VOLATILITIES), *_TAILS, 0),
        (*(vol for _ in moves for vol in _VOLATILITIES), *(500_000 for _ in _TAILS), 0),
        (*(0 for _ in range(31)), _SKEW),
        (*(PPM for _ in range(27)), *parts, PPM),
    )


def _sample(world: World, underlying: int, before: Range, epoch: int) -> Range:
    params, limits = world.range_params[0], world.range_limits[underlying]
    price = world.feeds[underlying].price_e8
    scale = _scale(world, underlying, price)
    if before.price_e8 == 0:
        return replace(before, epoch=epoch, price_e8=price, charge_scale_ppm=scale)
    epochs = epoch - before.epoch
    # The root of the time to nine digits.
    root = Fraction(isqrt(epochs * 10**18), 10**9)
    size = min(10**9, floor(Fraction(abs(price - before.price_e8) * 10**9, before.price_e8) / root))
    state = _take(params, before, size if price >= before.price_e8 else -size)
    schedule = _advance(params, before.schedule, _range_band(params, limits, state))
    return replace(state, epoch=epoch, price_e8=price, epochs=epochs, schedule=schedule, charge_scale_ppm=scale)


def _scale(world: World, underlying: int, price_e8: int) -> int:
    """Return what open interest multiplies charges by: linear between its two marks, flat outside of them."""
    lots = sum(
        position.lots
        for (_, instrument_id), position in world.positions.items()
        if position.lots > 0 and world.instruments[instrument_id].underlying == underlying
    )
    limits = world.range_limits[underlying]
    usd = ceil(Fraction(lots * worth_atoms(price_e8, world.contract_specs[underlying].lot_e8), 10**6))
    part = Fraction(usd - limits.interest_lower_usd, limits.interest_upper_usd - limits.interest_lower_usd)
    return PPM + ceil((world.range_params[0].interest_scale_ppm - PPM) * min(Fraction(1), max(Fraction(0), part)))


def _take(params: RangeParams, before: Range, return_e9: int) -> Range:
    """Take a return into an underlying's variance, and its size in deviations before it into the tail."""
    deviation = max(1, isqrt(before.variance_e18))
    residual = min(_RESIDUAL_MAX * PPM, ceil(Fraction(abs(return_e9) * PPM, deviation)))
    past = [*before.residuals_ppm, residual]
    return replace(
        before,
        return_e9=return_e9,
        variance_e18=ceil(_mean(params, before.variance_e18, return_e9 * return_e9)),
        residuals_ppm=tuple(past[max(0, len(past) - params.history_epochs) :]),
    )


def _range_band(params: RangeParams, limits: RangeLimits, state: Range) -> Band:
    tail = _NORMAL_TAIL * PPM
    if state.residuals_ppm:
        may_exceed = floor(Fraction(len(state.residuals_ppm) * (PPM - params.quantile_ppm), PPM))
        fits = [one for one in state.residuals_ppm if sum(other > one for other in state.residuals_ppm) <= may_exceed]
        tail = max(tail, Fraction(min(fits)))
    # A past that is shorter than it should be counts in proportion.
    known = Fraction(len(state.residuals_ppm), params.history_epochs)
    tail = Fraction(ceil(tail * known + params.tail_start_ppm * (1 - known)))
    deviation = _root_up(state.variance_e18 * params.horizon_epochs)
    model = ceil(deviation * tail / (PPM * 1_000))
    weight = Fraction(params.model_weight_ppm, PPM)
    mix = max(limits.floor_ppm, ceil(model * weight + limits.stress_ppm * (1 - weight)))
    buffered = ceil(mix * (1 + Fraction(params.buffer_ppm, PPM)))
    return min(limits.ceiling_ppm, _grain(mix)), min(limits.ceiling_ppm, _grain(buffered))


def _advance(params: RangeParams, before: Schedule, band: Band) -> Schedule:
    """Let what was announced come into force, add what is lacking beyond the lag, and announce one epoch more."""
    low, high = band
    up, down = 1 + Fraction(params.step_up_ppm, PPM), 1 - Fraction(params.step_down_ppm, PPM)
    urgent = _grain(ceil(low / (1 + Fraction(params.lag_ppm, PPM))))
    most = floor(before.in_force_ppm * (1 + Fraction(params.emergency_ppm, PPM)) / _GRAIN) * _GRAIN
    due = before.announced_ppm[0]
    now = max(due, min(urgent, most))
    queue = [max(one, now) if now > due else one for one in before.announced_ppm[1:]]
    last = [now, *queue][-1]
    wanted = min(max(last, low), high)
    least = ceil(last * down / _GRAIN) * _GRAIN
    wanted = max(wanted, least)
    wanted = min(wanted, floor(last * up / _GRAIN) * _GRAIN)
    return Schedule(now, (*queue, wanted))


def _begin_correlation(world: World, pasts: list[list[int]]) -> None:
    params = world.range_params[0]
    one, other = (world.range_limits[underlying].variance_start_e18 for underlying in UNDERLYINGS)
    covariance = floor(Fraction(params.correlation_start_ppm * isqrt(one * other), PPM))
    start = world.margin_params[0].cross_weight_ppm
    state = Correlation(0, covariance, (one, other), _still(params, start))
    # The newest of both stand opposite each other.
    pairs = list(zip(reversed(pasts[0]), reversed(pasts[1]), strict=False))[::-1]
    for pair in pairs:
        state = _take_pair(params, state, *pair)
    if pairs:
        state = replace(state, schedule=_still(params, _weight_band(params, state)[1]))
    world.correlations[0] = state
    _weigh(world, state.schedule.in_force_ppm)


def _take_pair(params: RangeParams, before: Correlation, one: int, other: int) -> Correlation:
    variances = before.variances_e18
    return replace(
        before,
        covariance_e18=floor(_mean(params, before.covariance_e18, one * other)),
        variances_e18=(ceil(_mean(params, variances[0], one * one)), ceil(_mean(params, variances[1], other * other))),
    )


def _weight_band(params: RangeParams, state: Correlation) -> Band:
    """Return the weight at the low bound of the correlation: the root of (1 - it) / 2."""
    scale = max(1, isqrt(state.variances_e18[0] * state.variances_e18[1]))
    correlation = min(PPM, max(-PPM, floor(Fraction(state.covariance_e18 * PPM, scale))))
    low = max(-PPM, correlation - params.correlation_doubt_ppm)
    weight = _grain(_root_up(ceil(Fraction((PPM - low) * PPM, 2))))
    inside = min(params.weight_max_ppm, max(params.weight_min_ppm, weight))
    return inside, inside


def _weigh(world: World, weight_ppm: int) -> None:
    world.margin_params[0] = replace(world.margin_params[0], cross_weight_ppm=weight_ppm)


def _mean(params: RangeParams, before: int, new: int) -> Fraction:
    kept = Fraction(params.decay_ppm, PPM)
    return before * kept + new * (1 - kept)


def _still(params: RangeParams, ppm: int) -> Schedule:
    return Schedule(ppm, (ppm,) * params.announce_epochs)


def _root_up(value: int) -> int:
    root = isqrt(value)
    return root if root * root == value else root + 1


def _grain(ppm: int) -> int:
    return ceil(Fraction(ppm, _GRAIN)) * _GRAIN
