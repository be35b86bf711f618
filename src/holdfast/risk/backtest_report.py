"""The report of a backtest: one HTML page that needs nothing but itself, and each plot as PNG and SVG."""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from holdfast.risk.backtest_plots import draw_plots
from holdfast.risk.backtest_words import Table, Words
from holdfast.risk.backtests import Outcome

PAGE_NAME: Final = "index.html"
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .2rem; }
div.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .8rem; }
th, td { text-align: right; padding: .15rem .6rem; border-bottom: 1px solid #e4e7eb; white-space: nowrap; }
th.word, td.word { text-align: left; } svg { width: 100%; height: auto; }
"""


def write_report(outcome: Outcome, folder: Path) -> Path:
    """Write the page and the plots into a folder that exists; return the page."""
    parts: list[str] = []
    for place, result in enumerate(outcome.results, 1):
        parts.append(f"<h2>{escape(result.history.label)}</h2>")
        name = f"{place:02}-{re.sub(r'[^A-Za-z0-9]+', '-', result.history.label).strip('-').lower()}"
        for plot in draw_plots(result):
            (folder / f"{name}-{plot.name}.png").write_bytes(plot.png)
            (folder / f"{name}-{plot.name}.svg").write_text(plot.svg, encoding="utf-8")
            parts.append(f"<h3>{escape(plot.title)}</h3>\n{plot.svg}")
    page = folder / PAGE_NAME
    page.write_text(_page(outcome, parts), encoding="utf-8")
    return page


def _page(outcome: Outcome, parts: Sequence[str]) -> str:
    words = Words(outcome)
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8"><title>Holdfast backtest</title>',
            f"<style>{_STYLE}</style></head><body>",
            "<h1>Did the range cover what happened?</h1>",
            *(f"<p>{escape(line)}</p>" for line in words.notes()),
            *(_write_table(table) for table in words.tables()),
            *parts,
            "</body></html>",
            "",
        )
    )


def _write_table(table: Table) -> str:
    words = len(table.columns) - len(table.numbers)
    head = "".join(_cell("th", column, is_word=place < words) for place, column in enumerate(table.columns))
    rows = ["".join(_cell("td", value, is_word=place < words) for place, value in enumerate(row)) for row in table.rows]
    body = "".join(f"<tr>{row}</tr>\n" for row in rows)
    return f'<h2>{escape(table.title)}</h2>\n<div class="wide"><table><tr>{head}</tr>\n{body}</table></div>'


def _cell(tag: str, value: object, *, is_word: bool) -> str:
    kind = ' class="word"' if is_word else ""
    return f"<{tag}{kind}>{'&ndash;' if value is None else escape(str(value))}</{tag}>"
