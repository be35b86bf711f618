"""One validator's thread: messages, timers and calls, one at a time. It is the validator's clock port too.

Everything of a replica runs here and nowhere else, so a replica needs no lock. What peers say and what timers bring
goes before calls from outside: a crowd of clients may wait, a vote may not.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from queue import Empty, SimpleQueue
from typing import Final

# A paused validator's inbox stops growing here, as a socket's buffer would.
INBOX_MAX: Final = 100_000
_IDLE_S: Final = 60.0
_JOIN_S: Final = 30.0

Call = Callable[[], None]


class Timebase:
    """The time of one process: UTC, plus what an operator of a devnet has advanced it by."""

    def __init__(self, advanced_ms: int = 0) -> None:
        """Start so far ahead of UTC."""
        self._advanced_ms = advanced_ms

    @property
    def advanced_ms(self) -> int:
        """Return how far ahead of UTC this time is."""
        return self._advanced_ms

    def now_ms(self) -> int:
        """Return milliseconds since the epoch."""
        return time.time_ns() // 1_000_000 + self._advanced_ms

    def elapsed_ms(self) -> int:
        """Return milliseconds that never go back, for the distance between two moments."""
        return time.monotonic_ns() // 1_000_000 + self._advanced_ms

    def advance(self, by_ms: int) -> None:
        """Jump ahead. Who waits for a timer must be woken by the caller."""
        self._advanced_ms += by_ms


class Loop:
    """A thread that runs what it is given: urgent things in order, then calls in order."""

    def __init__(self, name: str, time_base: Timebase, *, offset_ms: int = 0) -> None:
        """Name the thread; `run` starts it. `offset_ms` is how wrong this validator's clock is."""
        self.name = name
        self.offset_ms = offset_ms
        self.dropped = 0
        self.failure: BaseException | None = None
        self.on_timer: Callable[[bytes], None] = _ignore
        self._time = time_base
        self._arriving: SimpleQueue[tuple[bool, Call]] = SimpleQueue()
        self._urgent: deque[Call] = deque()
        self._calls: deque[Call] = deque()
        self._timers: list[tuple[int, int, Call]] = []
        self._sequence = 0
        self._is_stopping = False
        self._may_run = threading.Event()
        self._may_run.set()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    # The clock port, used from the loop's own thread

    def now_ms(self) -> int:
        """Return UTC milliseconds on this validator's clock."""
        return self._time.now_ms() + self.offset_ms

    def set_timer(self, delay_ms: int, token: bytes) -> None:
        """Call `on_timer` with a token after a delay."""
        self._push(delay_ms, lambda: self.on_timer(token))

    # From any thread

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def post(self, call: Call) -> bool:
        """Run a call when nothing urgent waits; tell whether there was room for it."""
        return self._arrive(call, urgent=False)

    def post_urgent(self, call: Call, delay_ms: int = 0) -> bool:
        """Run a call before all that is not urgent, at once or after a delay; tell whether there was room for it."""
        if delay_ms:
            return self._arrive(lambda: self._push(delay_ms, call), urgent=True)
        return self._arrive(call, urgent=True)

    def wake(self) -> None:
        """Look at the timers again, since time has jumped."""
        self._arriving.put((True, _nothing))

    def pause(self) -> None:
        """Stop running things, as a stopped process does; they keep arriving."""
        self._may_run.clear()

    def resume(self) -> None:
        """Go on after a pause."""
        self._may_run.set()

    def stop(self) -> None:
        """Let the thread end after what it is doing; what waits is dropped."""
        self._is_stopping = True
        self._may_run.set()
        self.wake()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(_JOIN_S)

    @property
    def is_paused(self) -> bool:
        """Tell whether the loop stands still."""
        return not self._may_run.is_set()

    @property
    def is_alive(self) -> bool:
        """Tell whether the thread runs."""
        return self._thread.is_alive()

    def _arrive(self, call: Call, *, urgent: bool) -> bool:
        if self._is_stopping or self.failure is not None or self._arriving.qsize() >= INBOX_MAX:
            self.dropped += 1
            return False
        self._arriving.put((urgent, call))
        return True

    # In the thread

    def _run(self) -> None:
        try:
            while not self._is_stopping:
                self._collect()
                self._may_run.wait()
                if not self._is_stopping:
                    self._step()
        except BaseException as error:  # noqa: BLE001 -- whatever ends a validator's thread is its supervisor's to see
            self.failure = error

    def _collect(self) -> None:
        """Sort in what has arrived; where nothing is to be done, wait for it."""
        timeout_s = 0.0 if self._urgent or self._calls else self._wait_s()
        try:
            urgent, call = self._arriving.get(timeout=timeout_s) if timeout_s > 0 else self._arriving.get_nowait()
            while True:
                (self._urgent if urgent else self._calls).append(call)
                urgent, call = self._arriving.get_nowait()
        except Empty:
            return

    def _wait_s(self) -> float:
        if not self._timers:
            return _IDLE_S
        return max(0.0, (self._timers[0][0] - self._time.elapsed_ms()) / 1_000)

    def _step(self) -> None:
        """Run one thing: a timer that is due, else what is urgent, else a call."""
        if self._timers and self._timers[0][0] <= self._time.elapsed_ms():
            heappop(self._timers)[2]()
        elif self._urgent:
            self._urgent.popleft()()
        elif self._calls:
            self._calls.popleft()()

    def _push(self, delay_ms: int, call: Call) -> None:
        self._sequence += 1
        heappush(self._timers, (self._time.elapsed_ms() + max(0, delay_ms), self._sequence, call))


def _ignore(_token: bytes) -> None:
    return


def _nothing() -> None:
    return
