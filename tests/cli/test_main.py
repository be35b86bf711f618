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


WRONG: list[tuple[tuple[str, ...], str]] = [
    (("--nosuch",), "holdfast: No such option: --nosuch; see: holdfast --help"),
    (("nosuch",), "holdfast: No such command 'nosuch'; see: holdfast --help"),
    (("dev", "nosuch"), "holdfast dev: No such command 'nosuch'; see: holdfast dev --help"),
    (
        ("account", "deposit", "-5"),
        "holdfast account deposit: No such option: -5; a number below zero stands behind --",
    ),
    (("query", "block", "x\x1b[31m\n"), "holdfast query block: Invalid value for"),
    (("order", "place"), "holdfast order place: Missing argument 'SIDE'; see: holdfast order place --help"),
    (("account", "session", "bot", "--days", "400"), "holdfast account session: Invalid value for '--days'"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_usage__wrong_in_any_way__ends_with_one_line_that_says_where_to_look(
    arguments: tuple[str, ...], message: str
) -> None:
    result = CliRunner().invoke(app, list(arguments), prog_name="holdfast")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(message)
    assert len(result.stderr.splitlines()) == 1
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize(
    "arguments", [("verify-chain", "a\n\x1bb"), ("backup", "a\n\x1bb", "c"), ("verify-proof", "a\n\x1bb")]
)
def test_refusal__of_a_path_with_control_characters__is_one_line_without_them(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, list(arguments), prog_name="holdfast")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "\x1b" not in result.stderr


def test_usage__a_group_alone__shows_its_help() -> None:
    result = CliRunner().invoke(app, ["account"], prog_name="holdfast")
    assert "Usage: holdfast account" in result.output
