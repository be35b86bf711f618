"""Custody parameters."""

from typing import Final

from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64, Key32
from holdfast.state.table import Table


class CustodyParams(Record):
    """Who credits deposits, and what a stored object (a session, a subaccount) is charged while it stands, in atoms."""

    custodian_key: Key32
    object_deposit_atoms: U64 = 1_000_000


CUSTODY_PARAMS: Final = Table[int, CustodyParams]("custody params", ["u64"], CustodyParams, tag=90)


def check(params: CustodyParams) -> None:
    """Check the parameters against their hard bounds."""
    ensure(params.object_deposit_atoms <= 100_000_000, "a stored object never costs more than 100 USDC")
