"""Stored instruments, and the indices over them."""

from enum import IntEnum
from typing import Final

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64, Name
from holdfast.state.table import Table


class Kind(IntEnum):
    """What an instrument pays."""

    CALL = 0
    PUT = 1
    FUTURE = 2


class Instrument(Record):
    """One instrument. `tick_value_atoms` is what a tick of a lot is worth in USDC, exactly; a future's strike is 0."""

    name: Name
    kind: Kind
    underlying: U64
    expiry_ms: U64
    strike_e8: U64
    tick_e8: U64
    tick_value_atoms: U64
    lot_e8: U64
    is_halted: bool
    listed_height: U64


INSTRUMENTS: Final = Table[int, Instrument]("instruments", ["u64"], Instrument, tag=35)
NEXT_INSTRUMENT: Final = Table[int, int]("next instrument", ["u64"], int, tag=36)
# Derived tables: their keys never become bytes, so a name stands as it is.
NAMES: Final = Table[str, int]("instrument names", [], int, tag=None)
# (underlying, expiry) -> instruments, ascending
SERIES: Final = Table[tuple[int, int], tuple[int, ...]]("series", ["u64", "u64"], tuple, tag=None)
