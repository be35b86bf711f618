"""Pages of accounts as the margin kernel takes them, kept from block to block while nothing in them changes."""

from typing import Final

import numpy as np

from holdfast.primitives.check import ensure
from holdfast.protocol.accounts.state import PAGE_BITS
from holdfast.protocol.margin.state import Int32Array, Int64Array, Sheet, Sources
from holdfast.protocol.portfolio.state import INSTRUMENT_BITS
from holdfast.protocol.surface.state import RiskArray
from holdfast.state.columns import Columns, empty_columns

_NO_CASH: Final = empty_columns(1)
_INSTRUMENT_MASK: Final = (1 << INSTRUMENT_BITS) - 1


def make_sheets(array: RiskArray, sources: Sources, kept: dict[int, Sheet]) -> tuple[Sheet, ...]:
    """Return the sheet of every page with positions: one of `kept` where page and instruments have not changed."""
    sheets: list[Sheet] = []
    find = _find_places(array)
    for page, positions in sources.positions.items():  # det-ok: pages ascend
        cash = sources.cash.get(page, _NO_CASH)
        sheet = kept.get(page)
        if sheet is None or not _is_current(sheet, positions, array):
            sheet = _make_sheet(page, positions, array, find, sheet)
        if sheet.cash is not cash:
            sheet = sheet._replace(cash=cash, cash_atoms=_pick_cash(cash, page, sheet.account_ids))
        sheets.append(sheet)
    return tuple(sheets)


def _make_sheet(page: int, positions: Columns, array: RiskArray, find: Int32Array, before: Sheet | None) -> Sheet:
    """Return the sheet of a page, without its cash; `before` lends what has not changed."""
    if before is not None and before.positions.keys is positions.keys and _has_instruments(before, array):
        return _change_sheet(before, positions, array)
    keys, (lots, costs) = positions.keys, positions.values
    holders = (keys >> INSTRUMENT_BITS) + (page << PAGE_BITS)
    firsts = np.flatnonzero(np.concatenate(([True], holders[1:] != holders[:-1])))
    account_ids = holders[firsts]
    places = find[(keys & _INSTRUMENT_MASK) - array.instrument_ids[0]]
    ensure(bool((places >= 0).all()), "what is held has a line in the risk array")
    is_same = before is not None and np.array_equal(before.account_ids, account_ids)
    return Sheet(
        positions=positions,
        cash=None,
        instrument_ids=array.instrument_ids,
        numbers=before.numbers if before is not None and is_same else _number(account_ids),
        account_ids=account_ids,
        starts=np.append(firsts, len(keys)).astype(np.int64),
        places=places,
        lots=lots,
        costs_atoms=np.add.reduceat(costs, firsts),
        future_costs_atoms=np.add.reduceat(costs * array.is_future[places], firsts),
        cash_atoms=np.zeros(len(account_ids), dtype=np.int64),
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
        cash=None,
        instrument_ids=array.instrument_ids,
        lots=lots,
        costs_atoms=costs_atoms,
        future_costs_atoms=future_costs_atoms,
    )


def _find_places(array: RiskArray) -> Int32Array:
    """Return the array's place of each instrument, by its number over the first one's; -1 for one that it lacks."""
    ids = array.instrument_ids
    span = int(ids[-1] - ids[0]) + 1 if len(ids) else 0
    find: Int32Array = np.full(span, -1, dtype=np.int32)
    find[ids - ids[:1]] = np.arange(len(ids), dtype=np.int32)
    return find


def make_loose_sheet(array: RiskArray, account_ids: Int64Array, cash_atoms: list[int]) -> Sheet:
    """Return the sheet of accounts that have something to margin but no position."""
    nothing = np.zeros(len(account_ids), dtype=np.int64)
    no_places: Int32Array = np.zeros(0, dtype=np.int32)
    return Sheet(
        positions=empty_columns(2),
        cash=None,
        instrument_ids=array.instrument_ids,
        numbers=_number(account_ids),
        account_ids=account_ids,
        starts=np.zeros(len(account_ids) + 1, dtype=np.int64),
        places=no_places,
        lots=np.zeros(0, dtype=np.int64),
        costs_atoms=nothing,
        future_costs_atoms=nothing,
        cash_atoms=np.array(cash_atoms, dtype=np.int64),
    )


def _is_current(sheet: Sheet, positions: Columns, array: RiskArray) -> bool:
    return sheet.positions is positions and _has_instruments(sheet, array)


def _has_instruments(sheet: Sheet, array: RiskArray) -> bool:
    ids = sheet.instrument_ids
    return ids is array.instrument_ids or np.array_equal(ids, array.instrument_ids)


def _number(account_ids: Int64Array) -> dict[int, int]:
    return {account_id: place for place, account_id in enumerate(account_ids.tolist())}


def _pick_cash(cash: Columns, page: int, account_ids: Int64Array) -> Int64Array:
    keys = account_ids - (page << PAGE_BITS)
    if np.array_equal(keys, cash.keys):
        all_of_page: Int64Array = cash.values[0]
        return all_of_page
    places = np.searchsorted(cash.keys, keys)
    found = np.zeros(len(keys), dtype=np.int64)
    inside = np.flatnonzero(places < len(cash.keys))
    inside = inside[cash.keys[places[inside]] == keys[inside]]
    found[inside] = cash.values[0, places[inside]]
    return found
