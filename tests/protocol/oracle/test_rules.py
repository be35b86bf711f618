"""Medians, the velocity of prices, the action matrix."""

from itertools import combinations, product
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.primitives.reject import Code, RejectedError
from holdfast.protocol.oracle import rules
from holdfast.protocol.oracle.messages import FeedReport, Report
from holdfast.protocol.oracle.params import OracleParams
from holdfast.protocol.oracle.rules import ACTION_MATRIX, Action
from holdfast.protocol.oracle.state import FEEDS, Status
from holdfast.state.store import State

PARAMS = OracleParams()
ENTRIES = st.lists(st.tuples(st.integers(-(10**6), 10**6), st.integers(1, 9)), min_size=1, max_size=9)


def naive(entries: list[tuple[int, int]]) -> tuple[int, int]:
    """Repeat each value as often as it has power: the medians are then those of the list."""
    flat = sorted(value for value, power in entries for _ in range(power))
    return flat[(len(flat) - 1) // 2], flat[len(flat) // 2]


@given(ENTRIES)
def test_median__any_powers__is_that_of_the_repeated_values(entries: list[tuple[int, int]]) -> None:
    low, high = naive(entries)
    assert rules.compute_median_floor(entries) == (low + high) // 2
    assert rules.compute_median_ceil(entries) == -(-(low + high) // 2)


@given(ENTRIES, st.randoms())
def test_median__any_order__is_the_same(entries: list[tuple[int, int]], draw: object) -> None:
    shuffled = sorted(entries, key=lambda entry: hash((entry, str(draw))))
    assert rules.compute_median_floor(shuffled) == rules.compute_median_floor(entries)


def test_median__three_equal_powers__is_the_middle_one() -> None:
    assert rules.compute_median_floor([(102, 1), (100, 1), (101, 1)]) == 101
    assert rules.compute_median_floor([(100, 1), (101, 1)]) == 100
    assert rules.compute_median_ceil([(100, 1), (101, 1)]) == 101


@given(ENTRIES, st.lists(st.tuples(st.integers(-(10**12), 10**12), st.integers(1, 9)), max_size=5))
def test_median__liars_below_half_of_power__stays_in_the_honest_range(
    honest: list[tuple[int, int]], liars: list[tuple[int, int]]
) -> None:
    if sum(power for _, power in liars) >= sum(power for _, power in honest):
        return
    price = rules.compute_median_floor(honest + liars)
    assert min(value for value, _ in honest) <= price <= max(value for value, _ in honest)


@given(st.lists(st.integers(1, 10**12), min_size=3, max_size=3), st.sampled_from([0, 10, 1_000]), st.integers(0, 3))
def test_aggregate__one_liar_of_four_at_a_factor__stays_in_the_honest_range(
    honest: list[int], factor: int, absent: int
) -> None:
    prices = [*honest, max(1, honest[0] * factor)]
    reports = [
        (index, 1, Report((FeedReport(1, price, 1, 5, 0),), ()))
        for index, price in enumerate(prices)
        if index != absent
    ]
    present = [price for index, price in enumerate(honest) if index != absent]
    found = rules.aggregate(PARAMS, 1, reports, 4)
    assert found is not None
    assert min(present) <= found.price_e8 <= max(present)


def test_aggregate__liar_of_four__leaves_the_confidence_alone() -> None:
    prices = (100_000, 100_010, 100_020, 1_000_000)
    reports = [(i, 1, Report((FeedReport(1, price, price // 10_000, 5, 0),), ())) for i, price in enumerate(prices)]
    found = rules.aggregate(PARAMS, 1, reports, 4)
    assert found is not None
    assert found.confidence_e8 <= 20


@pytest.mark.parametrize(
    ("included", "total", "has"), [(2, 3, False), (3, 4, True), (667, 1000, True), (666, 1000, False)]
)
def test_quorum__around_two_thirds__is_exact(included: int, total: int, *, has: bool) -> None:
    assert rules.has_quorum(included, total) is has


def test_aggregate__every_subset_of_four__needs_more_than_two_thirds_of_power() -> None:
    for count in range(5):
        for subset in combinations(range(4), count):
            reports = [(i, 1, Report((FeedReport(1, 100 + i, 0, 3, 0),), ())) for i in subset]
            found = rules.aggregate(PARAMS, 1, reports, 4)
            assert (found is not None) == (count >= 3)
            if found is not None:
                assert found.price_e8 == int(median(100 + i for i in subset))


@pytest.mark.parametrize(
    ("sources", "age_ms", "counts"), [(3, 0, True), (2, 0, False), (0, 0, False), (5, 600_001, False)]
)
def test_list_counted__few_sources_or_old__does_not_count(sources: int, age_ms: int, *, counts: bool) -> None:
    reports = [(0, 5, Report((FeedReport(1, 100, 0, sources, age_ms),), ()))]
    assert bool(rules.list_counted(PARAMS, 1, reports)) is counts


def test_action_matrix__every_status_and_action__is_decided() -> None:
    assert set(ACTION_MATRIX) == set(product(Status, Action))


def test_action_matrix__worse_status__never_allows_more() -> None:
    for action in Action:
        allowed = [ACTION_MATRIX[status, action] for status in Status]
        assert allowed == sorted(allowed, reverse=True)


@pytest.mark.parametrize(
    ("action", "until"),
    [
        (Action.INCREASE_RISK, Status.DEGRADED),
        (Action.REDUCE_RISK, Status.STALE),
        (Action.CANCEL, Status.HALTED),
        (Action.DEPOSIT, Status.HALTED),
        (Action.WITHDRAW, Status.DEGRADED),
        (Action.QUEUE, Status.STALE),
        (Action.AUCTION, Status.DEGRADED),
        (Action.SAMPLE, Status.DEGRADED),
    ],
)
def test_action_matrix__each_action__is_allowed_down_to_a_status(action: Action, until: Status) -> None:
    for status in Status:
        assert rules.is_allowed(status, action) is (status <= until)


@pytest.mark.parametrize(
    ("action", "code"),
    [(Action.INCREASE_RISK, Code.ORACLE_FORBIDS_RISK), (Action.WITHDRAW, Code.ORACLE_FORBIDS_ACTION)],
)
def test_check_allowed__no_price__refuses_with_its_code(action: Action, code: Code) -> None:
    draft = State([FEEDS]).draft()
    with pytest.raises(RejectedError) as refusal:
        rules.check_allowed(draft, 1, action)
    assert refusal.value.code == code
    rules.check_allowed(draft, 1, Action.CANCEL)
    assert rules.get_price(draft, 1) is None


@given(st.integers(10**6, 10**14), st.integers(10**6, 10**14), st.integers(1, 10**7), st.integers(0, 10**12))
def test_variance__any_move__stays_between_before_and_the_bound(
    from_e8: int, to_e8: int, passed_ms: int, before_e18: int
) -> None:
    after = rules.compute_variance_e18(PARAMS, before_e18, from_e8, to_e8, passed_ms)
    assert 0 <= after <= PARAMS.variance_max_e18


def test_is_within__floor_and_deviations__are_exact() -> None:
    assert rules.is_within(PARAMS, 10_000, 0, 10_000, 10_100, 1)
    assert not rules.is_within(PARAMS, 10_000, 0, 10_000, 10_101, 1)
    # 6 deviations of 1 % a second's root over 4 seconds: 12 %.
    assert rules.is_within(PARAMS, 10_000, 10**14, 10_000, 11_200, 4_000)
    assert not rules.is_within(PARAMS, 10_000, 10**14, 10_000, 11_201, 4_000)
