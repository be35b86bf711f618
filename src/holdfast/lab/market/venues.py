"""The venues of the live market: six a feed, each with a cadence, a lag, noise and outages of its own.

Faults come last, to the quotes of named venues, so that a lie never leaks into the others.
"""

from typing import Final

from holdfast.lab.draws import draw_between
from holdfast.lab.history import STABLES
from holdfast.lab.market.path import PricePath
from holdfast.lab.synthetic import Habits, SyntheticVenue, apply_venue_fault
from holdfast.lab.venues import VenueFault, no_fault
from holdfast.node.sampler import Quote
from holdfast.primitives.units import SECOND_MS

VENUE_NAMES: Final = ("aster", "borealis", "cobalt", "dune", "ember", "fjord")

_CADENCE_MIN_MS, _CADENCE_MAX_MS = 250, SECOND_MS
_LAG_MIN_MS, _LAG_MAX_MS = 20, 400
_NOISE_MIN_PPM, _NOISE_MAX_PPM = 15, 50
_BIAS_PPM: Final = 40
_STABLE_NOISE_DIVISOR: Final = 4
_DROP_MIN_PPM, _DROP_MAX_PPM = 5_000, 20_000


class MarketVenues:
    """Quotes of every venue of a feed at a time: the same for the same seed and path, in any order, from any thread."""

    def __init__(self, path: PricePath, seed: int, venue_fault: VenueFault = no_fault) -> None:
        """Set up every venue of every feed of a path."""
        self.feeds = path.feeds
        self._fault = venue_fault
        self._venues = {feed: tuple(_build(path, seed, feed, name) for name in VENUE_NAMES) for feed in self.feeds}

    def all_names(self) -> tuple[str, ...]:
        """Return every venue once: the names that a venue fault may use."""
        return VENUE_NAMES

    def quotes(self, feed: str, now_ms: int) -> list[Quote]:
        """Return what each venue of a feed tells at a time, stale quotes included, silent venues left out."""
        quotes = []
        for venue in self._venues.get(feed, ()):
            quote = venue.tell(now_ms)
            faulted = None if quote is None else apply_venue_fault(quote, self._fault(quote.venue, now_ms))
            if faulted is not None:
                quotes.append(faulted)
        return quotes


def _build(path: PricePath, seed: int, feed: str, venue: str) -> SyntheticVenue:
    key = (seed, venue, feed)
    divisor = _STABLE_NOISE_DIVISOR if feed in STABLES else 1
    cadence_ms = draw_between(_CADENCE_MIN_MS, _CADENCE_MAX_MS, *key, "cadence")
    habits = Habits(
        cadence_ms=cadence_ms,
        phase_ms=draw_between(0, cadence_ms - 1, *key, "phase"),
        lag_ms=draw_between(_LAG_MIN_MS, _LAG_MAX_MS, *key, "lag"),
        noise_ppm=draw_between(_NOISE_MIN_PPM, _NOISE_MAX_PPM, *key, "noise") // divisor,
        bias_ppm=_BIAS_PPM // divisor,
        drop_ppm=draw_between(_DROP_MIN_PPM, _DROP_MAX_PPM, *key, "drop"),
    )
    return SyntheticVenue(seed, venue, feed, habits, lambda time_ms: path.price_e8(feed, time_ms))
