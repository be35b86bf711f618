"""`holdfast verify-chain`: trust nobody, execute a data directory's chain again."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from holdfast.cli.kernel import DEFAULT_KERNEL, KernelName, choose_kernel
from holdfast.cli.show import stop
from holdfast.lab.audit import AuditProgress, AuditReport, AuditSettings, OnProgress
from holdfast.lab.audit import verify_chain as audit_chain
from holdfast.lab.audit_source import AuditInputError

EXIT_SAME: Final = 0
EXIT_DIFFERENT: Final = 1
EXIT_BAD_INPUT: Final = 2
_LINE_EVERY_SECONDS: Final = 5

_HELP: Final = """Execute a chain's blocks again from genesis and compare every state.

DIR is a data directory: of `holdfast up`, running or stopped, or what `holdfast replay --keep DIR` writes. Nothing in
it is changed. Every block's certificate and header are verified; its transactions run through the product and through a
second, naive engine that was written from the rules; results, state roots and headers are compared after every block.
The first difference is named: height, table, key, both values.

The second engine is slow, some ten blocks a second with an ordinary market: a long chain is audited by the product
whole, and by the second engine at both ends, with --reference-blocks.

\b
Example:
  holdfast verify-chain holdfast-data --reference-blocks 500

Exit codes: 0 everything agrees; 1 a difference, or a rule that is not covered; 2 a directory that cannot be audited."""


def verify_chain(
    directory: Annotated[Path, typer.Argument(help="A data directory.", metavar="DIR")],
    validator: Annotated[
        int | None, typer.Option(help="Whose block log; else the longest that is whole.", metavar="N")
    ] = None,
    product: Annotated[bool, typer.Option("--product/--no-product", help="Execute with the product.")] = True,
    reference: Annotated[
        bool, typer.Option("--reference/--no-reference", help="Execute with the second engine.")
    ] = True,
    first: Annotated[int, typer.Option("--from", help="Where the second engine begins.", metavar="HEIGHT")] = 1,
    last: Annotated[int | None, typer.Option("--to", help="Where the audit ends.", metavar="HEIGHT")] = None,
    every: Annotated[int, typer.Option(help="Compare states at every so many heights.", metavar="N")] = 1,
    reference_blocks: Annotated[
        int | None, typer.Option(help="Only the first and the last N blocks for the second engine.", metavar="N")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    kernel: KernelName = DEFAULT_KERNEL,
) -> None:
    """Audit a chain; `_HELP` is what a user reads."""
    choose_kernel("verify-chain", kernel)
    settings = AuditSettings(
        directory=directory,
        validator=validator,
        with_product=product,
        with_reference=reference,
        first=first,
        last=last,
        every=every,
        reference_blocks=reference_blocks,
    )
    try:
        with _watch() as on_progress:
            report = audit_chain(settings, on_progress)
    except AuditInputError as error:
        stop("verify-chain", str(error), EXIT_BAD_INPUT)
    typer.echo(_to_json(report) if as_json else _to_words(report))
    raise typer.Exit(EXIT_SAME if report.is_same else EXIT_DIFFERENT)


verify_chain.__doc__ = _HELP


@contextmanager
def _watch() -> Iterator[OnProgress]:
    """Give a function that shows how far an audit is: a bar on a terminal, a plain line now and then elsewhere."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("verify-chain", total=None)

        def show(progress: AuditProgress) -> None:
            description = f"verify-chain, second engine {progress.reference_blocks:,}"
            bar.update(task, total=progress.last, completed=progress.height, description=description)

        yield show


def _lines() -> OnProgress:
    last = time.monotonic()

    def show(progress: AuditProgress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _LINE_EVERY_SECONDS:
            last = now
            line = f"verify-chain {progress.height:,}/{progress.last:,}, second engine {progress.reference_blocks:,}"
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    return show


def _to_json(report: AuditReport) -> str:
    found = asdict(report)
    found["difference"] = None if report.difference is None else report.difference._asdict()
    return json.dumps({"verified": report.is_same, **found}, sort_keys=True)


def _to_words(report: AuditReport) -> str:
    second = f"second engine: {report.reference_blocks:,} blocks, {report.states_compared:,} states compared"
    lines = [
        f"chain {report.chain_id}, genesis {report.genesis_hash[:16]}, the log of validator {report.validator}",
        f"{report.last:,} blocks with {report.transactions:,} commands in {report.seconds:.1f} s; {second}",
    ]
    if report.note:
        lines.append(f"note: {report.note}")
    if report.difference is None:
        lines.append(f"Everything agrees. App hash {report.app_hash}")
    else:
        lines.append(f"DIFFERENCE at {report.difference.to_words()}")
    return "\n".join(lines)
