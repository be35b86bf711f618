"""Pages of accounts as the margin kernel takes them, kept from block to block while nothing in them changes."""

from typing import Final

import numpy as np

from holdfast.primitives.check import ensure
from holdfast.protocol.accounts.state import PAGE_BITS
from holdfast.protocol.margin.params import UNIVERSES
from holdfast.protocol.margin.state import Int32Array, Int64Array, Sheet, Sources
from holdfast.protocol.portfolio.state import INSTRUMENT_BITS
from holdfast.protocol.surface.state import RiskArray
from holdfast.state.columns import Columns, empty_columns

_NO_POSITIONS: Final = empty_columns(2)
_NO_CASH: Final = empty_columns(1)
_NO_COINS: Final = empty_columns(len(UNIVERSES))
_INSTRUMENT_MASK: Final = (1 << INSTRUMENT_BITS) - 1
_LOOSE_PAGE: Final = -1


def make_sheets(array: RiskArray, sources: Sources, kept: dict[int, Sheet]) -> tuple[Sheet, ...]:
    """Return the sheet of every page where an account has a position or is exposed.

    It is one of `kept` where page and instruments have not changed.
    """
    sheets: list[Sheet] = []
    find = find_places(array)
    for page in sorted({**sources.positions, **sources.cash, **sources.coins}):
        positions = sources.positions.get(page, _NO_POSITIONS)
        cash, coins = sources.cash.get(page, _NO_CASH), sources.coins.get(page, _NO_COINS)
        sheet = kept.get(page)
        if sheet is None or sheet.cash is not cash or sheet.coins is not coins:
            exposed_ids = _list_exposed(page, cash, coins)
        else:
            exposed_ids = sheet.exposed_ids
        if not len(positions.keys) and not len(exposed_ids):
            continue
        if sheet is None or not _has_members(sheet, positions, exposed_ids) or not _has_instruments(sheet, array):
            sheet = _make_sheet(page, positions, exposed_ids, array, find, sheet)
        elif sheet.positions is not positions:
            sheet = _change_sheet(sheet, positions, array)
        if sheet.cash is not cash:
            sheet = sheet._replace(cash=cash, cash_atoms=pick_balances(cash, page, sheet.account_ids)[0])
        if sheet.coins is not coins:
            sheet = sheet._replace(coins=coins, coins_atoms=pick_balances(coins, page, sheet.account_ids))
        sheets.append(sheet)
    return tuple(sheets)


def _make_sheet(
    page: int,
    positions: Columns,
    exposed_ids: Int64Array,
    array: RiskArray,
    find: Int32Array,
    before: Sheet | None,
) -> Sheet:
    """Return the sheet of a page, without its cash and coins; `before` lends what has not changed."""
    keys, (lots, costs) = positions.keys, positions.values
    holders = (keys >> INSTRUMENT_BITS) + (page << PAGE_BITS)
    account_ids = np.union1d(holders[np.flatnonzero(np.diff(holders, prepend=-1))], exposed_ids)
    starts = np.append(np.searchsorted(holders, account_ids), len(keys))
    places = find[(keys & _INSTRUMENT_MASK) - first_id(array)]
    ensure(bool((places >= 0).all()), "what is held has a line in the risk array")
    is_same = before is not None and np.array_equal(before.account_ids, account_ids)
    return Sheet(
        page=page,
        positions=positions,
        cash=_NO_CASH,
        coins=_NO_COINS,
        instrument_ids=array.instrument_ids,
        exposed_ids=exposed_ids,
        numbers=before.numbers if before is not None and is_same else _number(account_ids),
        account_ids=account_ids,
        starts=starts,
        places=places,
        lots=lots,
        costs_atoms=_sum_spans(costs, starts),
        future_costs_atoms=_sum_spans(costs * array.is_future[places], starts),
        cash_atoms=np.zeros(len(account_ids), dtype=np.int64),
        coins_atoms=np.zeros((len(UNIVERSES), len(account_ids)), dtype=np.int64),
    )


def _change_sheet(before: Sheet, positions: Columns, array: RiskArray) -> Sheet:
    """Return a sheet after other lots and costs of the same positions; only what costs otherwise is added up."""
    lots, costs = positions.values
    earlier = before.positions.values[1]
    moved = np.flatnonzero(costs != earlier)
    holders = np.searchsorted(before.starts, moved, side="right") - 1
    change = costs[moved] - earlier[moved]
    costs_atoms, future_costs_atoms = before.costs_atoms.copy(), before.future_costs_atoms.copy()
    np.add.at(costs_atoms, holders, change)
    np.add.at(future_costs_atoms, holders, change * array.is_future[before.places[moved]])
    return before._replace(
        positions=positions,
        instrument_ids=array.instrument_ids,
        lots=lots,
        costs_atoms=costs_atoms,
        future_costs_atoms=future_costs_atoms,
    )


