"""A venue that does not exist: it follows a true price, with a cadence, a lag and noise of its own, and drops out.

Everything that it tells is a function of its seed, its name and the time, so that everybody who looks sees the same, in
any order and from any thread. It must not know where the true price comes from, nor of faults.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from holdfast.lab.draws import draw, draw_bell, draw_slow
from holdfast.node.sampler import FRESH_CADENCES, Quote
from holdfast.primitives.units import MINUTE_MS, PPM

_OUTAGE_WINDOW_MS: Final = 10 * MINUTE_MS
_OUTAGE_PPM: Final = 4_000
_REMEMBERED_MAX: Final = 1_024

TruePrice = Callable[[int], int | None]
"""The price of a feed at a time, or None where there is none."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How one venue differs from the others."""

    cadence_ms: int
    phase_ms: int
    lag_ms: int
    noise_ppm: int
    bias_ppm: int
    drop_ppm: int


class SyntheticVenue:
    """One venue of one feed."""

    def __init__(self, seed: int, venue: str, feed: str, habits: Habits, true_price: TruePrice) -> None:
        """Follow a true price by one's own habits."""
        self.venue = venue
        self.habits = habits
        self._key = (seed, venue, feed)
        self._true_price = true_price
        self._published: dict[int, int | None] = {}

    def tell(self, now_ms: int) -> Quote | None:
        """Return what the venue tells at a time: its newest price, a stale one included, or nothing."""
        habits = self.habits
        newest = (now_ms - habits.phase_ms) // habits.cadence_ms
        # One tick beyond freshness, so that a sampler sees a stale quote before it sees none.
        for tick in range(newest, newest - FRESH_CADENCES - 2, -1):
            tick_ms = habits.phase_ms + tick * habits.cadence_ms
            price_e8 = self._published_at(tick_ms)
            if price_e8 is not None:
                return Quote(self.venue, price_e8, now_ms - tick_ms, habits.cadence_ms, synthetic=True)
        return None

    def _published_at(self, tick_ms: int) -> int | None:
        # Every validator looks at the same few ticks in turn, so a small memory saves most of the draws. Two threads
        # may both draw; they draw the same.
        try:
            return self._published[tick_ms]
        except KeyError:
            if len(self._published) >= _REMEMBERED_MAX:
                self._published.clear()
            price_e8 = self._published[tick_ms] = self._publish(tick_ms)
            return price_e8

    def _publish(self, tick_ms: int) -> int | None:
        habits, key = self.habits, self._key
        if draw(*key, "outage", tick_ms // _OUTAGE_WINDOW_MS) % PPM < _OUTAGE_PPM:
            return None
        if draw(*key, "drop", tick_ms) % PPM < habits.drop_ppm:
            return None
        true_e8 = self._true_price(tick_ms - habits.lag_ms)
        if true_e8 is None:
            return None
        noise_ppm = draw_bell(habits.noise_ppm, *key, "noise", tick_ms)
        noise_ppm += draw_slow(habits.bias_ppm, tick_ms, *key, "bias")
        return true_e8 * (PPM + noise_ppm) // PPM


def apply_venue_fault(quote: Quote, fault: tuple[bool, int | None]) -> Quote | None:
    """Return what is left of a quote under a venue's fault: (silent, factor in millionths or None)."""
    silent, factor_ppm = fault
    if silent:
        return None
    if factor_ppm is None:
        return quote
    return Quote(quote.venue, quote.price_e8 * factor_ppm // PPM, quote.age_ms, quote.cadence_ms, quote.synthetic)
