"""Stored positions, their two indices, and the pages that margin reads them from."""

from typing import Final

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import Amount
from holdfast.state.columns import Columns
from holdfast.state.table import Table


class Position(Record):
    """Signed lots (long above zero) and what they cost (positive: paid), in atoms."""

    lots: Amount
    cost_atoms: Amount


POSITIONS: Final = Table[tuple[int, int], Position]("positions", ["u64", "u64"], Position, tag=20)
# Instruments that an account holds, and accounts that hold an instrument; both ascending.
HOLDINGS: Final = Table[int, tuple[int, ...]]("holdings", ["u64"], tuple, tag=None)
HOLDERS: Final = Table[int, tuple[int, ...]]("holders", ["u64"], tuple, tag=None)

# Positions by page of accounts: (place of the account in its page) << INSTRUMENT_BITS | instrument -> lots, cost.
INSTRUMENT_BITS: Final = 40
POSITION_PAGES: Final = Table[int, Columns]("position pages", ["u64"], Columns, tag=None)
