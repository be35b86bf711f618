"""What the coins of all accounts count for, and what they gain or lose in the scenarios, in exact int64.

One account's rule is `collateral.rules.compute_value_atoms`, and shares of that rounded down: toward the larger loss.
Nothing here can overflow: balances, caps and prices are bounded where they arise (`limits`).
"""

import numpy as np

from holdfast import _kernels
from holdfast.primitives.arrays import share_floor
from holdfast.primitives.check import ensure
from holdfast.primitives.pricing import native_path
from holdfast.protocol.collateral import rules as collateral
from holdfast.protocol.collateral.params import COINS, COLLATERAL
from holdfast.protocol.margin.params import UNIVERSES
from holdfast.protocol.margin.state import Coins, Int64Array
from holdfast.protocol.surface.rules import get_collateral_shocks_ppm
from holdfast.protocol.surface.state import RiskArray
from holdfast.state.draft import Draft

ensure(COINS == UNIVERSES, "each coin has its universe, in one order")


def value_coins(draft: Draft, array: RiskArray, amounts_atoms: Int64Array) -> Coins:
    """Return what accounts' coins, int64[3, accounts], count for, and the shocks that these are under."""
    places = np.flatnonzero(np.bitwise_or.reduce(amounts_atoms, axis=0))
    values = np.zeros((len(places), len(COINS)), dtype=np.int64)
    for universe, asset_id in enumerate(COINS):
        price = array.prices_e8.get(asset_id, 0)
        amounts = amounts_atoms[universe, places]
        if price > 0 and amounts.any():
            asset = draft[COLLATERAL][asset_id]
            values[:, universe] = collateral.compute_values_atoms(asset, asset_id, amounts, price)
    return Coins(places, values, np.array([get_collateral_shocks(draft, asset_id) for asset_id in COINS]))


def stress_coins(coins: Coins, begin: int, end: int, room: Int64Array) -> Int64Array:
    """Return what the coins of some of the accounts that have any gain or lose, int64[end - begin, 3, 32].

    It may lie in `room`, which is written over: fresh memory for each sheet costs twice what is written to it.
    Why not of all accounts at once: those of one sheet are still in the cache when the kernel adds them up.
    """
    values, shocks = coins.values_atoms[begin:end], coins.shocks_ppm
    if native_path() is None:
        return share_floor(values[:, :, None], shocks)
    stress = room[: end - begin]
    _kernels.share_rows(values, shocks, stress)
    return stress


def get_collateral_shocks(draft: Draft, asset_id: int) -> Int64Array:
    """Return what an asset gains or loses in each scenario by the stored grids, in ppm."""
    return np.array(get_collateral_shocks_ppm(draft, asset_id), dtype=np.int64)
