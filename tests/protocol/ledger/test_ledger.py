"""Movements of money: two sides each, nothing made or lost, only USDC can be owed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.primitives.check import BrokenInvariantError
from holdfast.protocol.accounts.state import INSURANCE_FUND
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import BALANCES, BTC, DUST, USDC
from holdfast.protocol.schema import TABLES
from holdfast.state.draft import Draft
from holdfast.state.store import State


@pytest.fixture
def draft() -> Draft:
    return State(TABLES).draft()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(-(10**6), 10**6)), max_size=30))
def test_moves__any_number__conserve_the_sum_and_keep_no_empty_row(moves: list[tuple[int, int, int]]) -> None:
    draft = State(TABLES).draft()
    ledger.deposit(draft, 1, USDC, 500)
    expected = {1: 500, 2: 0, 3: 0, 4: 0}
    for payer, payee, amount in moves:
        ledger.move(draft, payer, payee, USDC, amount)
        expected[payer] -= amount
        expected[payee] += amount
    assert {account: ledger.get_cash(draft, account) for account in expected} == expected
    assert sum(amount for _, amount in draft[BALANCES].items()) == 500
    assert all(amount for _, amount in draft[BALANCES].items())


def test_move_both__of_any_signs__gives_a_third_what_both_lose(draft: Draft) -> None:
    ledger.deposit(draft, 1, USDC, 500)
    for one_atoms, other_atoms in ((-120, 100), (0, -3), (50, -50), (0, 0)):
        ledger.move_both(draft, 1, one_atoms, 2, other_atoms, 3)
    assert [ledger.get_cash(draft, account_id) for account_id in (1, 2, 3)] == [430, 47, 23]


def test_coins__more_than_there_are__halt(draft: Draft) -> None:
    ledger.deposit(draft, 1, BTC, 5)
    with pytest.raises(BrokenInvariantError, match="only USDC can be owed"):
        ledger.move(draft, 1, 2, BTC, 6)


def test_vault__counts_what_came_and_went_and_pays_no_more_than_it_holds(draft: Draft) -> None:
    ledger.deposit(draft, 1, USDC, 10)
    ledger.withdraw(draft, 1, USDC, 4)
    totals = ledger.get_vault(draft, USDC)
    assert (totals.deposited_atoms, totals.withdrawn_atoms) == (10, 4)
    with pytest.raises(BrokenInvariantError, match="the vault holds what it pays out"):
        ledger.withdraw(draft, 1, USDC, 7)


@pytest.mark.parametrize("amount", [0, -1])
def test_deposit_and_withdrawal__of_nothing__halt(draft: Draft, amount: int) -> None:
    for transition in (ledger.deposit, ledger.withdraw):
        with pytest.raises(BrokenInvariantError):
            transition(draft, 1, USDC, amount)


def test_dust__goes_to_the_fund_and_is_counted(draft: Draft) -> None:
    ledger.deposit(draft, 9, USDC, 10)
    ledger.book_dust(draft, 9, USDC, 3)
    ledger.book_dust(draft, 9, USDC, 0)
    assert (ledger.get_cash(draft, INSURANCE_FUND), draft[DUST][USDC]) == (3, 3)
    with pytest.raises(BrokenInvariantError):
        ledger.book_dust(draft, 9, USDC, -1)
