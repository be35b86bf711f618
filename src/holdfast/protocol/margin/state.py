"""Derived risk of accounts, and the few rows that margin stores."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64, Amount
from holdfast.protocol.surface.state import RiskLine
from holdfast.state.table import Table

Int64Array = NDArray[np.int64]


class AccountRisk(NamedTuple):
    """All that margin knows of one account, except its cash, which the ledger holds.

    Vectors are int64[3, 32], by universe and scenario row, in atoms; none is ever changed in place.
    """

    stress: Int64Array  # positions and collateral
    orders: Int64Array  # open orders, each counted where it loses
    quotes: Int64Array  # protected quotes likewise, before their scaling
    marks_atoms: int  # options at mark, futures at mark less cost
    unrealised_atoms: int  # all positions at mark less cost
    collateral_atoms: int  # coins after haircut
    short_lots: tuple[int, int, int]  # net short options per expiry and strike
    gross_lots: tuple[int, int, int]  # all positions
    future_lots: tuple[int, int, int]  # dated futures, gross
    quoted_lots: tuple[int, int, int]  # protected quotes
    open_lots: int  # all open orders
    nets: dict[int, int]  # option lots by strike group, of the groups that have changed since the marks were taken


class OrderChange(Record):
    """Some lots of an order more, or fewer where `lots` is negative."""

    line: RiskLine
    limit_value_atoms: int
    sign: int  # 1 for a bid, -1 for an ask
    lots: int
    is_quote: bool


class PositionChange(Record):
    """Signed lots of a position more, and what that changes at mark."""

    line: RiskLine
    lots: int
    lots_before: int
    marks_atoms: int
    unrealised_atoms: int


class Tally(Record):
    """An account's risk in a block as a sum, the changes since that nobody has had to add up, and bounds over both.

    While an account's cash is no less than `need_atoms`, its initial margin holds, and so does maintenance; only where
    the bound does not tell is the sum made.
    """

    risk: AccountRisk | None  # None: the account's row of the matrix
    changes: tuple[OrderChange | PositionChange, ...]
    need_atoms: int  # no less than the initial requirement less marks and collateral
    lots: int  # no less than the lots of all positions and open orders


class RiskMatrix(NamedTuple):
    """Every account's risk at this block's marks, as arrays in the order of `account_ids`."""

    places: dict[int, int]  # account id -> row
    account_ids: Int64Array
    stress: Int64Array  # int64[accounts, 3, 32]
    orders: Int64Array
    quotes: Int64Array
    marks_atoms: Int64Array
    unrealised_atoms: Int64Array
    collateral_atoms: Int64Array
    short_lots: Int64Array  # int64[accounts, 3], and so below
    gross_lots: Int64Array
    future_lots: Int64Array
    quoted_lots: Int64Array
    open_lots: Int64Array
    equity_atoms: Int64Array
    maintenance_atoms: Int64Array
    # For the incremental path, as plain numbers. By account: the bounds of its tally.
    need_atoms: list[int]
    lots: list[int]
    # By place of the line, and one lot: the worst loss, and the charges that it may add.
    long_loss_atoms: list[int]
    short_loss_atoms: list[int]
    long_charge_atoms: list[int]
    short_charge_atoms: list[int]
    loss_ppm: int  # what a loss counts for in initial margin
    net_keys: Int64Array  # account's place x strike groups + strike group, ascending
    net_lots: Int64Array  # the option lots of each key
    strike_groups: int


class Requirement(NamedTuple):
    """An account's figures, in atoms."""

    equity_atoms: int
    initial_atoms: int
    maintenance_atoms: int


class Protection(Record):
    """Market-maker protection in one underlying: at most `limit_lots` of quotes fill within a window.

    `filled_lots` counts since `window_start_ms`; at the limit all the account's quotes go, until `frozen_until_ms`.
    """

    limit_lots: U64
    window_ms: U64
    filled_lots: U64
    window_start_ms: U64
    frozen_until_ms: U64


class DayStart(Record):
    """Where an account's day began: its equity at 08:00 UTC, and what it has since put in less taken out.

    `has_held` says whether it has held any position this day: only such an account can win or lose by others' risk.
    """

    equity_atoms: Amount
    net_deposits_atoms: Amount
    has_held: bool


# Accounts that a liquidation holds: they may not trade by themselves.
FROZEN: Final = Table[int, int]("frozen accounts", ["u64"], int, tag=70)
DAY_STARTS: Final = Table[int, DayStart]("day starts", ["u64"], DayStart, tag=71)
PROTECTIONS: Final = Table[tuple[int, int], Protection]("protections", ["u64", "u64"], Protection, tag=73)
# The day (counted in whole days since the epoch, starting at 08:00 UTC) that the day starts belong to.
DAY: Final = Table[int, int]("day", ["u64"], int, tag=74)
RISK: Final = Table[int, Tally]("account risk", ["u64"], Tally, tag=None)
RISK_MATRIX: Final = Table[int, RiskMatrix]("risk matrix", ["u64"], RiskMatrix, tag=None)


# What open interest multiplies an underlying's short and concentration charges by, in ppm; one where nothing is said.
CHARGE_SCALES: Final = Table[int, int]("charge scales", ["u64"], int, tag=75)


class Charges(NamedTuple):
    """What one counted lot is charged at this block's prices, in atoms, by universe; rounded up."""

    short_im: tuple[int, int, int]
    short_mm: tuple[int, int, int]
    basis_im: tuple[int, int, int]
    basis_mm: tuple[int, int, int]
    concentration_im: tuple[int, int, int]
    concentration_mm: tuple[int, int, int]
    confidence_im: tuple[int, int, int]
    is_depegged: bool


CHARGES: Final = Table[int, Charges]("charges", ["u64"], Charges, tag=None)
