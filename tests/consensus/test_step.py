"""Scenarios for each line of algorithm 1 of arXiv 1807.04938.

Four validators of power 1; at height 4 validator r proposes in round r. "Own" is validator 3 unless a test says
otherwise.
"""

import pytest

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
from holdfast.consensus.step import State, new_height, resume, step
from holdfast.consensus.validators import Validator, ValidatorSet

HEIGHT = 4
V, W = b"v" * 32, b"w" * 32
VALIDATORS = ValidatorSet([Validator(bytes([index]) * 32, 1) for index in range(4)])
PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT


def vote(kind: VoteKind, round_number: int, block_hash: bytes, index: int) -> VoteReceived:
    return VoteReceived(Vote(kind, HEIGHT, round_number, block_hash, index, 1, bytes(64)))


def prevotes(round_number: int, block_hash: bytes, *indices: int) -> list[Event]:
    return [vote(PREVOTE, round_number, block_hash, index) for index in indices]


def precommits(round_number: int, block_hash: bytes, *indices: int) -> list[Event]:
    return [vote(PRECOMMIT, round_number, block_hash, index) for index in indices]


def proposal(
    round_number: int, block_hash: bytes, pol_round: int = NO_ROUND, *, valid: bool = True
) -> ProposalReceived:
    return ProposalReceived(round_number, block_hash, pol_round, valid)


class Run:
    """A state under test: feed events, look at the effects of the last one and of all."""

    def __init__(self, own: int = 3, *, start: bool = True) -> None:
        self.state: State = new_height(HEIGHT, own, VALIDATORS, Timeouts())
        self.own = own
        self.all: list[Effect] = []
        if start:
            self.feed(Start())

    def feed(self, *events: Event) -> list[Effect]:
        """Feed events and, as the shell does, own votes back; return the effects of all of them."""
        effects: list[Effect] = []
        for event in events:
            self.state, new = step(self.state, event)
            effects.extend(new)
            for effect in new:
                if isinstance(effect, CastVote):
                    effects.extend(self.feed(vote(effect.kind, effect.round, effect.block_hash, self.own)))
        self.all.extend(effects)
        return effects

    def cast(self, *events: Event) -> list[tuple[VoteKind, int, bytes]]:
        return [tuple(effect) for effect in self.feed(*events) if isinstance(effect, CastVote)]  # type: ignore[misc]

    def at(self) -> tuple[int, Step]:
        return self.state.round, self.state.step

    def lock(self) -> tuple[bytes, int]:
        return self.state.locked_hash, self.state.locked_round


def locked_on_v() -> Run:
    """Own has locked V in round 0 and stands in round 1, whose proposer is validator 1."""
    run = Run()
    run.feed(proposal(0, V), *prevotes(0, V, 0, 1))
    assert run.lock() == (V, 0)
    run.feed(*precommits(0, NIL, 0, 1), TimeoutFired(Step.PRECOMMIT, 0))
    assert run.at() == (1, Step.PROPOSE)
    return run


# Lines 11-21


def test_line_14__proposer_without_valid_value__asks_for_one_and_proposes_it() -> None:
    run = Run(own=0, start=False)
    assert GetValue(0) in run.feed(Start())
    assert run.feed(ValueReady(0, V)) == [BroadcastProposal(0, V, NO_ROUND)]


def test_line_16__proposer_with_valid_value__proposes_it_with_its_round() -> None:
    run = Run(own=1)
    run.feed(proposal(0, V), *prevotes(0, V, 0, 2), *precommits(0, NIL, 0, 2))
    assert BroadcastProposal(1, V, 0) in run.feed(TimeoutFired(Step.PRECOMMIT, 0))


def test_line_21__other_than_proposer__schedules_the_timeout() -> None:
    run = Run(start=False)
    assert run.feed(Start()) == [SetTimer(Step.PROPOSE, 0, 1_000)]


def test_value_ready__round_has_passed__is_ignored() -> None:
    run = Run(own=0)
    run.feed(TimeoutFired(Step.PROPOSE, 0))
    assert run.feed(ValueReady(0, V)) == []


def test_timeouts__later_rounds__wait_longer() -> None:
    assert Timeouts(10, 3, 5, 2, 4, 1).delay_ms(Step.PROPOSE, 4) == 22
    assert Timeouts(10, 3, 5, 2, 4, 1).delay_ms(Step.PREVOTE, 0) == 5
    assert Timeouts(10, 3, 5, 2, 4, 1).delay_ms(Step.PRECOMMIT, 2) == 6


# Line 22


