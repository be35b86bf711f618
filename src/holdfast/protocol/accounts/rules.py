"""Who may act, and which nonces are fresh."""

from typing import Final

from holdfast.primitives import crypto
from holdfast.primitives.reject import Code, RejectedError
from holdfast.protocol.accounts.messages import SCOPES_ALL
from holdfast.protocol.accounts.state import (
    ACCOUNTS,
    FIRST_USER_ACCOUNT,
    NONCES,
    OWNERS,
    SESSIONS,
    Account,
    NonceWindow,
)
from holdfast.protocol.limits import NONCE_JUMP_MAX, NONCE_WINDOW, SESSION_MS_MAX
from holdfast.state.draft import Draft

SCOPE_OWNER: Final = 0

_HALF: Final = 32
_HALF_MASK: Final = (1 << _HALF) - 1
_WINDOW_MASK: Final = (1 << NONCE_WINDOW) - 1


def get_account(draft: Draft, account_id: int) -> Account:
    """Return an account. Refuses: ACCOUNT_UNKNOWN."""
    account = draft[ACCOUNTS].get(account_id)
    if account is None:
        raise RejectedError(Code.ACCOUNT_UNKNOWN, account_id=account_id)
    return account


def get_main_id(draft: Draft, account_id: int) -> int:
    """Return the main account of a family: the account itself, or its parent."""
    return get_account(draft, account_id).parent_id or account_id


def check_signer(draft: Draft, account_id: int, signer: bytes, now_ms: int, scope: int) -> None:
    """Check that a key may act for an account with a scope; scope 0 is the owner's alone.

    Nobody acts for an account of the exchange itself: the zeros in its owner's place are a key that all can sign for.
    Refuses: ACCOUNT_UNKNOWN, SIGNER_UNKNOWN, SESSION_EXPIRED, NOT_OWNER, SCOPE_MISSING.
    """
    if account_id < FIRST_USER_ACCOUNT:
        raise RejectedError(Code.ACCOUNT_UNKNOWN, account_id=account_id)
    account = get_account(draft, account_id)
    owner_key = get_account(draft, account.parent_id).owner_key if account.parent_id else account.owner_key
    if signer == owner_key:
        return
    session = draft[SESSIONS].get((account_id, signer))
    if session is None:
        raise RejectedError(Code.SIGNER_UNKNOWN, account_id=account_id)
    if session.expires_ms <= now_ms:
        raise RejectedError(Code.SESSION_EXPIRED, expires_ms=session.expires_ms)
    if scope == SCOPE_OWNER:
        raise RejectedError(Code.NOT_OWNER, account_id=account_id)
    if session.scopes & scope != scope:
        raise RejectedError(Code.SCOPE_MISSING, scopes=session.scopes, needed=scope)


def compute_nonce_window(before: NonceWindow | None, nonce: int) -> NonceWindow:
    """Return the window after a nonce is used.

    Refuses: NONCE_USED, NONCE_TOO_OLD (64 or more behind), NONCE_TOO_FAR (a jump that would strand the key).
    """
    highest, used = (0, 1) if before is None else (before.highest, before.used[0] << _HALF | before.used[1])
    jump = nonce - highest
    if jump > 0:
        if jump > NONCE_JUMP_MAX:
            raise RejectedError(Code.NONCE_TOO_FAR, nonce=nonce, highest=highest)
        used = used << jump & _WINDOW_MASK | 1 if jump < NONCE_WINDOW else 1
        return NonceWindow(nonce, (used >> _HALF, used & _HALF_MASK))
    behind = -jump
    if behind >= NONCE_WINDOW:
        raise RejectedError(Code.NONCE_TOO_OLD, nonce=nonce, lowest=highest - NONCE_WINDOW + 1)
    if used >> behind & 1:
        raise RejectedError(Code.NONCE_USED, nonce=nonce)
    used |= 1 << behind
    return NonceWindow(highest, (used >> _HALF, used & _HALF_MASK))


def check_key(draft: Draft, key: bytes) -> None:
    """Check that a key may be registered as an owner. Refuses: KEY_NOT_ACCEPTABLE, KEY_IN_USE."""
    if not crypto.is_acceptable_key(key):
        raise RejectedError(Code.KEY_NOT_ACCEPTABLE, key=key.hex())
    if key in draft[OWNERS]:
        raise RejectedError(Code.KEY_IN_USE, key=key.hex())


def check_session(key: bytes, scopes: int, expires_ms: int, now_ms: int) -> None:
    """Check a session's shape. Refuses: KEY_NOT_ACCEPTABLE, SCOPES_INVALID, SESSION_EXPIRY_INVALID."""
    if not crypto.is_acceptable_key(key):
        raise RejectedError(Code.KEY_NOT_ACCEPTABLE, key=key.hex())
    if scopes == 0 or scopes & ~int(SCOPES_ALL):
        raise RejectedError(Code.SCOPES_INVALID, scopes=scopes)
    if not now_ms < expires_ms <= now_ms + SESSION_MS_MAX:
        raise RejectedError(Code.SESSION_EXPIRY_INVALID, expires_ms=expires_ms)


def get_nonce_window(draft: Draft, account_id: int, signer: bytes) -> NonceWindow | None:
    """Return a key's window, None before its first command."""
    return draft[NONCES].get((account_id, signer))
