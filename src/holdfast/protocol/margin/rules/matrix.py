"""Every account's risk at once."""

from bisect import bisect_right
from itertools import pairwise
from typing import Final

import numpy as np

from holdfast.primitives.arrays import share_floor
from holdfast.primitives.units import PPM, share_ceil
from holdfast.protocol.accounts.state import PAGE_BITS
from holdfast.protocol.book.handlers import make_order_columns
from holdfast.protocol.book.state import ORDER_COLUMNS, ORDER_FIELDS
from holdfast.protocol.ledger.handlers import make_cash_pages, make_coin_pages
from holdfast.protocol.ledger.state import CASH_PAGES, COIN_PAGES
from holdfast.protocol.limits import SCENARIOS
from holdfast.protocol.margin.params import MARGIN_PARAMS, UNIVERSES, MarginParams
from holdfast.protocol.margin.rules.coins import stress_coins, value_coins
from holdfast.protocol.margin.rules.orders import place_orders, stress_orders, sum_open_lots, sum_orders_of
from holdfast.protocol.margin.rules.sheets import cut_loose_sheet, make_loose_sheet, make_sheets, pick_balances
from holdfast.protocol.margin.rules.sums import Extras, Sums, make_room, place_extras, sum_account, sum_accounts
from holdfast.protocol.margin.state import (
    AccountRisk,
    Charges,
    Coins,
    Int32Array,
    Int64Array,
    KernelLines,
    Orders,
    Places,
    RiskMatrix,
    Sheet,
    Sources,
)
from holdfast.protocol.portfolio.handlers import make_position_pages
from holdfast.protocol.portfolio.state import POSITION_PAGES
from holdfast.protocol.surface.state import RiskArray
from holdfast.state.columns import empty_columns
from holdfast.state.draft import Draft

_COUNT: Final = len(UNIVERSES)
_SHAPE: Final = (_COUNT, SCENARIOS)
_UNIVERSES: Final = np.array(UNIVERSES, dtype=np.int64)
_NO_ORDERS: Final = empty_columns(ORDER_FIELDS)


def read_sources(draft: Draft) -> Sources:
    """Return positions, balances and orders as they are kept from block to block."""
    return Sources(
        dict(draft[POSITION_PAGES].items()),
        dict(draft[CASH_PAGES].items()),
        dict(draft[COIN_PAGES].items()),
        draft[ORDER_COLUMNS].get(0) or _NO_ORDERS,
    )


def make_sources(draft: Draft) -> Sources:
    """Return positions, balances and orders made anew from the primary tables."""
    orders = make_order_columns(draft).get(0) or _NO_ORDERS
    return Sources(make_position_pages(draft), make_cash_pages(draft), make_coin_pages(draft), orders)


