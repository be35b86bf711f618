"""The report of a replay: one HTML page that needs nothing but itself, and one picture."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from holdfast.lab import compare
from holdfast.lab.compare_plots import make_picture
from holdfast.lab.replay import Replay
from holdfast.lab.replay_settings import show_time
from holdfast.lab.report_plots import make_overview, make_svgs
from holdfast.lab.verdict import Verdict
from holdfast.primitives.units import USDC_ATOMS

PAGE_NAME: Final = "index.html"
PICTURE_NAME: Final = "report.png"
_RANGE_COLUMNS: Final = ("underlying", "at the start", "lowest", "highest", "at the end")
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; }
.verdict { display: inline-block; padding: .15rem .7rem; border-radius: 1rem; color: white; font-weight: 600; }
.good { background: #00795a; } .broken { background: #b42318; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: .6rem; margin: 1rem 0; }
.tile { border: 1px solid #e4e7eb; border-radius: .5rem; padding: .5rem .8rem; }
.tile b { display: block; font-size: 1.25rem; } .tile span { color: #616e7c; font-size: .85rem; }
table { border-collapse: collapse; margin: .4rem 0; } caption { text-align: left; color: #616e7c; }
th, td { text-align: right; padding: .15rem .8rem; border-bottom: 1px solid #e4e7eb; }
th:first-child, td:first-child { text-align: left; } svg { width: 100%; height: auto; }
pre { white-space: pre-wrap; background: #f5f7fa; padding: .8rem; border-radius: .5rem; font-size: .85rem; }
code { font-size: .85em; }
"""


def write_report(result: Replay, folder: Path) -> Path:
    """Write the page and the picture into a folder that exists; return the page."""
    verdict, series = result.verdict, result.series
    if series is None:
        message = "a report needs the series of its run"
        raise ValueError(message)
    headline = (
        f"Holdfast replay, {show_time(verdict.start_ms)} to {show_time(verdict.end_ms)}: "
        f"{'every promise held' if verdict.is_good else 'a promise was broken'}"
    )
    (folder / PICTURE_NAME).write_bytes(make_overview(series, result.plan.faults, headline))
    plots = [f"<h2>{escape(title)}</h2>\n{svg}" for title, svg in make_svgs(series, result.plan.faults)]
    page = folder / PAGE_NAME
    page.write_text(_page(verdict, plots), encoding="utf-8")
    return page


def write_comparison(results: Sequence[tuple[str, Replay]], folder: Path) -> Path:
    """Write a page with the table of runs that differ in their margin, and their picture, into a folder that exists."""
    runs = [(name, result.series) for name, result in results if result.series is not None]
    if len(runs) != len(results):
        message = "a comparison needs the series of its runs"
        raise ValueError(message)
    verdicts = [(name, result.verdict) for name, result in results]
    first = verdicts[0][1]
    span = f"{show_time(first.start_ms)} to {show_time(first.end_ms)}, seed {first.seed}"
    title = f"Holdfast replay, {span}: {' and '.join(name for name, _ in verdicts)} margin"
    picture = make_picture(runs, results[0][1].plan.faults, title)
    (folder / PICTURE_NAME).write_bytes(picture)
    head, *rows = compare.to_rows(verdicts)
    page = folder / PAGE_NAME
    page.write_text(
        "\n".join(
            (
                '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Holdfast replay</title>',
                f"<style>{_STYLE} img {{ width: 100%; }}</style></head><body>",
                f"<h1>{escape(title)}</h1>",
                f'<p><img alt="{escape(title)}" src="data:image/png;base64,{b64encode(picture).decode()}"></p>',
                _table("All else equal: history, seed, agents, faults", head, rows),
                "</body></html>\n",
            )
        ),
        encoding="utf-8",
    )
    return page


def _page(verdict: Verdict, plots: list[str]) -> str:
    state, word = ("good", "every promise held") if verdict.is_good else ("broken", "a promise was broken")
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8"><title>Holdfast replay</title>',
            f"<style>{_STYLE}</style></head><body>",
            "<h1>Holdfast replay</h1>",
            f"<p>{show_time(verdict.start_ms)} to {show_time(verdict.end_ms)}, seed {verdict.seed}</p>",
            f'<p class="verdict {state}">{word}</p>',
            *(f"<p><b>Broken:</b> {escape(failure)}</p>" for failure in verdict.failures),
            *(f"<p>Fault: <code>{escape(fault)}</code></p>" for fault in verdict.faults),
            '<div class="tiles">',
            *(f'<div class="tile"><b>{value}</b><span>{name}</span></div>' for name, value in _tiles(verdict)),
            "</div>",
            *plots,
            "<h2>Tables</h2>",
            _table("Validators", ("name", "height", "app hash", "status"), _validator_rows(verdict)),
            _table(
                "Conservation, in atoms, summed from receipts",
                ("asset", "deposited", "withdrawn", "held", "difference"),
                [(asset, *map(_number, row.values())) for asset, row in verdict.conservation.items()],
            ),
            _table(
                "Oracle",
                ("feed", "updates", "outliers rejected", "status changes", "lies included", "outside honest range"),
                [(feed, *map(_number, row.values())) for feed, row in verdict.oracle.items()],
            ),
            _table("Margin: how far prices are assumed to move", _RANGE_COLUMNS, _range_rows(verdict)),
            _table(
                "Invariants",
                ("name", "checked", "broken"),
                [(name, *map(_number, row.values())) for name, row in verdict.invariants.items()],
            ),
            _table("Refusals", ("code", "count"), [(code, _number(n)) for code, n in verdict.rejected.items()]),
            "<h2>Verdict</h2>",
            f"<pre>{escape(verdict.to_words())}</pre>",
            "</body></html>",
            "",
        )
    )


def _range_rows(verdict: Verdict) -> list[tuple[str, ...]]:
    margin = verdict.margin
    columns = (
        margin.ranges_first_ppm,
        margin.ranges_lowest_ppm,
        margin.ranges_highest_ppm,
        margin.ranges_last_ppm,
    )
    return [(name, *(f"{column[name] / 10_000:.2f} %" for column in columns)) for name in margin.ranges_first_ppm]


def _tiles(verdict: Verdict) -> list[tuple[str, str]]:
    return [
        ("blocks", _number(verdict.blocks)),
        ("orders", _number(verdict.orders)),
        ("fills", _number(verdict.fills)),
        ("accounts liquidated", _number(verdict.liquidated_accounts)),
        ("auctions", _number(verdict.auctions)),
        ("under maintenance at the end", _number(verdict.undercollateralised_at_end)),
        ("insurance fund, USDC", _number(verdict.insurance_atoms // USDC_ATOMS)),
        ("insurance used, USDC", _number(verdict.insurance_used_atoms // USDC_ATOMS)),
        ("insurance fund owes, USDC", _number(verdict.insurance_owed_atoms // USDC_ATOMS)),
        ("peak open interest, USD", _number(verdict.margin.interest_peak_usd)),
        ("haircut, USDC", _number(verdict.haircut_atoms // USDC_ATOMS)),
        ("margin calls", _number(verdict.margin.margin_calls)),
        ("instruments settled", _number(verdict.settled_instruments)),
        ("intervals without a block", _number(verdict.halted_blocks)),
    ]


def _validator_rows(verdict: Verdict) -> list[tuple[str, ...]]:
    return [
        (str(row["name"]), _number(int(row["height"])), f"{str(row['app_hash'])[:16]}...", str(row["status"]))
        for row in verdict.validators
    ]


def _table(caption: str, names: Sequence[str], rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{body}</table>"


def _number(value: int) -> str:
    return f"{value:,}"
