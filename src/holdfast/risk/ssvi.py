"""One expiry's smile in doubles: its volatility at a strike, and an SSVI smile fitted to a few single volatilities.

Source: Gatheral and Jacquier, arXiv 1204.0646, eq. 4.1 and section 4: phi = eta / sqrt(theta (1 + theta)), free of
butterfly arbitrage while eta (1 + |rho|) <= 2. The exchange prices by the same form in `primitives.pricing`, in which
the option is on the settlement's average of 30 minutes, so that some of the variance never comes about. Whole chains
are fitted in `fit`, with shift and width besides.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from holdfast.primitives.smiles import RHO_MAX_PPM
from holdfast.primitives.units import PPM
from holdfast.risk.black import YEAR_S
from holdfast.risk.least_squares import minimise
from holdfast.risk.portfolio import SETTLEMENT_S, Expiry, SurfaceSlice
from holdfast.risk.smile import Shape, compute_variance

FloatArray = NDArray[np.float64]

# What the curvature is where the strikes do not tell it, and the skew too where there is only one.
ETA_UNKNOWN: Final = 1.0
# A little inside of what the exchange's rule takes.
BUTTERFLY_MAX: Final = 1.98
_RHO_MAX: Final = 0.995 * RHO_MAX_PPM / PPM
_STEPS_MAX: Final = 200
_PARAMETERS: Final = 3


class FitErrors(NamedTuple):
    """Of how many single volatilities a fit is, and how far it is off them, as fractions of volatility."""

    points: int
    mean: float
    largest: float


def compute_average_share(seconds: float) -> float:
    """Return the variance of the settlement average over that of the last price, as the exchange's kernel counts it."""
    window = max(seconds, SETTLEMENT_S)
    return (window - 2 / 3 * SETTLEMENT_S) / window


def compute_vols(smile: Shape, moneyness: FloatArray, seconds: float) -> FloatArray:
    """Return the Black-76 volatility at each ln(strike / forward)."""
    variance = compute_variance(smile, moneyness)
    vols: FloatArray = np.sqrt(variance * (compute_average_share(seconds) * YEAR_S / seconds))
    return vols


def surface_vol(surface: SurfaceSlice, strike: float, expiry: Expiry) -> float:
    """Return the volatility of a surface's expiry at a strike."""
    smile = Shape(surface.total_variance, surface.rho, surface.eta, surface.shift, surface.width)
    return float(compute_vols(smile, np.array([math.log(strike / expiry.forward)]), expiry.seconds)[0])


def fit_smile(moneyness: Sequence[float], vols: Sequence[float], seconds: float) -> Shape:
    """Fit level, skew and curvature to single volatilities by least squares; only as many of them as there are strikes.

    With two strikes the curvature is `ETA_UNKNOWN`, with one the skew is none besides.
    """
    free = min(_PARAMETERS, len(set(moneyness)))
    level = sum(vols) ** 2 / len(vols) ** 2 * seconds / YEAR_S / compute_average_share(seconds)

    def residuals(x: FloatArray) -> FloatArray:
        return _list_errors(_decode(level, x), moneyness, vols, seconds)

    starts = (-0.5, 0.0, 0.5) if free > 1 else (0.0,)
    firsts = [np.array([0.0, math.atanh(rho / _RHO_MAX), 0.0])[:free] for rho in starts]
    ends = [minimise(residuals, first, iterations=_STEPS_MAX) for first in firsts]
    return _decode(level, min(ends, key=lambda end: end.cost).parameters)


def measure_errors(shape: Shape, moneyness: Sequence[float], vols: Sequence[float], seconds: float) -> FitErrors:
    """Return how far a smile is off single volatilities."""
    errors = np.abs(_list_errors(shape, moneyness, vols, seconds))
    return FitErrors(len(vols), float(np.mean(errors)), float(np.max(errors)))


def _list_errors(shape: Shape, moneyness: Sequence[float], vols: Sequence[float], seconds: float) -> FloatArray:
    return np.subtract(compute_vols(shape, np.array(moneyness), seconds), vols, dtype=np.float64)


def _decode(level: float, x: FloatArray) -> Shape:
    """Return the smile of free parameters, which keep it free of butterfly arbitrage wherever they go."""
    rho = _RHO_MAX * math.tanh(x[1]) if len(x) > 1 else 0.0
    most = BUTTERFLY_MAX / (1 + abs(rho))
    eta = most / (1 + math.exp(-min(max(x[2], -30.0), 30.0))) if len(x) == _PARAMETERS else min(ETA_UNKNOWN, most)
    return Shape(level * math.exp(min(max(x[0], -20.0), 20.0)), rho, eta, 0.0, 1.0)
