"""The movements of money. Every one of them writes both of its sides."""

from collections.abc import Iterable, Iterator
from typing import Final

from holdfast.primitives.check import ensure
from holdfast.protocol.accounts.state import INSURANCE_FUND, PAGE_BITS, is_margined
from holdfast.protocol.ledger.state import ASSET_NAMES, BALANCE_PAGES, BALANCES, DUST, USDC, VAULT, VaultTotals
from holdfast.protocol.limits import COIN_ATOMS_MAX
from holdfast.state.columns import Columns, Located, make_pages, refresh_pages
from holdfast.state.draft import Draft

_COLUMNS: Final = len(ASSET_NAMES)


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
    refresh_pages(draft[BALANCE_PAGES], _locate(draft, draft[BALANCES].changes()), _COLUMNS)


def make_balance_pages(draft: Draft) -> dict[int, Columns]:
    """Return the pages of all balances, made anew."""
    return make_pages(_locate(draft, draft[BALANCES].keys()), _COLUMNS)


def rebuild(draft: Draft) -> None:
    """Rebuild the pages of balances."""
    draft[BALANCE_PAGES].fill(make_balance_pages(draft))


def _locate(draft: Draft, keys: Iterable[tuple[int, int]]) -> Iterator[Located]:
    """Yield the balances of each account that margin judges and that has one at these keys."""
    get = draft[BALANCES].get
    for account_id in sorted({account_id: True for account_id, _ in keys}):
        if is_margined(account_id):
            page = account_id >> PAGE_BITS
            row = tuple(get((account_id, asset_id)) or 0 for asset_id in range(_COLUMNS))
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
