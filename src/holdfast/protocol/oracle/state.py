"""Stored feeds."""

from enum import IntEnum
from typing import Final

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64
from holdfast.state.table import Table


class Status(IntEnum):
    """How far a price may be trusted, from best to worst."""

    LIVE = 0
    DEGRADED = 1  # few reports, or none for some blocks: trades as usual, with more margin
    SUSPECT = 2  # moved faster than it should: the price before the move stands until the move is confirmed
    STALE = 3  # no quorum has reported for too long
    HALTED = 4  # never had a price, or flagged


class Suspicion(Record):
    """A move that waits to be confirmed: its price, when that was first seen, and when the doubt began."""

    price_e8: U64
    seen_ms: U64
    seen_height: U64
    began_ms: U64
    began_height: U64


class Feed(Record):
    """One feed: the price that stands, what is known of it, and when it was last set and last reported by a quorum.

    `variance_e18` is the moving mean of squared returns a second, x 1e18.
    """

    price_e8: U64
    confidence_e8: U64
    status: Status
    included_power: U64
    updated_ms: U64
    updated_height: U64
    reported_ms: U64
    reported_height: U64
    variance_e18: U64
    suspicion: Suspicion | None
    is_flagged: bool


FEEDS: Final = Table[int, Feed]("feeds", ["u64"], Feed, tag=40)
