"""The plots of a fit: each expiry's smile over its quotes. This file alone of the fit imports matplotlib."""

from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

from holdfast.risk.fit_report import ExpiryReport, FitReport
from holdfast.risk.plot_style import COLOURS, STYLE, to_png, to_svg
from holdfast.risk.points import CORE_DELTA, compute_vols
from holdfast.risk.smile import compute_variance, from_integers

CORE, FITTED, WING = COLOURS[0], COLOURS[1], COLOURS[5]
_SMALL: Final[dict[RcKeyType, object]] = {"axes.titlesize": 9, "axes.titleweight": "normal", "font.size": 8}
_COLUMNS: Final = 3
_VOL_ROOM: Final = 0.12


def draw_smiles(report: FitReport) -> tuple[str, bytes]:
    """Return the smiles of all expiries on one page, as SVG and as PNG."""
    with mpl.rc_context({**STYLE, **_SMALL}):
        rows = -(-(len(report.expiries) + 1) // _COLUMNS)
        figure = Figure(figsize=(4.2 * _COLUMNS, 2.7 * rows + 0.4), layout="constrained", dpi=110)
        chain = report.fit.chain
        figure.suptitle(
            f"{chain.underlying} {chain.time:%Y-%m-%d %H:%M} UTC: implied volatility by log-moneyness",
            x=0.01,
            ha="left",
            fontsize=11,
            fontweight="bold",
        )
        axes = list(np.atleast_1d(figure.subplots(rows, _COLUMNS)).flat)
        for panel, expiry in zip(axes, report.expiries, strict=False):
            _draw_expiry(panel, expiry)
        _draw_variances(axes[len(report.expiries)], report)
        for panel in axes[len(report.expiries) + 1 :]:
            panel.set_visible(False)
        for panel in axes[max(0, len(report.expiries) + 1 - _COLUMNS) : len(report.expiries) + 1]:
            panel.set_xlabel("ln(strike / forward)")
        axes[0].legend(loc="best")
        return to_svg(figure), to_png(figure)


def _draw_expiry(axes: Axes, expiry: ExpiryReport) -> None:
    points, shape = expiry.points, from_integers(expiry.smile)
    is_core = np.abs(points.delta) >= CORE_DELTA
    for chosen, colour, label in ((is_core, CORE, "quote, |delta| >= 0.1"), (~is_core, WING, "quote, wing")):
        half = points.spread[chosen] / 2 * 100
        axes.errorbar(
            points.moneyness[chosen],
            points.vol[chosen] * 100,
            yerr=half,
            fmt=".",
            ms=4,
            lw=0.8,
            color=colour,
            label=label,
        )
    places = np.linspace(points.moneyness.min(), points.moneyness.max(), 200)
    variance = compute_variance(shape, places) * points.averaging / points.years
    axes.plot(places, np.sqrt(variance) * 100, color=FITTED, lw=1.3, label="fit")
    fitted = compute_vols(shape, points)
    lowest = 100 * float(min(points.vol.min(), fitted.min()))
    highest = 100 * float(max(points.vol.max(), fitted.max()))
    room = max(highest - lowest, 1.0) * _VOL_ROOM
    axes.set_ylim(max(lowest - room, 0.0), highest + room)
    core = "" if expiry.errors.core is None else f", core {expiry.errors.core:.2f}"
    wings = "" if expiry.errors.wings is None else f", wings {expiry.errors.wings:.2f}"
    axes.set_title(f"{points.expiry:%d %b %y} ({points.years * 365:.1f} d){core}{wings}")
    axes.set_ylabel("volatility, %")


def _draw_variances(axes: Axes, report: FitReport) -> None:
    """Draw total variance of all expiries: lines that cross are calendar arbitrage."""
    for place, expiry in enumerate(report.expiries):
        reach = 3 * np.sqrt(expiry.smile.theta_e12 / 1e12)
        places = np.linspace(-reach, reach, 200)
        shade = 0.25 + 0.75 * place / max(1, len(report.expiries) - 1)
        variance = compute_variance(from_integers(expiry.smile), places)
        label = f"{expiry.points.expiry:%d %b %y}"
        axes.plot(places, variance, color=mpl.colormaps["viridis"](1 - shade), lw=1.0, label=label)
    axes.set_yscale("log")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=6)
    axes.set_title(f"total variance; least density {report.density_least:.3f}, crossings {report.crossings}")
