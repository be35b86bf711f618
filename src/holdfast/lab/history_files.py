"""Price files: what a name and a header say, and rows as exact integers.

Owns the reading of one file. It must not know how files become sources. Nothing here is a float: a price is parsed
digit by digit into USD x 1e8, a time into UTC milliseconds, rounded up so that nothing is known before it happened.
"""

import csv
import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from holdfast.primitives.units import DAY_MS, E8, HOUR_MS, MINUTE_MS, SECOND_MS, div_ceil, div_nearest

ASSETS: Final = ("BTC", "ETH")
STABLES: Final = ("USDC", "USDT")
QUOTES: Final = ("USD", "USDC", "USDT")  # the order in which one venue's pairs are preferred
SYNTHETIC_PREFIX: Final = "synth-"

PRICE_MAX_E8: Final = 10**9 * E8
FILE_BYTES_MAX: Final = 2**30
REFUSALS_NAMED_MAX: Final = 3
TIME_MIN_MS: Final = 1_230_768_000_000  # 2009-01-01, before which no coin had a price
TIME_MAX_MS: Final = 4_102_444_800_000  # 2100-01-01

_ALIASES: Final = {"XBT": "BTC"}
_OHLC: Final = ("open", "high", "low", "close")
_PRICES: Final = (
    "price",
    "close",
    "last",
    "last_price",
    "index_price",
    "underlying_price",
    "mark_price",
    "mid",
    "value",
)
_TIMES: Final = ("timestamp", "datetime", "time", "date", "minute", "ts", "open_time")
_UNITS_PER_SECOND: Final = {"unix_s": 1, "unix_ms": 10**3, "unix_us": 10**6, "unix_ns": 10**9}
_TRADE_COLUMNS: Final = frozenset({"side", "trade_id", "tx_hash"})
_INTERVAL: Final = re.compile(r"(\d{1,4})(s|m|h|d)", re.ASCII)
_INTERVAL_MS: Final = {"s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}
_NUMBER: Final = re.compile(r"([+-]?)(\d{0,24})(?:\.(\d{0,60}))?(?:[eE]([+-]?\d{1,3}))?", re.ASCII)
_DAY_FIRST: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}))?)?", re.ASCII)


class HistoryError(Exception):
    """The input cannot be replayed; its one line names the input and the mend."""


class NotAPriceFileError(Exception):
    """A file of the folder holds no prices that the replay can use; its text is the reason."""


class _RowError(Exception):
    """One row is refused; its text is the reason."""


class Kind(IntEnum):
    """What the rows of a file are. A lower kind wins over a higher one of the same venue and pair."""

    BARS = 0
    SERIES = 1
    TRADES = 2


@dataclass(frozen=True, slots=True)
class Shape:
    """What the name and the header of a file say."""

    path: Path
    venue: str
    base: str
    quote: str
    kind: Kind
    named_interval_ms: int | None
    time_column: int
    units_per_second: int | None
    price_columns: tuple[int, ...]

    @property
    def pair(self) -> str:
        """Return base and quote as one word."""
        return self.base + self.quote


@dataclass(frozen=True, slots=True)
class PriceFile:
    """The valid rows of one file: time -> (price,) or (open, high, low, close), in order of time."""

    shape: Shape
    rows: dict[int, tuple[int, ...]]
    notes: tuple[str, ...]


def parse_price_e8(text: str) -> int:
    """Return a decimal number as USD x 1e8.

    Rounds: to the nearest unit, halves up.
    """
    scaled = _parse_decimal(text, E8)
    if scaled <= 0:
        raise _RowError(f"price {text.strip()!r} is not positive")
    if scaled > PRICE_MAX_E8:
        raise _RowError(f"price {text.strip()!r} is above 1e9")
    return scaled


def parse_time_ms(text: str, units_per_second: int | None = None) -> int:
    """Return a Unix, ISO 8601 or DD/MM/YYYY time as UTC milliseconds. A time without zone is UTC.

    Rounds: up, so that nothing is known before it happened.
    """
    stripped = text.strip()
    if _NUMBER.fullmatch(stripped) and any(character.isdigit() for character in stripped):
        micros = _parse_decimal(stripped, 10**6)
        time_ms = div_ceil(micros * SECOND_MS, 10**6 * (units_per_second or _infer_units(micros)))
    elif units_per_second is None:
        time_ms = _parse_calendar_ms(stripped)
    else:
        raise _RowError(f"time {stripped!r} is not a number")
    if not TIME_MIN_MS <= time_ms < TIME_MAX_MS:
        raise _RowError(f"time {stripped!r} is outside the years 2009 to 2099")
    return time_ms


