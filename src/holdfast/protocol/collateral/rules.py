"""What collateral is worth."""

import numpy as np

from holdfast.primitives.arrays import Int64Array, share_floor, times_floor
from holdfast.primitives.reject import Code, RejectedError
from holdfast.primitives.units import PPM, USDC_ATOMS, div_ceil, div_floor
from holdfast.protocol.collateral.params import COLLATERAL, CollateralAsset
from holdfast.protocol.ledger.handlers import get_vault
from holdfast.protocol.ledger.state import ASSET_ATOMS
from holdfast.protocol.limits import COIN_ATOMS_MAX
from holdfast.state.draft import Draft


def compute_value_atoms(asset: CollateralAsset, asset_id: int, amount_atoms: int, price_e8: int) -> int:
    """Return what an amount of an asset counts for, in USDC atoms.

    Rounds: down. The haircut is taken after the account's cap, so that a fall in price never raises the value.
    """
    value = div_floor(amount_atoms * price_e8, ASSET_ATOMS[asset_id] * 100)
    return div_floor(min(value, asset.account_cap_usd * USDC_ATOMS) * (PPM - asset.haircut_ppm), PPM)


def compute_values_atoms(asset: CollateralAsset, asset_id: int, amounts_atoms: Int64Array, price_e8: int) -> Int64Array:
    """Return what `compute_value_atoms` returns for each of many amounts, none below 0, at a price above 0."""
    per_atom = ASSET_ATOMS[asset_id] * 100
    cap = asset.account_cap_usd * USDC_ATOMS
    # What is beyond the amount that reaches the cap counts for nothing; without it no value passes int64.
    reach = min(div_ceil(cap * per_atom, price_e8), COIN_ATOMS_MAX)
    values = times_floor(np.minimum(amounts_atoms, reach), price_e8, per_atom)
    return share_floor(np.minimum(values, cap), PPM - asset.haircut_ppm)


def compute_sale_atoms(asset: CollateralAsset, asset_id: int, amount_atoms: int, price_e8: int) -> int:
    """Return what an amount of an asset is sold for in a liquidation: its worth less the haircut, whatever the cap.

    Rounds: down.
    """
    return div_floor(amount_atoms * price_e8 * (PPM - asset.haircut_ppm), ASSET_ATOMS[asset_id] * 100 * PPM)


def get_asset(draft: Draft, asset_id: int) -> CollateralAsset:
    """Return an asset's parameters. Refuses: ASSET_UNKNOWN."""
    asset = draft[COLLATERAL].get(asset_id)
    if asset is None:
        raise RejectedError(Code.ASSET_UNKNOWN, asset_id=asset_id)
    return asset


def check_cap(draft: Draft, asset_id: int, amount_atoms: int) -> None:
    """Check that the exchange may take more of an asset. Refuses: ASSET_UNKNOWN, COLLATERAL_CAP."""
    asset = get_asset(draft, asset_id)
    totals = get_vault(draft, asset_id)
    if totals.deposited_atoms - totals.withdrawn_atoms + amount_atoms > asset.cap_atoms:
        raise RejectedError(Code.COLLATERAL_CAP, asset_id=asset_id, cap_atoms=asset.cap_atoms)
