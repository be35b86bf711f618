"""What the risk bench found: the table for people, the JSON for machines, the page with the plot."""

import json
from collections.abc import Sequence
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec

from holdfast.lab.bench.figures import describe_machine
from holdfast.lab.bench.risk.duel import Growth, Outcome, Times
from holdfast.lab.bench.risk.rows import Kind, Row, Size

PAGE_NAME: Final = "index.html"
PLOT_NAME: Final = "growth.png"
_MIB: Final = 2**20
_COLUMNS: Final = ("row", "figure", "peer", "ratio", "limit", "verdict", "peak MiB", "with peer")


class Told(msgspec.Struct, frozen=True):
    """A row with its outcome, or with the reason why it has none: `failure` is WRONG, FAILED or empty."""

    row: Row
    outcome: Outcome | None
    failure: str = ""
    words: str = ""

    @property
    def value(self) -> float | None:
        """Return what is held to the bound, if it could be measured."""
        outcome = self.outcome
        if outcome is None:
            return None
        if self.row.kind == Kind.FIGURE:
            return outcome.own.median * self.row.units_a_second
        if outcome.peer is None:
            return None
        return outcome.speed if self.row.kind == Kind.SPEED else 1 / outcome.speed

    @property
    def is_reached(self) -> bool | None:
        """Tell whether the bound is reached; None where nothing was compared, or there is no bound."""
        value, bound, outcome = self.value, self.row.bound, self.outcome
        if value is None or bound is None or outcome is None:
            return None
        return outcome.is_met and (value >= bound if self.row.kind == Kind.SPEED else value <= bound)

    @property
    def verdict(self) -> str:
        """Return the verdict's words."""
        if self.failure:
            return self.failure
        if self.is_reached is None:
            return "no limit" if self.row.bound is None else "no peer"
        return "reached" if self.is_reached else "NOT reached"

    def list_cells(self) -> list[str]:
        """Return the row's cells in the table."""
        own, peer = (None, None) if self.outcome is None else (self.outcome.own, self.outcome.peer)
        value, bound = self.value, self.row.bound
        is_ratio = self.row.kind != Kind.FIGURE
        return [
            self.row.key,
            "" if own is None else f"{self._number(own.median)} {self.row.unit}",
            "" if peer is None else self._number(peer.median),
            f"{value:,.4g}x" if value is not None and is_ratio else "",
            "" if bound is None else self._limit(bound),
            self.verdict,
            "" if own is None else f"{own.peak_bytes / _MIB:,.0f}",
            "" if peer is None else f"{peer.peak_bytes / _MIB:,.0f}",
        ]

    def to_words(self) -> str:
        """Return what was measured against what, and what the comparison of the results found."""
        peer = None if self.outcome is None else self.outcome.peer
        parts = (f"{self.row.key}: {self.row.words}", "" if peer is None else peer.name, self.words)
        return "; ".join(filter(None, parts))

    def to_dict(self) -> dict[str, object]:
        """Return the row as machines read it; times are in the row's unit."""
        outcome = self.outcome
        return {
            "row": self.row.key,
            "what": self.row.words,
            "unit": self.row.unit,
            "figure": None if outcome is None else self._side(outcome.own),
            "peer": None if outcome is None or outcome.peer is None else self._side(outcome.peer),
            "ratio": None if self.row.kind == Kind.FIGURE else self.value,
            "limit": self.row.bound,
            "limit_is": "at least" if self.row.kind == Kind.SPEED else "at most",
            "verdict": self.verdict,
            "reached": self.is_reached,
            "words": self.words,
        }

    def _side(self, times: Times) -> dict[str, object]:
        scale = self.row.units_a_second
        return {
            "name": times.name,
            "median": times.median * scale,
            "best": times.best * scale,
            "peak_memory_bytes": times.peak_bytes,
        }

    def _number(self, seconds: float) -> str:
        return f"{seconds * self.row.units_a_second:,.4g}"

    def _limit(self, bound: float) -> str:
        side = "at least" if self.row.kind == Kind.SPEED else "at most"
        return f"{side} {bound:g}{'' if self.row.kind == Kind.FIGURE else 'x'}"


class Figures(msgspec.Struct, frozen=True):
    """One run of the risk bench."""

    size: Size
    rows: tuple[Told, ...]
    growth: tuple[Growth, ...]
    notes: tuple[str, ...]
    seconds: float

    @property
    def is_sound(self) -> bool:
        """Tell whether every row ran and computed what its peer did."""
        return not any(told.failure for told in self.rows)

    def to_json(self) -> str:
        """Return the figures as one JSON object."""
        return json.dumps(
            {
                "machine": describe_machine(),
                "size": msgspec.to_builtins(self.size),
                "rows": [told.to_dict() for told in self.rows],
                "growth": [msgspec.to_builtins(one) for one in self.growth],
                "not_reached": self._list_not_reached(),
                "notes": self.notes,
                "seconds": self.seconds,
            },
            indent=1,
        )

    def to_lines(self) -> list[str]:
        """Return the figures for people."""
        lines = [
            f"medians of {self.size.turns} turns on {describe_machine()}; one core unless said otherwise",
            "every row in a process of its own; results compared before they are timed",
            "",
            *_align([list(_COLUMNS), *(told.list_cells() for told in self.rows)]),
            "",
            *(told.to_words() for told in self.rows),
        ]
        if self.growth:
            lines += ["", *_align([["accounts", "all, ms", "one fill, ns", "peak MiB"], *map(_grown, self.growth)])]
        missed = self._list_not_reached()
        lines += ["", f"NOT reached: {', '.join(missed)}" if missed else "no measured limit is missed"]
        return [*lines, *self.notes, f"{self.seconds:.0f} s in all"]

    def _list_not_reached(self) -> list[str]:
        return [told.row.key for told in self.rows if told.is_reached is False]


def write_page(figures: Figures, folder: Path) -> Path:
    """Write the table, and the plot where matplotlib is installed, and return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    image = "<p>No plot: matplotlib is not installed; <code>make setup</code> installs it.</p>"
    if not figures.growth:
        image = "<p>No plot: the growth was not measured.</p>"
    elif find_spec("matplotlib") is not None:
        from holdfast.lab.bench.risk.plots import draw_growth  # noqa: PLC0415 -- only where it is installed

        draw_growth(figures.growth, folder / PLOT_NAME)
        image = f'<p><img src="{PLOT_NAME}" alt="cost and memory by accounts" width="900"></p>'
    page = folder / PAGE_NAME
    page.write_text(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Holdfast risk bench</title>\n'
        "<style>body{font:15px/1.5 sans-serif;color:#1f2933;max-width:1200px;margin:2em auto}"
        "pre{overflow-x:auto}</style></head><body>\n"
        f"<h1>Risk bench</h1>\n<pre>{escape(chr(10).join(figures.to_lines()))}</pre>\n{image}\n</body></html>\n",
        encoding="utf-8",
    )
    return page


def _grown(growth: Growth) -> list[str]:
    return [
        f"{growth.accounts:,}",
        f"{growth.margin_s * 1e3:,.4g}",
        f"{growth.fill_s * 1e9:,.4g}",
        f"{growth.peak_bytes / _MIB:,.0f}",
    ]


def _align(cells: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[place]) for row in cells) for place in range(len(cells[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]
