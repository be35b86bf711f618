"""Profit and loss over spot and volatility, on any grid: arrays in, arrays out.

    spots, vols = np.linspace(-0.5, 0.5, 21), np.array([-0.3, 0.0, 0.5])
    pnl = scenario_grid(portfolio, spots, vols)  # USD, shape (21, 3)

Shocks are relative: -0.5 is half the price. A shock of volatility is one at 30 days, and counts by the time to expiry
as in the exchange's scenarios (`primitives.pricing.vol_scale_ppm`).
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from holdfast.primitives.pricing import vol_scale_ppm
from holdfast.risk.black import compute_price
from holdfast.risk.holdfast import MODEL
from holdfast.risk.holdfast.account import open_account
from holdfast.risk.holdfast.revaluation import revalue
from holdfast.risk.models import DEFAULT_MODEL, find_model
from holdfast.risk.portfolio import OptionPosition, Portfolio, net_positions
from holdfast.risk.rows import InputError

FloatArray = NDArray[np.float64]

SPOT_LEAST: Final = -0.999
SHOCK_MOST: Final = 10.0
CELLS_MAX: Final = 20_000
_VOL_FLOOR: Final = 0.1


def scenario_grid(portfolio: Portfolio, spots: ArrayLike, vols: ArrayLike, model: str = DEFAULT_MODEL) -> FloatArray:
    """Return a portfolio's profit or loss in USD at every pair of shocks, shape (spots, vols).

    Under `holdfast` every position is repriced on its surface by the exchange's own kernel, coins after their haircut.
    Under a published model options are repriced by Black-76 at their marked volatilities, undiscounted; the model's own
    scenarios, with whatever it adds to them, are those of its result.

    Refuses: shocks that are no vector of finite numbers within bounds, and what the model refuses.
    """
    find_model(model)
    moves, changes = _check_axis(spots, "spot", SPOT_LEAST), _check_axis(vols, "vol", -1.0)
    if len(moves) * len(changes) > CELLS_MAX:
        raise InputError("grid", "", f"{len(moves)} x {len(changes)} cells are more than {CELLS_MAX:,}")
    portfolio = net_positions(portfolio)
    if model == MODEL:
        return revalue(open_account(portfolio), portfolio, moves, changes)
    return _revalue_by_black(portfolio, moves, changes)


def _check_axis(values: ArrayLike, name: str, least: float) -> FloatArray:
    try:
        axis: FloatArray = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("grid", name, "the shocks are not numbers") from None
    if axis.ndim != 1 or not len(axis):
        raise InputError("grid", name, "the shocks are no list of numbers")
    if not np.all(np.isfinite(axis)) or axis.min() < least or axis.max() > SHOCK_MOST:
        raise InputError("grid", name, f"a shock lies outside of {least:.1%} to {SHOCK_MOST:+.0%}")
    return axis


def _revalue_by_black(portfolio: Portfolio, spots: FloatArray, vols: FloatArray) -> FloatArray:
    pnl: FloatArray = np.zeros((len(spots), len(vols)))
    for option in portfolio.options:
        pnl += _revalue_option(portfolio, option, spots, vols)
    moving = sum(future.amount * future.mark for future in portfolio.futures)
    moving += sum(coin.amount * coin.price for coin in portfolio.collaterals if coin.asset in portfolio.underlyings)
    pnl += (spots * moving)[:, None]
    return pnl


def _revalue_option(portfolio: Portfolio, option: OptionPosition, spots: FloatArray, vols: FloatArray) -> FloatArray:
    expiry = portfolio.expiry_of(option)
    scale = int(vol_scale_ppm(np.array([round(option.seconds * 1_000)], dtype=np.int64))[0]) / 1e6
    base = compute_price(option.terms, expiry.forward, option.vol)
    return np.array(
        [
            [
                option.amount
                * (
                    compute_price(option.terms, expiry.shocked(1 + spot), option.vol * max(1 + vol * scale, _VOL_FLOOR))
                    - base
                )
                for vol in vols.tolist()
            ]
            for spot in spots.tolist()
        ],
        dtype=np.float64,
    )
