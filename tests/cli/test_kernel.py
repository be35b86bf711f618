"""The option `--kernel`: what it takes, where its setting is read, what it refuses."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli.main import app
from holdfast.primitives import pricing
from holdfast.primitives.pricing import kernel
from holdfast.primitives.pricing.golden import GOLDEN
from holdfast.primitives.pricing.native import Native
from holdfast.primitives.pricing.reference import Reference

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "crash_hour")
REPLAY = ("replay", EXAMPLE, "--agents", "24", "--blocks", "2", "--json")
COMMANDS = [("up",), REPLAY, ("lab", "simulate", EXAMPLE, "--seeds", "1"), ("verify-chain", EXAMPLE)]


@pytest.fixture(autouse=True)
def _chosen_before() -> Iterator[None]:
    before = kernel._choice.name, kernel._choice.kernel
    yield
    kernel._choice.name, kernel._choice.kernel = before


def call(*arguments: str, **environment: str) -> tuple[int, str]:
    result = CliRunner(env=environment).invoke(app, list(arguments), prog_name="holdfast")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_kernel__unknown__is_refused_in_one_line_by_every_command_that_prices(command: tuple[str, ...]) -> None:
    code, err = call(*command, "--kernel", "fortran")
    assert code == 2
    assert "--kernel fortran: this machine has native, " in err
    assert err.count("\n") == 1


def test_kernel__with_other_bits__ends_the_command_with_both_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    def off_by_one(_: Native, slices: pricing.Slices, options: pricing.Options) -> pricing.Marks:
        marks = Reference.compute_marks(slices, options)
        return marks._replace(mark_e8=marks.mark_e8 + 1)

    monkeypatch.setattr(Native, "compute_marks", off_by_one)
    code, err = call(*REPLAY)
    assert code == 1
    assert err.startswith("holdfast replay: the pricing kernel native-")
    assert GOLDEN in err
    assert err.count("\n") == 1


def test_kernel__without_a_word__is_native() -> None:
    assert call(*REPLAY)[0] == 0
    assert isinstance(kernel.chosen(), Native)


def test_kernel__by_option__is_taken() -> None:
    assert call(*REPLAY, "--kernel", "native-portable")[0] == 0
    assert pricing.ensure_kernel() == "native-portable"


def test_kernel__by_setting__is_taken() -> None:
    assert call(*REPLAY, HOLDFAST_KERNEL="numpy")[0] == 0
    assert pricing.ensure_kernel() == "numpy"
