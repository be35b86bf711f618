"""People's numbers become lots, ticks and atoms exactly, or are refused with the nearest that are valid."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.client.amounts import from_atoms, parse_number, show, to_atoms, to_steps
from holdfast.client.errors import EXIT_USAGE, InputError

CENT = Decimal("0.01")


@pytest.mark.parametrize(
    ("number", "step", "count"),
    [
        ("0.01", CENT, 1),
        (0.1, CENT, 10),
        (1, CENT, 100),
        ("1e2", CENT, 10_000),
        (Decimal("61250.05"), Decimal("0.05"), 1_225_001),
        ("100000", Decimal(1), 100_000),
        ("1E+6", Decimal("0.000001"), 10**12),
    ],
)
def test_to_steps__a_number_on_the_grid__is_exact(number: Decimal | float | str, step: Decimal, count: int) -> None:
    assert to_steps(number, step, "amount", "BTC") == count


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("0.015", "amount 0.015 is not a multiple of 0.01 BTC; the nearest are 0.01 and 0.02"),
        ("0.004", "amount 0.004 is not a multiple of 0.01 BTC; the nearest valid is 0.01"),
        ("0", "amount 0 is not positive; give at least 0.01 BTC"),
        ("-1", "amount -1 is not positive; give at least 0.01 BTC"),
        ("ten", "amount 'ten' is not a number; write it like 0.5 or 61250"),
        ("nan", "amount 'nan' is not a usable number; write it like 0.5 or 61250"),
        ("inf", "amount 'inf' is not a usable number; write it like 0.5 or 61250"),
        ("1e99", "amount '1e99' is not a usable number; write it like 0.5 or 61250"),
        ("1" * 30, f"amount '{'1' * 30}' is not a usable number; write it like 0.5 or 61250"),
        ("", "amount '' is not a number; write it like 0.5 or 61250"),
    ],
)
def test_to_steps__any_other_number__is_refused_with_the_mend(number: str, message: str) -> None:
    with pytest.raises(InputError) as refusal:
        to_steps(number, CENT, "amount", "BTC")
    assert str(refusal.value) == message
    assert refusal.value.exit_code == EXIT_USAGE


@given(st.integers(1, 10**9), st.sampled_from(["0.01", "0.1", "1", "0.05", "0.00000001"]))
def test_to_steps__every_multiple_of_a_step__comes_back(count: int, step: str) -> None:
    assert to_steps(show(Decimal(step) * count), Decimal(step), "price", "USDC") == count


def test_to_atoms__an_amount_of_an_asset__is_in_its_smallest_units() -> None:
    assert to_atoms("12.5", "usdc") == (0, 12_500_000)
    assert to_atoms("0.00000001", "BTC") == (1, 1)
    assert from_atoms(12_500_000, 0) == Decimal("12.5")
    with pytest.raises(InputError, match=r"asset 'DOGE' .* choose one of USDC, BTC, ETH, USDT"):
        to_atoms(1, "DOGE")


def test_show__a_number__has_no_exponent_and_no_idle_zeros() -> None:
    shown = [show(parse_number(text, "price")) for text in ("1E+3", "0.50", "100", "0.00000001")]
    assert shown == ["1000", "0.5", "100", "0.00000001"]
