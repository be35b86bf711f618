"""Each validator's own view of the market, as its oracle reports, and the lab's memory of what was honest in them.

A reporter samples every venue at its validator's own moment, keeps its own volatility model, and lies where a fault
says so. `ReportLog` remembers by its bytes what each report was made of, so that a checker can tell, once a block has
included it, whether it was a lie and what the honest ones said.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from holdfast.lab.faults import FaultPlan
from holdfast.lab.venues import Venues, sample_offset_ms
from holdfast.lab.volmodel import VolModel
from holdfast.node.sampler import FeedSample, is_fresh, sample
from holdfast.primitives.units import PPM
from holdfast.protocol.instruments.params import INSTRUMENT_PARAMS, UNDERLYINGS
from holdfast.protocol.instruments.rules import list_expiries
from holdfast.protocol.ledger.state import ASSET_NAMES
from holdfast.protocol.limits import PRICE_E8_MAX
from holdfast.protocol.oracle.messages import FeedReport, Report, SliceReport, SurfaceReport, encode_report
from holdfast.state.draft import Draft

_REMEMBERED_MAX: Final = 4_096


class Reported(NamedTuple):
    """What one report was made of, by feed id: its prices, what its sampler threw out, and the lies in it."""

    validator: int
    is_lie: bool
    prices_e8: dict[int, int]
    rejected: dict[int, int]
    venue_lies: dict[int, int]


class ReportLog:
    """The reports of the last heights, by their bytes."""

    def __init__(self) -> None:
        """Start empty."""
        self._by_bytes: dict[tuple[int, bytes], Reported] = {}

    def add(self, data: bytes, reported: Reported) -> None:
        """Remember a report; the oldest go."""
        if len(self._by_bytes) >= _REMEMBERED_MAX:
            self._by_bytes.pop(next(iter(self._by_bytes)))
        self._by_bytes[reported.validator, data] = reported

    def find(self, validator: int, data: bytes) -> Reported | None:
        """Return what is known of a validator's report."""
        return self._by_bytes.get((validator, data))


class Reporter:
    """One validator's oracle process. It outlives the validator's crashes, as a process of its own does."""

    def __init__(
        self,
        validator: int,
        venues: Venues,
        plan: FaultPlan,
        log: ReportLog,
        now_ms: Callable[[], int],
        *,
        seed: int,
        interval_ms: int,
    ) -> None:
        """Watch the venues from one validator's place."""
        self._validator = validator
        self._venues = venues
        self._plan = plan
        self._log = log
        self._now_ms = now_ms
        self._offset_ms = sample_offset_ms(seed, validator, interval_ms)
        self._lying_venues = frozenset(fault.venue for fault in plan.faults if fault.kind == "venue-lies")
        self._models = {
            asset_id: VolModel(ASSET_NAMES[asset_id], seed, validator)
            for asset_id in UNDERLYINGS
            if ASSET_NAMES[asset_id] in venues.feeds
        }

    def report(self, _height: int, draft: Draft) -> bytes:
        """Return the report for a block: what the venues say now, and the surfaces that follow from it."""
        now_ms = self._now_ms()
        factor_ppm = self._plan.factor_ppm("oracle-lies", now_ms, validator=self._validator)
        samples, venue_lies = self._sample(now_ms - self._offset_ms)
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
        prices = {feed.feed: feed.price_e8 for feed in feeds}
        rejected = {feed_id: found.rejected for feed_id, found in samples.items()}
        self._log.add(data, Reported(self._validator, factor_ppm != PPM, prices, rejected, venue_lies))
        return data

    def _sample(self, at_ms: int) -> tuple[dict[int, FeedSample], dict[int, int]]:
        samples: dict[int, FeedSample] = {}
        lies: dict[int, int] = {}
        for feed_id, name in enumerate(ASSET_NAMES):
            if name not in self._venues.feeds:
                continue
            quotes = self._venues.quotes(name, at_ms)
            found = sample(quotes)
            if found is not None:
                samples[feed_id] = found
            lies[feed_id] = sum(
                1
                for quote in quotes
                if quote.venue in self._lying_venues
                and is_fresh(quote)
                and self._plan.is_active("venue-lies", at_ms, venue=quote.venue)
            )
        return samples, lies

    def _surface(
        self, draft: Draft, underlying: int, price_e8: int, now_ms: int, factor_ppm: int
    ) -> tuple[SurfaceReport, ...]:
        model = self._models[underlying]
        model.observe(price_e8, now_ms)
        quote = model.quote(now_ms, list_expiries(draft, draft[INSTRUMENT_PARAMS][0], underlying, now_ms))
        if quote is None or not quote.slices:
            return ()
        slices = tuple(
            SliceReport(expiry_ms, _scaled(forward_e8, factor_ppm), theta_e12)
            for expiry_ms, forward_e8, theta_e12 in quote.slices
        )
        return (SurfaceReport(underlying, quote.rho_ppm, quote.eta_ppm, slices),)


def _scaled(value: int, factor_ppm: int) -> int:
    """Return what a liar says in a value's place, inside the bounds of a report. Rounds: down."""
    return value if factor_ppm == PPM else max(1, min(value * factor_ppm // PPM, PRICE_E8_MAX))
