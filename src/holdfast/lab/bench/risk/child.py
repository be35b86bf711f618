"""One row of the risk bench in a process of its own, pinned to the cores that it may use."""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Final, cast

import msgspec

from holdfast.lab.bench.risk.duel import Duel, Growth, Outcome, WrongResultError, fight
from holdfast.lab.bench.risk.rows import ROWS, Row, Size

GROWTH: Final = "growth"
WRONG: Final = "WRONG"


class Task(msgspec.Struct, frozen=True):
    """What a process is asked to measure."""

    key: str
    size: Size


class Answer(msgspec.Struct, frozen=True):
    """What it found."""

    outcome: Outcome | None = None
    growth: Growth | None = None
    failure: str = ""
    words: str = ""


def measure(task: Task) -> Answer:
    """Measure one row, or one point of the growth, in this process."""
    if task.key == GROWTH:
        from holdfast.lab.bench.risk.margin import measure_growth  # noqa: PLC0415 -- a row loads what it needs alone

        return Answer(growth=measure_growth(task.size))
    row = next(row for row in ROWS if row.key == task.key)
    try:
        outcome = fight(_set_up(row)(task.size), task.size.turns)
    except WrongResultError as error:
        return Answer(failure=WRONG, words=str(error))
    return Answer(outcome, words=outcome.words)


def main() -> None:
    """Read a task from the command line, and write its answer to standard output."""
    task = msgspec.json.decode(sys.argv[1], type=Task)
    cores = next((row.cores for row in ROWS if row.key == task.key), 1)
    note = _pin(cores)
    answer = measure(task)
    words = "; ".join(filter(None, (answer.words, note)))
    sys.stdout.buffer.write(msgspec.json.encode(msgspec.structs.replace(answer, words=words)))


def _pin(cores: int) -> str:
    """Keep this process on so many cores, where the platform can; return what the reader should know."""
    if not hasattr(os, "sched_setaffinity"):
        return "not pinned: this platform cannot"
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, allowed[-cores:])
    return "" if len(allowed) >= cores else f"only {len(allowed)} core may be used"


def _set_up(row: Row) -> Callable[[Size], Duel[object, object]]:
    module, _, function = row.place.partition(":")
    found: object = getattr(import_module(f"holdfast.lab.bench.risk.{module}"), function)
    return cast("Callable[[Size], Duel[object, object]]", found)
