"""From price files to sources: bars released inside their interval, stable pairs converted, pairs of a venue merged.

Owns the rules of time: a point of a source stands at the moment from which a venue may tell it, never before it
happened. A bar [t, t + interval) is released as its open at t, the extreme nearer the open at a third, the other at
two thirds, the close in the last millisecond. A price-only row of a file that names its interval (`_1m`) is that
interval's last price; without a named interval it is an observation at its own time.
"""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from holdfast.lab.history_files import ASSETS, QUOTES, STABLES, HistoryError, Kind, PriceFile
from holdfast.node.sampler import FRESH_CADENCES
from holdfast.primitives.units import E8, MINUTE_MS, SECOND_MS, div_floor, div_nearest

PAR_E8: Final = E8
_TRADES_CADENCE_MS: Final = MINUTE_MS

Point = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One venue's prices of one feed in USD, in order of time."""

    venue: str
    feed: str
    cadence_ms: int
    times_ms: "array[int]" = field(repr=False)
    prices_e8: "array[int]" = field(repr=False)

    @classmethod
    def from_points(cls, venue: str, feed: str, cadence_ms: int, points: Iterable[Point]) -> "Source":
        """Build a source from points in any order; of points at one time the last given stays."""
        by_time = dict(sorted(dict(points).items()))
        return cls(venue, feed, cadence_ms, array("q", by_time.keys()), array("q", by_time.values()))

    @property
    def points(self) -> list[Point]:
        """Return all (time_ms, price_e8) pairs."""
        return list(zip(self.times_ms, self.prices_e8, strict=True))

    def at(self, now_ms: int) -> tuple[int, int] | None:
        """Return (price_e8, observed_ms) of the last point at or before a time."""
        index = bisect_right(self.times_ms, now_ms) - 1
        return None if index < 0 else (self.prices_e8[index], self.times_ms[index])

    def fresh_at(self, now_ms: int) -> int | None:
        """Return the last price, where it is no older than twice the cadence."""
        last = self.at(now_ms)
        return last[0] if last is not None and now_ms - last[1] <= FRESH_CADENCES * self.cadence_ms else None


@dataclass(frozen=True, slots=True)
class _Pair:
    """One venue's pair: its points in the quote currency, and its last price per interval for cross rates."""

    venue: str
    base: str
    quote: str
    cadence_ms: int
    points: tuple[Point, ...]
    closes: dict[int, Point]

    @property
    def name(self) -> str:
        return self.base + self.quote


def build_sources(files: Sequence[PriceFile]) -> tuple[list[Source], list[str]]:
    """Return every source of a folder, stable coins included, and notes on what was derived or left out."""
    notes: list[str] = []
    groups: dict[tuple[str, str, str], list[PriceFile]] = {}
    for file in files:
        groups.setdefault((file.shape.venue, file.shape.base, file.shape.quote), []).append(file)
    pairs = [_build_pair(groups[key], notes) for key in sorted(groups)]
    rates = {stable: _derive_rates(stable, pairs, notes) for stable in STABLES}
    sources = [source for stable in STABLES for source in rates[stable]]
    for feed in ASSETS:
        for venue in sorted({pair.venue for pair in pairs if pair.base == feed}):
            own = [pair for pair in pairs if (pair.venue, pair.base) == (venue, feed)]
            sources.append(_merge_pairs(venue, feed, own, rates, notes))
    return sources, notes


def _build_pair(files: list[PriceFile], notes: list[str]) -> _Pair:
    shape = files[0].shape
    intervals = [_interval_ms(file) for file in files]
    finest_ms = min(intervals)
    kept = []
    for file, interval_ms in zip(files, intervals, strict=True):
        # Files of one pair continue one another (a file a day) only where their rows mean the same span.
        if file.shape.kind is Kind.BARS and interval_ms != finest_ms:
            notes.append(f"{file.shape.path.name}: passed over: finer bars of {shape.venue} {shape.pair} are there")
        else:
            kept.append(file)
    points: dict[int, int] = {}
    closes: dict[int, Point] = {}
    for file in kept:
        for start_ms, prices in file.rows.items():
            released = _release(file, start_ms, prices, finest_ms)
            points.update(released)
            closes[start_ms] = released[-1]
    return _Pair(shape.venue, shape.base, shape.quote, finest_ms, tuple(sorted(points.items())), closes)


