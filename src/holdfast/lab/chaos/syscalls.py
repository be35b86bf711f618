"""SIGKILL, EIO and ENOSPC at each system call that a validator makes on its files.

A tracer enumerates the calls between two heights: opening, an empty block, a heavy one, one with a snapshot, one in
which options expire. Then each call is made to kill or to fail once, the validator starts again without faults, and
what it had acknowledged must be there, with the roots of an undisturbed run.
"""

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from holdfast.lab.chaos.evidence import Signatures
from holdfast.lab.chaos.stepped import Script, Stepped, StoppedError, make_script, write_orders
from holdfast.lab.chaos.tracing import (
    KILL,
    READING,
    WRITING,
    Ended,
    Point,
    check_tracer,
    fault_options,
    fork,
    list_points,
    trace_options,
)

FAULTS: Final = (KILL, "EIO", "ENOSPC")
_WORDS: Final = {"EIO": "Input/output error", "ENOSPC": "No space left on device"}
_MINUTES: Final = 40
_SNAPSHOT_EVERY: Final = 30
_ORDERS: Final = {7: 40, 20: 160, 30: 16, 38: 24}
_EXIT_STOPPED: Final = 3
_MESSAGE_BYTES_MAX: Final = 400


class Stage(NamedTuple):
    """A stretch of the chain: from a height that is prepared, up to another."""

    name: str
    base: int
    until: int


STAGES: Final = (
    Stage("empty", 8, 10),
    Stage("heavy", 19, 21),
    Stage("snapshot", 29, 31),
    Stage("expiry", 40, 42),
)


class Trial(NamedTuple):
    """One fault at one point, and what came of it."""

    stage: str
    point: Point
    fault: str
    outcome: str  # killed, stopped, went on, missed
    violations: tuple[str, ...]


class Report(NamedTuple):
    """All of a run."""

    seed: int
    points: dict[str, int]
    trials: list[Trial]
    took_s: float

    @property
    def violations(self) -> list[str]:
        """Return what went wrong, a line each."""
        return [
            f"{trial.stage}, {trial.fault} at {trial.point}: {violation}"
            for trial in self.trials
            for violation in trial.violations
        ]

    def tally(self) -> dict[str, dict[str, int]]:
        """Return how many trials of each fault ended how."""
        outcomes: dict[str, Counter[str]] = {fault: Counter() for fault in FAULTS}
        for trial in self.trials:
            outcomes[trial.fault][trial.outcome] += 1
        return {fault: dict(counter) for fault, counter in outcomes.items()}


class Rehearsed(NamedTuple):
    """The undisturbed chain: its script, its roots by height, and a copy of the files at each stage's base."""

    script: Script
    hashes: dict[int, str]
    bases: dict[str, Path]


def run(
    work: Path,
    *,
    seed: int,
    limit: int = 0,
    stages: Sequence[Stage] = STAGES,
    on_trial: Callable[[Trial], None] = lambda _: None,
) -> Report:
    """Try every fault at every point, or a seeded sample of so many trials, in a folder of one's own.

    Refuses: ToolAbsentError.
    """
    check_tracer()
    started_s = time.monotonic()
    rehearsed = rehearse(work, stages)
    plan: list[tuple[Stage, Point, str]] = []
    points: dict[str, int] = {}
    for stage in stages:
        found = _enumerate(work, rehearsed, stage)
        points[stage.name] = len(found)
        plan.extend((stage, point, fault) for point in found for fault in _faults_at(point))
    if 0 < limit < len(plan):
        plan = random.Random(seed).sample(plan, limit)
    trials = []
    for stage, point, fault in plan:
        trial = _try(work, rehearsed, stage, point, fault)
        trials.append(trial)
        on_trial(trial)
    return Report(seed, points, trials, time.monotonic() - started_s)


