"""Does the margin cover what happened? A range announced before each move, against the move.

At every epoch a model announces a range from what it has seen; the move is that of the price over the margin period
which begins then. A move beyond the range is a breach. Tests need windows that do not overlap, so they take every n-th
epoch where a period is n epochs long.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from itertools import groupby
from typing import Final

from holdfast.primitives.units import PPM
from holdfast.risk.coverage import CoverageTests, run_tests
from holdfast.risk.histories import History, Segment
from holdfast.risk.procyclicality import Procyclicality, measure
from holdfast.risk.range_models import MODELS, Epoch, Settings
from holdfast.risk.rows import InputError

# The exchange's ranges hold from the first epoch, as on a chain; a baseline is silent until it knows enough.
WARM_UP_EPOCHS: Final = 0


class Measure(Enum):
    """Which move of a window counts: that to its end, or the largest on the way, wicks included."""

    END = "end"
    WORST = "worst"


@dataclass(frozen=True, slots=True)
class Window:
    """One margin period: its price at the start, the range announced then, and the price that was reached."""

    segment: int
    time_ms: int
    price: float
    range_ppm: int
    reached: float
    is_tested: bool

    @property
    def move(self) -> float:
        """Return the move as a share of the price at the start."""
        return self.reached / self.price - 1.0

    @property
    def is_breach(self) -> bool:
        return abs(self.reached - self.price) * PPM > self.range_ppm * self.price

    @property
    def shortfall(self) -> float:
        """Return how far the move went beyond the range, as a share of the price at the start."""
        return max(0.0, abs(self.move) - self.range_ppm / PPM)


@dataclass(frozen=True, slots=True)
class Announced:
    """The range in force at an epoch."""

    segment: int
    time_ms: int
    range_ppm: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """Breaches over all windows, overlapping ones included, and the tests over those that do not overlap."""

    windows: int
    breaches: int
    breaches_up: int
    breaches_down: int
    largest_shortfall: float
    mean_shortfall: float
    largest_move: float | None
    worst_time_ms: int | None
    tests: CoverageTests

    @property
    def breach_rate(self) -> float | None:
        return self.breaches / self.windows if self.windows else None

    def to_dict(self) -> dict[str, object]:
        return {**asdict(self), "breach_rate": self.breach_rate}


@dataclass(frozen=True, slots=True)
class Backtest:
    """One model on one history."""

    model: str
    announced: tuple[Announced, ...]
    windows: tuple[Window, ...]
    coverage: Coverage
    procyclicality: Procyclicality


def list_stretches(announced: Sequence[Announced], figures: Callable[[int], float]) -> list[list[tuple[int, float]]]:
    """Return (time, figure of the range) by segment, to be measured for procyclicality."""
    by_segment = groupby(announced, key=lambda found: found.segment)
    return [[(found.time_ms, figures(found.range_ppm)) for found in group] for _, group in by_segment]


def run_backtest(
    history: History,
    model: str,
    settings: Settings,
    kind: Measure = Measure.END,
    *,
    warm_up: int = WARM_UP_EPOCHS,
    on_epoch: Callable[[], object] = lambda: None,
) -> Backtest:
    """Run one model over a history; the first `warm_up` epochs only teach it, and every model alike.

    Refuses: an unknown model, a margin period that is no whole number of epochs.
    """
    if model not in MODELS:
        raise InputError("", "--model", f"{model!r} is none of {', '.join(MODELS)}")
    if settings.horizon_ms % settings.epoch_ms or settings.horizon_ms <= 0:
        raise InputError(history.label, "--horizon", "is no whole number of epochs")
    announced = tuple(_announce(history, model, settings, warm_up, on_epoch))
    windows = tuple(_list_windows(history, announced, settings.horizon_epochs, kind))
    stretches = list_stretches(announced, lambda range_ppm: range_ppm / PPM)
    return Backtest(model, announced, windows, compute_coverage(windows, settings.confidence), measure(stretches))


def _announce(
    history: History, model: str, settings: Settings, warm_up: int, on_epoch: Callable[[], object]
) -> Iterator[Announced]:
    running = MODELS[model](settings)
    seen = 0
    for place, segment in enumerate(history.segments):
        told = zip(segment.times_ms, segment.closes, segment.are_fresh, strict=True)
        for index, (time_ms, price, is_fresh) in enumerate(told):
            range_ppm = running.announce(Epoch(time_ms, price, index > 0, is_fresh))
            on_epoch()
            if seen >= warm_up and range_ppm is not None:
                yield Announced(place, time_ms, range_ppm)
            seen += 1


def _list_windows(history: History, announced: Sequence[Announced], length: int, kind: Measure) -> Iterator[Window]:
    """Yield a window for each announced range whose period ends within its segment."""
    for place, group in groupby(announced, key=lambda found: found.segment):
        segment = history.segments[place]
        for count, found in enumerate(group):
            index = (found.time_ms - segment.times_ms[0]) // history.epoch_ms
            if index + length >= segment.epochs:
                break
            price, reached = segment.closes[index], _find_reached(segment, index, length, kind)
            yield Window(place, found.time_ms, price, found.range_ppm, reached, is_tested=count % length == 0)


def _find_reached(segment: Segment, index: int, length: int, kind: Measure) -> float:
    if kind is Measure.END:
        return segment.closes[index + length]
    price, within = segment.closes[index], slice(index + 1, index + length + 1)
    return max(max(segment.highs[within]), min(segment.lows[within]), key=lambda found: abs(found - price))


def compute_coverage(windows: Sequence[Window], confidence: float) -> Coverage:
    """Count breaches, and test whether they are as rare as the confidence says and independent."""
    breaches = [window for window in windows if window.is_breach]
    tested = groupby((window for window in windows if window.is_tested), key=lambda window: window.segment)
    worst = max(breaches, key=lambda window: window.shortfall, default=None)
    hits = [[window.is_breach for window in group] for _, group in tested]
    return Coverage(
        len(windows),
        len(breaches),
        sum(window.move > 0 for window in breaches),
        sum(window.move < 0 for window in breaches),
        worst.shortfall if worst else 0.0,
        sum(window.shortfall for window in breaches) / len(breaches) if breaches else 0.0,
        max((window.move for window in windows), key=abs, default=None),
        worst.time_ms if worst else None,
        run_tests(hits, 1.0 - confidence),
    )
