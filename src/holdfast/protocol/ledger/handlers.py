"""The movements of money. Every one of them writes both of its sides."""

from collections.abc import Iterable, Iterator

from holdfast.primitives.check import ensure
from holdfast.protocol.accounts.state import INSURANCE_FUND, PAGE_BITS, is_margined
from holdfast.protocol.ledger.state import ASSET_NAMES, BALANCES, CASH_PAGES, DUST, EXPOSED, USDC, VAULT, VaultTotals
from holdfast.state.columns import Columns, Located, make_pages, refresh_pages
from holdfast.state.draft import Draft


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
    """Bring the pages of cash up to the balances as of now."""
    refresh_pages(draft[CASH_PAGES], _locate(draft[BALANCES].changes().items()), 1)


def make_cash_pages(draft: Draft) -> dict[int, Columns]:
    """Return the pages of all cash, made anew."""
    return make_pages(_locate(draft[BALANCES].items()), 1)


def rebuild(draft: Draft) -> None:
    """Rebuild the index of accounts with a coin or a debt, and the pages of cash."""
    draft[CASH_PAGES].fill(make_cash_pages(draft))
    draft[EXPOSED].fill(
        {
            account_id: True
            for (account_id, asset_id), amount in draft[BALANCES].items()
            if asset_id != USDC or amount < 0
        }
    )


def _locate(rows: Iterable[tuple[tuple[int, int], int | None]]) -> Iterator[Located]:
    """Yield the cash of accounts that margin judges."""
    for (account_id, asset_id), amount in rows:
        if asset_id == USDC and is_margined(account_id):
            page = account_id >> PAGE_BITS
            yield page, account_id - (page << PAGE_BITS), None if amount is None else (amount,)


def _add(draft: Draft, account_id: int, asset_id: int, change_atoms: int) -> None:
    balances = draft[BALANCES]
    key = (account_id, asset_id)
    after = (balances.get(key) or 0) + change_atoms
    ensure(after >= 0 or asset_id == USDC, "only USDC can be owed")
    if after:
        balances.put(key, after)
    else:
        balances.delete(key)
    if asset_id != USDC or after < 0 or account_id in draft[EXPOSED]:
        _note_exposure(draft, account_id)


def _note_exposure(draft: Draft, account_id: int) -> None:
    balances, exposed = draft[BALANCES], draft[EXPOSED]
    has_coin = any((account_id, asset_id) in balances for asset_id in range(len(ASSET_NAMES)) if asset_id != USDC)
    if has_coin or get_cash(draft, account_id) < 0:
        exposed.put(account_id, True)  # noqa: FBT003 -- a set
    elif account_id in exposed:
        exposed.delete(account_id)