def rehearse(work: Path, stages: Sequence[Stage]) -> Rehearsed:
    """Run the chain once without faults."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    script = make_script(minutes_to_expiry=_MINUTES, snapshot_every=_SNAPSHOT_EVERY)
    folder = work / "undisturbed"
    hashes: dict[int, str] = {}
    bases: dict[str, Path] = {}
    marks = sorted({3, *(stage.base for stage in stages), *(stage.until for stage in stages)})
    for mark in marks:
        node = Stepped(folder, script)
        node.run(mark, lambda height, root: hashes.update({height: root.hex()}))
        if not script.txs:
            write_orders(script, node.app.state.draft(), _ORDERS)
        node.close()
        for stage in stages:
            if stage.base == mark:
                bases[stage.name] = work / f"base-{stage.name}"
                shutil.copytree(folder, bases[stage.name])
    return Rehearsed(script, hashes, bases)


def _faults_at(point: Point) -> tuple[str, ...]:
    # Between two writes a kill is one and the same wherever it comes; and no read runs out of space.
    return FAULTS if point.call in WRITING else ("EIO",)


def _enumerate(work: Path, rehearsed: Rehearsed, stage: Stage) -> list[Point]:
    folder, trace = work / "node", work / "trace"
    _lay_out(rehearsed, stage, folder)
    ended = fork(_job(folder, rehearsed.script, stage.until), trace_options(trace))
    if ended.status != 0:
        raise StoppedError(f"{stage.name}: the undisturbed run has ended with {ended.status}: {ended.lines[-1:]}")
    known = (*WRITING, *READING)
    return [point for point in list_points(trace, folder) if point.call in known]


def _lay_out(rehearsed: Rehearsed, stage: Stage, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(rehearsed.bases[stage.name], folder)


def _job(folder: Path, script: Script, until: int) -> Callable[[Callable[[str], None]], int]:
    """Return what the child does: open, tell the height, make blocks, tell each."""

    def work(say: Callable[[str], None]) -> int:
        try:
            node = Stepped(folder, script)
            say(f"O {node.replica.height} {node.replica.app_hash.hex()}")
            node.run(until, lambda height, root: say(f"A {height} {root.hex()}"))
        except StoppedError as error:
            say(f"S {error}")
            return _EXIT_STOPPED
        node.close()
        return 0

    return work


def _try(work: Path, rehearsed: Rehearsed, stage: Stage, point: Point, fault: str) -> Trial:
    folder = work / "node"
    _lay_out(rehearsed, stage, folder)
    job = _job(folder, rehearsed.script, stage.until)
    first = fork(job, fault_options(folder, point, fault))
    outcome, violations = _judge_end(first, fault, stage.until)
    signatures = Signatures()
    signatures.add_sign_log(folder)
    second = fork(job)
    signatures.add_sign_log(folder)
    violations += signatures.conflicts
    violations += _judge_restart(first, second, rehearsed.hashes, stage.until)
    return Trial(stage.name, point, fault, outcome, tuple(violations))


def _judge_end(ended: Ended, fault: str, until: int) -> tuple[str, list[str]]:
    if ended.status == 0:
        # A kill that did not come is none of the validator's merits; an error may be one that it can do without.
        reached = _read_heights(ended).get(until) is not None
        return ("missed" if fault == KILL else "went on"), ([] if reached else ["it ended early and said nothing"])
    if fault == KILL:
        return "killed", [] if ended.status < 0 else [f"it ended with {ended.status}: {ended.lines[-1:]}"]
    message = next((line[2:] for line in ended.lines if line.startswith("S ")), "")
    if ended.status != _EXIT_STOPPED or not message:
        return "crashed", [f"no clear stop but {ended.status}: {' | '.join(ended.lines[-2:])}"]
    clear = _WORDS[fault] in message and ";" in message and len(message) <= _MESSAGE_BYTES_MAX
    return "stopped", [] if clear else [f"the message does not name the error and the mend: {message}"]


def _judge_restart(first: Ended, second: Ended, hashes: dict[int, str], until: int) -> list[str]:
    if second.status != 0:
        return [f"it does not start again: {' | '.join(second.lines[-1:])}"]
    found = []
    acknowledged = _read_heights(first)
    opened = _read_heights(second, "O")
    if acknowledged and max(opened) < max(acknowledged):
        found.append(f"height {max(acknowledged)} was acknowledged, and it came back at {max(opened)}")
    for height, root in (*acknowledged.items(), *opened.items(), *_read_heights(second).items()):
        if height and hashes.get(height) != root:
            found.append(f"height {height} has another root than in the undisturbed run")
    if until not in _read_heights(second) and max(opened) != until:
        found.append(f"it did not come to height {until}")
    return found


def _read_heights(ended: Ended, kind: str = "A") -> dict[int, str]:
    parts = [line.split(" ") for line in ended.lines if line.startswith(f"{kind} ")]
    return {int(height): root for _, height, root in parts}
