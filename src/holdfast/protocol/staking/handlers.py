"""Transitions of validators."""

from holdfast.protocol.staking.messages import MisbehaviorRecorded
from holdfast.protocol.staking.state import MISBEHAVIORS, VALIDATORS
from holdfast.state.draft import Draft


def record_misbehavior(
    draft: Draft, validator_index: int, at_height: int, height: int
) -> tuple[MisbehaviorRecorded, ...]:
    """Record a proven equivocation; the same one again is nothing new."""
    key = (validator_index, at_height)
    if validator_index not in draft[VALIDATORS] or key in draft[MISBEHAVIORS]:
        return ()
    draft[MISBEHAVIORS].put(key, height)
    return (MisbehaviorRecorded(validator_index, at_height),)


def get_powers(draft: Draft) -> tuple[int, ...]:
    """Return every validator's power, by index."""
    return tuple(validator.power for _, validator in draft[VALIDATORS].items())
