"""Stored surfaces, marks and risk rows, and the array that is derived from them.

The lead wrote `RiskArray` so that margin can be built on it; the rest of this file belongs to the surface module.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from holdfast.state.table import Table

Int64Array = NDArray[np.int64]


class RiskLine(NamedTuple):
    """One instrument's line of the risk array, for the incremental path."""

    index: int
    value_atoms: int  # mark value of one lot
    row: Int64Array  # int64[32], change of that value per scenario, atoms per lot
    underlying: int
    is_future: bool
    strike_group: int  # the same for the call and the put of one expiry and strike; -1 for a future


class RiskArray(NamedTuple):
    """Every live instrument's mark value and scenario row; immutable, derived, rebuilt from the leaf tables."""

    lines: dict[int, RiskLine]  # by instrument id
    instrument_ids: Int64Array  # ascending; the order of all arrays below
    values_atoms: Int64Array
    rows: Int64Array  # int64[n, 32]
    underlyings: Int64Array
    is_future: Int64Array  # 0 or 1
    strike_groups: Int64Array
    lot_value_atoms: dict[int, int]  # underlying -> worth of one lot of it at the index
    prices_e8: dict[int, int]  # feed id -> accepted index price (BTC, ETH, USDT, USDC)
    confidences_e8: dict[int, int]  # feed id -> confidence


RISK_ARRAY: Final = Table[int, RiskArray]("risk array", ["u64"], RiskArray, tag=None)
