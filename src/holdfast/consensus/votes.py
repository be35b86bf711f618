"""The votes of one height: tallies by round, kind and block, and conflicting votes found while counting.

A value type: `add` returns a new keeper. Each validator counts once per round and kind; its first vote stands. Rounds
are kept in a window around the current one; beyond the window only the highest round of each validator is remembered,
which is all that a round skip needs. So a liar can fill no more than its own share of the window.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple

from holdfast.consensus import limits
from holdfast.consensus.messages import NIL, Vote, VoteKind
from holdfast.consensus.validators import ValidatorSet


class Tally(NamedTuple):
    """The votes of one kind in one round."""

    votes: Mapping[int, Vote]
    power: int
    power_by_hash: Mapping[bytes, int]


class Added(Enum):
    """What became of a vote."""

    COUNTED = auto()
    DUPLICATE = auto()
    CONFLICT = auto()
    OUT_OF_WINDOW = auto()
    NOT_A_VALIDATOR = auto()


_EMPTY = Tally({}, 0, {})


class HeightVotes(NamedTuple):
    """All votes that one replica has counted at one height."""

    validators: ValidatorSet
    tallies: Mapping[tuple[VoteKind, int], Tally]
    highest_round: Mapping[int, int]

    def tally(self, kind: VoteKind, round_number: int) -> Tally:
        """Return the votes of a kind in a round."""
        return self.tallies.get((kind, round_number), _EMPTY)

    def get(self, kind: VoteKind, round_number: int, validator_index: int) -> Vote | None:
        """Return a validator's counted vote."""
        return self.tally(kind, round_number).votes.get(validator_index)

    def has_any_quorum(self, kind: VoteKind, round_number: int) -> bool:
        """Tell whether more than two thirds voted in a round, whatever for."""
        return self.validators.has_quorum(self.tally(kind, round_number).power)

    def has_quorum_for(self, kind: VoteKind, round_number: int, block_hash: bytes) -> bool:
        """Tell whether more than two thirds voted for one block, or for nil."""
        return self.validators.has_quorum(self.tally(kind, round_number).power_by_hash.get(block_hash, 0))

    def decided_hash(self, round_number: int) -> bytes:
        """Return the block with a quorum of precommits in a round, or nil."""
        for block_hash in self.tally(VoteKind.PRECOMMIT, round_number).power_by_hash:
            if block_hash != NIL and self.has_quorum_for(VoteKind.PRECOMMIT, round_number, block_hash):
                return block_hash
        return NIL

    def votes_for(self, kind: VoteKind, round_number: int, block_hash: bytes) -> tuple[Vote, ...]:
        """Return the votes for one block in a round, by validator index."""
        votes = self.tally(kind, round_number).votes
        return tuple(votes[index] for index in sorted(votes) if votes[index].block_hash == block_hash)

    def all_votes(self, rounds_max: int) -> tuple[Vote, ...]:
        """Return the votes of the latest rounds kept, in the order of round, kind and validator."""
        rounds = sorted({round_number for _, round_number in self.tallies})[-rounds_max:]
        keys = [(kind, number) for number in rounds for kind in VoteKind]
        return tuple(vote for key in keys for _, vote in sorted(self.tally(*key).votes.items()))


def no_votes(validators: ValidatorSet) -> HeightVotes:
    """Return the keeper of a new height."""
    return HeightVotes(validators, {}, {})


def add(votes: HeightVotes, vote: Vote, current_round: int) -> tuple[HeightVotes, Added, Vote | None]:
    """Count a vote of the right height with a verified signature.

    Returns the keeper, what became of the vote, and for a conflict the vote that stands.
    """
    if vote.validator_index not in votes.validators:
        return votes, Added.NOT_A_VALIDATOR, None
    votes = note_round(votes, vote.validator_index, vote.round)
    if not is_in_window(vote.round, current_round):
        return votes, Added.OUT_OF_WINDOW, None
    tally = votes.tally(vote.kind, vote.round)
    standing = tally.votes.get(vote.validator_index)
    if standing is not None and standing.block_hash != vote.block_hash:
        return votes, Added.CONFLICT, standing
    if is_counted(tally, vote.validator_index):
        return votes, Added.DUPLICATE, None
    power = votes.validators.power(vote.validator_index)
    power_for_hash = tally.power_by_hash.get(vote.block_hash, 0) + power
    counted = Tally(
        {**tally.votes, vote.validator_index: vote},
        tally.power + power,
        {**tally.power_by_hash, vote.block_hash: power_for_hash},
    )
    return votes._replace(tallies={**votes.tallies, (vote.kind, vote.round): counted}), Added.COUNTED, None


def is_counted(tally: Tally, validator_index: int) -> bool:
    """Tell whether a validator's power is in a tally already."""
    return validator_index in tally.votes


def is_in_window(round_number: int, current_round: int) -> bool:
    """Tell whether a round is near enough to the current one to be kept in full."""
    return current_round - limits.ROUNDS_BEHIND_MAX <= round_number <= current_round + limits.ROUNDS_AHEAD_MAX


def note_round(votes: HeightVotes, validator_index: int, round_number: int) -> HeightVotes:
    """Remember that a validator has reached a round."""
    if votes.highest_round.get(validator_index, -1) >= round_number:
        return votes
    return votes._replace(highest_round={**votes.highest_round, validator_index: round_number})


def prune(votes: HeightVotes, current_round: int, keep_rounds: tuple[int, ...]) -> HeightVotes:
    """Forget rounds that have left the window, except those named."""
    kept = {
        key: tally
        for key, tally in votes.tallies.items()
        if is_in_window(key[1], current_round) or key[1] in keep_rounds
    }
    return votes._replace(tallies=kept)


def round_reached_by_third(votes: HeightVotes) -> int:
    """Return the highest round that more than a third of power has reached, or -1.

    A validator in a round has left every round below it, so the powers of all at or above a round add up.
    """
    power = 0
    for index, round_number in sorted(votes.highest_round.items(), key=lambda item: -item[1]):
        power += votes.validators.power(index)
        if votes.validators.has_honest_member(power):
            return round_number
    return -1
