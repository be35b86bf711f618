"""`holdfast risk`: a portfolio's margin under the models that venues publish."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from holdfast.cli import risk_backtest, risk_fit
from holdfast.cli.options import Json
from holdfast.cli.show import one_line, print_facts, print_json, print_table, stop
from holdfast.risk import MODELS, Cases, InputError, MarginResult, Portfolio, compare_models, compute_margin, load_cases

EXIT_BAD_INPUT: Final = 2

_MARGIN_HELP: Final = f"""Margin a portfolio under one model.

PORTFOLIO is a JSON or CSV file with positions, market data and parameters (docs/risk.md), or a file of Derive's
published cases as it is. NAME is one of {", ".join(MODELS)}.

Derive tells what is left after the requirement, below zero where it is too little; Deribit tells the requirement.
With --json a file of several cases gives an object by case.

\b
Example:
  holdfast risk margin examples/risk/deribit_example.json --model deribit-pm --json

Exit codes: 0 margined; 2 bad input, told with its row and field."""

_COMPARE_HELP: Final = """Margin a portfolio under all models, side by side, with requirements in USD.

A model that does not have what the portfolio holds is told as refusing, with the row.

\b
Example:
  holdfast risk compare examples/risk/portfolio.json

Exit codes: 0 compared; 2 bad input, or no model margins the portfolio."""

PortfolioFile = Annotated[Path, typer.Argument(help="Positions, market data and parameters.", metavar="PORTFOLIO")]
CaseName = Annotated[
    str | None,
    typer.Option("--case", help="One case of a file of several.", metavar="NAME", show_default=False),
]

risk = typer.Typer(
    name="risk",
    help="Margin a portfolio under the models that venues publish, and compare them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
risk.command("backtest", help=risk_backtest.HELP)(risk_backtest.backtest)
risk.command("fit", help=risk_fit.HELP)(risk_fit.fit)


@risk.callback()
def _risk() -> None:
    """Ask what a portfolio needs; each command has its own --help with an example."""


@risk.command(help=_MARGIN_HELP)
def margin(
    portfolio: PortfolioFile,
    model: Annotated[str, typer.Option("--model", help="The margin model.", metavar="NAME")],
    case: CaseName = None,
    as_json: Json = False,
) -> None:
    """Margin a portfolio; `_MARGIN_HELP` is what a user reads."""
    if model not in MODELS:
        _refuse("margin", InputError("--model", "", f"{model!r} is none of {', '.join(MODELS)}"), as_json=as_json)
    cases = _load("margin", portfolio, case, as_json=as_json)
    results: dict[str, MarginResult] = {}
    for name, held in cases.portfolios.items():
        try:
            results[name] = compute_margin(held, model)
        except InputError as error:
            where = f"{portfolio}: {name}" if cases.are_named else f"{portfolio}"
            _refuse("margin", error, where, as_json=as_json)
    if as_json:
        told = {name: result.to_dict() for name, result in results.items()}
        print_json(told if cases.are_named else next(iter(told.values())))
    elif cases.are_named:
        _show_cases(results)
    else:
        _show(next(iter(results.values())))


@risk.command(help=_COMPARE_HELP)
def compare(portfolio: PortfolioFile, case: CaseName = None, as_json: Json = False) -> None:
    """Margin a portfolio under all models; `_COMPARE_HELP` is what a user reads."""
    cases = _load("compare", portfolio, case, as_json=as_json)
    answers = {name: compare_models(held) for name, held in cases.portfolios.items()}
    for name, found in answers.items():
        refusals = [answer for answer in found.values() if isinstance(answer, InputError)]
        if len(refusals) == len(found):
            _refuse("compare", refusals[0], f"{portfolio}: {name}: no model margins it", as_json=as_json)
    if as_json:
        told = {name: {model: _tell(answer) for model, answer in found.items()} for name, found in answers.items()}
        print_json(told if cases.are_named else next(iter(told.values())))
        return
    for name, found in answers.items():
        _show_comparison(name if cases.are_named else "", found)


def _load(command: str, path: Path, case: str | None, *, as_json: bool) -> Cases:
    try:
        cases = load_cases(path)
        if case is not None and case not in cases.portfolios:
            _refuse_case(case, cases.portfolios)
    except InputError as error:
        _refuse(command, error, f"{path}", as_json=as_json)
    return cases if case is None else Cases({case: cases.portfolios[case]}, are_named=False)


def _refuse_case(case: str, portfolios: Mapping[str, Portfolio]) -> NoReturn:
    raise InputError("--case", "", f"{case!r} is not in the file, which holds {', '.join(portfolios)}")


def _refuse(command: str, error: InputError, where: str = "", *, as_json: bool) -> NoReturn:
    message = f"{where}: {error}" if where else str(error)
    if as_json:
        told = {"type": "InputError", "message": one_line(message), "row": error.row, "field": error.field}
        print_json({"error": told, "exit_code": EXIT_BAD_INPUT})
    stop(f"risk {command}", message, EXIT_BAD_INPUT)


def _tell(answer: MarginResult | InputError) -> dict[str, object]:
    return {"refused": str(answer)} if isinstance(answer, InputError) else {**answer.to_dict()}


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
        rows = [(name, _number(value, result.currency)) for name, value in result.scenarios.items()]
        typer.echo()
        print_table(("scenario", result.currency), rows, numbers=(result.currency,))


def _show_cases(results: Mapping[str, MarginResult]) -> None:
    columns = ("case", "initial", "maintenance", "mark to market", "currency", "worst scenario")
    rows = [
        (
            name,
            _number(result.initial, result.currency),
            _number(result.maintenance, result.currency),
            _number(result.mark_to_market, result.currency),
            result.currency,
            result.worst_scenario,
        )
        for name, result in results.items()
    ]
    print_table(columns, rows, numbers=columns[1:4])


def _show_comparison(title: str, answers: Mapping[str, MarginResult | InputError]) -> None:
    columns = ("model", "initial", "maintenance", "currency", "initial USD", "maintenance USD", "worst scenario")
    rows: list[tuple[object, ...]] = []
    for name, answer in answers.items():
        if isinstance(answer, InputError):
            rows.append((name, None, None, None, None, None, "refused"))
            continue
        rows.append(
            (
                name,
                _number(answer.initial_requirement, answer.currency),
                _number(answer.maintenance_requirement, answer.currency),
                answer.currency,
                _number(answer.initial_requirement * answer.usd_per_unit, "USD"),
                _number(answer.maintenance_requirement * answer.usd_per_unit, "USD"),
                answer.worst_scenario,
            )
        )
    print_table(columns, rows, title=title, numbers=(*columns[1:3], *columns[4:6]))
    for name, answer in answers.items():
        if isinstance(answer, InputError):
            typer.echo(f"{name} refuses: {one_line(str(answer))}")


def _write(amount: float, result: MarginResult) -> str:
    return f"{_number(amount, result.currency)} {result.currency}"


def _number(amount: float, currency: str) -> str:
    return f"{amount:,.2f}" if currency == "USD" else f"{amount:,.9f}"
