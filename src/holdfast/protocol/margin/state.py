"""Derived risk of accounts, and the few rows that margin stores."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.codec import Record
from holdfast.protocol.accounts.state import PAGE_BITS
from holdfast.protocol.limits import U64, Amount
from holdfast.protocol.surface.state import RiskLine
from holdfast.state.columns import Columns
from holdfast.state.table import Table

Int64Array = NDArray[np.int64]
Int32Array = NDArray[np.int32]


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


class Sources(NamedTuple):
    """What the risk of all accounts is made of, as columns by page, ascending."""

    positions: dict[int, Columns]
    cash: dict[int, Columns]
    coins: dict[int, Columns]
    orders: Columns


class Sheet(NamedTuple):
    """A page of accounts: number k holds `lots[i]` of the risk array's `places[i]`, `starts[k]` <= i < `starts[k + 1]`.

    Its accounts are those with a position and those that are exposed. Immutable, and derived of the columns that it
    names; it holds while they and the array's instruments stay.
    """

    page: int
    positions: Columns
    cash: Columns
    coins: Columns
    instrument_ids: Int64Array
    exposed_ids: Int64Array  # accounts with a coin or a debt, ascending
    numbers: dict[int, int]  # account id -> k
    account_ids: Int64Array  # ascending
    starts: Int64Array  # int64[accounts + 1]
    places: Int32Array
    lots: Int64Array
    costs_atoms: Int64Array  # by account: of all positions
    future_costs_atoms: Int64Array
    cash_atoms: Int64Array
    coins_atoms: Int64Array  # int64[3, accounts], in the order of the universes


class Orders(NamedTuple):
    """Open orders, account by account: those of number k of `places` are `starts[k]` to `starts[k + 1]` of the rest."""

    places: Int64Array  # in the matrix, of the accounts that have any; ascending
    starts: Int64Array  # int64[n + 1]
    lines: Int32Array  # places in the risk array
    edges_atoms: Int64Array  # what a lot is worth, less what the limit asks for it
    lots: Int64Array  # negative for an ask
    cells: Int64Array  # 3 x k + universe
    is_quote: Int64Array  # 0 or 1: counts as a protected quote


class Coins(NamedTuple):
    """Coins held as collateral, of the accounts that have any; a universe each, in the order of these."""

    places: Int64Array  # in the matrix, of the accounts that have any; ascending
    values_atoms: Int64Array  # int64[n, 3], after haircut
    shocks_ppm: Int64Array  # int64[3, 32]: what a coin gains or loses in each scenario


class KernelLines(NamedTuple):
    """The risk array as the kernel takes it, int64 by place of the instrument."""

    rows: Int64Array  # int64[instruments, 32]
    values_atoms: Int64Array
    universes: Int64Array
    is_future: Int64Array
    strike_groups: Int64Array


class Places:
    """The place of each account in the matrix: sheet after sheet."""

    __slots__ = ("_loose", "_paged", "sheets")

    def __init__(self, sheets: Sequence[Sheet], firsts: Sequence[int]) -> None:
        """Take the sheets of pages and, last, the loose one; and the place of the first account of each."""
        self.sheets = {sheet.page: sheet for sheet in sheets[:-1]}
        self._paged = {
            page: (self.sheets[page].numbers, first) for page, first in zip(self.sheets, firsts, strict=False)
        }
        self._loose = (sheets[-1].numbers, firsts[-1])

    def get(self, account_id: int) -> int | None:
        """Return an account's place, or None where it has nothing to margin but cash."""
        for found in (self._paged.get(account_id >> PAGE_BITS), self._loose):
            if found is not None:
                numbers, first = found
                place = numbers.get(account_id)
                if place is not None:
                    return first + place
        return None

    def at(self, account_id: int) -> int:
        """Return the place of an account that has one."""
        place = self.get(account_id)
        if place is None:
            raise BrokenInvariantError("an account with something to margin has a place")
        return place

    def __contains__(self, account_id: int) -> bool:
        """Return whether an account has a place."""
        return self.get(account_id) is not None


class RiskMatrix(NamedTuple):
    """Every account's risk at this block's marks, as arrays in the order of `account_ids`, sheet after sheet."""

    sheets: tuple[Sheet, ...]  # the last holds those that have nothing but cash and orders
    firsts: tuple[int, ...]  # the place of each sheet's first account
    lines: KernelLines
    places: Places
    account_ids: Int64Array
    orders: Orders
    coins: Coins
    marks_atoms: Int64Array
    unrealised_atoms: Int64Array
    collateral_atoms: Int64Array
    short_lots: Int64Array  # int64[3, accounts], and so the next two
    gross_lots: Int64Array
    future_lots: Int64Array
    open_lots: Int64Array
    equity_atoms: Int64Array
    maintenance_atoms: Int64Array
    # The bounds of an account's tally.
    need_atoms: Int64Array
    lots: Int64Array
    # By place of the line, and one lot: the worst loss, and the charges that it may add.
    long_loss_atoms: list[int]
    short_loss_atoms: list[int]
    long_charge_atoms: list[int]
    short_charge_atoms: list[int]
    loss_ppm: int  # what a loss counts for in initial margin


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
