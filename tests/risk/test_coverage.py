"""Coverage tests against published examples, tables of accepted counts, and figures of SciPy's distributions."""

import math

import pytest

from holdfast.risk.coverage import (
    binomial_tail_to,
    chi_square_tail,
    compute_christoffersen,
    compute_kupiec,
    compute_power,
    count_transitions,
    run_tests,
    traffic_light,
)

# scipy 1.16.3: chi2.sf(statistic, 1), chi2.sf(statistic, 2).
CHI_SQUARE = [
    (0.0, 1.0, 1.0),
    (0.5, 0.47950012218695337, 0.7788007830714049),
    (3.841458820694124, 0.04999999999999989, 0.1465000644860843),
    (9.529568780336376, 0.0020218762090549857, 0.008524726059019723),
    (40.0, 2.5396285894708634e-10, 2.0611536224385566e-09),
]
# scipy 1.16.3: binom.cdf(most, trials, chance).
BINOMIAL = [
    (4, 250, 0.01, 0.8921876269036252),
    (9, 250, 0.01, 0.9997498099312595),
    (10, 250, 0.01, 0.999946101370953),
    (0, 24, 0.005, 0.8866535105013079),
    (60, 5000, 0.01, 0.9288479414873279),
]
# Kupiec 1995, table 3 (as in Jorion, Value at Risk, 3rd ed., table 6-2): least and most breaches that 5 % accepts.
ACCEPTED = [
    (0.01, 510, 2, 10),
    (0.01, 1000, 5, 16),
    (0.025, 255, 3, 11),
    (0.025, 510, 7, 20),
    (0.025, 1000, 16, 35),
    (0.05, 255, 7, 20),
    (0.05, 510, 17, 35),
    (0.05, 1000, 38, 64),
    (0.075, 255, 12, 27),
    (0.075, 510, 28, 50),
    (0.075, 1000, 60, 91),
    (0.10, 255, 17, 35),
    (0.10, 510, 39, 64),
    (0.10, 1000, 82, 119),
]


@pytest.mark.parametrize(("statistic", "one", "two"), CHI_SQUARE)
def test_chi_square_tail__of_one_and_two_degrees__is_scipy_s(statistic: float, one: float, two: float) -> None:
    assert chi_square_tail(statistic, 1) == pytest.approx(one, rel=1e-12)
    assert chi_square_tail(statistic, 2) == pytest.approx(two, rel=1e-12)


def test_chi_square_tail__of_three_degrees__is_refused() -> None:
    with pytest.raises(ValueError, match="3 degrees of freedom"):
        chi_square_tail(1.0, 3)


@pytest.mark.parametrize(("most", "trials", "chance", "tail"), BINOMIAL)
def test_binomial_tail__is_scipy_s(most: int, trials: int, chance: float, tail: float) -> None:
    assert binomial_tail_to(most, trials, chance) == pytest.approx(tail, rel=1e-11)


@pytest.mark.parametrize(("rate", "observations", "least", "most"), ACCEPTED)
def test_kupiec__accepts_the_counts_of_the_published_table(
    rate: float, observations: int, least: int, most: int
) -> None:
    accepted = [x for x in range(observations) if not compute_kupiec(observations, x, rate).is_rejected]
    assert (accepted[0], accepted[-1]) == (least, most)


def test_kupiec__of_the_bank_with_20_breaches_in_252_days__is_the_published_ratio() -> None:
    # Jorion, Value at Risk, 3rd ed., 6.2: J.P. Morgan 1998 at 95 %, LR = 3.91.
    assert round(compute_kupiec(252, 20, 0.05).statistic, 2) == 3.91


def test_christoffersen__of_the_same_bank__is_the_published_ratio() -> None:
    # Jorion, 6.2.3: 14 breaches after 232 calm days and 6 after 20 breaches; LR = 9.53, together 13.44.
    independence = compute_christoffersen(218, 14, 14, 6)
    assert independence is not None
    assert round(independence.statistic, 2) == 9.53
    together = independence.statistic + compute_kupiec(252, 20, 0.05).statistic
    assert round(together, 2) == 13.44


