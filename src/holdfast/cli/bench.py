"""`holdfast bench`."""

import re
import sys
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from holdfast.lab.bench.figures import REPETITIONS, measure
from holdfast.lab.bench.paths import Sizes
from holdfast.lab.bench.replays import ReplayBenchError

EXIT_FAILED: Final = 1
EXIT_BAD_INPUT: Final = 2
_DURATION: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(ms|s|m|h)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0}
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

_LIVE_HELP: Final = """Measure a whole exchange: `holdfast up` in one process, orders from another, on this machine.

Parts: ready (from the command to the first block), large (the same with 100,000 accounts), latency (of orders at an
even rate), rate (the highest that is held), store (a durable commit against a bare batch write), snapshot (blocks while
a large snapshot is taken, and a validator that lost its disk), soak (a long run under load, with plots).

Every figure stands beside its limit. The load's own share of a core is told, so that what the load cannot send is not
taken for what the exchange cannot do.

Example:

  holdfast bench live latency rate --hold 1m --json

Exit codes: 0 measured, whatever is met; 1 the exchange or the load failed; 2 bad input."""

_RISK_HELP: Final = """Measure the risk engine against peers and physical limits, all in one run.

Pricing, the risk array, implied volatility, the margin of a million accounts and of one fill, a block's whole risk step
and the order paths. Every row runs in a process of its own, pinned to one core, and its result is compared with its
peer's before either is timed. `make bench-peers` installs the peers; a row whose peer is missing says so.

\b
Example:
  holdfast bench risk --rows quantlib,scipy,growth --report out/bench-risk

Exit codes: 0 measured, whatever is reached; 1 a row failed or computed what its peer does not; 2 bad input."""


bench = typer.Typer(invoke_without_command=True, add_completion=False, rich_markup_mode=None)


@bench.callback(help=_HELP)
def machine(
    context: typer.Context,
    orders: Annotated[int, typer.Option(help="How many orders are measured.")] = 20_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    replay: Annotated[
        Path | None, typer.Option(help="Also measure a replay of this history.", metavar="PATH", show_default=False)
    ] = None,
    repetitions: Annotated[int, typer.Option(help="How often each figure is taken; medians are told.")] = REPETITIONS,
) -> None:
    """Measure one replica; `_HELP` is what a user reads."""
    if context.invoked_subcommand is not None:
        return
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


@bench.command(help=_LIVE_HELP)
def live(
    parts: Annotated[list[str] | None, typer.Argument(help="What to measure.", show_default="all but the soak")] = None,
    rate: Annotated[float, typer.Option(help="Orders a second, of latency and soak.")] = 200.0,
    seconds: Annotated[float, typer.Option(help="How long latency is measured.")] = 60.0,
    hold: Annotated[str, typer.Option(help="How long the highest rate is held.")] = "5m",
    step: Annotated[str, typer.Option(help="How long each rate is tried in the search for it.")] = "10s",
    soak: Annotated[str | None, typer.Option(help="Also run under an even load for so long, such as 1h.")] = None,
    sample: Annotated[str, typer.Option(help="How often the soak is sampled.")] = "5s",
    validators: Annotated[int, typer.Option(help="How many validators.", min=1, max=16)] = 4,
    block_interval: Annotated[str, typer.Option(help="Time between blocks.")] = "250ms",
    accounts: Annotated[int, typer.Option(help="Accounts that send the orders.", min=4, max=2_000)] = 100,
    folder: Annotated[Path, typer.Option(help="Where stores, logs and the soak's page go.")] = Path("out/bench-live"),
    profile: Annotated[bool, typer.Option("--profile", help="Also tell where the processor's time goes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Measure a whole exchange; `_LIVE_HELP` is what a user reads."""
    from holdfast.lab.bench.live import DEFAULT_PARTS, PARTS, LiveSettings, measure_live
    from holdfast.lab.bench.live_server import LiveBenchError

    for part in parts or ():
        if part not in PARTS:
            _refuse(f"{part}: no such part; choose of {', '.join(PARTS)}", "bench live")
    chosen = tuple(parts or (() if soak else DEFAULT_PARTS))
    try:
        settings = LiveSettings(
            parts=(*chosen, "soak") if soak and "soak" not in chosen else chosen,
            folder=folder,
            validators=validators,
            block_interval_ms=round(_seconds("block-interval", block_interval) * 1_000),
            accounts=accounts,
            rate=rate,
            seconds=seconds,
            step_s=_seconds("step", step),
            hold_s=_seconds("hold", hold),
            soak_s=_seconds("soak", soak or "1h"),
            sample_s=_seconds("sample", sample),
            with_profile=profile,
        )
        figures = measure_live(settings, _say)
    except LiveBenchError as error:
        _refuse(str(error), "bench live", EXIT_FAILED)
    typer.echo(figures.to_json() if as_json else "\n".join(figures.to_lines()))


@bench.command(help=_RISK_HELP)
def risk(
    rows: Annotated[
        str | None, typer.Option(help="Rows to measure, by name, with commas.", metavar="NAMES", show_default="all")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes: every row runs, the figures mean little.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Also write a page with the table and the plot.", metavar="DIR")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Measure the risk engine; `_RISK_HELP` is what a user reads."""
    from holdfast.lab.bench.risk.rows import FULL, QUICK
    from holdfast.lab.bench.risk.run import KEYS, measure_risk
    from holdfast.lab.bench.risk.told import write_page

    chosen = KEYS if rows is None else tuple(rows.split(","))
    for key in chosen:
        if key not in KEYS:
            _refuse(f"--rows {key}: no such row; choose of {', '.join(KEYS)}", "bench risk")
    figures = measure_risk(chosen, QUICK if quick else FULL, lambda line: _say(line, "risk"))
    if report is not None:
        _say(f"wrote {write_page(figures, report)}", "risk")
    typer.echo(figures.to_json() if as_json else "\n".join(figures.to_lines()))
    if not figures.is_sound:
        raise typer.Exit(EXIT_FAILED)


def _say(line: str, command: str = "live") -> None:
    sys.stderr.write(f"bench {command}: {line}\n")
    sys.stderr.flush()


def _seconds(option: str, text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None or float(match[1]) <= 0:
        _refuse(f"--{option} {text}: write a time such as 250ms, 30s, 5m or 1h", "bench live")
    return float(match[1]) * _SECONDS[match[2]]


def _show_step(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{f'bench {done + 1}/{total}: {what}':<{_WIDTH}}")
        sys.stderr.flush()


def _clear() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r" + " " * _WIDTH + "\r")


def _refuse(message: str, command: str = "bench", code: int = EXIT_BAD_INPUT) -> NoReturn:
    typer.echo(f"holdfast {command}: {message}", err=True)
    raise typer.Exit(code)
