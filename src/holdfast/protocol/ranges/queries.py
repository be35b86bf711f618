"""What stands, and what is to come, of an underlying's range."""

from typing import NamedTuple

from holdfast.protocol.ranges import rules
from holdfast.protocol.ranges.params import RANGE_LIMITS, RANGE_PARAMS, RangeLimits
from holdfast.protocol.ranges.rules import Band
from holdfast.protocol.ranges.state import RANGES
from holdfast.protocol.surface.params import ROW_TAIL_FIRST, SURFACE_PARAMS
from holdfast.state.draft import Draft


class Outlook(NamedTuple):
    """An underlying's range: in force, announced as (from, range), and what its past asks for."""

    is_adaptive: bool
    in_force_ppm: int
    announced: tuple[tuple[int, int], ...]
    limits: RangeLimits
    band: Band | None  # None where nothing adapts
    volatility_ppm: int | None  # over the horizon
    sampled_ms: int | None
    charge_scale_ppm: int | None


def get_outlook(draft: Draft, underlying: int) -> Outlook:
    """Return an underlying's outlook."""
    params, limits = draft[RANGE_PARAMS][0], draft[RANGE_LIMITS][underlying]
    state = draft[RANGES].get(underlying)
    if state is None:
        range_ppm = max(draft[SURFACE_PARAMS][underlying].spot_ppm[:ROW_TAIL_FIRST])
        return Outlook(params.is_adaptive, range_ppm, (), limits, None, None, None, None)
    first_ms = (state.epoch + 1) * params.epoch_ms
    return Outlook(
        params.is_adaptive,
        state.schedule.in_force_ppm,
        tuple((first_ms + ahead * params.epoch_ms, ppm) for ahead, ppm in enumerate(state.schedule.announced_ppm)),
        limits,
        rules.compute_range_band(params, limits, state),
        rules.compute_volatility_ppm(state.variance_e18, params.horizon_epochs),
        state.epoch * params.epoch_ms if state.price_e8 else None,
        state.charge_scale_ppm,
    )
