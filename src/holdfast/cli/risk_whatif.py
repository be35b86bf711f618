"""`holdfast risk whatif`: what trades would make of a portfolio's margin, before they are sent."""

from collections.abc import Sequence
from typing import Annotated, Final, TypedDict

import typer

from holdfast.cli.options import Json
from holdfast.cli.risk_shared import (
    DEFAULT_MODEL,
    CaseName,
    PortfolioFile,
    check_model,
    load_one,
    number,
    refuse,
)
from holdfast.cli.show import one_line, print_facts, print_json, print_table
from holdfast.risk import MODELS, InputError, Portfolio
from holdfast.risk.trades import Trade, parse_trade
from holdfast.risk.whatif import Impact, judge, judge_one_by_one

ALL: Final = "all"
HELP: Final = f"""Tell what trades would make of a portfolio's margin, before they are sent.

A trade is "AMOUNT INSTRUMENT @ PRICE", in coin, below zero to sell; without a price it is at the mark. Several are
judged as one bundle, by the end state, and then one by one, where what does not fit is not made. A trade fits where the
venue would take it: under holdfast by the exchange's own check, a taker's fees paid. NAME is {ALL}, or one of
{", ".join(MODELS)}.

\b
Example:
  holdfast risk whatif examples/risk/account.json --trade "+5 BTC_USDC-27MAR26-90000-P @ 4400"

Exit codes: 0 told, whether it fits or not; 2 bad input, told with its row and field."""

Trades = Annotated[
    list[str], typer.Option("--trade", help="A trade; may be given often.", metavar="TRADE", show_default=False)
]
Model = Annotated[str, typer.Option("--model", help=f"The margin model, or {ALL}.", metavar="NAME")]


class Told(TypedDict):
    """What a model says of trades."""

    bundle: Impact
    one_by_one: list[Impact]


def whatif(
    portfolio: PortfolioFile, trade: Trades, model: Model = DEFAULT_MODEL, case: CaseName = None, as_json: Json = False
) -> None:
    """Tell what trades make of margin; `HELP` is what a user reads."""
    check_model("whatif", model, as_json=as_json, also=(ALL,))
    held = load_one("whatif", portfolio, case, as_json=as_json)
    answers: dict[str, Told | InputError] = {}
    try:
        trades = [parse_trade(text) for text in trade]
    except InputError as error:
        refuse("whatif", error, as_json=as_json)
    for name in MODELS if model == ALL else [model]:
        answers[name] = _ask(held, trades, name)
    refusals = [answer for answer in answers.values() if isinstance(answer, InputError)]
    if len(refusals) == len(answers):
        refuse("whatif", refusals[0], f"{portfolio}", as_json=as_json)
    if as_json:
        told = {name: _tell(answer) for name, answer in answers.items()}
        print_json(told if model == ALL else told[model])
        return
    for place, (name, answer) in enumerate(answers.items()):
        if place:
            typer.echo()
        _show(name, answer)


def _ask(held: Portfolio, trades: Sequence[Trade], model: str) -> Told | InputError:
    try:
        return {"bundle": judge(held, trades, model), "one_by_one": judge_one_by_one(held, trades, model)}
    except InputError as error:
        return error


def _tell(answer: Told | InputError) -> dict[str, object]:
    if isinstance(answer, InputError):
        return {"refused": str(answer)}
    steps = [impact.to_dict() for impact in answer["one_by_one"]]
    return {"bundle": answer["bundle"].to_dict(), "one_by_one": steps}


def _show(model: str, answer: Told | InputError) -> None:
    if isinstance(answer, InputError):
        typer.echo(f"{model} refuses: {one_line(str(answer))}")
        return
    bundle, steps = answer["bundle"], answer["one_by_one"]
    currency = bundle.after.currency
    columns = (currency, "before", "after", "difference")
    rows = [
        (name.replace("_", " "), *(number(value, currency) for value in (before, after, after - before)))
        for name, before, after in bundle.list_changes()
    ]
    print_table(columns, rows, title=MODELS[model].title, numbers=columns[1:])
    print_facts(
        {
            "fees": f"{number(bundle.fee)} USD",
            "fits": "yes" if bundle.fits else f"no: {bundle.refusal}",
        }
    )
    if len(steps) > 1:
        typer.echo()
        columns = ("one by one", "initial before", "initial after", "fits")
        print_table(
            columns,
            [
                (
                    ", ".join(step.trades),
                    number(step.before.initial_requirement, currency),
                    number(step.after.initial_requirement, currency),
                    "yes" if step.fits else f"no: {step.refusal}",
                )
                for step in steps
            ],
            numbers=columns[1:3],
        )