def test_line_22__valid_proposal_without_lock__prevotes_it() -> None:
    assert Run().cast(proposal(0, V)) == [(PREVOTE, 0, V)]


def test_line_26__invalid_proposal__prevotes_nil() -> None:
    assert Run().cast(proposal(0, V, valid=False)) == [(PREVOTE, 0, NIL)]


def test_line_23__locked_on_another_value__prevotes_nil() -> None:
    assert locked_on_v().cast(proposal(1, W)) == [(PREVOTE, 1, NIL)]


def test_line_23__locked_on_the_same_value__prevotes_it() -> None:
    assert locked_on_v().cast(proposal(1, V)) == [(PREVOTE, 1, V)]


def test_line_22__step_is_not_propose__does_nothing() -> None:
    run = Run()
    run.feed(TimeoutFired(Step.PROPOSE, 0))
    assert run.cast(proposal(0, V)) == []


def test_line_22__proposal_of_a_later_round__waits_for_that_round() -> None:
    run = Run()
    assert run.cast(proposal(1, V)) == []
    assert run.cast(*prevotes(1, NIL, 0, 1)) == [(PREVOTE, 1, V)]


def test_second_proposal__same_round__first_stands() -> None:
    run = Run()
    run.feed(proposal(0, V))
    run.feed(proposal(0, W))
    assert run.state.proposals[0].block_hash == V


# Line 28


def test_line_28__polka_in_the_named_round__unlocks_for_it() -> None:
    run = Run()
    run.feed(*prevotes(0, W, 0, 1, 2))
    run.feed(TimeoutFired(Step.PROPOSE, 0), *precommits(0, NIL, 0, 1, 2), TimeoutFired(Step.PRECOMMIT, 0))
    assert run.cast(proposal(1, W, 0)) == [(PREVOTE, 1, W)]


def test_line_28__polka_arrives_after_the_proposal__prevotes_then() -> None:
    run = Run()
    run.feed(TimeoutFired(Step.PROPOSE, 0), *precommits(0, NIL, 0, 1, 2), TimeoutFired(Step.PRECOMMIT, 0))
    assert run.cast(proposal(1, W, 0)) == []
    assert run.cast(*prevotes(0, W, 0, 1)) == []
    assert run.cast(*prevotes(0, W, 2)) == [(PREVOTE, 1, W)]


def test_line_28__no_polka_in_the_named_round__waits() -> None:
    run = locked_on_v()
    assert run.cast(proposal(1, W, 0)) == []
    assert run.at() == (1, Step.PROPOSE)


def test_line_29__locked_in_a_later_round_on_another_value__prevotes_nil() -> None:
    run = Run()
    run.feed(*prevotes(0, W, 0, 1, 2), TimeoutFired(Step.PROPOSE, 0))
    run.feed(*precommits(0, NIL, 0, 1), TimeoutFired(Step.PRECOMMIT, 0))
    run.feed(proposal(1, V), *prevotes(1, V, 0, 1))
    assert run.lock() == (V, 1)
    run.feed(*precommits(1, NIL, 0, 1), TimeoutFired(Step.PRECOMMIT, 1))
    assert run.cast(proposal(2, W, 0)) == [(PREVOTE, 2, NIL)]


def test_line_29__locked_in_the_named_round__prevotes_it() -> None:
    assert locked_on_v().cast(proposal(1, V, 0)) == [(PREVOTE, 1, V)]


def test_line_29__locked_in_an_earlier_round_on_another_value__prevotes_the_newer() -> None:
    run = locked_on_v()
    run.feed(*prevotes(1, W, 0, 1, 2), TimeoutFired(Step.PROPOSE, 1))
    run.feed(*precommits(1, NIL, 0, 1), TimeoutFired(Step.PRECOMMIT, 1))
    assert run.at() == (2, Step.PROPOSE)
    assert run.cast(proposal(2, W, 1)) == [(PREVOTE, 2, W)]


def test_line_28__invalid_value_with_polka__prevotes_nil() -> None:
    run = Run()
    run.feed(*prevotes(0, W, 0, 1, 2), TimeoutFired(Step.PROPOSE, 0))
    run.feed(*precommits(0, NIL, 0, 1, 2), TimeoutFired(Step.PRECOMMIT, 0))
    assert run.cast(proposal(1, W, 0, valid=False)) == [(PREVOTE, 1, NIL)]


@pytest.mark.parametrize("pol_round", [1, 2])
def test_proposal__polka_round_not_before_its_own__is_ignored(pol_round: int) -> None:
    run = locked_on_v()
    run.feed(*prevotes(1, W, 0, 1, 2))
    assert run.cast(proposal(1, W, pol_round)) == []
    assert run.state.proposals.get(1) is None