def read_shape(path: Path) -> Shape:
    """Classify a file by its name and header.

    Refuses: NotAPriceFileError, with the reason, for a file to pass over.
    """
    header = next(_lines(path), (0, []))[1]
    columns = [cell.strip().lower() for cell in header]
    for column in columns:
        if "strike" in column:
            raise NotAPriceFileError("it has a strike column: options, not prices")
        if "percent" in column or "pct" in column or "%" in column:
            raise NotAPriceFileError("it has a percentage column: depth or deviations, not prices")
    tokens = path.stem.split("_")
    venue, base, quote = _parse_name(tokens, columns)
    price_columns = _find_prices(columns)
    time_column, units = _find_time(columns)
    if len(price_columns) == len(_OHLC):
        kind = Kind.BARS
    else:
        is_trades = "trades" in (token.lower() for token in tokens) or bool(_TRADE_COLUMNS.intersection(columns))
        kind = Kind.TRADES if is_trades else Kind.SERIES
    return Shape(path, venue, base, quote, kind, _named_interval_ms(tokens), time_column, units, price_columns)


def read_rows(shape: Shape) -> PriceFile:
    """Read the rows of a file: sorted by time, the last of a duplicate time kept, bad rows refused and named.

    Refuses: HistoryError for a file without one valid row.
    """
    rows: dict[int, tuple[int, ...]] = {}
    refused: list[str] = []
    refused_count = duplicates = unsorted = last_ms = 0
    lines = _lines(shape.path)
    next(lines, None)
    for line, cells in lines:
        try:
            time_ms, prices = _parse_row(shape, cells)
        except _RowError as error:
            refused_count += 1
            if len(refused) < REFUSALS_NAMED_MAX:
                refused.append(f"line {line}: {error}")
            continue
        duplicates += time_ms in rows
        unsorted += time_ms < last_ms
        last_ms = time_ms
        rows[time_ms] = prices
    name = shape.path.name
    if not rows:
        first = refused[0] if refused else "nothing below its header"
        raise HistoryError(f"{shape.path}: no valid row ({first}); give each row a time and a positive price")
    notes = []
    if refused_count:
        more = "" if refused_count == len(refused) else ", ..."
        notes.append(f"{name}: {refused_count} rows refused ({'; '.join(refused)}{more})")
    if unsorted:
        notes.append(f"{name}: {unsorted} rows out of order, sorted by time")
    if duplicates and shape.kind is not Kind.TRADES:
        notes.append(f"{name}: {duplicates} rows repeat a time, the last of each kept")
    return PriceFile(shape, {time_ms: rows[time_ms] for time_ms in sorted(rows)}, tuple(notes))


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise HistoryError(f"{path}: larger than 1 GiB; cut it to the days that you replay")
        # A byte that is not UTF-8 becomes a mark that no number contains, so its row is refused by name.
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.reader(file)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, cells
    except OSError as error:
        raise HistoryError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    except csv.Error as error:
        raise HistoryError(f"{path}: not a CSV file ({error}); save it as comma-separated text") from error


def _parse_name(tokens: list[str], columns: list[str]) -> tuple[str, str, str]:
    """Return venue, base and quote. Why the columns: a price column such as BTC_SPOT_PRICE_USD names its asset too."""
    pair = _parse_pair(tokens[0], tokens[1] if len(tokens) > 1 else "")
    if pair is not None:
        return "file", *pair
    if len(tokens) > 1:
        pair = _parse_pair(tokens[1], "".join(tokens[2:3]))
        if pair is not None:
            if tokens[0].lower().startswith(SYNTHETIC_PREFIX):
                raise NotAPriceFileError(f"venue names beginning with {SYNTHETIC_PREFIX} are kept for synthetic venues")
            return tokens[0].lower(), *pair
        _refuse_other_pair(tokens[1])
    for column in columns:
        base, _, rest = column.upper().partition("_")
        if base in ASSETS and "PRICE" in rest.split("_"):
            return "file", base, "USD"
    raise NotAPriceFileError("its name is not VENUE_PAIR_... or ASSET_... with an asset of BTC, ETH, USDC, USDT")