def test_kupiec__without_a_breach__is_twice_n_times_the_log_of_the_confidence() -> None:
    found = compute_kupiec(500, 0, 0.01)
    assert found.statistic == pytest.approx(-1_000 * math.log(0.99), rel=1e-12)
    assert found.is_rejected


def test_kupiec__of_breaches_only__is_rejected_and_finite() -> None:
    found = compute_kupiec(3, 3, 0.01)
    assert found.statistic == pytest.approx(-6 * math.log(0.01), rel=1e-12)
    assert found.is_rejected


def test_kupiec__of_exactly_the_expected_rate__is_nothing() -> None:
    assert compute_kupiec(1_000, 10, 0.01).p_value == 1.0


@pytest.mark.parametrize("counts", [(9, 0, 0, 0), (0, 0, 0, 9), (8, 1, 0, 0)], ids=["calm", "hits", "last hit"])
def test_christoffersen__where_one_state_is_never_left__tells_nothing(counts: tuple[int, int, int, int]) -> None:
    assert compute_christoffersen(*counts) is None


def test_transitions__across_a_gap__are_not_counted() -> None:
    assert count_transitions([[True, False], [False], [True, True, False, False]]) == (1, 0, 2, 1)


@pytest.mark.parametrize(("breaches", "zone"), [(0, "green"), (4, "green"), (5, "yellow"), (9, "yellow"), (10, "red")])
def test_traffic_light__of_250_days_at_99__is_basel_s_table(breaches: int, zone: str) -> None:
    assert traffic_light(250, breaches, 0.01) == zone


def test_traffic_light__of_two_windows_without_a_breach__is_green() -> None:
    assert traffic_light(2, 0, 0.01) == "green"


def test_power__grows_with_the_observations() -> None:
    # 1 - binom.cdf(6, 255, 0.02), scipy 1.16.3: seven breaches are the first that the test rejects.
    assert compute_power(255, 0.01) == pytest.approx(0.2512134136498, rel=1e-10)
    assert compute_power(24, 0.01) < 0.1 < compute_power(250, 0.01) < 0.8 < compute_power(5_000, 0.01)


def test_run_tests__of_no_windows__decides_nothing() -> None:
    tests = run_tests([], 0.01)
    assert (tests.observations, tests.unconditional, tests.traffic_light, tests.power) == (0, None, None, 0.0)


@pytest.mark.parametrize(("breaches", "expected"), [(0, True), (2, True), (7, False), (10, False), (30, False)])
def test_run_tests__too_few_breaches__are_told_from_too_many(breaches: int, *, expected: bool) -> None:
    assert run_tests([[place < breaches for place in range(500)]], 0.015).is_wide is expected


def test_run_tests__of_two_windows__tells_how_few_they_are() -> None:
    tests = run_tests([[False, True]], 0.01)
    assert (tests.observations, tests.breaches) == (2, 1)
    assert tests.independence is None
    assert tests.conditional is None
    assert tests.power < 0.05


def test_run_tests__of_the_bank_s_days__adds_both_ratios_with_two_degrees() -> None:
    # Twenty breaches, six of them right after another; the first day is calm, the last is too.
    runs = [2, 2, 2, 2, 2, 2, *[1] * 8]
    days: list[bool] = [False]
    for run in runs:
        days += [True] * run + [False]
    days += [False] * (253 - len(days))
    tests = run_tests([days], 0.05)
    assert tests.independence is not None
    assert tests.unconditional is not None
    assert tests.conditional is not None
    assert tests.conditional.statistic == tests.unconditional.statistic + tests.independence.statistic
    assert tests.conditional.p_value == math.exp(-tests.conditional.statistic / 2)
    assert round(tests.independence.statistic, 2) == 9.53
