"""Commands that move money, and what comes of them."""

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64, Key32


class Deposit(Record, tag=10):
    """Credit an owner's main account with what has arrived; the first deposit opens it. The custodian's alone."""

    owner_key: Key32
    asset_id: U64
    amount_atoms: U64


class Withdraw(Record, tag=11):
    """Take an amount out of the exchange."""

    asset_id: U64
    amount_atoms: U64


class Transfer(Record, tag=12):
    """Move an amount to another account of the same owner."""

    to_account_id: U64
    asset_id: U64
    amount_atoms: U64


class Deposited(Record, tag=110):
    """Money has come in."""

    account_id: U64
    asset_id: U64
    amount_atoms: U64


class Withdrawn(Record, tag=111):
    """Money has gone out."""

    account_id: U64
    asset_id: U64
    amount_atoms: U64


class Transferred(Record, tag=112):
    """Money has moved between accounts."""

    from_account_id: U64
    to_account_id: U64
    asset_id: U64
    amount_atoms: U64
