"""Marks, Greeks and scenario rows of single instruments from the formulas, to hold the pricing kernel against.

Black-76 on SVI smiles with the power law phi = eta / sqrt(theta (1 + theta)), one option at a time, with the library's
`log`, `erf` and `erfc`. Doubles carry about sixteen digits, so a result here is within a small part of a unit of the
exact value; the kernel's integer must be within one unit of it. It is then the kernel's integer that counts.

Sources: Black 1976; Gatheral and Jacquier, arXiv 1204.0646, sections 3 and 4.
"""

from collections.abc import Sequence
from math import erf, erfc, exp, log, pi, sqrt
from typing import Final, NamedTuple

import numpy as np

from holdfast.primitives import pricing as kernel
from holdfast.protocol.surface.params import ScenarioGrid
from holdfast.protocol.surface.state import Mark

SCENARIOS: Final = 32
_DAY_MS: Final = 86_400_000
_YEAR_MS: Final = 365 * _DAY_MS
_HALF_HOUR_MS: Final = 30 * 60_000
_VARIANCE_FLOOR: Final = 1e-24
_VOL_FACTOR_MIN: Final = 0.1
_SHAPE_MIN: Final = 0.02  # no strike has less than a hundredth of the variance at the money


class PricingError(Exception):
    """The kernel's price is more than a unit from the formula's."""


class Inputs(NamedTuple):
    """What one instrument's price comes from. A future is a call with strike nothing."""

    instrument_id: int
    forward_e8: int
    theta_e12: int
    rho_ppm: int
    eta_ppm: int
    fixed_e8: int
    variable_ppm: int
    remaining_ms: int
    grid: int  # its place among the grids
    shift_ppm: int
    width_ppm: int
    strike_e8: int
    is_call: bool
    lot_e8: int


class Priced(NamedTuple):
    """One instrument's mark with Greeks, and its 32 rows in atoms a lot."""

    mark: Mark
    row: tuple[int, ...]


