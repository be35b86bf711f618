"""The `holdfast` command: one file a subcommand, all of them listed here.

Exit codes of every command: 0 all promises held; 1 one was broken; 2 bad input, told in one line that names it and the
mend; 130 interrupted.
"""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from holdfast.cli.bench import bench
from holdfast.cli.lab import lab
from holdfast.cli.replay import replay

app = typer.Typer(
    name="holdfast",
    help="Holdfast: a Byzantine-fault-tolerant exchange and clearing house for crypto options.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("replay")(replay)
app.command("bench")(bench)
app.add_typer(lab, name="lab")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"holdfast {version('holdfast')}")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Run one of the commands below; each has its own --help with an example."""


def main() -> None:
    """Run the command line."""
    try:
        app(prog_name="holdfast")
    except KeyboardInterrupt:
        typer.echo("holdfast: interrupted", err=True)
        sys.exit(130)
