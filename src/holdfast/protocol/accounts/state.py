"""Stored accounts, sessions and nonce windows."""

from typing import Final

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64, Key32
from holdfast.state.table import Table

# Accounts of the exchange itself. They own no key; users' accounts start above.
INSURANCE_FUND: Final = 1
TREASURY: Final = 2
DEPOSIT_ESCROW: Final = 3
BACKSTOP: Final = 4
FEE_POT: Final = 5  # what a block's trades were charged; given out at its end
FUND_DEBT: Final = 6  # owes, below zero, what no account could bear of a deficit; the fund's income pays it
FIRST_USER_ACCOUNT: Final = 1_000
# The clearing pot of a future holds what its closers have been paid and its open side still owes.
CLEARING_BASE: Final = 2**40

# What is derived of many accounts at once stands by pages of 1,024 account numbers.
PAGE_BITS: Final = 10


def is_margined(account_id: int) -> bool:
    """Return whether an account is judged by margin: users' accounts and the backstop."""
    return account_id == BACKSTOP or FIRST_USER_ACCOUNT <= account_id < CLEARING_BASE


class Account(Record):
    """One account. `parent_id` is 0 for a main account, which is then its own parent."""

    owner_key: Key32
    parent_id: U64
    subaccounts: U64
    sessions: U64


class Session(Record):
    """What a session key may do, and until when."""

    scopes: U64
    expires_ms: U64


class NonceWindow(Record):
    """The highest nonce used, and which of the 64 up to it are (bit i: highest - i)."""

    highest: U64
    used: tuple[U64, U64]


ACCOUNTS: Final = Table[int, Account]("accounts", ["u64"], Account, tag=1)
SESSIONS: Final = Table[tuple[int, bytes], Session]("sessions", ["u64", "b32"], Session, tag=2)
NONCES: Final = Table[tuple[int, bytes], NonceWindow]("nonces", ["u64", "b32"], NonceWindow, tag=3)
NEXT_ACCOUNT: Final = Table[int, int]("next account", ["u64"], int, tag=4)
OWNERS: Final = Table[bytes, int]("owners", ["b32"], int, tag=None)
