"""The plot of how the cost grows with the accounts. Imported only where matplotlib is installed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure

from holdfast.lab.bench.risk.duel import Growth
from holdfast.risk.plot_style import COLOURS, STYLE

_MIB: Final = 2**20


def draw_growth(growth: Sequence[Growth], path: Path) -> None:
    """Draw time and peak memory over the accounts, on logarithmic axes."""
    accounts = [one.accounts for one in growth]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.6), layout="constrained")
        panels = figure.subplots(1, 3)
        curves = (
            ("All accounts anew, ms", [one.margin_s * 1e3 for one in growth]),
            ("One account after a fill, ns", [one.fill_s * 1e9 for one in growth]),
            ("Peak memory, MiB", [one.peak_bytes / _MIB for one in growth]),
        )
        for axes, (title, values), colour in zip(panels, curves, COLOURS, strict=False):
            axes.plot(accounts, values, color=colour, marker="o")
            axes.set_title(title)
            axes.set_xscale("log")
            axes.set_xlabel("accounts")
        panels[0].set_yscale("log")
        panels[0].plot(
            accounts, [curves[0][1][-1] * each / accounts[-1] for each in accounts], color="#9aa5b1", linestyle=":"
        )
        panels[0].legend(["measured", "proportional"])
        for axes in panels[1:]:
            axes.set_ylim(bottom=0)
        figure.savefig(path, dpi=110)
