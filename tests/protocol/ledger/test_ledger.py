"""Movements of money: two sides each, nothing made or lost, only USDC can be owed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.primitives.check import BrokenInvariantError
from holdfast.protocol.accounts.state import BACKSTOP, CLEARING_BASE, INSURANCE_FUND
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import BALANCES, BTC, CASH_PAGES, COIN_PAGES, DUST, USDC
from holdfast.protocol.limits import COIN_ATOMS_MAX
from holdfast.protocol.schema import TABLES
from holdfast.state.draft import Draft
from holdfast.state.store import Changed, Sealed, State
from holdfast.state.tree import StateTree


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


ACCOUNTS = (INSURANCE_FUND, BACKSTOP, 1_000, 1_001, 2_047, 2_048, 5_000, CLEARING_BASE + 7)
Moves = list[tuple[int, int, int, int]]
moves_of_all_assets = st.lists(
    st.tuples(
        st.sampled_from(ACCOUNTS), st.sampled_from(ACCOUNTS), st.integers(0, 3), st.integers(0, 10**6) | st.just(10**15)
    ),
    max_size=12,
)


def commit(state: State, draft: Draft) -> Draft:
    state.commit(Sealed(Changed(state.tables, draft), (), StateTree().plan(()), state.root))
    return state.draft()


@settings(max_examples=150, deadline=None)
@given(st.lists(moves_of_all_assets, min_size=1, max_size=4))
def test_pages__after_any_moves_in_any_blocks__are_the_balances(blocks: list[Moves]) -> None:
    state = State(TABLES)
    draft = state.draft()
    for asset_id in range(4):
        for account_id in ACCOUNTS:
            ledger.deposit(draft, account_id, asset_id, 10**15)
    for moves in blocks:
        ledger.refresh(draft)
        for payer, payee, asset_id, amount in moves:
            held = ledger.get_balance(draft, payer, asset_id)
            ledger.move(draft, payer, payee, asset_id, amount if asset_id == USDC else min(amount, held))
            ledger.refresh(draft)
        for pages, assets in ((CASH_PAGES, (0,)), (COIN_PAGES, (1, 2, 3))):
            told = {
                (page << 10) + int(key): tuple(columns.values[:, place].tolist())
                for page, columns in draft[pages].items()
                for place, key in enumerate(columns.keys)
            }
            rows = {one: tuple(ledger.get_balance(draft, one, asset) for asset in assets) for one in ACCOUNTS[1:-1]}
            assert told == {one: row for one, row in rows.items() if any(row)}
        assert draft[CASH_PAGES].as_dict() == ledger.make_cash_pages(draft)
        assert draft[COIN_PAGES].as_dict() == ledger.make_coin_pages(draft)
        draft = commit(state, draft)


def test_coins__at_what_margin_can_multiply__are_held_and_an_atom_more_halts(draft: Draft) -> None:
    ledger.deposit(draft, 1, BTC, COIN_ATOMS_MAX)
    with pytest.raises(BrokenInvariantError, match="fits what margin can multiply"):
        ledger.deposit(draft, 1, BTC, 1)
    ledger.deposit(draft, 1, USDC, COIN_ATOMS_MAX + 1)


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
