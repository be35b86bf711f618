"""Prices, deltas and implied deviations of options out of the money, over the forward, by the exchange's pricing."""

from typing import Final

import numpy as np
import numpy.typing as npt

from holdfast.primitives import pricing

Floats = npt.NDArray[np.float64]

# Where a quote is worth no less than the option can be: nothing trades near it.
_DEVIATION_MAX: Final = 40.0


def compute_premium(moneyness: Floats, deviation: Floats) -> Floats:
    """Return the price of the option out of the money over the forward: a call at moneyness >= 0, else a put."""
    return pricing.black76_price(np.ones_like(moneyness), np.exp(moneyness), deviation**2, moneyness >= 0)


def compute_deviation(moneyness: Floats, premium: Floats) -> Floats:
    """Return the deviation, volatility x sqrt(years), whose premium a price is.

    The premium grows with the deviation, from nothing to min(1, e^moneyness); a price outside gives 0 or 40.
    """
    strike = np.exp(moneyness)
    inside = (premium > 0.0) & (premium < np.minimum(1.0, strike))
    deviation = np.where(premium > 0.0, _DEVIATION_MAX, 0.0)
    deviation[inside] = pricing.implied_deviation(
        premium[inside], np.ones(np.count_nonzero(inside)), strike[inside], moneyness[inside] >= 0
    )
    return deviation


def compute_delta(moneyness: Floats, deviation: Floats) -> Floats:
    """Return the delta to the forward of the option out of the money."""
    one = np.ones_like(moneyness)
    return pricing.black76(one, np.exp(moneyness), deviation**2, one, moneyness >= 0).delta
