"""Accounts, sessions, nonces; money in, money out, money within a family."""

from typing import Final

from holdfast.lab.reference import margin, oracle
from holdfast.lab.reference.refusals import RefusedError, refuse_if
from holdfast.lab.reference.rounding import PPM, down
from holdfast.lab.reference.valuation import Valuation
from holdfast.lab.reference.world import COINS, DEPOSIT_ESCROW, FIRST_USER, USDC, World
from holdfast.primitives.crypto import is_acceptable_key
from holdfast.primitives.reject import Code
from holdfast.protocol.accounts.messages import (
    AccountOpened,
    GrantSession,
    OwnerRotated,
    RevokeSession,
    RotateOwner,
    SessionGranted,
    SessionRevoked,
)
from holdfast.protocol.accounts.state import Account, NonceWindow, Session
from holdfast.protocol.custody.messages import Deposit, Deposited, Transfer, Transferred, Withdraw, Withdrawn
from holdfast.protocol.ledger.state import VaultTotals

OWNER_ONLY: Final = 0
_NONCE_WINDOW: Final = 64
_NONCE_JUMP_MAX: Final = 2**32
_SESSION_MS_MAX: Final = 90 * 86_400_000
_AMOUNT_MAX: Final = 2**60
_ASSETS: Final = 4


def get_account(world: World, account_id: int) -> Account:
    """Return an account, refusing one that does not exist."""
    account = world.accounts.get(account_id)
    if account is None:
        raise RefusedError(Code.ACCOUNT_UNKNOWN)
    return account


def check_signer(world: World, account_id: int, signer: bytes, scope: int) -> None:
    """Refuse a key that may not act for an account with a scope; the owner's is its parent's, for a subaccount."""
    refuse_if(account_id < FIRST_USER, Code.ACCOUNT_UNKNOWN)
    account = get_account(world, account_id)
    owner = get_account(world, account.parent_id) if account.parent_id else account
    if signer == owner.owner_key:
        return
    session = world.sessions.get((account_id, signer))
    if session is None:
        raise RefusedError(Code.SIGNER_UNKNOWN)
    refuse_if(session.expires_ms <= world.now_ms, Code.SESSION_EXPIRED)
    refuse_if(scope == OWNER_ONLY, Code.NOT_OWNER)
    refuse_if(session.scopes & scope != scope, Code.SCOPE_MISSING)


def use_nonce(world: World, account_id: int, signer: bytes, nonce: int) -> None:
    """Use up a nonce: above all others, or one of the 64 up to the highest that is still free."""
    kept = world.nonces.get((account_id, signer), NonceWindow(0, (0, 1)))
    bits = kept.used[0] * 2**32 + kept.used[1]
    used = {kept.highest - place for place in range(_NONCE_WINDOW) if bits >> place & 1}
    refuse_if(nonce > kept.highest + _NONCE_JUMP_MAX, Code.NONCE_TOO_FAR)
    refuse_if(nonce <= kept.highest - _NONCE_WINDOW, Code.NONCE_TOO_OLD)
    refuse_if(nonce in used, Code.NONCE_USED)
    used.add(nonce)
    highest = max(kept.highest, nonce)
    after = sum(1 << (highest - one) for one in used if highest - one < _NONCE_WINDOW)
    world.nonces[account_id, signer] = NonceWindow(highest, divmod(after, 2**32))


def open_main(world: World, owner_key: bytes) -> int:
    """Open a main account for a new owner's key."""
    _check_owner_key(world, owner_key)
    return _open(world, owner_key, 0)


def _open(world: World, owner_key: bytes, parent_id: int) -> int:
    account_id = world.next_account.get(0, FIRST_USER)
    world.next_account[0] = account_id + 1
    world.accounts[account_id] = Account(owner_key, parent_id, 0, 0)
    world.events.append(AccountOpened(account_id, parent_id, owner_key))
    return account_id


def _check_owner_key(world: World, key: bytes) -> None:
    refuse_if(not is_acceptable_key(key), Code.KEY_NOT_ACCEPTABLE)
    refuse_if(world.owner_account(key) is not None, Code.KEY_IN_USE)


def create_subaccount(world: World, valuation: Valuation | None, account_id: int) -> None:
    """Open a subaccount, for a deposit that stays."""
    hold_deposit(world, valuation, account_id, 1)
    parent = get_account(world, account_id)
    refuse_if(parent.parent_id != 0, Code.NOT_OWNER)
    refuse_if(parent.subaccounts >= 16, Code.SUBACCOUNTS_FULL)  # noqa: PLR2004 -- the limit
    _open(world, parent.owner_key, account_id)
    world.accounts[account_id] = Account(parent.owner_key, 0, parent.subaccounts + 1, parent.sessions)


