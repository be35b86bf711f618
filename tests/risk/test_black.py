"""Black-76 of the published models against 50 digits, at expiry, and without volatility."""

import mpmath
import pytest

from holdfast.risk.black import YEAR_S, Terms, compute_delta, compute_price, normal


def exact(terms: Terms, forward: float, vol: float, discount: float) -> mpmath.mpf:
    with mpmath.workdps(50):
        deviation = mpmath.mpf(vol) * mpmath.sqrt(mpmath.mpf(terms.seconds) / YEAR_S)
        upper = mpmath.log(mpmath.mpf(forward) / terms.strike) / deviation + deviation / 2
        sign = 1 if terms.is_call else -1
        inside = forward * mpmath.ncdf(sign * upper) - terms.strike * mpmath.ncdf(sign * (upper - deviation))
        return sign * discount * inside


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("strike", [100.0, 1_500.0, 2_000.0, 2_600.0, 40_000.0])
@pytest.mark.parametrize(("days", "vol"), [(0.01, 0.4), (1, 0.2), (30, 0.7), (400, 3.0)])
def test_price__against_fifty_digits__is_right_to_1e15_of_the_forward(
    strike: float, days: float, vol: float, is_call: bool
) -> None:
    terms = Terms(strike, days * 86_400, is_call)
    wanted = exact(terms, 2_000.0, vol, 0.97)
    assert abs(compute_price(terms, 2_000.0, vol, 0.97) - float(wanted)) <= 4e-15 * max(2_000.0, strike)


@pytest.mark.parametrize(("forward", "call", "put"), [(90.0, 0.0, 10.0), (100.0, 0.0, 0.0), (130.0, 30.0, 0.0)])
@pytest.mark.parametrize(("seconds", "vol"), [(0.0, 0.8), (86_400.0, 0.0)])
def test_price__at_expiry_or_without_vol__is_what_exercise_is_worth(
    forward: float, call: float, put: float, seconds: float, vol: float
) -> None:
    assert compute_price(Terms(100.0, seconds, is_call=True), forward, vol, 0.5) == call / 2
    assert compute_price(Terms(100.0, seconds, is_call=False), forward, vol, 0.5) == put / 2


def test_price__of_a_forward_that_fell_to_zero__is_the_put() -> None:
    assert compute_price(Terms(100.0, 86_400.0, is_call=True), 0.0, 0.5) == 0
    assert compute_price(Terms(100.0, 86_400.0, is_call=False), 0.0, 0.5) == 100


def test_delta__of_call_less_put__is_one() -> None:
    call, put = (Terms(2_100.0, 86_400.0 * 20, is_call) for is_call in (True, False))
    assert compute_delta(call, 2_000.0, 0.6) - compute_delta(put, 2_000.0, 0.6) == pytest.approx(1.0)
    bumped = compute_price(call, 2_000.01, 0.6) - compute_price(call, 1_999.99, 0.6)
    assert compute_delta(call, 2_000.0, 0.6) == pytest.approx(bumped / 0.02, rel=1e-6)
    assert compute_delta(Terms(2_100.0, 0.0, is_call=True), 2_200.0, 0.6) == 1
    assert compute_delta(Terms(2_100.0, 0.0, is_call=False), 2_200.0, 0.6) == 0


def test_normal__far_below__keeps_its_digits() -> None:
    assert normal(-20.0) == pytest.approx(2.7536241186062337e-89, rel=1e-13)
