"""Medians by power, how fast a price may move, and what each status allows."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from holdfast.primitives.check import ensure
from holdfast.primitives.reject import Code, RejectedError
from holdfast.primitives.units import PPM, div_ceil, div_floor
from holdfast.protocol.oracle.messages import FeedReport, Report
from holdfast.protocol.oracle.params import ORACLE_PARAMS, OracleParams
from holdfast.protocol.oracle.state import FEEDS, Feed, Status
from holdfast.state.draft import Draft

_E18: Final = 10**18
_SECOND_MS: Final = 1_000


class Action(IntEnum):
    """What the exchange does with a price."""

    INCREASE_RISK = 0
    REDUCE_RISK = 1
    CANCEL = 2
    DEPOSIT = 3
    WITHDRAW = 4  # also every other release of margin
    QUEUE = 5  # put an account under maintenance into liquidation, and hedge it
    AUCTION = 6  # move an auction's clock, and sell at it
    SAMPLE = 7  # take the price into a settlement average


# Liquidation is never stopped by doubt alone, settlement and money out never go on in doubt; without any price
# only what needs none goes on.
_ALLOWED: Final = {
    Status.LIVE: tuple(Action),
    Status.DEGRADED: tuple(Action),
    Status.SUSPECT: (Action.REDUCE_RISK, Action.CANCEL, Action.DEPOSIT, Action.QUEUE),
    Status.STALE: (Action.REDUCE_RISK, Action.CANCEL, Action.DEPOSIT, Action.QUEUE),
    Status.HALTED: (Action.CANCEL, Action.DEPOSIT),
}
ACTION_MATRIX: Final = {
    (status, action): action in allowed
    for status, allowed in _ALLOWED.items()  # det-ok: a constant, built once in the order of its statuses
    for action in Action
}


class Aggregate(NamedTuple):
    """What a quorum says of one feed."""

    price_e8: int
    confidence_e8: int
    included_power: int


def has_quorum(power: int, total_power: int) -> bool:
    """Return whether a power is more than two thirds of all."""
    return 3 * power > 2 * total_power


def is_allowed(status: Status, action: Action) -> bool:
    """Return whether a price of a status may be used for an action."""
    return ACTION_MATRIX[status, action]


def get_status(draft: Draft, feed_id: int) -> Status:
    """Return a feed's status; one that never had a price is halted."""
    feed = draft[FEEDS].get(feed_id)
    return Status.HALTED if feed is None else feed.status


def is_action_allowed(draft: Draft, feed_id: int, action: Action) -> bool:
    """Return whether a feed's status allows an action."""
    return ACTION_MATRIX[get_status(draft, feed_id), action]


def check_allowed(draft: Draft, feed_id: int, action: Action) -> None:
    """Check that a feed's status allows an action. Refuses: ORACLE_FORBIDS_RISK, ORACLE_FORBIDS_ACTION."""
    status = get_status(draft, feed_id)
    if not ACTION_MATRIX[status, action]:
        code = Code.ORACLE_FORBIDS_RISK if action == Action.INCREASE_RISK else Code.ORACLE_FORBIDS_ACTION
        raise RejectedError(code, feed=feed_id, status=status.name, action=action.name)


def get_price(draft: Draft, feed_id: int) -> int | None:
    """Return the price that stands, whatever its status; None where there never was one."""
    feed = draft[FEEDS].get(feed_id)
    return None if feed is None else feed.price_e8


def get_degraded(draft: Draft) -> dict[int, bool]:
    """Return, by feed, whether its confidence counts more: where its price is anything but LIVE."""
    return {feed_id: get_status(draft, feed_id) != Status.LIVE for feed_id in draft[ORACLE_PARAMS][0].feeds}


def compute_median_floor(entries: Sequence[tuple[int, int]]) -> int:
    """Return the power-weighted median of (value, power) entries.

    Between the lower median (twice the power up to it reaches all of it) and the upper (exceeds it). Rounds: down.
    """
    low, high = _compute_medians(entries)
    return div_floor(low + high, 2)


