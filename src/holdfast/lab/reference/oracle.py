"""Feeds: the exact power-weighted median of a quorum's reports, and the ladder of how far a price may be trusted."""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Final, NamedTuple

from msgspec.structs import replace

from holdfast.lab.reference.refusals import RefusedError
from holdfast.lab.reference.reports import FeedView, ReportView
from holdfast.lab.reference.world import World
from holdfast.primitives.reject import Code
from holdfast.protocol.oracle.params import OracleParams
from holdfast.protocol.oracle.state import Feed, Status, Suspicion

# What each status still allows, beside cancels and deposits, which it always does.
INCREASE: Final = "increase risk"
REDUCE: Final = "reduce risk"
WITHDRAW: Final = "withdraw"
QUEUE: Final = "queue and hedge"
AUCTION: Final = "auction"
SAMPLE: Final = "sample"
_ALLOWED: Final = {
    Status.LIVE: {INCREASE, REDUCE, WITHDRAW, QUEUE, AUCTION, SAMPLE},
    Status.DEGRADED: {INCREASE, REDUCE, WITHDRAW, QUEUE, AUCTION, SAMPLE},
    Status.SUSPECT: {REDUCE, QUEUE},
    Status.STALE: {REDUCE, QUEUE},
    Status.HALTED: set[str](),
}


# A report, and what it says of the feed in question.
Counted = tuple[ReportView, FeedView]


class Quorum(NamedTuple):
    """What a quorum says of one feed."""

    price_e8: int
    confidence_e8: int
    power: int


def is_quorum(power: int, total: int) -> bool:
    """Return whether a power is more than two thirds of all."""
    return Fraction(power, total) > Fraction(2, 3)


def median(entries: Sequence[tuple[int, int]]) -> Fraction:
    """Return the median of (value, power), exactly: the mean of the lower and the upper one."""
    total = sum(power for _, power in entries)

    def up_to(value: int) -> int:
        return sum(power for other, power in entries if other <= value)

    lower = min(value for value, _ in entries if 2 * up_to(value) >= total)
    upper = min(value for value, _ in entries if 2 * up_to(value) > total)
    return Fraction(lower + upper, 2)


def list_counted(params: OracleParams, feed_id: int, reports: Sequence[ReportView]) -> list[Counted]:
    """Return the reports that count for a feed: of enough sources, none too old."""
    return [
        (report, feed)
        for report in reports
        for feed in report.feeds
        if feed.feed == feed_id and feed.sources >= params.sources_min and feed.age_ms <= params.report_age_ms_max
    ]


def apply_reports(world: World, reports: Sequence[ReportView], total: int) -> None:
    """Move every feed on by one block."""
    params = world.oracle_params[0]
    for feed_id in params.feeds:
        counted = list_counted(params, feed_id, reports)
        power = sum(report.power for report, _ in counted)
        before = world.feeds.get(feed_id)
        if is_quorum(power, total):
            price = floor(median([(feed.price_e8, report.power) for report, feed in counted]))
            doubt = ceil(median([(feed.confidence_e8, report.power) for report, feed in counted]))
            spread = ceil(median([(abs(feed.price_e8 - price), report.power) for report, feed in counted]))
            world.feeds[feed_id] = _reported(world, before, Quorum(price, max(doubt, spread), power), total)
        elif before is not None:
            world.feeds[feed_id] = _missed(world, before)