def test_line_28__polka_proven_by_the_proposer__prevotes_though_an_equivocator_told_another_story() -> None:
    run = Run()
    run.feed(*prevotes(0, W, 0, 1), *prevotes(0, NIL, 2))
    run.feed(TimeoutFired(Step.PROPOSE, 0), *precommits(0, NIL, 0, 1, 2), TimeoutFired(Step.PRECOMMIT, 0))
    assert run.cast(*prevotes(0, W, 2), proposal(1, W, 0)) == []
    assert run.cast(PolkaProven(0, W)) == [(PREVOTE, 1, W)]


# Line 34


def test_line_34__prevotes_disagree__schedules_the_timeout_once() -> None:
    run = Run()
    run.feed(proposal(0, V))
    assert SetTimer(Step.PREVOTE, 0, 500) in run.feed(*prevotes(0, NIL, 0, 1))
    assert run.feed(*prevotes(0, NIL, 2)) != [SetTimer(Step.PREVOTE, 0, 500)]
    assert sum(isinstance(effect, SetTimer) and effect.waiting == Step.PREVOTE for effect in run.all) == 1


def test_line_34__step_is_propose__waits_for_the_own_prevote() -> None:
    run = Run()
    assert run.feed(*prevotes(0, NIL, 0, 1), *prevotes(0, V, 2)) == []
    assert SetTimer(Step.PREVOTE, 0, 500) in run.feed(TimeoutFired(Step.PROPOSE, 0))


# Line 36


def test_line_36__polka_in_step_prevote__locks_and_precommits() -> None:
    run = Run()
    assert run.cast(proposal(0, V), *prevotes(0, V, 0, 1)) == [(PREVOTE, 0, V), (PRECOMMIT, 0, V)]
    assert run.lock() == (V, 0)
    assert (run.state.valid_hash, run.state.valid_round) == (V, 0)


def test_line_36__proposal_comes_after_its_polka__locks_then() -> None:
    run = Run()
    run.feed(TimeoutFired(Step.PROPOSE, 0), *prevotes(0, V, 0, 1, 2))
    assert run.lock() == (NIL, NO_ROUND)
    assert run.cast(proposal(0, V)) == [(PRECOMMIT, 0, V)]


def test_line_36__step_is_propose__waits() -> None:
    run = Run()
    run.feed(*prevotes(0, V, 0, 1, 2))
    assert run.at() == (0, Step.PROPOSE)
    assert run.cast(proposal(0, V)) == [(PREVOTE, 0, V), (PRECOMMIT, 0, V)]


def test_line_42__polka_in_step_precommit__updates_the_valid_value_without_locking() -> None:
    run = Run()
    run.feed(proposal(0, V), *prevotes(0, NIL, 0), *prevotes(0, V, 1), TimeoutFired(Step.PREVOTE, 0))
    assert run.at() == (0, Step.PRECOMMIT)
    assert run.cast(*prevotes(0, V, 2)) == []
    assert run.lock() == (NIL, NO_ROUND)
    assert (run.state.valid_hash, run.state.valid_round) == (V, 0)


def test_line_36__polka_of_a_past_round__neither_locks_nor_updates() -> None:
    run = Run()
    run.feed(proposal(0, V), *prevotes(1, NIL, 0, 1))
    assert run.state.round == 1
    run.feed(*prevotes(0, V, 0, 1, 2))
    assert run.lock() == (NIL, NO_ROUND)
    assert run.state.valid_round == NO_ROUND


def test_line_36__invalid_proposal_with_polka__does_not_lock() -> None:
    run = Run()
    assert run.cast(proposal(0, V, valid=False), *prevotes(0, V, 0, 1, 2)) == [(PREVOTE, 0, NIL)]
    assert run.lock() == (NIL, NO_ROUND)


def test_line_38__newer_polka_for_another_value__moves_the_lock() -> None:
    run = locked_on_v()
    run.feed(TimeoutFired(Step.PROPOSE, 1))
    assert run.cast(proposal(1, W), *prevotes(1, W, 0, 1, 2)) == [(PRECOMMIT, 1, W)]
    assert run.lock() == (W, 1)


def test_line_38__newer_polka_for_the_locked_value__locks_again_in_its_round() -> None:
    run = locked_on_v()
    run.feed(proposal(1, V, 0), *prevotes(1, V, 0, 1))
    assert run.lock() == (V, 1)


def test_line_36__fires_once_a_round() -> None:
    run = Run()
    run.feed(proposal(0, V), *prevotes(0, V, 0, 1))
    assert run.cast(*prevotes(0, V, 2)) == []


