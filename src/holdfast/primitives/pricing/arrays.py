"""Marks and risk rows in NumPy: Black-76 on SVI smiles, from int64 arrays to rounded int64 arrays.

Money here is USD x 1e8 a coin inside doubles below 2^53, hence exact on entry; results are rounded half to even.
No subnormal, infinity or NaN arises: exponents are clamped at -600, arguments of the normal tail at 38.

Sources: Black 1976; Gatheral and Jacquier, arXiv 1204.0646, section 3 (natural SVI), section 4 (power-law SSVI).
"""

from typing import Final, NamedTuple

import numpy as np

from holdfast.primitives.pricing.black import (
    VARIANCE_FLOOR,
    Tails,
    compute_greeks,
    compute_price,
)
from holdfast.primitives.pricing.inputs import FloatArray, Grid, IntArray, Marks, Options, Slices
from holdfast.primitives.pricing.maths import exp, log, to_int

__all__ = ["compute_marks", "compute_rows", "vol_scale_ppm"]

SIGMA_FLOOR_PPM: Final = 100_000  # a vol shock leaves at least a tenth of the volatility

_DAY_MS: Final = 86_400_000
_YEAR_MS: Final = 365 * _DAY_MS
_AVERAGING_MS: Final = 30 * 60_000
_TWO_THIRDS_AVERAGING_MS: Final = 20 * 60_000

_SLOPE_MAX_E12: Final = 4 * 10**12
_RHO_MAX_PPM: Final = 990_000

# No strike has less than a hundredth of the variance at the money, whatever a skew shock makes of the smile.
_SHAPE_FLOOR: Final = 0.02

_BLOCK_ELEMENTS: Final = 4096


class _Surface(NamedTuple):
    """Each slice under each scenario: float arrays of shape (slices, scenarios), but for the first."""

    base: FloatArray  # forward without shock, one a slice
    forward: FloatArray
    log_shift: FloatArray
    half_variance: FloatArray
    phi: FloatArray
    rho: FloatArray
    level: FloatArray
    vertex: FloatArray
    width: FloatArray


def vol_scale_ppm(remaining_ms: IntArray) -> IntArray:
    """Return how much a volatility shock counts at a time to expiry: (30 days / time)^0.30, beyond 30 days ^0.13.

    Rounds: to the nearest millionth; times under a day count as a day.
    """
    days = np.maximum(remaining_ms, _DAY_MS).astype(np.float64) / float(_DAY_MS)
    exponent = np.where(remaining_ms <= 30 * _DAY_MS, 0.30, 0.13)
    return to_int(exp(exponent * log(30.0 / days)) * 1e6)


def compute_marks(slices: Slices, options: Options) -> Marks:
    """Return mark, volatility and Greeks of each instrument."""
    no_shock = np.zeros((slices.forward_e8.shape[0], 1), dtype=np.int64)
    surface = _shock(slices, Grid(no_shock, no_shock, no_shock, no_shock))
    index = options.slice_index
    forward = surface.forward[index, 0]
    strike = options.strike_e8.astype(np.float64)
    sign = np.where(options.is_call == 1, 1.0, -1.0)
    years = np.maximum(slices.remaining_ms, 1).astype(np.float64)[index] / float(_YEAR_MS)
    share = slices.variable_ppm.astype(np.float64)[index] / 1e6

    shifted = _log_moneyness(surface, options)[:, None] - surface.log_shift[index]
    variance = _total_variance(surface, index, shifted)[:, 0]
    tails = Tails.of(np.abs(shifted[:, 0]), np.sqrt(np.maximum(variance, VARIANCE_FLOOR)))
    ratio = np.minimum(forward, strike) / np.maximum(forward, strike)
    delta, gamma, vega, theta = compute_greeks(tails, forward, strike, variance, years, ratio, sign)
    volatility = np.where(variance > VARIANCE_FLOOR, tails.deviation / np.sqrt(years), 0.0)
    return Marks(
        mark_e8=to_int(compute_price(tails, forward, strike, variance, sign)),
        iv_ppm=to_int(volatility * 1e6),
        delta_ppm=to_int(delta * share * 1e6),
        gamma_e12=to_int(gamma * share * share * 1e20),
        vega_e8=to_int(vega * 0.01),
        theta_e8=to_int(theta / 365.0),
    )


