"""What is divided for people is divided once, exactly, and rounded to money's decimals."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.gateway.numbers import quotient
from holdfast.gateway.orders import read_order_id


def test_quotient__a_cost_by_a_size__shows_no_trace_of_binary_fractions() -> None:
    # 0.03 BTC for 3602.52 USDC: two divisions of doubles would give 120083.99999999999.
    assert quotient(3_602_520_000 * 10**8, 3_000_000 * 10**6) == 120_084.0


@given(st.integers(-(2**62), 2**62), st.integers(1, 2**62))
def test_quotient__any_integers__has_at_most_six_decimals(numerator: int, denominator: int) -> None:
    value = quotient(numerator, denominator)
    assert value == round(value, 6)


def test_read_order_id__beyond_what_an_id_can_be__is_no_id() -> None:
    assert read_order_id("USDC-12") == 12
    assert read_order_id(str(2**63 - 1)) == 2**63 - 1
    assert read_order_id(str(2**63)) is None
    assert read_order_id("9" * 40) is None
    assert read_order_id("-1") is None
