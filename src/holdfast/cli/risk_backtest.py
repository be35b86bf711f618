"""`holdfast risk backtest`: whether the margin's range covered what happened."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, NoReturn

import typer

from holdfast.cli.options import Json
from holdfast.cli.show import note, one_line, print_json, print_table, stop
from holdfast.primitives.units import MINUTE_MS
from holdfast.risk import InputError

if TYPE_CHECKING:
    from holdfast.risk.backtests import OnProgress, Outcome

EXIT_BAD_INPUT: Final = 2
_DURATION: Final = re.compile(r"([0-9]{1,6})(m|h|d)", re.ASCII)
_MINUTES: Final = {"m": 1, "h": 60, "d": 1_440}
_LINE_EVERY_SECONDS: Final = 15

HELP: Final = """Ask of price histories whether a range announced before each move covered it.

HISTORY is a CSV file with a column of times and one of prices (close, price, ...), or a folder of such files; high and
low count where given. Models: adaptive, fixed, ewma, historical; the first two are the exchange's own.

At every epoch the model's range is held against the move over the next margin period. The tests (Kupiec,
Christoffersen, Basel's zones) take windows that do not overlap; with few of them a p-value says little, so their number
and the test's power stand beside it.

\b
Example:
  holdfast risk backtest examples/risk/btc_history.csv --horizon 4h --report out

Exit codes: 0 backtested, whatever was breached; 2 bad input, told with its row and column."""

Histories = Annotated[list[Path], typer.Argument(help="Price files, or folders of them.", metavar="HISTORY...")]
Models = Annotated[
    list[str] | None, typer.Option("--model", help="A model; may be given often.", metavar="NAME", show_default="all")
]
Horizon = Annotated[
    str | None,
    typer.Option("--horizon", help="The margin period of risk.", metavar="TIME", show_default="the exchange's, 24h"),
]
Epoch = Annotated[
    str | None,
    typer.Option("--epoch", help="How often a range is announced.", metavar="TIME", show_default="1h, or as the rows"),
]
Confidence = Annotated[
    float | None,
    typer.Option(
        "--confidence",
        help="The share of moves that the range shall cover.",
        metavar="SHARE",
        show_default="the exchange's, 0.995",
    ),
]
Move = Annotated[
    Literal["end", "worst"],
    typer.Option("--move", help="The move to the period's end, or the worst on the way, wicks included."),
]
Gap = Annotated[
    str | None,
    typer.Option(
        "--gap", help="Without a price for longer there is no return.", metavar="TIME", show_default="three epochs"
    ),
]
WarmUp = Annotated[
    int | None,
    typer.Option("--warm-up", help="Epochs that only teach the models.", metavar="EPOCHS", show_default="0"),
]
Join = Annotated[bool, typer.Option("--join", help="Join the files of one underlying, in order of time.")]
Underlying = Annotated[
    str | None,
    typer.Option("--underlying", help="BTC or ETH, where a file does not say.", metavar="COIN", show_default=False),
]
TimeColumn = Annotated[
    str | None, typer.Option("--time-column", help="The column of times.", metavar="NAME", show_default="by name")
]
PriceColumn = Annotated[
    str | None, typer.Option("--price-column", help="The column of prices.", metavar="NAME", show_default="by name")
]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse a row that would be left out or moved.")]
Report = Annotated[
    Path | None, typer.Option("--report", help="Write index.html and plots here.", metavar="DIR", show_default=False)
]


def backtest(
    histories: Histories,
    model: Models = None,
    horizon: Horizon = None,
    epoch: Epoch = None,
    confidence: Confidence = None,
    move: Move = "end",
    gap: Gap = None,
    warm_up: WarmUp = None,
    join: Join = False,
    underlying: Underlying = None,
    time_column: TimeColumn = None,
    price_column: PriceColumn = None,
    strict: Strict = False,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Backtest the range; `HELP` is what a user reads."""
    from holdfast.risk.backtests import CONFIDENCE, HORIZON_MS, MODELS, WARM_UP_EPOCHS, Measure, Request, run

    try:
        if report is not None:
            _prepare_report(report)
        request = Request(
            paths=tuple(histories),
            models=tuple(model or MODELS),
            underlying=underlying,
            time_column=time_column,
            price_column=price_column,
            is_strict=strict,
            is_joined=join,
            epoch_ms=_parse_ms("--epoch", epoch),
            horizon_ms=_parse_ms("--horizon", horizon) or HORIZON_MS,
            gap_ms=_parse_ms("--gap", gap),
            confidence=CONFIDENCE if confidence is None else confidence,
            measure=Measure(move),
            warm_up=WARM_UP_EPOCHS if warm_up is None else warm_up,
        )
        with _watch() as on_progress:
            outcome = run(request, on_progress)
    except InputError as error:
        _refuse(error, as_json=as_json)
    written = None if report is None else _write_report(outcome, report)
    if as_json:
        print_json(outcome.to_dict())
    else:
        _show(outcome)
    if written is not None:
        note(f"Report: {written}")


def _show(outcome: "Outcome") -> None:
    from holdfast.risk.backtest_words import Words

    words = Words(outcome)
    for table in words.tables():
        print_table(table.columns, table.rows, title=table.title, numbers=table.numbers)
        typer.echo()
    for line in words.notes():
        typer.echo(line)


def _parse_ms(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    if match is None or not int(match[1]):
        raise InputError("", option, f"{text!r} is no time; write one such as 5m, 4h or 1d")
    return int(match[1]) * _MINUTES[match[2]] * MINUTE_MS


def _prepare_report(folder: Path) -> None:
    """Find out before the run whether a report can be made and where it may go."""
    if find_spec("matplotlib") is None:
        raise InputError(
            "", "--report", "needs matplotlib (extra `report`), which is not installed; install it or leave out"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".holdfast"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise InputError("", "--report", f"{folder} cannot be written ({error.strerror}); choose another") from None


def _write_report(outcome: "Outcome", folder: Path) -> Path:
    from holdfast.risk.backtest_report import write_report

    return write_report(outcome, folder)


@contextmanager
def _watch() -> Iterator["OnProgress"]:
    """Give a function that shows how far the work is: a bar on a terminal, a plain line now and then elsewhere."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("backtest", total=None)

        def show(done: int, total: int, what: str) -> None:
            bar.update(task, total=total, completed=done, description=what)

        yield show


def _lines() -> "OnProgress":
    last = time.monotonic()

    def show(done: int, total: int, what: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY_SECONDS:
            last = time.monotonic()
            note(f"backtest {done}/{total} epochs: {what}")

    return show


def _refuse(error: InputError, *, as_json: bool) -> NoReturn:
    if as_json:
        told = {"type": "InputError", "message": one_line(str(error)), "row": error.row, "field": error.field}
        print_json({"error": told, "exit_code": EXIT_BAD_INPUT})
    stop("risk backtest", str(error), EXIT_BAD_INPUT)
