"""Faults as a person writes them: `KIND:key=value,...`, for a replay or for a net that runs.

Times of a replay are UTC times of the data or heights, both turned into data time before the run, so that a fault comes
when it was ordered even while no block commits. A live fault begins now, and holds for a time or until it is healed.

Promise: a wrong spec gets one line that names what is wrong and says how its kind is written, or lists the kinds.
"""

import datetime as dt
import re
from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from holdfast.lab.faults import FOREVER_MS, KINDS, OPTIONAL_KEYS, PPM, REPLAY_KINDS, Fault

FACTOR_MAX = 1_000_000
DELAY_MAX_MS = 3_600_000
CLOCK_MAX_MS = 366 * 86_400_000
OVER_MAX_MS = 86_400_000
ASSETS: Final = ("BTC", "ETH", "USDC", "USDT")
_SHOWN_MAX = 120
_TIME_KEYS = ("from", "to", "at")
_UNIT_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}


class FaultSpecError(ValueError):
    """A fault spec that means nothing; its message is one line and says what would."""


def describe_kinds(kinds: Collection[str] = REPLAY_KINDS) -> str:
    """Return every kind with its keys, on one line; those that may be left out stand in brackets."""
    described = []
    for kind in kinds:
        keys = [f"{key}=" for key in KINDS[kind]] + [f"[{key}=]" for key in OPTIONAL_KEYS.get(kind, ())]
        described.append(f"{kind}:{','.join(keys)}")
    return "; ".join(described)


def parse_fault(
    text: str, *, validators: int, venues: Sequence[str], origin_ms: int, interval_ms: int, end_ms: int
) -> Fault:
    """Return the fault of a replay that a spec orders, its heights converted to data time.

    Refuses: whatever it does not understand whole, with FaultSpecError. A window without `to` never ends; `at` is a
    window of one block interval.
    """
    try:
        kind, values = _split(text, REPLAY_KINDS, _TIME_KEYS)
        from_ms, to_ms = _Calendar(origin_ms, interval_ms, end_ms).window(values)
        return _make(kind, values, from_ms, to_ms, validators, venues)
    except _WrongPart as wrong:
        hint = f"{_describe(text, REPLAY_KINDS)} with from= and to=, or at=, as UTC or height"
        raise FaultSpecError(f"fault {_one_line(text)}: {_one_line(str(wrong))}. {hint}") from None


def parse_live_fault(text: str, *, validators: int, venues: Sequence[str], now_ms: int) -> Fault:
    """Return the fault that begins now on a running net, and lasts `for=30s` or until it is healed.

    Refuses: whatever it does not understand whole, with FaultSpecError.
    """
    try:
        kind, values = _split(text, KINDS, ("for",))
        for_ms = _parse_duration_ms("for", values["for"], FOREVER_MS - now_ms) if "for" in values else 0
        if "for" in values and not for_ms:
            raise _WrongPart("for=0 is no time")  # noqa: TRY301 -- the one catcher puts the line together
        return _make(kind, values, now_ms, now_ms + for_ms if for_ms else FOREVER_MS, validators, venues)
    except _WrongPart as wrong:
        hint = f"{_describe(text, KINDS)} may have for=30s"
        raise FaultSpecError(f"fault {_one_line(text)}: {_one_line(str(wrong))}. {hint}") from None


def _describe(text: str, kinds: Collection[str]) -> str:
    """Return how the kind that a spec means is written, or all kinds where it means none."""
    kind = text.strip().partition(":")[0]
    if kind in kinds:
        return f"Write {describe_kinds((kind,))}; it"
    return f"Kinds: {describe_kinds(kinds)}; each"


def _make(kind: str, values: dict[str, str], from_ms: int, to_ms: int, validators: int, venues: Sequence[str]) -> Fault:
    keys = KINDS[kind]
    return Fault(
        kind,
        from_ms,
        to_ms,
        validator=_parse_validator(values["validator"], validators) if "validator" in keys else None,
        venue=_parse_name("venue", values["venue"], venues) if "venue" in keys else None,
        factor_ppm=_parse_factor_ppm(values["factor"]) if "factor" in keys else None,
        delay_ms=_parse_delay_ms(values["ms"]) if kind == "delay" else None,
        offset_ms=_parse_offset_ms(values["ms"]) if kind == "clock" else None,
        asset=_parse_name("asset", values["asset"], ASSETS) if "asset" in keys else None,
        over_ms=_parse_duration_ms("over", values["over"], OVER_MAX_MS) if "over" in values else None,
    )


class _WrongPart(Exception):  # noqa: N818 -- never leaves this file
    """What is wrong with one part of a spec."""


def _split(text: str, kinds: Collection[str], time_keys: Collection[str]) -> tuple[str, dict[str, str]]:
    """Return the kind and the values by key, with every needed key there and no other."""
    kind, colon, rest = text.strip().partition(":")
    if kind in KINDS and kind not in kinds:
        raise _WrongPart(f"{kind} is for a net that runs; here the prices are history's, of which a venue may lie")
    if kind not in kinds:
        raise _WrongPart(f"no kind is named {kind!r}" if kind else "it names no kind")
    if not colon or not rest:
        raise _WrongPart(f"{kind} needs {_listed(KINDS[kind])}")
    values: dict[str, str] = {}
    for part in rest.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key or not value:
            raise _WrongPart(f"{part.strip()!r} is not key=value")
        if key not in (*KINDS[kind], *OPTIONAL_KEYS.get(kind, ()), *time_keys):
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


def _parse_name(key: str, text: str, names: Sequence[str]) -> str:
    matches = [name for name in names if name.lower() == text.lower()]
    if len(matches) != 1:
        raise _WrongPart(f"{key}={text} is not one of {', '.join(names) or 'none'}")
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


def _parse_offset_ms(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,12}", text) or not 0 < abs(int(text)) <= CLOCK_MAX_MS:
        raise _WrongPart(f"ms={text} is not a whole number from -{CLOCK_MAX_MS} to {CLOCK_MAX_MS}, other than 0")
    return int(text)


def _parse_duration_ms(key: str, text: str, most_ms: int) -> int:
    match = re.fullmatch(r"([0-9]{1,9})(ms|s|m|h)", text)
    duration_ms = int(match[1]) * _UNIT_MS[match[2]] if match else -1
    if not 0 <= duration_ms <= most_ms:
        raise _WrongPart(f"{key}={text} is not a time such as 500ms, 30s, 10m or 2h")
    return duration_ms


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
