"""Every account's risk at once, from the primary tables alone."""

from typing import NamedTuple

import numpy as np

from holdfast.primitives.units import PPM, share_ceil
from holdfast.protocol.accounts.state import is_margined
from holdfast.protocol.book.state import FLAG_QUOTE, ORDERS, Order, Side
from holdfast.protocol.collateral import rules as collateral
from holdfast.protocol.collateral.params import COINS, COLLATERAL
from holdfast.protocol.instruments.state import INSTRUMENTS
from holdfast.protocol.ledger.state import ASSET_NAMES, BALANCES, EXPOSED, USDC
from holdfast.protocol.limits import SCENARIOS
from holdfast.protocol.margin.params import (
    JOINT_INDEX,
    MARGIN_PARAMS,
    OPPOSED_INDEX,
    UNIVERSE_INDEX,
    UNIVERSES,
    MarginParams,
)
from holdfast.protocol.margin.state import AccountRisk, Charges, Int64Array, RiskMatrix
from holdfast.protocol.portfolio.state import POSITIONS
from holdfast.protocol.surface.rules import get_collateral_shocks_ppm
from holdfast.protocol.surface.state import RiskArray
from holdfast.state.draft import Draft

_ACCOUNTS_AT_ONCE = 2_048
_COUNT = len(UNIVERSES)


class _Sums(NamedTuple):
    """The position part of the matrix."""

    stress: Int64Array
    marks: Int64Array
    unrealised: Int64Array
    short: Int64Array
    gross: Int64Array
    future: Int64Array
    net_keys: Int64Array
    net_lots: Int64Array
    strike_groups: int


def compute_matrix(draft: Draft, array: RiskArray, charges: Charges) -> RiskMatrix:
    """Return the risk of every account that holds a position or a coin, owes or orders anything.

    Why no other: the risk of an account that has nothing but cash is its cash, and most accounts are of that kind.
    """
    positions = list(draft[POSITIONS].items())
    orders = [order for _, order in draft[ORDERS].items()]
    seen = dict.fromkeys(filter(is_margined, draft[EXPOSED].keys()))
    seen.update(dict.fromkeys(account_id for (account_id, _), _ in positions))
    seen.update(dict.fromkeys(order.account_id for order in orders))
    ids = sorted(seen)
    get_balance = draft[BALANCES].get
    balances = [
        (account_id, asset_id, amount)
        for account_id in ids
        for asset_id in range(len(ASSET_NAMES))
        if (amount := get_balance((account_id, asset_id))) is not None
    ]
    places = {account_id: place for place, account_id in enumerate(ids)}
    sums = _sum_positions(array, len(ids), [(places[a], i, p.lots, p.cost_atoms) for (a, i), p in positions])
    worth = _add_collateral(draft, array, places, balances, sums.stress)
    ordered, quoted, quoted_lots, open_lots = _sum_orders(draft, array, orders, places)
    cash = np.zeros(len(ids), dtype=np.int64)
    params = draft[MARGIN_PARAMS][0]
    for account_id, asset_id, amount in balances:
        if asset_id == USDC:
            cash[places[account_id]] = amount
    return RiskMatrix(
        places,
        np.array(ids, dtype=np.int64),
        sums.stress,
        ordered,
        quoted,
        sums.marks,
        sums.unrealised,
        worth,
        sums.short,
        sums.gross,
        sums.future,
        quoted_lots,
        open_lots,
        cash + sums.marks + worth,
        _maintenance(params, charges, sums),
        (_initial_bound(params, charges, sums, ordered + quoted) - sums.marks - worth).tolist(),
        (sums.gross.sum(axis=1) + open_lots).tolist(),
        np.maximum(0, -array.rows.min(axis=1, initial=0)).tolist(),
        np.maximum(0, array.rows.max(axis=1, initial=0)).tolist(),
        *_list_charges(params, array, charges),
        share_ceil(params.loss_im_ppm, params.depeg_im_ppm) if charges.is_depegged else params.loss_im_ppm,
        sums.net_keys,
        sums.net_lots,
        sums.strike_groups,
    )


def get_row(matrix: RiskMatrix, account_id: int) -> AccountRisk | None:
    """Return one account's risk out of the matrix."""
    place = matrix.places.get(account_id)
    if place is None:
        return None
    return AccountRisk(
        matrix.stress[place],
        matrix.orders[place],
        matrix.quotes[place],
        int(matrix.marks_atoms[place]),
        int(matrix.unrealised_atoms[place]),
        int(matrix.collateral_atoms[place]),
        _triple(matrix.short_lots[place]),
        _triple(matrix.gross_lots[place]),
        _triple(matrix.future_lots[place]),
        _triple(matrix.quoted_lots[place]),
        int(matrix.open_lots[place]),
        {},
    )