# Line 44


def test_line_44__polka_for_nil__precommits_nil_and_keeps_the_lock() -> None:
    run = locked_on_v()
    assert run.cast(TimeoutFired(Step.PROPOSE, 1), *prevotes(1, NIL, 0, 1)) == [(PREVOTE, 1, NIL), (PRECOMMIT, 1, NIL)]
    assert run.lock() == (V, 0)


def test_line_44__step_is_propose__waits_for_the_own_prevote() -> None:
    run = Run()
    assert run.cast(*prevotes(0, NIL, 0, 1, 2)) == []
    assert run.cast(TimeoutFired(Step.PROPOSE, 0)) == [(PREVOTE, 0, NIL), (PRECOMMIT, 0, NIL)]


# Line 47


def test_line_47__precommits_of_two_thirds__schedule_the_timeout_once() -> None:
    run = Run()
    assert run.feed(*precommits(0, NIL, 0, 1), *precommits(0, V, 2)) == [SetTimer(Step.PRECOMMIT, 0, 500)]
    assert run.feed(*precommits(0, V, 3)) == []


def test_line_47__any_step__is_enough() -> None:
    run = Run()
    assert run.at() == (0, Step.PROPOSE)
    run.feed(*precommits(0, NIL, 0, 1, 2))
    assert run.feed(TimeoutFired(Step.PRECOMMIT, 0))[0] == SetTimer(Step.PROPOSE, 1, 1_500)


# Line 49


def test_line_49__precommits_for_the_proposal__decides_once() -> None:
    run = Run()
    effects = run.feed(proposal(0, V), *precommits(0, V, 0, 1, 2))
    assert effects[-1] == Decide(0, V)
    assert run.feed(*precommits(0, V, 3), proposal(1, W), Start(), TimeoutFired(Step.PRECOMMIT, 0)) == []


def test_line_49__past_round_after_moving_on__decides() -> None:
    run = Run()
    run.feed(proposal(0, V), *prevotes(1, NIL, 0, 1))
    assert run.state.round == 1
    assert run.feed(*precommits(0, V, 0, 1, 2))[-1] == Decide(0, V)


def test_line_49__proposal_of_a_past_round_comes_last__decides() -> None:
    run = Run()
    run.feed(*precommits(0, V, 0, 1, 2), TimeoutFired(Step.PRECOMMIT, 0))
    assert run.state.round == 1
    assert run.feed(proposal(0, V)) == [Decide(0, V)]


def test_line_49__future_round__decides() -> None:
    run = Run()
    run.feed(proposal(2, V))
    assert run.feed(*precommits(2, V, 0, 1, 2))[-1] == Decide(2, V)


def test_line_49__before_the_start__decides() -> None:
    run = Run(start=False)
    run.feed(proposal(0, V), *precommits(0, V, 0))
    assert run.feed(*precommits(0, V, 1, 2))[-1] == Decide(0, V)


def test_line_49__two_thirds_for_different_values__do_not_decide() -> None:
    run = Run()
    effects = run.feed(proposal(0, V), *precommits(0, V, 0, 1), *precommits(0, W, 2))
    assert not any(isinstance(effect, Decide) for effect in effects)


def test_line_49__two_thirds_for_nil__do_not_decide() -> None:
    run = Run()
    effects = run.feed(proposal(0, V), *precommits(0, NIL, 0, 1, 2))
    assert not any(isinstance(effect, Decide) for effect in effects)


def test_line_49__precommits_of_two_rounds__do_not_add_up() -> None:
    run = Run()
    effects = run.feed(proposal(0, V), *precommits(0, V, 0, 1), *precommits(1, V, 2))
    assert not any(isinstance(effect, Decide) for effect in effects)


def test_line_50__decided_block_is_invalid_here__says_so() -> None:
    run = Run()
    assert run.feed(proposal(0, V, valid=False), *precommits(0, V, 0, 1, 2))[-1] == DecidedInvalid(0, V)


# Line 55


def test_line_55__a_third_in_a_later_round__skips_there() -> None:
    run = Run()
    assert run.feed(*prevotes(2, V, 0), *precommits(2, NIL, 1)) == [SetTimer(Step.PROPOSE, 2, 2_000)]
    assert run.at() == (2, Step.PROPOSE)


def test_line_55__two_later_rounds__skips_to_the_one_that_a_third_has_reached() -> None:
    run = Run()
    run.feed(*prevotes(5, V, 0), *precommits(3, NIL, 1))
    assert run.state.round == 3


