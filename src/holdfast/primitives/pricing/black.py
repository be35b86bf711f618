"""Black-76 on arrays of doubles: price, delta, gamma, vega, theta, and the deviation that a price implies.

The out-of-the-money side is priced, over the smaller of forward and strike, and parity adds the intrinsic value, so
that no digits cancel. With x = |ln(K/F)|, sd = sigma sqrt(T) and h = sd/2 - x/sd that price is N(h) - e^x N(h - sd),
and the two normal densities differ by that same e^x: one exponential serves both tails, calls and puts, and all five
outputs. Its derivative in sd is the normal density at h.

Sources: Black 1976; Manaster and Koehler 1982 (the start sqrt(2x), where the price's curvature in sd changes sign).
"""

from typing import Final, NamedTuple

import numpy as np

from holdfast.primitives.pricing.inputs import BoolArray, FloatArray, Values
from holdfast.primitives.pricing.maths import EXP_MIN, ONE_OVER_SQRT_2PI, exp, log, mills

__all__ = [
    "VARIANCE_FLOOR",
    "Tails",
    "black76",
    "black76_price",
    "compute_greeks",
    "compute_price",
    "implied_deviation",
]

# Below this total variance an option is worth its intrinsic value; no admissible live slice comes near it.
VARIANCE_FLOOR: Final = 1e-24

_BLOCK_ELEMENTS: Final = 4096

_STEPS: Final = 7
_SQRT_2PI: Final = 2.5066282746310002
_SHARE_MIN: Final = 1e-250
_DEVIATION_MIN: Final = 1e-6
_DEVIATION_MAX: Final = 40.0
_STEP_DIVISOR_MIN: Final = 0.5
_OUTSIDE: Final = -1.0


class Tails(NamedTuple):
    """Both normal tails over their common density, and what they came from; arrays of one shape."""

    deviation: FloatArray
    upper: FloatArray  # h
    near: FloatArray  # the tail beyond |h|
    far: FloatArray  # the tail beyond sd - h
    density: FloatArray  # e^(-h^2/2)

    @classmethod
    def of(cls, moneyness: FloatArray, deviation: FloatArray) -> "Tails":
        """Compute from x = |ln(strike / forward)|, which is overwritten, and deviations > 0."""
        moneyness /= deviation
        half = deviation * 0.5
        upper = half - moneyness
        exponent = upper * upper
        exponent *= -0.5
        np.maximum(exponent, EXP_MIN, out=exponent)
        # Both tails in one array: half as many calls.
        ends = np.empty((2, *upper.shape))
        np.abs(upper, out=ends[0])
        np.add(half, moneyness, out=ends[1])
        near, far = mills(ends)
        return cls(deviation, upper, near, far, exp(exponent))

    def price(self) -> FloatArray:
        """Return the out-of-the-money option's price over the smaller of forward and strike."""
        inside = np.copysign(self.near, self.upper)
        inside += self.far
        inside *= self.density
        price = (self.upper >= 0.0).astype(np.float64)
        price -= inside
        np.maximum(price, 0.0, out=price)
        return price


def black76(
    forward: FloatArray, strike: FloatArray, variance: FloatArray, years: FloatArray, is_call: BoolArray, out: Values
) -> None:
    """Write price and Greeks of each option to `out`; all arrays are vectors of one length."""
    for start in range(0, forward.shape[0], _BLOCK_ELEMENTS):
        block = slice(start, start + _BLOCK_ELEMENTS)
        part = forward[block], strike[block], variance[block]
        sign = np.where(is_call[block], 1.0, -1.0)
        ratio = _ratio(part[0], part[1])
        tails = Tails.of(_moneyness(ratio), _deviation(part[2]))
        out.price[block] = compute_price(tails, *part, sign)
        greeks = compute_greeks(tails, *part, years[block], ratio, sign)
        for column, values in zip(out[1:], greeks, strict=True):
            column[block] = values


def black76_price(
    forward: FloatArray, strike: FloatArray, variance: FloatArray, is_call: BoolArray, out: FloatArray
) -> None:
    """Write the price of each option to `out`; all arrays are vectors of one length."""
    for start in range(0, forward.shape[0], _BLOCK_ELEMENTS):
        block = slice(start, start + _BLOCK_ELEMENTS)
        part = forward[block], strike[block], variance[block]
        tails = Tails.of(_moneyness(_ratio(part[0], part[1])), _deviation(part[2]))
        out[block] = compute_price(tails, *part, np.where(is_call[block], 1.0, -1.0))