def _release(file: PriceFile, start_ms: int, prices: tuple[int, ...], interval_ms: int) -> list[Point]:
    shape = file.shape
    if shape.kind is not Kind.BARS:
        named_ms = shape.named_interval_ms if shape.kind is Kind.SERIES else None
        return [(start_ms if named_ms is None else start_ms + named_ms - 1, prices[0])]
    opened, high, low, close = prices
    extremes = (high, low) if high - opened <= opened - low else (low, high)
    third_ms = div_floor(interval_ms, 3)
    return [
        (start_ms, opened),
        (start_ms + third_ms, extremes[0]),
        (start_ms + 2 * third_ms, extremes[1]),
        (start_ms + interval_ms - 1, close),
    ]


def _interval_ms(file: PriceFile) -> int:
    """Return the declared cadence: the modal gap; for irregular observations the median gap, for trades a minute."""
    if file.shape.kind is Kind.TRADES:
        return _TRADES_CADENCE_MS
    times = list(file.rows)
    gaps = sorted(later - earlier for earlier, later in pairwise(times))
    if not gaps:
        return file.shape.named_interval_ms or MINUTE_MS
    # Of gaps equally common the smallest: a bar taken too short is only released early inside itself.
    modal_ms, count = min(Counter(gaps).items(), key=lambda item: (-item[1], item[0]))
    if file.shape.kind is Kind.SERIES and 2 * count < len(gaps):
        modal_ms = gaps[div_floor(len(gaps), 2)]
    return max(modal_ms, SECOND_MS)


def _derive_rates(stable: str, pairs: Sequence[_Pair], notes: list[str]) -> list[Source]:
    """Return a stable coin's own sources in USD: its USD pair, else a venue's cross rate of one base in both quotes."""
    rates: list[Source] = []
    for venue in sorted({pair.venue for pair in pairs}):
        own = {pair.name: pair for pair in pairs if pair.venue == venue}
        direct = own.get(stable + "USD")
        if direct is not None:
            rates.append(Source.from_points(venue, stable, direct.cadence_ms, direct.points))
            notes.append(f"{stable}/USD: {venue} {direct.name}")
            continue
        for base in ASSETS:
            dollar, coin = own.get(base + "USD"), own.get(base + stable)
            points = [] if dollar is None or coin is None else _cross(dollar, coin)
            if dollar is not None and coin is not None and points:
                cadence_ms = max(dollar.cadence_ms, coin.cadence_ms)
                rates.append(Source.from_points(venue, stable, cadence_ms, points))
                notes.append(f"{stable}/USD: derived from {venue} {dollar.name} / {coin.name}")
                break
    if not rates:
        notes.append(f"{stable}/USD: not derivable from this input, taken at par")
    return rates


def _cross(dollar: _Pair, coin: _Pair) -> list[Point]:
    points = []
    for start_ms, (released_ms, price_e8) in dollar.closes.items():
        other = coin.closes.get(start_ms)
        if other is not None:
            points.append((max(released_ms, other[0]), div_nearest(price_e8 * E8, other[1])))
    return points


def _merge_pairs(venue: str, feed: str, pairs: list[_Pair], rates: dict[str, list[Source]], notes: list[str]) -> Source:
    """Join a venue's pairs into one source: the USD pair first, another only while those before it are not fresh."""
    ordered = sorted(pairs, key=lambda pair: QUOTES.index(pair.quote))
    merged = Source.from_points(venue, feed, ordered[0].cadence_ms, _in_dollars(ordered[0], rates, notes))
    for pair in ordered[1:]:
        fills = [point for point in _in_dollars(pair, rates, notes) if merged.fresh_at(point[0]) is None]
        notes.append(f"{venue} {feed}: {pair.name} fills {len(fills)} points where {ordered[0].name} is silent")
        merged = Source.from_points(venue, feed, merged.cadence_ms, [*fills, *merged.points])
    return merged


def _in_dollars(pair: _Pair, rates: dict[str, list[Source]], notes: list[str]) -> list[Point]:
    if pair.quote == "USD":
        return list(pair.points)
    known = rates[pair.quote]
    if not known:
        notes.append(f"{pair.venue} {pair.name}: {pair.quote} taken at par with USD")
        return list(pair.points)
    rate = next((source for source in known if source.venue == pair.venue), known[0])
    notes.append(f"{pair.venue} {pair.name}: converted by {pair.quote}/USD of {rate.venue}, at par before it begins")
    points = []
    for time_ms, price_e8 in pair.points:
        rate_e8 = (rate.at(time_ms) or (PAR_E8, time_ms))[0]
        if price_e8 * rate_e8 < E8:
            raise HistoryError(f"{pair.venue} {pair.name}: a price converts to zero USD; check the {pair.quote} files")
        points.append((time_ms, div_nearest(price_e8 * rate_e8, E8)))
    return points
