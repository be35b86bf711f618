"""The command line of a replay: help, output, exit codes, and one line for whatever is wrong."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli.main import app

EXAMPLE = Path(__file__).parents[2] / "examples" / "crash_hour"
SHORT = ("--agents", "24", "--blocks", "5", "--seed", "3")


def call(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments), prog_name="holdfast")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_help__of_holdfast__lists_the_commands() -> None:
    code, out, _ = call("--help")
    assert code == 0
    assert "replay" in out


def test_help__of_replay__has_an_example_the_kinds_and_the_exit_codes() -> None:
    code, out, _ = call("replay", "--help")
    assert code == 0
    words = " ".join(out.split())
    assert "holdfast replay shared/data/crash_2025_10_10" in words
    assert "venue-silent" in words
    assert "Exit codes: 0 every promise held; 1 one was broken; 2 bad input" in words
    assert "--restore-at" not in words


def test_version__is_shown() -> None:
    code, out, _ = call("--version")
    assert code == 0
    assert out.startswith("holdfast 0.")


def test_replay__json__is_one_object_and_nothing_else() -> None:
    code, out, err = call("replay", str(EXAMPLE), *SHORT, "--json")
    assert code == 0
    verdict = json.loads(out)
    assert verdict["blocks"] == 5
    assert verdict["app_hashes_agree"] is True
    assert "replay 5/5" in err


def test_replay__words__say_that_it_is_good() -> None:
    code, out, err = call("replay", str(EXAMPLE), *SHORT)
    assert code == 0
    assert out.startswith("GOOD: 5 blocks")
    assert "Traceback" not in out + err


def test_replay__with_both_margins__prints_them_side_by_side() -> None:
    code, out, _ = call("replay", str(EXAMPLE), *SHORT, "--margin", "both")
    assert code == 0
    rows = {line.split("  ")[0]: line.split()[-2:] for line in out.splitlines()}
    assert rows["margin"] == ["fixed", "adaptive"]
    assert set(rows) >= {
        "insurance used, USDC",
        "haircuts, USDC",
        "deficits, USDC",
        "accounts liquidated",
        "auctions",
        "margin calls",
        "peak open interest, USD",
        "margin locked in the crash, USDC",
        "range of ETH at its highest",
    }
    assert rows["promises"] == ["held", "held"]


def test_replay__with_both_margins_as_json__is_a_verdict_for_each() -> None:
    code, out, _ = call("replay", str(EXAMPLE), *SHORT, "--margin", "both", "--json")
    found = json.loads(out)
    assert code == 0
    assert [found[name]["margin"]["is_adaptive"] for name in ("fixed", "adaptive")] == [False, True]
    assert found["fixed"]["root_log_sha256"] != found["adaptive"]["root_log_sha256"]


def test_replay__report_of_both_margins__writes_one_page_with_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    code, out, err = call("replay", str(EXAMPLE), *SHORT, "--margin", "both", "--report", str(tmp_path))
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert code == 0
    assert "<td>accounts liquidated</td>" in page
    assert "data:image/png;base64," in page
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")
    assert out.startswith("margin")
    assert "index.html" in err


def test_replay__report__writes_page_and_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    code, _, err = call("replay", str(EXAMPLE), *SHORT, "--report", str(tmp_path / "new" / "report"))
    assert code == 0
    assert (tmp_path / "new" / "report" / "index.html").is_file()
    assert (tmp_path / "new" / "report" / "report.png").is_file()
    assert "index.html" in err


BAD_INPUT = [
    (("nowhere",), "nowhere: no such file or folder"),
    ((str(EXAMPLE), "--validators", "0"), "--validators 0"),
    ((str(EXAMPLE), "--agents", "1"), "--agents 1"),
    ((str(EXAMPLE), "--blocks", "-3"), "--blocks -3"),
    ((str(EXAMPLE), "--seed", "-1"), "--seed -1"),
    ((str(EXAMPLE), "--from", "noon"), "--from noon"),
    ((str(EXAMPLE), "--to", "1999-01-01"), "--to 1999-01-01"),
    ((str(EXAMPLE), "--block-interval", "soon"), "--block-interval soon"),
    ((str(EXAMPLE), "--margin", "both", "--keep", "out"), "give --keep to one run"),
    ((str(EXAMPLE), "--stretch", "0.5"), "--stretch 0.5: give a number from 1 to 5"),
    ((str(EXAMPLE), "--stretch", "nan"), "--stretch nan: give a number from 1 to 5"),
    ((str(EXAMPLE), "--fault", "meteor"), "Kinds: crash"),
    ((str(EXAMPLE), "--fault", "crash:validator=9,from=1"), "validator=9"),
    ((str(EXAMPLE), "--fault", "venue-lies:venue=nobody,factor=2,from=1"), "venue=nobody"),
    ((str(EXAMPLE), "--fault", "oracle-lies:validator=1,factor=-2,from=1"), "factor=-2"),
]


@pytest.mark.parametrize(("arguments", "named"), BAD_INPUT)
def test_replay__bad_input__is_one_line_that_names_it(arguments: tuple[str, ...], named: str) -> None:
    code, out, err = call("replay", *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("holdfast replay: ")
    assert err.count("\n") == 1
    assert named in err


@pytest.mark.parametrize("arguments", [("--seed", "x"), ("--nonsense",), ()])
def test_replay__words_that_the_parser_refuses__exit_2_without_a_traceback(arguments: tuple[str, ...]) -> None:
    path = (str(EXAMPLE),) if arguments else ()
    code, out, err = call("replay", *path, *arguments)
    assert code == 2
    assert "Traceback" not in out + err


def test_replay__folder_without_prices__names_the_mend(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    code, _, err = call("replay", str(tmp_path))
    assert code == 2
    assert "no price file" in err
    assert "VENUE_PAIR" in err


def test_replay__report_into_a_file__is_refused_before_the_run(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    taken = tmp_path / "taken"
    taken.write_text("a file")
    code, _, err = call("replay", str(EXAMPLE), *SHORT, "--report", str(taken))
    assert code == 2
    assert "--report" in err
    assert "replay 1/5" not in err


def test_replay__report_without_matplotlib__is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.cli.replay.find_spec", lambda _name: None)
    code, out, err = call("replay", str(EXAMPLE), *SHORT, "--report", str(tmp_path))
    assert (code, out) == (2, "")
    assert "matplotlib" in err
    assert err.count("\n") == 1
