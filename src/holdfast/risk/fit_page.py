"""The report of fits as a folder: one page, and each chain's smiles as SVG and PNG."""

import re
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Final

from holdfast.risk.fit_report import CORE_LIMIT, WINGS_LIMIT, Errors, FitReport
from holdfast.risk.rows import InputError
from holdfast.risk.smile_plots import draw_smiles

PAGE_NAME: Final = "index.html"
_CSS: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#1f2933;max-width:72rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;font-size:13px}th,td{padding:.2rem .7rem;text-align:right;"
    "border-bottom:1px solid #e4e7eb}th:first-child,td:first-child{text-align:left}img{max-width:100%}"
)
_HEAD: Final = (
    *("chain", "underlying", "expiries", "quotes", "core", "wings", "largest", "against marks"),
    *("least density", "butterflies", "crossings", "report bytes", "left out"),
)


def write_page(
    found: Sequence[tuple[str, FitReport]], folder: Path, on_step: Callable[[int, str], None] | None = None
) -> Path:
    """Write the page and its pictures, and return where it is; `on_step` is told of each picture before it is drawn.

    Refuses: a folder that cannot be written.
    """
    pictures = []
    try:
        for done, (name, one) in enumerate(found):
            if on_step is not None:
                on_step(done, f"{name} {one.fit.chain.underlying}")
            pictures.append(_write_pictures(name, one, folder))
        page = folder / PAGE_NAME
        page.write_text(_make_page(found, pictures), encoding="utf-8")
    except OSError as error:
        raise InputError("--report", "", f"cannot be written: {error}") from None
    return page


def _write_pictures(name: str, one: FitReport, folder: Path) -> str:
    stem = re.sub(r"[^\w.-]+", "-", f"{Path(name).with_suffix('')}_{one.fit.chain.underlying}").strip("-")
    svg, png = draw_smiles(one)
    (folder / f"{stem}.svg").write_text(svg, encoding="utf-8")
    (folder / f"{stem}.png").write_bytes(png)
    return stem


def _make_page(found: Sequence[tuple[str, FitReport]], pictures: Sequence[str]) -> str:
    head = _make_row("th", _HEAD)
    rows = "".join(_make_row("td", _list_cells(name, one)) for name, one in found)
    figures = "".join(
        f'<h2>{escape(picture)}</h2><p><a href="{escape(picture)}.png">PNG</a></p>'
        f'<img src="{escape(picture)}.svg" alt="smiles of {escape(picture)}">'
        for picture in pictures
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Holdfast surfaces</title>'
        f"<style>{_CSS}</style></head><body><h1>Surfaces fitted to option chains</h1>"
        "<p>Errors are medians of absolute volatility points, of the exchange's pricing kernel on the integers against "
        f"the middle of bid and ask; the aim is {CORE_LIMIT} in the core, |delta| from 0.1 to 0.9, and {WINGS_LIMIT} "
        "in the wings. Butterflies and crossings are points of a dense grid where arbitrage is left.</p>"
        f"<table>{head}{rows}</table>{figures}</body></html>\n"
    )


def _make_row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _list_cells(name: str, one: FitReport) -> list[str]:
    marks = "none" if one.mark_errors is None else " / ".join(_write(one.mark_errors)[:2])
    return [
        name,
        one.fit.chain.underlying,
        str(len(one.expiries)),
        str(one.errors.quotes),
        *_write(one.errors),
        marks,
        f"{one.density_least:.4f}",
        str(one.butterflies),
        str(one.crossings),
        str(one.report_bytes),
        str(sum(one.fit.chain.left_out.values())),
    ]


def _write(errors: Errors) -> tuple[str, str, str]:
    core, wings = ("none" if value is None else f"{value:.2f}" for value in (errors.core, errors.wings))
    return core, wings, f"{errors.largest:.2f}"
