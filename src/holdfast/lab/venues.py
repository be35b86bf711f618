"""The venues that validators sample in a replay: history's own, brought to five a feed by synthetic ones.

A synthetic venue follows the unfaulted history: at each tick of its own clock it publishes the median of the fresh
real venues a moment ago, with its own noise, and nothing where none is fresh or where it drops out. Faults apply
last, to the quotes of named venues, real or synthetic, so that a lie never leaks into the others.
"""

from collections.abc import Callable
from typing import Final

from holdfast.lab.draws import draw_between
from holdfast.lab.history import STABLES, History, Source
from holdfast.lab.history_files import SYNTHETIC_PREFIX
from holdfast.lab.synthetic import Habits, SyntheticVenue, apply_venue_fault
from holdfast.node.sampler import Quote, is_fresh, median_floor, sample
from holdfast.primitives.units import E8, SECOND_MS

VENUES_MIN: Final = 5

_CADENCE_MIN_MS: Final = SECOND_MS
_CADENCE_MAX_MS: Final = 30 * SECOND_MS
_LAG_MIN_MS, _LAG_MAX_MS = 200, 4_000
_NOISE_MIN_PPM, _NOISE_MAX_PPM = 100, 300
_BIAS_PPM: Final = 100
_STABLE_NOISE_DIVISOR: Final = 4
_DROP_MIN_PPM, _DROP_MAX_PPM = 10_000, 40_000
_OFFSET_MAX_MS: Final = 3 * SECOND_MS
_OFFSET_SHARE: Final = 20

VenueFault = Callable[[str, int], tuple[bool, int | None]]
"""(venue, time) -> (silent, factor in millionths or None)."""


def no_fault(_venue: str, _now_ms: int) -> tuple[bool, int | None]:
    """Tell that every venue speaks the truth."""
    return False, None


def sample_offset_ms(seed: int, validator: int, interval_ms: int) -> int:
    """Return how long before the moment of sampling one validator looks: up to 3 s, or a twentieth of the interval."""
    return draw_between(0, min(_OFFSET_MAX_MS, interval_ms // _OFFSET_SHARE), seed, "offset", validator)


class Venues:
    """Quotes of every venue of a feed at a time, the same for the same history, seed and interval."""

    def __init__(self, history: History, seed: int, interval_ms: int, venue_fault: VenueFault = no_fault) -> None:
        self._seed = seed
        self._fault = venue_fault
        # Two ticks a block, so that one that drops out leaves the venue fresh and two in a row do not.
        self.synthetic_cadence_ms = min(max(interval_ms // 2, _CADENCE_MIN_MS), _CADENCE_MAX_MS)
        self.feeds = (*history.feeds, *STABLES)
        self._real = {feed: history.sources_of(feed) for feed in self.feeds}
        self._synthetic = {
            feed: tuple(self._build_synthetic(feed, k) for k in range(1, VENUES_MIN - len(self._real[feed]) + 1))
            for feed in self.feeds
        }
        self.synthetic_only_blocks = dict.fromkeys(self.feeds, 0)

    def names(self, feed: str) -> tuple[str, ...]:
        """Return the venues of a feed, real ones first."""
        real = tuple(source.venue for source in self._real.get(feed, ()))
        return real + tuple(synthetic.venue for synthetic in self._synthetic.get(feed, ()))

    def all_names(self) -> tuple[str, ...]:
        """Return every venue of every feed once, sorted: the names that a venue fault may use."""
        return tuple(sorted({name for feed in self.feeds for name in self.names(feed)}))

    def quotes(self, feed: str, now_ms: int) -> list[Quote]:
        """Return what each venue of a feed tells at a time, stale quotes included, silent venues left out."""
        told = [_tell(source, now_ms) for source in self._real.get(feed, ())]
        told += [synthetic.tell(now_ms) for synthetic in self._synthetic.get(feed, ())]
        quotes = []
        for quote in told:
            faulted = None if quote is None else apply_venue_fault(quote, self._fault(quote.venue, now_ms))
            if faulted is not None:
                quotes.append(faulted)
        return quotes

    def count_block(self, now_ms: int) -> None:
        """Count, once for a block, the feeds that have a price and no fresh real venue behind it."""
        for feed in self.feeds:
            quotes = self.quotes(feed, now_ms)
            if sample(quotes) is not None and all(quote.synthetic for quote in quotes if is_fresh(quote)):
                self.synthetic_only_blocks[feed] += 1

    def true_price_e8(self, feed: str, now_ms: int) -> int | None:
        """Return the median of the fresh real venues before any fault; par for a stable coin without history."""
        sources = self._real.get(feed, ())
        if not sources and feed in STABLES:
            return E8
        fresh = [price for source in sources if (price := source.fresh_at(now_ms)) is not None]
        return median_floor(fresh) if fresh else None

    def _build_synthetic(self, feed: str, number: int) -> SyntheticVenue:
        venue = f"{SYNTHETIC_PREFIX}{number}"
        key = (self._seed, venue, feed)
        divisor = _STABLE_NOISE_DIVISOR if feed in STABLES else 1
        habits = Habits(
            cadence_ms=self.synthetic_cadence_ms,
            phase_ms=draw_between(0, self.synthetic_cadence_ms - 1, *key, "phase"),
            lag_ms=draw_between(_LAG_MIN_MS, _LAG_MAX_MS, *key, "lag"),
            noise_ppm=draw_between(_NOISE_MIN_PPM, _NOISE_MAX_PPM, *key, "noise") // divisor,
            bias_ppm=_BIAS_PPM // divisor,
            drop_ppm=draw_between(_DROP_MIN_PPM, _DROP_MAX_PPM, *key, "drop"),
        )
        return SyntheticVenue(*key, habits, lambda time_ms: self.true_price_e8(feed, time_ms))


def _tell(source: Source, now_ms: int) -> Quote | None:
    last = source.at(now_ms)
    return None if last is None else Quote(source.venue, last[0], now_ms - last[1], source.cadence_ms)
