"""The `holdfast` command: one file a subcommand, all of them listed here.

Exit codes of every command: 0 done, or all promises held; 1 failed, or a promise was broken; 2 bad input, told in one
line that names it and the mend; 3 a key, a passphrase or a right is missing; 4 the exchange refused; 5 no node answers;
6 the chain does not advance; 130 interrupted.
"""

import sys
from importlib.metadata import version
from typing import Annotated, Final

import typer

from holdfast.cli.lazy import Entry, make_group

# A command is imported when it is asked for: `module:name` below `holdfast.cli`, a function or an app.
COMMANDS: Final = {
    "up": Entry("up:up", "Start an exchange on this machine: validators, market, API."),
    "dev": Entry("dev:dev", "Faults, prices and time on a running devnet."),
    "account": Entry("account:account", "Keys and accounts: create, list, deposit, withdraw, session, rotate."),
    "order": Entry("order:order", "Place, amend and cancel orders; quote."),
    "query": Entry("query:query", "Read the exchange: books, positions, margin, blocks, proofs."),
    "watch": Entry("watch:watch", "Follow books, trades, blocks or an account."),
    "replay": Entry("replay:replay", "Send price history through replicas, with faults, to a verdict."),
    "verify-proof": Entry("verify_proof:check", "Check a proof of a row of the state, without a node."),
    "verify-chain": Entry("verify_chain:verify_chain", "Execute a chain again with two engines, and compare."),
    "backup": Entry("backup:backup", "Copy a data directory, running or stopped."),
    "restore": Entry("backup:restore", "Make a data directory, or one validator of it, of a backup."),
    "risk": Entry(
        "risk:risk", "Margin, scenarios and what-ifs of a portfolio, by the exchange's rules and published ones."
    ),
    "bench": Entry("bench:bench", "Measure the exchange against a peer and a limit."),
    "lab": Entry("lab:lab", "The fault lab."),
}

app = typer.Typer(
    name="holdfast",
    cls=make_group(COMMANDS),
    help="Holdfast: a Byzantine-fault-tolerant exchange and clearing house for crypto options.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


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
