"""Transitions that move money across the exchange's edge and within a family."""

from holdfast.primitives.codec import Record
from holdfast.primitives.reject import Code, RejectedError
from holdfast.protocol.accounts import handlers as accounts
from holdfast.protocol.accounts.rules import get_main_id
from holdfast.protocol.accounts.state import DEPOSIT_ESCROW, OWNERS
from holdfast.protocol.collateral import rules as collateral
from holdfast.protocol.custody.messages import Deposit, Deposited, Transfer, Transferred, Withdraw, Withdrawn
from holdfast.protocol.custody.params import CUSTODY_PARAMS
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import ASSET_NAMES, USDC
from holdfast.protocol.limits import AMOUNT_ATOMS_MAX
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin import rules as margin_rules
from holdfast.protocol.oracle.rules import Action, check_allowed
from holdfast.protocol.surface.state import RISK_ARRAY
from holdfast.state.draft import Draft


def check_custodian(draft: Draft, signer: bytes) -> None:
    """Check that a key is the custodian's. Refuses: NOT_CUSTODIAN."""
    if signer != draft[CUSTODY_PARAMS][0].custodian_key:
        raise RejectedError(Code.NOT_CUSTODIAN)


def deposit(draft: Draft, command: Deposit) -> tuple[Record, ...]:
    """Credit what has arrived in the vault; the signer has been checked.

    Refuses: ASSET_UNKNOWN, AMOUNT_NOT_POSITIVE, AMOUNT_TOO_LARGE, COLLATERAL_CAP, KEY_NOT_ACCEPTABLE.
    """
    _check_amount(command.asset_id, command.amount_atoms)
    collateral.check_cap(draft, command.asset_id, command.amount_atoms)
    account_id = draft[OWNERS].get(command.owner_key)
    events: tuple[Record, ...] = ()
    if account_id is None:
        opened = accounts.open_account(draft, command.owner_key)
        account_id, events = opened.account_id, (opened,)
    ledger.deposit(draft, account_id, command.asset_id, command.amount_atoms)
    _follow(draft, account_id, command.asset_id, command.amount_atoms)
    return (*events, Deposited(account_id, command.asset_id, command.amount_atoms))


def withdraw(draft: Draft, account_id: int, command: Withdraw) -> tuple[Record, ...]:
    """Take money out.

    Refuses: ASSET_UNKNOWN, AMOUNT_NOT_POSITIVE, AMOUNT_TOO_LARGE, BALANCE_SHORT, WITHDRAWABLE_SHORT,
    MARGIN_INITIAL_SHORT, VAULT_SHORT, ORACLE_FORBIDS_ACTION, ACCOUNT_IN_LIQUIDATION.
    """
    margin_rules.check_not_frozen(draft, account_id)
    _check_amount(command.asset_id, command.amount_atoms)
    _check_prices(draft, account_id)
    vault = ledger.get_vault(draft, command.asset_id)
    before = margin.remember(draft, account_id)
    _check_may_leave(draft, account_id, command.asset_id, command.amount_atoms)
    if vault.deposited_atoms - vault.withdrawn_atoms < command.amount_atoms:
        raise RejectedError(Code.VAULT_SHORT, asset_id=command.asset_id)
    ledger.withdraw(draft, account_id, command.asset_id, command.amount_atoms)
    _follow(draft, account_id, command.asset_id, -command.amount_atoms)
    margin.check_initial(draft, account_id, before)
    return (Withdrawn(account_id, command.asset_id, command.amount_atoms),)


