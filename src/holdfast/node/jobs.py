"""Long work beside the blocks: done in small steps, at once in a simulated world, in a thread of its own elsewhere.

A job is an iterator whose every step is short. One job runs at a time. What a job raises is raised again to whoever
asks how it went, since only the owner's thread may halt a replica.
"""

import time
from collections.abc import Iterator
from threading import Event, Thread
from typing import Final, Protocol

from holdfast.primitives.check import ensure

# A background job works for a short while and then leaves the interpreter to others nine times as long.
_WORK_S: Final = 0.000_5
_REST_FACTOR: Final = 9


class Jobs(Protocol):
    """Whoever runs jobs."""

    @property
    def is_busy(self) -> bool:
        """Tell whether a job is under way."""

    def start(self, steps: Iterator[None]) -> None:
        """Run a job."""

    def check(self) -> None:
        """Raise what the last job has raised."""

    def close(self) -> None:
        """End a job that is under way, where it stands."""


class InlineJobs:
    """Runs a job to its end before `start` returns, so that a simulation has one thread and repeats itself."""

    is_busy: Final = False

    def start(self, steps: Iterator[None]) -> None:
        """Run a job."""
        for _ in steps:
            pass

    def check(self) -> None:
        """Nothing is left to raise."""

    def close(self) -> None:
        """Nothing is under way."""


class BackgroundJobs:
    """Runs each job in a thread that takes a small share of the time."""

    def __init__(self) -> None:
        """Begin idle."""
        self._thread: Thread | None = None
        self._failure: BaseException | None = None
        self._is_closing = Event()

    @property
    def is_busy(self) -> bool:
        """Tell whether a job is under way."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, steps: Iterator[None]) -> None:
        """Run a job."""
        ensure(not self.is_busy, "one job runs at a time")
        self._thread = Thread(target=self._run, args=(steps,), name="snapshot", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what the last job has raised."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def close(self) -> None:
        """End a job that is under way, where it stands."""
        self._is_closing.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, steps: Iterator[None]) -> None:
        try:
            began = time.perf_counter()
            for _ in steps:
                worked = time.perf_counter() - began
                if worked >= _WORK_S:
                    if self._is_closing.wait(worked * _REST_FACTOR):
                        return
                    began = time.perf_counter()
        except BaseException as failure:  # noqa: BLE001 -- raised again in the owner's thread
            self._failure = failure
