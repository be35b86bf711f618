"""`holdfast risk fit`: an option chain as the oracle's integer surface, with errors and pictures."""

import sys
from collections import Counter
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, Protocol

import typer

from holdfast.cli.options import Json
from holdfast.cli.risk_shared import EXIT_BAD_INPUT, find_files, refuse
from holdfast.cli.show import note, one_line, print_json, print_table
from holdfast.risk import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from holdfast.risk.chain import Chain
    from holdfast.risk.fit_report import Errors, FitReport

HELP: Final = """Fit option chains, free of arbitrage, as the integers that the oracle reports.

CHAIN is a CSV file: a Deribit snapshot, or instrument, time, bid, ask, forward (docs/risk.md), or a folder of such
files. Rows that tell nothing are left out and counted. Errors are in volatility points, of the exchange's own kernel
against the middle of bid and ask: core is |delta| from 0.1 to 0.9, wings what lies beyond. One file is shown by expiry,
several by their errors, with those that cannot be fitted told and passed over.

\b
Example:
  holdfast risk fit examples/risk/chain.csv --report out

Exit codes: 0 fitted, whatever the errors; 2 bad input, told with its row and field."""

_COLUMNS: Final = (
    "expiry",
    "days",
    "quotes",
    "forward",
    "vol",
    "theta e12",
    "rho ppm",
    "eta ppm",
    "shift ppm",
    "width ppm",
    "core",
    "wings",
    "largest",
    "butterflies",
    "crossings",
)
_SUMMARY: Final = (
    "chain",
    "underlying",
    "expiries",
    "quotes",
    "core",
    "wings",
    "largest",
    "butterflies",
    "crossings",
    "report bytes",
    "left out",
)


class Refused(NamedTuple):
    """A chain that cannot be fitted, and why."""

    chain: str
    error: InputError


class OnStep(Protocol):
    """Told before each underlying of each chain."""

    def __call__(self, done: int, name: str) -> None: ...


