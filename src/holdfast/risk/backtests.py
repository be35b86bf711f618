"""Backtests of several histories and models: what is read, what is skipped and why, and the figures of each.

outcome = run(Request(paths=(Path("examples/risk/btc_history.csv"),), horizon_ms=4 * HOUR_MS))
outcome.results[0].backtests["adaptive"].coverage.breaches
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from holdfast.primitives.units import HOUR_MS, PPM
from holdfast.protocol.ranges.params import RangeParams
from holdfast.risk.backtest import WARM_UP_EPOCHS, Backtest, Measure, list_stretches, run_backtest
from holdfast.risk.histories import History, find_spacing_ms, join, sample
from holdfast.risk.price_files import UNDERLYINGS, Quotes, is_price_file, read_quotes
from holdfast.risk.procyclicality import Procyclicality, measure
from holdfast.risk.range_models import MODELS, OWN_MODELS, Settings
from holdfast.risk.reference_margin import PORTFOLIOS, compute_margins_ppm, is_admitted
from holdfast.risk.rows import InputError

__all__ = [
    "CONFIDENCE",
    "HORIZON_MS",
    "MODELS",
    "WARM_UP_EPOCHS",
    "Margins",
    "Measure",
    "Outcome",
    "Request",
    "Result",
    "run",
]

EPOCH_MS: Final = RangeParams().epoch_ms
HORIZON_MS: Final = RangeParams().horizon_epochs * RangeParams().epoch_ms
CONFIDENCE: Final = RangeParams().quantile_ppm / PPM
# Where no epoch is asked for, the first of these that is no finer than the quotes.
_EPOCHS_MS: Final = tuple(hours * HOUR_MS for hours in (1, 2, 3, 4, 6, 8, 12, 24))
_GAP_EPOCHS: Final = 3
_TOLD_EVERY: Final = 500  # epochs

OnProgress = Callable[[int, int, str], object]


@dataclass(frozen=True, slots=True)
class Request:
    """What to backtest. Times that are None follow from the quotes or the exchange's own parameters."""

    paths: tuple[Path, ...]
    models: tuple[str, ...] = tuple(MODELS)
    underlying: str | None = None
    time_column: str | None = None
    price_column: str | None = None
    is_strict: bool = False
    is_joined: bool = False
    epoch_ms: int | None = None
    horizon_ms: int = HORIZON_MS
    gap_ms: int | None = None
    confidence: float = CONFIDENCE
    measure: Measure = Measure.END
    warm_up: int = WARM_UP_EPOCHS


@dataclass(frozen=True, slots=True)
class Margins:
    """How the margin of each reference portfolio moved with a range, or why that is not told."""

    by_portfolio: Mapping[str, Procyclicality]
    largest_ppm: Mapping[str, int]
    smallest_ppm: Mapping[str, int]
    untold: str

    def to_dict(self) -> dict[str, object]:
        if self.untold:
            return {"untold": self.untold}
        return {
            name: {
                "smallest_ppm": self.smallest_ppm[name],
                "largest_ppm": self.largest_ppm[name],
                **self.by_portfolio[name].to_dict(),
            }
            for name in self.by_portfolio
        }


