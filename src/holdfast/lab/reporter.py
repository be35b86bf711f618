"""Each validator's own view of the market, as its oracle reports.

A reporter samples every venue at its validator's own moment, keeps its own volatility model, and lies where a fault
says so. Replay and live market use the same one; what else wants to know of its reports is told of each.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from holdfast.lab.faults import FaultPlan
from holdfast.lab.venues import sample_offset_ms
from holdfast.lab.volmodel import VolModel
from holdfast.node.sampler import FeedSample, Quote, sample
from holdfast.primitives.units import PPM
from holdfast.protocol.instruments.params import INSTRUMENT_PARAMS, UNDERLYINGS
from holdfast.protocol.instruments.rules import list_expiries
from holdfast.protocol.ledger.state import ASSET_NAMES
from holdfast.protocol.limits import PRICE_E8_MAX
from holdfast.protocol.oracle.messages import FeedReport, Report, SliceReport, SurfaceReport, encode_report
from holdfast.state.draft import Draft


class QuoteSource(Protocol):
    """Venues, of history or of a live market."""

    @property
    def feeds(self) -> Sequence[str]:
        """Return the feeds that have venues."""

    def quotes(self, feed: str, now_ms: int) -> list[Quote]:
        """Return what each venue of a feed tells at a time."""


class Made(NamedTuple):
    """One report, and what it was made of, by feed id."""

    data: bytes
    feeds: tuple[FeedReport, ...]
    is_lie: bool
    sampled_ms: int
    quotes: dict[int, list[Quote]]
    samples: dict[int, FeedSample]


class Reporter:
    """One validator's oracle process. It outlives the validator's crashes, as a process of its own does."""

    def __init__(
        self,
        validator: int,
        venues: QuoteSource,
        plan: FaultPlan,
        now_ms: Callable[[], int],
        *,
        seed: int,
        interval_ms: int,
        on_made: Callable[[Made], None] | None = None,
    ) -> None:
        """Watch the venues from one validator's place."""
        self._validator = validator
        self._venues = venues
        self._plan = plan
        self._now_ms = now_ms
        self._on_made = on_made
        self._offset_ms = sample_offset_ms(seed, validator, interval_ms)
        self._models = {
            asset_id: VolModel(ASSET_NAMES[asset_id], seed, validator)
            for asset_id in UNDERLYINGS
            if ASSET_NAMES[asset_id] in venues.feeds
        }

    def report(self, _height: int, draft: Draft) -> bytes:
        """Return the report for a block: what the venues say now, and the surfaces that follow from it."""
        now_ms = self._now_ms()
        factor_ppm = self._plan.factor_ppm("oracle-lies", now_ms, validator=self._validator)
        at_ms = now_ms - self._offset_ms
        quotes = {
            feed_id: self._venues.quotes(name, at_ms)
            for feed_id, name in enumerate(ASSET_NAMES)
            if name in self._venues.feeds
        }
        samples = {feed_id: found for feed_id in quotes if (found := sample(quotes[feed_id])) is not None}
        feeds = tuple(
            FeedReport(
                feed_id,
                _scaled(found.price_e8, factor_ppm),
                _scaled(found.confidence_e8, factor_ppm),
                found.sources,
                found.age_ms,
            )
            for feed_id, found in sorted(samples.items())
        )
        surfaces = tuple(
            surface
            for underlying in sorted(self._models)
            if underlying in samples
            for surface in self._surface(draft, underlying, samples[underlying].price_e8, now_ms, factor_ppm)
        )
        data = encode_report(Report(feeds, surfaces))
        if self._on_made is not None:
            self._on_made(Made(data, feeds, factor_ppm != PPM, at_ms, quotes, samples))
        return data

    def _surface(
        self, draft: Draft, underlying: int, price_e8: int, now_ms: int, factor_ppm: int
    ) -> tuple[SurfaceReport, ...]:
        model = self._models[underlying]
        model.observe(price_e8, now_ms)
        quote = model.quote(now_ms, list_expiries(draft, draft[INSTRUMENT_PARAMS][0], underlying, now_ms))
        if quote is None or not quote.slices:
            return ()
        slices = tuple(
            SliceReport(expiry_ms, _scaled(forward_e8, factor_ppm), theta_e12, quote.rho_ppm, quote.eta_ppm)
            for expiry_ms, forward_e8, theta_e12 in quote.slices
        )
        return (SurfaceReport(underlying, slices),)


def _scaled(value: int, factor_ppm: int) -> int:
    """Return what a liar says in a value's place, inside the bounds of a report. Rounds: down."""
    return value if factor_ppm == PPM else max(1, min(value * factor_ppm // PPM, PRICE_E8_MAX))
