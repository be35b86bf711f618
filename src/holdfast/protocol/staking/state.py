"""Stored validators and misbehaviour."""

from typing import Final

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64, Key32
from holdfast.state.table import Table


class Validator(Record):
    """A validator's key and voting power."""

    public_key: Key32
    power: U64


VALIDATORS: Final = Table[int, Validator]("validators", ["u64"], Validator, tag=30)
# (validator, height of the equivocation) -> height at which it was recorded
MISBEHAVIORS: Final = Table[tuple[int, int], int]("misbehaviors", ["u64", "u64"], int, tag=31)