def test_line_55__one_validator_alone__skips_nothing() -> None:
    run = Run()
    assert run.feed(*prevotes(1, V, 0), *precommits(7, V, 0), *precommits(2**31, NIL, 0)) == []
    assert run.state.round == 0


def test_line_55__proposal_counts_as_its_proposers_message() -> None:
    run = Run()
    run.feed(proposal(2, V), *prevotes(2, V, 0))
    assert run.state.round == 2


def test_line_55__round_beyond_the_window__is_reached_though_its_votes_are_not_kept() -> None:
    run = Run()
    run.feed(*prevotes(500, V, 0, 1))
    assert run.at() == (500, Step.PROPOSE)
    assert run.state.votes.tallies == {}


def test_line_55__votes_of_the_round_came_before__its_rules_fire_at_once() -> None:
    run = Run()
    run.feed(proposal(1, V))
    assert run.cast(*prevotes(1, V, 0), *prevotes(1, V, 1)) == [(PREVOTE, 1, V), (PRECOMMIT, 1, V)]


def test_line_55__before_the_start__starts_with_the_others() -> None:
    run = Run(start=False)
    assert run.feed(*prevotes(0, V, 0)) == []
    assert SetTimer(Step.PROPOSE, 0, 1_000) in run.feed(*prevotes(0, V, 1))
    assert run.feed(Start()) == []


# Lines 57-67


def test_line_57__propose_times_out__prevotes_nil() -> None:
    assert Run().cast(TimeoutFired(Step.PROPOSE, 0)) == [(PREVOTE, 0, NIL)]


def test_line_61__prevote_times_out__precommits_nil() -> None:
    run = Run()
    run.feed(TimeoutFired(Step.PROPOSE, 0))
    assert run.cast(TimeoutFired(Step.PREVOTE, 0)) == [(PRECOMMIT, 0, NIL)]


def test_line_65__precommit_times_out__starts_the_next_round() -> None:
    run = Run()
    run.feed(TimeoutFired(Step.PRECOMMIT, 0))
    assert run.at() == (1, Step.PROPOSE)


@pytest.mark.parametrize(
    ("waiting", "round_number"),
    [(Step.PREVOTE, 0), (Step.PROPOSE, 1), (Step.PREVOTE, 1), (Step.PRECOMMIT, 1)],
)
def test_timeout__of_another_step_or_round__does_nothing(waiting: Step, round_number: int) -> None:
    run = Run()
    before = run.state
    assert run.feed(TimeoutFired(waiting, round_number)) == []
    assert run.state == before


# Beyond the paper


def test_conflicting_vote__is_evidence_and_is_not_counted() -> None:
    run = Run()
    run.feed(proposal(0, V), *prevotes(0, V, 0))
    first = Vote(PREVOTE, HEIGHT, 0, V, 0, 1, bytes(64))
    second = Vote(PREVOTE, HEIGHT, 0, NIL, 0, 1, bytes(64))
    assert run.feed(VoteReceived(second)) == [Evidence(first, second)]
    assert run.state.votes.tally(PREVOTE, 0).power == 2


def test_state__step__is_not_changed_in_place() -> None:
    run = Run()
    before = run.state
    copy = before._replace(proposals=dict(before.proposals))
    run.feed(proposal(0, V), *prevotes(0, V, 0, 1))
    assert before == copy


def test_start__repeated__does_nothing() -> None:
    run = Run()
    assert run.feed(Start()) == []


def test_resume__after_precommit__keeps_the_lock_and_signs_nothing_again() -> None:
    fresh = new_height(HEIGHT, 3, VALIDATORS, Timeouts())
    run = Run()
    run.state = resume(fresh, 1, Step.PRECOMMIT, V, 1)
    assert run.cast(proposal(1, V), *prevotes(1, V, 0, 1, 2)) == []
    run.feed(*precommits(1, NIL, 0, 1), *precommits(1, V, 3), TimeoutFired(Step.PRECOMMIT, 1))
    assert run.at() == (2, Step.PROPOSE)
    assert run.cast(proposal(2, W)) == [(PREVOTE, 2, NIL)]


def test_long_height__many_rounds__keeps_a_bounded_number_of_them() -> None:
    run = Run()
    for round_number in range(300):
        run.feed(*prevotes(round_number, NIL, 0, 1, 2), *precommits(round_number, NIL, 0, 1, 2))
        run.feed(TimeoutFired(Step.PROPOSE, round_number), TimeoutFired(Step.PRECOMMIT, round_number))
    assert run.state.round == 300
    assert len(run.state.votes.tallies) <= 2 * 82
