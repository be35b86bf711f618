"""`holdfast lab`: the fault lab."""

import sys
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from holdfast.cli.chaos import chaos
from holdfast.cli.kernel import DEFAULT_KERNEL, KernelName, choose_kernel
from holdfast.lab.history import HistoryError
from holdfast.lab.replay_settings import ReplayInputError
from holdfast.lab.simulate import SeedResult, count_kinds, run_seeds

EXIT_BROKEN: Final = 1
EXIT_BAD_INPUT: Final = 2
FIRED_LEAST: Final = 20

lab = typer.Typer(name="lab", help="The fault lab.", no_args_is_help=True, rich_markup_mode=None)
lab.add_typer(chaos)


@lab.callback()
def _lab() -> None:
    """Run the fault lab; each of its commands has its own --help with an example."""


@lab.command()
def simulate(
    path: Annotated[Path, typer.Argument(help="Price history to trade on.")] = Path("examples/crash_hour"),
    seeds: Annotated[int, typer.Option(help="How many seeds.", min=1, max=1_000_000)] = 200,
    first: Annotated[int, typer.Option(help="The first seed.", min=0)] = 0,
    jobs: Annotated[int, typer.Option(help="Processes side by side.", min=1, max=64)] = 2,
    kernel: KernelName = DEFAULT_KERNEL,
) -> None:
    """Run many short seeded simulations with trades and faults; agreement and liveness must hold in all.

    Example: holdfast lab simulate --seeds 200 --jobs 2

    Exit codes: 0 all held; 1 a run failed, or a kind of fault fired in fewer than 20 of 200 runs; 2 bad input.
    """
    choose_kernel("lab simulate", kernel)
    started = time.monotonic()
    done = 0

    def show(result: SeedResult) -> None:
        nonlocal done
        done += 1
        if result.failures:
            typer.echo(f"seed {result.seed}: {'; '.join(result.failures)}", err=True)
        elif sys.stderr.isatty():
            typer.echo(f"\r{done}/{seeds} seeds", err=True, nl=False)

    try:
        results = run_seeds(path, range(first, first + seeds), jobs=jobs, kernel=kernel, on_result=show)
    except (HistoryError, ReplayInputError) as error:
        typer.echo(f"holdfast lab simulate: {error}", err=True)
        raise typer.Exit(EXIT_BAD_INPUT) from None
    kinds = count_kinds(results)
    failed = [result.seed for result in results if result.failures]
    rare = [kind for kind, count in kinds.items() if count < FIRED_LEAST] if seeds >= 10 * FIRED_LEAST else []
    typer.echo(
        f"{len(results)} seeds, {sum(result.blocks for result in results)} blocks, "
        f"{sum(result.orders for result in results)} orders, {sum(result.fills for result in results)} fills, "
        f"{sum(result.halted_blocks for result in results)} intervals without a block, "
        f"{time.monotonic() - started:.0f} s; failed: {failed or 'none'}"
    )
    typer.echo("runs in which each fault fired: " + ", ".join(f"{kind} {kinds[kind]}" for kind in sorted(kinds)))
    if failed or rare:
        raise typer.Exit(EXIT_BROKEN)
