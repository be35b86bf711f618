"""Option chains out of CSV files, cleaned: what a surface is fitted to, and how many rows were left out and why.

Two forms, told apart by their columns: Deribit's chain snapshots as researchers keep them (`instrument_name`,
`timestamp`, `bid_price`, `ask_price`, `mark_iv`, `underlying_price`), and the generic form of `docs/risk.md`
(`instrument`, `time`, `bid`, `ask`, `forward`, and `mark_vol` where there is one). Prices of an inverse instrument
(`BTC-27MAR26-100000-C`) are in its coin, of a linear one (`BTC_USDC-...`) in USD; both become shares of the forward.

A row that cannot be read is an error that names it: NaN, an unknown instrument, an absurd size. A row that can be read
but tells nothing is left out and counted.
"""

import csv
import datetime as dt
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from holdfast.risk.holdfast.amounts import to_price_e8, to_strike_e8
from holdfast.risk.names import Instrument, parse_instrument, parse_moment
from holdfast.risk.rows import PRICE_MAX, InputError, Row, brief
from holdfast.risk.texts import read_text

SETTLING_S: Final = 30 * 60  # inside its averaging window an option follows the average, not a surface
STALE_S: Final = 5 * 60
_VOL_MAX: Final = 100.0
_LINES_MAX: Final = 1_000_000
_SECONDS_MAX: Final = 10 * 365 * 86_400

_DERIBIT: Final[Mapping[str, str]] = {
    "instrument": "instrument_name",
    "time": "timestamp",
    "bid": "bid_price",
    "ask": "ask_price",
    "forward": "underlying_price",
    "mark_vol": "mark_iv",
}
_GENERIC: Final[Mapping[str, str]] = {name: name for name in _DERIBIT}
_OPTIONAL: Final = frozenset(("mark_vol",))


class LeftOut(StrEnum):
    """Why a row tells nothing of the surface; `IN_THE_MONEY` is no fault, its other side is used."""

    EXPIRED = "expired or settling"
    STALE = "quoted over five minutes before the newest"
    DUPLICATE = "quoted twice"
    ONE_SIDED = "without a bid or an ask"
    NOT_POSITIVE = "a price below nothing"
    CROSSED = "bid above ask"
    ZERO_VOL = "a mark without volatility"
    BELOW_INTRINSIC = "worth less than at once"
    ABOVE_BOUND = "worth more than the coin or the strike"
    IN_THE_MONEY = "in the money"


@dataclass(frozen=True, slots=True)
class Quote:
    """One option's quote; prices are shares of its own forward, `moneyness` is ln(strike / forward)."""

    instrument: Instrument
    strike: float
    seconds: float
    forward: float
    bid: float
    ask: float
    mark_vol: float | None

    @property
    def moneyness(self) -> float:
        return math.log(self.strike / self.forward)


@dataclass(frozen=True, slots=True)
class Chain:
    """One underlying's cleaned quotes at one time, by expiry, and what was left out."""

    underlying: str
    time: dt.datetime
    expiries: Mapping[dt.datetime, tuple[Quote, ...]]
    rows: int
    left_out: Mapping[LeftOut, int]


def load_chains(path: Path) -> list[Chain]:
    """Return the chains of a file, one an underlying.

    Refuses: a file that cannot be read or has neither form's columns, and every row as `read_chains` does.
    """
    return read_chains(read_text(path))


