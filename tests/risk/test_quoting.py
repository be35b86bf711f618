"""Quoting a whole chain on both sides under protection: the cost is the protection's, not the chain's."""

from dataclasses import replace

import pytest

from holdfast.risk import InputError, compute_margin
from holdfast.risk.quoting import make_chain, quoting_cost
from tests.support.margin_cases import account_document, read

CHAIN = make_chain()


def test_quoting__a_whole_chain_under_protection__stays_affordable() -> None:
    cost = quoting_cost(CHAIN)
    assert (cost.instruments, cost.quotes) == (512, 1_024)
    assert cost.notional == 1_024 * 96_000.0
    assert cost.protected_notional == 5 * 96_000.0
    # A twentieth of what may fill, and less than a thousandth of what is quoted.
    assert 0 < cost.initial < 0.05 * cost.protected_notional
    assert cost.share < 0.001
    assert cost.share_unprotected > 100 * cost.share


def test_quoting__cost_grows_with_the_protection_and_not_with_the_chain() -> None:
    small = quoting_cost(CHAIN, instruments_max=128)
    whole = quoting_cost(CHAIN, instruments_max=256)
    assert whole.initial < 1.5 * small.initial
    assert whole.initial_unprotected > 1.7 * small.initial_unprotected
    double = quoting_cost(CHAIN, instruments_max=128, protection=10.0)
    assert double.initial == pytest.approx(2 * small.initial, rel=1e-4)


def test_quoting__beside_positions__counts_what_it_adds() -> None:
    account = read(account_document())
    cost = quoting_cost(account, underlying="ETH", amount=10.0, protection=20.0)
    assert (cost.instruments, cost.quotes) == (4, 8)
    assert 0 <= cost.initial <= cost.initial_unprotected
    bare = compute_margin(replace(account, orders=(), protections={}))
    assert bare.initial + cost.initial >= bare.initial


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"underlying": "ETH"}, "no option of ETH is marked"),
        ({"amount": 0.001}, "0.001 is not a multiple of the lot"),
        ({"amount": 0.0}, "amount and protection are above zero"),
        ({"half_spread": 1.0}, "the half spread between 0 and 1"),
    ],
)
def test_quoting__what_cannot_be_quoted__is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        quoting_cost(CHAIN, **options)  # type: ignore[arg-type]
