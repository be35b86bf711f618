"""Where a running exchange's processor time goes: `holdfast up` with a sampler inside, no tool beside it needed.

Every few milliseconds a thread looks at what each other thread is doing, and charges that place with the processor time
that the thread has used since the last look. The look itself needs the interpreter, so that a place which gives it up
(a write, a verification) is seen a little more often than it should be; the threads' sums are exact.
"""

import atexit
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec

EVERY_S: Final = 0.005
_PLACES_TOLD: Final = 60
_PACKAGE: Final = "/holdfast/"


class Place(msgspec.Struct, frozen=True):
    """Seconds of processor time at one place of one kind of thread: in it alone, and with what it called."""

    thread: str
    place: str
    own_s: float
    whole_s: float


class Profile(msgspec.Struct, frozen=True):
    """What a sampler saw."""

    seconds: float
    threads: dict[str, float]
    places: tuple[Place, ...]


class Sampler:
    """Samples the threads of this process."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._began_s = time.monotonic()
        self._used_s: dict[int, float] = {}
        self._threads: defaultdict[str, float] = defaultdict(float)
        self._own: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._whole: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> Profile:
        """Look no more, and return what was seen."""
        self._is_stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        places = [
            Place(thread, place, round(self._own[thread, place], 3), round(whole_s, 3))
            for (thread, place), whole_s in sorted(self._whole.items(), key=lambda item: -item[1])
        ]
        by_own = sorted(places, key=lambda one: -one.own_s)[:_PLACES_TOLD]
        told = dict.fromkeys([*places[:_PLACES_TOLD], *by_own])
        return Profile(time.monotonic() - self._began_s, dict(self._threads), tuple(told))

    def _run(self) -> None:
        while not self._is_stopping.wait(EVERY_S):
            self.look()

    def look(self) -> None:
        """Charge each thread's place with what it has used since the last look."""
        own_thread = threading.get_ident()
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for number, frame in sys._current_frames().items():  # noqa: SLF001 -- the interpreter's own way to look
            if number == own_thread:
                continue
            try:
                used_s = time.clock_gettime(time.pthread_getcpuclockid(number))
            except OSError:
                continue
            passed_s = used_s - self._used_s.get(number, used_s)
            self._used_s[number] = used_s
            if passed_s > 0:
                self._charge(names.get(number, "unknown"), frame, passed_s)

    def _charge(self, thread: str, frame: FrameType, passed_s: float) -> None:
        self._threads[thread] += passed_s
        # Validators do the same work: their places are told together.
        kind = thread.rstrip("0123456789").rstrip("-_")
        seen: set[str] = set()
        at: FrameType | None = frame
        self._own[kind, _name(frame)] += passed_s
        while at is not None:
            place = _name(at)
            if place not in seen:
                seen.add(place)
                self._whole[kind, place] += passed_s
            at = at.f_back


def _name(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename.rpartition(_PACKAGE)[2]}:{code.co_qualname}"


def profiled(run: Callable[[], None]) -> None:
    """Run a command line whose first argument is where the profile goes, and the rest its own."""
    target = Path(sys.argv.pop(1))
    sampler = Sampler()

    def write() -> None:
        target.write_bytes(msgspec.json.format(msgspec.json.encode(sampler.stop()), indent=1))

    atexit.register(write)
    sampler.start()
    run()