def compute_median_ceil(entries: Sequence[tuple[int, int]]) -> int:
    """Return the power-weighted median of (value, power) entries. Rounds: up, for what is charged for."""
    low, high = _compute_medians(entries)
    return div_ceil(low + high, 2)


def list_counted(
    params: OracleParams, feed_id: int, reports: Sequence[tuple[int, int, Report]]
) -> list[tuple[int, int, FeedReport]]:
    """Return (validator, power, report) of those that count for a feed: enough sources, young enough."""
    return [
        (validator, power, feed)
        for validator, power, report in reports
        for feed in report.feeds
        if feed.feed == feed_id and feed.sources >= params.sources_min and feed.age_ms <= params.report_age_ms_max
    ]


def aggregate(
    params: OracleParams, feed_id: int, reports: Sequence[tuple[int, int, Report]], total_power: int
) -> Aggregate | None:
    """Return what a quorum says of a feed, or None without one.

    The confidence is the larger of the median confidence and the median distance of the reports from their median:
    like the price, it cannot be moved far by less than half of the included power.
    """
    counted = list_counted(params, feed_id, reports)
    included = sum(power for _, power, _ in counted)
    if not has_quorum(included, total_power):
        return None
    price = compute_median_floor([(feed.price_e8, power) for _, power, feed in counted])
    confidence = compute_median_ceil([(feed.confidence_e8, power) for _, power, feed in counted])
    spread = compute_median_ceil([(abs(feed.price_e8 - price), power) for _, power, feed in counted])
    return Aggregate(price, max(confidence, spread), included)


def is_within(
    params: OracleParams, floor_ppm: int, variance_e18: int, from_e8: int, to_e8: int, passed_ms: int
) -> bool:
    """Return whether a move is within the larger of a floor and what the variance lets one expect in a time."""
    move = abs(to_e8 - from_e8)
    if move * PPM <= from_e8 * floor_ppm:
        return True
    return move**2 * _E18 * _SECOND_MS <= params.velocity_sigmas**2 * variance_e18 * passed_ms * from_e8**2


def compute_variance_e18(params: OracleParams, before_e18: int, from_e8: int, to_e8: int, passed_ms: int) -> int:
    """Return the variance after a move: a moving mean that gives a time t the weight t / (tau + t). Rounds: down."""
    passed = max(1, passed_ms)
    rate = div_floor((to_e8 - from_e8) ** 2 * _E18 * _SECOND_MS, from_e8**2 * passed)
    after = before_e18 + div_floor((rate - before_e18) * passed, params.variance_tau_ms + passed)
    return min(after, params.variance_max_e18)


def has_passed(now_ms: int, now_height: int, since_ms: int, since_height: int, window_ms: int, blocks: int) -> bool:
    """Return whether the larger of a time and a number of blocks is over."""
    return now_ms - since_ms >= window_ms and now_height - since_height >= blocks


def compute_unreported_status(params: OracleParams, feed: Feed, now_ms: int, height: int) -> Status:
    """Return the status of a feed in a block without its quorum."""
    if feed.is_flagged:
        return Status.HALTED
    if has_passed(now_ms, height, feed.reported_ms, feed.reported_height, params.stale_ms, params.stale_blocks):
        return Status.STALE
    if feed.status == Status.LIVE and height - feed.reported_height > params.degraded_blocks:
        return Status.DEGRADED
    return feed.status


def compute_reported_status(included_power: int, total_power: int) -> Status:
    """Return the status of a price that a quorum has set: LIVE from five sixths of power on."""
    return Status.LIVE if 6 * included_power >= 5 * total_power else Status.DEGRADED


def _compute_medians(entries: Sequence[tuple[int, int]]) -> tuple[int, int]:
    ordered = sorted(entries)
    total = sum(power for _, power in ordered)
    ensure(total > 0, "a median has power behind it")
    reached = 0
    low: int | None = None
    for value, power in ordered:
        reached += power
        if low is None and 2 * reached >= total:
            low = value
        if 2 * reached > total:
            break
    return value if low is None else low, value
