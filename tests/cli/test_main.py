"""The program as a whole: every command is listed, loads, and starts without what only others need."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from holdfast.cli.main import COMMANDS, app

HEAVY = ("numpy", "aiohttp", "cryptography", "holdfast.protocol", "holdfast.lab", "holdfast.node", "holdfast.gateway")


def test_help__of_the_program__lists_every_command_and_imports_none() -> None:
    source = f"""
import sys
from typer.testing import CliRunner
from holdfast.cli.main import app
result = CliRunner().invoke(app, ["--help"], prog_name="holdfast")
assert result.exit_code == 0, result.output
print(result.stdout)
loaded = [name for name in {HEAVY!r} if name in sys.modules]
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, entry in COMMANDS.items():
        assert f"  {name} " in done.stdout
        assert entry.summary.endswith(".")


@pytest.mark.parametrize("name", ["account", "order", "query", "watch"])
def test_help__of_the_client_s_commands__needs_nothing_of_the_network(name: str) -> None:
    source = f"""
import sys
from typer.testing import CliRunner
from holdfast.cli.main import app
assert CliRunner().invoke(app, [{name!r}, "--help"], prog_name="holdfast").exit_code == 0
loaded = [name for name in {HEAVY!r} if name in sys.modules]
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", list(COMMANDS))
def test_commands__each_of_them__loads_and_has_a_page(name: str) -> None:
    command = typer.main.get_command(app)
    assert name in getattr(command, "commands")  # noqa: B009 -- the type of a group is the library's own
    result = CliRunner().invoke(app, [name, "--help"], prog_name="holdfast")
    assert result.exit_code == 0
    assert f"Usage: holdfast {name}" in result.stdout


def test_commands__one_that_there_is_not__is_refused_with_the_nearest() -> None:
    result = CliRunner().invoke(app, ["ordr"], prog_name="holdfast")
    assert result.exit_code == 2
    assert "Did you mean 'order'?" in " ".join(result.stderr.split())
