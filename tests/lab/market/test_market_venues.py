"""Venues of the live market: at least five a feed, quick, near the path, and faulty only where they are told to be."""

import statistics

from holdfast.lab.fault_specs import parse_live_fault
from holdfast.lab.faults import FaultPlan
from holdfast.lab.market.path import PricePath
from holdfast.lab.market.venues import VENUE_NAMES, MarketVenues
from holdfast.lab.volmodel import VolModel
from holdfast.node.sampler import is_fresh, sample
from holdfast.primitives.units import HOUR_MS, MINUTE_MS, PPM

START_MS = 1_763_700_000_000


def test_venues__every_feed__has_six_of_their_own_habits() -> None:
    venues = MarketVenues(PricePath(1, START_MS), 1)
    assert venues.feeds == ("USDC", "BTC", "ETH", "USDT")
    for feed in venues.feeds:
        quotes = venues.quotes(feed, START_MS + MINUTE_MS)
        assert len(quotes) >= 5
        assert all(quote.cadence_ms <= 1_000 for quote in quotes)
        assert len({quote.price_e8 for quote in quotes}) == len(quotes)
        assert len({quote.cadence_ms for quote in quotes}) > 3


def test_venues__ten_minutes__sample_near_the_path_and_never_fall_silent() -> None:
    path = PricePath(2, START_MS)
    venues = MarketVenues(path, 2)
    off_ppm, sources = [], []
    for index in range(2_400):
        now_ms = START_MS + MINUTE_MS + index * 250
        found = sample(venues.quotes("BTC", now_ms))
        assert found is not None
        true_e8 = path.price_e8("BTC", now_ms)
        off_ppm.append(abs(found.price_e8 - true_e8) * PPM / true_e8)
        sources.append(found.sources)
    assert statistics.mean(off_ppm) < 150
    assert statistics.mean(sources) > 5


def test_venues__days__have_outages_and_recover() -> None:
    venues = MarketVenues(PricePath(3, START_MS), 3)
    fresh = [
        sum(is_fresh(quote) for quote in venues.quotes("ETH", START_MS + index * 5 * MINUTE_MS))
        for index in range(2_000)
    ]
    assert min(fresh) < len(VENUE_NAMES)
    assert min(fresh) >= 3
    assert statistics.mean(fresh) > 5.5


def test_venues__lie_and_silence__are_one_venues_own_and_end() -> None:
    plan = FaultPlan()
    path = PricePath(4, START_MS)
    venues, honest = MarketVenues(path, 4, plan.venue_fault), MarketVenues(path, 4)
    now_ms = START_MS + MINUTE_MS

    def add(spec: str) -> None:
        plan.add(parse_live_fault(spec, validators=4, venues=venues.all_names(), now_ms=now_ms))

    add("venue-lies:venue=aster,factor=2,for=10s")
    add("venue-silent:venue=Dune,for=20s")
    before = {quote.venue: quote.price_e8 for quote in honest.quotes("BTC", now_ms)}
    during = {quote.venue: quote.price_e8 for quote in venues.quotes("BTC", now_ms)}
    assert during == {
        venue: 2 * price if venue == "aster" else price for venue, price in before.items() if venue != "dune"
    }
    assert sample(venues.quotes("BTC", now_ms)).rejected == 1  # type: ignore[union-attr]
    assert venues.quotes("BTC", now_ms + 20_000) == honest.quotes("BTC", now_ms + 20_000)
    assert (plan.fired["venue-lies"], plan.fired["venue-silent"]) == (1, 1)


def test_volatility_model__four_observations_a_second__ends_where_one_a_minute_does() -> None:
    venues = MarketVenues(PricePath(5, START_MS), 5)
    quick, slow = VolModel("BTC", 5, 0), VolModel("BTC", 5, 0)
    for step in range(2 * HOUR_MS // 2_000):
        found = sample(venues.quotes("BTC", START_MS + step * 2_000))
        assert found is not None
        for quarter in range(8):
            quick.observe(found.price_e8, START_MS + step * 2_000 + quarter * 250)
        if step % 30 == 0:
            slow.observe(found.price_e8, START_MS + step * 2_000)
    expiry_ms = START_MS + 26 * HOUR_MS
    quoted = [model.quote(START_MS + 2 * HOUR_MS, [expiry_ms]) for model in (quick, slow)]
    thetas = [quote.slices[0][2] for quote in quoted if quote is not None]
    assert abs(thetas[0] - thetas[1]) * 20 < thetas[1]