def grant_session(world: World, valuation: Valuation | None, account_id: int, command: GrantSession) -> None:
    """Let a key act; a new session of a key that has never acted here costs a deposit."""
    refuse_if(not is_acceptable_key(command.key), Code.KEY_NOT_ACCEPTABLE)
    refuse_if(not 0 < command.scopes <= 15, Code.SCOPES_INVALID)  # noqa: PLR2004 -- four scopes, a bit each
    is_timely = world.now_ms < command.expires_ms <= world.now_ms + _SESSION_MS_MAX
    refuse_if(not is_timely, Code.SESSION_EXPIRY_INVALID)
    account = get_account(world, account_id)
    is_new = (account_id, command.key) not in world.sessions
    refuse_if(is_new and account.sessions >= 16, Code.SESSIONS_FULL)  # noqa: PLR2004 -- the limit
    world.sessions[account_id, command.key] = Session(command.scopes, command.expires_ms)
    _count_sessions(world, account_id, int(is_new))
    if (account_id, command.key) not in world.nonces:
        hold_deposit(world, valuation, account_id, int(is_new))
    world.events.append(SessionGranted(account_id, command.key, command.scopes, command.expires_ms))


def revoke_session(world: World, valuation: Valuation | None, account_id: int, command: RevokeSession) -> None:
    """Take a session back; the deposit comes back too, unless the key has left a nonce window."""
    refuse_if((account_id, command.key) not in world.sessions, Code.SESSION_MISSING)
    del world.sessions[account_id, command.key]
    _count_sessions(world, account_id, -1)
    if (account_id, command.key) not in world.nonces:
        hold_deposit(world, valuation, account_id, -1)
    world.events.append(SessionRevoked(account_id, command.key))


def _count_sessions(world: World, account_id: int, change: int) -> None:
    one = world.accounts[account_id]
    world.accounts[account_id] = Account(one.owner_key, one.parent_id, one.subaccounts, one.sessions + change)


def rotate_owner(world: World, valuation: Valuation | None, account_id: int, command: RotateOwner) -> None:
    """Give a main account, and with it its subaccounts, a new owner's key."""
    hold_deposit(world, valuation, account_id, 1)
    account = get_account(world, account_id)
    refuse_if(account.parent_id != 0, Code.NOT_OWNER)
    _check_owner_key(world, command.key)
    world.accounts[account_id] = Account(command.key, 0, account.subaccounts, account.sessions)
    world.events.append(OwnerRotated(account_id, command.key))


def hold_deposit(world: World, valuation: Valuation | None, account_id: int, objects: int) -> None:
    """Take the deposit of stored objects, or give it back."""
    amount = world.custody_params[0].object_deposit_atoms * objects
    refuse_if(amount > 0 and world.cash(account_id) < amount, Code.BALANCE_SHORT)
    was = margin.before(world, valuation, account_id)
    world.pay(account_id, DEPOSIT_ESCROW, amount)
    margin.note_deposit(world, account_id, -amount)
    margin.check(world, valuation, account_id, was)


def _check_amount(asset_id: int, amount: int) -> None:
    refuse_if(asset_id >= _ASSETS, Code.ASSET_UNKNOWN)
    refuse_if(amount <= 0, Code.AMOUNT_NOT_POSITIVE)
    refuse_if(amount > _AMOUNT_MAX, Code.AMOUNT_TOO_LARGE)


def _coins(world: World, valuation: Valuation | None, account_id: int) -> int:
    """Return what all coins of an account count for."""
    return sum(margin.coin_value(world, valuation, asset_id, world.balance(account_id, asset_id)) for asset_id in COINS)


def _note(world: World, valuation: Valuation | None, account_id: int, command: Deposit, coins_before: int) -> None:
    """Note what came in: cash as it is, coins as what they count for."""
    counted = command.amount_atoms
    if command.asset_id != USDC:
        counted = _coins(world, valuation, account_id) - coins_before
    margin.note_deposit(world, account_id, counted)


