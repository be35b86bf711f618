"""`holdfast risk margin`: what portfolios need under one model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from holdfast.cli.options import Json
from holdfast.cli.progress import track
from holdfast.cli.risk_check import check_files, is_tolerance
from holdfast.cli.risk_shared import (
    DEFAULT_MODEL,
    EXIT_BAD_INPUT,
    CaseName,
    check_model,
    find_files,
    find_folder,
    load,
    number,
    refuse,
    tell,
)
from holdfast.cli.show import note, one_line, print_facts, print_json, print_table
from holdfast.risk import MODELS, InputError, MarginResult, compute_margin, load_cases
from holdfast.risk.checking import TOLERANCE

HELP: Final = f"""Margin portfolios under one model.

PORTFOLIO is a JSON or CSV file with positions, market data and parameters (docs/risk.md), a file of Derive's published
cases as it is, or a folder of such files; several may be given. NAME is one of {", ".join(MODELS)}.

Holdfast and Deribit tell the requirement; Derive tells what is left after it, below zero where it is too little. With
--json several cases give an object by case. Of several files those that cannot be margined are told and passed over.

--check holds every figure that the files publish against ours, each under the model that it is published under, and
tells the errors in a table. Documents publish in their section `published`.

\b
Examples:
  holdfast risk margin examples/risk/account.json
  holdfast risk margin examples/risk/deribit_example.json --model deribit-pm --json
  holdfast risk margin examples/risk/deribit_example.json --check

Exit codes: 0 margined, or all figures within the tolerance; 1 a figure beyond it; 2 bad input, told with its row and
field."""

PortfolioFiles = Annotated[
    list[Path],
    typer.Argument(help="Files with positions, market data and parameters, or folders.", metavar="PORTFOLIO..."),
]
Model = Annotated[
    str | None, typer.Option("--model", help="The margin model.", metavar="NAME", show_default=DEFAULT_MODEL)
]
IsCheck = Annotated[bool, typer.Option("--check", help="Hold the figures that the files publish against ours.")]
Tolerance = Annotated[
    float | None,
    typer.Option(
        "--tolerance",
        help="The relative error that --check lets pass.",
        metavar="SHARE",
        show_default=f"{TOLERANCE:g}",
    ),
]


def margin(
    portfolios: PortfolioFiles,
    model: Model = None,
    case: CaseName = None,
    is_check: IsCheck = False,
    tolerance: Tolerance = None,
    as_json: Json = False,
) -> None:
    """Margin portfolios; `HELP` is what a user reads."""
    if model is not None:
        check_model("margin", model, as_json=as_json)
    files = find_files("margin", portfolios, as_json=as_json)
    if case is not None and len(files) > 1:
        refuse("margin", InputError("--case", "", "goes with one file"), as_json=as_json)
    if tolerance is not None and not (is_check and is_tolerance(tolerance)):
        problem = "is zero or more, and finite" if is_check else "goes with --check"
        refuse("margin", InputError("--tolerance", "", problem), as_json=as_json)
    if is_check:
        check_files(files, model, case, TOLERANCE if tolerance is None else tolerance, as_json=as_json)
    elif len(files) > 1:
        _margin_many(files, model or DEFAULT_MODEL, as_json=as_json)
    else:
        _margin_one(files[0], model or DEFAULT_MODEL, case, as_json=as_json)


def _margin_one(path: Path, model: str, case: str | None, *, as_json: bool) -> None:
    cases = load("margin", path, case, as_json=as_json)
    results: dict[str, MarginResult] = {}
    for name, held in track(cases.portfolios.items(), "margin", len(cases.portfolios)):
        try:
            results[name] = compute_margin(held, model)
        except InputError as error:
            where = f"{path}: {name}" if cases.are_named else f"{path}"
            refuse("margin", error, where, as_json=as_json)
    if as_json:
        told = {name: result.to_dict() for name, result in results.items()}
        print_json(told if cases.are_named else next(iter(told.values())))
    elif cases.are_named:
        _show_cases(results)
    else:
        _show(next(iter(results.values())))


def _margin_many(files: list[Path], model: str, *, as_json: bool) -> None:
    answers: dict[str, MarginResult | InputError] = {}
    for path in track(files, "margin", len(files)):
        answers.update(_margin_file(path, model))
    refused = {name: answer for name, answer in answers.items() if isinstance(answer, InputError)}
    if as_json:
        print_json({name: tell(answer) for name, answer in answers.items()})
    else:
        folder = find_folder(files)
        margined = {name: answer for name, answer in answers.items() if isinstance(answer, MarginResult)}
        _show_cases({name.removeprefix(folder): answer for name, answer in margined.items()}, folder)
        for name, error in refused.items():
            note(one_line(f"{name} refused: {error}"))
        note(f"{len(answers) - len(refused)} margined, {len(refused)} refused")
    if refused:
        raise typer.Exit(EXIT_BAD_INPUT)


def _margin_file(path: Path, model: str) -> Iterator[tuple[str, MarginResult | InputError]]:
    """Yield each portfolio of a file by name; a file that cannot be read is one answer."""
    try:
        cases = load_cases(path)
    except InputError as error:
        yield f"{path}", error
        return
    for name, held in cases.portfolios.items():
        where = f"{path}: {name}" if cases.are_named else f"{path}"
        try:
            yield where, compute_margin(held, model)
        except InputError as error:
            yield where, error


def _show(result: MarginResult) -> None:
    kind = "left after the requirement" if result.convention == "net" else "required"
    print_facts(
        {
            "model": MODELS[result.model].title,
            f"initial, {kind}": _write(result.initial, result),
            f"maintenance, {kind}": _write(result.maintenance, result),
            "mark to market": _write(result.mark_to_market, result),
            "worst scenario": result.worst_scenario or "the model has none",
        }
    )
    if result.scenarios:
        rows = [(name, number(value, result.currency)) for name, value in result.scenarios.items()]
        typer.echo()
        print_table(("scenario", result.currency), rows, numbers=(result.currency,))


def _show_cases(results: dict[str, MarginResult], folder: str = "") -> None:
    columns = ("case", "initial", "maintenance", "mark to market", "currency", "worst scenario")
    rows = [
        (
            name,
            number(result.initial, result.currency),
            number(result.maintenance, result.currency),
            number(result.mark_to_market, result.currency),
            result.currency,
            result.worst_scenario,
        )
        for name, result in results.items()
    ]
    print_table(columns, rows, title=f"in {folder}" if folder else "", numbers=columns[1:4])


def _write(amount: float, result: MarginResult) -> str:
    return f"{number(amount, result.currency)} {result.currency}"
