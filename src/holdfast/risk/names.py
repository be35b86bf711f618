"""Instrument names: Holdfast's linear books and Deribit's inverse ones.

`BTC_USDC-27MAR26-100000-C` is an option settled in USDC, `BTC-27MAR26-100000-C` one settled in BTC; without strike and
letter it is a future, and `BTC_USDC-PERPETUAL` a perpetual. Everything expires at 08:00 UTC, so that this is what a
date means. A name may be written with zeros in front of a day or strike, or with a point for the venue's `d`; an
instrument has one name all the same.
"""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

EXPIRY_HOUR: Final = 8

_NAME: Final = re.compile(
    r"(?P<coin>[A-Z][A-Z0-9]{1,9})(?P<linear>_USDC)?-"
    r"(?:PERPETUAL|(?P<date>\d{1,2}[A-Z]{3}\d{2})(?:-(?P<strike>\d{1,9}(?:[d.]\d{1,6})?)-(?P<kind>[CP]))?)",
    re.ASCII,
)
_SECONDS: Final = re.compile(r"\d{1,11}(?:\.\d{1,6})?", re.ASCII)
_DATE: Final = re.compile(r"(\d{1,2})([A-Z]{3})(\d{2})", re.ASCII)
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MONTHS: Final = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a name says, in the venue's own spelling; a perpetual has no expiry, a future no strike."""

    name: str
    underlying: str
    is_inverse: bool
    expiry: dt.datetime | None
    strike: float | None
    is_call: bool


def parse_instrument(name: str) -> Instrument | None:
    """Return what an instrument's name says, or nothing where it is no such name."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    expiry = parse_date(found["date"]) if found["date"] else None
    if found["date"] and expiry is None:
        return None
    book = found["coin"] + (found["linear"] or "")
    return Instrument(
        name="-".join((book, *_spell(expiry, found["strike"], found["kind"]))),
        underlying=found["coin"],
        is_inverse=found["linear"] is None,
        expiry=expiry,
        strike=float(found["strike"].replace("d", ".")) if found["strike"] else None,
        is_call=found["kind"] == "C",
    )


def _spell(expiry: dt.datetime | None, strike: str | None, kind: str | None) -> Iterator[str]:
    if expiry is None:
        yield "PERPETUAL"
        return
    yield f"{expiry.day}{_MONTHS[expiry.month - 1]}{expiry:%y}"
    if strike and kind:
        whole, _, fraction = strike.replace("d", ".").partition(".")
        fraction = fraction.rstrip("0")
        yield f"{int(whole)}d{fraction}" if fraction else f"{int(whole)}"
        yield kind


def parse_date(text: str) -> dt.datetime | None:
    """Return the moment of a date such as 27MAR26, or nothing where there is no such day."""
    found = _DATE.fullmatch(text.strip().upper())
    if found is None or found[2] not in _MONTHS:
        return None
    try:
        return dt.datetime(2000 + int(found[3]), _MONTHS.index(found[2]) + 1, int(found[1]), EXPIRY_HOUR, tzinfo=dt.UTC)
    except ValueError:
        return None


def parse_moment(text: str) -> dt.datetime | None:
    """Return a moment written as seconds since 1970, as ISO 8601, or as a date such as 27MAR26 or 2026-03-27.

    Without a zone it is UTC.
    """
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return dt.datetime.fromtimestamp(float(text), dt.UTC)
    if date := parse_date(text):
        return date
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    if _DAY.fullmatch(text):
        moment = moment.replace(hour=EXPIRY_HOUR)
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment
