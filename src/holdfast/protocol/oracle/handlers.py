"""The status machine of feeds."""

from collections.abc import Sequence

from msgspec.structs import replace

from holdfast.primitives.codec import Record
from holdfast.protocol.block import BlockContext
from holdfast.protocol.oracle import rules
from holdfast.protocol.oracle.messages import FeedStatusChanged, FeedUpdated, Report
from holdfast.protocol.oracle.params import ORACLE_PARAMS, OracleParams
from holdfast.protocol.oracle.rules import Aggregate
from holdfast.protocol.oracle.state import FEEDS, Feed, Status, Suspicion
from holdfast.state.draft import Draft


def apply_reports(
    draft: Draft, block: BlockContext, reports: Sequence[tuple[int, int, Report]], total_power: int
) -> tuple[Record, ...]:
    """Take (validator, power, report) of the last commit into every feed, and move each feed's status."""
    params = draft[ORACLE_PARAMS][0]
    events: list[Record] = []
    for feed_id in params.feeds:
        quorum = rules.aggregate(params, feed_id, reports, total_power)
        before = draft[FEEDS].get(feed_id)
        if quorum is not None:
            after = _report(params, block, before, quorum, total_power)
        elif before is not None:
            after = _miss(params, block, before)
        else:
            continue
        if after == before:
            continue
        draft[FEEDS].put(feed_id, after)
        if after.updated_height == block.height:
            events.append(FeedUpdated(feed_id, after.price_e8, after.confidence_e8, after.included_power, after.status))
        status = Status.HALTED if before is None else before.status
        if after.status != status:
            events.append(FeedStatusChanged(feed_id, status, after.status))
    return tuple(events)


def set_flagged(draft: Draft, feed_id: int, *, is_flagged: bool) -> tuple[Record, ...]:
    """Flag a feed that has a price, which halts it, or take the flag off; it then lives again with its next report."""
    feed = draft[FEEDS][feed_id]
    status = Status.HALTED if is_flagged else feed.status
    draft[FEEDS].put(feed_id, replace(feed, is_flagged=is_flagged, status=status, suspicion=None))
    return () if status == feed.status else (FeedStatusChanged(feed_id, feed.status, status),)


def _report(
    params: OracleParams, block: BlockContext, before: Feed | None, quorum: Aggregate, total_power: int
) -> Feed:
    """Return a feed after a quorum's report: at the new price, or at the old one while the move is suspect."""
    if before is None:
        return _accept(block, quorum, total_power, params.variance_start_e18)
    if before.is_flagged:
        return replace(before, reported_ms=block.time_ms, reported_height=block.height)
    passed = block.time_ms - before.updated_ms
    variance = rules.compute_variance_e18(params, before.variance_e18, before.price_e8, quorum.price_e8, passed)
    is_usual = rules.is_within(
        params, params.velocity_floor_ppm, before.variance_e18, before.price_e8, quorum.price_e8, passed
    )
    if is_usual:
        return _accept(block, quorum, total_power, variance)
    doubt = before.suspicion or Suspicion(quorum.price_e8, block.time_ms, block.height, block.time_ms, block.height)
    if _is_over(params, block, doubt) or (
        before.suspicion is not None and _is_confirmed(params, block, doubt, quorum.price_e8, variance)
    ):
        return _accept(block, quorum, total_power, variance)
    if not _agrees(params, block, doubt, quorum.price_e8, variance):
        doubt = replace(doubt, price_e8=quorum.price_e8, seen_ms=block.time_ms, seen_height=block.height)
    return replace(
        before,
        status=Status.SUSPECT,
        confidence_e8=max(before.confidence_e8, quorum.confidence_e8),
        included_power=quorum.included_power,
        reported_ms=block.time_ms,
        reported_height=block.height,
        suspicion=doubt,
    )


def _accept(block: BlockContext, quorum: Aggregate, total_power: int, variance_e18: int) -> Feed:
    return Feed(
        price_e8=quorum.price_e8,
        confidence_e8=quorum.confidence_e8,
        status=rules.compute_reported_status(quorum.included_power, total_power),
        included_power=quorum.included_power,
        updated_ms=block.time_ms,
        updated_height=block.height,
        reported_ms=block.time_ms,
        reported_height=block.height,
        variance_e18=variance_e18,
        suspicion=None,
        is_flagged=False,
    )


def _miss(params: OracleParams, block: BlockContext, before: Feed) -> Feed:
    """Return a feed after a block without its quorum."""
    status = rules.compute_unreported_status(params, before, block.time_ms, block.height)
    suspicion = before.suspicion if status == Status.SUSPECT else None
    return replace(before, status=status, suspicion=suspicion, included_power=0)


def _is_over(params: OracleParams, block: BlockContext, doubt: Suspicion) -> bool:
    return rules.has_passed(
        block.time_ms, block.height, doubt.began_ms, doubt.began_height, params.suspect_ms, params.suspect_blocks
    )


def _is_confirmed(
    params: OracleParams, block: BlockContext, doubt: Suspicion, price_e8: int, variance_e18: int
) -> bool:
    waited = rules.has_passed(
        block.time_ms, block.height, doubt.seen_ms, doubt.seen_height, params.confirm_ms, params.confirm_blocks
    )
    return waited and _agrees(params, block, doubt, price_e8, variance_e18)


def _agrees(params: OracleParams, block: BlockContext, doubt: Suspicion, price_e8: int, variance_e18: int) -> bool:
    """Return whether a price agrees with the suspect one, given a variance that counts the suspect move as real."""
    passed = block.time_ms - doubt.seen_ms
    return rules.is_within(params, params.agree_floor_ppm, variance_e18, doubt.price_e8, price_e8, passed)
