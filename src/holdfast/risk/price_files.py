"""Price files for backtests: one CSV with a time and a price, as venues, indices and research data write them.

Times become UTC milliseconds, prices USD in floats. The columns are found by name: a time (`unix_s`, `timestamp`, ...)
and a price (`close`, `price`, ...), with `high` and `low` where a file has them. A file with a column of coins holds a
history of each coin. A row that cannot be used is left out and counted, or refused, with its line and column.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from holdfast.risk.price_cells import parse_price, parse_time
from holdfast.risk.rows import InputError

UNDERLYINGS: Final = ("BTC", "ETH")
FILE_BYTES_MAX: Final = 1024**3
EXAMPLES_MAX: Final = 3

_COINS: Final = {"BTC": "BTC", "XBT": "BTC", "WBTC": "BTC", "ETH": "ETH", "WETH": "ETH"}
_COIN_COLUMNS: Final = ("coin", "currency", "symbol", "underlying", "asset")
_TIME_COLUMNS: Final = (
    *("unix_s", "unix_ms", "unix_us", "time", "timestamp", "datetime", "date", "minute", "open_time", "obs_datetime"),
    "block_timestamp",
)
_PRICE_COLUMNS: Final = (
    *("close", "price", "last", "last_price", "index_price", "underlying_price", "mark_price", "mid", "value"),
    *("candle_price_used", "chainlinkaggregate", "btc_spot_price_usd", "eth_spot_price_usd", "avg_price"),
)
# What tells that the rows are not prices of a coin at a time, though a column may be called price.
_OTHER_COLUMNS: Final = frozenset({"strike", "strike_price", "percentage", "option_type", "mark_iv"})
_SURPLUS: Final = "\0surplus"  # no column has such a name
_HEADER_TOLD: Final = 160
_NAMED_COIN: Final = re.compile(r"(?<![A-Z])(BTC|XBT|ETH)(?=USD|[^A-Z]|$)")


@dataclass(frozen=True, slots=True)
class Quotes:
    """Prices of one coin in order of time. `high` and `low` are the extremes since the row before, where known."""

    label: str
    underlying: str
    times_ms: tuple[int, ...]
    closes: tuple[float, ...]
    highs: tuple[float, ...]
    lows: tuple[float, ...]
    left_out: Mapping[str, int]
    out_of_order: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Columns:
    time: str
    price: str
    high: str | None
    low: str | None
    coin: str | None
    is_bar: bool


class _Row(NamedTuple):
    time_ms: int
    close: float
    high: float
    low: float
    line: int


@dataclass(slots=True)
class _Found:
    """What reading has gathered of one coin."""

    rows: list[_Row] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def leave_out(self, reason: str, error: InputError) -> None:
        self.left_out[reason] += 1
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(str(error))


def is_price_file(path: Path) -> bool:
    """Tell whether a file's header has a time and a price of a coin, and nothing of options or depth."""
    try:
        header = _read_header(path)
        columns = _find_columns(header, None, None)
        _name_underlying(path, columns, None)
    except InputError:
        return False
    return not _OTHER_COLUMNS.intersection(name.lower() for name in header)


def read_quotes(
    path: Path,
    *,
    underlying: str | None = None,
    time_column: str | None = None,
    price_column: str | None = None,
    is_strict: bool = False,
) -> list[Quotes]:
    """Read the histories of a file, one a coin.

    Rows out of order are sorted; of rows with the same time the last is kept. Both are counted, and so is a row whose
    time or price is no use. Refuses: a missing column, a coin that is neither named nor given, a file without one
    usable row; with `is_strict` also the first row that would be left out or moved.
    """
    header = _read_header(path)
    columns = _find_columns(header, time_column, price_column)
    coin = _name_underlying(path, columns, underlying)
    found: dict[str, _Found] = {}
    for line, row in _read_rows(path):
        name = coin or _COINS.get((row.get(columns.coin or "") or "").strip().upper())
        if name is None or (underlying is not None and name != underlying):
            continue
        of_coin = found.setdefault(name, _Found())
        try:
            of_coin.rows.append(_parse_row(line, row, columns))
        except InputError as error:
            if is_strict:
                raise
            of_coin.leave_out(f"{error.field} {_reason(error.problem)}", error)
    if not any(of_coin.rows for of_coin in found.values()):
        first = next((of_coin.examples[0] for of_coin in found.values() if of_coin.examples), "")
        known = f"; the first: {first}" if first else f": none is of {', '.join(UNDERLYINGS)}" if columns.coin else ""
        raise InputError("", columns.price, f"the file has no row that can be used{known}")
    return [
        _finish(path.stem if coin else f"{path.stem} {name}", name, of_coin, columns, is_strict=is_strict)
        for name, of_coin in sorted(found.items())
        if of_coin.rows
    ]


