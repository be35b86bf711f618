"""What one replica knows of the chain after its last block, and that knowledge as a record of the block log.

The record is written before the application commits, so the application is never ahead of it; what it lacks after a
crash is replayed from the block log.
"""

from typing import Annotated, Final, NamedTuple

from msgspec import Meta

from holdfast.consensus import limits
from holdfast.consensus.messages import NO_HASH, Hash, HeightNumber, Index, TimeMs
from holdfast.consensus.validators import Validator, ValidatorSet, updated_validators
from holdfast.node.application import ValidatorInfo
from holdfast.node.evidence_pool import ProofKey
from holdfast.primitives.codec import Record

_SET_CHANGES_MAX: Final = 64
_PROVEN_MAX: Final = 65_536


class Tip(NamedTuple):
    """The chain after a height: what the next header must say, who votes next, and what has been proven.

    `sets` are the validator sets with the first height that each signs, oldest first; the last may lie one height
    ahead.
    """

    height: int
    block_hash: bytes
    time_ms: int
    app_hash: bytes
    results_hash: bytes
    sets: tuple[tuple[int, ValidatorSet], ...]
    proven: frozenset[ProofKey]

    def validators_at(self, height: int) -> ValidatorSet:
        """Return the set that signs a height up to two above the tip."""
        return next(validators for first, validators in reversed(self.sets) if first <= height)

    @property
    def last_validators(self) -> ValidatorSet:
        """Return the set that signed the tip."""
        return self.validators_at(max(self.height, 1))

    @property
    def validators(self) -> ValidatorSet:
        """Return the set that signs the next height."""
        return self.validators_at(self.height + 1)

    @property
    def next_validators(self) -> ValidatorSet:
        """Return the set that signs the height after the next."""
        return self.validators_at(self.height + 2)

    @property
    def first_known_height(self) -> int:
        """Return the first height whose validators are known."""
        return self.sets[0][0]


def genesis_tip(validators: ValidatorSet, genesis_time_ms: int) -> Tip:
    """Return the chain before its first block, but for the application's hash of the genesis state."""
    return Tip(0, NO_HASH, genesis_time_ms - 1, NO_HASH, NO_HASH, ((1, validators),), frozenset())


def sets_after(tip: Tip, updates: tuple[ValidatorInfo, ...]) -> tuple[tuple[int, ValidatorSet], ...]:
    """Return the sets after the block above `tip`: its updates sign from two heights above that block."""
    current = tip.next_validators
    changed = updated_validators(current, [Validator(update.public_key, update.power) for update in updates])
    if tuple(changed) == current.validators:
        return tip.sets
    return (*tip.sets, (tip.height + 3, ValidatorSet(changed)))[-_SET_CHANGES_MAX:]


class SetRecord(Record):
    """A validator set and the first height that it signs."""

    first_height: HeightNumber
    validators: Annotated[
        tuple[tuple[Hash, Annotated[int, Meta(ge=0, le=limits.POWER_TOTAL_MAX)]], ...],
        Meta(min_length=1, max_length=limits.VALIDATORS_MAX),
    ]


class TipRecord(Record):
    """A tip as it is stored."""

    height: HeightNumber
    block_hash: Hash
    time_ms: TimeMs
    app_hash: Hash
    results_hash: Hash
    sets: Annotated[tuple[SetRecord, ...], Meta(min_length=1, max_length=_SET_CHANGES_MAX)]
    proven: Annotated[tuple[tuple[HeightNumber, Index], ...], Meta(max_length=_PROVEN_MAX)]


def record_of(tip: Tip) -> TipRecord:
    """Return a tip as it is stored."""
    sets = tuple(
        SetRecord(first, tuple((validator.public_key, validator.power) for validator in validators.validators))
        for first, validators in tip.sets
    )
    return TipRecord(
        tip.height, tip.block_hash, tip.time_ms, tip.app_hash, tip.results_hash, sets, tuple(sorted(tip.proven))
    )


def read_tip(record: TipRecord) -> Tip:
    """Return the tip behind its record."""
    sets = tuple(
        (entry.first_height, ValidatorSet([Validator(key, power) for key, power in entry.validators]))
        for entry in record.sets
    )
    return Tip(
        record.height,
        record.block_hash,
        record.time_ms,
        record.app_hash,
        record.results_hash,
        sets,
        frozenset(record.proven),
    )