def get_net_lots(matrix: RiskMatrix | None, account_id: int, universe: int, strike_group: int) -> int:
    """Return the option lots of one expiry and strike that an account had when the matrix was made."""
    place = None if matrix is None else matrix.places.get(account_id)
    if matrix is None or place is None:
        return 0
    key = (place * _COUNT + universe) * matrix.strike_groups + strike_group
    found = int(np.searchsorted(matrix.net_keys, key))
    is_there = found < len(matrix.net_keys) and int(matrix.net_keys[found]) == key
    return int(matrix.net_lots[found]) if is_there else 0


def _triple(values: Int64Array) -> tuple[int, int, int]:
    btc, eth, usdt = values.tolist()
    return btc, eth, usdt


def _sum_by(keys: Int64Array, values: Int64Array, size: int) -> Int64Array:
    """Add up the values (vectors or numbers) of equal keys into an array of `size` places."""
    result = np.zeros((size, *values.shape[1:]), dtype=np.int64)
    if len(keys):
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        result[ordered[starts]] = np.add.reduceat(values[order], starts, axis=0)
    return result


def _sum_positions(array: RiskArray, accounts: int, positions: list[tuple[int, int, int, int]]) -> _Sums:
    columns = np.array(positions, dtype=np.int64).reshape(-1, 4)
    place, lots, cost = columns[:, 0], columns[:, 2], columns[:, 3]
    index = np.searchsorted(array.instrument_ids, columns[:, 1])
    universe = np.array([UNIVERSE_INDEX[u] for u in array.underlyings.tolist()], dtype=np.int64)[index]
    is_future = array.is_future[index]
    keys = place * _COUNT + universe
    cells = accounts * _COUNT
    value = array.values_atoms[index] * lots
    groups = array.strike_groups[index]
    optional = np.flatnonzero(is_future == 0)
    # Of all listed, not of those held: a key that nobody has yet must not be another's.
    strike_groups = int(array.strike_groups.max(initial=0)) + 1
    net_keys, net = _net_by((keys * strike_groups + groups)[optional], lots[optional])
    return _Sums(
        _sum_by(keys, array.rows[index] * lots[:, None], cells).reshape(accounts, _COUNT, SCENARIOS),
        _sum_by(place, value - cost * is_future, accounts),
        _sum_by(place, value - cost, accounts),
        _sum_by(np.floor_divide(net_keys, strike_groups), np.maximum(0, -net), cells).reshape(accounts, _COUNT),
        _sum_by(keys, np.abs(lots), cells).reshape(accounts, _COUNT),
        _sum_by(keys, np.abs(lots) * is_future, cells).reshape(accounts, _COUNT),
        net_keys,
        net,
        strike_groups,
    )


def _net_by(keys: Int64Array, lots: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Net the lots of equal keys; return the keys, ascending, and their nets."""
    if not len(keys):
        return keys, lots
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return ordered[starts], np.add.reduceat(lots[order], starts)


def _add_collateral(
    draft: Draft,
    array: RiskArray,
    places: dict[int, int],
    balances: list[tuple[int, int, int]],
    stress: Int64Array,
) -> Int64Array:
    """Add each account's coins to its stress; return what they count for."""
    worth = np.zeros(len(places), dtype=np.int64)
    shocks = {asset_id: get_collateral_shocks(draft, asset_id) for asset_id in COINS}
    for account_id, asset_id, amount in balances:
        price = array.prices_e8.get(asset_id, 0)
        if asset_id in COINS and price > 0:
            value = collateral.compute_value_atoms(draft[COLLATERAL][asset_id], asset_id, amount, price)
            worth[places[account_id]] += value
            stress[places[account_id], UNIVERSE_INDEX[asset_id]] += compute_collateral_stress(shocks[asset_id], value)
    return worth


def get_collateral_shocks(draft: Draft, asset_id: int) -> Int64Array:
    """Return what an asset gains or loses in each scenario by the stored grids, in ppm."""
    return np.array(get_collateral_shocks_ppm(draft, asset_id), dtype=np.int64)


def compute_collateral_stress(shocks: Int64Array, value_atoms: int) -> Int64Array:
    """Return what an asset's counted value gains or loses in each scenario. Rounds: toward the larger loss."""
    # The product may pass int64, so the value is taken apart: v = a * PPM + b with 0 <= b < PPM.
    whole, part = divmod(value_atoms, PPM)
    return shocks * whole + np.floor_divide(shocks * part, PPM)


def _sum_orders(
    draft: Draft, array: RiskArray, orders: list[Order], places: dict[int, int]
) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array]:
    instruments = draft[INSTRUMENTS]
    ids = [order.instrument_id for order in orders]
    tick_values = {instrument_id: instruments[instrument_id].tick_value_atoms for instrument_id in dict.fromkeys(ids)}
    place = _column([places[order.account_id] for order in orders])
    limits = _column([order.price_ticks for order in orders]) * _column([tick_values[number] for number in ids])
    lots = _column([order.lots for order in orders])
    signed = np.where(_column([order.side for order in orders]) == Side.BUY, lots, -lots)
    is_quote = _column([order.flags for order in orders]) & FLAG_QUOTE != 0
    index = np.searchsorted(array.instrument_ids, _column(ids))
    universe = _column([UNIVERSE_INDEX[u] for u in array.underlyings.tolist()])[index]
    keys = place * _COUNT + universe
    accounts = len(places)
    cells = accounts * _COUNT
    edge = array.values_atoms[index] - limits
    terms = np.minimum(0, (array.rows[index] + edge[:, None]) * signed[:, None])
    shape = (accounts, _COUNT, SCENARIOS)
    plain, quote = np.flatnonzero(~is_quote), np.flatnonzero(is_quote)
    return (
        _sum_by(keys[plain], terms[plain], cells).reshape(shape),
        _sum_by(keys[quote], terms[quote], cells).reshape(shape),
        _sum_by(keys[quote], lots[quote], cells).reshape(accounts, _COUNT),
        _sum_by(place, lots, accounts),
    )