class _Shocked:
    """A series under one scenario, or under none: what all of its instruments share."""

    def __init__(self, one: Inputs, grid: ScenarioGrid | None = None, number: int = 0) -> None:
        spot, vol, rho_shift = (
            (0, 0, 0) if grid is None else (grid.spot_ppm[number], grid.vol_ppm[number], grid.rho_shift_ppm[number])
        )
        open_part = one.forward_e8 * one.variable_ppm / 1e6 * (1 + spot / 1e6)
        self.forward = one.fixed_e8 + open_part
        factor = max(_VOL_FACTOR_MIN, 1 + vol / 1e6 * _vol_scale(one.remaining_ms))
        self.theta = one.theta_e12 / 1e12 * factor**2
        # The skew stays where eta (1 + |rho|) <= 4.
        rho_max = max(0, min(4 * 10**12 // one.eta_ppm - 10**6, 990_000))
        self.rho = max(-rho_max, min(rho_max, one.rho_ppm + rho_shift)) / 1e6
        self.vertex = self.rho + one.shift_ppm / 1e6
        self.width = (1 - self.rho**2) * one.width_ppm / 1e6
        theta_safe = max(self.theta, 1e-14)
        self.phi = one.eta_ppm / 1e6 / sqrt(theta_safe * (1 + theta_safe))
        # Only the open part of the settlement average moves, and it moves less as it closes.
        self.damping = (open_part / self.forward) ** 2 * _averaging(one.remaining_ms)

    def moneyness(self, strike: int) -> float:
        """Return the logarithm of strike over forward."""
        return log(max(1, strike) / self.forward)

    def variance(self, strike: int) -> float:
        """Return the total variance of the settlement average, seen from a strike."""
        wing = self.phi * self.moneyness(strike)
        level = 2 - sqrt(self.vertex**2 + self.width)
        shape = level + self.rho * wing + sqrt((wing + self.vertex) ** 2 + self.width)
        return self.theta / 2 * max(shape, _SHAPE_MIN) * self.damping

    def price(self, strike: int, *, is_call: bool) -> float:
        """Return the undiscounted Black-76 price, USD x 1e8 a coin."""
        intrinsic = max(0.0, self.forward - strike if is_call else strike - self.forward)
        variance = self.variance(strike)
        if variance <= _VARIANCE_FLOOR:
            return intrinsic
        deviation, size = sqrt(variance), abs(self.moneyness(strike))
        # The side out of the money, over the smaller of forward and strike; parity adds the intrinsic value.
        near = _normal(deviation / 2 - size / deviation)
        far = exp(min(700.0, size)) * _normal(-deviation / 2 - size / deviation)
        return max(0.0, near - far) * min(self.forward, strike) + intrinsic


def price_all(inputs: Sequence[Inputs], grids: Sequence[ScenarioGrid]) -> list[Priced]:
    """Return the kernel's prices, each of which the formulas have confirmed."""
    if not inputs:
        return []
    # One slice an instrument: theirs are equal where the kernel would be given one for all.
    columns = list(np.array([one[1:] for one in inputs], dtype=np.int64).T.copy())
    slices = kernel.Slices(*columns[:10])
    options = kernel.Options(np.arange(len(inputs), dtype=np.int64), *columns[10:])
    shocks = kernel.Grid(
        *(
            np.array([getattr(grid, name) for grid in grids], dtype=np.int64)
            for name in ("spot_ppm", "vol_ppm", "rho_shift_ppm", "dampen_ppm")
        )
    )
    marks = kernel.compute_marks(slices, options)
    rows = kernel.compute_rows(slices, options, shocks, marks.mark_e8).tolist()
    fields = zip(*(column.tolist() for column in marks), strict=True)
    priced = [Priced(Mark(*mark), tuple(row)) for mark, row in zip(fields, rows, strict=True)]
    shocked: dict[Sequence[object], list[_Shocked]] = {}
    for one, both in zip(inputs, priced, strict=True):
        # Instruments of one series have all but their last three fields in common.
        series = one[1:-3]
        if series not in shocked:
            shocked[series] = [_Shocked(one, grids[one.grid], number) for number in range(SCENARIOS)]
        _confirm(one, grids[one.grid], both, shocked[series])
    return priced


def _confirm(one: Inputs, grid: ScenarioGrid, priced: Priced, shocked: Sequence[_Shocked]) -> None:
    """Hold the kernel's integers against the formulas."""
    names = ("mark", "volatility", "delta", "gamma", "vega", "theta")
    exact = _mark_and_greeks(one)
    ours = (priced.mark.mark_e8, priced.mark.iv_ppm, priced.mark.delta_ppm, priced.mark.gamma_e12)
    for name, mine, kernels in zip(names, exact, (*ours, priced.mark.vega_e8, priced.mark.theta_e8), strict=True):
        _hold(one, name, kernels, mine)
    for number, (kernels, surface) in enumerate(zip(priced.row, shocked, strict=True)):
        price = surface.price(one.strike_e8, is_call=one.is_call)
        mine = (price - priced.mark.mark_e8) * one.lot_e8 / 1e10 * grid.dampen_ppm[number] / 1e6
        _hold(one, f"scenario {number}", kernels, mine)


def _hold(one: Inputs, name: str, kernels: int, mine: float) -> None:
    # A relative part, since the largest values have more digits than a double.
    if abs(mine - kernels) > 1 + abs(mine) * 1e-12:
        raise PricingError(f"instrument {one.instrument_id}, {name}: the kernel has {kernels}, the formula {mine}")


def _mark_and_greeks(one: Inputs) -> tuple[float, float, float, float, float, float]:
    """Return price, volatility (ppm), delta (ppm), gamma (x 1e12), vega and theta (USD x 1e8)."""
    flat = _Shocked(one)
    variance = flat.variance(one.strike_e8)
    share = one.variable_ppm / 1e6
    years = max(1, one.remaining_ms) / _YEAR_MS
    is_live = variance > _VARIANCE_FLOOR
    deviation = sqrt(max(variance, _VARIANCE_FLOOR))
    d1 = deviation / 2 - max(-38.0, min(38.0, flat.moneyness(one.strike_e8) / deviation))
    density = exp(max(-d1 * d1 / 2, -600.0)) / sqrt(2 * pi) if is_live else 0.0
    return (
        flat.price(one.strike_e8, is_call=one.is_call),
        deviation / sqrt(years) * 1e6 if is_live else 0.0,
        (_normal(d1) if one.is_call else -_normal(-d1)) * share * 1e6,
        density / (flat.forward * deviation) * share**2 * 1e20,
        flat.forward * density * sqrt(years) * 0.01,
        -flat.forward * density * deviation / (2 * years * 365),
    )


def _vol_scale(remaining_ms: int) -> float:
    """Return how much a volatility shock counts: (30 days / time)^0.30, beyond 30 days ^0.13, to the millionth."""
    days = max(remaining_ms, _DAY_MS) / _DAY_MS
    exponent: float = 0.30 if remaining_ms <= 30 * _DAY_MS else 0.13
    scale: float = (30 / days) ** exponent
    return round(scale * 1e6) / 1e6


def _averaging(remaining_ms: int) -> float:
    """Return the variance of the settlement average over that of the last price: 1/3 inside its window."""
    if remaining_ms <= 0:
        return 0.0
    time = max(remaining_ms, _HALF_HOUR_MS)
    return (time - _HALF_HOUR_MS * 2 / 3) / time


def _normal(x: float) -> float:
    """Return the standard normal distribution function."""
    return erfc(-x / sqrt(2)) / 2 if x < 0 else (1 + erf(x / sqrt(2))) / 2
