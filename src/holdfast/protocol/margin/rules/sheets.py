"""Pages of accounts as the margin kernel takes them, kept from block to block while nothing in them changes."""

from typing import Final

import numpy as np

from holdfast.primitives.check import ensure
from holdfast.protocol.accounts.state import PAGE_BITS
from holdfast.protocol.ledger.state import ASSET_NAMES, USDC
from holdfast.protocol.margin.state import Int32Array, Int64Array, Sheet, Sources
from holdfast.protocol.portfolio.state import INSTRUMENT_BITS
from holdfast.protocol.surface.state import RiskArray
from holdfast.state.columns import Columns, empty_columns

_NO_POSITIONS: Final = empty_columns(2)
_NO_BALANCES: Final = empty_columns(len(ASSET_NAMES))
_INSTRUMENT_MASK: Final = (1 << INSTRUMENT_BITS) - 1
_LOOSE_PAGE: Final = -1


def make_sheets(array: RiskArray, sources: Sources, kept: dict[int, Sheet]) -> tuple[Sheet, ...]:
    """Return the sheet of every page where an account has a position or is exposed.

    It is one of `kept` where page and instruments have not changed.
    """
    sheets: list[Sheet] = []
    find = _find_places(array)
    for page in sorted({**sources.positions, **sources.balances}):
        positions = sources.positions.get(page, _NO_POSITIONS)
        balances = sources.balances.get(page, _NO_BALANCES)
        sheet = kept.get(page)
        if sheet is None or sheet.balances is not balances:
            exposed_ids = _list_exposed(page, balances)
        else:
            exposed_ids = sheet.exposed_ids
        if not len(positions.keys) and not len(exposed_ids):
            continue
        if sheet is None or not _has_members(sheet, positions, exposed_ids) or not _has_instruments(sheet, array):
            sheet = _make_sheet(page, positions, exposed_ids, array, find, sheet)
        elif sheet.positions is not positions:
            sheet = _change_sheet(sheet, positions, array)
        if sheet.balances is not balances:
            balances_atoms = pick_balances(balances, sheet.account_ids - (page << PAGE_BITS))
            sheet = sheet._replace(balances=balances, balances_atoms=balances_atoms)
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
    """Return the sheet of a page, without its balances; `before` lends what has not changed."""
    keys, (lots, costs) = positions.keys, positions.values
    holders = (keys >> INSTRUMENT_BITS) + (page << PAGE_BITS)
    account_ids = np.union1d(holders[np.flatnonzero(np.diff(holders, prepend=-1))], exposed_ids)
    starts = np.append(np.searchsorted(holders, account_ids), len(keys))
    places = find[(keys & _INSTRUMENT_MASK) - _first_id(array)]
    ensure(bool((places >= 0).all()), "what is held has a line in the risk array")
    is_same = before is not None and np.array_equal(before.account_ids, account_ids)
    return Sheet(
        page=page,
        positions=positions,
        balances=_NO_BALANCES,
        instrument_ids=array.instrument_ids,
        exposed_ids=exposed_ids,
        numbers=before.numbers if before is not None and is_same else _number(account_ids),
        account_ids=account_ids,
        starts=starts,
        places=places,
        lots=lots,
        costs_atoms=_sum_spans(costs, starts),
        future_costs_atoms=_sum_spans(costs * array.is_future[places], starts),
        balances_atoms=np.zeros((len(ASSET_NAMES), len(account_ids)), dtype=np.int64),
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


def _find_places(array: RiskArray) -> Int32Array:
    """Return the array's place of each instrument, by its number over the first one's; -1 for one that it lacks."""
    ids = array.instrument_ids
    span = int(ids[-1]) - _first_id(array) + 1 if len(ids) else 0
    find: Int32Array = np.full(span, -1, dtype=np.int32)
    find[ids - _first_id(array)] = np.arange(len(ids), dtype=np.int32)
    return find


def _first_id(array: RiskArray) -> int:
    return int(array.instrument_ids[0]) if len(array.instrument_ids) else 0


def make_loose_sheet(array: RiskArray, account_ids: Int64Array, balances_atoms: Int64Array) -> Sheet:
    """Return the sheet of accounts that have something to margin but are on no page's sheet."""
    nothing = np.zeros(len(account_ids), dtype=np.int64)
    no_places: Int32Array = np.zeros(0, dtype=np.int32)
    return Sheet(
        page=_LOOSE_PAGE,
        positions=_NO_POSITIONS,
        balances=_NO_BALANCES,
        instrument_ids=array.instrument_ids,
        exposed_ids=account_ids[:0],
        numbers=_number(account_ids),
        account_ids=account_ids,
        starts=np.zeros(len(account_ids) + 1, dtype=np.int64),
        places=no_places,
        lots=np.zeros(0, dtype=np.int64),
        costs_atoms=nothing,
        future_costs_atoms=nothing,
        balances_atoms=balances_atoms,
    )


def pick_balances(balances: Columns, keys: Int64Array) -> Int64Array:
    """Return the balances of a page's accounts at ascending keys, int64[assets, keys]; 0 for one that has none."""
    if np.array_equal(keys, balances.keys):
        return balances.values
    places = np.searchsorted(balances.keys, keys)
    found = np.zeros((len(ASSET_NAMES), len(keys)), dtype=np.int64)
    inside = np.flatnonzero(places < len(balances.keys))
    inside = inside[balances.keys[places[inside]] == keys[inside]]
    found[:, inside] = balances.values[:, places[inside]]
    return found


def _list_exposed(page: int, balances: Columns) -> Int64Array:
    """Return the accounts of a page with a coin or a debt."""
    coins = np.bitwise_or.reduce(balances.values[USDC + 1 :], axis=0)
    keys: Int64Array = balances.keys[(coins != 0) | (balances.values[USDC] < 0)]
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
