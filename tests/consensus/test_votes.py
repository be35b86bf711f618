"""The vote keeper against a naive model, under any order of votes, duplicates and conflicts."""

from collections import defaultdict
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from holdfast.consensus import limits
from holdfast.consensus.messages import NIL, Vote, VoteKind
from holdfast.consensus.validators import Validator, ValidatorSet
from holdfast.consensus.votes import Added, HeightVotes, add, no_votes, prune, round_reached_by_third

POWERS = (5, 4, 3, 2, 0)
VALIDATORS = ValidatorSet([Validator(bytes([index]) * 32, power) for index, power in enumerate(POWERS)])
HASHES = (NIL, b"v" * 32, b"w" * 32)


def make_vote(kind: VoteKind, round_number: int, block_hash: bytes, index: int) -> Vote:
    return Vote(kind, 1, round_number, block_hash, index, 1, bytes(64))


VOTES = st.builds(
    make_vote, st.sampled_from(list(VoteKind)), st.integers(0, 3), st.sampled_from(HASHES), st.integers(0, 6)
)


class Model:
    """First vote of each validator and slot, and nothing clever."""

    def __init__(self) -> None:
        self.first: dict[tuple[VoteKind, int, int], bytes] = {}
        self.reached: dict[int, int] = defaultdict(lambda: -1)

    def add(self, vote: Vote) -> Added:
        if vote.validator_index >= len(POWERS) or POWERS[vote.validator_index] == 0:
            return Added.NOT_A_VALIDATOR
        self.reached[vote.validator_index] = max(self.reached[vote.validator_index], vote.round)
        slot = (vote.kind, vote.round, vote.validator_index)
        if slot not in self.first:
            self.first[slot] = vote.block_hash
            return Added.COUNTED
        return Added.DUPLICATE if self.first[slot] == vote.block_hash else Added.CONFLICT

    def power(self, kind: VoteKind, round_number: int, *hashes: bytes) -> int:
        return sum(
            POWERS[index]
            for (of_kind, of_round, index), block_hash in self.first.items()
            if of_kind == kind and of_round == round_number and (not hashes or block_hash in hashes)
        )

    def third(self) -> int:
        rounds = [
            number
            for number in range(-1, 5)
            if 3 * sum(POWERS[index] for index, reached in self.reached.items() if reached >= number) > sum(POWERS)
        ]
        return max(rounds, default=-1)


@given(st.lists(VOTES, max_size=60))
def test_keeper__any_votes__agrees_with_the_model(votes: list[Vote]) -> None:
    keeper, model = no_votes(VALIDATORS), Model()
    for vote in votes:
        keeper, added, standing = add(keeper, vote, 0)
        assert added == model.add(vote)
        if added == Added.CONFLICT:
            assert standing is not None
            assert standing.block_hash == model.first[vote.kind, vote.round, vote.validator_index]
        else:
            assert standing is None
    for kind in VoteKind:
        for round_number in range(4):
            assert keeper.tally(kind, round_number).power == model.power(kind, round_number)
            assert keeper.has_any_quorum(kind, round_number) == (3 * model.power(kind, round_number) > 2 * sum(POWERS))
            for block_hash in HASHES:
                expected = 3 * model.power(kind, round_number, block_hash) > 2 * sum(POWERS)
                assert keeper.has_quorum_for(kind, round_number, block_hash) == expected
                power = sum(POWERS[each.validator_index] for each in keeper.votes_for(kind, round_number, block_hash))
                assert power == model.power(kind, round_number, block_hash)
    if any(reached >= 0 for reached in model.reached.values()):
        assert round_reached_by_third(keeper) == model.third()


@given(st.lists(VOTES, max_size=30), st.randoms())
def test_keeper__honest_votes_in_any_order__give_one_result(votes: list[Vote], random: Random) -> None:
    honest = list({(vote.kind, vote.round, vote.validator_index): vote for vote in votes}.values())
    shuffled = list(honest)
    random.shuffle(shuffled)

    def outcome(order: list[Vote]) -> list[tuple[Vote, ...]]:
        keeper = no_votes(VALIDATORS)
        for vote in order:
            keeper = add(keeper, vote, 0)[0]
        return [keeper.votes_for(kind, number, name) for kind in VoteKind for number in range(4) for name in HASHES]

    assert outcome(honest) == outcome(shuffled)


def filled(rounds: range, index: int = 0) -> HeightVotes:
    keeper = no_votes(VALIDATORS)
    for round_number in rounds:
        keeper = add(keeper, make_vote(VoteKind.PREVOTE, round_number, NIL, index), 0)[0]
    return keeper


def test_keeper__rounds_without_end__keeps_a_window_and_the_highest() -> None:
    keeper = filled(range(10_000))
    assert len(keeper.tallies) == limits.ROUNDS_AHEAD_MAX + 1
    assert keeper.highest_round == {0: 9_999}


def test_prune__rounds_behind_the_window__are_forgotten_except_named_ones() -> None:
    keeper = prune(filled(range(10)), limits.ROUNDS_BEHIND_MAX + 5, (2,))
    assert sorted(number for _, number in keeper.tallies) == [2, 5, 6, 7, 8, 9]


def test_decided_hash__nil_quorum__is_no_decision() -> None:
    keeper = no_votes(VALIDATORS)
    for index in range(4):
        keeper = add(keeper, make_vote(VoteKind.PRECOMMIT, 0, NIL, index), 0)[0]
    assert keeper.decided_hash(0) == NIL


def test_all_votes__latest_rounds__in_order() -> None:
    keeper = filled(range(5))
    assert [vote.round for vote in keeper.all_votes(2)] == [3, 4]
