"""What goes into the step function and what comes out of it: events and effects as data."""

from enum import IntEnum, unique
from typing import Final, NamedTuple

from holdfast.consensus.messages import Vote, VoteKind

NO_ROUND: Final = -1


@unique
class Step(IntEnum):
    """The step of a round, in order; NEW before a height's start."""

    NEW = 0
    PROPOSE = 1
    PREVOTE = 2
    PRECOMMIT = 3


class Timeouts(NamedTuple):
    """How long each step waits in round 0, and how much longer in each later round."""

    propose_ms: int = 1_000
    propose_delta_ms: int = 500
    prevote_ms: int = 500
    prevote_delta_ms: int = 500
    precommit_ms: int = 500
    precommit_delta_ms: int = 500

    def delay_ms(self, waiting: Step, round_number: int) -> int:
        """Return the wait of a step in a round."""
        base, delta = {
            Step.PROPOSE: (self.propose_ms, self.propose_delta_ms),
            Step.PREVOTE: (self.prevote_ms, self.prevote_delta_ms),
            Step.PRECOMMIT: (self.precommit_ms, self.precommit_delta_ms),
        }[waiting]
        return base + delta * round_number


class Start(NamedTuple):
    """The height's time has come."""


class ValueReady(NamedTuple):
    """The block asked for by GetValue."""

    round: int
    block_hash: bytes


class ProposalReceived(NamedTuple):
    """A proposal signed by the proposer of its round, and whether its block is valid."""

    round: int
    block_hash: bytes
    pol_round: int
    valid: bool


class VoteReceived(NamedTuple):
    """A vote of this height whose signature verifies; own votes come back this way too."""

    vote: Vote


class PolkaProven(NamedTuple):
    """Verified prevotes of more than two thirds for a block in one round, received together.

    Why beside single votes: a validator that voted twice counts here for its first vote, in a peer's proof for its
    other. Without the proof two honest validators could disagree for ever on whether there was a polka.
    """

    round: int
    block_hash: bytes


class TimeoutFired(NamedTuple):
    """A timer set by SetTimer has run out."""

    waiting: Step
    round: int


Event = Start | ValueReady | ProposalReceived | VoteReceived | PolkaProven | TimeoutFired


class GetValue(NamedTuple):
    """Make a block for a round and answer with ValueReady."""

    round: int


class BroadcastProposal(NamedTuple):
    """Sign and send a proposal; where `pol_round` is a round, with its polka."""

    round: int
    block_hash: bytes
    pol_round: int


class CastVote(NamedTuple):
    """Sign, make durable and send a vote, and feed it back."""

    kind: VoteKind
    round: int
    block_hash: bytes


class SetTimer(NamedTuple):
    """Answer with TimeoutFired after a delay."""

    waiting: Step
    round: int
    delay_ms: int


class Decide(NamedTuple):
    """The height's block, with a quorum of precommits in a round."""

    round: int
    block_hash: bytes


class DecidedInvalid(NamedTuple):
    """A quorum precommitted a block that is invalid here: this replica, or a third of power, is wrong."""

    round: int
    block_hash: bytes


class Evidence(NamedTuple):
    """Two conflicting votes of one validator."""

    first: Vote
    second: Vote


Effect = GetValue | BroadcastProposal | CastVote | SetTimer | Decide | DecidedInvalid | Evidence
