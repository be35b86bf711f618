"""The report sources of a live net's validators: each samples the market's venues with a model of its own."""

from collections.abc import Callable

from holdfast.lab.faults import FaultPlan
from holdfast.lab.market.venues import MarketVenues
from holdfast.lab.reporter import Reporter
from holdfast.node.exchange import ReportSource


def make_report_sources(
    venues: MarketVenues,
    plan: FaultPlan,
    now_ms: Callable[[], int],
    *,
    validators: int,
    seed: int,
    interval_ms: int,
) -> list[ReportSource]:
    """Return one report source a validator; each is called by its validator's thread alone.

    `now_ms` is the net's clock. Why: an oracle process has a clock of its own, so a validator whose clock is off still
    reports the present.
    """
    return [
        Reporter(index, venues, plan, now_ms, seed=seed, interval_ms=interval_ms).report for index in range(validators)
    ]
