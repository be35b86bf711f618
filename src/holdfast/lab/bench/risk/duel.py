"""A figure and its peer's, turn by turn in one process, their results compared before any is timed.

Turns alternate, so that what else the machine does falls on both; a ratio is the median over the turns of the ratio of
neighbours. Time is processor time of the process unless threads are what is measured, and the collector of cyclic
garbage rests, as under `timeit`.
"""

import gc
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

T = TypeVar("T")
P = TypeVar("P")

# A call that is shorter is repeated until a turn has taken so long.
_TURN_S: Final = 0.02
_CALLS_MAX: Final = 1_000
_KIB: Final = 1_024
_STATUS: Final = Path("/proc/self/status")


class WrongResultError(Exception):
    """Two computations of the same thing differ, so their times mean nothing."""


class PeerMissingError(Exception):
    """What a row is measured against is not installed."""


class Taken(NamedTuple, Generic[T]):
    """What one turn gave, and the seconds that one unit of work took, or what else the row measures."""

    result: T
    figure: float


class Contender(NamedTuple, Generic[T]):
    """One side of a duel."""

    name: str
    take_turn: Callable[[], Taken[T]]


class Checked(NamedTuple):
    """What a comparison of the results found: words for the reader, and whether a bound on them holds too."""

    words: str
    is_met: bool = True


class Duel(NamedTuple, Generic[T, P]):
    """A row, set up: the peer is loaded only after the own peak of memory is taken."""

    own: Contender[T]
    load_peer: Callable[[], Contender[P]]
    compare: Callable[[T, P], Checked]


class Times(msgspec.Struct, frozen=True):
    """One side's figures over the turns: seconds a unit, or what else the row measures."""

    name: str
    median: float
    best: float
    peak_bytes: int


class Outcome(msgspec.Struct, frozen=True):
    """What a duel came to. `speed` is the peer's time over the own, the median over the turns."""

    own: Times
    peer: Times | None
    speed: float
    words: str
    is_met: bool


class Growth(msgspec.Struct, frozen=True):
    """What the margin of so many accounts costs."""

    accounts: int
    margin_s: float  # every account anew
    fill_s: float  # one account after one fill
    peak_bytes: int


def fight(duel: Duel[T, P], turns: int) -> Outcome:
    """Run a duel. Refuses: WrongResultError; a peer that is missing leaves the own figure alone."""
    own_first = duel.own.take_turn()
    own_peak = peak_bytes()
    try:
        peer = duel.load_peer()
    except PeerMissingError as error:
        seconds = [duel.own.take_turn().figure for _ in range(turns)]
        return Outcome(_sum_up(duel.own.name, seconds, own_peak), None, 0.0, str(error), is_met=True)
    checked = duel.compare(own_first.result, peer.take_turn().result)
    own_s, peer_s = [], []
    for _ in range(turns):
        own_s.append(duel.own.take_turn().figure)
        peer_s.append(peer.take_turn().figure)
    speed = median(theirs / ours for ours, theirs in zip(own_s, peer_s, strict=True))
    peer_peak = peak_bytes()
    return Outcome(
        _sum_up(duel.own.name, own_s, own_peak),
        _sum_up(peer.name, peer_s, peer_peak),
        speed,
        checked.words,
        checked.is_met,
    )


def timed(name: str, call: Callable[[], T], units: int, *, by_wall: bool = False) -> Contender[T]:
    """Return a contender whose turn calls a function until the clock can tell; `units` is the work of one call."""
    clock = perf_counter if by_wall else process_time

    def take_turn() -> Taken[T]:
        gc.collect()
        gc.disable()
        try:
            began = clock()
            result = call()
            passed = clock() - began
            # The first call of a turn finds the other side's data in the caches; where it is short it does not count.
            calls = min(_CALLS_MAX, int(_TURN_S / max(passed, _TURN_S / _CALLS_MAX)))
            if calls > 1:
                began = clock()
                for _ in range(calls):
                    result = call()
                passed = (clock() - began) / calls
        finally:
            gc.enable()
        return Taken(result, passed / units)

    return Contender(name, take_turn)


def ensure_equal(claim: str, *, condition: bool) -> None:
    """Refuses: WrongResultError, where a comparison does not hold."""
    if not condition:
        raise WrongResultError(claim)


def peak_bytes() -> int:
    """Return the most memory that this process has held.

    Why not `getrusage` alone: on Linux a new process starts there with what its parent held when it was started.
    """
    try:
        status = _STATUS.read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else _KIB)
    return int(status.partition("VmHWM:")[2].split()[0]) * _KIB


def _sum_up(name: str, seconds: list[float], peak: int) -> Times:
    return Times(name, median(seconds), min(seconds), peak)
