"""Faults of a run: their kinds, and the plan that says which of them hold now.

Owns what a fault is and when it begins and ends; `fault_specs` owns how a person writes it, `fault_effects` what it
does. Kinds that change validators or prices are done to a target, by the simulated world's clock (`schedule`) or by
whoever runs a live net (`run_due`); the others are asked for by whoever lies: `is_active`, `factor_ppm`, `venue_fault`.

Promise: every fault that came into effect is counted once under its kind.
"""

from collections.abc import Callable, Iterable
from threading import Lock
from typing import Final, NamedTuple

from holdfast.lab.fault_effects import Change, Effects, WorldTarget
from holdfast.lab.world import NodeT, World

PPM = 1_000_000
# The end of a fault without `to`: nothing heals it.
FOREVER_MS = 2**62
# In a live run: readers look back a little, so a fault is kept for a while after its end.
_REMEMBERED_MS: Final = 600_000

# The keys that a kind needs, besides from=, to= or at=.
KINDS: dict[str, tuple[str, ...]] = {
    "crash": ("validator",),
    "wipe": ("validator",),
    "pause": ("validator",),
    "partition": ("validator",),
    "delay": ("validator", "ms"),
    "clock": ("validator", "ms"),
    "equivocate": ("validator",),
    "oracle-lies": ("validator", "factor"),
    "venue-lies": ("venue", "factor"),
    "venue-silent": ("venue",),
    "price": ("asset", "factor"),
}
OPTIONAL_KEYS: dict[str, tuple[str, ...]] = {"price": ("over",)}
# A replay's prices are history's.
REPLAY_KINDS: Final = tuple(kind for kind in KINDS if kind != "price")


class Fault(NamedTuple):
    """One fault, active in [from_ms, to_ms). Fields that its kind has no use for are None."""

    kind: str
    from_ms: int
    to_ms: int
    validator: int | None = None
    venue: str | None = None
    factor_ppm: int | None = None
    delay_ms: int | None = None
    offset_ms: int | None = None
    asset: str | None = None
    over_ms: int | None = None


