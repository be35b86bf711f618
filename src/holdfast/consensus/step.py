"""Tendermint of arXiv 1807.04938 as a pure function: `step(state, event) -> (state, effects)`.

One state serves one height; after a decision the shell makes a fresh one. Each rule carries the line of the paper's
algorithm 1 that it implements. After every event all rules are tried again, for the rounds that their lines name, until
none fires. The caller verifies signatures and heights first, and judges `valid(v)` once for each proposal.

Two additions to the paper, neither of which can change what is decided: a height may wait for its start in round -1,
where only a decision or a third of power already at work moves it; and line 55 counts validators at or above a round,
since who is in a round has left those below.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

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
    Timeouts,
    ValueReady,
    VoteReceived,
)
from holdfast.consensus.messages import NIL, Vote, VoteKind
from holdfast.consensus.validators import ValidatorSet
from holdfast.consensus.votes import (
    Added,
    HeightVotes,
    add,
    is_in_window,
    no_votes,
    note_round,
    prune,
    round_reached_by_third,
)


class SeenProposal(NamedTuple):
    """A round's proposal from its proposer, with the caller's judgement of the block."""

    block_hash: bytes
    pol_round: int
    valid: bool


class State(NamedTuple):
    """Everything that one replica's consensus remembers of one height."""

    height: int
    own_index: int
    validators: ValidatorSet
    timeouts: Timeouts
    votes: HeightVotes
    proposals: Mapping[int, SeenProposal] = {}
    round: int = NO_ROUND
    step: Step = Step.NEW
    locked_hash: bytes = NIL
    locked_round: int = NO_ROUND
    valid_hash: bytes = NIL
    valid_round: int = NO_ROUND
    polkas: frozenset[tuple[int, bytes]] = frozenset()
    fired: frozenset[tuple[int, int]] = frozenset()
    decided: bool = False


Transition = tuple[State, tuple[Effect, ...]]


def new_height(height: int, own_index: int, validators: ValidatorSet, timeouts: Timeouts) -> State:
    """Return the state of a height before its start. `own_index` -1 follows without voting."""
    return State(height, own_index, validators, timeouts, no_votes(validators))


def resume(state: State, round_number: int, reached: Step, locked_hash: bytes, locked_round: int) -> State:
    """Return a height's state as a restarted replica's own signed messages imply it.

    A precommit for a block is a lock on it, and what is locked is valid. The round goes on where it stood, so nothing
    is signed twice; votes and proposals arrive again as events.
    """
    return state._replace(
        round=round_number,
        step=reached,
        locked_hash=locked_hash,
        locked_round=locked_round,
        valid_hash=locked_hash,
        valid_round=locked_round,
    )


def step(state: State, event: Event) -> Transition:
    """Take one event, then apply the rules until none fires."""
    if state.decided:
        return state, ()
    state, effects = _take(state, event)
    while not state.decided and (fired := _first_to_fire(state)) is not None:
        state = fired[0]
        effects += fired[1]
    return state, effects


def _take(state: State, event: Event) -> Transition:
    match event:
        case VoteReceived(vote):
            return _take_vote(state, vote)
        case ProposalReceived():
            return _take_proposal(state, event), ()
        case PolkaProven(round_number, block_hash):
            return state._replace(polkas=state.polkas | {(round_number, block_hash)}), ()
        case TimeoutFired(waiting, round_number):
            return _take_timeout(state, waiting, round_number)
        case ValueReady(round_number, block_hash):
            wanted = round_number == state.round and state.step == Step.PROPOSE
            return state, (BroadcastProposal(round_number, block_hash, NO_ROUND),) if wanted else ()
        case Start():
            return start_round(state, 0) if state.step == Step.NEW else (state, ())


def _take_vote(state: State, vote: Vote) -> Transition:
    votes, added, standing = add(state.votes, vote, state.round)
    state = state._replace(votes=votes)
    if added == Added.CONFLICT and standing is not None:
        return state, (Evidence(standing, vote),)
    return state, ()


def _take_proposal(state: State, event: ProposalReceived) -> State:
    if event.round in state.proposals or event.pol_round >= event.round or not is_in_window(event.round, state.round):
        return state
    proposer = state.validators.proposer(state.height, event.round)
    seen = SeenProposal(event.block_hash, event.pol_round, event.valid)
    return state._replace(
        proposals={**state.proposals, event.round: seen}, votes=note_round(state.votes, proposer, event.round)
    )


def _take_timeout(state: State, waiting: Step, round_number: int) -> Transition:
    if round_number != state.round:
        return state, ()
    if waiting == Step.PROPOSE and state.step == Step.PROPOSE:  # lines 57-60
        return cast_prevote(state, NIL)
    if waiting == Step.PREVOTE and state.step == Step.PREVOTE:  # lines 61-64
        return cast_precommit(state, NIL)
    if waiting == Step.PRECOMMIT:  # lines 65-67
        return start_round(state, round_number + 1)
    return state, ()


def start_round(state: State, round_number: int) -> Transition:
    """Enter a round (lines 11-21)."""
    kept = (state.valid_round, state.locked_round)
    state = state._replace(
        round=round_number,
        step=Step.PROPOSE,
        votes=prune(state.votes, round_number, kept),
        proposals={
            number: seen
            for number, seen in state.proposals.items()
            if is_in_window(number, round_number) or number in kept
        },
        fired=frozenset(),
    )
    if state.validators.proposer(state.height, round_number) != state.own_index:
        return state, (_timer(state, Step.PROPOSE),)
    # The paper has no timeout of the proposer on itself; ours may fail to make a block.
    if state.valid_round != NO_ROUND:
        return state, (
            BroadcastProposal(round_number, state.valid_hash, state.valid_round),
            _timer(state, Step.PROPOSE),
        )
    return state, (GetValue(round_number), _timer(state, Step.PROPOSE))


