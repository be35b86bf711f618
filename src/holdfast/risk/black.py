"""Black-76 in doubles, for the published models only; the exchange prices with `primitives.pricing`."""

import math
from typing import Final, NamedTuple

DAY_S: Final = 86_400.0
YEAR_S: Final = 365 * DAY_S

_SQRT_2: Final = math.sqrt(2.0)


class Terms(NamedTuple):
    """An option: strike in USD, seconds to expiry, call or put."""

    strike: float
    seconds: float
    is_call: bool


def compute_price(terms: Terms, forward: float, vol: float, discount: float = 1.0) -> float:
    """Return an option's value in USD a coin; at expiry, and without volatility, what it is worth inside.

    Source: Black 1976, eq. 16, on the forward.
    """
    deviation = vol * math.sqrt(terms.seconds / YEAR_S)
    if deviation <= 0 or forward <= 0:
        inside = forward - terms.strike if terms.is_call else terms.strike - forward
        return discount * max(inside, 0.0)
    upper = math.log(forward / terms.strike) / deviation + deviation / 2
    lower = upper - deviation
    if terms.is_call:
        return discount * (forward * normal(upper) - terms.strike * normal(lower))
    return discount * (terms.strike * normal(-lower) - forward * normal(-upper))


def compute_delta(terms: Terms, forward: float, vol: float) -> float:
    """Return the undiscounted delta to the forward."""
    deviation = vol * math.sqrt(terms.seconds / YEAR_S)
    if deviation <= 0 or forward <= 0:
        above = 1.0 if forward > terms.strike else 0.0
    else:
        above = normal(math.log(forward / terms.strike) / deviation + deviation / 2)
    return above if terms.is_call else above - 1.0


def normal(deviations: float) -> float:
    """Return the normal distribution function, relatively exact far into the lower tail."""
    return math.erfc(-deviations / _SQRT_2) / 2