class FaultPlan:
    """The faults of one run: who asks, gets told; what touches a target, is done to it when its time comes.

    Any thread may ask, and add or end faults, while a run goes on.
    """

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        """Take the faults in the order in which they were written."""
        self.fired = dict.fromkeys(KINDS, 0)
        self._lock = Lock()
        self._open: tuple[tuple[int, Fault], ...] = ()
        self._next = 0
        self._seen: set[int] = set()
        self._changes: dict[int, Change] = {}
        self._venues: frozenset[str] = frozenset()
        self.lying_venues: frozenset[str] = frozenset()
        for fault in faults:
            self.add(fault)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Return the faults that are not over, and in a live run those that ended a moment ago."""
        return tuple(fault for _, fault in self._open)

    def list_active(self, now_ms: int) -> tuple[tuple[int, Fault], ...]:
        """Return the faults that hold now, each with its number."""
        return tuple((number, fault) for number, fault in self._open if fault.from_ms <= now_ms < fault.to_ms)

    def add(self, fault: Fault) -> int:
        """Add a fault, and return its number for `end`."""
        with self._lock:
            number = self._next
            self._next += 1
            self._set_open((*self._open, (number, fault)))
        return number

    def end(self, now_ms: int, number: int | None = None) -> int:
        """Let a fault end now, or all of them, and return how many that were."""
        with self._lock:
            ended = [fault.to_ms > now_ms and (number is None or number == own) for own, fault in self._open]
            self._set_open(
                tuple(
                    (own, fault._replace(to_ms=max(now_ms, fault.from_ms)) if is_ended else fault)
                    for (own, fault), is_ended in zip(self._open, ended, strict=True)
                )
            )
        return sum(ended)

    def schedule(self, world: World[NodeT]) -> None:
        """Put the faults that change nodes and links on a simulated world's heap."""
        effects = Effects(WorldTarget(world))
        for number, fault in self._open:
            change = _change(effects, fault)
            if change is None:
                continue
            label = f"{fault.kind} {fault.validator}"
            world.at(fault.from_ms, self._counted(number, change.begin), f"begin {label}")
            if fault.to_ms < FOREVER_MS:
                world.at(fault.to_ms, change.end, f"end {label}")

    def run_due(self, effects: Effects, now_ms: int) -> None:
        """Begin and end what is due at a live target; one thread calls this again and again.

        Why: a fault that a jump of the clock has passed over altogether does nothing.
        """
        for number, fault in self._open:
            if number in self._changes:
                if now_ms >= fault.to_ms:
                    self._changes.pop(number).end()
            elif fault.from_ms <= now_ms < fault.to_ms and number not in self._seen:
                change = _change(effects, fault)
                if change is not None:
                    self._changes[number] = change
                    self._count(number, fault)
                    change.begin()
        with self._lock:
            kept = tuple(
                (number, fault)
                for number, fault in self._open
                if number in self._changes or fault.to_ms > now_ms - _REMEMBERED_MS
            )
            if len(kept) < len(self._open):
                self._seen.difference_update({number for number, _ in self._open} - {number for number, _ in kept})
                self._set_open(kept)

    def is_active(self, kind: str, now_ms: int, *, validator: int | None = None, venue: str | None = None) -> bool:
        """Tell whether a fault of a kind holds now for a validator or a venue, and count it the first time."""
        return bool(self._active(kind, now_ms, validator, venue))

    def factor_ppm(self, kind: str, now_ms: int, *, validator: int | None = None, venue: str | None = None) -> int:
        """Return the factor by which a liar is off now, in millionths: PPM when it tells the truth.

        Rounds: down, where several factors multiply.
        """
        factor_ppm = PPM
        for fault in self._active(kind, now_ms, validator, venue):
            factor_ppm = factor_ppm * (fault.factor_ppm or PPM) // PPM
        return factor_ppm

    def venue_fault(self, venue: str, now_ms: int) -> tuple[bool, int | None]:
        """Return what a venue's faults make of its quotes: silence, or a factor."""
        if venue not in self._venues:
            return False, None
        if self.is_active("venue-silent", now_ms, venue=venue):
            return True, None
        return False, self.factor_ppm("venue-lies", now_ms, venue=venue)

    def healed_ms(self) -> int:
        """Return when the last fault that ends at all has ended, 0 where none does."""
        return max((fault.to_ms for fault in self.faults if fault.to_ms < FOREVER_MS), default=0)

    def _set_open(self, entries: tuple[tuple[int, Fault], ...]) -> None:
        self._open = entries
        self._venues = frozenset(fault.venue for _, fault in entries if fault.venue is not None)
        self.lying_venues = frozenset(
            fault.venue for _, fault in entries if fault.kind == "venue-lies" and fault.venue is not None
        )

    def _active(self, kind: str, now_ms: int, validator: int | None, venue: str | None) -> list[Fault]:
        active = []
        for number, fault in self._open:
            if fault.kind != kind or not fault.from_ms <= now_ms < fault.to_ms:
                continue
            if fault.validator == validator and fault.venue == venue:
                self._count(number, fault)
                active.append(fault)
        return active

    def _counted(self, number: int, action: Callable[[], None]) -> Callable[[], None]:
        fault = next(fault for own, fault in self._open if own == number)

        def run() -> None:
            self._count(number, fault)
            action()

        return run

    def _count(self, number: int, fault: Fault) -> None:
        with self._lock:
            if number not in self._seen:
                self._seen.add(number)
                self.fired[fault.kind] += 1


def _change(effects: Effects, fault: Fault) -> Change | None:
    """Return what a fault does to a target; None where it only answers questions."""
    if fault.kind == "price" and fault.asset is not None:
        return effects.of_price(fault.asset, fault.factor_ppm or PPM, fault.over_ms or 0)
    if fault.validator is None:
        return None
    return effects.of_validator(fault.kind, fault.validator, fault.delay_ms or fault.offset_ms or 0)