def cast_prevote(state: State, block_hash: bytes) -> Transition:
    """Prevote and move on (lines 24-27, 30-33, 59-60)."""
    return state._replace(step=Step.PREVOTE), (CastVote(VoteKind.PREVOTE, state.round, block_hash),)


def cast_precommit(state: State, block_hash: bytes) -> Transition:
    """Precommit and move on (lines 40-41, 45-46, 63-64)."""
    return state._replace(step=Step.PRECOMMIT), (CastVote(VoteKind.PRECOMMIT, state.round, block_hash),)


def _timer(state: State, waiting: Step) -> SetTimer:
    return SetTimer(waiting, state.round, state.timeouts.delay_ms(waiting, state.round))


def lock_allows_fresh(state: State, seen: SeenProposal) -> bool:
    """Tell whether the lock admits a proposal without a polka (line 23)."""
    return state.locked_round == NO_ROUND or state.locked_hash == seen.block_hash


def lock_allows_polka(state: State, seen: SeenProposal) -> bool:
    """Tell whether the lock admits a proposal with a polka in an earlier round (line 29)."""
    return state.locked_round <= seen.pol_round or state.locked_hash == seen.block_hash


def has_polka(state: State, round_number: int, block_hash: bytes) -> bool:
    """Tell whether more than two thirds prevoted for a block in a round."""
    return (round_number, block_hash) in state.polkas or state.votes.has_quorum_for(
        VoteKind.PREVOTE, round_number, block_hash
    )


def decided_hash(state: State, round_number: int) -> bytes:
    """Return the block that more than two thirds precommitted in a round, or nil."""
    return state.votes.decided_hash(round_number)


def decide(state: State) -> Transition | None:
    """Line 49: a proposal of any round with a quorum of precommits for it is the decision."""
    for round_number, seen in state.proposals.items():
        if decided_hash(state, round_number) == seen.block_hash:
            effect = Decide if seen.valid else DecidedInvalid
            return state._replace(decided=True), (effect(round_number, seen.block_hash),)
    return None


def skip_round(state: State) -> Transition | None:
    """Line 55: more than a third of power is in a later round."""
    reached = round_reached_by_third(state.votes)
    return start_round(state, reached) if reached > state.round else None


def prevote_fresh(state: State) -> Transition | None:
    """Line 22: a proposal that claims no polka."""
    seen = state.proposals.get(state.round)
    if state.step != Step.PROPOSE or seen is None or seen.pol_round != NO_ROUND:
        return None
    return cast_prevote(state, seen.block_hash if seen.valid and lock_allows_fresh(state, seen) else NIL)


def prevote_with_polka(state: State) -> Transition | None:
    """Line 28: a proposal whose polka of an earlier round is here too."""
    seen = state.proposals.get(state.round)
    if state.step != Step.PROPOSE or seen is None or not 0 <= seen.pol_round < state.round:
        return None
    if not has_polka(state, seen.pol_round, seen.block_hash):
        return None
    return cast_prevote(state, seen.block_hash if seen.valid and lock_allows_polka(state, seen) else NIL)


def lock_or_update_valid(state: State) -> Transition | None:
    """Line 36: a polka for this round's valid proposal locks in step prevote, and is the valid value from then on."""
    seen = state.proposals.get(state.round)
    key = (36, state.round)
    if state.step < Step.PREVOTE or seen is None or not seen.valid or key in state.fired:
        return None
    if not has_polka(state, state.round, seen.block_hash):
        return None
    state = state._replace(valid_hash=seen.block_hash, valid_round=state.round, fired=state.fired | {key})
    if state.step != Step.PREVOTE:
        return state, ()
    return cast_precommit(state._replace(locked_hash=seen.block_hash, locked_round=state.round), seen.block_hash)


def precommit_nil(state: State) -> Transition | None:
    """Line 44: a polka for nil."""
    if state.step != Step.PREVOTE or not state.votes.has_quorum_for(VoteKind.PREVOTE, state.round, NIL):
        return None
    return cast_precommit(state, NIL)


def wait_for_prevotes(state: State) -> Transition | None:
    """Line 34: prevotes of two thirds that do not agree."""
    key = (34, state.round)
    if (
        state.step != Step.PREVOTE
        or key in state.fired
        or not state.votes.has_any_quorum(VoteKind.PREVOTE, state.round)
    ):
        return None
    return state._replace(fired=state.fired | {key}), (_timer(state, Step.PREVOTE),)


def wait_for_precommits(state: State) -> Transition | None:
    """Line 47: precommits of two thirds that do not agree."""
    key = (47, state.round)
    if state.step == Step.NEW or key in state.fired:
        return None
    if not state.votes.has_any_quorum(VoteKind.PRECOMMIT, state.round):
        return None
    return state._replace(fired=state.fired | {key}), (_timer(state, Step.PRECOMMIT),)


# Tried in this order: what ends a height or a round first, and votes before the timers that would replace them.
RULES: Final[tuple[Callable[[State], Transition | None], ...]] = (
    decide,
    skip_round,
    prevote_fresh,
    prevote_with_polka,
    lock_or_update_valid,
    precommit_nil,
    wait_for_prevotes,
    wait_for_precommits,
)


def _first_to_fire(state: State) -> Transition | None:
    for rule in RULES:
        fired = rule(state)
        if fired is not None:
            return fired
    return None