def deposit(world: World, valuation: Valuation | None, command: Deposit) -> None:
    """Credit what has come into the vault; an owner's first deposit opens the account."""
    asset_id, amount = command.asset_id, command.amount_atoms
    _check_amount(asset_id, amount)
    totals = world.vault.get(asset_id, VaultTotals(0, 0))
    held = totals.deposited_atoms - totals.withdrawn_atoms
    refuse_if(held + amount > world.collateral[asset_id].cap_atoms, Code.COLLATERAL_CAP)
    account_id = world.owner_account(command.owner_key)
    if account_id is None:
        account_id = open_main(world, command.owner_key)
    coins_before = _coins(world, valuation, account_id)
    world.put_in(account_id, asset_id, amount)
    _note(world, valuation, account_id, command, coins_before)
    world.events.append(Deposited(account_id, asset_id, amount))


def withdraw(world: World, valuation: Valuation | None, account_id: int, command: Withdraw) -> None:
    """Take money out."""
    asset_id, amount = command.asset_id, command.amount_atoms
    margin.check_not_frozen(world, account_id)
    _check_amount(asset_id, amount)
    _check_prices(world, valuation, account_id)
    was = margin.before(world, valuation, account_id)
    _check_may_leave(world, valuation, account_id, asset_id, amount)
    totals = world.vault.get(asset_id, VaultTotals(0, 0))
    refuse_if(totals.deposited_atoms - totals.withdrawn_atoms < amount, Code.VAULT_SHORT)
    coins_before = _coins(world, valuation, account_id)
    world.take_out(account_id, asset_id, amount)
    change = -amount if asset_id == USDC else _coins(world, valuation, account_id) - coins_before
    margin.note_deposit(world, account_id, change)
    margin.check(world, valuation, account_id, was)
    world.events.append(Withdrawn(account_id, asset_id, amount))


def transfer(world: World, valuation: Valuation | None, account_id: int, command: Transfer) -> None:
    """Move money to another account of the family: what may leave is what could be withdrawn."""
    asset_id, amount, to_id = command.asset_id, command.amount_atoms, command.to_account_id
    refuse_if(to_id == account_id, Code.TRANSFER_TO_SELF)
    get_account(world, to_id)
    refuse_if(world.family(to_id) != world.family(account_id), Code.TRANSFER_NOT_FAMILY)
    margin.check_not_frozen(world, account_id)
    _check_amount(asset_id, amount)
    _check_prices(world, valuation, account_id)
    was = margin.before(world, valuation, account_id)
    _check_may_leave(world, valuation, account_id, asset_id, amount)
    coins_before = {one: _coins(world, valuation, one) for one in (account_id, to_id)}
    world.pay(account_id, to_id, amount, asset_id)
    for one, moved in ((account_id, -amount), (to_id, amount)):
        change = moved if asset_id == USDC else _coins(world, valuation, one) - coins_before[one]
        margin.note_deposit(world, one, change)
    margin.check(world, valuation, account_id, was)
    world.events.append(Transferred(account_id, to_id, asset_id, amount))


def _check_prices(world: World, valuation: Valuation | None, account_id: int) -> None:
    """Refuse to let money of who has coins or positions leave at prices in doubt."""
    if valuation is None:
        return
    account = margin.look(world, valuation, account_id)
    for feed_id in sorted(valuation.prices_e8):
        if feed_id != USDC and (account.coins or any(one.gross for one in account.exposures.values())):
            oracle.check_allowed(world, feed_id, oracle.WITHDRAW)


def _check_may_leave(world: World, valuation: Valuation | None, account_id: int, asset_id: int, amount: int) -> None:
    """Refuse to let go what margin needs, and profit that is not yet sure."""
    account = margin.look(world, valuation, account_id)
    sure = margin.sure_cash(world, account_id, account)
    if asset_id == USDC:
        need = margin.need(world, valuation, account)
        refuse_if(amount > max(0, min(need.equity - need.initial, sure)), Code.WITHDRAWABLE_SHORT)
        return
    refuse_if(amount > world.balance(account_id, asset_id), Code.BALANCE_SHORT)
    worth = margin.coin_value(world, valuation, asset_id, amount)
    refuse_if(worth > max(0, sure + account.coins), Code.WITHDRAWABLE_SHORT)


def sale_value(world: World, valuation: Valuation, asset_id: int, amount: int) -> int:
    """Return what an amount of a coin is sold for in a liquidation: its worth less the haircut, whatever the cap."""
    whole = 10**6 if asset_id == 3 else 10**8  # noqa: PLR2004 -- USDT has six decimals
    price, haircut = valuation.prices_e8.get(asset_id, 0), world.collateral[asset_id].haircut_ppm
    return down(amount * price * (PPM - haircut), whole * 100 * PPM)
