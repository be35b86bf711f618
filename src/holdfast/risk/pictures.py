"""The pictures of `holdfast risk`, as PNG or SVG. This file alone of the package imports matplotlib."""

from collections.abc import Mapping
from typing import Final, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from holdfast.risk.models import MODELS
from holdfast.risk.plot_style import COLOURS, INK, STYLE, to_png, to_svg
from holdfast.risk.result import MarginResult
from holdfast.risk.rows import InputError
from holdfast.risk.scenarios import ScenarioTable

Answers = Mapping[str, MarginResult | InputError]
Format = Literal["png", "svg"]

GAIN, LOSS, SECOND = COLOURS[0], COLOURS[1], COLOURS[5]
# Beyond this many cells, and this many to a side, their numbers cannot be read.
_WRITTEN_MAX: Final = 150
_ROWS_MAX: Final = 21
_COLUMNS_MAX: Final = 10


def draw_scenarios_png(table: ScenarioTable) -> bytes:
    """Return the heat map of a grid with its listed scenarios, as a PNG."""
    return _draw_scenarios(table, "png")


def draw_scenarios_svg(table: ScenarioTable) -> bytes:
    """Return the heat map of a grid with its listed scenarios, as an SVG."""
    return _draw_scenarios(table, "svg")


def draw_comparison_png(answers: Mapping[str, Answers]) -> bytes:
    """Return the requirements of every model as bars, one plot a portfolio, as a PNG."""
    return _draw_comparison(answers, "png")


def draw_comparison_svg(answers: Mapping[str, Answers]) -> bytes:
    """Return the requirements of every model as bars, one plot a portfolio, as an SVG."""
    return _draw_comparison(answers, "svg")


def _draw_scenarios(table: ScenarioTable, kind: Format) -> bytes:
    with mpl.rc_context(STYLE):
        height = max(4.0, 0.24 * min(len(table.spots), 4 * _ROWS_MAX) + 1.2)
        figure = Figure(figsize=(11, height), layout="constrained", dpi=110)
        left, right = figure.subplots(1, 2, width_ratios=(3, 1.3))
        _draw_heat(figure, left, table)
        _draw_listed(right, table)
        return _save(figure, kind)


def _draw_heat(figure: Figure, axes: Axes, table: ScenarioTable) -> None:
    most = max(float(np.abs(table.pnl).max()), 1e-9)
    # Losses and gains of one size are equally strong.
    image = axes.imshow(
        table.pnl,
        aspect="auto",
        origin="lower",
        cmap="RdBu",
        norm=TwoSlopeNorm(0, -most, most),
        interpolation="nearest",
    )
    axes.grid(visible=False)
    for ticks, values, most_ticks in (
        (axes.set_yticks, table.spots, _ROWS_MAX),
        (axes.set_xticks, table.vols, _COLUMNS_MAX),
    ):
        step = -(-len(values) // most_ticks)
        places = range(0, len(values), step)
        ticks(places, [f"{values[place] * 100:+g}%" for place in places])
    if table.pnl.size <= _WRITTEN_MAX and len(table.vols) <= _COLUMNS_MAX:
        for (row, column), value in np.ndenumerate(table.pnl):
            colour = "white" if abs(value) > most * 0.6 else INK
            axes.text(column, row, f"{value:,.0f}", ha="center", va="center", fontsize=7, color=colour)
    axes.set_ylabel("spot")
    axes.set_xlabel("volatility, at 30 days")
    axes.set_title(f"Profit or loss, USD ({MODELS[table.model].title})")
    bar = figure.colorbar(image, ax=axes, format=FuncFormatter(_dollars))
    bar.outline.set_visible(False)


def _draw_listed(axes: Axes, table: ScenarioTable) -> None:
    names, values = list(table.listed), list(table.listed.values())
    axes.barh(names, values, color=[LOSS if value < 0 else GAIN for value in values])
    axes.invert_yaxis()
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.xaxis.set_major_formatter(FuncFormatter(_dollars))
    axes.tick_params(axis="x", rotation=45)
    axes.set_title("Listed by the model, USD")


def _draw_comparison(answers: Mapping[str, Answers], kind: Format) -> bytes:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.4 * len(answers)), layout="constrained", dpi=110)
        for axes, (name, found) in zip(
            figure.subplots(len(answers), squeeze=False)[:, 0], answers.items(), strict=True
        ):
            _draw_bars(axes, found)
            axes.set_title(f"Requirement of {name}, USD")
        return _save(figure, kind)


def _draw_bars(axes: Axes, answers: Answers) -> None:
    places = np.arange(len(answers))
    for side, name, colour in ((-0.2, "initial", GAIN), (0.2, "maintenance", SECOND)):
        values = [_in_usd(answer, name) for answer in answers.values()]
        bars = axes.barh(places + side, values, height=0.38, label=name, color=colour)
        told = [
            "" if isinstance(answer, InputError) else f"{_in_usd(answer, name):,.0f}" for answer in answers.values()
        ]
        axes.bar_label(bars, told, padding=3, fontsize=8)
    for place, answer in zip(places.tolist(), answers.values(), strict=True):
        if isinstance(answer, InputError):
            axes.text(0, place, " refuses", va="center", fontsize=8)
    axes.set_yticks(places, list(answers))
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.xaxis.set_major_formatter(FuncFormatter(_dollars))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def _in_usd(answer: MarginResult | InputError, name: str) -> float:
    if isinstance(answer, InputError):
        return 0.0
    value = answer.initial_requirement if name == "initial" else answer.maintenance_requirement
    return value * answer.usd_per_unit


def _dollars(value: float, _place: object) -> str:
    return f"{value:,.0f}"


def _save(figure: Figure, kind: Format) -> bytes:
    return to_png(figure) if kind == "png" else to_svg(figure).encode()
