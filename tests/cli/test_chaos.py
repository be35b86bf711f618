"""The command line of the chaos harness: help, one line for bad input, exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli.main import app
from holdfast.lab.chaos import syscalls
from holdfast.lab.chaos.syscalls import Report, Trial
from holdfast.lab.chaos.tracing import Point


def call(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["lab", "chaos", *arguments], prog_name="holdfast")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("command", ["kills", "guard", "syscalls", "flips", "scenarios"])
def test_help__of_each_command__has_an_example_and_the_exit_codes(command: str) -> None:
    code, out, _ = call(command, "--help")
    assert code == 0
    assert f"Example: holdfast lab chaos {command}" in " ".join(out.split())
    assert "Exit codes: 0 all promises held" in " ".join(out.split())


def test_scenarios__of_no_such_name__is_one_line_that_names_them() -> None:
    code, _, error = call("scenarios", "--only", "three")
    assert code == 2
    assert error.count("\n") == 1
    assert "two killed" in error


def test_syscalls__without_the_tracer__is_skipped_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    code, out, error = call("syscalls", "--work", str(tmp_path))
    assert (code, out) == (2, "")
    assert "skipped: strace is not installed" in error


@pytest.mark.parametrize(("violations", "code", "verdict"), [((), 0, "held"), (("it lost height 9",), 1, "broken")])
def test_syscalls__json__is_one_object_with_seed_and_verdict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, violations: tuple[str, ...], code: int, verdict: str
) -> None:
    trial = Trial("heavy", Point("write", "log", 1), "EIO", "stopped", violations)
    monkeypatch.setattr(syscalls, "run", lambda *_, **__: Report(4, {"heavy": 1}, [trial], 0.5))
    found, out, _ = call("syscalls", "--seed", "4", "--json", "--work", str(tmp_path))
    assert found == code
    told = json.loads(out)
    assert (told["seed"], told["verdict"], told["outcomes"]["EIO"]) == (4, verdict, {"stopped": 1})
    assert len(told["violations"]) == len(violations)
