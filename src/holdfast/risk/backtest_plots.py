"""The plots of a backtest. This file alone of the package's backtests imports matplotlib.

The horizontal axis counts epochs, so that histories joined over years stand side by side; a dotted line is a gap.
"""

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Final, Literal, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from holdfast.primitives.units import DAY_MS, PPM
from holdfast.risk.backtest import Backtest
from holdfast.risk.backtest_words import show_time
from holdfast.risk.backtests import Result
from holdfast.risk.plot_style import COLOURS, INK, STYLE, to_png, to_svg

MODEL_COLOURS: Final = {"adaptive": COLOURS[0], "fixed": COLOURS[6], "ewma": COLOURS[4], "historical": COLOURS[2]}
BREACH: Final = COLOURS[1]
COVERED: Final = "#cfe3f1"
_WIDTH: Final = 9.6
_TICKS: Final = 6
_CALENDAR_ROWS_MAX: Final = 12
_HOURS_TOLD_DAYS: Final = 30  # in a longer history a tick tells its day
_LOG_FROM: Final = 4  # times the lowest price


class Plot(NamedTuple):
    """One picture: what a file of it is called, what it shows, and its bytes in both forms."""

    name: str
    title: str
    svg: str
    png: bytes


def draw_plots(result: Result) -> Iterator[Plot]:
    """Yield price with range and breaches, the range over time, and the calendar of breaches."""
    models = len(result.backtests)
    yield _draw(
        "prices",
        "Price, and at the end of each window what its range allowed; a dot is a breach",
        2.6 * models,
        result,
        _prices,
    )
    yield _draw("ranges", "Range over time", 3.6, result, _ranges)
    yield _draw(
        "calendar", "Calendar of breaches, by the day and hour in which the window began", 0.0, result, _calendar
    )


def _draw(name: str, title: str, height: float, result: Result, draw: Callable[[Figure, Result], None]) -> Plot:
    with mpl.rc_context(STYLE):
        rows = height or max(2.2, 0.09 * len(_list_days(result)) + 1.2)
        figure = Figure(figsize=(_WIDTH, rows), layout="constrained")
        draw(figure, result)
        return Plot(name, title, to_svg(figure), to_png(figure))


def _prices(figure: Figure, result: Result) -> None:
    places = _place_epochs(result)
    prices = [price for segment in result.history.segments for price in segment.closes]
    panels = np.atleast_1d(figure.subplots(len(result.backtests), 1, sharex=True, sharey=True))
    for axes, (model, found) in zip(panels, result.backtests.items(), strict=True):
        _draw_band(axes, result, places, found)
        for segment in result.history.segments:
            first = places[segment.times_ms[0]]
            axes.plot(range(first, first + segment.epochs), segment.closes, color=INK, linewidth=0.9, label="price")
        axes.set_title(f"{model}: {found.coverage.breaches} of {found.coverage.windows} windows breached")
        axes.set_ylabel("USD")
        _mark_time(axes, result)
        _list_once(axes)
    if max(prices) > _LOG_FROM * min(prices):
        panels[0].set_yscale("log")
        panels[0].yaxis.set_minor_formatter(NullFormatter())
    for axes in panels:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _draw_band(axes: Axes, result: Result, places: dict[int, int], found: Backtest) -> None:
    """Draw what a window allowed where it ends, and each breach there; the band stops at a gap."""
    length = result.settings.horizon_epochs
    for _, group in groupby(found.windows, key=lambda window: window.segment):
        windows = list(group)
        ends = [places[window.time_ms] + length for window in windows]
        lows = [window.price * (1 - window.range_ppm / PPM) for window in windows]
        highs = [window.price * (1 + window.range_ppm / PPM) for window in windows]
        colour = MODEL_COLOURS.get(found.model, INK)
        axes.fill_between(ends, lows, highs, color=colour, alpha=0.18, linewidth=0, label="allowed by the range")
    hits = [window for window in found.windows if window.is_breach]
    ends = [places[window.time_ms] + length for window in hits]
    axes.scatter(ends, [window.reached for window in hits], s=12, color=BREACH, zorder=3, linewidths=0, label="breach")