def transfer(draft: Draft, account_id: int, command: Transfer) -> tuple[Record, ...]:
    """Move money to another account of the same family; what may leave is what could be withdrawn.

    Refuses: TRANSFER_TO_SELF, TRANSFER_NOT_FAMILY, ACCOUNT_UNKNOWN, and what `withdraw` refuses.
    """
    if command.to_account_id == account_id:
        raise RejectedError(Code.TRANSFER_TO_SELF, account_id=account_id)
    if get_main_id(draft, command.to_account_id) != get_main_id(draft, account_id):
        raise RejectedError(Code.TRANSFER_NOT_FAMILY, to_account_id=command.to_account_id)
    margin_rules.check_not_frozen(draft, account_id)
    _check_amount(command.asset_id, command.amount_atoms)
    _check_prices(draft, account_id)
    before = margin.remember(draft, account_id)
    _check_may_leave(draft, account_id, command.asset_id, command.amount_atoms)
    ledger.move(draft, account_id, command.to_account_id, command.asset_id, command.amount_atoms)
    _follow(draft, account_id, command.asset_id, -command.amount_atoms)
    _follow(draft, command.to_account_id, command.asset_id, command.amount_atoms)
    margin.check_initial(draft, account_id, before)
    return (Transferred(account_id, command.to_account_id, command.asset_id, command.amount_atoms),)


def hold_object_deposit(draft: Draft, account_id: int, objects: int) -> None:
    """Take the deposit of stored objects, or give it back where `objects` is negative. Refuses: BALANCE_SHORT."""
    amount = draft[CUSTODY_PARAMS][0].object_deposit_atoms * objects
    if amount > 0 and ledger.get_cash(draft, account_id) < amount:
        raise RejectedError(Code.BALANCE_SHORT, needed_atoms=amount)
    before = margin.remember(draft, account_id)
    ledger.move(draft, account_id, DEPOSIT_ESCROW, USDC, amount)
    _follow(draft, account_id, USDC, -amount)
    margin.check_initial(draft, account_id, before)


def _check_amount(asset_id: int, amount_atoms: int) -> None:
    if asset_id >= len(ASSET_NAMES):
        raise RejectedError(Code.ASSET_UNKNOWN, asset_id=asset_id)
    if amount_atoms <= 0:
        raise RejectedError(Code.AMOUNT_NOT_POSITIVE, amount_atoms=amount_atoms)
    if amount_atoms > AMOUNT_ATOMS_MAX:
        raise RejectedError(Code.AMOUNT_TOO_LARGE, amount_atoms=amount_atoms)


def _check_prices(draft: Draft, account_id: int) -> None:
    """Money leaves only at prices that the action matrix lets margin be released at."""
    risk = margin.get_risk(draft, account_id)
    array = draft[RISK_ARRAY].get(0)
    if array is None:
        return
    for underlying in sorted(array.prices_e8):
        if underlying != USDC and (risk.collateral_atoms or sum(risk.gross_lots)):
            check_allowed(draft, underlying, Action.WITHDRAW)


def _check_may_leave(draft: Draft, account_id: int, asset_id: int, amount_atoms: int) -> None:
    if asset_id == USDC:
        free = margin_rules.compute_withdrawable_atoms(draft, account_id, margin.get_risk(draft, account_id))
        if amount_atoms > free:
            raise RejectedError(Code.WITHDRAWABLE_SHORT, withdrawable_atoms=free)
        return
    if amount_atoms > ledger.get_balance(draft, account_id, asset_id):
        raise RejectedError(Code.BALANCE_SHORT, asset_id=asset_id)
    array = draft[RISK_ARRAY].get(0)
    price = 0 if array is None else array.prices_e8.get(asset_id, 0)
    worth = collateral.compute_value_atoms(collateral.get_asset(draft, asset_id), asset_id, amount_atoms, price)
    risk = margin.get_risk(draft, account_id)
    # Profit that is not yet sure may back a coin's leaving no more than it may leave itself.
    sure = margin_rules.compute_sure_atoms(draft, account_id, risk) + risk.collateral_atoms
    if worth > max(0, sure):
        raise RejectedError(Code.WITHDRAWABLE_SHORT, withdrawable_atoms=max(0, sure))


def _follow(draft: Draft, account_id: int, asset_id: int, change_atoms: int) -> None:
    """Take a movement into the account's risk, and into the measure of today's profit as what it counts for."""
    value = change_atoms
    if asset_id != USDC:
        before = margin.get_risk(draft, account_id).collateral_atoms
        margin.refresh_collateral(draft, account_id)
        value = margin.get_risk(draft, account_id).collateral_atoms - before
    margin.note_deposit(draft, account_id, value)
