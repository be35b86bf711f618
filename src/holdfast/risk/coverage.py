"""Whether breaches are as many as a range allows, and whether they come one by one.

Likelihood ratios of Kupiec (1995, "Techniques for verifying the accuracy of risk measurement models") and
Christoffersen (1998, "Evaluating interval forecasts"); zones of the Basel Committee (1996, "Supervisory framework for
the use of backtesting"). The p-values are those of the chi-square distribution, exact for the one and two degrees that
occur; that the ratio has this distribution holds for many observations only, so each result carries how many there
were.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

SIGNIFICANCE: Final = 0.05
_YELLOW_FROM: Final = 0.95
_RED_FROM: Final = 0.9999


@dataclass(frozen=True, slots=True)
class LikelihoodRatio:
    """A test's statistic, and the chance of one at least as large if the range is right."""

    statistic: float
    p_value: float

    @property
    def is_rejected(self) -> bool:
        return self.p_value < SIGNIFICANCE


@dataclass(frozen=True, slots=True)
class CoverageTests:
    """Tests over windows that do not overlap. A test that the observations cannot decide is None."""

    observations: int
    breaches: int
    expected_rate: float
    unconditional: LikelihoodRatio | None
    independence: LikelihoodRatio | None
    conditional: LikelihoodRatio | None
    traffic_light: str | None
    power: float

    @property
    def is_wide(self) -> bool:
        """Tell whether the rate is rejected for too few breaches: the range is wider than its confidence asks."""
        is_rejected = self.unconditional is not None and self.unconditional.is_rejected
        return is_rejected and self.breaches < self.observations * self.expected_rate


def run_tests(segments: Sequence[Sequence[bool]], expected_rate: float) -> CoverageTests:
    """Test hits, one sequence for each stretch without a gap; what lies across a gap follows nothing.

    `expected_rate` is one less the confidence, between 0 and 1.
    """
    observations = sum(len(hits) for hits in segments)
    breaches = sum(sum(hits) for hits in segments)
    if not observations:
        return CoverageTests(0, 0, expected_rate, None, None, None, None, 0.0)
    unconditional = compute_kupiec(observations, breaches, expected_rate)
    independence = compute_christoffersen(*count_transitions(segments))
    conditional = None
    if independence is not None:
        both = unconditional.statistic + independence.statistic
        conditional = LikelihoodRatio(both, chi_square_tail(both, 2))
    light = traffic_light(observations, breaches, expected_rate)
    power = compute_power(observations, expected_rate)
    return CoverageTests(observations, breaches, expected_rate, unconditional, independence, conditional, light, power)


def compute_kupiec(observations: int, breaches: int, expected_rate: float) -> LikelihoodRatio:
    """Return Kupiec's test of unconditional coverage: whether the rate of breaches is the expected one."""
    kept = observations - breaches
    expected = _log_likelihood(kept, breaches, expected_rate)
    seen = _log_likelihood(kept, breaches, breaches / observations)
    statistic = max(0.0, 2.0 * (seen - expected))
    return LikelihoodRatio(statistic, chi_square_tail(statistic, 1))


def compute_christoffersen(calm_calm: int, calm_hit: int, hit_calm: int, hit_hit: int) -> LikelihoodRatio | None:
    """Return Christoffersen's test of independence against a first-order chain, from the counts of its transitions.

    None where nothing follows a breach, or nothing follows a calm window: one state tells nothing of the other.
    """
    after_calm, after_hit = calm_calm + calm_hit, hit_calm + hit_hit
    if not after_calm or not after_hit:
        return None
    hits = calm_hit + hit_hit
    alike = _log_likelihood(calm_calm + hit_calm, hits, hits / (after_calm + after_hit))
    apart = _log_likelihood(calm_calm, calm_hit, calm_hit / after_calm)
    apart += _log_likelihood(hit_calm, hit_hit, hit_hit / after_hit)
    statistic = max(0.0, 2.0 * (apart - alike))
    return LikelihoodRatio(statistic, chi_square_tail(statistic, 1))


def count_transitions(segments: Sequence[Sequence[bool]]) -> tuple[int, int, int, int]:
    """Return how often calm followed calm, a breach calm, calm a breach, and a breach a breach."""
    counts = [0, 0, 0, 0]
    for hits in segments:
        for before, after in pairwise(hits):
            counts[2 * before + after] += 1
    return counts[0], counts[1], counts[2], counts[3]


def chi_square_tail(statistic: float, degrees: int) -> float:
    """Return the chance that a chi-square variable of one or two degrees of freedom is at least `statistic`."""
    if degrees == 1:
        return math.erfc(math.sqrt(statistic / 2.0))
    if degrees == 2:  # noqa: PLR2004 -- the other case that has a closed form here
        return math.exp(-statistic / 2.0)
    message = f"chi-square with {degrees} degrees of freedom has no closed form here; 1 and 2 have"
    raise ValueError(message)


def traffic_light(observations: int, breaches: int, expected_rate: float) -> str:
    """Return Basel's zone: by the chance of no more breaches than there were, yellow from 0.95, red from 0.9999.

    Why: no breach at all is green, whatever the few observations; the letter of the rule would make it yellow.
    """
    if not breaches:
        return "green"
    chance = binomial_tail_to(breaches, observations, expected_rate)
    if chance >= _RED_FROM:
        return "red"
    return "yellow" if chance >= _YELLOW_FROM else "green"


def compute_power(observations: int, expected_rate: float) -> float:
    """Return the chance that Kupiec's test at 5 % notices a range that is breached twice as often as it may be."""
    most = math.floor(observations * expected_rate)
    while most < observations and not compute_kupiec(observations, most + 1, expected_rate).is_rejected:
        most += 1
    return 1.0 - binomial_tail_to(most, observations, min(1.0, 2.0 * expected_rate))


def binomial_tail_to(most: int, trials: int, chance: float) -> float:
    """Return the chance of at most so many successes."""
    if most >= trials or chance <= 0.0:
        return 1.0
    if chance >= 1.0:
        return 0.0
    log_chance, log_other = math.log(chance), math.log1p(-chance)
    whole = math.lgamma(trials + 1)
    terms = (
        whole - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * log_chance + (trials - k) * log_other
        for k in range(most + 1)
    )
    return min(1.0, math.fsum(math.exp(term) for term in terms))


def _log_likelihood(calm: int, hits: int, rate: float) -> float:
    """Return the logarithm of (1 - rate)^calm x rate^hits, in which nothing to the power of nothing is one."""
    return (calm * math.log1p(-rate) if calm else 0.0) + (hits * math.log(rate) if hits else 0.0)
