"""Collateral parameters: one row an asset."""

from typing import Final

from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.primitives.units import PPM
from holdfast.protocol.ledger.state import ASSET_ATOMS, ASSET_NAMES, BTC, ETH, USDC, USDT
from holdfast.protocol.limits import COIN_ATOMS_MAX, COIN_VALUE_USD_MAX, U64
from holdfast.state.draft import Draft
from holdfast.state.table import Table

HAIRCUT_PPM_MAX: Final = 900_000


class CollateralAsset(Record):
    """What one asset counts for.

    `haircut_ppm` is taken off its value; `cap_atoms` bounds what the whole exchange takes (a new asset starts at 0);
    above `account_cap_usd` an account's holding counts for nothing more: no account leans on one asset alone.
    """

    haircut_ppm: U64
    cap_atoms: U64
    account_cap_usd: U64


COLLATERAL: Final = Table[int, CollateralAsset]("collateral assets", ["u64"], CollateralAsset, tag=15)

DEFAULTS: Final = {
    USDC: CollateralAsset(0, 10**16, 10**10),
    BTC: CollateralAsset(70_000, 50_000 * 10**8, 50_000_000),
    ETH: CollateralAsset(100_000, 500_000 * 10**8, 25_000_000),
    USDT: CollateralAsset(30_000, 10**15, 10_000_000),
}
ORDER: Final = (USDC, BTC, ETH, USDT)
# The assets other than cash, in the order in which margin takes them.
COINS: Final = (BTC, ETH, USDT)

ensure(len(ORDER) == len(ASSET_NAMES) == len(ASSET_ATOMS), "every asset has its parameters")


def check(asset: CollateralAsset) -> None:
    """Check an asset's parameters against their hard bounds."""
    ensure(asset.haircut_ppm <= HAIRCUT_PPM_MAX < PPM, "a haircut leaves something")
    ensure(asset.cap_atoms <= COIN_ATOMS_MAX, "what the exchange takes of an asset fits what margin can multiply")
    ensure(asset.account_cap_usd <= COIN_VALUE_USD_MAX, "what an account's holding counts for fits a margin sum")


def initialise(draft: Draft) -> None:
    """Write the default parameters of every asset."""
    for asset_id in ORDER:
        check(DEFAULTS[asset_id])
        draft[COLLATERAL].put(asset_id, DEFAULTS[asset_id])
