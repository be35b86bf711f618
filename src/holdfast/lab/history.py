"""Price history: a folder of price files, or one CSV, as sources in USD x 1e8 that never tell a price too early.

Owns the choice of files and of the range. It must not know of faults, validators or blocks. What it passes over,
converts, repairs or cuts is named in `History.notes`.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from holdfast.lab.history_build import Source, build_sources
from holdfast.lab.history_files import (
    ASSETS,
    STABLES,
    HistoryError,
    NotAPriceFileError,
    PriceFile,
    Shape,
    read_rows,
    read_shape,
)
from holdfast.node.sampler import median_floor
from holdfast.primitives.units import HOUR_MS, MINUTE_MS, PPM, div_ceil, div_floor

__all__ = ["STABLES", "History", "HistoryError", "Source", "load_history"]

GAP_MAX_MS: Final = 6 * HOUR_MS
_NAMING: Final = "name files VENUE_PAIR_... (gemini_BTCUSD_1m.csv) or ASSET_..., with columns of time and price or OHLC"


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Everything that venues told, and the default range: its first and last minute, both inside.

    `feeds` are the underlyings; the stable coins USDC and USDT have sources of their own where derivable.
    """

    feeds: tuple[str, ...]
    sources: tuple[Source, ...]
    notes: tuple[str, ...]
    start_ms: int
    end_ms: int

    def sources_of(self, feed: str) -> tuple[Source, ...]:
        """Return the sources of one feed, by venue."""
        return tuple(source for source in self.sources if source.feed == feed)


def load_history(path: Path | str) -> History:
    """Load a folder of price files, or one CSV file.

    Refuses: HistoryError, one line that names the input and the mend.
    """
    root = Path(path)
    notes: list[str] = []
    files = [read_rows(shape) for shape in _choose(_find_shapes(root, notes), notes)]
    for file in files:
        notes.extend(file.notes)
    return _assemble(root, files, notes)


def stretch(history: History, from_ms: int, factor_ppm: int) -> History:
    """Return a history in which, from a time on, every move of an underlying since then counts a factor of itself.

    Moves are those from the median of the venues at that time, so that venues keep their distance, stretched as well.
    Refuses: HistoryError where that leaves a price at or below zero. Rounds: down.
    """
    first_e8 = {feed: _median_at(history, feed, from_ms) for feed in history.feeds}
    sources = tuple(
        _stretch_source(source, first_e8[source.feed], from_ms, factor_ppm) if source.feed in first_e8 else source
        for source in history.sources
    )
    note = f"moves after {_utc(from_ms)} are stretched to {factor_ppm / PPM:g} of what they were"
    return replace(history, sources=sources, notes=(*history.notes, note))


def _median_at(history: History, feed: str, time_ms: int) -> int:
    """Return the median of what the venues of a feed last told, or first tell where none has yet."""
    sources = history.sources_of(feed)
    told = [point[0] for source in sources if (point := source.at(time_ms)) is not None]
    return median_floor(told or [source.prices_e8[0] for source in sources])


