"""Stored instruments, and the indices over them."""

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

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


Int64Array = NDArray[np.int64]


class Listing(NamedTuple):
    """What never changes of the listed instruments, as int64 arrays in the order of `ids`."""

    ids: Int64Array  # ascending
    series: tuple[tuple[int, int], ...]  # (underlying, expiry) of each series
    series_index: Int64Array
    underlyings: Int64Array
    strikes_e8: Int64Array
    is_call: Int64Array  # 1 for calls and futures, which are calls at strike 0
    is_future: Int64Array
    lots_e8: Int64Array
    tick_values_atoms: Int64Array
    strike_groups: Int64Array  # one number for the call and the put of a strike; -1 for a future


INSTRUMENTS: Final = Table[int, Instrument]("instruments", ["u64"], Instrument, tag=35)
NEXT_INSTRUMENT: Final = Table[int, int]("next instrument", ["u64"], int, tag=36)
# Derived tables: their keys never become bytes, so a name stands as it is.
NAMES: Final = Table[str, int]("instrument names", [], int, tag=None)
# (underlying, expiry) -> instruments, ascending
SERIES: Final = Table[tuple[int, int], tuple[int, ...]]("series", ["u64", "u64"], tuple, tag=None)
LISTING: Final = Table[int, Listing]("listing", ["u64"], Listing, tag=None)
