"""The picture of two runs that differ in their margin: what each plot shows of both, on one axis of time."""

from collections.abc import Callable, Sequence
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from holdfast.lab.faults import Fault
from holdfast.lab.replay_series import Series
from holdfast.lab.report_plots import finish, times_of
from holdfast.primitives.units import E8, USDC_ATOMS
from holdfast.risk.plot_style import COLOURS, STYLE, to_png

NamedSeries = tuple[str, Series]
Values = Callable[[Series], Sequence[float]]
_MILLION: Final = 10**6
_NAN: Final = float("nan")
_COLUMNS: Final = 2


def make_picture(runs: Sequence[NamedSeries], faults: Sequence[Fault], headline: str) -> bytes:
    """Return all plots on one page as a PNG."""
    plots = _list_plots(runs[0][1])
    rows = -(-len(plots) // _COLUMNS)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(14, 3.2 * rows + 0.7), layout="constrained", dpi=110)
        figure.suptitle(headline, x=0.01, ha="left", fontsize=13, fontweight="bold")
        for place, (title, unit, values) in enumerate(plots, 1):
            axes = figure.add_subplot(rows, _COLUMNS, place)
            _draw(axes, runs, values)
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _, unit=unit: f"{value:,.6g}{unit}"))
            finish(axes, runs[0][1], faults, title)
            if place == 1:
                axes.legend(loc="lower left")
        return to_png(figure)


def _draw(axes: Axes, runs: Sequence[NamedSeries], values: Values) -> None:
    """Draw one line a run; the later ones are thinner, so that equal lines are seen as both."""
    for place, (name, series) in enumerate(runs):
        shown = values(series)
        axes.plot(
            times_of(series), shown, label=name, color=COLOURS[place], linewidth=2.6 - place, drawstyle="steps-post"
        )


def _list_plots(series: Series) -> list[tuple[str, str, Values]]:
    """Return title, unit and values of every plot."""
    prices = [(f"{feed}/USD, the chain's median", "", _price_of(feed)) for feed in series.medians]
    ranges = [
        (f"Range of {name}", " %", _range_of(name)) for name in (series.looks[0].ranges_ppm if series.looks else ())
    ]
    return [
        *prices,
        *ranges,
        ("Accounts ever liquidated", "", lambda one: one.liquidated),
        ("Accounts that lack initial margin", "", lambda one: [look.short_accounts for look in one.looks]),
        ("Maintenance margin of all positions, million USD", "", _locked),
        ("Open interest, million USD", "", lambda one: [look.interest_usd / _MILLION for look in one.looks]),
        ("Speculators' equity, median", " %", _speculators),
        (
            "Insurance fund, million USD",
            "",
            lambda one: [atoms / (USDC_ATOMS * _MILLION) for atoms in one.insurance_atoms],
        ),
    ]


def _price_of(feed: str) -> Values:
    return lambda series: [_NAN if price is None else price / E8 for price in series.medians[feed]]


def _range_of(name: str) -> Values:
    return lambda series: [look.ranges_ppm[name] / 10_000 for look in series.looks]


def _locked(series: Series) -> list[float]:
    return [look.locked_atoms / (USDC_ATOMS * _MILLION) for look in series.looks]


def _speculators(series: Series) -> list[float]:
    return [_NAN if band is None else band[1] / 10_000 for band in series.equity_ppm["speculator"]]
