"""The weighted validator set: quorums, and who proposes in which round.

A validator keeps its index for ever: removal is power zero, admission appends. So an index names one key over the whole
chain, in votes, commits and on the network.

The proposer is a pure function of (set, height, round): slot `height + round` of a fixed cycle, laid out by smooth
weighted round robin over powers scaled to at most `SLOTS_MAX` slots, each live validator having at least one. No
priorities are carried from height to height, so nothing has to be synchronised with a snapshot; equal powers give plain
rotation.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Final, NamedTuple

from holdfast.consensus import limits
from holdfast.primitives.check import ensure
from holdfast.primitives.codec import encode
from holdfast.primitives.crypto import sha256
from holdfast.primitives.units import div_floor

SLOTS_MAX: Final = 1_024


class Validator(NamedTuple):
    """One validator: its Ed25519 key and its voting power, zero once removed."""

    public_key: bytes
    power: int


class ValidatorSet:
    """An immutable set of validators, addressed by index."""

    def __init__(self, validators: Sequence[Validator]) -> None:
        """Check the set and sum its power."""
        self.validators: Final = tuple(validators)
        self.total_power: Final = sum(validator.power for validator in self.validators)
        ensure(is_valid_set(self.validators), "a validator set has distinct keys, powers >= 0 and some power")

    def __len__(self) -> int:
        """Return how many indices exist."""
        return len(self.validators)

    def __contains__(self, index: int) -> bool:
        """Tell whether an index belongs to a validator with power."""
        return 0 <= index < len(self.validators) and self.validators[index].power > 0

    def power(self, index: int) -> int:
        """Return the power of an index, zero where there is none."""
        return self.validators[index].power if 0 <= index < len(self.validators) else 0

    def public_key(self, index: int) -> bytes:
        """Return the key of an existing index."""
        return self.validators[index].public_key

    def has_quorum(self, power: int) -> bool:
        """Tell whether a power is more than two thirds of the whole."""
        return 3 * power > 2 * self.total_power

    def has_honest_member(self, power: int) -> bool:
        """Tell whether a power is more than a third of the whole, so that it cannot be faulty altogether."""
        return 3 * power > self.total_power

    def proposer(self, height: int, round_number: int) -> int:
        """Return the index that proposes in a round."""
        return self._cycle[(height + round_number) % len(self._cycle)]

    @cached_property
    def hash(self) -> bytes:
        """Return the commitment to keys and powers that headers carry."""
        return sha256(b"holdfast.validators" + encode([tuple(validator) for validator in self.validators]))

    @cached_property
    def _cycle(self) -> tuple[int, ...]:
        return _layout([validator.power for validator in self.validators])


def is_valid_set(validators: Sequence[Validator]) -> bool:
    """Tell whether validators can form a set."""
    keys = [validator.public_key for validator in validators]
    powers = [validator.power for validator in validators]
    sound = all(len(key) == limits.KEY_BYTES for key in keys) and all(power >= 0 for power in powers)
    bounded = len(validators) <= limits.VALIDATORS_MAX and 0 < sum(powers) <= limits.POWER_TOTAL_MAX
    return sound and bounded and len(set(keys)) == len(keys)


def updated_validators(current: ValidatorSet, updates: Sequence[Validator]) -> list[Validator]:
    """Return the validators after an application's updates: known keys get their new power, new keys are appended.

    The result may be no valid set; `is_valid_set` judges it.
    """
    powers = {validator.public_key: validator.power for validator in current.validators}
    for update in updates:
        powers[update.public_key] = update.power
    return [Validator(key, power) for key, power in powers.items()]


def _layout(powers: list[int]) -> tuple[int, ...]:
    divisor = _common_divisor(powers)
    weights = [div_floor(power, divisor) for power in powers]
    total = sum(weights)
    if total > SLOTS_MAX:
        weights = [max(1, div_floor(weight * SLOTS_MAX, total)) if weight else 0 for weight in weights]
        total = sum(weights)
    credit = [0] * len(weights)
    cycle = []
    for _ in range(total):
        credit = [have + weight for have, weight in zip(credit, weights, strict=True)]
        chosen = max(
            (index for index, weight in enumerate(weights) if weight), key=lambda index: (credit[index], -index)
        )
        credit[chosen] -= total
        cycle.append(chosen)
    return tuple(cycle)


def _common_divisor(numbers: list[int]) -> int:
    divisor = 0
    for number in numbers:
        left, right = divisor, number
        while right:
            left, right = right, left % right
        divisor = left
    return divisor
