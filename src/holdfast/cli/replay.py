"""`holdfast replay`."""

import sys
from dataclasses import replace
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from holdfast.cli.kernel import DEFAULT_KERNEL, KernelName, choose_kernel
from holdfast.cli.progress import watch
from holdfast.lab import compare
from holdfast.lab.fault_specs import FaultSpecError, describe_kinds
from holdfast.lab.history import HistoryError
from holdfast.lab.replay import Replay, run_replay
from holdfast.lab.replay_settings import ReplayInputError, ReplaySettings, parse_interval_ms, parse_stretch_ppm
from holdfast.lab.world import NodeFailedError, TimeStandsStillError

EXIT_GOOD: Final = 0
EXIT_BROKEN: Final = 1
EXIT_BAD_INPUT: Final = 2


class Margin(StrEnum):
    """How far prices are assumed to move in a replay."""

    ADAPTIVE = "adaptive"
    FIXED = "fixed"
    BOTH = "both"


_KINDS: Final = "\n".join(f"  {kind}" for kind in describe_kinds().split("; "))
_HELP: Final = f"""Send price history through four replicas of the exchange, with agents and faults, to a verdict.

PATH is a folder of price files named VENUE_PAIR_... (gemini_BTCUSD_1m.csv), or one CSV with a time and a price or open,
high, low, close. The same arguments give the same roots.

Faults are KIND:key=value,... with from= and to=, or at= for one block, as UTC times of the data or heights.

\b
Kinds:
{_KINDS}

\b
Example:
  holdfast replay shared/data/crash_2025_10_10 --seed 7 --report out \\
    --fault crash:validator=2,from=21:00,to=21:30

Exit codes: 0 every promise held; 1 one was broken; 2 bad input."""


def replay(
    path: Annotated[Path, typer.Argument(help="A folder of price files, or one CSV file.", metavar="PATH")],
    validators: Annotated[int, typer.Option(help="How many validators, each with its own full copy.")] = 4,
    seed: Annotated[int, typer.Option(help="What all draws come from.")] = 1,
    agents: Annotated[int, typer.Option(help="How many trading accounts.")] = 200,
    start: Annotated[
        str | None, typer.Option("--from", help="Begin at this UTC time or height.", metavar="TIME")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="End at this UTC time or height.", metavar="TIME")] = None,
    block_interval: Annotated[str, typer.Option(help="Time between blocks: 60s, 5m.", metavar="TIME")] = "60s",
    blocks: Annotated[int | None, typer.Option(help="Only the first so many blocks.")] = None,
    fault: Annotated[list[str] | None, typer.Option(help="A fault; may be given often.", metavar="SPEC")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write index.html and report.png into this folder.", metavar="DIR")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep the chain in this empty directory, for verify-chain.", metavar="DIR")
    ] = None,
    margin: Annotated[
        Margin, typer.Option(help="Whether ranges follow the market; both replays it twice and compares.")
    ] = Margin.ADAPTIVE,
    stretch: Annotated[
        float, typer.Option(help="Let every move since the start count so many times, to ask what breaks.")
    ] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    kernel: KernelName = DEFAULT_KERNEL,
    readers: Annotated[int, typer.Option(help="Threads that query all the while.", hidden=True)] = 0,
    restore_at: Annotated[
        int | None, typer.Option(help="Restore the last validator from a snapshot after this height.", hidden=True)
    ] = None,
) -> None:
    """Send price history through replicas of the exchange; `_HELP` is what a user reads."""
    choose_kernel("replay", kernel)
    try:
        settings = ReplaySettings(
            path=path,
            validators=validators,
            seed=seed,
            agents=agents,
            start=start,
            end=end,
            blocks=blocks,
            interval_ms=parse_interval_ms(block_interval),
            faults=tuple(fault or ()),
            readers=readers,
            restore_at=restore_at,
            wants_series=report is not None,
            keep=keep,
            is_adaptive=margin != Margin.FIXED,
            stretch_ppm=parse_stretch_ppm(stretch),
        )
        if report is not None:
            _prepare_report(report)
        if margin == Margin.BOTH:
            _compare(settings, report, as_json=as_json)
        with watch() as on_progress:
            result = run_replay(settings, on_progress)
    except (ReplayInputError, HistoryError, FaultSpecError) as error:
        _stop(str(error), EXIT_BAD_INPUT)
    except (NodeFailedError, TimeStandsStillError) as error:
        _stop(f"a promise was broken: {_one_line(error)}", EXIT_BROKEN)
    written = _write_report(result, report) if report is not None else None
    typer.echo(result.verdict.to_json() if as_json else result.verdict.to_words())
    if written is not None:
        typer.echo(f"Report: {written}", err=True)
    raise typer.Exit(EXIT_GOOD if result.verdict.is_good else EXIT_BROKEN)


replay.__doc__ = _HELP


def _compare(settings: ReplaySettings, report: Path | None, *, as_json: bool) -> NoReturn:
    """Replay with fixed and with adaptive ranges, all else equal, and print both side by side."""
    if settings.keep is not None:
        raise ReplayInputError("--margin both runs two chains; give --keep to one run, fixed or adaptive")
    results = []
    for kind in (Margin.FIXED, Margin.ADAPTIVE):
        with watch() as on_progress:
            found = run_replay(replace(settings, is_adaptive=kind == Margin.ADAPTIVE), on_progress)
        results.append((kind.value, found))
    verdicts = [(name, found.verdict) for name, found in results]
    if report is not None:
        typer.echo(f"Report: {_write_comparison(results, report)}", err=True)
    typer.echo(compare.to_json(verdicts) if as_json else compare.to_words(verdicts))
    raise typer.Exit(EXIT_GOOD if all(verdict.is_good for _, verdict in verdicts) else EXIT_BROKEN)


def _prepare_report(folder: Path) -> None:
    """Find out before the run whether a report can be made and where it may go."""
    if find_spec("matplotlib") is None:
        raise ReplayInputError("--report needs matplotlib, which is not installed; install it or leave --report out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".holdfast"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        message = f"--report {folder}: cannot be written ({error.strerror}); choose another folder"
        raise ReplayInputError(message) from None


def _write_report(result: Replay, folder: Path) -> Path:
    from holdfast.lab.report import write_report

    return write_report(result, folder)


def _write_comparison(results: list[tuple[str, Replay]], folder: Path) -> Path:
    from holdfast.lab.report import write_comparison

    return write_comparison(results, folder)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _stop(message: str, code: int) -> NoReturn:
    typer.echo(f"holdfast replay: {message}", err=True)
    sys.stderr.flush()
    raise typer.Exit(code)
