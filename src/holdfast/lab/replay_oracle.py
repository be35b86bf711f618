"""The lab's memory of what each validator's oracle reports were made of.

`ReportLog` remembers by its bytes what each report was made of, so that a checker can tell, once a block has included
it, whether it was a lie and what the honest ones said.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from holdfast.lab.faults import FaultPlan
from holdfast.lab.reporter import Made, Reporter
from holdfast.lab.venues import Venues
from holdfast.node.sampler import is_fresh

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


class LoggedReporter(Reporter):
    """A reporter that the lab's memory is told of."""

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
        """Watch the venues from one validator's place, and remember what each report was made of."""
        super().__init__(validator, venues, plan, now_ms, seed=seed, interval_ms=interval_ms, on_made=self._remember)
        self._log = log

    def _remember(self, made: Made) -> None:
        lies = {
            feed_id: sum(
                1
                for quote in made.quotes[feed_id]
                if quote.venue in self._plan.lying_venues
                and is_fresh(quote)
                and self._plan.is_active("venue-lies", made.sampled_ms, venue=quote.venue)
            )
            for feed_id in made.quotes
        }
        prices = {feed.feed: feed.price_e8 for feed in made.feeds}
        rejected = {feed_id: found.rejected for feed_id, found in made.samples.items()}
        self._log.add(made.data, Reported(self._validator, made.is_lie, prices, rejected, lies))