def compute_matrix(
    draft: Draft, array: RiskArray, charges: Charges, sources: Sources, kept: dict[int, Sheet]
) -> RiskMatrix:
    """Return the risk of every account that holds a position or a coin, owes or orders anything.

    `kept` are sheets of an earlier block by page, used where they still hold.
    Why no other account: the risk of one that has nothing but cash is its cash, and most accounts are of that kind.
    """
    lines = _make_lines(array)
    held = make_sheets(array, sources, kept)
    paged_ids = np.concatenate([np.zeros(0, dtype=np.int64), *(sheet.account_ids for sheet in held)])
    orders, loose_ids = place_orders(array, lines, sources.orders, paged_ids)
    sheets = (*held, _make_loose_sheet(array, sources, loose_ids))
    account_ids = np.concatenate([paged_ids, loose_ids])
    coins = value_coins(draft, array, np.concatenate([sheet.coins_atoms for sheet in sheets], axis=1))
    params = draft[MARGIN_PARAMS][0]
    cuts = [*held, *cut_loose_sheet(sheets[-1])]
    firsts = np.cumsum([0, *(len(sheet.account_ids) for sheet in cuts)]).tolist()
    sums = _sum_all(cuts, firsts, lines, coins, orders, params)
    marks = sums.value_atoms - np.concatenate([sheet.future_costs_atoms for sheet in sheets])
    worth = np.zeros(len(account_ids), dtype=np.int64)
    worth[coins.places] = coins.values_atoms.sum(axis=1)
    open_lots = sum_open_lots(orders, len(account_ids))
    return RiskMatrix(
        sheets=sheets,
        firsts=tuple(firsts[: len(sheets)]),
        lines=lines,
        places=Places(sheets, firsts[: len(sheets)]),
        account_ids=account_ids,
        orders=orders,
        coins=coins,
        marks_atoms=marks,
        unrealised_atoms=sums.value_atoms - np.concatenate([sheet.costs_atoms for sheet in sheets]),
        collateral_atoms=worth,
        short_lots=sums.short_lots,
        gross_lots=sums.gross_lots,
        future_lots=sums.future_lots,
        open_lots=open_lots,
        equity_atoms=np.concatenate([sheet.cash_atoms for sheet in sheets]) + marks + worth,
        maintenance_atoms=_maintenance(params, charges, sums),
        need_atoms=_initial_bound(params, charges, sums) - marks - worth,
        lots=sums.gross_lots.sum(axis=0) + open_lots,
        long_loss_atoms=np.maximum(0, -array.rows.min(axis=1, initial=0)).tolist(),
        short_loss_atoms=np.maximum(0, array.rows.max(axis=1, initial=0)).tolist(),
        **_list_charges(params, array, charges),
        loss_ppm=share_ceil(params.loss_im_ppm, params.depeg_im_ppm) if charges.is_depegged else params.loss_im_ppm,
    )


def get_row(matrix: RiskMatrix, account_id: int) -> AccountRisk | None:
    """Return one account's risk out of the matrix."""
    place = matrix.places.get(account_id)
    if place is None:
        return None
    ordered = sum_orders_of(matrix.orders, matrix.lines, place)
    begin, end = np.searchsorted(matrix.coins.places, (place, place + 1)).tolist()
    coins = stress_coins(matrix.coins, begin, end, np.empty((1, *_SHAPE), dtype=np.int64))
    return AccountRisk(
        compute_position_stress(matrix, place) + coins.sum(axis=0),
        ordered.plain,
        ordered.quotes,
        int(matrix.marks_atoms[place]),
        int(matrix.unrealised_atoms[place]),
        int(matrix.collateral_atoms[place]),
        _triple(matrix.short_lots[:, place]),
        _triple(matrix.gross_lots[:, place]),
        _triple(matrix.future_lots[:, place]),
        ordered.quoted_lots,
        int(matrix.open_lots[place]),
        {},
    )


def compute_position_stress(matrix: RiskMatrix, place: int) -> Int64Array:
    """Return what the positions of the account at a place gain or lose, int64[3, 32]."""
    return sum_account(*_get_held(matrix, place), matrix.lines)


def get_net_lots(matrix: RiskMatrix | None, account_id: int, strike_group: int) -> int:
    """Return the option lots of one expiry and strike that an account had when the matrix was made."""
    place = None if matrix is None else matrix.places.get(account_id)
    if matrix is None or place is None:
        return 0
    held, lots = _get_held(matrix, place)
    return int(lots[matrix.lines.strike_groups[held] == strike_group].sum())


def _get_held(matrix: RiskMatrix, place: int) -> tuple[Int32Array, Int64Array]:
    """Return the array's places that an account holds, and its lots of each."""
    number = bisect_right(matrix.firsts, place) - 1
    sheet, account = matrix.sheets[number], place - matrix.firsts[number]
    held = slice(int(sheet.starts[account]), int(sheet.starts[account + 1]))
    return sheet.places[held], sheet.lots[held]


def _triple(values: Int64Array) -> tuple[int, int, int]:
    btc, eth, usdt = values.tolist()
    return btc, eth, usdt


def _make_lines(array: RiskArray) -> KernelLines:
    universes = np.searchsorted(_UNIVERSES, array.underlyings)
    return KernelLines(array.rows, array.values_atoms, universes, array.is_future, array.strike_groups)