def compute_price(
    tails: Tails, forward: FloatArray, strike: FloatArray, variance: FloatArray, sign: FloatArray
) -> FloatArray:
    """Return the price; `sign` is +1 for a call, -1 for a put."""
    price = tails.price()
    price[variance <= VARIANCE_FLOOR] = 0.0
    price *= np.minimum(forward, strike)
    price += _intrinsic(forward, strike, sign)
    return price


def compute_greeks(
    tails: Tails,
    forward: FloatArray,
    strike: FloatArray,
    variance: FloatArray,
    years: FloatArray,
    ratio: FloatArray,
    sign: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return delta, gamma, vega for a volatility of one, theta for a year.

    `ratio` is the smaller of forward and strike over the larger, which is e^-x.
    """
    is_above = strike >= forward
    tail = np.where(is_above, tails.near, tails.far * ratio)
    tail *= tails.density
    likely = np.where(~is_above | (tails.upper >= 0.0), 1.0, -1.0)
    delta = np.where(likely * sign > 0.0, 1.0 - tail, tail)
    delta *= sign
    # The forward times its density; the same for strike and forward.
    weight = np.minimum(forward, strike)
    weight *= tails.density
    weight *= ONE_OVER_SQRT_2PI
    weight[variance <= VARIANCE_FLOOR] = 0.0
    gamma = forward * forward
    gamma *= tails.deviation
    np.divide(weight, gamma, out=gamma)
    vega = weight * np.sqrt(years)
    weight *= tails.deviation
    weight *= -0.5
    weight /= years
    return delta, gamma, vega, weight


def implied_deviation(
    price: FloatArray, forward: FloatArray, strike: FloatArray, is_call: BoolArray, out: FloatArray
) -> None:
    """Write sigma sqrt(T) of each price to `out`; all arrays are vectors of one length."""
    for start in range(0, forward.shape[0], _BLOCK_ELEMENTS):
        block = slice(start, start + _BLOCK_ELEMENTS)
        sign = np.where(is_call[block], 1.0, -1.0)
        time_value = price[block] - _intrinsic(forward[block], strike[block], sign)
        share = time_value / np.minimum(forward[block], strike[block])
        deviation = _solve(_moneyness(_ratio(forward[block], strike[block])), share)
        deviation = np.where(share < _SHARE_MIN, 0.0, deviation)
        out[block] = np.where((time_value < 0.0) | (share >= 1.0), _OUTSIDE, deviation)


def _solve(moneyness: FloatArray, share: FloatArray) -> FloatArray:
    """Return the deviation at which the out-of-the-money price is this share of the smaller of forward and strike.

    Why: below the price at sqrt(2x), where it is convex in sd, Halley's step is taken on its logarithm, which is
    almost a multiple of 1/sd^2; above, where it is concave, on the price itself.
    """
    share = np.minimum(np.maximum(share, _SHARE_MIN), 1.0)
    log_share = log(share)
    turn = np.sqrt(moneyness * 2.0)
    middle = Tails.of(moneyness.copy(), np.maximum(turn, _DEVIATION_MIN)).price()
    is_low = share < middle
    low_start = np.minimum(turn, moneyness / np.sqrt(np.maximum(log_share * -2.0, 1e-3)))
    deviation = np.where(is_low, low_start, np.maximum(turn, share * _SQRT_2PI))
    deviation = np.minimum(np.maximum(deviation, _DEVIATION_MIN), _DEVIATION_MAX)
    for _ in range(_STEPS):
        tails = Tails.of(moneyness.copy(), deviation)
        value = np.maximum(tails.price(), _SHARE_MIN)
        slope = tails.density * ONE_OVER_SQRT_2PI
        bend = moneyness / deviation
        bend *= bend
        bend /= deviation
        bend -= deviation * 0.25
        step = np.where(is_low, value * (log(value) - log_share), value - share) / slope
        bend = np.where(is_low, bend - slope / value, bend)
        deviation = deviation - step / np.maximum(1.0 - step * bend * 0.5, _STEP_DIVISOR_MIN)
        deviation = np.minimum(np.maximum(deviation, _DEVIATION_MIN), _DEVIATION_MAX)
    return deviation


def _ratio(forward: FloatArray, strike: FloatArray) -> FloatArray:
    return np.minimum(forward, strike) / np.maximum(forward, strike)


def _moneyness(ratio: FloatArray) -> FloatArray:
    value = log(ratio)
    return np.negative(value, out=value)


def _deviation(variance: FloatArray) -> FloatArray:
    return np.sqrt(np.maximum(variance, VARIANCE_FLOOR))


def _intrinsic(forward: FloatArray, strike: FloatArray, sign: FloatArray) -> FloatArray:
    inside = forward - strike
    inside *= sign
    return np.where(inside > 0.0, inside, 0.0)
