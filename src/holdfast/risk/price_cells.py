"""Cells of a price file: a time or a price, or the line and column of what is neither."""

import datetime as dt
import math
import re
from typing import Final

from holdfast.risk.rows import PRICE_MAX, InputError

_MS_PER_UNIT: Final = {"_s": 1_000.0, "_ms": 1.0, "_us": 0.001}
_NUMBER: Final = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|inf(?:inity)?)", re.ASCII | re.IGNORECASE)
_DAY_FIRST: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})[ T](\d{1,2}):(\d{2})")
_TIME_MIN_MS: Final = 1_230_768_000_000  # 2009-01-01, before which no coin had a price
_TIME_MAX_MS: Final = 4_102_444_800_000  # 2100-01-01
_TIME_MAX_US: Final = 1e18
_MICROSECONDS_FROM: Final = 1e14
_MILLISECONDS_FROM: Final = 1e11


def parse_price(line: int, column: str, text: str) -> float:
    """Return a price above zero.

    Refuses: a missing cell, what is not a number, NaN and infinity, zero and below, a price beyond any market.
    """
    where, stripped = f"line {line}", text.strip()
    if not stripped:
        raise InputError(where, column, "is missing")
    if not _NUMBER.fullmatch(stripped):
        raise InputError(where, column, f"{stripped[:24]!r} is not a number")
    price = float(stripped)
    if not math.isfinite(price):
        raise InputError(where, column, f"{stripped!r} is not a finite number")
    if price <= 0:
        raise InputError(where, column, f"{price:g} is not above zero")
    if price > PRICE_MAX:
        raise InputError(where, column, f"{price:g} is above {PRICE_MAX:g}, which is absurd")
    return price


def parse_time(line: int, column: str, text: str) -> int:
    """Return UTC milliseconds, of Unix time in the column's unit or of a calendar's; a time without zone is UTC.

    Rounds: up, so that nothing is known before it happened. Refuses: what is no time, or outside 2009 to 2099.
    """
    where, stripped = f"line {line}", text.strip()
    if _NUMBER.fullmatch(stripped):
        number = float(stripped)
        if not abs(number) < _TIME_MAX_US:
            raise InputError(where, column, f"{stripped[:32]!r} is not a time")
        time_ms = math.ceil(number * _find_scale(column, number))
    else:
        time_ms = _parse_calendar(where, column, stripped)
    if not _TIME_MIN_MS <= time_ms < _TIME_MAX_MS:
        raise InputError(where, column, f"{stripped[:32]!r} is outside the years 2009 to 2099")
    return time_ms


def _find_scale(column: str, number: float) -> float:
    """Return milliseconds per unit: as the column's name ends, else by the size of the number."""
    for unit, scale in _MS_PER_UNIT.items():
        if column.lower().endswith(unit):
            return scale
    if abs(number) >= _MICROSECONDS_FROM:
        return 0.001
    return 1.0 if abs(number) >= _MILLISECONDS_FROM else 1_000.0


def _parse_calendar(where: str, column: str, text: str) -> int:
    match = _DAY_FIRST.fullmatch(text)
    try:
        if match:
            day, month, year, hour, minute = map(int, match.groups())
            moment = dt.datetime(year, month, day, hour, minute, tzinfo=dt.UTC)
        else:
            moment = dt.datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    except ValueError:
        raise InputError(where, column, f"{text[:32]!r} is not a time" if text else "is missing") from None
    return math.ceil(moment.timestamp() * 1_000)
