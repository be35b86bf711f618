"""The plots of a long run, and the page that shows them. Imported only where matplotlib is installed."""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from holdfast.lab.bench.live_soak import MIB, Sample, Soak
from holdfast.risk.plot_style import COLOURS, STYLE

PAGE_NAME: Final = "index.html"
_MINUTE_S: Final = 60.0


class _Line(NamedTuple):
    label: str
    value: Callable[[Sample], float]


class _Plot(NamedTuple):
    name: str
    title: str
    lines: tuple[_Line, ...]


_PLOTS: Final = (
    _Plot(
        "latency",
        "From due to committed, ms",
        (_Line("p99", lambda sample: sample.p99_ms), _Line("p50", lambda sample: sample.p50_ms)),
    ),
    _Plot("rate", "Committed orders a second", (_Line("orders", lambda sample: sample.rate),)),
    _Plot(
        "memory",
        "Resident memory, MiB",
        (
            _Line("exchange", lambda sample: sample.rss_bytes / MIB),
            _Line("load", lambda sample: sample.load_rss_bytes / MIB),
        ),
    ),
    _Plot(
        "files",
        "Open files and threads of the exchange",
        (_Line("files", lambda sample: sample.open_files), _Line("threads", lambda sample: sample.threads)),
    ),
    _Plot("disk", "Data directory, MiB", (_Line("bytes", lambda sample: sample.disk_bytes / MIB),)),
    _Plot(
        "processor",
        "Processor time, shares of one core",
        (_Line("exchange", lambda sample: sample.cpu_share), _Line("load", lambda sample: sample.load_cpu_share)),
    ),
)


def write_page(soak: Soak, folder: Path, headline: str, lines: Sequence[str]) -> Path:
    """Write a PNG a plot and the page that shows them with what was found, and return the page."""
    minutes = [sample.seconds / _MINUTE_S for sample in soak.samples]
    with mpl.rc_context(STYLE):
        for plot in _PLOTS:
            figure = Figure(figsize=(9.6, 3.2), layout="constrained")
            axes = figure.add_subplot()
            axes.set_title(plot.title)
            axes.set_xlabel("minutes")
            for line, colour in zip(plot.lines, COLOURS, strict=False):
                axes.plot(minutes, [line.value(sample) for sample in soak.samples], color=colour, label=line.label)
            axes.set_ylim(bottom=0)
            axes.legend()
            figure.savefig(folder / f"{plot.name}.png", dpi=110)
    page = folder / PAGE_NAME
    images = "\n".join(f'<p><img src="{plot.name}.png" alt="{escape(plot.title)}" width="900"></p>' for plot in _PLOTS)
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Holdfast soak</title>\n'
        "<style>body{font:15px/1.5 sans-serif;color:#1f2933;max-width:960px;margin:2em auto}</style></head><body>\n"
        f"<h1>{escape(headline)}</h1>\n<pre>{escape(chr(10).join(lines))}</pre>\n{images}\n"
        f'<p><a href="{soak.csv.name}">all samples</a></p></body></html>\n'
    )
    page.write_text(text, encoding="utf-8")
    return page
