"""The height in progress: feeds the step function, performs its effects, and signs without ever contradicting itself.

Owns the state of one height, its blocks by hash, the sign log, and the votes of the height before (to find conflicts
among late ones). What it decides goes to `on_decided`; it knows nothing of peers' heights, catch-up or the mempool.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from holdfast.consensus.commit import check_extension, check_polka, check_vote
from holdfast.consensus.events import (
    NO_ROUND,
    BroadcastProposal,
    CastVote,
    Decide,
    DecidedInvalid,
    Effect,
    Event,
    Evidence,
    GetValue,
    PolkaProven,
    ProposalReceived,
    SetTimer,
    Start,
    Step,
    TimeoutFired,
    ValueReady,
    VoteReceived,
)
from holdfast.consensus.messages import (
    NIL,
    Proposal,
    Vote,
    VoteKind,
    bare,
    header_hash,
    proposal_sign_bytes,
)
from holdfast.consensus.step import State, new_height, resume, step
from holdfast.consensus.validators import ValidatorSet
from holdfast.consensus.votes import HeightVotes, no_votes
from holdfast.node.blockstore import StoredBlock
from holdfast.node.evidence_pool import EvidencePool
from holdfast.node.replica_blocks import Decision, HeightBlocks
from holdfast.node.replica_chain import Chain
from holdfast.node.replica_env import Environment, HaltError
from holdfast.node.replica_signing import Voice
from holdfast.node.replica_wire import NOTICE_VOTES_MAX, CommitNotice, ProposalMessage, encode_message
from holdfast.node.wal import Signed
from holdfast.primitives.crypto import verify

_NOTICE_ROUNDS: Final = 4


class Rounds:
    """The consensus of one replica at the height above its chain's tip."""

    def __init__(
        self,
        env: Environment,
        chain: Chain,
        evidence: EvidencePool,
        reap: Callable[[], tuple[bytes, ...]],
        may_sign: Callable[[int], bool],
        on_decided: Callable[[Decision], None],
    ) -> None:
        """Wire the parts; `begin` opens the height."""
        self._env = env
        self._chain = chain
        self._evidence = evidence
        self._reap = reap
        self._may_sign = may_sign
        self._on_decided = on_decided
        self._events: deque[Event] = deque()
        self._draining = False
        self._blocks = HeightBlocks(env.chain.block_tx_bytes_max)
        self._proofs: dict[tuple[int, bytes], tuple[Vote, ...]] = {}
        self._last_votes: HeightVotes = no_votes(chain.genesis_validators)
        self.state: State = self._fresh_state()
        self._voice = Voice(env)
        self._signed_before: tuple[int, Signed] | None = None
        self._is_open = False

    @property
    def height(self) -> int:
        """Return the height in progress."""
        return self.state.height

    def begin(self) -> None:
        """Open the height above the tip, going on from what was signed there before a crash once `go` was called."""
        if self.state.height == self._chain.tip.height:
            self._last_votes = self.state.votes
        else:
            self._last_votes = no_votes(self._chain.tip.last_validators)
        self._events.clear()
        self._blocks.clear()
        self._proofs.clear()
        self.state = self._fresh_state()
        if self._voice.height:
            self._signed_before = (self._voice.height, self._voice.signed)
        self._voice.begin(self.height)
        if self._is_open:
            self._resume()

    def go(self) -> None:
        """Take part from now on: until then, nothing that was begun before a crash goes on."""
        if not self._is_open:
            self._is_open = True
            self._resume()

    def signed_at(self, height: int) -> Signed | None:
        """Return all that was signed at the height in progress or the one before, None for others."""
        if height == self._voice.height:
            return self._voice.signed
        before = self._signed_before
        return before[1] if before is not None and before[0] == height else None

    def votes_of(self, index: int) -> tuple[Vote, ...]:
        """Return what a validator has voted in the latest rounds of this height and the one before."""
        seen = (*self._last_votes.all_votes(_NOTICE_ROUNDS), *self.state.votes.all_votes(_NOTICE_ROUNDS))
        return tuple(bare(vote) for vote in seen if vote.validator_index == index)[-NOTICE_VOTES_MAX:]

    def _fresh_state(self) -> State:
        tip = self._chain.tip
        own_key = self._env.signer.public_key
        index = self._env.index
        votes_here = index in tip.validators and tip.validators.public_key(index) == own_key
        return new_height(tip.height + 1, index if votes_here else -1, tip.validators, self._env.config.timeouts)

    def _resume(self) -> None:
        """Restore round, step and lock from the own signed messages of this height."""
        signed = self._voice.signed
        if not signed.votes and not signed.proposals:
            return
        for data in signed.blocks:
            self._blocks.add_logged(data)
        reached = max(
            [(vote.round, Step(vote.kind + 1)) for vote in signed.votes]
            + [(proposal.round, Step.PROPOSE) for proposal in signed.proposals]
        )
        locks = [vote for vote in signed.votes if vote.kind == VoteKind.PRECOMMIT and vote.block_hash != NIL]
        locked_hash, locked_round = (locks[-1].block_hash, locks[-1].round) if locks else (NIL, NO_ROUND)
        self.state = resume(self.state, reached[0], reached[1], locked_hash, locked_round)
        self._env.count("height_resumed", height=self.height, round=reached[0])
        for vote in (*signed.polka, *signed.votes):
            self._events.append(VoteReceived(vote))
        for proposal in signed.proposals:
            self._queue_proposal(proposal)
        if reached[1] == Step.PROPOSE:
            self._set_timer(
                SetTimer(Step.PROPOSE, reached[0], self._env.config.timeouts.delay_ms(Step.PROPOSE, reached[0]))
            )
        self._drain()

    @property
    def is_started(self) -> bool:
        """Tell whether the height's first round has begun."""
        return self.state.step != Step.NEW

    # Events from outside

    def start(self) -> None:
        """Begin the first round."""
        self._feed(Start())

    def on_timeout(self, waiting: Step, round_number: int) -> None:
        """Take a timer of this height."""
        self._feed(TimeoutFired(waiting, round_number))

    def on_vote(self, vote: Vote) -> bool:
        """Take a vote of this height; tell whether it was sound."""
        held = self.state.votes.get(vote.kind, vote.round, vote.validator_index)
        if held is not None and held.block_hash == vote.block_hash:
            return True
        if check_vote(self.state.validators, self._env.domains, vote) is not None:
            return False
        if not self._is_sound_extension(self.state.validators, vote):
            return False
        self._feed(VoteReceived(vote))
        return True

    def on_proposal(self, message: ProposalMessage) -> bool:
        """Take a proposal of this height with its block; tell whether it was sound."""
        proposal = message.proposal
        if proposal.round in self.state.proposals:
            return True
        if proposal.proposer_index != self.state.validators.proposer(proposal.height, proposal.round):
            return False
        key = self.state.validators.public_key(proposal.proposer_index)
        if not verify(key, proposal_sign_bytes(self._env.domains, proposal), proposal.signature):
            return False
        if proposal.block_hash not in self._blocks and not self._blocks.take(proposal.block_hash, message.block):
            return False
        if proposal.pol_round != NO_ROUND and not self._take_polka(proposal, message.polka):
            return False
        self._queue_proposal(proposal)
        self._drain()
        return True

    def _take_polka(self, proposal: Proposal, polka: tuple[Vote, ...]) -> bool:
        """Take the proof that comes with a block proposed again."""
        if (proposal.pol_round, proposal.block_hash) in self.state.polkas:
            return True
        validators, domains = self.state.validators, self._env.domains
        fault = check_polka(validators, domains, polka, proposal.pol_round, proposal.block_hash, proposal.height)
        if fault is not None:
            return False
        self._proofs[proposal.pol_round, proposal.block_hash] = polka
        self._events.append(PolkaProven(proposal.pol_round, proposal.block_hash))
        self._events.extend(map(VoteReceived, polka))
        return True

    def on_late_vote(self, vote: Vote) -> None:
        """Take a vote of the height before: a conflict is evidence, a precommit for the tip enters the next commit."""
        held = self._last_votes.get(vote.kind, vote.round, vote.validator_index)
        if held is not None and held.block_hash == vote.block_hash:
            return
        validators = self._chain.tip.last_validators
        if check_vote(validators, self._env.domains, vote) is not None:
            return
        if held is not None:
            self._perform_evidence(Evidence(held, vote))
            return
        is_for_tip = vote.kind == VoteKind.PRECOMMIT and vote.block_hash == self._chain.tip.block_hash
        if is_for_tip and self._is_sound_extension(validators, vote):
            self._chain.add_late_vote(vote)

    def compare_notice(self, notice: CommitNotice) -> None:
        """Look among votes that a peer saw for ones that conflict with those seen here."""
        for vote in notice.votes:
            if vote.height == self.height:
                votes = self.state.votes
            elif vote.height == self._chain.tip.height:
                votes = self._last_votes
            else:
                continue
            held = votes.get(vote.kind, vote.round, vote.validator_index)
            conflicts = held is not None and held.block_hash != vote.block_hash
            if held is not None and conflicts and check_vote(votes.validators, self._env.domains, vote) is None:
                self._perform_evidence(Evidence(held, vote))

    def notice(self) -> CommitNotice:
        """Return what peers should compare of the height before."""
        votes = self._last_votes.all_votes(_NOTICE_ROUNDS)[:NOTICE_VOTES_MAX]
        return CommitNotice(self._chain.tip.height, tuple(map(bare, votes)))

    def rebroadcast(self) -> None:
        """Send again what this validator has said in the rounds that may still matter."""
        state = self.state
        own_proposal = self._voice.find_proposal(state.round)
        if own_proposal is not None and own_proposal.block_hash in self._blocks:
            self._send_proposal(own_proposal)
        for round_number in sorted({state.round, state.round - 1, state.locked_round, state.valid_round}):
            for kind in VoteKind:
                vote = self._voice.find_vote(kind, round_number)
                if vote is not None:
                    self._env.network.broadcast(encode_message(vote))

    def _is_sound_extension(self, validators: ValidatorSet, vote: Vote) -> bool:
        """Judge a precommit's extension by signature and by the application; other votes have none to judge."""
        if vote.kind != VoteKind.PRECOMMIT or vote.block_hash == NIL:
            return True
        if check_extension(validators, self._env.domains, vote) is not None:
            return False
        return self._env.application.verify_vote_extension(vote.height, vote.validator_index, vote.extension)

    # The step function and its effects

    def _queue_proposal(self, proposal: Proposal) -> None:
        known = self._blocks.get(proposal.block_hash)
        if known is None:
            return
        fault = self._chain.judge(known.block, proposal.block_hash)
        if (
            not fault
            and proposal.pol_round == NO_ROUND
            and known.block.header.proposer_index != proposal.proposer_index
        ):
            fault = "its proposer is not the round's"
        if fault:
            self._env.count("proposal_invalid", height=self.height, round=proposal.round, fault=fault)
        self._events.append(ProposalReceived(proposal.round, proposal.block_hash, proposal.pol_round, not fault))

    def _feed(self, event: Event) -> None:
        self._events.append(event)
        self._drain()

    def _drain(self) -> None:
        """Run events until none is left. Effects may add some; a decision ends the height and what is left of it."""
        if self._draining:
            return
        self._draining = True
        try:
            while self._events:
                self.state, effects = step(self.state, self._events.popleft())
                for effect in effects:
                    self._perform(effect)
        finally:
            self._draining = False

    def _perform(self, effect: Effect) -> None:
        match effect:
            case CastVote():
                self._cast(effect)
            case SetTimer():
                self._set_timer(effect)
            case GetValue(round_number):
                self._make_value(round_number)
            case BroadcastProposal():
                self._propose(effect)
            case Evidence():
                self._perform_evidence(effect)
            case Decide(round_number, block_hash):
                self._decide(round_number, block_hash)
            case DecidedInvalid(_, block_hash):
                fault = self._chain.judge(self._blocks[block_hash].block, block_hash)
                raise HaltError(
                    f"two thirds decided block {block_hash.hex()} at height {self.height}, but {fault} here"
                )

    def _perform_evidence(self, evidence: Evidence) -> None:
        vote = evidence.first
        if (vote.height, vote.validator_index) in self._chain.tip.proven:
            return
        if self._evidence.add(evidence.first, evidence.second):
            self._env.count("equivocation_found", height=vote.height, by=vote.validator_index, kind=vote.kind.name)

    def _set_timer(self, timer: SetTimer) -> None:
        self._env.set_timer("step", timer.delay_ms, self.height, timer.waiting, timer.round)

    def _make_value(self, round_number: int) -> None:
        if not self._may_sign(self.height) or not self._chain.can_propose:
            return
        held = self._voice.find_proposal(round_number)
        if held is not None:
            self._events.append(ValueReady(round_number, held.block_hash))
            return
        block = self._chain.make_block(self._reap(), self._chain.provable(self._evidence.reap(self.height)))
        block_hash = header_hash(block.header)
        fault = self._chain.judge(block, block_hash)
        if fault:
            self._env.count("own_block_invalid", height=self.height, round=round_number, fault=fault)
            return
        self._blocks.add_own(block_hash, block)
        self._events.append(ValueReady(round_number, block_hash))

    def _propose(self, effect: BroadcastProposal) -> None:
        known = self._blocks.get(effect.block_hash)
        if known is None or not self._may_sign(self.height):
            return
        proposal = self._voice.propose(effect, known.data)
        self._send_proposal(proposal)
        self._queue_proposal(proposal)

    def _send_proposal(self, proposal: Proposal) -> None:
        polka = self._polka(proposal.pol_round, proposal.block_hash)
        data = self._blocks[proposal.block_hash].data
        self._env.network.broadcast(encode_message(ProposalMessage(proposal, data, polka)))

    def _polka(self, round_number: int, block_hash: bytes) -> tuple[Vote, ...]:
        """Return the prevotes that prove a polka: those counted here, or those that a proposer showed."""
        counted = self.state.votes.votes_for(VoteKind.PREVOTE, round_number, block_hash)
        return self._proofs.get((round_number, block_hash), counted)

    def _cast(self, effect: CastVote) -> None:
        if self.state.own_index == -1 or not self._may_sign(self.height):
            return
        known = self._blocks.get(effect.block_hash)
        # A vote for a block is after that block, so that the median of such votes is, too.
        not_before_ms = (known.block.header.time_ms if known is not None else self._chain.tip.time_ms) + 1
        polka = self._polka(effect.round, effect.block_hash)
        vote = self._voice.vote(effect, not_before_ms, known.data if known is not None else None, polka)
        self._env.network.broadcast(encode_message(vote))
        self._events.append(VoteReceived(vote))

    def _decide(self, round_number: int, block_hash: bytes) -> None:
        known = self._blocks[block_hash]
        votes = self.state.votes.votes_for(VoteKind.PRECOMMIT, round_number, block_hash)
        self._events.clear()
        self._on_decided(Decision(known.block, block_hash, StoredBlock(known.data, votes)))