def compute_rows(slices: Slices, options: Options, grid: Grid, marks_e8: IntArray) -> IntArray:
    """Return dV: the change of one lot's value in atoms, a row for each instrument, a column for each scenario.

    Rounds: to the nearest atom, so that a long and a short carry exactly opposite entries.
    """
    surface = _shock(slices, Grid(*(column[slices.grid_index] for column in grid)))
    moneyness = _log_moneyness(surface, options)
    lots = options.lot_e8.astype(np.float64) / 1e10
    dampen = grid.dampen_ppm.astype(np.float64) / 1e6
    grid_index = slices.grid_index[options.slice_index]
    strikes = options.strike_e8.astype(np.float64)
    signs = np.where(options.is_call == 1, 1.0, -1.0)
    marks = marks_e8.astype(np.float64)
    count, scenarios = options.strike_e8.shape[0], grid.spot_ppm.shape[1]
    rows = np.empty((count, scenarios), dtype=np.int64)
    step = max(1, _BLOCK_ELEMENTS // scenarios)
    for start in range(0, count, step):
        block = slice(start, start + step)
        index = options.slice_index[block]
        shifted = moneyness[block, None] - surface.log_shift[index]
        variance = _total_variance(surface, index, shifted)
        np.abs(shifted, out=shifted)
        tails = Tails.of(shifted, np.sqrt(np.maximum(variance, VARIANCE_FLOOR)))
        price = compute_price(tails, surface.forward[index], strikes[block, None], variance, signs[block, None])
        price -= marks[block, None]
        price *= lots[block, None]
        price *= dampen[grid_index[block]]
        rows[block] = to_int(price)
    return rows


def _shock(slices: Slices, grid: Grid) -> _Surface:
    """Return the slices under each scenario; `grid` already has one row a slice."""
    forward = slices.forward_e8.astype(np.float64)[:, None]
    fixed = slices.fixed_e8.astype(np.float64)[:, None]
    share = slices.variable_ppm.astype(np.float64)[:, None] / 1e6
    moving = forward * share * ((1_000_000 + grid.spot_ppm).astype(np.float64) / 1e6)
    base = fixed + forward * share
    effective = fixed + moving
    part = moving / effective

    scale = vol_scale_ppm(slices.remaining_ms)[:, None]
    factor = np.maximum((10**12 + grid.vol_ppm * scale).astype(np.float64) / 1e12, float(SIGMA_FLOOR_PPM) / 1e6)
    theta = slices.theta_e12.astype(np.float64)[:, None] / 1e12 * factor * factor

    rho_max = _rho_max_ppm(slices.eta_ppm)[:, None]
    rho = np.minimum(np.maximum(slices.rho_ppm[:, None] + grid.rho_shift_ppm, -rho_max), rho_max)
    theta_safe = np.maximum(theta, 1e-14)
    phi = (slices.eta_ppm.astype(np.float64)[:, None] / 1e6) / np.sqrt(theta_safe * (1.0 + theta_safe))
    vertex = (rho + slices.shift_ppm[:, None]).astype(np.float64) / 1e6
    width = (10**12 - rho * rho).astype(np.float64) / 1e12 * (slices.width_ppm.astype(np.float64) / 1e6)[:, None]
    return _Surface(
        base=base[:, 0],
        forward=effective,
        log_shift=log(effective / base),
        half_variance=0.5 * theta * part * part * _averaging(slices.remaining_ms)[:, None],
        phi=phi,
        rho=rho.astype(np.float64) / 1e6,
        level=2.0 - np.sqrt(vertex * vertex + width),
        vertex=vertex,
        width=width,
    )


def _rho_max_ppm(eta_ppm: IntArray) -> IntArray:
    """Return the largest correlation that a smile's bounds leave: eta (1 + |rho|) <= 4, |rho| <= 0.99."""
    return np.maximum(np.minimum(_SLOPE_MAX_E12 // eta_ppm - 1_000_000, _RHO_MAX_PPM), 0)


def _averaging(remaining_ms: IntArray) -> FloatArray:
    """Return the variance of the settlement average over that of the last price: 1/3 inside its window, 0 at expiry."""
    time = np.maximum(remaining_ms, _AVERAGING_MS).astype(np.float64)
    return np.where(remaining_ms > 0, (time - float(_TWO_THIRDS_AVERAGING_MS)) / time, 0.0)


def _log_moneyness(surface: _Surface, options: Options) -> FloatArray:
    """Return ln(strike / forward) without shock; a scenario then only subtracts its own log shift."""
    return log(np.maximum(options.strike_e8, 1).astype(np.float64) / surface.base[options.slice_index])


def _total_variance(surface: _Surface, index: IntArray, moneyness: FloatArray) -> FloatArray:
    """Return the total variance of each option in each scenario.

    It is theta/2 (level + rho z + sqrt((z + vertex)^2 + width)) at z = phi k, where the level makes it theta at the
    money. With vertex = rho and width = 1 - rho^2 the level is 1 and this is SSVI, Gatheral and Jacquier, eq. 4.1.
    """
    wing = surface.phi[index]
    wing *= moneyness
    tilt = wing * surface.rho[index]
    tilt += surface.level[index]
    wing += surface.vertex[index]
    wing *= wing
    wing += surface.width[index]
    np.sqrt(wing, out=wing)
    wing += tilt
    np.maximum(wing, _SHAPE_FLOOR, out=wing)
    wing *= surface.half_variance[index]
    return wing
