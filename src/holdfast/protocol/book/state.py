"""Stored orders, and the indices over them."""

from enum import IntEnum
from typing import Final

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64
from holdfast.state.columns import Columns
from holdfast.state.table import Table


class Side(IntEnum):
    """Which side of the book."""

    BUY = 0
    SELL = 1


FLAG_REDUCE_ONLY: Final = 1
FLAG_QUOTE: Final = 2


class Order(Record):
    """A resting order: what is still open of it."""

    account_id: U64
    instrument_id: U64
    side: U64
    price_ticks: U64
    lots: U64
    priority: U64
    flags: U64
    client_id: U64


# (rank, -priority, order id): rank is the price for bids and its negative for asks, so that the best entry is the last.
Entry = tuple[int, int, int]

ORDERS: Final = Table[int, Order]("orders", ["u64"], Order, tag=60)
NEXT_ORDER: Final = Table[int, int]("next order", ["u64"], int, tag=61)
SIDES: Final = Table[tuple[int, int], tuple[Entry, ...]]("book sides", ["u64", "u64"], tuple, tag=None)
OPEN_ORDERS: Final = Table[int, tuple[int, ...]]("open orders", ["u64"], tuple, tag=None)
# (account, 2 x instrument + side) -> the one quote that the account has there
QUOTES: Final = Table[tuple[int, int], int]("quotes", ["u64", "u64"], int, tag=None)
ORDER_FIELDS: Final = 6
# Page 0 alone: order id -> account, instrument, side, price in ticks, lots, flags
ORDER_COLUMNS: Final = Table[int, Columns]("order columns", ["u64"], Columns, tag=None)
