"""Faults of a run as a person writes them: `KIND:key=value,...`, parsed, scheduled in a world, and counted.

Owns the grammar and the schedule. Times are UTC times of the data or heights, both turned into data time before the
run, so that a fault comes when it was ordered even while no block commits. Kinds that change a world (crash, wipe,
partition, delay) are scheduled as its callbacks; the others are asked for by whoever lies: `is_active`, `factor_ppm`.

Promises: a wrong spec gets one line that names what is wrong and lists the kinds with their keys; every fault that
came into effect is counted once under its kind.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from holdfast.lab.world import NodeT, World

PPM = 1_000_000
FACTOR_MAX = 1_000_000
# The end of a fault without `to`: nothing heals it.
FOREVER_MS = 2**62
_SHOWN_MAX = 120
DELAY_MAX_MS = 3_600_000

# The keys that a kind needs, besides from=, to= or at=.
KINDS: dict[str, tuple[str, ...]] = {
    "crash": ("validator",),
    "wipe": ("validator",),
    "partition": ("validator",),
    "delay": ("validator", "ms"),
    "equivocate": ("validator",),
    "oracle-lies": ("validator", "factor"),
    "venue-lies": ("venue", "factor"),
    "venue-silent": ("venue",),
}
_TIME_KEYS = ("from", "to", "at")


class FaultSpecError(ValueError):
    """A fault spec that means nothing; its message is one line and says what would."""


class Fault(NamedTuple):
    """One fault, active in [from_ms, to_ms) of data time. Fields that its kind has no use for are None."""

    kind: str
    from_ms: int
    to_ms: int
    validator: int | None = None
    venue: str | None = None
    factor_ppm: int | None = None
    delay_ms: int | None = None


def describe_kinds() -> str:
    """Return every kind with its keys, on one line."""
    return "; ".join(f"{kind}:{','.join(f'{key}=' for key in keys)}" for kind, keys in KINDS.items())


def parse_fault(
    text: str, *, validators: int, venues: Sequence[str], origin_ms: int, interval_ms: int, end_ms: int
) -> Fault:
    """Return the fault that a spec orders, its heights converted to data time.

    Refuses: whatever it does not understand whole, with FaultSpecError. A window without `to` never ends; `at` is a
    window of one block interval.
    """
    try:
        kind, values = _split(text)
        calendar = _Calendar(origin_ms, interval_ms, end_ms)
        from_ms, to_ms = calendar.window(values)
        keys = KINDS[kind]
        return Fault(
            kind,
            from_ms,
            to_ms,
            validator=_parse_validator(values["validator"], validators) if "validator" in keys else None,
            venue=_parse_venue(values["venue"], venues) if "venue" in keys else None,
            factor_ppm=_parse_factor_ppm(values["factor"]) if "factor" in keys else None,
            delay_ms=_parse_delay_ms(values["ms"]) if "ms" in keys else None,
        )
    except _WrongPart as wrong:
        complaint = f"fault {_one_line(text)}: {_one_line(str(wrong))}"
        message = f"{complaint}. Kinds: {describe_kinds()}; each with from= and to=, or at=, as UTC or height"
        raise FaultSpecError(message) from None


class FaultPlan:
    """The faults of one run: who asks, gets told; what touches the world, is scheduled there."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        """Take the faults in the order in which they were written."""
        self.faults = tuple(faults)
        self.fired = dict.fromkeys(KINDS, 0)
        self._seen: set[int] = set()

    def schedule(self, world: World[NodeT]) -> None:
        """Put the faults that change nodes and links on a world's heap."""
        down = [0] * world.size
        for number, fault in enumerate(self.faults):
            if fault.validator is None:
                continue
            begin, end = _effects(world, fault, fault.validator, down)
            if begin is None:
                continue
            world.at(fault.from_ms, self._counted(number, begin), f"begin {fault.kind} {fault.validator}")
            if fault.to_ms < FOREVER_MS:
                world.at(fault.to_ms, end, f"end {fault.kind} {fault.validator}")

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

    def healed_ms(self) -> int:
        """Return when the last fault that ends at all has ended, 0 where none does."""
        return max((fault.to_ms for fault in self.faults if fault.to_ms < FOREVER_MS), default=0)

    def _active(self, kind: str, now_ms: int, validator: int | None, venue: str | None) -> list[Fault]:
        active = []
        for number, fault in enumerate(self.faults):
            if fault.kind != kind or not fault.from_ms <= now_ms < fault.to_ms:
                continue
            if fault.validator == validator and fault.venue == venue:
                self._count(number)
                active.append(fault)
        return active

    def _counted(self, number: int, action: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            self._count(number)
            action()

        return run

    def _count(self, number: int) -> None:
        if number not in self._seen:
            self._seen.add(number)
            self.fired[self.faults[number].kind] += 1


_Effect = Callable[[], None]


def _effects(world: World[NodeT], fault: Fault, validator: int, down: list[int]) -> tuple[_Effect | None, _Effect]:
    """Return what a fault does to a world when it begins and when it ends; None where it only answers questions."""
    delay_ms = fault.delay_ms or 0
    cuts: list[int] = []

    def crash() -> None:
        down[validator] += 1
        world.crash(validator)

    def crash_and_wipe() -> None:
        crash()
        world.wipe(validator)

    def restart() -> None:
        # Of overlapping outages only the end of the last one brings the node back.
        down[validator] -= 1
        if down[validator] == 0:
            world.start(validator)

    def nothing() -> None:
        return

    effects: dict[str, tuple[_Effect, _Effect]] = {
        "crash": (crash, restart),
        "wipe": (crash_and_wipe, restart),
        "partition": (lambda: cuts.append(world.mesh.partition([validator])), lambda: world.mesh.heal(cuts.pop())),
        "delay": (
            lambda: world.mesh.add_delay(validator, delay_ms),
            lambda: world.mesh.add_delay(validator, -delay_ms),
        ),
    }
    return effects.get(fault.kind, (None, nothing))


class _WrongPart(Exception):  # noqa: N818 -- never leaves this file
    """What is wrong with one part of a spec."""


def _split(text: str) -> tuple[str, dict[str, str]]:
    """Return the kind and the values by key, with every needed key there and no other."""
    kind, colon, rest = text.strip().partition(":")
    if kind not in KINDS:
        raise _WrongPart(f"no kind is named {kind!r}" if kind else "it names no kind")
    if not colon or not rest:
        raise _WrongPart(f"{kind} needs {_listed(KINDS[kind])}")
    values: dict[str, str] = {}
    for part in rest.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key or not value:
            raise _WrongPart(f"{part.strip()!r} is not key=value")
        if key not in KINDS[kind] and key not in _TIME_KEYS:
            raise _WrongPart(f"{kind} has no key {key!r}")
        if key in values:
            raise _WrongPart(f"{key}= is given twice")
        values[key] = value
    missing = [key for key in KINDS[kind] if key not in values]
    if missing:
        raise _WrongPart(f"{kind} needs {_listed(missing)}")
    return kind, values


def _one_line(text: str) -> str:
    printable = "".join(character if character.isprintable() else "?" for character in text[:_SHOWN_MAX])
    return printable if len(text) <= _SHOWN_MAX else printable + "..."


def _listed(keys: Iterable[str]) -> str:
    return " and ".join(f"{key}=" for key in keys)


def _parse_validator(text: str, validators: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) >= validators:
        raise _WrongPart(f"validator={text} is not one of 0 to {validators - 1}")
    return int(text)


def _parse_venue(text: str, venues: Sequence[str]) -> str:
    matches = [venue for venue in venues if venue.lower() == text.lower()]
    if len(matches) != 1:
        raise _WrongPart(f"venue={text} is not one of {', '.join(venues) or 'none'}")
    return matches[0]


def _parse_factor_ppm(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise _WrongPart(f"factor={text} is not a positive decimal number such as 10 or 0.97")
    factor = Fraction(text)
    if not 0 < factor <= FACTOR_MAX or (factor * PPM).denominator != 1:
        raise _WrongPart(f"factor={text} is not between 0.000001 and {FACTOR_MAX}, to six decimals")
    return int(factor * PPM)


def _parse_delay_ms(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 0 < int(text) <= DELAY_MAX_MS:
        raise _WrongPart(f"ms={text} is not a whole number from 1 to {DELAY_MAX_MS}")
    return int(text)


class _Calendar(NamedTuple):
    """What turns a written time into data time."""

    origin_ms: int
    interval_ms: int
    end_ms: int

    def window(self, values: dict[str, str]) -> tuple[int, int]:
        """Return when a fault begins and ends, begun no earlier than the run."""
        if "at" in values:
            if "from" in values or "to" in values:
                raise _WrongPart("at= stands alone, without from= and to=")
            from_ms = self.moment_ms("at", values["at"], self.origin_ms)
            to_ms = from_ms + self.interval_ms
        else:
            if "from" not in values:
                raise _WrongPart("it needs from= or at=")
            from_ms = self.moment_ms("from", values["from"], self.origin_ms)
            to_ms = self.moment_ms("to", values["to"], from_ms + 1) if "to" in values else FOREVER_MS
        if to_ms <= from_ms:
            raise _WrongPart(f"to={values['to']} is not after from={values['from']}")
        if from_ms >= self.end_ms or to_ms <= self.origin_ms:
            raise _WrongPart(f"it lies outside the run, {_show(self.origin_ms)} to {_show(self.end_ms)}")
        return max(from_ms, self.origin_ms), to_ms

    def moment_ms(self, key: str, text: str, earliest_ms: int) -> int:
        """Return a height's or a time's data time; a time of day is the first such time from `earliest_ms` on."""
        if re.fullmatch(r"[0-9]{1,9}", text):
            return self.origin_ms + int(text) * self.interval_ms
        stamp = text.removesuffix("Z")
        try:
            if re.fullmatch(r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?", stamp):
                return _next_time_of_day_ms(dt.time.fromisoformat(stamp), earliest_ms)
            if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?)?", stamp):
                return _utc_ms(dt.datetime.fromisoformat(stamp))
        except ValueError:
            pass
        raise _WrongPart(f"{key}={text} is no UTC time such as 21:00 or 2025-10-10T21:00, and no height")


def _next_time_of_day_ms(time: dt.time, earliest_ms: int) -> int:
    day_ms = 86_400_000
    within_ms = ((time.hour * 60 + time.minute) * 60 + time.second) * 1000
    moment_ms = earliest_ms - earliest_ms % day_ms + within_ms
    return moment_ms if moment_ms >= earliest_ms else moment_ms + day_ms


def _utc_ms(moment: dt.datetime) -> int:
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (moment.replace(tzinfo=dt.UTC) - epoch) // dt.timedelta(milliseconds=1)


def _show(time_ms: int) -> str:
    moment = dt.datetime.fromtimestamp(time_ms // 1000, tz=dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M")
