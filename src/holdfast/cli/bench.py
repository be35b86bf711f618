"""`holdfast bench`."""

import sys
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from holdfast.lab.bench.figures import REPETITIONS, measure
from holdfast.lab.bench.paths import Sizes
from holdfast.lab.bench.replays import ReplayBenchError

EXIT_BAD_INPUT: Final = 2
_ORDERS_MIN: Final = 100
_EXAMPLE: Final = Path("examples/crash_hour")
_WIDTH: Final = 60

_HELP: Final = """Measure the exchange against a peer and a limit, all in one run.

The limit is the exchange's own signature verifier alone, the peer a bare price-time book in plain Python; every figure
that has a goal is a ratio to one of them, printed with what is reached and what is not. A replay is measured too:
that of --replay, or of examples/crash_hour where it is found.

Example:

  holdfast bench --orders 5000 --json

Exit codes: 0 measured, whatever is reached; 2 bad input."""


def bench(
    orders: Annotated[int, typer.Option(help="How many orders are measured.")] = 20_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    replay: Annotated[
        Path | None, typer.Option(help="Also measure a replay of this history.", metavar="PATH", show_default=False)
    ] = None,
    repetitions: Annotated[int, typer.Option(help="How often each figure is taken; medians are told.")] = REPETITIONS,
) -> None:
    """Measure the exchange; `_HELP` is what a user reads."""
    if orders < _ORDERS_MIN:
        _refuse(f"--orders {orders}: too few to measure; give at least {_ORDERS_MIN}")
    if repetitions < 1:
        _refuse(f"--repetitions {repetitions}: nothing would be measured; give at least 1")
    if replay is not None and not replay.exists():
        _refuse(f"--replay {replay}: no such file or folder; give a history as `holdfast replay` takes it")
    if replay is None and _EXAMPLE.exists():
        replay = _EXAMPLE
    try:
        figures = measure(Sizes(orders=orders), replay, repetitions, _show_step)
    except ReplayBenchError as error:
        _refuse(str(error))
    finally:
        _clear()
    typer.echo(figures.to_json() if as_json else figures.to_words())


bench.__doc__ = _HELP


def _show_step(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{f'bench {done + 1}/{total}: {what}':<{_WIDTH}}")
        sys.stderr.flush()


def _clear() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r" + " " * _WIDTH + "\r")


def _refuse(message: str) -> NoReturn:
    typer.echo(f"holdfast bench: {message}", err=True)
    raise typer.Exit(EXIT_BAD_INPUT)