def _parse_pair(token: str, following: str) -> tuple[str, str] | None:
    word = _normalise(token)
    for base in (*ASSETS, *STABLES):
        if word == base:
            quote = following.upper() if following.upper() in QUOTES else "USD"
            return (base, quote) if quote != base else None
        if word.startswith(base) and word.removeprefix(base) in QUOTES:
            return base, word.removeprefix(base)
    return None


def _refuse_other_pair(token: str) -> None:
    word = _normalise(token)
    for base in (*ASSETS, *STABLES):
        if word.startswith(base):
            raise NotAPriceFileError(f"{base} is quoted in {word.removeprefix(base)}, not in USD, USDC or USDT")
    if any(word.endswith(quote) and len(word) > len(quote) for quote in QUOTES):
        raise NotAPriceFileError(f"the base of {word} is not one of BTC, ETH, USDC, USDT")


def _normalise(token: str) -> str:
    word = token.upper().replace("-", "")
    for alias, asset in _ALIASES.items():
        if word.startswith(alias):
            return asset + word.removeprefix(alias)
    return word


def _find_prices(columns: list[str]) -> tuple[int, ...]:
    if all(name in columns for name in _OHLC):
        return tuple(columns.index(name) for name in _OHLC)
    for name in _PRICES:
        if name in columns:
            return (columns.index(name),)
    for index, column in enumerate(columns):
        if column.endswith(("_price", "_price_usd", "aggregate")):
            return (index,)
    raise NotAPriceFileError("no column open, high, low, close or price in its header")


def _find_time(columns: list[str]) -> tuple[int, int | None]:
    for name, units in _UNITS_PER_SECOND.items():
        if name in columns:
            return columns.index(name), units
    for name in _TIMES:
        if name in columns:
            return columns.index(name), None
    for index, column in enumerate(columns):
        if column.endswith(("timestamp", "datetime")):
            return index, None
    raise NotAPriceFileError("no column unix_s, unix_ms, unix_us, timestamp, time or date in its header")


def _named_interval_ms(tokens: list[str]) -> int | None:
    for token in tokens[1:]:
        match = _INTERVAL.fullmatch(token)
        if match and int(match[1]) > 0:
            return int(match[1]) * _INTERVAL_MS[match[2]]
    return None


def _parse_row(shape: Shape, cells: list[str]) -> tuple[int, tuple[int, ...]]:
    if max(shape.time_column, *shape.price_columns) >= len(cells):
        raise _RowError("too few columns")
    time_ms = parse_time_ms(cells[shape.time_column], shape.units_per_second)
    prices = tuple(parse_price_e8(cells[column]) for column in shape.price_columns)
    if len(prices) == len(_OHLC) and (prices[1] != max(prices) or prices[2] != min(prices)):
        raise _RowError("its high and low do not enclose its open and close")
    return time_ms, prices


def _parse_decimal(text: str, scale: int) -> int:
    match = _NUMBER.fullmatch(text.strip())
    if match is None or not (match[2] or match[3]):
        raise _RowError(f"{text.strip()[:40]!r} is not a number" if text.strip() else "an empty cell")
    sign, whole, fraction, exponent = (match[1], match[2], match[3] or "", int(match[4] or "0"))
    numerator, power = int(whole + fraction) * scale, len(fraction) - exponent
    # No price or time has so many digits; the caller's bound refuses it without our building a huge integer.
    larger: int = 10 ** min(max(-power, 0), 40)
    smaller: int = 10 ** max(power, 0)
    value = div_nearest(numerator * larger, smaller)
    return -value if sign == "-" else value


def _infer_units(micros: int) -> int:
    """Return units per second of a bare Unix time from its size: seconds until 2286 have at most ten digits."""
    units = micros // 10**6
    for units_per_second in (1, 10**3, 10**6):
        if units < 10**10 * units_per_second:
            return units_per_second
    return 10**9


def _parse_calendar_ms(text: str) -> int:
    try:
        match = _DAY_FIRST.fullmatch(text)
        if match:
            day, month, year, hour, minute, second = (int(group or "0") for group in match.groups())
            moment = dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.UTC)
        else:
            moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise _RowError(
            f"time {text[:40]!r} is not Unix, ISO 8601 or DD/MM/YYYY" if text else "an empty time"
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    since = moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return since.days * DAY_MS + since.seconds * SECOND_MS + div_ceil(since.microseconds, SECOND_MS)