def is_chain_file(path: Path) -> bool:
    """Tell whether a file's first line names the columns of a chain."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            choose_columns([name.strip() for name in next(csv.reader(file), [])], "")
    except (OSError, csv.Error, InputError):
        return False
    return True


def read_chains(text: str) -> list[Chain]:
    """Return the chains of a CSV text, one an underlying, in order of name.

    Refuses: a header without the columns of either form; a row with a missing or unknown instrument, time or forward,
    NaN or infinity anywhere, a price, strike or volatility beyond all measure.
    """
    return gather_chains(_list_rows(text))


def gather_chains(rows: Iterable[Row]) -> list[Chain]:
    """Return the chains of rows, whose fields are those of the generic form, as `read_chains` does."""
    by_underlying: dict[str, list[tuple[Row, Instrument, dt.datetime]]] = {}
    for row in rows:
        instrument = _read_instrument(row)
        by_underlying.setdefault(instrument.underlying, []).append((row, instrument, _read_time(row)))
    if not by_underlying:
        raise InputError("", "", "has no rows")
    return [_clean(underlying, rows) for underlying, rows in sorted(by_underlying.items())]


def _list_rows(text: str) -> Iterator[Row]:
    lines = csv.reader(text.splitlines(), strict=True)
    try:
        header = [name.strip() for name in next(lines, [])]
        places = {key: header.index(name) for key, name in choose_columns(header, "line 1").items()}
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            if lines.line_num > _LINES_MAX:
                raise InputError(f"line {lines.line_num}", "", f"a chain of more than {_LINES_MAX:,} lines is absurd")
            if len(cells) != len(header):
                fault = f"has {len(cells)} cells where the header has {len(header)}"
                raise InputError(f"line {lines.line_num}", "", fault)
            given = {key: cells[place].strip() for key, place in places.items()}
            yield Row(f"line {lines.line_num}", {key: cell for key, cell in given.items() if cell})
    except csv.Error as error:
        raise InputError(f"line {lines.line_num}", "", f"is no CSV: {error}") from None


def choose_columns(header: Sequence[str], where: str) -> dict[str, str]:
    """Return the columns that are read, by the generic form's name of each.

    Refuses: columns of neither form, a column named twice.
    """
    columns = _DERIBIT if _DERIBIT["instrument"] in header else _GENERIC
    missing = [name for key, name in columns.items() if name not in header and key not in _OPTIONAL]
    if missing or len(set(header)) != len(header):
        fault = f"has no column {missing[0]!r}" if missing else "names a column twice"
        raise InputError(where, "", f"{fault}; see docs/risk.md for the two forms of a chain")
    return {key: name for key, name in columns.items() if name in header}


def _read_instrument(row: Row) -> Instrument:
    name = row.text("instrument")
    instrument = parse_instrument(name)
    if instrument is None or instrument.strike is None or instrument.expiry is None:
        raise row.refuse("instrument", f"{brief(name)} is no option, such as BTC-27MAR26-100000-C")
    to_strike_e8(instrument.strike, row.label)
    return instrument


def _read_time(row: Row) -> dt.datetime:
    text = row.text("time")
    moment = parse_moment(text)
    if moment is None:
        raise row.refuse("time", f"{brief(text)} is no time, such as 2026-03-27T08:00:00Z")
    return moment


def _clean(underlying: str, rows: list[tuple[Row, Instrument, dt.datetime]]) -> Chain:
    newest = max(moment for _, _, moment in rows)
    kept: dict[str, Quote] = {}
    left_out: dict[LeftOut, int] = {}
    for row, instrument, moment in rows:
        quote = _judge(row, instrument, (newest - moment).total_seconds(), newest)
        if isinstance(quote, Quote) and instrument.name in kept:
            quote = LeftOut.DUPLICATE
        if isinstance(quote, Quote):
            kept[instrument.name] = quote
        else:
            left_out[quote] = left_out.get(quote, 0) + 1
    expiries: dict[dt.datetime, list[Quote]] = {}
    for quote in kept.values():
        expiry = quote.instrument.expiry
        if expiry is not None:
            expiries.setdefault(expiry, []).append(quote)
    return Chain(
        underlying,
        newest,
        {expiry: tuple(sorted(expiries[expiry], key=lambda quote: quote.strike)) for expiry in sorted(expiries)},
        len(rows),
        {reason: left_out[reason] for reason in LeftOut if reason in left_out},
    )


def _judge(row: Row, instrument: Instrument, age_s: float, now: dt.datetime) -> Quote | LeftOut:
    """Return a row's quote, or why it tells nothing; every field is read before anything is left out."""
    forward = row.positive("forward")
    to_price_e8(forward, row.label, "forward")
    unit = 1.0 if instrument.is_inverse else forward
    bid, ask = (row.number(side, least=-PRICE_MAX, most=PRICE_MAX, default=0.0) / unit for side in ("bid", "ask"))
    mark_vol = row.number("mark_vol", least=-_VOL_MAX, most=_VOL_MAX) if row.has("mark_vol") else None
    if instrument.strike is None or instrument.expiry is None:
        raise row.refuse("instrument", "is no option")
    seconds = (instrument.expiry - now).total_seconds()
    if seconds > _SECONDS_MAX:
        raise row.refuse("instrument", "expires in more than ten years, which is absurd")
    quote = Quote(instrument, instrument.strike, seconds, forward, bid, ask, mark_vol)
    middle, ratio = (bid + ask) / 2, instrument.strike / forward
    inside = max(0.0, 1 - ratio if instrument.is_call else ratio - 1)
    faults = (
        (seconds <= SETTLING_S, LeftOut.EXPIRED),
        (age_s > STALE_S, LeftOut.STALE),
        (min(bid, ask) < 0, LeftOut.NOT_POSITIVE),
        (min(bid, ask) == 0, LeftOut.ONE_SIDED),
        (bid > ask, LeftOut.CROSSED),
        (mark_vol is not None and mark_vol <= 0, LeftOut.ZERO_VOL),
        (middle <= inside, LeftOut.BELOW_INTRINSIC),
        (ask >= (1.0 if instrument.is_call else ratio), LeftOut.ABOVE_BOUND),
        (instrument.is_call != (ratio >= 1), LeftOut.IN_THE_MONEY),
    )
    return next((reason for holds, reason in faults if holds), quote)
