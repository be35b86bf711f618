"""`holdfast lab chaos`: real processes, killed, starved and damaged, against their own journals and files."""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from holdfast.lab.chaos.scenarios import Row

EXIT_BROKEN: Final = 1
EXIT_ABSENT: Final = 2
_VIOLATIONS_SHOWN: Final = 20

chaos = typer.Typer(
    name="chaos",
    help="Kills, system call faults, flipped bits and failing validators, on real processes.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Seed = Annotated[int, typer.Option(help="Seed of all draws.", min=0)]
Work = Annotated[
    Path | None,
    typer.Option(help="Folder for all files, which are kept; else a temporary one, kept where a promise is broken."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the outcome as one JSON object.")]
Rate = Annotated[float, typer.Option(help="Commands a second that the client sends.", min=1, max=1_000)]
Market = Annotated[bool, typer.Option("--market", help="With the devnet's own makers and takers.")]


@chaos.command()
def kills(
    runs: Annotated[int, typer.Option(help="How many kills.", min=1, max=10_000)] = 100,
    seed: Seed = 1,
    rate: Rate = 40.0,
    market: Market = False,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """SIGKILL the exchange at seeded times under load; nothing acknowledged may be lost, doubled or changed.

    Example: holdfast lab chaos kills --runs 100 --seed 7

    Exit codes: 0 all promises held; 1 one was broken, or the exchange did not come up.
    """
    from holdfast.lab.chaos import kills as lab
    from holdfast.lab.chaos.kills import Kill

    def show(kill: Kill) -> None:
        when = "starting" if kill.while_starting else f"ready in {kill.ready_s:.1f} s, lived {kill.lived_s:.1f} s"
        crashed = f", validator-{kill.crashed} crashed before" if kill.crashed >= 0 else ""
        _tell(f"kill {kill.number + 1}/{runs}: {when}{crashed}, {kill.in_flight} commands in flight")

    with _folder(work) as folder:
        report = lab.run(folder, seed=seed, runs=runs, rate=rate, options=_options("100ms", market), on_kill=show)
        facts: dict[str, object] = {
            "kills": len(report.kills),
            "with_commands_in_flight": report.with_commands,
            "while_starting": sum(1 for kill in report.kills if kill.while_starting),
            "after_a_crash": sum(1 for kill in report.kills if kill.crashed >= 0),
            "commands": report.classes,
            "answers": report.kinds,
            "heights": report.heights,
            "votes_compared": report.votes,
            "signed_anew": report.slots_signed_again,
            "took_s": round(report.took_s, 1),
        }
        _end("kills", seed, facts, report.violations, as_json=as_json)


@chaos.command()
def guard(
    rounds: Annotated[int, typer.Option(help="How often one validator gets older files back.", min=0, max=100)] = 4,
    seed: Seed = 1,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Start second instances of a running key, and restore older files: neither may sign against what was signed.

    Example: holdfast lab chaos guard --rounds 4

    Exit codes: 0 all promises held; 1 one was broken, or the exchange did not come up.
    """
    from holdfast.lab.chaos import guard as lab

    with _folder(work) as folder:
        found = lab.run(folder, seed=seed, rounds=rounds)
        facts: dict[str, object] = {
            "refusals": found.refusals,
            "older_files": found.rolled_back,
            "commands": found.books.classes,
            "heights": found.books.heights,
            "votes_compared": found.books.votes,
            "took_s": round(found.books.took_s, 1),
        }
        _end("guard", seed, facts, found.violations, as_json=as_json)


@chaos.command()
def syscalls(
    limit: Annotated[int, typer.Option(help="A seeded sample of so many trials; 0 tries all.", min=0)] = 0,
    seed: Seed = 1,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """SIGKILL, EIO and ENOSPC at each system call of the commit path; nothing acknowledged may be lost.

    Example: holdfast lab chaos syscalls --limit 100

    Exit codes: 0 all promises held; 1 one was broken; 2 strace is not there.
    """
    from holdfast.lab.chaos import syscalls as lab
    from holdfast.lab.chaos.tracing import ToolAbsentError

    done = 0

    def show(trial: lab.Trial) -> None:
        nonlocal done
        done += 1
        for violation in trial.violations:
            _tell(f"{trial.stage}, {trial.fault} at {trial.point}: {violation}")
        if done % 50 == 0:
            _tell(f"{done} trials")

    with _folder(work) as folder:
        try:
            report = lab.run(folder / "trials", seed=seed, limit=limit, on_trial=show)
        except ToolAbsentError as error:
            typer.echo(f"holdfast lab chaos syscalls: skipped: {error}", err=True)
            raise typer.Exit(EXIT_ABSENT) from None
        facts: dict[str, object] = {
            "points": report.points,
            "trials": len(report.trials),
            "outcomes": report.tally(),
            "took_s": round(report.took_s, 1),
        }
        _end("syscalls", seed, facts, report.violations, as_json=as_json)


@chaos.command()
def flips(
    count: Annotated[int, typer.Option("--flips", help="How many bits, one at a time.", min=5)] = 2_000,
    starts: Annotated[int, typer.Option(help="How many more through a whole `up`.", min=0)] = 20,
    data: Annotated[
        Path | None, typer.Option(help="Data directory of a stopped node, left as it is; else one is made.")
    ] = None,
    seed: Seed = 1,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Flip bits in the files of a stopped node: detected, repaired or harmless, never served.

    Example: holdfast lab chaos flips --flips 2000 --starts 20

    Exit codes: 0 all promises held; 1 one was broken, or the exchange did not come up.
    """
    from holdfast.lab.chaos import started as lab
    from holdfast.lab.chaos.flips import BAD, Trial

    done = 0

    def show(trial: Trial) -> None:
        nonlocal done
        done += 1
        if trial.verdict in BAD:
            _tell(f"{trial.verdict}: bit {trial.flip.bit} of {trial.flip.path}: {trial.reason}")
        if done % 100 == 0 or done > count:
            _tell(f"{done} flips")

    with _folder(work) as folder:
        report = lab.run_everywhere(folder, data, seed=seed, flips=count, starts=starts, on_trial=show)
        facts: dict[str, object] = {
            "flips": len(report.trials),
            "verdicts": report.tally(),
            "files": report.tally_files(),
            "took_s": round(report.took_s, 1),
        }
        _end("flips", seed, facts, report.violations, as_json=as_json)


@chaos.command()
def scenarios(
    window: Annotated[float, typer.Option(help="Seconds before, during and after each fault.", min=2)] = 6.0,
    only: Annotated[str, typer.Option(help="Those whose names hold this text.")] = "",
    seed: Seed = 1,
    rate: Rate = 30.0,
    market: Market = False,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Pause, kill, cut off and empty one of four and two of four while a client trades.

    Example: holdfast lab chaos scenarios --only one

    Exit codes: 0 all promises held; 1 one was broken, or the exchange did not come up.
    """
    from holdfast.lab.chaos import scenarios as lab

    chosen = [one for one in lab.SCENARIOS if only in one.name]
    if not chosen:
        names = ", ".join(one.name for one in lab.SCENARIOS)
        typer.echo(f"holdfast lab chaos scenarios: --only {only}: no name holds this; there are {names}", err=True)
        raise typer.Exit(EXIT_ABSENT)

    def show(row: lab.Row) -> None:
        _tell(_line(row))

    with _folder(work) as folder:
        _tell(_HEAD)
        outcome = lab.run(
            folder,
            seed=seed,
            scenarios=chosen,
            window_s=window,
            rate=rate,
            options=_options("200ms", market),
            on_row=show,
        )
        facts: dict[str, object] = {
            "scenarios": [_show_row(row) for row in outcome.rows],
            "commands": outcome.books.classes,
            "heights": outcome.books.heights,
            "votes_compared": outcome.books.votes,
            "took_s": round(outcome.books.took_s, 1),
        }
        _end("scenarios", seed, facts, outcome.violations, as_json=as_json)


_COLUMNS: Final = ("before p50/p99", "during p50/p99", "after p50/p99", "per s")
_HEAD: Final = f"{'scenario':<26}{''.join(f'{column:>16}' for column in _COLUMNS)}{'back':>8}  verdict"


def _line(row: "Row") -> str:
    pairs = "".join(f"{f'{part.p50_ms}/{part.p99_ms}':>16}" for part in (row.before, row.during, row.after))
    rates = "/".join(f"{part.per_s:.0f}" for part in (row.before, row.during, row.after))
    verdict = "held" if not row.violations else "BROKEN: " + "; ".join(row.violations)
    told = f", {row.pending} pending, unready after {row.unready_s:.1f} s" if row.scenario.stalls else ""
    return f"{row.scenario.name:<26}{pairs}{rates:>16}{row.back_s:>7.1f}s  {verdict}{told}"


def _show_row(row: "Row") -> dict[str, object]:
    return {
        "name": row.scenario.name,
        "validators": list(row.victims),
        "before": row.before._asdict(),
        "during": row.during._asdict(),
        "after": row.after._asdict(),
        "pending": row.pending,
        "unready_s": round(row.unready_s, 2),
        "back_s": round(row.back_s, 2),
        "height": row.height,
        "violations": row.violations,
    }


@contextmanager
def _folder(work: Path | None) -> Iterator[Path]:
    """Give a folder; a temporary one is removed unless a promise was broken."""
    from holdfast.lab.chaos.running import ExchangeDownError

    folder = work or Path(tempfile.mkdtemp(prefix="holdfast-chaos-"))
    try:
        yield folder
    except ExchangeDownError as error:
        typer.echo(f"holdfast lab chaos: {error}; its files are in {folder}", err=True)
        raise typer.Exit(EXIT_BROKEN) from None
    except typer.Exit as leaving:
        if leaving.exit_code == EXIT_BROKEN:
            _tell(f"the files are kept in {folder}")
        elif work is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _options(interval: str, market: bool) -> tuple[str, ...]:
    return ("--block-interval", interval, *(() if market else ("--no-market",)))


def _end(name: str, seed: int, facts: dict[str, object], violations: Sequence[str], *, as_json: bool) -> None:
    verdict = "broken" if violations else "held"
    if as_json:
        outcome = {"command": name, "seed": seed, "verdict": verdict, **facts, "violations": list(violations)}
        typer.echo(json.dumps(outcome))
    else:
        typer.echo(f"{name}: {verdict}, seed {seed}")
        for key, value in facts.items():
            if key != "scenarios":
                typer.echo(f"  {key.replace('_', ' ')}: {_words(value)}")
        for violation in violations[:_VIOLATIONS_SHOWN]:
            typer.echo(f"  broken: {violation}")
        if len(violations) > _VIOLATIONS_SHOWN:
            typer.echo(f"  and {len(violations) - _VIOLATIONS_SHOWN} more")
    raise typer.Exit(EXIT_BROKEN if violations else 0)


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(one)}" for key, one in value.items()) or "none"
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
