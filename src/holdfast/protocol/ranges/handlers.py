"""The step of each epoch: a sample, and what it makes of grids, weights and charges."""

from collections.abc import Sequence

import numpy as np

from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.primitives.units import USDC_ATOMS, div_ceil, div_floor, value_per_lot_atoms
from holdfast.protocol.block import BlockContext
from holdfast.protocol.instruments.handlers import get_listing
from holdfast.protocol.instruments.params import CONTRACT_SPECS, UNDERLYINGS
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.params import MARGIN_PARAMS
from holdfast.protocol.oracle.rules import Action, is_action_allowed
from holdfast.protocol.oracle.state import FEEDS
from holdfast.protocol.portfolio import handlers as portfolio
from holdfast.protocol.portfolio.state import INSTRUMENT_BITS, POSITION_PAGES
from holdfast.protocol.ranges import params as bounds
from holdfast.protocol.ranges import rules
from holdfast.protocol.ranges.messages import (
    ChargeScaleChanged,
    CrossWeightAnnounced,
    CrossWeightChanged,
    RangeAnnounced,
    RangeChanged,
)
from holdfast.protocol.ranges.params import RANGE_LIMITS, RANGE_PARAMS, RangeHistory, RangeLimits, RangeParams
from holdfast.protocol.ranges.state import CORRELATIONS, RANGES, Schedule
from holdfast.protocol.surface import handlers as surface
from holdfast.state.draft import Draft


def initialise(
    draft: Draft, params: RangeParams, limits: Sequence[RangeLimits], histories: Sequence[RangeHistory]
) -> None:
    """Write parameters, first states and the grids that they give; what does not adapt keeps its start for good."""
    bounds.check(params)
    ensure(tuple(one.underlying for one in limits) == UNDERLYINGS, "each underlying has its limits, in order")
    known = {history.underlying: history.returns_e9 for history in histories}
    ensure(not histories or tuple(known) == UNDERLYINGS, "each underlying has its history, in order, or none has")
    draft[RANGE_PARAMS].put(0, params)
    for one in limits:
        bounds.check_limits(one)
        draft[RANGE_LIMITS].put(one.underlying, one)
        state = rules.start_range(params, one, known.get(one.underlying, ()) if params.is_adaptive else ())
        surface.set_range(draft, one.underlying, state.schedule.in_force_ppm)
        if params.is_adaptive:
            draft[RANGES].put(one.underlying, state)
    if params.is_adaptive:
        _start_correlation(draft, params, [known.get(underlying, ()) for underlying in UNDERLYINGS])


def follow(draft: Draft, block: BlockContext) -> tuple[Record, ...]:
    """At the first block of an epoch in which a price may be sampled, take it into its underlying's range.

    Where a price is in doubt nothing moves until it is not; however many epochs were missed, the next sample is one
    step. The correlation follows once both underlyings have been sampled in an epoch, over the same time.
    """
    params = draft[RANGE_PARAMS][0]
    if not params.is_adaptive:
        return ()
    epoch = div_floor(block.time_ms, params.epoch_ms)
    ranges = draft[RANGES]
    due = [
        underlying
        for underlying in UNDERLYINGS
        if ranges[underlying].epoch < epoch and is_action_allowed(draft, underlying, Action.SAMPLE)
    ]
    if not due:
        return ()
    interests = compute_interests_usd(draft)
    events: list[Record] = []
    for underlying in due:
        events += _follow_one(draft, params, epoch, underlying, interests[underlying])
    return (*events, *_follow_pair(draft, params, epoch))


def compute_interests_usd(draft: Draft) -> dict[int, int]:
    """Return what all open contracts on each underlying are worth at its price. Rounds: up."""
    lots = _sum_long_lots(draft)
    interests: dict[int, int] = {}
    for underlying in UNDERLYINGS:
        feed = draft[FEEDS].get(underlying)
        price_e8 = 0 if feed is None else feed.price_e8
        value_atoms = value_per_lot_atoms(price_e8, draft[CONTRACT_SPECS][underlying].lot_e8)
        interests[underlying] = div_ceil(lots[underlying] * value_atoms, USDC_ATOMS)
    return interests


