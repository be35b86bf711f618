"""One height of consensus over the bare step function: no crypto, no application, a hostile network, perhaps one liar.

Until `HEAL_MS` messages are lost and late, by odds that each run draws for each kind and receiver, and the liar says
anything to anybody; after it links are good and the liar is silent. Who has decided shows its certificate to others, as
catch-up does. `run` names the promise that broke, if any: agreement, validity or termination.
"""

from heapq import heappop, heappush
from random import Random
from typing import NamedTuple

from holdfast.consensus.events import (
    BroadcastProposal,
    CastVote,
    Decide,
    DecidedInvalid,
    Event,
    GetValue,
    PolkaProven,
    ProposalReceived,
    SetTimer,
    Start,
    TimeoutFired,
    Timeouts,
    ValueReady,
    VoteReceived,
)
from holdfast.consensus.messages import NIL, Vote, VoteKind
from holdfast.consensus.step import State, new_height, step
from holdfast.consensus.validators import Validator, ValidatorSet

HEIGHT = 1
HEAL_MS = 8_000
LIMIT_MS = 60_000
REBROADCAST_MS = 1_500
TIMEOUTS = Timeouts(300, 100, 200, 100, 200, 100)


class Timer(NamedTuple):
    """A rebroadcast is due."""


class Certificate(NamedTuple):
    """The precommits behind a decision."""

    votes: tuple[Vote, ...]


class StepNode:
    """One honest validator."""

    def __init__(self, index: int, validators: ValidatorSet) -> None:
        self.state: State = new_height(HEIGHT, index, validators, TIMEOUTS)
        self.sent: list[Event] = []
        self.decided = NIL
        self.decided_invalid = False


