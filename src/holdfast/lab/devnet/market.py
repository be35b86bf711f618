"""The market of a devnet.

It is made when a validator first asks for a report, from the state at hand, so that prices go on where
the chain's ended.
"""

import threading
from collections.abc import Callable
from typing import NamedTuple

from holdfast.lab.faults import FaultPlan
from holdfast.lab.market import MarketVenues, PricePath
from holdfast.lab.market.reporter import make_report_sources
from holdfast.lab.market.venues import VENUE_NAMES
from holdfast.node.exchange import ReportSource
from holdfast.primitives.units import E8
from holdfast.protocol.ledger.state import ASSET_NAMES
from holdfast.protocol.oracle.state import FEEDS
from holdfast.state.draft import Draft


class _Made(NamedTuple):
    path: PricePath
    sources: list[ReportSource]


class Market:
    """Prices, venues and each validator's oracle process."""

    venue_names = VENUE_NAMES

    def __init__(
        self, plan: FaultPlan, now_ms: Callable[[], int], *, seed: int, validators: int, interval_ms: int
    ) -> None:
        """Wait for the first report; `now_ms` is the devnet's time."""
        self._plan = plan
        self._now_ms = now_ms
        self._seed = seed
        self._validators = validators
        self._interval_ms = interval_ms
        self._made: _Made | None = None
        self._lock = threading.Lock()

    def report_source(self, validator: int) -> ReportSource:
        """Return what a validator asks for its reports."""
        return lambda height, draft: self._make(draft).sources[validator](height, draft)

    def price_of(self, asset: str) -> float:
        """Return the true price of an asset now, in USD.

        Refuses: ValueError, while no validator has asked for a report yet.
        """
        return self._path().price_e8(asset, self._now_ms()) / E8

    def move_price(self, asset: str, factor_ppm: int, over_ms: int) -> Callable[[], None]:
        """Move the true price of an asset, and return what takes the move back."""
        path = self._path()
        move = path.move(asset, factor_ppm, self._now_ms(), over_ms)
        return lambda: path.take_back(move, self._now_ms())

    def _path(self) -> PricePath:
        if self._made is None:
            raise ValueError("price: the market has not opened yet; try again in a second")
        return self._made.path

    def _make(self, draft: Draft) -> _Made:
        with self._lock:
            if self._made is None:
                last_e8 = {ASSET_NAMES[feed]: row.price_e8 for feed, row in draft[FEEDS].items() if row.price_e8 > 0}
                path = PricePath(self._seed, self._now_ms(), last_e8)
                venues = MarketVenues(path, self._seed, self._plan.venue_fault)
                self._made = _Made(
                    path,
                    make_report_sources(
                        venues,
                        self._plan,
                        self._now_ms,
                        validators=self._validators,
                        seed=self._seed,
                        interval_ms=self._interval_ms,
                    ),
                )
            return self._made
