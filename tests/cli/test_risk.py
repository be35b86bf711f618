"""`holdfast risk`: margins and comparisons for people and machines, and one line for whatever is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from holdfast.cli.main import app
from tests.support.margin_cases import (
    EXAMPLES,
    PM2_FILES,
    STANDARD_FILE,
    account_document,
    changed,
    document,
    needs_vectors,
)

KEYS = {"initial", "maintenance", "mark_to_market", "worst_scenario", "scenarios"}
EXAMPLE = EXAMPLES / "portfolio.json"


def call(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["risk", *map(str, arguments)], prog_name="holdfast", catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def ask(*arguments: object) -> dict[str, Any]:
    code, out, err = call(*arguments, "--json")
    assert (code, err) == (0, "")
    told: dict[str, Any] = json.loads(out)
    return told


@pytest.mark.parametrize(
    ("command", "example"),
    [
        ("margin", "account.json"),
        ("scenarios", "account.json"),
        ("whatif", 'account.json --trade "+5'),
        ("compare", "portfolio.json"),
    ],
)
def test_help__has_an_example_and_the_exit_codes(command: str, example: str) -> None:
    code, out, _ = call(command, "--help")
    assert code == 0
    assert f"holdfast risk {command} examples/risk/{example}" in " ".join(out.split())
    assert "Exit codes: 0" in out


def test_margin__of_the_venue_s_example__tells_its_figures() -> None:
    told = ask("margin", EXAMPLES / "deribit_example.json", "--model", "deribit-pm")
    assert set(told) >= KEYS
    assert (told["initial"], round(told["maintenance"], 12)) == (0.122861343, 0.050274504784)
    assert told["figures"]["BTC inverse"]["risk_matrix_margin"] == pytest.approx(0.06284313098, abs=1e-12)


def test_margin__for_people__tells_the_margins_and_every_scenario() -> None:
    code, out, _ = call("margin", EXAMPLE, "--model", "derive-pm2")
    assert code == 0
    assert "initial, left after the requirement      70,085.80 USD" in out
    assert "worst scenario                           spot-18% vol-up" in out
    assert sum(line.startswith("spot") for line in out.splitlines()) == 31


def test_margin__of_a_model_without_scenarios__says_so() -> None:
    assert "the model has none" in call("margin", EXAMPLE, "--model", "deribit-standard")[1]


@needs_vectors
@pytest.mark.parametrize("path", PM2_FILES[::12], ids=lambda path: path.stem)
def test_margin__of_a_published_file__reproduces_it(path: Path) -> None:
    told = ask("margin", path, "--model", "derive-pm2")
    wanted = json.loads(path.read_text(encoding="utf-8"))["Result"]
    assert (told["initial"], told["maintenance"]) == (pytest.approx(wanted["IM"]), pytest.approx(wanted["MM"]))


@needs_vectors
def test_margin__of_a_file_of_cases__tells_each_by_its_name() -> None:
    told = ask("margin", STANDARD_FILE, "--model", "derive-standard")
    wanted = json.loads(STANDARD_FILE.read_text(encoding="utf-8"))
    assert list(told) == list(wanted)
    assert all(set(case) >= KEYS for case in told.values())
    one = ask("margin", STANDARD_FILE, "--model", "derive-standard", "--case", "Test21")
    assert one == told["Test21"]
    code, out, _ = call("margin", STANDARD_FILE, "--model", "derive-standard")
    assert (code, len(out.splitlines())) == (0, 15)
    assert call("compare", STANDARD_FILE, "--case", "Test21")[0] == 0
    assert set(ask("compare", STANDARD_FILE)) == set(wanted)


def test_margin__without_a_model__is_the_exchange_s_own() -> None:
    told = ask("margin", EXAMPLES / "account.json")
    assert set(told) >= KEYS
    assert (told["model"], told["currency"]) == ("holdfast", "USD")
    assert told["initial"] == told["figures"]["initial_atoms"] / 10**6
    code, out, _ = call("margin", EXAMPLES / "account.json")
    assert code == 0
    assert f"initial, required      {told['initial']:,.2f} USD" in out


def test_margin__of_a_folder__tells_each_file_and_passes_over_what_is_wrong(tmp_path: Path) -> None:
    for name, change in (("a", 0), ("b", 1_000), ("c", "much")):
        content = changed(account_document(), lambda case, cash=change: case["account"].update(cash=cash))  # type: ignore[misc]
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "notes.txt").write_text("no portfolio", encoding="utf-8")
    code, out, err = call("margin", tmp_path)
    assert code == 2
    folder, *lines = out.splitlines()
    assert folder == f"in {tmp_path}/"
    assert [line.split()[0] for line in lines] == ["case", "a.json", "b.json"]
    assert f"{tmp_path}/c.json refused: account: cash: 'much' is not a number" in err
    assert "2 margined, 1 refused" in err
    code, out, _ = call("margin", tmp_path, "--json")
    told = json.loads(out)
    assert code == 2
    assert [set(answer) >= KEYS for answer in told.values()] == [True, True, False]
    assert "much" in told[f"{tmp_path}/c.json"]["refused"]


def test_margin__of_a_folder__tells_the_files_of_its_folders_too(tmp_path: Path) -> None:
    (tmp_path / "of" / "a").mkdir(parents=True)
    for place in (tmp_path / "b.json", tmp_path / "of" / "a" / "c.json"):
        place.write_text(json.dumps(account_document()), encoding="utf-8")
    code, out, _ = call("margin", tmp_path)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["b.json", "of/a/c.json"]


def test_compare__tells_every_model_side_by_side() -> None:
    told = ask("compare", EXAMPLE)
    assert list(told) == ["holdfast", "derive-pm2", "derive-standard", "deribit-pm", "deribit-standard"]
    assert told.pop("holdfast")["refused"].endswith("the exchange lists no perpetual; its futures are dated")
    assert all(set(answer) >= KEYS for answer in told.values())
    code, out, _ = call("compare", EXAMPLES / "portfolio.csv")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["model", "holdfast", *told, "holdfast"]


def test_compare__a_model_that_refuses__is_told_with_the_row() -> None:
    code, out, _ = call("compare", EXAMPLES / "deribit_example.json")
    assert code == 0
    assert "derive-pm2 refuses: positions[1] BTC-28JUN24: instrument: PM2 has no dated futures" in out
    assert "refused" in ask("compare", EXAMPLES / "deribit_example.json")["derive-standard"]


def test_compare__no_model_margins_it__is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    refused = json.loads((EXAMPLES / "deribit_example.json").read_text(encoding="utf-8"))
    refused["parameters"] = {name: {"BTC": {"mm_factr": 1}} for name in ("deribit-pm", "deribit-standard")}
    path.write_text(json.dumps(refused), encoding="utf-8")
    code, out, err = call("compare", path)
    assert (code, out) == (2, "")
    assert "none: no model margins it: positions[0] BTC-PERPETUAL: instrument: the exchange lists no perpetual" in err


def test_bad_input__is_one_line_with_row_and_field(tmp_path: Path) -> None:
    path = tmp_path / "portfolio.json"
    path.write_text(json.dumps(changed(document(), lambda case: case["marks"][2].update(vol=0))), encoding="utf-8")
    for command in (("margin", path, "--model", "derive-pm2"), ("compare", path)):
        code, out, err = call(*command)
        assert (code, out) == (2, "")
        assert err == f"holdfast risk {command[0]}: {path}: marks[2]: vol: 0 is not above zero\n"
        code, out, _ = call(*command, "--json")
        told = json.loads(out)
        assert (code, told["exit_code"]) == (2, 2)
        assert (told["error"]["row"], told["error"]["field"]) == ("marks[2]", "vol")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("margin", EXAMPLE, "--model", "span"),
            "--model: 'span' is none of holdfast, derive-pm2, derive-standard, deribit-pm",
        ),
        (("margin", EXAMPLES / "none.json", "--model", "derive-pm2"), "none.json: No such file or directory"),
        (("margin", EXAMPLES.parents[1] / "docs" / "adr"), "adr: the folder holds no .json and no .csv file"),
        (("margin", EXAMPLES, "--case", "Test9"), "--case: goes with one file"),
        (("compare", EXAMPLES), "Is a directory"),
        (("compare", EXAMPLE, "--svg", EXAMPLE / "no" / "bars.svg"), "--svg: the folder"),
        (("compare", EXAMPLE, "--case", "Test9"), "--case: 'Test9' is not in the file, which holds portfolio"),
        (("margin", EXAMPLES / "deribit_example.json", "--model", "derive-pm2"), "PM2 has no dated futures"),
    ],
)
def test_wrong_arguments__end_with_one_line_and_two(arguments: tuple[object, ...], words: str) -> None:
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
