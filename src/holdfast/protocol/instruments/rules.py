"""The calendar of expiries, the grid of strikes, and names. Integers only; Friday is all that the calendar knows."""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Final

import numpy as np

from holdfast.primitives.check import ensure
from holdfast.primitives.reject import Code, RejectedError
from holdfast.primitives.units import DAY_MS, E8, HOUR_MS, div_exact, div_floor
from holdfast.protocol.instruments.params import E8_PER_ATOM, ContractSpec, InstrumentParams
from holdfast.protocol.instruments.state import (
    INSTRUMENTS,
    NEXT_INSTRUMENT,
    SERIES,
    Instrument,
    Int64Array,
    Kind,
    Listing,
)
from holdfast.protocol.ledger.state import ASSET_NAMES
from holdfast.state.draft import Draft

EXPIRY_HOUR_MS: Final = 8 * HOUR_MS
MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_KIND_LETTERS: Final = {Kind.CALL: "C", Kind.PUT: "P"}
_QUARTER_MONTHS: Final = 3
_FRIDAY_OFFSET: Final = 6  # 1970-01-01 was a Thursday: days since then leave 1 by 7 on a Friday


class Tenor(IntEnum):
    """Why an expiry is listed; an expiry that is due under several counts as the first."""

    DAILY = 0
    WEEKLY = 1
    MONTHLY = 2
    QUARTERLY = 3


def check_open(draft: Draft, instrument_id: int, now_ms: int) -> Instrument:
    """Return an instrument that may be traded now.

    Refuses: INSTRUMENT_UNKNOWN, INSTRUMENT_EXPIRED, INSTRUMENT_HALTED.
    """
    instrument = draft[INSTRUMENTS].get(instrument_id)
    if instrument is None:
        # Ids are given out once, so one below the next has been listed, settled and retired.
        was_listed = 0 < instrument_id < (draft[NEXT_INSTRUMENT].get(0) or 0)
        code = Code.INSTRUMENT_EXPIRED if was_listed else Code.INSTRUMENT_UNKNOWN
        raise RejectedError(code, instrument_id=instrument_id)
    if now_ms >= instrument.expiry_ms:
        raise RejectedError(Code.INSTRUMENT_EXPIRED, instrument_id=instrument_id, expiry_ms=instrument.expiry_ms)
    if instrument.is_halted:
        raise RejectedError(Code.INSTRUMENT_HALTED, instrument_id=instrument_id)
    return instrument


def list_expiries(draft: Draft, params: InstrumentParams, underlying: int, now_ms: int) -> tuple[int, ...]:
    """Return the expiries that a report on an underlying should cover: those that live, and those that are due."""
    due = dict.fromkeys(expiry_ms for expiry_ms, _ in compute_expiries(params, now_ms))
    live = [expiry for asset, expiry in draft[SERIES].keys() if asset == underlying and expiry > now_ms]  # noqa: SIM118
    return tuple(sorted({**due, **dict.fromkeys(live)}))


def compute_expiries(params: InstrumentParams, now_ms: int) -> tuple[tuple[int, tuple[Tenor, ...]], ...]:
    """Return the expiries that the rule lists, ascending, each with the tenors that it is due under."""
    first = div_floor(now_ms + params.lead_ms - EXPIRY_HOUR_MS + DAY_MS - 1, DAY_MS)
    days: dict[int, tuple[Tenor, ...]] = {}
    counts = (params.dailies, params.weeklies, params.monthlies, params.quarterlies)
    for tenor, count in zip(Tenor, counts, strict=True):
        for _, day in zip(range(count), _days_of(tenor, first), strict=False):
            days[day] = (*days.get(day, ()), tenor)
    return tuple((day * DAY_MS + EXPIRY_HOUR_MS, days[day]) for day in sorted(days))


def _days_of(tenor: Tenor, first: int) -> Iterator[int]:
    """Yield the days, from a first one on, on which a tenor expires."""
    if tenor == Tenor.DAILY:
        day = first
        while True:
            yield day
            day += 1
    if tenor == Tenor.WEEKLY:
        day = first_friday_from(first)
        while True:
            yield day
            day += 7
    year, month, _ = compute_civil(first)
    while True:
        if tenor == Tenor.MONTHLY or month % _QUARTER_MONTHS == 0:
            day = compute_last_friday(year, month)
            if day >= first:
                yield day
        year, month = (year, month + 1) if month < len(MONTHS) else (year + 1, 1)


def first_friday_from(day: int) -> int:
    """Return the first Friday on or after a day."""
    return day + (1 - day) % 7


