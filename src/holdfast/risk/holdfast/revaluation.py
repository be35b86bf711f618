"""An account repriced by the exchange's kernel at shocks of one's own, beside those that margin lists."""

import numpy as np
from numpy.typing import NDArray

from holdfast.primitives import pricing
from holdfast.primitives.pricing import Grid
from holdfast.primitives.units import PPM, USDC_ATOMS
from holdfast.protocol.collateral import rules as collateral
from holdfast.protocol.collateral.params import COLLATERAL
from holdfast.protocol.instruments.params import UNDERLYINGS
from holdfast.protocol.ledger.handlers import get_balance
from holdfast.protocol.portfolio.handlers import get_lots
from holdfast.protocol.surface.state import MARKS, RISK_ARRAY
from holdfast.risk.holdfast.account import ACCOUNT_ID, Account
from holdfast.risk.holdfast.market import make_inputs
from holdfast.risk.portfolio import Portfolio

FloatArray = NDArray[np.float64]


def revalue(account: Account, portfolio: Portfolio, spots: FloatArray, vols: FloatArray) -> FloatArray:
    """Return profit or loss in USD, shape (spots, vols); every cell of a position is rounded to an atom a lot."""
    draft, market = account.draft, account.market
    shape = (len(spots), len(vols))
    pnl: FloatArray = np.zeros(shape)
    if market.ids:
        inputs, options = make_inputs(portfolio, market.ids, market.slices)
        marks = np.array([draft[MARKS][number].mark_e8 for number in market.ids.values()], dtype=np.int64)
        rows = pricing.compute_rows(inputs, options, _make_grid(spots, vols), marks)
        lots = np.array([get_lots(draft, ACCOUNT_ID, number) for number in market.ids.values()], dtype=np.int64)
        # Less than 2^62, by the bounds on rows and lots.
        pnl += (lots[:, None] * rows).sum(axis=0).reshape(shape) / USDC_ATOMS
    for asset_id in UNDERLYINGS:
        held = get_balance(draft, ACCOUNT_ID, asset_id)
        if held:
            price_e8 = draft[RISK_ARRAY][0].prices_e8[asset_id]
            value = collateral.compute_value_atoms(draft[COLLATERAL][asset_id], asset_id, held, price_e8)
            pnl += (spots * value / USDC_ATOMS)[:, None]
    return pnl


def _make_grid(spots: FloatArray, vols: FloatArray) -> Grid:
    """Return the same shocks for every underlying, spot by spot, of which all of the profit or loss counts."""
    moves, changes = (np.rint(axis * PPM).astype(np.int64) for axis in (spots, vols))
    spot, vol = np.repeat(moves, len(changes)), np.tile(changes, len(moves))
    whole = np.full_like(spot, PPM)
    columns = (spot, vol, np.zeros_like(spot), whole)
    return Grid(*(np.ascontiguousarray(np.broadcast_to(column, (len(UNDERLYINGS), len(spot)))) for column in columns))
