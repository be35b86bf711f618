"""The plots of a replay's report; of the lab's files this one and `compare_plots` import matplotlib."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from holdfast.lab.faults import Fault
from holdfast.lab.replay_series import Series
from holdfast.primitives.units import DAY_MS, E8, HOUR_MS, MINUTE_MS, USDC_ATOMS
from holdfast.risk.plot_style import COLOURS, INK, STYLE, to_png, to_svg

FAULT_COLOUR: Final = COLOURS[1]
Draw = Callable[[Axes, Series], None]
_NAN: Final = float("nan")
_TICK_HOURS: Final = (1 / 60, 1 / 12, 1 / 6, 1 / 4, 1 / 2, 1, 2, 3, 6, 12, 24, 72, 168)
_TICKS_MAX: Final = 9
_BARS_MAX: Final = 160


def make_svgs(series: Series, faults: Sequence[Fault]) -> list[tuple[str, str]]:
    """Return (title, SVG) of every plot."""
    plots: list[tuple[str, str]] = []
    with mpl.rc_context(STYLE):
        for title, draw in list_plots(series):
            figure = Figure(figsize=(9.6, 3.6), layout="constrained")
            axes = figure.add_subplot()
            draw(axes, series)
            finish(axes, series, faults, "")
            plots.append((title, to_svg(figure)))
        figure = Figure(figsize=(9.6, 7.2), layout="constrained")
        _draw_bands(figure, series, faults)
        plots.insert(len(series.medians), ("Accounts' equity by kind", to_svg(figure)))
    return plots


def make_overview(series: Series, faults: Sequence[Fault], headline: str) -> bytes:
    """Return all plots on one page as a PNG."""
    with mpl.rc_context(STYLE):
        plots = list_plots(series)
        plots.insert(len(series.medians), ("Accounts' equity, median of each kind", _draw_medians))
        rows = -(-len(plots) // 2)
        is_odd = len(plots) % 2 == 1
        figure = Figure(figsize=(14, 3.4 * rows + 0.7 - 1.4 * is_odd), layout="constrained", dpi=110)
        figure.suptitle(headline, x=0.01, ha="left", fontsize=13, fontweight="bold")
        # The last of an odd number takes the whole row, which is then a low one.
        heights = [1.0] * (rows - is_odd) + [0.55] * is_odd
        grid = figure.add_gridspec(rows, 2, height_ratios=heights)
        for place, (title, draw) in enumerate(plots):
            is_wide = is_odd and place == len(plots) - 1
            axes = figure.add_subplot(grid[place // 2, :] if is_wide else grid[place // 2, place % 2])
            draw(axes, series)
            finish(axes, series, faults, title)
        return to_png(figure)


def list_plots(series: Series) -> list[tuple[str, Draw]]:
    """Return the single plots in their order: prices, fund, liquidations, trading, validators."""
    prices = [(f"{feed}/USD at each venue, and the chain's median", _price_drawer(feed)) for feed in series.medians]
    return [
        *prices,
        ("Insurance fund", _draw_fund),
        ("Liquidations", _draw_liquidations),
        ("Ranges in force", draw_ranges),
        ("Margin locked by positions, and open interest", draw_locked),
        ("Trading", _draw_fills),
        ("Validators' heights, as blocks behind the clock; a gap: down", _draw_heights),
    ]


def _price_drawer(feed: str) -> Draw:
    def draw(axes: Axes, series: Series) -> None:
        times = times_of(series)
        low, high = _price_range(series, feed)
        medians = [_NAN if price is None else price / E8 for price in series.medians[feed]]
        axes.plot(times, medians, label="median on chain", color=INK, linewidth=3.0, alpha=0.35)
        for place, (venue, prices) in enumerate(series.venues[feed].items()):
            axes.plot(
                times,
                [_NAN if price is None else price / E8 for price in prices],
                label=venue,
                color=COLOURS[place % len(COLOURS)],
                linewidth=0.9,
                alpha=0.9,
            )
        # A lying venue would flatten all the others; it leaves the frame instead.
        axes.set_ylim(low / E8, high / E8)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_ylabel("USD")
        axes.legend(ncols=3, loc="lower left")

    return draw


def _price_range(series: Series, feed: str) -> tuple[int, int]:
    """Return the frame of a price plot: what the median ever was, and what venues said within a fifth of it."""
    known = [price for price in series.medians[feed] if price is not None]
    if not known:
        return 0, E8
    middle = sorted(known)[len(known) // 2]
    told = [price for prices in series.venues[feed].values() for price in prices if price is not None]
    near = [*known, *(price for price in told if abs(price - middle) * 5 <= middle)]
    margin = max((max(near) - min(near)) // 20, 1)
    return min(near) - margin, max(near) + margin


def _draw_bands(figure: Figure, series: Series, faults: Sequence[Fault]) -> None:
    times = times_of(series)
    kinds = list(series.equity_ppm)
    for place, kind in enumerate(kinds, 1):
        axes = figure.add_subplot(-(-len(kinds) // 3), 3, place)
        bands = [band or (_NAN, _NAN, _NAN) for band in series.equity_ppm[kind]]
        low, middle, high = ([band[place] / 10_000 for band in bands] for place in range(3))
        colour = COLOURS[(place - 1) % len(COLOURS)]
        axes.fill_between(times, low, high, color=colour, alpha=0.22, linewidth=0, label="10th to 90th of 100")
        axes.plot(times, middle, color=colour, linewidth=1.5, label="median")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f} %"))
        if place == 1:
            axes.legend(loc="lower left")
        finish(axes, series, faults, f"{kind}s")


def _draw_medians(axes: Axes, series: Series) -> None:
    times = times_of(series)
    for place, (kind, bands) in enumerate(series.equity_ppm.items()):
        values = [_NAN if band is None else band[1] / 10_000 for band in bands]
        lows = [_NAN if band is None else band[0] / 10_000 for band in bands]
        axes.plot(times, values, label=f"{kind}s", color=COLOURS[place], linewidth=1.5)
        axes.plot(times, lows, color=COLOURS[place], linewidth=0.8, linestyle=":")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f} %"))
    axes.set_ylabel("of the start; dotted: 10th of 100")
    axes.legend(ncols=3, loc="lower left")


def _draw_fund(axes: Axes, series: Series) -> None:
    values = [atoms / USDC_ATOMS for atoms in series.insurance_atoms]
    axes.plot(times_of(series), values, color=COLOURS[2], linewidth=1.6)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylabel("USDC")


def _draw_liquidations(axes: Axes, series: Series) -> None:
    times = times_of(series)
    axes.step(times, series.liquidated, where="post", color=COLOURS[1], linewidth=1.6, label="accounts ever liquidated")
    axes.fill_between(
        times, series.in_liquidation, step="post", color=COLOURS[0], alpha=0.45, linewidth=0, label="in liquidation now"
    )
    axes.set_ylim(0, max(1.0, 1.1 * max(series.liquidated, default=0)))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("accounts")
    axes.legend(loc="upper left")


def draw_ranges(axes: Axes, series: Series) -> None:
    """Draw how far each underlying is assumed to move within a day."""
    for place, name in enumerate(series.looks[0].ranges_ppm if series.looks else ()):
        values = [look.ranges_ppm[name] / 10_000 for look in series.looks]
        axes.step(times_of(series), values, where="post", label=name, color=COLOURS[place], linewidth=1.6)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.1f} %"))
    axes.legend(loc="lower left")


def draw_locked(axes: Axes, series: Series) -> None:
    """Draw the maintenance margin of all positions beside what they are worth."""
    for values, label, colour in (
        ([look.locked_atoms / (USDC_ATOMS * 10**6) for look in series.looks], "maintenance margin", COLOURS[1]),
        ([look.interest_usd / 10**6 for look in series.looks], "open interest", COLOURS[0]),
    ):
        axes.plot(times_of(series), values, label=label, color=colour, linewidth=1.6)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("million USD")
    axes.legend(loc="upper left")


def _draw_fills(axes: Axes, series: Series) -> None:
    # Several intervals share a bar where there are more of them than the eye can tell apart.
    together = max(1, len(series.fills) // _BARS_MAX)
    totals = [0, *series.fills[together - 1 :: together]]
    rates = [(later - earlier) / together for earlier, later in pairwise(totals)]
    times = times_of(series)[::together][: len(rates)]
    axes.fill_between(times, rates, step="post", color=COLOURS[5], alpha=0.8, linewidth=0)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("fills an interval")


def _draw_heights(axes: Axes, series: Series) -> None:
    times = times_of(series)
    for place, (name, heights) in enumerate(series.heights.items()):
        # Lines that lie on one another are drawn side by side.
        behind = [
            _NAN if height is None else clock - height + 0.06 * place
            for height, clock in zip(heights, series.elapsed, strict=True)
        ]
        axes.plot(times, behind, label=name, color=COLOURS[place % len(COLOURS)], linewidth=1.6)
    axes.set_ylabel("blocks behind")
    axes.set_ylim(max(3.0, axes.get_ylim()[1]), -0.5)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(ncols=4, loc="lower left")


def finish(axes: Axes, series: Series, faults: Sequence[Fault], title: str) -> None:
    """Give every plot the same time axis, and show where the faults lie."""
    times = times_of(series)
    if times:
        first, last = times[0], max(times[-1], times[0] + 1e-6)
        axes.set_xlim(first, last)
        for fault in faults:
            begin, end = _moment(fault.from_ms), min(_moment(min(fault.to_ms, series.times_ms[-1])), last)
            axes.axvspan(max(begin, first), max(end, first), color=FAULT_COLOUR, alpha=0.07, linewidth=0)
        step = next((hours for hours in _TICK_HOURS if (last - first) / hours <= _TICKS_MAX), _TICK_HOURS[-1])
        axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _clock(value)))
    axes.tick_params(length=0)
    axes.set_title(title)


def times_of(series: Series) -> list[float]:
    """Return each look's time in hours since 1970."""
    return [_moment(time_ms) for time_ms in series.times_ms]


def _moment(time_ms: int) -> float:
    """Return a data time as hours since 1970, of which a double is exact enough for a plot."""
    return time_ms / HOUR_MS


def _clock(hours: float) -> str:
    minutes = round(hours * 60)
    within = minutes % (DAY_MS // MINUTE_MS)
    return f"{within // 60:02}:{within % 60:02}"
