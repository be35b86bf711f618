"""What holds of the step function under any sequence of events, likely or not."""

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.consensus.events import (
    NO_ROUND,
    CastVote,
    Decide,
    Event,
    PolkaProven,
    ProposalReceived,
    Start,
    Step,
    TimeoutFired,
    Timeouts,
    ValueReady,
    VoteReceived,
)
from holdfast.consensus.messages import NIL, Vote, VoteKind
from holdfast.consensus.step import has_polka, new_height, step
from holdfast.consensus.validators import Validator, ValidatorSet

VALIDATORS = ValidatorSet([Validator(bytes([index]) * 32, 1 + index % 2) for index in range(4)])
OWN = 3
ROUNDS = st.integers(0, 3)
BLOCKS = st.sampled_from([b"v" * 32, b"w" * 32])
ANY_HASH = st.one_of(st.just(NIL), BLOCKS)


def received(kind: VoteKind, round_number: int, block_hash: bytes, index: int) -> VoteReceived:
    return VoteReceived(Vote(kind, 4, round_number, block_hash, index, 1, bytes(64)))


EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(received, st.sampled_from(VoteKind), ROUNDS, ANY_HASH, st.integers(0, 2)),
    st.builds(received, st.sampled_from(VoteKind), ROUNDS, BLOCKS, st.integers(0, 2)),
    st.builds(ProposalReceived, ROUNDS, BLOCKS, st.integers(-1, 3), st.sampled_from([True, True, True, False])),
    st.builds(TimeoutFired, st.sampled_from([Step.PROPOSE, Step.PREVOTE, Step.PRECOMMIT]), ROUNDS),
    st.builds(PolkaProven, ROUNDS, BLOCKS),
    st.builds(ValueReady, ROUNDS, BLOCKS),
    st.just(Start()),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENTS, max_size=80))
def test_step__any_events__votes_once_a_slot_in_order_and_within_its_lock(events: list[Event]) -> None:
    state = new_height(4, OWN, VALIDATORS, Timeouts())
    cast: list[tuple[int, int]] = []
    decisions = 0
    queue: list[Event] = [Start(), *events]
    while queue:
        before = state
        state, effects = step(state, queue.pop(0))
        own: list[Event] = []
        for effect in effects:
            if isinstance(effect, Decide):
                decisions += 1
                power = state.votes.tally(VoteKind.PRECOMMIT, effect.round).power_by_hash[effect.block_hash]
                assert 3 * power > 2 * VALIDATORS.total_power
            if isinstance(effect, CastVote):
                slot = (effect.round, int(effect.kind))
                assert not cast or cast[-1] < slot
                cast.append(slot)
                own.append(received(effect.kind, effect.round, effect.block_hash, OWN))
                if effect.kind == VoteKind.PRECOMMIT and effect.block_hash != NIL:
                    assert has_polka(state, effect.round, effect.block_hash)
                if effect.kind == VoteKind.PREVOTE and effect.block_hash not in (NIL, before.locked_hash):
                    pol_round = state.proposals[effect.round].pol_round
                    assert before.locked_round == NO_ROUND or before.locked_round <= pol_round
        queue[:0] = own
        assert before.locked_round <= state.locked_round <= state.valid_round
        assert before.round <= state.round
        assert decisions <= 1
        assert state.decided or (before.round, before.step) <= (state.round, state.step)
