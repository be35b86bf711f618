"""A replay's figures, taken in a process of its own so that its memory is its own.

Run as a program with the path of a history, this file prints them as one JSON object.
"""

import json
import resource
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Final, NamedTuple

from holdfast.lab.replay import Progress, run_replay
from holdfast.lab.replay_settings import ReplaySettings

_TENTH: Final = 10
_KIB: Final = 1_024


class ReplayFigures(NamedTuple):
    """What one replay with four validators and 200 accounts took."""

    path: str
    blocks: int
    orders: int
    seconds: float
    last_over_first_tenth: float  # the book grows meanwhile
    peak_bytes: int

    def to_words(self) -> str:
        """Return one line for people."""
        return (
            f"replay of {self.path}: {self.blocks:,} blocks and {self.orders:,} orders in {self.seconds:.1f} s, four "
            f"replicas; last over first tenth {self.last_over_first_tenth:.2f} while the book grows"
        )


class ReplayBenchError(Exception):
    """The replay did not come to an end."""


def measure_replay(path: Path) -> ReplayFigures:
    """Replay a history in another process and return what it took."""
    done = subprocess.run(  # noqa: S603 -- our own file, by our own interpreter
        [sys.executable, "-m", "holdfast.lab.bench.replays", str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        message = f"--replay {path}: {lines[-1]}"
        raise ReplayBenchError(message)
    return ReplayFigures(**json.loads(done.stdout))


def _run(path: str) -> ReplayFigures:
    began = perf_counter()
    marks: list[float] = []

    def note(_: Progress) -> None:
        marks.append(perf_counter())

    result = run_replay(ReplaySettings(path=Path(path)), note)
    spent = [after - before for before, after in pairwise(marks)]
    tenth = max(1, len(spent) // _TENTH)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else _KIB)
    return ReplayFigures(
        path,
        result.verdict.blocks,
        result.verdict.orders,
        perf_counter() - began,
        sum(spent[-tenth:]) / sum(spent[:tenth]),
        peak,
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_run(sys.argv[1])._asdict()))
