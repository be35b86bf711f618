"""Orders at a rate: the load process as the bench drives it, and the search for the highest rate that is held."""

import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Self

import msgspec

from holdfast.lab.bench.live_load import DRAIN_S, Plan, Step, Window
from holdfast.lab.bench.live_server import LiveBenchError, last_words

Say = Callable[[str], None]

P99_MAX_MS: Final = 2_500.0
# So much of what was due must be in blocks by the end of a step for the rate to count as held.
KEPT_UP_SHARE: Final = 0.97
_OPEN_S: Final = 120.0
_GRACE_S: Final = 30.0
_LOAD: Final = "from holdfast.lab.bench.live_load import main; main()"
_HALVINGS: Final = 3
_BACK_OFF: Final = 0.85
_BACK_OFFS_MAX: Final = 4


class LoadProcess:
    """The load, in a process of its own."""

    def __init__(self, plan: Plan, log: Path) -> None:
        """Start it, and wait until its accounts are there. Refuses: LiveBenchError."""
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(  # noqa: S603 -- a fixed command of this program
                [sys.executable, "-c", _LOAD, msgspec.json.encode(plan).decode()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,  # a line that is read ahead would be out of select's sight
            )
        self._read(_OPEN_S)

    def __enter__(self) -> Self:
        """Return the load."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def run(self, rate: float, seconds: float) -> Window:
        """Send at a rate for a time, and return what became of it. Refuses: LiveBenchError."""
        return list(self.watch(rate, seconds, 0.0))[-1]

    def watch(self, rate: float, seconds: float, window_s: float) -> Iterator[Window]:
        """Send at a rate for a time, and yield each window as it ends; the last is of the whole."""
        self._write(Step(rate, seconds, window_s))
        deadline_s = time.monotonic() + seconds + DRAIN_S + _GRACE_S
        while True:
            window = self._read(deadline_s - time.monotonic())
            yield window
            if window.is_last:
                return

    def _write(self, step: Step) -> None:
        stdin = self._process.stdin
        if stdin is None or self._process.poll() is not None:
            raise LiveBenchError(f"the load process has ended: {last_words(self._log)}")
        stdin.write(msgspec.json.encode(step) + b"\n")
        stdin.flush()

    def _read(self, timeout_s: float) -> Window:
        stdout = self._process.stdout
        line = b""
        if stdout is not None and select.select([stdout], [], [], max(0.0, timeout_s))[0]:
            line = stdout.readline()
        if not line:
            self.__exit__()
            raise LiveBenchError(f"the load process says nothing more: {last_words(self._log)}")
        return msgspec.json.decode(line, type=Window)


def is_held(window: Window, rate: float) -> bool:
    """Tell whether a rate was kept up with: nearly all in blocks, and the slowest hundredth within the limit."""
    due = rate * window.seconds
    return window.p99_ms < P99_MAX_MS and not window.unresolved and window.committed >= KEPT_UP_SHARE * due


class Search(msgspec.Struct, frozen=True):
    """What the search for the highest rate tried, and the rate that was held in the end with its window."""

    tried: tuple[tuple[float, Window], ...]
    rate: float
    held: Window | None


def find_highest(load: LoadProcess, *, first: float, most: float, step_s: float, hold_s: float, say: Say) -> Search:
    """Find the highest rate that is kept up with: double, halve the gap, then hold it, going back where it is not."""
    tried: list[tuple[float, Window]] = []

    def attempt(rate: float, seconds: float) -> Window:
        window = load.run(rate, seconds)
        tried.append((rate, window))
        verdict = "held" if is_held(window, rate) else "not held"
        say(f"{rate:,.0f}/s for {seconds:.0f} s: p99 {window.p99_ms:,.0f} ms, {verdict}")
        return window

    good, bad = 0.0, 0.0
    rate = first
    while not bad and good < most:
        if is_held(attempt(rate, step_s), rate):
            good, rate = rate, min(most, 2 * rate)
        else:
            bad = rate
    for _ in range(_HALVINGS if bad else 0):
        middle = (good + bad) / 2
        if is_held(attempt(middle, step_s), middle):
            good = middle
        else:
            bad = middle
    rate = good
    for _ in range(_BACK_OFFS_MAX):
        if rate <= 0:
            break
        window = attempt(rate, hold_s)
        if is_held(window, rate):
            return Search(tuple(tried), rate, window)
        rate *= _BACK_OFF
    return Search(tuple(tried), 0.0, None)