def _stretch_source(source: Source, first_e8: int, from_ms: int, factor_ppm: int) -> Source:
    points = [
        (time_ms, price_e8 if time_ms < from_ms else first_e8 + (price_e8 - first_e8) * factor_ppm // PPM)
        for time_ms, price_e8 in source.points
    ]
    if min(price_e8 for _, price_e8 in points) <= 0:
        message = (
            f"{source.venue} {source.feed}: a move stretched to {factor_ppm / PPM:g} leaves no price; stretch less"
        )
        raise HistoryError(message)
    return Source.from_points(source.venue, source.feed, source.cadence_ms, points)


def _assemble(root: Path, files: Sequence[PriceFile], notes: list[str]) -> History:
    sources, build_notes = build_sources(files)
    notes.extend(build_notes)
    feeds = tuple(feed for feed in ASSETS if any(source.feed == feed for source in sources))
    if not feeds:
        raise HistoryError(f"{root}: prices of stable coins only; add a BTC or ETH file ({_NAMING})")
    start_ms, end_ms = _range(root, feeds, sources, notes)
    return History(feeds, tuple(sources), tuple(notes), start_ms, end_ms)


def _find_shapes(root: Path, notes: list[str]) -> list[Shape]:
    if root.is_file():
        try:
            return [read_shape(root)]
        except NotAPriceFileError as error:
            raise HistoryError(f"{root}: {error}; {_NAMING}") from error
    try:
        paths = sorted(root.iterdir(), key=lambda entry: entry.name)
    except FileNotFoundError as error:
        raise HistoryError(f"{root}: no such file or folder; give a folder of price files or one CSV") from error
    except OSError as error:
        raise HistoryError(f"{root}: cannot be read ({error.strerror}); check the path and its permissions") from error
    shapes, reasons = [], []
    for path in paths:
        try:
            if not path.is_file() or path.suffix.lower() != ".csv":
                raise NotAPriceFileError("not a CSV file")  # noqa: TRY301 -- the one catcher names every reason
            shapes.append(read_shape(path))
        except NotAPriceFileError as error:
            reasons.append(f"{path.name}: passed over: {error}")
    if not shapes:
        found = f" ({reasons[0]})" if reasons else " (the folder is empty)"
        raise HistoryError(f"{root}: no price file{found}; {_NAMING}")
    notes.extend(reasons)
    return shapes


def _choose(shapes: Sequence[Shape], notes: list[str]) -> list[Shape]:
    """Keep, of each venue and pair, the best kind of file: bars, else prices, else trades."""
    best = {(shape.venue, shape.pair): shape.kind for shape in sorted(shapes, key=lambda shape: -shape.kind)}
    chosen = []
    for shape in shapes:
        kind = best[shape.venue, shape.pair]
        if shape.kind is kind:
            chosen.append(shape)
        else:
            what = f"{kind.name.lower()} of {shape.venue} {shape.pair} win over {shape.kind.name.lower()}"
            notes.append(f"{shape.path.name}: passed over: {what}")
    return chosen


def _range(root: Path, feeds: Sequence[str], sources: Sequence[Source], notes: list[str]) -> tuple[int, int]:
    """Return the first and last minute in which every feed has a real venue, cut at the first long gap."""
    times = {
        feed: sorted(time_ms for source in sources if source.feed == feed for time_ms in source.times_ms)
        for feed in feeds
    }
    first_ms = max(times[feed][0] for feed in feeds)
    last_ms = min(times[feed][-1] for feed in feeds)
    gaps = [gap for feed in feeds if (gap := _first_gap(times[feed], first_ms, last_ms)) is not None]
    if gaps:
        earliest_ms = min(gaps)
        cut = div_floor(last_ms - earliest_ms, MINUTE_MS)
        notes.append(f"a gap of over six hours ends the range at {_utc(earliest_ms)}: {cut} minutes after it are cut")
        last_ms = earliest_ms
    start_ms = div_ceil(first_ms, MINUTE_MS) * MINUTE_MS
    end_ms = div_floor(last_ms, MINUTE_MS) * MINUTE_MS
    if start_ms >= end_ms:
        raise HistoryError(
            f"{root}: no two minutes in which {' and '.join(feeds)} all have a price; "
            "add files that overlap in time, or remove those of one asset"
        )
    return start_ms, end_ms


def _utc(time_ms: int) -> str:
    return (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=time_ms)).strftime("%Y-%m-%d %H:%M UTC")


def _first_gap(times_ms: Sequence[int], first_ms: int, last_ms: int) -> int | None:
    """Return the time before the first gap over six hours that begins inside the range."""
    for earlier_ms, later_ms in pairwise(times_ms):
        if later_ms > first_ms and earlier_ms < last_ms and later_ms - earlier_ms > GAP_MAX_MS:
            return earlier_ms
    return None