def _column(values: list[int]) -> Int64Array:
    return np.array(values, dtype=np.int64)


def _share_floor(values: Int64Array, share_ppm: int) -> Int64Array:
    """Return shares of values, rounded down; taken apart so that no product passes int64."""
    whole: Int64Array = np.floor_divide(values, PPM)
    part: Int64Array = np.floor_divide((values - whole * PPM) * share_ppm, PPM)
    return whole * share_ppm + part


def _maintenance(params: MarginParams, charges: Charges, sums: _Sums) -> Int64Array:
    required = -_share_floor(-_worst_losses(params, sums.stress), params.loss_mm_ppm)
    crowded = np.maximum(0, sums.gross - params.concentration_lots)
    for universe in range(_COUNT):
        required += (
            sums.short[:, universe] * charges.short_mm[universe]
            + sums.future[:, universe] * charges.basis_mm[universe]
            + crowded[:, universe] * charges.concentration_mm[universe]
        )
    return required


def _initial_bound(params: MarginParams, charges: Charges, sums: _Sums, orders: Int64Array) -> Int64Array:
    """Return no less than each account's initial requirement: quotes count in full, whatever protects them."""
    required = -_share_floor(-_worst_losses(params, sums.stress + orders), params.loss_im_ppm)
    crowded = np.maximum(0, sums.gross - params.concentration_lots)
    for universe in range(_COUNT):
        required += (
            sums.short[:, universe] * charges.short_im[universe]
            + sums.future[:, universe] * charges.basis_im[universe]
            + crowded[:, universe] * charges.concentration_im[universe]
            + sums.gross[:, universe] * charges.confidence_im[universe]
        )
    return -_share_floor(-required, params.depeg_im_ppm) if charges.is_depegged else required


def _list_charges(params: MarginParams, array: RiskArray, charges: Charges) -> tuple[list[int], list[int]]:
    """Return the most that one lot more of each line, long or short, can add to the charges of initial margin."""
    scale_ppm = params.depeg_im_ppm if charges.is_depegged else PPM
    by_kind: dict[tuple[int, int], tuple[int, int]] = {}
    for index, underlying in enumerate(UNIVERSES):
        both = charges.concentration_im[index] + charges.confidence_im[index]
        option, future = both + charges.short_im[index], both + charges.basis_im[index]
        by_kind[underlying, 0] = share_ceil(both, scale_ppm), share_ceil(option, scale_ppm)
        by_kind[underlying, 1] = share_ceil(future, scale_ppm), share_ceil(future, scale_ppm)
    kinds = zip(array.underlyings.tolist(), array.is_future.tolist(), strict=True)
    each = [by_kind[kind] for kind in kinds]
    return [long for long, _ in each], [short for _, short in each]


def _worst_losses(params: MarginParams, stress: Int64Array) -> Int64Array:
    """Return each account's worst loss over the listed scenarios."""
    accounts = len(stress)
    loss = np.zeros(accounts, dtype=np.int64)
    for first in range(0, accounts, _ACCOUNTS_AT_ONCE):
        part = slice(first, first + _ACCOUNTS_AT_ONCE)
        flat = stress[part].reshape(-1, _COUNT * SCENARIOS)
        joint = flat[:, JOINT_INDEX[0]] + flat[:, JOINT_INDEX[1]] + flat[:, JOINT_INDEX[2]]
        against = flat[:, OPPOSED_INDEX[0]] + flat[:, OPPOSED_INDEX[1]] + flat[:, OPPOSED_INDEX[2]]
        weighed = _share_floor(np.minimum.reduce(against, axis=1), params.cross_weight_ppm)
        loss[part] = np.maximum(0, -np.minimum(np.minimum.reduce(joint, axis=1), weighed))
    return loss