def _make_loose_sheet(array: RiskArray, sources: Sources, account_ids: Int64Array) -> Sheet:
    """Return the sheet of those that order something, but have no position, coin or debt."""
    pages, cash_atoms = account_ids >> PAGE_BITS, np.zeros(len(account_ids), dtype=np.int64)
    firsts = np.flatnonzero(np.diff(pages, prepend=-1)).tolist()
    for first, end in pairwise((*firsts, len(account_ids))):
        page = int(pages[first])
        cash = sources.cash.get(page)
        if cash is not None:
            cash_atoms[first:end] = pick_balances(cash, page, account_ids[first:end])[0]
    return make_loose_sheet(array, account_ids, cash_atoms)


def _sum_all(
    cuts: list[Sheet], firsts: list[int], lines: KernelLines, coins: Coins, orders: Orders, params: MarginParams
) -> Sums:
    """Return the sums of all accounts, sheet after sheet; `firsts` as `place_extras` takes them."""
    sums = make_room(firsts[-1])
    coin_room, order_room = (np.empty((1 << PAGE_BITS, *_SHAPE), dtype=np.int64) for _ in range(2))
    coin_of, coins_from = place_extras(coins.places, firsts)
    order_of, orders_from = place_extras(orders.places, firsts)
    spans = (pairwise(firsts), pairwise(coins_from), pairwise(orders_from))
    for sheet, (first, end), of_coins, of_orders in zip(cuts, *spans, strict=True):
        extras = Extras(
            coin_of[first:end],
            stress_coins(coins, *of_coins, coin_room),
            order_of[first:end],
            stress_orders(orders, lines, *of_orders, order_room),
        )
        for all_of, found in zip(sums, sum_accounts(sheet, lines, extras, params.cross_weight_ppm), strict=True):
            all_of[..., first:end] = found
    return sums


def _maintenance(params: MarginParams, charges: Charges, sums: Sums) -> Int64Array:
    required = -share_floor(-sums.loss_atoms, params.loss_mm_ppm)
    crowded = np.maximum(0, sums.gross_lots - params.concentration_lots)
    for universe in range(_COUNT):
        required += (
            sums.short_lots[universe] * charges.short_mm[universe]
            + sums.future_lots[universe] * charges.basis_mm[universe]
            + crowded[universe] * charges.concentration_mm[universe]
        )
    return required


def _initial_bound(params: MarginParams, charges: Charges, sums: Sums) -> Int64Array:
    """Return no less than each account's initial requirement: quotes count in full, whatever protects them."""
    required = -share_floor(-sums.order_loss_atoms, params.loss_im_ppm)
    crowded = np.maximum(0, sums.gross_lots - params.concentration_lots)
    for universe in range(_COUNT):
        required += (
            sums.short_lots[universe] * charges.short_im[universe]
            + sums.future_lots[universe] * charges.basis_im[universe]
            + crowded[universe] * charges.concentration_im[universe]
            + sums.gross_lots[universe] * charges.confidence_im[universe]
        )
    return -share_floor(-required, params.depeg_im_ppm) if charges.is_depegged else required


def _list_charges(params: MarginParams, array: RiskArray, charges: Charges) -> dict[str, list[int]]:
    """Return the most that one lot more of each line, long or short, can add to the charges of initial margin."""
    scale_ppm = params.depeg_im_ppm if charges.is_depegged else PPM
    each: list[list[tuple[int, int]]] = []
    for index in range(_COUNT):
        both = charges.concentration_im[index] + charges.confidence_im[index]
        option, future = both + charges.short_im[index], both + charges.basis_im[index]
        each.append(
            [
                (share_ceil(both, scale_ppm), share_ceil(option, scale_ppm)),
                (share_ceil(future, scale_ppm), share_ceil(future, scale_ppm)),
            ]
        )
    table = np.array(each, dtype=np.int64)[np.searchsorted(_UNIVERSES, array.underlyings), array.is_future]
    return {"long_charge_atoms": table[:, 0].tolist(), "short_charge_atoms": table[:, 1].tolist()}
