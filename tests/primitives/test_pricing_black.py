"""Black-76 in doubles: against fifty digits, and the shape that prices have. Fixed point: `kernels/pricing/tests/`."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.primitives import pricing
from holdfast.primitives.pricing import BoolArray, FloatArray, Values

COUNT = 2000


def values(
    forward: FloatArray, strike: FloatArray, variance: FloatArray, years: FloatArray, is_call: BoolArray
) -> Values:
    found = pricing.black76(forward, strike, variance, years, is_call)
    assert np.array_equal(found.price, pricing.black76_price(forward, strike, variance, is_call))
    return found


@pytest.fixture(scope="module")
def broad() -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, BoolArray]:
    """Return deviations from 0.0001 to 10, and strikes up to 8 deviations and e^20 times away."""
    draw = np.random.default_rng(21)
    forward = np.exp(draw.uniform(0.0, 12.0, COUNT))
    deviation = 10.0 ** draw.uniform(-4.0, 1.0, COUNT)
    near, far = deviation * draw.uniform(-8.0, 8.0, COUNT), draw.uniform(-20.0, 20.0, COUNT)
    moneyness = np.where(draw.random(COUNT) < 0.3, far, np.clip(near, -25.0, 25.0))
    strike = np.clip(forward * np.exp(moneyness), 1e-12, 1e15)
    return forward, strike, deviation * deviation, draw.uniform(0.001, 3.0, COUNT), draw.random(COUNT) < 0.5


def test_values__over_a_broad_grid__agree_with_fifty_digits(
    broad: tuple[FloatArray, FloatArray, FloatArray, FloatArray, BoolArray],
) -> None:
    found = values(*broad)
    worst = dict.fromkeys(("price", "outside", "delta", "gamma", "vega", "theta"), mpmath.mpf(0))
    with mpmath.workdps(50):
        for i, (forward, strike, variance, years, is_call) in enumerate(zip(*broad, strict=True)):
            f, k, v, t = (mpmath.mpf(float(value)) for value in (forward, strike, variance, years))
            deviation, sign = mpmath.sqrt(v), 1 if is_call else -1
            d1 = mpmath.log(f / k) / deviation + deviation / 2
            tails = [mpmath.erfc(-sign * d / mpmath.sqrt(2)) / 2 for d in (d1, d1 - deviation)]
            density = mpmath.npdf(d1)
            price_error = abs(float(found.price[i]) - sign * (f * tails[0] - k * tails[1]))
            # Greeks are as ill-conditioned as ln(strike / forward) over the deviation.
            loosening = 1 + 1 / deviation
            errors = {
                "price": price_error / max(f, k),
                "outside": price_error / min(f, k) if (k >= f) == is_call else 0,
                "delta": abs(float(found.delta[i]) - sign * tails[0]) / loosening,
                "gamma": abs(float(found.gamma[i]) - density / (f * deviation)) * f * deviation / loosening,
                "vega": abs(float(found.vega[i]) - f * density * mpmath.sqrt(t)) / f / mpmath.sqrt(t) / loosening,
                "theta": abs(float(found.theta[i]) + f * density * deviation / (2 * t)) / f * t,
            }
            worst = {name: max(worst[name], errors[name]) for name in worst}
    assert worst["price"] <= 1e-15
    assert worst["outside"] <= 1e-15
    assert worst["delta"] <= 2e-15
    assert worst["gamma"] <= 2e-15
    assert worst["vega"] <= 2e-15
    assert worst["theta"] <= 2e-15


POSITIVE = st.floats(1e-3, 1e9)
MOVES = st.lists(st.floats(-8.0, 8.0), min_size=3, max_size=3, unique=True)
DEVIATION = st.floats(0.0, 9.0)


def fill(value: float, count: int) -> FloatArray:
    return np.full(count, value, dtype=np.float64)


@given(POSITIVE, st.floats(-8.0, 8.0), DEVIATION)
def test_parity__call_less_put__is_forward_less_strike_to_rounding(
    forward: float, move: float, deviation: float
) -> None:
    strike = forward * float(np.exp(move))
    pair = (fill(forward, 2), fill(strike, 2), fill(deviation * deviation, 2), fill(1.0, 2), np.array([True, False]))
    found = values(*pair)
    ulp = float(np.spacing(max(forward, strike)))
    assert abs((found.price[0] - found.price[1]) - (forward - strike)) <= 2 * ulp
    assert abs(found.delta[0] - found.delta[1] - 1.0) <= 2.0**-52
    assert all(column[0] == column[1] for column in (found.gamma, found.vega, found.theta))


@given(POSITIVE, st.floats(-8.0, 8.0), st.lists(DEVIATION, min_size=2, max_size=8), st.booleans())
def test_price__in_volatility__never_falls(forward: float, move: float, deviations: list[float], call: bool) -> None:
    ordered = np.sort(np.array(deviations))
    count = len(ordered)
    strike = forward * float(np.exp(move))
    prices = pricing.black76_price(fill(forward, count), fill(strike, count), ordered**2, np.full(count, call))
    assert np.all(np.diff(prices) >= -4 * np.spacing(max(forward, strike)))
    assert np.all(prices <= (forward if call else strike))
    assert np.all(prices >= max((forward - strike) * (1 if call else -1), 0.0))


@given(POSITIVE, MOVES, DEVIATION, st.booleans())
def test_price__in_strike__is_monotone_and_convex(
    forward: float, moves: list[float], deviation: float, call: bool
) -> None:
    strikes = forward * np.exp(np.sort(np.array(moves)))
    prices = pricing.black76_price(fill(forward, 3), strikes, fill(deviation * deviation, 3), np.full(3, call))
    slack = 4 * np.spacing(max(forward, float(strikes[2])))
    assert np.all(np.diff(prices) * (-1 if call else 1) >= -slack)
    share = (strikes[1] - strikes[0]) / (strikes[2] - strikes[0]) if strikes[2] > strikes[0] else 0.0
    assert prices[1] <= prices[0] * (1 - share) + prices[2] * share + slack


def test_implied__in_its_domain__comes_back_to_1e_13() -> None:
    draw = np.random.default_rng(23)
    deviation = 10.0 ** draw.uniform(-3.0, np.log10(5.0), 20 * COUNT)
    moneyness = np.clip(deviation * draw.uniform(-30.0, 30.0, 20 * COUNT), -25.0, 25.0)
    moneyness[::100] = 0.0
    forward = fill(1000.0, 20 * COUNT)
    strike = forward * np.exp(moneyness)
    outside: BoolArray = strike >= forward
    prices = pricing.black76_price(forward, strike, deviation * deviation, outside)
    found = pricing.implied_deviation(prices, forward, strike, outside)
    assert np.max(np.abs(found - deviation)) <= 1e-13


def test_implied__in_the_money__loses_what_the_intrinsic_value_hides() -> None:
    draw = np.random.default_rng(24)
    deviation = 10.0 ** draw.uniform(-2.0, 0.0, COUNT)
    forward = fill(1000.0, COUNT)
    strike = forward * np.exp(deviation * draw.uniform(-2.0, 2.0, COUNT))
    inside: BoolArray = strike < forward
    found = values(forward, strike, deviation * deviation, fill(1.0, COUNT), inside)
    implied = pricing.implied_deviation(found.price, forward, strike, inside)
    digits_lost = np.spacing(found.price) / found.vega
    assert np.all(np.abs(implied - deviation) <= 1e-14 + 2 * digits_lost)


@pytest.mark.parametrize(
    ("price", "is_call", "expected"),
    [
        (20.0, True, 0.0),  # the intrinsic value
        (19.999, True, -1.0),
        (120.0, True, -1.0),  # the forward
        (0.0, False, 0.0),
        (100.0, False, -1.0),  # the strike
    ],
)
def test_implied__prices_at_and_outside_the_bounds__have_their_sentinels(
    price: float, is_call: bool, expected: float
) -> None:
    found = pricing.implied_deviation(np.array([price]), np.array([120.0]), np.array([100.0]), np.array([is_call]))
    assert found.tolist() == [expected]