def fit(
    chains: Annotated[list[Path], typer.Argument(help="One or more chains.", metavar="CHAIN...", show_default=False)],
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Write smile plots and index.html into this folder.", metavar="DIR"),
    ] = None,
    to_marks: Annotated[
        bool,
        typer.Option("--to-marks", help="Fit to the file's own marks alone, not to the middle of bid and ask too."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Fit option chains; `HELP` is what a user reads."""
    files = _find_chains(chains, as_json=as_json)
    refused: list[Refused] = []
    try:
        if report is not None:
            _prepare(report)
        loaded = [(path, chain) for path in files for chain in _load(path, refused)]
        found = _fit_all(loaded, refused, to_marks=to_marks)
        if refused and (len(files) == 1 or not found):
            raise refused[0].error
    except InputError as error:
        refuse("fit", error, as_json=as_json)
    if report is not None:
        from holdfast.risk.fit_page import write_page

        try:
            with _watch("draw", len(found)) as on_step:
                page = write_page(found, report, on_step)
        except InputError as error:
            refuse("fit", error, as_json=as_json)
        note(f"report: {page}")
    if as_json:
        print_json([*(_tell(name, one) for name, one in found), *map(_tell_refused, refused)])
    elif len(files) == 1:
        for _, one in found:
            _show(one)
    else:
        rows = [_summarise(name, one) for name, one in found]
        print_table(_SUMMARY, rows, title=_UNITS, numbers=_SUMMARY[2:10])
        typer.echo(_sum_up([one for _, one in found]))
    for _, problem in refused:
        note(one_line(f"refused: {problem}"))
    if refused:
        raise typer.Exit(EXIT_BAD_INPUT)


_UNITS: Final = "errors: median, in volatility points; butterflies, crossings: points of a dense grid"


def _find_chains(paths: list[Path], *, as_json: bool) -> list[Path]:
    """Return the files that are meant: those given, and of a folder those whose first line is a chain's."""
    from holdfast.risk.chain import is_chain_file

    files: list[Path] = []
    for path in paths:
        inside = find_files("fit", [path], as_json=as_json, suffixes=(".csv",))
        chosen = [file for file in inside if is_chain_file(file)] if path.is_dir() else inside
        if not chosen:
            refuse("fit", InputError(f"{path}", "", "the folder holds no chain"), as_json=as_json)
        files.extend(chosen)
    return files


def _load(path: Path, refused: "list[Refused]") -> "list[Chain]":
    from holdfast.risk.chain import load_chains

    try:
        return load_chains(path)
    except InputError as error:
        refused.append(Refused(path.name, _at(path, error)))
        return []


def _fit_all(
    loaded: "Sequence[tuple[Path, Chain]]", refused: "list[Refused]", *, to_marks: bool
) -> "list[tuple[str, FitReport]]":
    from holdfast.risk.fit import fit_chain
    from holdfast.risk.fit_report import measure

    found = []
    # Files of one name in several folders are told apart by their paths.
    alike = Counter(path.name for path in {path for path, _ in loaded})
    with _watch("fit", len(loaded)) as on_step:
        for done, (path, chain) in enumerate(loaded):
            name = path.name if alike[path.name] == 1 else f"{path}"
            on_step(done, f"{name} {chain.underlying}")
            try:
                found.append((name, measure(fit_chain(chain, to_marks=to_marks))))
            except InputError as error:
                refused.append(Refused(name, _at(path, error)))
    return found


def _at(path: Path, error: InputError) -> InputError:
    return InputError(": ".join(part for part in (str(path), error.row) if part), error.field, error.problem)


def _prepare(folder: Path) -> None:
    """Find out before the work whether a report can be made and where it may go."""
    if find_spec("matplotlib") is None:
        raise InputError("--report", "", "needs matplotlib (extra `report`); install it or leave the option out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("--report", "", f"cannot be made: {error}") from None


@contextmanager
def _watch(work: str, total: int) -> "Iterator[OnStep]":
    if total == 1:
        yield _say_nothing
        return
    if not sys.stderr.isatty():
        yield lambda done, name: note(f"{work} {done + 1}/{total} {name}")
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(work, total=total)
        yield lambda done, name: bar.update(task, completed=done, description=f"{work} {name}")


def _say_nothing(done: int, name: str) -> None:
    """Let a single chain be fitted without a word."""


def _show(one: "FitReport") -> None:
    chain = one.fit.chain
    rows = [
        (
            f"{expiry.points.expiry:%d%b%y}".upper().lstrip("0"),
            f"{expiry.points.years * 365:.2f}",
            expiry.errors.quotes,
            f"{expiry.forward:,.2f}",
            f"{expiry.vol:.2%}",
            *expiry.smile,
            *_write(expiry.errors),
            expiry.arbitrage.butterflies,
            expiry.arbitrage.crossings,
        )
        for expiry in one.expiries
    ]
    print_table(_COLUMNS, rows, title=f"{chain.underlying} {chain.time:%Y-%m-%d %H:%M:%S} UTC", numbers=_COLUMNS[1:])
    core, wings, largest = _write(one.errors)
    if one.mark_errors is not None:
        typer.echo("against marks: core {}, wings {}, largest {}".format(*_write(one.mark_errors)))
    typer.echo(
        f"all expiries: core {core}, wings {wings}, largest {largest} volatility points; "
        f"least density {one.density_least:.4f}, butterflies {one.butterflies}, crossings {one.crossings}; "
        f"{'admissible' if one.is_admissible else 'refused'} on chain, {one.report_bytes} bytes of a report"
    )
    left = [f"{count} {reason}" for reason, count in chain.left_out.items()]
    left += [f"{count} of {expiry:%d%b%y}, too few" for expiry, count in one.fit.thin.items()]
    typer.echo(f"left out of {chain.rows} rows: {', '.join(left) or 'none'}\n")


def _summarise(name: str, one: "FitReport") -> tuple[object, ...]:
    left = sum(one.fit.chain.left_out.values())
    return (
        name,
        one.fit.chain.underlying,
        len(one.expiries),
        one.errors.quotes,
        *_write(one.errors),
        one.butterflies,
        one.crossings,
        one.report_bytes,
        left,
    )


def _sum_up(found: "Sequence[FitReport]") -> str:
    """Return what is worst of all chains, and whether it is within the aims."""
    from holdfast.risk.fit_report import CORE_LIMIT, WINGS_LIMIT

    cores, wings = (
        [error for error in errors if error is not None]
        for errors in zip(*((one.errors.core, one.errors.wings) for one in found), strict=True)
    )
    beyond = sum(not one.is_within_limits for one in found)
    verdict = f"{beyond:,} not within" if beyond else "all within"
    return (
        f"{len(found):,} chains, {sum(one.errors.quotes for one in found):,} quotes: largest core "
        f"{max(cores, default=0.0):.2f}, largest wings {max(wings, default=0.0):.2f}; {verdict} {CORE_LIMIT} and "
        f"{WINGS_LIMIT} points without arbitrage"
    )


def _write(errors: "Errors") -> tuple[str, str, str]:
    core, wings = ("" if value is None else f"{value:.2f}" for value in (errors.core, errors.wings))
    return core, wings, f"{errors.largest:.2f}"


def _tell_refused(refused: Refused) -> dict[str, object]:
    return {"chain": refused.chain, "refused": str(refused.error)}


def _tell(name: str, one: "FitReport") -> dict[str, object]:
    from dataclasses import asdict

    chain = one.fit.chain
    return {
        "chain": name,
        "underlying": chain.underlying,
        "time": f"{chain.time:%Y-%m-%dT%H:%M:%SZ}",
        "fitted_to": "marks" if one.fit.to_marks else "quotes" if one.mark_errors is None else "quotes and marks",
        "rows": chain.rows,
        "left_out": {reason.name.lower(): count for reason, count in chain.left_out.items()},
        "thin_expiries": {f"{expiry:%Y-%m-%d}": count for expiry, count in one.fit.thin.items()},
        "errors": asdict(one.errors),
        "mark_errors": None if one.mark_errors is None else asdict(one.mark_errors),
        "density_least": one.density_least,
        "butterflies": one.butterflies,
        "crossings": one.crossings,
        "is_admissible": one.is_admissible,
        "is_within_limits": one.is_within_limits,
        "report_bytes": one.report_bytes,
        "expiries": [
            {
                "expiry": f"{expiry.points.expiry:%Y-%m-%dT%H:%M:%SZ}",
                "forward": expiry.forward,
                "vol": expiry.vol,
                **expiry.smile._asdict(),
                "errors": asdict(expiry.errors),
                "arbitrage": asdict(expiry.arbitrage),
            }
            for expiry in one.expiries
        ],
    }