def _reported(world: World, before: Feed | None, quorum: Quorum, total: int) -> Feed:
    params, now, height = world.oracle_params[0], world.now_ms, world.height
    if before is None:
        return _accepted(world, quorum, total, params.variance_start_e18)
    if before.is_flagged:
        return replace(before, reported_ms=now, reported_height=height)
    passed = now - before.updated_ms
    variance = _variance_after(params, before, quorum.price_e8, passed)
    if _is_within(params, params.velocity_floor_ppm, before.variance_e18, before.price_e8, quorum.price_e8, passed):
        return _accepted(world, quorum, total, variance)
    doubt = before.suspicion
    if doubt is None:
        doubt = Suspicion(quorum.price_e8, now, height, now, height)
    agrees = _is_within(params, params.agree_floor_ppm, variance, doubt.price_e8, quorum.price_e8, now - doubt.seen_ms)
    is_over = now - doubt.began_ms >= params.suspect_ms and height - doubt.began_height >= params.suspect_blocks
    has_stood = now - doubt.seen_ms >= params.confirm_ms and height - doubt.seen_height >= params.confirm_blocks
    if is_over or (before.suspicion is not None and has_stood and agrees):
        return _accepted(world, quorum, total, variance)
    if not agrees:
        doubt = Suspicion(quorum.price_e8, now, height, doubt.began_ms, doubt.began_height)
    return replace(
        before,
        status=Status.SUSPECT,
        confidence_e8=max(before.confidence_e8, quorum.confidence_e8),
        included_power=quorum.power,
        reported_ms=now,
        reported_height=height,
        suspicion=doubt,
    )


def _accepted(world: World, quorum: Quorum, total: int, variance_e18: int) -> Feed:
    is_full = Fraction(quorum.power, total) >= Fraction(5, 6)
    return Feed(
        quorum.price_e8,
        quorum.confidence_e8,
        Status.LIVE if is_full else Status.DEGRADED,
        quorum.power,
        world.now_ms,
        world.height,
        world.now_ms,
        world.height,
        variance_e18,
        None,
        is_flagged=False,
    )


def _missed(world: World, before: Feed) -> Feed:
    """Return a feed after a block without its quorum."""
    params = world.oracle_params[0]
    missed = world.height - before.reported_height
    status = before.status
    if before.is_flagged:
        status = Status.HALTED
    elif world.now_ms - before.reported_ms >= params.stale_ms and missed >= params.stale_blocks:
        status = Status.STALE
    elif status == Status.LIVE and missed > params.degraded_blocks:
        status = Status.DEGRADED
    suspicion = before.suspicion if status == Status.SUSPECT else None
    return replace(before, status=status, suspicion=suspicion, included_power=0)


def _is_within(
    params: OracleParams, floor_ppm: int, variance_e18: int, from_e8: int, to_e8: int, passed_ms: int
) -> bool:
    """Return whether a move is within the larger of a floor and so many deviations of the time that has passed."""
    move = Fraction(abs(to_e8 - from_e8), from_e8)
    expected_square = params.velocity_sigmas**2 * Fraction(variance_e18, 10**18) * Fraction(passed_ms, 1_000)
    return move <= Fraction(floor_ppm, 10**6) or move**2 <= expected_square


def _variance_after(params: OracleParams, before: Feed, price_e8: int, passed_ms: int) -> int:
    """Return the moving mean of squared returns a second, in which a time t has the weight t / (tau + t)."""
    passed = max(1, passed_ms)
    move = Fraction(price_e8 - before.price_e8, before.price_e8)
    rate = floor(move**2 * 10**18 / Fraction(passed, 1_000))
    weight = Fraction(passed, params.variance_tau_ms + passed)
    after = before.variance_e18 + floor((rate - before.variance_e18) * weight)
    return min(after, params.variance_max_e18)


def allows(world: World, feed_id: int, action: str) -> bool:
    """Return whether a feed's price may be used for an action; a feed without a price is halted."""
    feed = world.feeds.get(feed_id)
    return action in _ALLOWED[Status.HALTED if feed is None else feed.status]


def check_allowed(world: World, feed_id: int, action: str) -> None:
    """Refuse what a feed's status does not allow."""
    if not allows(world, feed_id, action):
        raise RefusedError(Code.ORACLE_FORBIDS_RISK if action == INCREASE else Code.ORACLE_FORBIDS_ACTION)
