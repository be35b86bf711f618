"""Transitions of accounts, sessions and nonces."""

from holdfast.primitives.reject import Code, RejectedError
from holdfast.protocol.accounts import rules
from holdfast.protocol.accounts.messages import (
    AccountOpened,
    GrantSession,
    OwnerRotated,
    RevokeSession,
    RotateOwner,
    SessionGranted,
    SessionRevoked,
)
from holdfast.protocol.accounts.state import (
    ACCOUNTS,
    FIRST_USER_ACCOUNT,
    NEXT_ACCOUNT,
    NONCES,
    OWNERS,
    SESSIONS,
    Account,
    Session,
)
from holdfast.protocol.limits import SESSIONS_MAX, SUBACCOUNTS_MAX
from holdfast.state.draft import Draft


def use_nonce(draft: Draft, account_id: int, signer: bytes, nonce: int) -> None:
    """Use up a nonce. Refuses: NONCE_USED, NONCE_TOO_OLD, NONCE_TOO_FAR."""
    nonces = draft[NONCES]
    key = (account_id, signer)
    nonces.put(key, rules.compute_nonce_window(nonces.get(key), nonce))


def open_account(draft: Draft, owner_key: bytes) -> AccountOpened:
    """Open a main account for a new owner key. Refuses: KEY_NOT_ACCEPTABLE, KEY_IN_USE."""
    rules.check_key(draft, owner_key)
    account_id = _take_id(draft)
    draft[ACCOUNTS].put(account_id, Account(owner_key, 0, 0, 0))
    draft[OWNERS].put(owner_key, account_id)
    return AccountOpened(account_id, 0, owner_key)


def create_subaccount(draft: Draft, parent_id: int) -> AccountOpened:
    """Open a subaccount. Refuses: NOT_OWNER for a subaccount's own, SUBACCOUNTS_FULL."""
    parent = rules.get_account(draft, parent_id)
    if parent.parent_id:
        raise RejectedError(Code.NOT_OWNER, account_id=parent_id)
    if parent.subaccounts >= SUBACCOUNTS_MAX:
        raise RejectedError(Code.SUBACCOUNTS_FULL, limit=SUBACCOUNTS_MAX)
    account_id = _take_id(draft)
    draft[ACCOUNTS].put(account_id, Account(parent.owner_key, parent_id, 0, 0))
    draft[ACCOUNTS].put(parent_id, Account(parent.owner_key, 0, parent.subaccounts + 1, parent.sessions))
    return AccountOpened(account_id, parent_id, parent.owner_key)


def grant_session(draft: Draft, account_id: int, command: GrantSession, now_ms: int) -> SessionGranted:
    """Let a key act, or change what it may do.

    Refuses: KEY_NOT_ACCEPTABLE, SCOPES_INVALID, SESSION_EXPIRY_INVALID, SESSIONS_FULL.
    """
    rules.check_session(command.key, command.scopes, command.expires_ms, now_ms)
    account = rules.get_account(draft, account_id)
    if (account_id, command.key) not in draft[SESSIONS]:
        if account.sessions >= SESSIONS_MAX:
            raise RejectedError(Code.SESSIONS_FULL, limit=SESSIONS_MAX)
        _count_sessions(draft, account_id, account, 1)
    draft[SESSIONS].put((account_id, command.key), Session(command.scopes, command.expires_ms))
    return SessionGranted(account_id, command.key, command.scopes, command.expires_ms)


def revoke_session(draft: Draft, account_id: int, command: RevokeSession) -> SessionRevoked:
    """Take a session back. Its nonce window stays, so that an old command can never run. Refuses: SESSION_MISSING."""
    if (account_id, command.key) not in draft[SESSIONS]:
        raise RejectedError(Code.SESSION_MISSING, account_id=account_id)
    draft[SESSIONS].delete((account_id, command.key))
    _count_sessions(draft, account_id, rules.get_account(draft, account_id), -1)
    return SessionRevoked(account_id, command.key)


def rotate_owner(draft: Draft, account_id: int, command: RotateOwner) -> OwnerRotated:
    """Give an account and its subaccounts a new owner key.

    Refuses: NOT_OWNER for a subaccount, KEY_NOT_ACCEPTABLE, KEY_IN_USE.
    """
    account = rules.get_account(draft, account_id)
    if account.parent_id:
        raise RejectedError(Code.NOT_OWNER, account_id=account_id)
    rules.check_key(draft, command.key)
    draft[OWNERS].delete(account.owner_key)
    draft[OWNERS].put(command.key, account_id)
    draft[ACCOUNTS].put(account_id, Account(command.key, 0, account.subaccounts, account.sessions))
    return OwnerRotated(account_id, command.key)


def count_sessions(draft: Draft, account_id: int) -> int:
    """Return how many sessions an account has."""
    return rules.get_account(draft, account_id).sessions


def rebuild(draft: Draft) -> None:
    """Rebuild the index of owners. The exchange's own accounts have none."""
    draft[OWNERS].fill(
        {
            account.owner_key: account_id
            for account_id, account in draft[ACCOUNTS].items()
            if account_id >= FIRST_USER_ACCOUNT and not account.parent_id
        }
    )


def _count_sessions(draft: Draft, account_id: int, account: Account, change: int) -> None:
    draft[ACCOUNTS].put(
        account_id, Account(account.owner_key, account.parent_id, account.subaccounts, account.sessions + change)
    )


def _take_id(draft: Draft) -> int:
    account_id = draft[NEXT_ACCOUNT].get(0) or FIRST_USER_ACCOUNT
    draft[NEXT_ACCOUNT].put(0, account_id + 1)
    return account_id
