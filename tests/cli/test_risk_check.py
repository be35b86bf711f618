"""`holdfast risk margin --check`: a table of errors for an auditor, and an exit code for a script."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from holdfast.cli.main import app
from tests.support.margin_cases import EXAMPLES, STANDARD_FILE, VECTORS, changed, needs_vectors, pm2_case

EXAMPLE = EXAMPLES / "deribit_example.json"


def call(*arguments: object) -> tuple[int, str, str]:
    command = ["risk", "margin", "--check", *map(str, arguments)]
    result = CliRunner().invoke(app, command, prog_name="holdfast", catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def write(path: Path, name: str, **figures: object) -> Path:
    case = changed(pm2_case(), lambda told: told["Result"].update(figures))
    (path / name).write_text(json.dumps(case), encoding="utf-8")
    return path / name


def test_example__is_told_with_its_errors_and_a_summary() -> None:
    code, out, err = call(EXAMPLE)
    assert (code, err) == (0, "")
    head, row, summary = out.splitlines()
    assert head.split("  ")[0] == "case"
    assert row.split()[:3] == [str(EXAMPLE), "deribit-pm", "5"]
    assert summary.startswith("1 cases, 5 figures: all within 1e-06; largest relative error ")


@needs_vectors
def test_published_files__of_both_managers__are_all_within_the_tolerance() -> None:
    code, out, err = call(VECTORS / "derive_pm2", STANDARD_FILE, EXAMPLE, "--tolerance", "1e-10", "--json")
    told: dict[str, Any] = json.loads(out)
    assert (code, err, told["is_within_tolerance"]) == (0, "", True)
    assert {case["model"] for case in told["cases"]} == {"derive-pm2", "derive-standard", "deribit-pm"}
    assert len(told["cases"]) == 47 + 14 + 1
    assert told["figures"] == sum(case["figures"] for case in told["cases"]) > 10_000
    assert told["largest_relative"] == max(case["worst"]["relative"] for case in told["cases"])


def test_figure_beyond_the_tolerance__is_told_and_ends_with_one(tmp_path: Path) -> None:
    near, far = write(tmp_path, "a.json", Cash=5_000), write(tmp_path, "b.json", Cash=5_001, MMLossFactor=0.8)
    code, out, err = call(tmp_path)
    assert code == 1
    assert err == f"{far}: Cash: published 5001.0, ours 5000.0\n"
    # The folder that they share stands above.
    lines = out.splitlines()
    assert lines[0] == f"in {tmp_path}/"
    assert [line.split()[0] for line in lines[2:4]] == ["a.json", "b.json"]
    assert lines[4].startswith("2 cases, 3 figures: 1 beyond 1e-06; largest relative error 2.0e-04 (b.json: Cash)")
    code, out, _ = call(tmp_path, "--json")
    told = json.loads(out)
    assert (code, told["is_within_tolerance"]) == (1, False)
    assert [case["beyond_tolerance"] for case in told["cases"]] == [[], [told["cases"][1]["worst"]]]
    assert call(tmp_path, "--tolerance", "0.001")[0] == 0
    assert call(near)[0] == 0


def test_file_that_cannot_be_checked__is_told_and_the_others_are_checked(tmp_path: Path) -> None:
    write(tmp_path, "a.json", Cash=5_000)
    nothing = write(tmp_path, "b.json")
    (tmp_path / "c.json").write_text("{", encoding="utf-8")
    code, out, err = call(tmp_path)
    assert code == 2
    assert "1 cases, 1 figures: all within" in out
    assert f"{nothing} refused: published: is no figure that derive-pm2 tells" in err
    assert f"{tmp_path}/c.json refused: line 1: column 2: the file is not JSON" in err
    code, out, _ = call(tmp_path, "--json")
    assert (code, json.loads(out)["is_within_tolerance"]) == (2, False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((EXAMPLE, "--model", "derive-pm2"), "publishes no figures under derive-pm2"),
        ((EXAMPLE, "--model", "span"), "--model: 'span' is none of holdfast"),
        ((EXAMPLE, "--case", "Test9"), "--case: 'Test9' is not in the file"),
        ((EXAMPLE, "--tolerance", "nan"), "--tolerance: is zero or more"),
        ((EXAMPLE, "--tolerance", "-1"), "--tolerance: is zero or more"),
        ((EXAMPLES / "account.json",), "published: the file publishes no figures to hold ours against"),
    ],
)
def test_wrong_arguments__end_with_one_line_and_two(arguments: tuple[object, ...], words: str) -> None:
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_tolerance__without_a_check__is_refused() -> None:
    command = ["risk", "margin", str(EXAMPLES / "account.json"), "--tolerance", "0.1"]
    result = CliRunner().invoke(app, command, prog_name="holdfast", catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--tolerance: goes with --check" in result.stderr