def _ranges(figure: Figure, result: Result) -> None:
    axes = figure.add_subplot()
    places = _place_epochs(result)
    for model, found in result.backtests.items():
        for _, group in groupby(found.announced, key=lambda announced: announced.segment):
            announced = list(group)
            axes.step(
                [places[one.time_ms] for one in announced],
                [one.range_ppm / PPM for one in announced],
                where="post",
                label=model,
                color=MODEL_COLOURS.get(model, INK),
                linewidth=1.4,
            )
    windows = max((found.windows for found in result.backtests.values()), key=len)
    for _, moves in groupby(windows, key=lambda window: window.segment):
        points = [(places[window.time_ms], abs(window.move)) for window in moves]
        axes.plot(*zip(*points, strict=True), color=INK, linewidth=0.6, alpha=0.5, label="size of the move")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    axes.set_ylim(bottom=0)
    axes.set_ylabel("share of the price")
    _mark_time(axes, result)
    _list_once(axes, loc="lower left")


def _list_once(axes: Axes, loc: Literal["lower left", "lower right"] = "lower right") -> None:
    """Draw the legend above the plot, where what is drawn in parts is named once."""
    handles, labels = axes.get_legend_handles_labels()
    named = dict(zip(labels, handles, strict=True))
    axes.legend(named.values(), named.keys(), ncols=6, loc=loc, bbox_to_anchor=(loc == "lower right", 1))


def _calendar(figure: Figure, result: Result) -> None:
    days = _list_days(result)
    rows = {day: place for place, day in enumerate(days)}
    columns = max(1, DAY_MS // result.history.epoch_ms)
    colours = ListedColormap(["#ffffff", COVERED, BREACH])
    figure.legend(
        handles=[Patch(color=COVERED, label="covered"), Patch(color=BREACH, label="breach")],
        loc="outside upper right",
        ncols=2,
    )
    panels = np.atleast_1d(figure.subplots(1, len(result.backtests), sharey=True))
    for axes, (model, found) in zip(panels, result.backtests.items(), strict=True):
        cells = np.zeros((len(days), columns))
        for window in found.windows:
            column = window.time_ms % DAY_MS // result.history.epoch_ms
            cells[rows[window.time_ms // DAY_MS], min(column, columns - 1)] = 2 if window.is_breach else 1
        axes.imshow(
            cells, aspect="auto", cmap=colours, vmin=0, vmax=2, interpolation="nearest", extent=(0, 24, len(days), 0)
        )
        axes.set_title(model)
        axes.set_xlabel("hour, UTC")
        axes.set_xticks(range(0, 25, 6))
        axes.grid(visible=False)
        step = -(-len(days) // _CALENDAR_ROWS_MAX)
        axes.set_yticks([place + 0.5 for place in range(0, len(days), step)])
        axes.set_yticklabels([show_time(day * DAY_MS)[:10] for day in days[::step]])


def _list_days(result: Result) -> list[int]:
    days = {window.time_ms // DAY_MS for found in result.backtests.values() for window in found.windows}
    return sorted(days)


def _place_epochs(result: Result) -> dict[int, int]:
    times = [time_ms for segment in result.history.segments for time_ms in segment.times_ms]
    return {time_ms: place for place, time_ms in enumerate(times)}


def _mark_time(axes: Axes, result: Result) -> None:
    """Label places with their times, and draw a line where a gap lies."""
    times = [time_ms for segment in result.history.segments for time_ms in segment.times_ms]
    place = -0.5
    for segment in result.history.segments[:-1]:
        place += segment.epochs
        axes.axvline(place, color="#9aa5b1", linestyle=":", linewidth=1, label="gap")

    is_long = times[-1] - times[0] > _HOURS_TOLD_DAYS * DAY_MS

    def label(value: float, _position: object) -> str:
        index = round(value)
        if not 0 <= index < len(times):
            return ""
        told = show_time(times[index])
        return told[:10] if is_long else told[5:]

    axes.set_xlim(0, len(times) - 1)
    axes.xaxis.set_major_locator(MaxNLocator(_TICKS, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(label))
    axes.tick_params(length=0)