def compute_last_friday(year: int, month: int) -> int:
    """Return the last Friday of a month, in days since 1970-01-01."""
    year, month = (year, month + 1) if month < len(MONTHS) else (year + 1, 1)
    return first_friday_from(compute_days(year, month, 1) - 7)


def compute_days(year: int, month: int, day: int) -> int:
    """Return days since 1970-01-01 of a date in the Gregorian calendar.

    Years are counted from March, so that the leap day comes last; 153 days make five months.
    """
    year -= month <= 2  # noqa: PLR2004 -- January and February belong to the year before
    era = div_floor(year, 400)
    of_era = year - era * 400
    day_of_year = div_floor(153 * ((month + 9) % 12) + 2, 5) + day - 1
    return era * 146_097 + of_era * 365 + div_floor(of_era, 4) - div_floor(of_era, 100) + day_of_year - 719_468


def compute_civil(days: int) -> tuple[int, int, int]:
    """Return (year, month, day) of days since 1970-01-01."""
    days += 719_468
    era = div_floor(days, 146_097)
    of_era = days - era * 146_097
    year = div_floor(of_era - div_floor(of_era, 1_460) + div_floor(of_era, 36_524) - div_floor(of_era, 146_096), 365)
    day_of_year = of_era - (365 * year + div_floor(year, 4) - div_floor(year, 100))
    shifted = div_floor(5 * day_of_year + 2, 153)
    day = day_of_year - div_floor(153 * shifted + 2, 5) + 1
    month = (shifted + 2) % 12 + 1
    return year + era * 400 + (month <= 2), month, day  # noqa: PLR2004


def compute_step_e8(spec: ContractSpec, tenor: Tenor) -> int:
    """Return the distance between strikes of a tenor."""
    return (spec.daily_step_e8, spec.weekly_step_e8, spec.monthly_step_e8, spec.quarterly_step_e8)[tenor]


def compute_strikes(forward_e8: int, step_e8: int, each_side: int) -> tuple[int, ...]:
    """Return the strikes around a forward, ascending: as many at or below it as above it; none is zero or less."""
    base = div_floor(forward_e8, step_e8)
    return tuple(step_e8 * index for index in range(base - each_side + 1, base + each_side + 1) if index > 0)


def format_name(underlying: int, kind: Kind, expiry_ms: int, strike_e8: int) -> str:
    """Return an instrument's name as Deribit writes those of its linear books; strikes are whole dollars."""
    year, month, day = compute_civil(div_floor(expiry_ms, DAY_MS))
    series = f"{ASSET_NAMES[underlying]}_USDC-{day}{MONTHS[month - 1]}{year % 100:02}"
    if kind == Kind.FUTURE:
        return series
    return f"{series}-{div_exact(strike_e8, E8)}-{_KIND_LETTERS[kind]}"


def compute_instrument(
    spec: ContractSpec, underlying: int, kind: Kind, expiry_ms: int, strike_e8: int, height: int
) -> Instrument:
    """Return an instrument as it is listed."""
    ensure((expiry_ms - EXPIRY_HOUR_MS) % DAY_MS == 0, "everything expires at 08:00 UTC")
    return Instrument(
        name=format_name(underlying, kind, expiry_ms, strike_e8),
        kind=kind,
        underlying=underlying,
        expiry_ms=expiry_ms,
        strike_e8=strike_e8,
        tick_e8=spec.tick_e8,
        tick_value_atoms=div_exact(spec.tick_e8 * spec.lot_e8, E8_PER_ATOM),
        lot_e8=spec.lot_e8,
        is_halted=False,
        listed_height=height,
    )


def compute_listing(instruments: Sequence[tuple[int, Instrument]]) -> Listing:
    """Return instruments, ascending by number, as arrays."""
    series: dict[tuple[int, int], int] = {}
    strikes: dict[tuple[int, int], int] = {}
    rows: list[tuple[int, ...]] = []
    for instrument_id, one in instruments:
        index = series.setdefault((one.underlying, one.expiry_ms), len(series))
        is_future = one.kind == Kind.FUTURE
        rows.append(
            (
                instrument_id,
                index,
                one.underlying,
                one.strike_e8,
                one.kind != Kind.PUT,
                is_future,
                one.lot_e8,
                one.tick_value_atoms,
                -1 if is_future else strikes.setdefault((index, one.strike_e8), len(strikes)),
            )
        )
    ids, *columns = (_freeze(column) for column in np.array(rows, dtype=np.int64).reshape(-1, 9).T)
    return Listing(ids, tuple(series), *columns)


def _freeze(column: Int64Array) -> Int64Array:
    array = np.ascontiguousarray(column)
    array.setflags(write=False)
    return array
