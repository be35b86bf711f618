"""`holdfast risk fit`: an option chain as the oracle's integer surface, with errors and pictures."""

import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn, Protocol

import typer

from holdfast.cli.options import Json
from holdfast.cli.show import note, one_line, print_json, print_table, stop
from holdfast.risk import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from holdfast.risk.chain import Chain
    from holdfast.risk.fit_report import Errors, FitReport

EXIT_BAD_INPUT: Final = 2

HELP: Final = """Fit option chains, free of arbitrage, as the integers that the oracle reports.

CHAIN is a CSV file: a Deribit snapshot, or instrument, time, bid, ask, forward (docs/risk.md). Rows that tell nothing
are left out and counted. Errors are in volatility points, of the exchange's own kernel against the middle of bid and
ask: core is |delta| from 0.1 to 0.9, wings what lies beyond. One chain is shown by expiry, several by their errors.

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
    try:
        if report is not None:
            _prepare(report)
        loaded = [(path, chain) for path in chains for chain in _load(path)]
        found = _fit_all(loaded, to_marks=to_marks)
    except InputError as error:
        _refuse(error, as_json=as_json)
    if report is not None:
        from holdfast.risk.fit_page import write_page

        try:
            with _watch("draw", len(found)) as on_step:
                page = write_page(found, report, on_step)
        except InputError as error:
            _refuse(error, as_json=as_json)
        note(f"report: {page}")
    if as_json:
        print_json([_tell(name, one) for name, one in found])
    elif len(chains) == 1:
        for _, one in found:
            _show(one)
    else:
        rows = [_summarise(name, one) for name, one in found]
        print_table(_SUMMARY, rows, title=_UNITS, numbers=_SUMMARY[2:10])


_UNITS: Final = "errors: median, in volatility points; butterflies, crossings: points of a dense grid"


def _load(path: Path) -> "list[Chain]":
    from holdfast.risk.chain import load_chains

    try:
        return load_chains(path)
    except InputError as error:
        raise _at(path, error) from None


def _fit_all(loaded: "Sequence[tuple[Path, Chain]]", *, to_marks: bool) -> "list[tuple[str, FitReport]]":
    from holdfast.risk.fit import fit_chain
    from holdfast.risk.fit_report import measure

    found = []
    with _watch("fit", len(loaded)) as on_step:
        for done, (path, chain) in enumerate(loaded):
            on_step(done, f"{path.name} {chain.underlying}")
            try:
                found.append((path.name, measure(fit_chain(chain, to_marks=to_marks))))
            except InputError as error:
                raise _at(path, error) from None
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


def _refuse(error: InputError, *, as_json: bool) -> NoReturn:
    if as_json:
        told = {"type": "InputError", "message": one_line(str(error)), "row": error.row, "field": error.field}
        print_json({"error": told, "exit_code": EXIT_BAD_INPUT})
    stop("risk fit", str(error), EXIT_BAD_INPUT)


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


def _write(errors: "Errors") -> tuple[str, str, str]:
    core, wings = ("" if value is None else f"{value:.2f}" for value in (errors.core, errors.wings))
    return core, wings, f"{errors.largest:.2f}"


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
