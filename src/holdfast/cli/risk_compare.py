"""`holdfast risk compare`: one portfolio under all models, side by side."""

from collections.abc import Mapping
from typing import Final

import typer

from holdfast.cli.options import Json
from holdfast.cli.progress import track
from holdfast.cli.risk_shared import (
    CaseName,
    HtmlFile,
    PngFile,
    PortfolioFile,
    SvgFile,
    check_pictures,
    load,
    number,
    refuse,
    tell,
    write_file,
)
from holdfast.cli.show import one_line, print_json, print_table
from holdfast.risk import InputError, MarginResult, compare_models

HELP: Final = """Margin a portfolio under all models, side by side, with requirements in USD.

A model that does not have what the portfolio holds is told as refusing, with the row. --png and --svg draw the
requirements as bars, --html writes a report with them and every model's scenarios; several cases share a picture.

\b
Examples:
  holdfast risk compare examples/risk/portfolio.json
  holdfast risk compare examples/risk/account.json --html out/compare.html

Exit codes: 0 compared; 2 bad input, or no model margins the portfolio."""

Answers = Mapping[str, MarginResult | InputError]


def compare(
    portfolio: PortfolioFile,
    case: CaseName = None,
    png: PngFile = None,
    svg: SvgFile = None,
    html: HtmlFile = None,
    as_json: Json = False,
) -> None:
    """Margin a portfolio under all models; `HELP` is what a user reads."""
    pictures = {"--png": png, "--svg": svg, "--html": html}
    check_pictures("compare", pictures, as_json=as_json)
    cases = load("compare", portfolio, case, as_json=as_json)
    answers = {
        name: compare_models(held) for name, held in track(cases.portfolios.items(), "compare", len(cases.portfolios))
    }
    for name, found in answers.items():
        refusals = [answer for answer in found.values() if isinstance(answer, InputError)]
        if len(refusals) == len(found):
            refuse("compare", refusals[0], f"{portfolio}: {name}: no model margins it", as_json=as_json)
    if any(pictures.values()):
        from holdfast.risk import pages
        from holdfast.risk import pictures as drawing

        for file, make in ((png, drawing.draw_comparison_png), (svg, drawing.draw_comparison_svg)):
            if file is not None:
                write_file("compare", file, make(answers), as_json=as_json)
        if html is not None:
            write_file("compare", html, pages.make_comparison_page(answers), as_json=as_json)
    if as_json:
        told = {name: {model: tell(answer) for model, answer in found.items()} for name, found in answers.items()}
        print_json(told if cases.are_named else next(iter(told.values())))
        return
    for name, found in answers.items():
        _show(name if cases.are_named else "", found)


def _show(title: str, answers: Answers) -> None:
    columns = ("model", "initial", "maintenance", "currency", "initial USD", "maintenance USD", "worst scenario")
    rows: list[tuple[object, ...]] = []
    for name, answer in answers.items():
        if isinstance(answer, InputError):
            rows.append((name, None, None, None, None, None, "refused"))
            continue
        rows.append(
            (
                name,
                number(answer.initial_requirement, answer.currency),
                number(answer.maintenance_requirement, answer.currency),
                answer.currency,
                number(answer.initial_requirement * answer.usd_per_unit),
                number(answer.maintenance_requirement * answer.usd_per_unit),
                answer.worst_scenario,
            )
        )
    print_table(columns, rows, title=title, numbers=(*columns[1:3], *columns[4:6]))
    for name, answer in answers.items():
        if isinstance(answer, InputError):
            typer.echo(f"{name} refuses: {one_line(str(answer))}")
