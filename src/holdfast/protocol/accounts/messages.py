"""Commands about accounts and keys, and what comes of them."""

from enum import IntFlag

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64, Key32


class Scope(IntFlag):
    """What a session key may do. Moving money out is never in a session's scope."""

    TRADE = 1
    CANCEL = 2
    TRANSFER = 4
    LIQUIDATE = 8


SCOPES_ALL = Scope.TRADE | Scope.CANCEL | Scope.TRANSFER | Scope.LIQUIDATE


class CreateSubaccount(Record, tag=1):
    """Open a subaccount of the signing main account."""


class GrantSession(Record, tag=2):
    """Let a key act for this account within scopes until a time."""

    key: Key32
    scopes: U64
    expires_ms: U64


class RevokeSession(Record, tag=3):
    """Take a session key's rights back."""

    key: Key32


class RotateOwner(Record, tag=4):
    """Put a new owner key in the place of the signing one."""

    key: Key32


class AccountOpened(Record, tag=101):
    """An account exists from now on."""

    account_id: U64
    parent_id: U64
    owner_key: Key32


class SessionGranted(Record, tag=102):
    """A session key may act."""

    account_id: U64
    key: Key32
    scopes: U64
    expires_ms: U64


class SessionRevoked(Record, tag=103):
    """A session key may act no more."""

    account_id: U64
    key: Key32


class OwnerRotated(Record, tag=104):
    """A new key owns the account."""

    account_id: U64
    key: Key32
