"""All rows of the risk bench, one process after the other."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final

import msgspec

from holdfast.lab.bench.risk.child import GROWTH, Answer, Task
from holdfast.lab.bench.risk.rows import FULL, GROWTH_ACCOUNTS, ROWS, Size
from holdfast.lab.bench.risk.told import Figures, Told

Say = Callable[[str], None]

_CHILD: Final = "from holdfast.lab.bench.risk.child import main; main()"
_TIMEOUT_S: Final = 900
# Libraries that start threads of their own would be measured on cores that they were not given.
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
KEYS: Final = (*(row.key for row in ROWS), GROWTH)


def measure_risk(keys: Sequence[str], size: Size, say: Say) -> Figures:
    """Measure the rows of these keys, in the table's order."""
    began = perf_counter()
    told = []
    for row in ROWS:
        if row.key in keys:
            say(row.words)
            told.append(_tell(row.key, size))
    growth, notes = [], []
    for accounts in GROWTH_ACCOUNTS if GROWTH in keys else ():
        if accounts <= size.accounts:
            say(f"growth: {accounts:,} accounts")
            answer = ask(Task(GROWTH, msgspec.structs.replace(size, accounts=accounts)))
            if answer.growth is None:
                notes.append(f"growth: {answer.words}")
            else:
                growth.append(answer.growth)
    if size != FULL:
        notes.append("a smaller size than the limits are for: the figures mean little")
    return Figures(size, tuple(told), tuple(growth), tuple(notes), perf_counter() - began)


def ask(task: Task) -> Answer:
    """Run one task in a process of its own."""
    try:
        done = subprocess.run(  # noqa: S603 -- a fixed command of this program
            [sys.executable, "-c", _CHILD, msgspec.json.encode(task).decode()],
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
            env={**os.environ, **_ONE_THREAD},
        )
    except subprocess.TimeoutExpired:
        return Answer(failure="FAILED", words=f"no answer within {_TIMEOUT_S} s")
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()
        return Answer(failure="FAILED", words=last[-1] if last else f"the process ended with {done.returncode}")
    return msgspec.json.decode(done.stdout, type=Answer)


def _tell(key: str, size: Size) -> Told:
    row = next(row for row in ROWS if row.key == key)
    answer = ask(Task(key, size))
    return Told(row, answer.outcome, answer.failure, answer.words)