@dataclass(frozen=True, slots=True)
class Result:
    """All models on one history."""

    history: History
    settings: Settings
    measure: Measure
    gap_ms: int
    backtests: Mapping[str, Backtest]
    # Of the exchange's own models only: a baseline's range is no margin that anybody asks.
    margins: Mapping[str, Margins]

    def to_dict(self) -> dict[str, object]:
        history, quotes = self.history, self.history.quotes
        return {
            "history": history.label,
            **asdict(self.settings),
            "move": self.measure.value,
            "gap_ms": self.gap_ms,
            "from_ms": history.segments[0].times_ms[0],
            "to_ms": history.segments[-1].times_ms[-1],
            "rows": len(quotes.times_ms),
            "rows_left_out": dict(quotes.left_out),
            "rows_out_of_order": quotes.out_of_order,
            "row_examples": list(quotes.examples),
            "epochs": history.epochs,
            "stale_epochs": history.stale_epochs,
            "segments": len(history.segments),
            "segments_left_out": history.too_short,
            "models": {name: self._tell(name) for name in self.backtests},
        }

    def _tell(self, name: str) -> dict[str, object]:
        found = self.backtests[name]
        ranges = [announced.range_ppm for announced in found.announced]
        bounds = {"smallest_ppm": min(ranges, default=None), "largest_ppm": max(ranges, default=None)}
        return {
            "coverage": found.coverage.to_dict(),
            "range": {**bounds, **found.procyclicality.to_dict()},
            "margin": self.margins[name].to_dict() if name in self.margins else None,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """Results, and what gave none with the reason."""

    results: tuple[Result, ...]
    skipped: tuple[InputError, ...]

    def to_dict(self) -> dict[str, object]:
        skipped = [{"history": error.row, "field": error.field, "reason": error.problem} for error in self.skipped]
        return {"results": [result.to_dict() for result in self.results], "skipped": skipped}

    def to_columns(self) -> dict[str, list[object]]:
        """Return what was found of each model on each history as columns; shares of the price, and p-values."""
        rows = [_tell_row(result, found) for result in self.results for found in result.backtests.values()]
        return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def _tell_row(result: Result, found: Backtest) -> dict[str, object]:
    coverage, tests = found.coverage, found.coverage.tests
    ranges = [announced.range_ppm / PPM for announced in found.announced]
    return {
        "history": result.history.label,
        "model": found.model,
        "windows": coverage.windows,
        "breaches": coverage.breaches,
        "breach_rate": coverage.breach_rate,
        "largest_move": coverage.largest_move,
        "largest_shortfall": coverage.largest_shortfall,
        "kupiec_p": tests.unconditional.p_value if tests.unconditional else None,
        "independence_p": tests.independence.p_value if tests.independence else None,
        "conditional_p": tests.conditional.p_value if tests.conditional else None,
        "power": tests.power,
        "range_least": min(ranges, default=None),
        "range_most": max(ranges, default=None),
        "peak_to_trough": found.procyclicality.peak_to_trough,
    }


@dataclass(slots=True)
class _Counter:
    """Counts epochs, and tells so now and then."""

    total: int
    on_progress: OnProgress
    done: int = 0
    what: str = ""

    def count(self) -> None:
        self.done += 1
        if self.done % _TOLD_EVERY == 0 or self.done == self.total:
            self.on_progress(self.done, self.total, self.what)


def run(request: Request, on_progress: OnProgress = lambda _done, _total, _what: None) -> Outcome:
    """Backtest every model on every history that is long and fine enough; the others are told as skipped.

    Refuses: settings that mean nothing, a file that cannot be read as prices, histories none of which can be used.
    """
    _check(request)
    skipped: list[InputError] = []
    histories: list[tuple[History, int]] = []
    for quotes in _read(request):
        try:
            histories.append(_sample(quotes, request))
        except InputError as error:
            skipped.append(error)
    if not histories:
        raise skipped[0]
    counter = _Counter(sum(history.epochs for history, _ in histories) * len(request.models), on_progress)
    results: list[Result] = []
    for history, gap_ms in histories:
        settings = Settings(history.underlying, history.epoch_ms, request.horizon_ms, request.confidence)
        found: dict[str, Backtest] = {}
        for model in request.models:
            counter.what = f"{history.label}, {model}"
            found[model] = run_backtest(
                history, model, settings, request.measure, warm_up=request.warm_up, on_epoch=counter.count
            )
        own = [model for model in request.models if model in OWN_MODELS]
        margins = {model: _margin(settings.underlying, found[model]) for model in own}
        results.append(Result(history, settings, request.measure, gap_ms, found, margins))
    return Outcome(tuple(results), tuple(skipped))


def _check(request: Request) -> None:
    for model in request.models:
        if model not in MODELS:
            raise InputError("", "--model", f"{model!r} is none of {', '.join(MODELS)}")
    if request.underlying is not None and request.underlying not in UNDERLYINGS:
        raise InputError("", "--underlying", f"{request.underlying!r} is none of {', '.join(UNDERLYINGS)}")
    if not 0.5 <= request.confidence < 1.0:  # noqa: PLR2004 -- a range that is breached every other time covers nothing
        raise InputError("", "--confidence", f"{request.confidence:g} is not from 0.5 to below 1")
    if request.warm_up < 0:
        raise InputError("", "--warm-up", f"{request.warm_up} is below zero")


def _read(request: Request) -> list[Quotes]:
    quotes: list[Quotes] = []
    for path in _list_files(request.paths):
        try:
            quotes += read_quotes(
                path,
                underlying=request.underlying,
                time_column=request.time_column,
                price_column=request.price_column,
                is_strict=request.is_strict,
            )
        except InputError as error:
            raise InputError(
                ": ".join(part for part in (path.name, error.row) if part), error.field, error.problem
            ) from None
    return join(quotes) if request.is_joined else quotes


def _list_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files, and of folders those that hold prices."""
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        found = [file for file in sorted(path.glob("*.csv")) if is_price_file(file)]
        if not found:
            raise InputError(str(path), "", "the folder holds no CSV file of prices")
        files += found
    return files


def _sample(quotes: Quotes, request: Request) -> tuple[History, int]:
    epoch_ms = request.epoch_ms or _choose_epoch_ms(quotes)
    if request.horizon_ms % epoch_ms:
        hours = epoch_ms / HOUR_MS
        raise InputError(quotes.label, "--horizon", f"is no whole number of epochs of {hours:g} hours; give a multiple")
    gap_ms = request.gap_ms or _GAP_EPOCHS * epoch_ms
    history = sample(quotes, epoch_ms, gap_ms)
    needed = request.horizon_ms // epoch_ms + 1
    longest = max(segment.epochs for segment in history.segments)
    if longest < needed or history.epochs < request.warm_up + needed:
        after = f" after {request.warm_up} of warm-up" if request.warm_up else ""
        problem = f"{longest} epochs without a gap do not hold one margin period of {needed - 1}{after}"
        raise InputError(quotes.label, "--horizon", f"{problem}; give a shorter --horizon or --epoch")
    return history, gap_ms


def _choose_epoch_ms(quotes: Quotes) -> int:
    if len(quotes.times_ms) <= 1:
        return EPOCH_MS
    spacing_ms = find_spacing_ms(quotes)
    return next((epoch_ms for epoch_ms in _EPOCHS_MS if epoch_ms >= spacing_ms), _EPOCHS_MS[-1])


def _margin(underlying: str, found: Backtest) -> Margins:
    ranges = [announced.range_ppm for announced in found.announced]
    if not ranges:
        return Margins({}, {}, {}, "no range was announced")
    beyond = next((range_ppm for range_ppm in (min(ranges), max(ranges)) if not is_admitted(range_ppm)), None)
    if beyond is not None:
        return Margins({}, {}, {}, f"the exchange's grid does not admit a range of {beyond / PPM:.2%}")
    margins = compute_margins_ppm(underlying, ranges)
    shares = {name: {range_ppm: margin / PPM for range_ppm, margin in margins[name].items()} for name in PORTFOLIOS}
    by_portfolio = {name: measure(list_stretches(found.announced, shares[name].__getitem__)) for name in PORTFOLIOS}
    return Margins(
        by_portfolio,
        {name: max(margins[name].values()) for name in PORTFOLIOS},
        {name: min(margins[name].values()) for name in PORTFOLIOS},
        "",
    )