def _finish(label: str, underlying: str, found: _Found, columns: _Columns, *, is_strict: bool) -> Quotes:
    by_time: dict[int, _Row] = {}
    last_ms = out_of_order = 0
    for row in found.rows:
        where = f"line {row.line}"
        if is_strict and row.time_ms <= last_ms:
            raise InputError(where, columns.time, "is not after the row before")
        if row.time_ms in by_time:
            problem = "is given twice, the last counts"
            found.leave_out(f"{columns.time} {problem}", InputError(where, columns.time, problem))
        out_of_order += row.time_ms < last_ms
        by_time[row.time_ms] = row
        last_ms = max(last_ms, row.time_ms)
    rows = [by_time[time_ms] for time_ms in sorted(by_time)]
    times = [row.time_ms for row in rows]
    # A bar is named by its start, and nothing of it is known before its end.
    shift_ms = find_step_ms(times) if columns.is_bar else 0
    return Quotes(
        label,
        underlying,
        tuple(time_ms + shift_ms for time_ms in times),
        tuple(row.close for row in rows),
        tuple(row.high for row in rows),
        tuple(row.low for row in rows),
        dict(found.left_out),
        out_of_order,
        tuple(found.examples),
    )


def find_step_ms(times_ms: Sequence[int]) -> int:
    """Return the most frequent distance between rows, the smaller one of equals; 0 for a single row."""
    steps = Counter(later - earlier for earlier, later in pairwise(times_ms))
    return min(steps, key=lambda step: (-steps[step], step)) if steps else 0


def _read_header(path: Path) -> list[str]:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise InputError("", "", f"the file has more than {FILE_BYTES_MAX // 1024**2} MiB")
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            header = next(csv.reader(file), [])
    except OSError as error:
        raise InputError("", "", error.strerror or "the file cannot be read") from None
    except csv.Error as error:
        raise InputError("line 1", "", f"is not CSV: {error}") from None
    names = [name.strip() for name in header]
    if not any(names):
        raise InputError("line 1", "", "the file has no header; name a column of times and one of prices")
    return names


def _read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and fields of each row that is not empty."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(file)
        names = [name.strip() for name in next(reader)]
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, _name_cells(names, cells)
        except csv.Error as error:
            raise InputError(f"line {reader.line_num}", "", f"is not CSV: {error}") from None


def _name_cells(names: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """Return a row by column; one with more cells than the header has columns says nothing of any."""
    if any(cell.strip() for cell in cells[len(names) :]):
        # As of a price with a comma for its thousands.
        return {_SURPLUS: f"{len(cells)} cells are more than the {len(names)} columns of the header"}
    return dict(zip(names, cells, strict=False))


def _find_columns(header: Sequence[str], time: str | None, price: str | None) -> _Columns:
    by_name = {name.lower(): name for name in header}
    told = ", ".join(header)
    told = told if len(told) <= _HEADER_TOLD else f"{told[:_HEADER_TOLD]}..."

    def find(known: Sequence[str]) -> str | None:
        return next((by_name[name] for name in known if name in by_name), None)

    found_time = _given(header, "--time-column", time) or find(_TIME_COLUMNS)
    found_price = _given(header, "--price-column", price) or find(_PRICE_COLUMNS)
    if found_time is None:
        raise InputError("line 1", "time", f"no column of times among {told}; name it with --time-column")
    if found_price is None:
        raise InputError("line 1", "price", f"no column of prices among {told}; name it with --price-column")
    for name in (found_time, found_price):
        if header.count(name) > 1:
            raise InputError("line 1", name, "names more than one column")
    is_bar = "open" in by_name and found_price.lower() == "close"
    high, low = (find(["high"]), find(["low"])) if is_bar else (None, None)
    return _Columns(found_time, found_price, high, low, find(_COIN_COLUMNS), is_bar)


def _given(header: Sequence[str], option: str, name: str | None) -> str | None:
    if name is not None and name not in header:
        raise InputError("line 1", option, f"{name!r} is not among {', '.join(header)}")
    return name


def _name_underlying(path: Path, columns: _Columns, underlying: str | None) -> str | None:
    """Return the one coin of a file, or None where each row names its own."""
    if columns.coin is not None:
        return None
    if underlying is not None:
        return underlying
    for text in (columns.price, path.stem):
        match = _NAMED_COIN.search(text.upper())
        if match:
            return _COINS[match[1]]
    raise InputError("", "--underlying", f"neither the file's name nor a column says which of {', '.join(UNDERLYINGS)}")


def _parse_row(line: int, row: Mapping[str, str], columns: _Columns) -> _Row:
    if _SURPLUS in row:
        raise InputError(f"line {line}", columns.price, row[_SURPLUS])
    time_ms = parse_time(line, columns.time, row.get(columns.time, ""))
    close = parse_price(line, columns.price, row.get(columns.price, ""))
    high = close if columns.high is None else parse_price(line, columns.high, row.get(columns.high, ""))
    low = close if columns.low is None else parse_price(line, columns.low, row.get(columns.low, ""))
    if not low <= close <= high:
        raise InputError(f"line {line}", columns.price, f"{close:g} is not between low {low:g} and high {high:g}")
    return _Row(time_ms, close, high, low, line)


def _reason(problem: str) -> str:
    """Return a problem without the value that had it, so that rows with the same problem are counted together."""
    return problem[problem.find(" is ") + 1 :] if " is " in problem else problem
