"""`holdfast risk scenarios`: a portfolio's profit and loss over spot and volatility, as a table and as a heat map."""

import math
import re
from typing import Annotated, Final

import typer

from holdfast.cli.options import Json
from holdfast.cli.risk_shared import (
    DEFAULT_MODEL,
    CaseName,
    HtmlFile,
    ModelName,
    PngFile,
    PortfolioFile,
    SvgFile,
    check_model,
    check_pictures,
    load_one,
    number,
    refuse,
    write_file,
)
from holdfast.cli.show import print_facts, print_json, print_table
from holdfast.risk import InputError

HELP: Final = """Tell a portfolio's profit or loss over spot and volatility, and its tails.

--spot and --vol are shocks in percent, relative to what they shock: FROM:TO:STEP, or a list with commas. A shock of
volatility is one at 30 days, and counts by the time to expiry as in the exchange's scenarios. Under holdfast every
position is repriced on its surface by the exchange's kernel; under another model by Black-76 at its own volatility.
Below stand the exchange's tails and skew, each at the weight with which margin counts it; of another model its worst
scenarios.

\b
Examples:
  holdfast risk scenarios examples/risk/account.json
  holdfast risk scenarios examples/risk/account.json --spot=-50:50:2 --vol=-40:80:10 --svg out/heat.svg

Exit codes: 0 told; 2 bad input, told with its row and field."""

_NUMBER: Final = r"[+-]?\d{1,4}(?:\.\d{1,4})?"
_RANGE: Final = re.compile(rf"({_NUMBER}):({_NUMBER}):({_NUMBER})")
_STEPS_MAX: Final = 1_000

Spot = Annotated[str, typer.Option("--spot", help="Shocks of the price, percent.", metavar="SHOCKS")]
Vol = Annotated[str, typer.Option("--vol", help="Shocks of volatility, percent.", metavar="SHOCKS")]


def scenarios(
    portfolio: PortfolioFile,
    model: ModelName = DEFAULT_MODEL,
    spot: Spot = "-50:50:5",
    vol: Vol = "-30,0,50",
    png: PngFile = None,
    svg: SvgFile = None,
    html: HtmlFile = None,
    case: CaseName = None,
    as_json: Json = False,
) -> None:
    """Tell profit and loss over spot and volatility; `HELP` is what a user reads."""
    check_model("scenarios", model, as_json=as_json)
    check_pictures("scenarios", {"--png": png, "--svg": svg, "--html": html}, as_json=as_json)
    from holdfast.risk.scenarios import make_table

    held = load_one("scenarios", portfolio, case, as_json=as_json)
    try:
        table = make_table(held, _read("--spot", spot), _read("--vol", vol), model)
    except InputError as error:
        refuse("scenarios", error, f"{portfolio}" if not error.row.startswith("--") else "", as_json=as_json)
    if png is not None or svg is not None or html is not None:
        from holdfast.risk import pages, pictures

        for file, make in ((png, pictures.draw_scenarios_png), (svg, pictures.draw_scenarios_svg)):
            if file is not None:
                write_file("scenarios", file, make(table), as_json=as_json)
        if html is not None:
            write_file("scenarios", html, pages.make_scenarios_page(table, portfolio.stem), as_json=as_json)
    if as_json:
        print_json(table.to_dict())
        return
    columns = ("spot", *(f"vol {change * 100:+g}%" for change in table.vols.tolist()))
    moves = zip(table.spots.tolist(), table.pnl.tolist(), strict=True)
    rows = [(f"{move * 100:+g}%", *map(number, line)) for move, line in moves]
    print_table(columns, rows, title="profit or loss, USD", numbers=columns)
    typer.echo()
    print_table(("scenario", "USD"), [(name, number(pnl)) for name, pnl in table.listed.items()], numbers=("USD",))
    place, loss = table.worst
    print_facts({"worst of the grid": f"{number(loss)} USD at {place}"})


def _read(option: str, text: str) -> list[float]:
    """Return shocks as fractions."""
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        parts = [part.strip() for part in text.split(",")]
        if not all(re.fullmatch(_NUMBER, part) for part in parts):
            raise InputError(option, "", f"{text!r} is neither FROM:TO:STEP nor a list such as -30,0,50")
        return [float(part) / 100 for part in parts]
    first, last, step = map(float, found.groups())
    if step <= 0 or last < first or (last - first) / step > _STEPS_MAX:
        raise InputError(option, "", f"{text!r} does not go up from FROM to TO in at most {_STEPS_MAX} steps")
    count = math.floor((last - first) / step + 1e-9)
    return [round(first + place * step, 9) / 100 for place in range(count + 1)]
