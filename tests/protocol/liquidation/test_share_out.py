"""Sharing out by largest remainder, to the unit."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.primitives.check import BrokenInvariantError
from holdfast.protocol.liquidation.rules import share_out

WEIGHTS = st.lists(st.integers(1, 10**12), min_size=1, max_size=12)


@settings(max_examples=300, deadline=None)
@given(WEIGHTS, st.integers(0, 10**6))
def test_share_out__any_weights__gives_all_and_never_a_unit_too_many(weights: list[int], part_ppm: int) -> None:
    total = sum(weights)
    amount = total * part_ppm // 10**6
    shares = dict(share_out(amount, list(enumerate(weights))))
    assert sum(shares.values()) == amount
    for key, weight in enumerate(weights):
        share = shares.get(key, 0)
        assert 0 <= share <= weight
        assert abs(share - Fraction(amount * weight, total)) < 1


def test_share_out__equal_remainders__fall_to_the_lower_id() -> None:
    assert share_out(1, [(5, 1), (3, 1)]) == [(3, 1)]


def test_share_out__of_more_than_there_is__halts() -> None:
    with pytest.raises(BrokenInvariantError):
        share_out(3, [(1, 1), (2, 1)])
