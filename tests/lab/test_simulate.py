"""Seeds: a good run is judged good, a bad verdict is judged bad, and a seed repeats."""

from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.lab.replay import run_replay
from holdfast.lab.replay_settings import ReplaySettings
from holdfast.lab.simulate import BLOCKS, SeedResult, count_kinds, judge, run_seed
from holdfast.lab.verdict import Verdict

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "crash_hour"
KINDS = ("crash", "delay", "partition")


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    settings = ReplaySettings(path=EXAMPLE, seed=3, agents=12, start="10", blocks=BLOCKS, is_small=True)
    return run_replay(settings).verdict


def test_seed__run_twice__gives_the_same_result_and_no_failure() -> None:
    first = run_seed(EXAMPLE, 11)
    assert first.failures == ()
    assert first.fills > 0
    assert len(first.kinds) >= 3
    assert run_seed(EXAMPLE, 11) == first


def test_judge__of_a_good_verdict__finds_nothing(verdict: Verdict) -> None:
    assert judge(verdict, KINDS) == ()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"fills": 0}, "nothing traded"),
        ({"blocks": BLOCKS // 2 - 1}, "blocks in"),
        ({"app_hashes_agree": False}, "disagree"),
        ({"conservation": {"USDC": {"difference_atoms": 1}}}, "USDC"),
    ],
)
def test_judge__of_a_broken_promise__names_it(verdict: Verdict, change: dict[str, object], found: str) -> None:
    assert any(found in failure for failure in judge(replace(verdict, **change), KINDS))  # type: ignore[arg-type]


def test_judge__of_a_validator_left_behind__names_it(verdict: Verdict) -> None:
    late = [{**verdict.validators[0], "height": 3}, *verdict.validators[1:]]
    assert any("validator-0" in failure for failure in judge(replace(verdict, validators=late), KINDS))


def test_judge__of_too_few_kinds__says_so(verdict: Verdict) -> None:
    assert judge(verdict, ("crash",)) == ("only 1 kinds of faults fired",)


def test_count_kinds__counts_runs_not_faults() -> None:
    results = [SeedResult(0, 1, 1, 1, 0, ("crash", "delay"), ()), SeedResult(1, 1, 1, 1, 0, ("crash",), ())]
    assert count_kinds(results) == {"crash": 2, "delay": 1}
