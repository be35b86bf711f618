"""Quorums by power, and a proposer rotation that is fair, total and free of state."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.consensus.validators import SLOTS_MAX, Validator, ValidatorSet, is_valid_set, updated_validators
from holdfast.primitives.check import BrokenInvariantError


def make(*powers: int) -> ValidatorSet:
    return ValidatorSet([Validator(bytes([index]) * 32, power) for index, power in enumerate(powers)])


@pytest.mark.parametrize(("power", "quorum", "third"), [(0, False, False), (1, False, False), (2, False, True)])
def test_three_equal__exact_shares__are_not_enough(power: int, quorum: bool, third: bool) -> None:
    assert make(1, 1, 1).has_quorum(power) == quorum
    assert make(1, 1, 1).has_honest_member(power) == third


def test_six_equal__exactly_two_thirds__is_no_quorum() -> None:
    assert not make(1, 1, 1, 1, 1, 1).has_quorum(4)
    assert make(1, 1, 1, 1, 1, 1).has_quorum(5)
    assert not make(1, 1, 1, 1, 1, 1).has_honest_member(2)


@given(st.lists(st.integers(1, 10**15), min_size=1, max_size=8), st.data())
def test_two_quorums__any_powers__share_more_than_a_third(powers: list[int], data: st.DataObject) -> None:
    validators = make(*powers)
    subsets = st.sets(st.integers(0, len(powers) - 1))
    one, other = data.draw(subsets), data.draw(subsets)
    power = {name: sum(powers[index] for index in indices) for name, indices in (("a", one), ("b", other))}
    if validators.has_quorum(power["a"]) and validators.has_quorum(power["b"]):
        assert validators.has_honest_member(sum(powers[index] for index in one & other))


def test_proposer__equal_powers__rotates_plainly() -> None:
    validators = make(10, 10, 10, 10)
    assert [validators.proposer(0, number) for number in range(8)] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert validators.proposer(5, 2) == validators.proposer(7, 0)


def test_proposer__weighted__spreads_turns_by_power() -> None:
    turns = [make(3, 1).proposer(0, number) for number in range(8)]
    assert turns.count(0) == 6
    assert turns == [0, 0, 1, 0, 0, 0, 1, 0]


def test_proposer__removed_validator__never_proposes() -> None:
    assert {make(5, 0, 5).proposer(height, 0) for height in range(20)} == {0, 2}


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=16).filter(any))
def test_proposer__any_powers__share_of_turns_is_near_share_of_power(powers: list[int]) -> None:
    validators = make(*powers)
    cycle = SLOTS_MAX + len(powers)
    turns = [validators.proposer(height, 0) for height in range(cycle)]
    for index, power in enumerate(powers):
        assert (turns.count(index) > 0) == (power > 0)
        expected = cycle * power / sum(powers)
        assert abs(turns.count(index) - expected) <= 2 * len(powers) + 2


def test_hash__power_or_key_differs__differs() -> None:
    assert make(1, 2).hash == make(1, 2).hash
    assert len({make(1, 2).hash, make(2, 1).hash, make(1, 2, 0).hash, make(1).hash}) == 4


@pytest.mark.parametrize(
    "validators",
    [
        [],
        [Validator(bytes(32), 0)],
        [Validator(bytes(31), 1)],
        [Validator(bytes(32), -1), Validator(b"a" * 32, 5)],
        [Validator(bytes(32), 1), Validator(bytes(32), 1)],
        [Validator(bytes(32), 2**61)],
        [Validator(index.to_bytes(32), 1) for index in range(129)],
    ],
)
def test_set__not_a_set__is_refused(validators: list[Validator]) -> None:
    assert not is_valid_set(validators)
    with pytest.raises(BrokenInvariantError):
        ValidatorSet(validators)


def test_updates__removal_and_admission__keep_indices() -> None:
    current = make(1, 1, 1)
    changed = updated_validators(current, [Validator(bytes([1]) * 32, 0), Validator(b"n" * 32, 4)])
    assert [validator.power for validator in changed] == [1, 0, 1, 4]
    assert changed[0].public_key == current.public_key(0)
    assert 1 not in ValidatorSet(changed)
    assert 3 in ValidatorSet(changed)


def test_index__outside__has_no_power_and_is_not_contained() -> None:
    validators = make(1, 1)
    assert validators.power(-1) == validators.power(2) == 0
    assert -1 not in validators
    assert 2 not in validators
