"""Implied volatility from prices, off the chain: the inverse of Black-76 on the side out of the money, in doubles."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_DEVIATION_MAX: Final = 40.0
_STEPS: Final = 80
_SQRT_2: Final = math.sqrt(2.0)
_erfc: Final = np.frompyfunc(math.erfc, 1, 1)


def normal(x: Floats) -> Floats:
    """Return the normal distribution function, relatively exact far into the lower tail."""
    below: Floats = np.asarray(_erfc(-x / _SQRT_2), dtype=np.float64) / 2
    return below


def compute_premium(moneyness: Floats, deviation: Floats) -> Floats:
    """Return the price of the option out of the money over the forward: a call at moneyness >= 0, else a put."""
    upper = deviation / 2 - moneyness / deviation
    lower = upper - deviation
    call = normal(upper) - np.exp(moneyness) * normal(lower)
    put = np.exp(moneyness) * normal(-lower) - normal(-upper)
    return np.where(moneyness >= 0, call, put)


def compute_deviation(moneyness: Floats, premium: Floats) -> Floats:
    """Return the deviation, volatility x sqrt(years), whose premium a price is, by bisection down to the last bits.

    The premium grows with the deviation, from nothing to min(1, e^moneyness); a price outside gives an end of it.
    """
    low, high = np.zeros_like(moneyness), np.full_like(moneyness, _DEVIATION_MAX)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        is_below = compute_premium(moneyness, middle) < premium
        low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
    return (low + high) / 2


def compute_delta(moneyness: Floats, deviation: Floats) -> Floats:
    """Return the delta to the forward of the option out of the money."""
    upper = deviation / 2 - moneyness / deviation
    return np.where(moneyness >= 0, normal(upper), normal(upper) - 1.0)
