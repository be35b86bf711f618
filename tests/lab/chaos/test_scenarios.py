"""Failing validators under load, on real processes: one scenario, and how windows are measured."""

from pathlib import Path

import pytest

from holdfast.lab.chaos import scenarios
from holdfast.lab.chaos.load import Answer
from holdfast.lab.chaos.scenarios import SCENARIOS, Latency, measure


def answer(began_ms: int, took_ms: int, state: str = "committed") -> Answer:
    return Answer("hash", "place", state, 1, 0, began_ms, took_ms)


def test_measure__of_a_window__takes_what_began_and_was_acknowledged_in_it() -> None:
    answers = [answer(999, 10), answer(1_000, 30), answer(1_500, 10), answer(1_600, 20), answer(1_995, 50)]
    answers.append(answer(1_700, 10, "pending"))
    assert measure(answers, 1_000, 2_000) == Latency(3, 3.0, 20, 30)
    assert measure(answers, 5_000, 6_000) == Latency(0, 0.0, 0, 0)


@pytest.mark.slow
def test_two_of_four_killed__nothing_is_acknowledged_until_they_are_back(tmp_path: Path) -> None:
    chosen = [one for one in SCENARIOS if one.name == "two killed"]
    outcome = scenarios.run(tmp_path, seed=2, scenarios=chosen, window_s=1.5, rate=20.0)
    assert outcome.violations == []
    row = outcome.rows[0]
    assert row.pending > 0
    assert 0 < row.unready_s < 20
    assert row.after.committed > 5