def find_places(array: RiskArray) -> Int32Array:
    """Return the array's place of each instrument, by its number over the first one's; -1 for one that it lacks."""
    ids = array.instrument_ids
    span = int(ids[-1]) - first_id(array) + 1 if len(ids) else 0
    find: Int32Array = np.full(span, -1, dtype=np.int32)
    find[ids - first_id(array)] = np.arange(len(ids), dtype=np.int32)
    return find


def first_id(array: RiskArray) -> int:
    """Return the array's first instrument, or 0 where it has none."""
    return int(array.instrument_ids[0]) if len(array.instrument_ids) else 0


def make_loose_sheet(array: RiskArray, account_ids: Int64Array, cash_atoms: Int64Array) -> Sheet:
    """Return the sheet of accounts that have something to margin, but no position, coin or debt."""
    nothing = np.zeros(len(account_ids), dtype=np.int64)
    no_places: Int32Array = np.zeros(0, dtype=np.int32)
    return Sheet(
        page=_LOOSE_PAGE,
        positions=_NO_POSITIONS,
        cash=_NO_CASH,
        coins=_NO_COINS,
        instrument_ids=array.instrument_ids,
        exposed_ids=account_ids[:0],
        numbers=_number(account_ids),
        account_ids=account_ids,
        starts=np.zeros(len(account_ids) + 1, dtype=np.int64),
        places=no_places,
        lots=np.zeros(0, dtype=np.int64),
        costs_atoms=nothing,
        future_costs_atoms=nothing,
        cash_atoms=cash_atoms,
        coins_atoms=np.zeros((len(UNIVERSES), len(account_ids)), dtype=np.int64),
    )


def cut_loose_sheet(sheet: Sheet) -> list[Sheet]:
    """Return the loose sheet as sheets of at most as many accounts as a page has, one at least.

    Each has what the kernel reads, and not the rest.
    """
    ids, size = sheet.account_ids, 1 << PAGE_BITS
    firsts = range(0, max(1, len(ids)), size)
    return [
        sheet._replace(account_ids=ids[first : first + size], starts=sheet.starts[first : first + size + 1])
        for first in firsts
    ]


def pick_balances(columns: Columns, page: int, account_ids: Int64Array) -> Int64Array:
    """Return the balances of ascending accounts of a page, int64[columns, accounts]; 0 for one that has none."""
    keys = account_ids - (page << PAGE_BITS)
    if np.array_equal(keys, columns.keys):
        return columns.values
    places = np.searchsorted(columns.keys, keys)
    found = np.zeros((len(columns.values), len(keys)), dtype=np.int64)
    inside = np.flatnonzero(places < len(columns.keys))
    inside = inside[columns.keys[places[inside]] == keys[inside]]
    found[:, inside] = columns.values[:, places[inside]]
    return found


def _list_exposed(page: int, cash: Columns, coins: Columns) -> Int64Array:
    """Return the accounts of a page with a coin or a debt."""
    debtors = cash.keys[cash.values[0] < 0]
    keys: Int64Array = np.union1d(coins.keys, debtors) if len(debtors) else coins.keys
    return keys + (page << PAGE_BITS)


def _has_members(sheet: Sheet, positions: Columns, exposed_ids: Int64Array) -> bool:
    """Return whether a sheet's accounts are still those with a position and those exposed, each with its positions."""
    if sheet.positions.keys is not positions.keys:
        return False
    return sheet.exposed_ids is exposed_ids or np.array_equal(sheet.exposed_ids, exposed_ids)


def _has_instruments(sheet: Sheet, array: RiskArray) -> bool:
    ids = sheet.instrument_ids
    return ids is array.instrument_ids or np.array_equal(ids, array.instrument_ids)


def _number(account_ids: Int64Array) -> dict[int, int]:
    return {account_id: place for place, account_id in enumerate(account_ids.tolist())}


def _sum_spans(values: Int64Array, starts: Int64Array) -> Int64Array:
    """Return the sum of each span of values; an empty one's is 0.

    Why by differences: an empty span has no element to begin at. The running sum may wrap, and then wraps back.
    """
    sums = np.concatenate(([0], np.cumsum(values)))
    spans: Int64Array = sums[starts[1:]] - sums[starts[:-1]]
    return spans