def _sum_long_lots(draft: Draft) -> dict[int, int]:
    """Return the long lots on each underlying, which are as many as the short ones."""
    portfolio.refresh(draft)
    listing = get_listing(draft)
    totals = dict.fromkeys(UNDERLYINGS, 0)
    for _, page in draft[POSITION_PAGES].items():  # noqa: PERF102 -- a table, not a dict
        at = np.searchsorted(listing.ids, page.keys & ((1 << INSTRUMENT_BITS) - 1))
        lots, underlyings = np.maximum(0, page.values[0]), listing.underlyings[at]
        for underlying in UNDERLYINGS:
            totals[underlying] += int(lots[underlyings == underlying].sum())
    return totals


def _start_correlation(draft: Draft, params: RangeParams, returns_e9: Sequence[Sequence[int]]) -> None:
    one, other = (draft[RANGE_LIMITS][underlying].variance_start_e18 for underlying in UNDERLYINGS)
    shared = min(len(returns) for returns in returns_e9)
    pairs = tuple(zip(*(returns[len(returns) - shared :] for returns in returns_e9), strict=True))
    start_ppm = draft[MARGIN_PARAMS][0].cross_weight_ppm
    ensure(params.weight_min_ppm <= start_ppm <= params.weight_max_ppm, "opposed scenarios begin at a weight in bounds")
    state = rules.start_correlation(params, (one, other), pairs, start_ppm)
    draft[CORRELATIONS].put(0, state)
    margin.set_cross_weight(draft, state.schedule.in_force_ppm)


def _follow_one(draft: Draft, params: RangeParams, epoch: int, underlying: int, interest_usd: int) -> list[Record]:
    before = draft[RANGES][underlying]
    limits, price_e8 = draft[RANGE_LIMITS][underlying], draft[FEEDS][underlying].price_e8
    after = rules.follow(params, limits, before, epoch, price_e8, interest_usd)
    draft[RANGES].put(underlying, after)
    events: list[Record] = []
    old, new = before.schedule, after.schedule
    if new.in_force_ppm != old.in_force_ppm:
        surface.set_range(draft, underlying, new.in_force_ppm)
        events.append(RangeChanged(underlying, old.in_force_ppm, new.in_force_ppm, _is_emergency(old, new)))
    if new.announced_ppm[-1] != old.announced_ppm[-1]:
        events.append(RangeAnnounced(underlying, new.announced_ppm[-1], _announced_ms(params, epoch)))
    if after.charge_scale_ppm != before.charge_scale_ppm:
        margin.set_charge_scale(draft, underlying, after.charge_scale_ppm)
        events.append(ChargeScaleChanged(underlying, before.charge_scale_ppm, after.charge_scale_ppm))
    return events


def _follow_pair(draft: Draft, params: RangeParams, epoch: int) -> list[Record]:
    """Take two returns of one time into the correlation; returns over different times say nothing of it."""
    one, other = (draft[RANGES][underlying] for underlying in UNDERLYINGS)
    before = draft[CORRELATIONS][0]
    if before.epoch >= epoch or not one.epoch == other.epoch == epoch or not 0 < one.epochs == other.epochs:
        return []
    after = rules.follow_pair(params, before, epoch, (one.return_e9, other.return_e9))
    draft[CORRELATIONS].put(0, after)
    events: list[Record] = []
    old, new = before.schedule, after.schedule
    if new.in_force_ppm != old.in_force_ppm:
        margin.set_cross_weight(draft, new.in_force_ppm)
        events.append(CrossWeightChanged(old.in_force_ppm, new.in_force_ppm, _is_emergency(old, new)))
    if new.announced_ppm[-1] != old.announced_ppm[-1]:
        events.append(CrossWeightAnnounced(new.announced_ppm[-1], _announced_ms(params, epoch)))
    return events


def _is_emergency(old: Schedule, new: Schedule) -> bool:
    return new.in_force_ppm > old.announced_ppm[0]


def _announced_ms(params: RangeParams, epoch: int) -> int:
    return (epoch + params.announce_epochs) * params.epoch_ms
