"""Commands about orders, and what comes of them."""

from enum import IntEnum
from typing import Annotated

from msgspec import Meta

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import QUOTES_PER_COMMAND_MAX, U64, Amount


class TimeInForce(IntEnum):
    """How long an order may rest."""

    GOOD_TILL_CANCELLED = 0
    IMMEDIATE_OR_CANCEL = 1
    FILL_OR_KILL = 2


class SelfTrade(IntEnum):
    """Which order goes when an owner would trade with itself."""

    CANCEL_RESTING = 0
    CANCEL_INCOMING = 1
    CANCEL_BOTH = 2


class Cancelled(IntEnum):
    """Why an order is no more."""

    BY_OWNER = 0
    MARGIN_AT_FILL = 1
    SELF_TRADE = 2
    REDUCE_ONLY = 3
    IMMEDIATE = 4
    PROTECTION = 5
    LIQUIDATION = 6
    EXPIRED = 7
    FILL_LIMIT = 8


class PlaceOrder(Record, tag=20):
    """Buy (0) or sell (1) lots of an instrument. A price of 0 is a market order, which never rests."""

    instrument_id: U64
    side: Annotated[int, Meta(ge=0, le=1)]
    price_ticks: U64
    lots: U64
    time_in_force: Annotated[int, Meta(ge=0, le=2)] = 0
    post_only: bool = False
    reduce_only: bool = False
    self_trade: Annotated[int, Meta(ge=0, le=2)] = 0
    client_id: U64 = 0


class AmendOrder(Record, tag=21):
    """Change an order's price or what is left of its size; it keeps its id, and its place if it only shrinks."""

    order_id: U64
    price_ticks: U64
    lots: U64


class CancelOrder(Record, tag=22):
    """Take one order back."""

    order_id: U64


class CancelAll(Record, tag=23):
    """Take every order back: of one instrument, or of all with instrument 0."""

    instrument_id: U64


class Quote(Record):
    """Both sides of one instrument. Zero lots take a side back."""

    instrument_id: U64
    bid_ticks: U64
    bid_lots: U64
    ask_ticks: U64
    ask_lots: U64


class MassQuote(Record, tag=24):
    """Put quotes in the place of the account's quotes, instrument by instrument. Quotes never take."""

    underlying: U64
    quotes: Annotated[tuple[Quote, ...], Meta(min_length=1, max_length=QUOTES_PER_COMMAND_MAX)]


class SetProtection(Record, tag=25):
    """Bound how many lots of quotes in one underlying may fill within a window; 0 lots removes the bound."""

    underlying: U64
    limit_lots: U64
    window_ms: U64


class OrderPlaced(Record, tag=120):
    """An order was taken: what of it filled at once, and what rests."""

    order_id: U64
    account_id: U64
    instrument_id: U64
    side: U64
    price_ticks: U64
    filled_lots: U64
    rested_lots: U64
    client_id: U64


class OrderAmended(Record, tag=121):
    """An order stands at a new price or size."""

    order_id: U64
    price_ticks: U64
    filled_lots: U64
    rested_lots: U64


class OrderCancelled(Record, tag=122):
    """What was left of an order is gone."""

    order_id: U64
    account_id: U64
    lots: U64
    reason: U64


class Traded(Record, tag=123):
    """A fill: who bought from whom, and the fee of each side in atoms."""

    instrument_id: U64
    price_ticks: U64
    lots: U64
    taker_side: U64
    taker_id: U64
    maker_id: U64
    taker_order_id: U64
    maker_order_id: U64
    taker_fee_atoms: Amount
    maker_fee_atoms: Amount


class Quoted(Record, tag=124):
    """How a mass quote went, side by side: `codes` has two entries a quote, bid first, 0 where it stands."""

    account_id: U64
    rested: U64
    codes: tuple[U64, ...]


class ProtectionSet(Record, tag=125):
    """A market maker's protection stands."""

    account_id: U64
    underlying: U64
    limit_lots: U64
    window_ms: U64


class ProtectionTriggered(Record, tag=126):
    """A market maker's quotes in an underlying are gone because its protection was used up."""

    account_id: U64
    underlying: U64
    until_ms: U64
