"""The reports of `holdfast risk`: HTML pages that need nothing but themselves."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final

from holdfast.risk.models import MODELS
from holdfast.risk.pictures import Answers, draw_comparison_svg, draw_scenarios_svg
from holdfast.risk.rows import InputError
from holdfast.risk.scenarios import ScenarioTable

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; }
table { border-collapse: collapse; margin: .4rem 0; font-size: .85rem; }
th, td { text-align: right; padding: .15rem .8rem; border-bottom: 1px solid #e4e7eb; }
th:first-child, td:first-child { text-align: left; } svg { width: 100%; height: auto; }
.loss { color: #a63f00; } summary { cursor: pointer; color: #616e7c; }
"""


def make_scenarios_page(table: ScenarioTable, title: str) -> str:
    """Return the page of a grid: its heat map, its numbers, and the listed scenarios."""
    columns = ("spot", *(f"vol {change * 100:+g}%" for change in table.vols.tolist()))
    lines = zip(table.spots.tolist(), table.pnl.tolist(), strict=True)
    rows = [(f"{move * 100:+g}%", *line) for move, line in lines]
    place, loss = table.worst
    return _page(
        f"Scenarios of {title}",
        (
            f"<p>{escape(MODELS[table.model].title)}. The grid is worst at {escape(place)}: {_number(loss)} USD.</p>",
            draw_scenarios_svg(table).decode(),
            "<h2>Profit or loss, USD</h2>",
            _table(columns, rows),
            "<h2>Listed by the model</h2>",
            _table(("scenario", "USD"), list(table.listed.items())),
        ),
    )


def make_comparison_page(answers: Mapping[str, Answers]) -> str:
    """Return the page of portfolios under all models: bars, requirements, and every model's scenarios."""
    parts = [draw_comparison_svg(answers).decode()]
    columns = ("model", "initial, USD", "maintenance, USD", "mark to market, USD", "worst scenario")
    for name, found in answers.items():
        rows: list[tuple[str | float, ...]] = []
        for model, answer in found.items():
            if isinstance(answer, InputError):
                rows.append((model, "-", "-", "-", f"refuses: {answer}"))
                continue
            usd = answer.usd_per_unit
            margins = (answer.initial_requirement, answer.maintenance_requirement, answer.mark_to_market)
            rows.append((model, *(margin * usd for margin in margins), answer.worst_scenario or "-"))
        parts += [f"<h2>{escape(name)}</h2>", _table(columns, rows), *_list_scenarios(found)]
    return _page("Margin under all models", parts)


def _list_scenarios(answers: Answers) -> Iterable[str]:
    for model, answer in answers.items():
        if not isinstance(answer, InputError) and answer.scenarios:
            rows = sorted(answer.scenarios.items(), key=lambda scenario: scenario[1])
            table = _table(("scenario", answer.currency), rows)
            yield f"<details><summary>{escape(model)}: scenarios, the worst first</summary>{table}</details>"


def _page(title: str, parts: Iterable[str]) -> str:
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    body = "\n".join((f"<h1>{escape(title)}</h1>", *parts))
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def _table(columns: Sequence[str], rows: Sequence[Sequence[str | float]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    kind = ' class="loss"' if value < 0 else ""
    return f"<td{kind}>{_number(value)}</td>"


def _number(value: float) -> str:
    return f"{value:,.2f}"
