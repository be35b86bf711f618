"""Stored surfaces, marks and risk rows, and the array that is derived from them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Annotated, Final, NamedTuple

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64, Amount
from holdfast.state.table import Table

Int64Array = NDArray[np.int64]

VERSION_SVI: Final = 2
SLICES_MAX: Final = 64
ROW_BYTES: Final = 256


class Slice(Record):
    """One expiry of a surface: forward over the index, x 1e9, total variance from `updated_ms` on, and its smile.

    The forward is kept as a ratio, so that it follows the index that stands, also while that is held back as suspect.
    """

    expiry_ms: U64
    forward_ratio_e9: U64
    theta_e12: U64
    rho_ppm: Amount
    eta_ppm: U64
    shift_ppm: Amount
    width_ppm: U64


class Surface(Record):
    """One underlying's volatility: version 2 is an SVI smile in SSVI's scale for each expiry (`primitives/smiles.py`).

    Version 1 was SSVI with one rho and one eta for all expiries; a reader of both tells them by this number.
    """

    version: U64
    slices: Annotated[tuple[Slice, ...], Meta(max_length=SLICES_MAX)]
    updated_ms: U64
    updated_height: U64


class Mark(Record):
    """One instrument's value and Greeks, a coin; scales as in the pricing kernel."""

    mark_e8: U64  # USD x 1e8
    iv_ppm: U64
    delta_ppm: Amount
    gamma_e12: Amount  # change of delta for one USD of the forward
    vega_e8: Amount  # USD x 1e8 for one volatility point
    theta_e8: Amount  # USD x 1e8 for one day


class RiskLine(NamedTuple):
    """One instrument's line of the risk array, for the incremental path."""

    place: int
    value_atoms: int  # mark value of one lot
    row: Int64Array  # int64[32], change of that value per scenario, atoms per lot
    underlying: int
    is_future: bool
    strike_group: int  # the same for the call and the put of one expiry and strike; -1 for a future
    tick_value_atoms: int


class Lines(Mapping[int, RiskLine]):
    """The lines of a risk array by instrument id, each made when it is first asked for."""

    __slots__ = ("_columns", "_made", "_places", "_rows")

    def __init__(self, instrument_ids: Sequence[int], rows: Int64Array, columns: tuple[Int64Array, ...]) -> None:
        """Take the array's rows, and its columns as they stand in a line behind the row."""
        self._places = dict(zip(instrument_ids, count()))
        self._made: dict[int, RiskLine] = {}
        self._rows = rows
        self._columns = columns

    def __getitem__(self, instrument_id: int) -> RiskLine:
        """Return an instrument's line; one that the array does not have is a KeyError."""
        line = self._made.get(instrument_id)
        if line is None:
            place = self._places[instrument_id]
            value, underlying, is_future, group, tick_value = (int(column[place]) for column in self._columns)
            line = RiskLine(place, value, self._rows[place], underlying, bool(is_future), group, tick_value)
            self._made[instrument_id] = line
        return line

    def __iter__(self) -> Iterator[int]:
        """Iterate over the instruments, ascending."""
        return iter(self._places)

    def __len__(self) -> int:
        """Return the number of instruments."""
        return len(self._places)


class RiskArray(NamedTuple):
    """Every live instrument's mark value and scenario row; immutable, derived, rebuilt from the leaf tables."""

    lines: Lines  # by instrument id
    instrument_ids: Int64Array  # ascending; the order of all arrays below
    values_atoms: Int64Array
    rows: Int64Array  # int64[n, 32]
    underlyings: Int64Array
    is_future: Int64Array  # 0 or 1
    strike_groups: Int64Array
    tick_values_atoms: Int64Array
    lot_value_atoms: dict[int, int]  # underlying -> worth of one lot of it at the index
    prices_e8: dict[int, int]  # feed id -> accepted index price (BTC, ETH, USDT, USDC)
    confidences_e8: dict[int, int]  # feed id -> confidence


SURFACES: Final = Table[int, Surface]("surfaces", ["u64"], Surface, tag=50)
MARKS: Final = Table[int, Mark]("marks", ["u64"], Mark, tag=51)
# One leaf is one row: int64 x 32, little-endian.
RISK_ROWS: Final = Table[int, bytes]("risk rows", ["u64"], bytes, tag=52, raw=True)
RISK_ARRAY: Final = Table[int, RiskArray]("risk array", ["u64"], RiskArray, tag=None)