class StepWorld:
    """N validators at one height, from one seed."""

    def __init__(self, seed: int, size: int = 4, liar: int | None = None) -> None:
        self.random = Random(seed)
        self.size = size
        self.liar = liar
        self.validators = ValidatorSet([Validator(bytes([index]) * 32, 1) for index in range(size)])
        self.nodes = {index: StepNode(index, self.validators) for index in range(size) if index != liar}
        self.heap: list[tuple[int, int, int, Event | Timer | Certificate]] = []
        links = [(kind, index) for kind in (None, *VoteKind) for index in range(size)]
        self.loss = {link: self.random.choice([0.0, 0.0, 0.3, 0.8]) for link in links}
        self.late = self.random.choice([0.0, 0.1, 0.4])
        self.sequence = 0
        self.now_ms = 0
        self.proposed: set[bytes] = set()
        self.lied_rounds: set[int] = set()

    def push(self, delay_ms: int, receiver: int, event: Event | Timer | Certificate) -> None:
        self.sequence += 1
        heappush(self.heap, (self.now_ms + delay_ms, self.sequence, receiver, event))

    def post(self, receiver: int, event: Event | Certificate) -> None:
        """Hand one message to one link."""
        if self.now_ms >= HEAL_MS:
            self.push(self.random.randint(10, 50), receiver, event)
            return
        if self.random.random() < self.loss[event.vote.kind if isinstance(event, VoteReceived) else None, receiver]:
            return
        is_late = self.random.random() < self.late
        self.push(self.random.randint(300, 3_000) if is_late else self.random.randint(10, 50), receiver, event)
        if self.random.random() < 0.1:
            self.push(self.random.randint(10, 500), receiver, event)

    def say(self, sender: int, event: Event) -> None:
        node = self.nodes[sender]
        node.sent.append(event)
        for receiver in self.nodes:
            if receiver != sender:
                self.post(receiver, event)
        self.feed(sender, event)

    def feed(self, index: int, event: Event) -> None:
        node = self.nodes[index]
        node.state, effects = step(node.state, event)
        for effect in effects:
            match effect:
                case GetValue(round_number):
                    value = bytes([index + 1, round_number % 256]) * 16
                    self.feed(index, ValueReady(round_number, value))
                case BroadcastProposal(round_number, block_hash, pol_round):
                    self.proposed.add(block_hash)
                    if pol_round >= 0:
                        self.say(index, PolkaProven(pol_round, block_hash))
                    self.say(index, ProposalReceived(round_number, block_hash, pol_round, True))
                case CastVote(kind, round_number, block_hash):
                    self.say(index, VoteReceived(self.vote(kind, round_number, block_hash, index)))
                case SetTimer(waiting, round_number, delay_ms):
                    self.push(delay_ms, index, TimeoutFired(waiting, round_number))
                case Decide(_, block_hash):
                    node.decided = block_hash
                case DecidedInvalid():
                    node.decided_invalid = True
        if self.liar is not None and node.state.round not in self.lied_rounds and self.now_ms < HEAL_MS:
            self.lied_rounds.add(node.state.round)
            self.lie(node.state.round)

    def vote(self, kind: VoteKind, round_number: int, block_hash: bytes, index: int) -> Vote:
        return Vote(kind, HEIGHT, round_number, block_hash, index, 1, bytes(64))

    def lie(self, round_number: int) -> None:
        """Tell one story about a round to all, or each peer its own, and perhaps help one peer alone to decide."""
        if self.liar is None or round_number < 0:
            return
        story = self.story(round_number)
        is_consistent = self.random.random() < 0.6
        favourite = self.random.choice(sorted(self.nodes))
        for receiver in self.nodes:
            value, pol_round = story if is_consistent else self.story(round_number)
            if self.validators.proposer(HEIGHT, round_number) == self.liar:
                self.proposed.add(value)
                self.push(self.random.randint(5, 60), receiver, ProposalReceived(round_number, value, pol_round, True))
            popular = self.nodes[receiver].state.proposals.get(round_number)
            for kind in VoteKind:
                said = value if self.random.random() < 0.7 or popular is None else popular.block_hash
                if receiver == favourite and popular is not None:
                    said = popular.block_hash
                vote = self.vote(kind, round_number, said if self.random.random() < 0.8 else NIL, self.liar)
                self.push(self.random.randint(5, 200), receiver, VoteReceived(vote))

    def story(self, round_number: int) -> tuple[bytes, int]:
        """Draw a value, often the liar's own, and a claim about its polka."""
        own = bytes([self.liar or 0, 200, round_number % 256, 7]) * 8
        value = own if self.random.random() < 0.8 else self.random.choice(sorted({own, *self.proposed}))
        claims = (
            [-1, round_number - 1, round_number - 1, self.random.randint(0, round_number - 1)] if round_number else [-1]
        )
        return value, self.random.choice(claims)

    def run(self) -> str:
        """Run to the decision of all or to the limit, and return the broken promise or an empty string."""
        for index in self.nodes:
            self.push(self.random.randint(0, 100), index, Start())
            self.push(REBROADCAST_MS, index, Timer())
        while self.heap and self.heap[0][0] <= LIMIT_MS:
            self.now_ms, _, receiver, event = heappop(self.heap)
            match event:
                case Timer():
                    self.repeat(receiver)
                case Certificate(votes):
                    self.adopt(self.nodes[receiver], votes)
                case _:
                    self.feed(receiver, event)
            if all(node.decided for node in self.nodes.values()):
                break
        return self.judge()

    def repeat(self, index: int) -> None:
        """Say the latest again; who has decided shows why."""
        node = self.nodes[index]
        state = node.state
        said: list[Event | Certificate] = list(node.sent[-16:])
        if node.decided:
            rounds = [number for kind, number in state.votes.tallies if kind == VoteKind.PRECOMMIT]
            said = [
                Certificate(votes)
                for number in rounds
                if (votes := state.votes.votes_for(VoteKind.PRECOMMIT, number, node.decided))
            ]
        for receiver in self.nodes:
            if receiver != index:
                for event in said:
                    self.post(receiver, event)
        self.push(REBROADCAST_MS, index, Timer())

    def adopt(self, node: StepNode, votes: tuple[Vote, ...]) -> None:
        """Decide what a certificate proves."""
        power = sum(self.validators.power(vote.validator_index) for vote in votes)
        if not node.decided and self.validators.has_quorum(power):
            node.decided = votes[0].block_hash

    def judge(self) -> str:
        decided = {node.decided for node in self.nodes.values() if node.decided}
        if len(decided) > 1:
            return "agreement"
        if not decided <= self.proposed or any(node.decided_invalid for node in self.nodes.values()):
            return "validity"
        return "" if all(node.decided for node in self.nodes.values()) else "termination"
