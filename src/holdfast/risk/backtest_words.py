"""The figures of backtests as rows of text, for the command line and the report alike."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from holdfast.primitives.units import HOUR_MS, PPM
from holdfast.risk.backtest import Coverage, Measure
from holdfast.risk.backtests import Outcome, Result
from holdfast.risk.coverage import CoverageTests, LikelihoodRatio
from holdfast.risk.procyclicality import RISE_DAYS, Procyclicality

_COVERAGE: Final = ("windows", "breaches", "up", "rate", "allowed", "largest move", "largest short", "mean short")
_TESTS: Final = ("windows", "breaches", "Kupiec p", "independence p", "conditional p", "Basel zone", "power")
_MEASURES: Final = (
    *("least", "most", "ratio"),
    *(f"rise {days}d" for days in RISE_DAYS),
    *("largest step", "sd log"),
)
# A test that would let a range pass that is breached twice as often, with this chance or more, has little power.
_POWER_MIN: Final = 0.8

_Row = tuple[object, ...]


class Table(NamedTuple):
    """A table of an outcome; the first columns are words, `numbers` figures."""

    title: str
    columns: tuple[str, ...]
    numbers: tuple[str, ...]
    rows: list[tuple[object, ...]]


class Words:
    """An outcome as tables and notes. A column names the history where there are several."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def tables(self) -> tuple[Table, ...]:
        return (
            self._table("Coverage, a window beginning in each epoch", ("model",), _COVERAGE, self._coverage),
            self._table("Tests, over windows that do not overlap", ("model",), _TESTS, self._tests),
            self._table("The range itself, as shares of the price", ("model",), _MEASURES, self._ranges),
            self._table(
                "Initial margin of reference portfolios, as shares of their lots' value",
                ("model", "portfolio"),
                _MEASURES,
                self._margins,
            ),
        )

    def _table(
        self, title: str, words: tuple[str, ...], numbers: tuple[str, ...], write: Callable[[Result], Iterator[_Row]]
    ) -> Table:
        results = self._outcome.results
        if len(results) == 1:
            return Table(title, (*words, *numbers), numbers, list(write(results[0])))
        rows = [(result.history.label, *row) for result in results for row in write(result)]
        return Table(title, ("history", *words, *numbers), numbers, rows)

    @staticmethod
    def _coverage(result: Result) -> Iterator[_Row]:
        for model, found in result.backtests.items():
            yield model, *_write_coverage(found.coverage)

    @staticmethod
    def _tests(result: Result) -> Iterator[_Row]:
        for model, found in result.backtests.items():
            yield model, *_write_tests(found.coverage.tests)

    @staticmethod
    def _ranges(result: Result) -> Iterator[_Row]:
        for model, found in result.backtests.items():
            ranges = [announced.range_ppm for announced in found.announced]
            bounds = (min(ranges, default=None), max(ranges, default=None))
            yield model, *_write_measures(bounds, found.procyclicality)

    @staticmethod
    def _margins(result: Result) -> Iterator[_Row]:
        for model, margins in result.margins.items():
            for name, measures in margins.by_portfolio.items():
                bounds = (margins.smallest_ppm[name], margins.largest_ppm[name])
                yield model, name, *_write_measures(bounds, measures)

    def notes(self) -> Iterator[str]:
        """Yield what has to be said beside the figures."""
        for result in self._outcome.results:
            yield _describe(result)
            yield from _warn(result)
        for error in self._outcome.skipped:
            yield f"skipped {error}"


def _describe(result: Result) -> str:
    history, quotes = result.history, result.history.quotes
    first, last = history.segments[0].times_ms[0], history.segments[-1].times_ms[-1]
    parts = [
        f"{history.label}: {show_time(first)} to {show_time(last)} UTC",
        f"{len(quotes.times_ms):,} rows",
        f"{history.epochs:,} epochs of {show_span(history.epoch_ms)}",
        f"margin period {show_span(result.settings.horizon_ms)}",
        "moves to its end" if result.measure is Measure.END else "farthest moves within it",
        f"confidence {result.settings.confidence:.4g}",
    ]
    if len(history.segments) > 1:
        parts.append(f"{len(history.segments)} segments without a gap over {show_span(result.gap_ms)}")
    if history.too_short:
        parts.append(f"{history.too_short} stretches too short for a return left out")
    if history.stale_epochs:
        parts.append(f"{history.stale_epochs} epochs without a quote")
    parts += [f"{count} rows left out ({reason})" for reason, count in quotes.left_out.items()]
    if quotes.out_of_order:
        parts.append(f"{quotes.out_of_order} rows sorted")
    return ", ".join(parts)


def _warn(result: Result) -> Iterator[str]:
    tests = next(iter(result.backtests.values())).coverage.tests
    if tests.power < _POWER_MIN:
        yield (
            f"  {tests.observations} windows that do not overlap: a range breached twice as often as allowed would "
            f"fail Kupiec's test with a chance of {tests.power:.0%}; a high p-value is no evidence here"
        )
    wide = [model for model, found in result.backtests.items() if found.coverage.tests.is_wide]
    if wide:
        yield f"  {', '.join(wide)}: fewer breaches than allowed; the range is wider than the confidence asks"
    for model, margins in result.margins.items():
        if margins.untold:
            yield f"  {model}: no margin of reference portfolios, since {margins.untold}"


def _write_coverage(coverage: Coverage) -> tuple[object, ...]:
    return (
        coverage.windows,
        coverage.breaches,
        coverage.breaches_up,
        _percent(coverage.breach_rate),
        _percent(coverage.tests.expected_rate),
        _percent(coverage.largest_move),
        _percent(coverage.largest_shortfall) if coverage.breaches else None,
        _percent(coverage.mean_shortfall) if coverage.breaches else None,
    )


def _write_tests(tests: CoverageTests) -> tuple[object, ...]:
    ratios = (tests.unconditional, tests.independence, tests.conditional)
    return (
        tests.observations,
        tests.breaches,
        *(_p_value(ratio) for ratio in ratios),
        tests.traffic_light,
        f"{tests.power:.2f}",
    )


def _write_measures(bounds_ppm: tuple[int | None, int | None], measures: Procyclicality) -> tuple[object, ...]:
    ratio, deviation = measures.peak_to_trough, measures.log_change_deviation
    return (
        *(None if bound is None else _percent(bound / PPM) for bound in bounds_ppm),
        None if ratio is None else f"{ratio:.3f}",
        *(_percent(measures.rises[days]) for days in RISE_DAYS),
        _percent(measures.largest_step),
        None if deviation is None else f"{deviation:.5f}",
    )


def _p_value(ratio: LikelihoodRatio | None) -> str | None:
    if ratio is None:
        return None
    return f"{ratio.p_value:.3f}" if ratio.p_value >= 0.0005 else "<0.001"  # noqa: PLR2004 -- what three places show


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.2%}"


def show_time(time_ms: int) -> str:
    """Return a UTC time to the minute."""
    return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M")


def show_span(span_ms: int) -> str:
    """Return a length of time in hours, or in minutes below one."""
    return f"{span_ms / HOUR_MS:g} h" if span_ms >= HOUR_MS else f"{span_ms / 60_000:g} min"
