"""The movements of money. Every one of them writes both of its sides."""

from collections.abc import Iterable, Iterator
from typing import Final

from holdfast.primitives.check import ensure
from holdfast.protocol.accounts.state import INSURANCE_FUND, PAGE_BITS, is_margined
from holdfast.protocol.ledger.state import ASSET_NAMES, BALANCES, CASH_PAGES, COIN_PAGES, DUST, USDC, VAULT, VaultTotals
from holdfast.protocol.limits import COIN_ATOMS_MAX
from holdfast.state.columns import Columns, Located, make_pages, refresh_pages
from holdfast.state.draft import Draft

_COINS: Final = range(USDC + 1, len(ASSET_NAMES))


def get_balance(draft: Draft, account_id: int, asset_id: int) -> int:
    """Return a balance in atoms; USDC may be negative."""
    return draft[BALANCES].get((account_id, asset_id)) or 0


def get_cash(draft: Draft, account_id: int) -> int:
    """Return a USDC balance in atoms."""
    return draft[BALANCES].get((account_id, USDC)) or 0


def get_vault(draft: Draft, asset_id: int) -> VaultTotals:
    """Return what has come in and gone out of an asset."""
    return draft[VAULT].get(asset_id) or VaultTotals(0, 0)


def get_held_atoms(totals: VaultTotals | None) -> int:
    """Return what a vault holds by its totals; nothing where there are none yet."""
    return 0 if totals is None else totals.deposited_atoms - totals.withdrawn_atoms


def move(draft: Draft, payer_id: int, payee_id: int, asset_id: int, amount_atoms: int) -> None:
    """Move an amount from one account to another; a negative amount moves the other way."""
    if amount_atoms and payer_id != payee_id:
        _add(draft, payer_id, asset_id, -amount_atoms)
        _add(draft, payee_id, asset_id, amount_atoms)


def move_both(draft: Draft, one_id: int, one_atoms: int, other_id: int, other_atoms: int, payee_id: int) -> None:
    """Change the cash of two accounts, signed; what both lose together goes to a third."""
    for account_id, change_atoms in (
        (one_id, one_atoms),
        (other_id, other_atoms),
        (payee_id, -one_atoms - other_atoms),
    ):
        if change_atoms:
            _add(draft, account_id, USDC, change_atoms)


def deposit(draft: Draft, account_id: int, asset_id: int, amount_atoms: int) -> None:
    """Credit what has come into the vault."""
    ensure(amount_atoms > 0, "a deposit adds money")
    totals = get_vault(draft, asset_id)
    draft[VAULT].put(asset_id, VaultTotals(totals.deposited_atoms + amount_atoms, totals.withdrawn_atoms))
    _add(draft, account_id, asset_id, amount_atoms)


def withdraw(draft: Draft, account_id: int, asset_id: int, amount_atoms: int) -> None:
    """Debit what leaves the vault."""
    ensure(amount_atoms > 0, "a withdrawal takes money")
    totals = get_vault(draft, asset_id)
    ensure(totals.deposited_atoms - totals.withdrawn_atoms >= amount_atoms, "the vault holds what it pays out")
    draft[VAULT].put(asset_id, VaultTotals(totals.deposited_atoms, totals.withdrawn_atoms + amount_atoms))
    _add(draft, account_id, asset_id, -amount_atoms)


def book_dust(draft: Draft, payer_id: int, asset_id: int, amount_atoms: int) -> None:
    """Give a rounding remainder to the insurance fund and count it."""
    ensure(amount_atoms >= 0, "dust only goes to the fund")
    if amount_atoms:
        move(draft, payer_id, INSURANCE_FUND, asset_id, amount_atoms)
        draft[DUST].put(asset_id, (draft[DUST].get(asset_id) or 0) + amount_atoms)


def refresh(draft: Draft) -> None:
    """Bring the pages up to the balances as of now."""
    changes = draft[BALANCES].changes()
    refresh_pages(draft[CASH_PAGES], _locate_cash(changes.items()), 1)
    refresh_pages(draft[COIN_PAGES], _locate_coins(draft, changes), len(_COINS))


def make_cash_pages(draft: Draft) -> dict[int, Columns]:
    """Return the pages of all cash, made anew."""
    return make_pages(_locate_cash(draft[BALANCES].items()), 1)


def make_coin_pages(draft: Draft) -> dict[int, Columns]:
    """Return the pages of all coins, made anew."""
    return make_pages(_locate_coins(draft, draft[BALANCES].keys()), len(_COINS))


def rebuild(draft: Draft) -> None:
    """Rebuild the pages of cash and of coins."""
    draft[CASH_PAGES].fill(make_cash_pages(draft))
    draft[COIN_PAGES].fill(make_coin_pages(draft))


def _locate_cash(rows: Iterable[tuple[tuple[int, int], int | None]]) -> Iterator[Located]:
    """Yield the cash of accounts that margin judges."""
    for (account_id, asset_id), amount in rows:
        if asset_id == USDC and is_margined(account_id):
            page = account_id >> PAGE_BITS
            yield page, account_id - (page << PAGE_BITS), None if amount is None else (amount,)


def _locate_coins(draft: Draft, keys: Iterable[tuple[int, int]]) -> Iterator[Located]:
    """Yield all coins of each account that margin judges and that has a coin's balance at one of these keys."""
    get = draft[BALANCES].get
    for account_id in sorted({account_id: True for account_id, asset_id in keys if asset_id != USDC}):
        if is_margined(account_id):
            page = account_id >> PAGE_BITS
            row = tuple(get((account_id, asset_id)) or 0 for asset_id in _COINS)
            yield page, account_id - (page << PAGE_BITS), row if any(row) else None


def _add(draft: Draft, account_id: int, asset_id: int, change_atoms: int) -> None:
    balances = draft[BALANCES]
    key = (account_id, asset_id)
    after = (balances.get(key) or 0) + change_atoms
    if asset_id != USDC:
        ensure(after >= 0, "only USDC can be owed")
        ensure(after <= COIN_ATOMS_MAX, "a balance of coins fits what margin can multiply")
    if after:
        balances.put(key, after)
    else:
        balances.delete(key)
