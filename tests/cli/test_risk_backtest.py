"""`holdfast risk backtest`: tables, JSON and a report, and one line for whatever is wrong."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from holdfast.cli import risk_backtest
from holdfast.cli.main import app
from holdfast.risk.backtests import CONFIDENCE, HORIZON_MS, MODELS, WARM_UP_EPOCHS
from tests.support.price_histories import EXAMPLE

SHORT = ("--horizon", "4h", "--model", "adaptive", "--model", "fixed")


def call(*arguments: object) -> tuple[int, str, str]:
    words = ["risk", "backtest", *map(str, arguments)]
    result = CliRunner().invoke(app, words, prog_name="holdfast", catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def write(folder: Path, *rows: str, name: str = "btc.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(["time,close", *rows]) + "\n", encoding="utf-8")
    return path


def test_help__has_an_example_that_is_there_and_the_exit_codes() -> None:
    code, out, _ = call("--help")
    assert code == 0
    example = re.search(r"holdfast risk backtest (\w\S+)", out)
    assert example is not None
    assert Path(EXAMPLE.parents[2], example[1]) == EXAMPLE
    assert "Exit codes: 0 backtested" in out


def test_backtest__for_people__tells_coverage_range_margin_and_how_little_it_says() -> None:
    code, out, err = call(EXAMPLE, *SHORT)
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if line.startswith("Coverage")]
    assert re.search(r"^fixed +2383 +\d+ +\d+ +\d\.\d\d%", out, re.MULTILINE)
    assert re.search(r"^adaptive  short straddle ", out, re.MULTILINE)
    assert "2 segments without a gap over 3 h" in out
    assert re.search(r"\d+ windows that do not overlap: .* a high p-value is no evidence here", out)


def test_backtest__as_json__tells_the_same_and_nothing_else() -> None:
    code, out, err = call(EXAMPLE, *SHORT, "--json")
    assert (code, err) == (0, "")
    told: dict[str, Any] = json.loads(out)
    (result,) = told["results"]
    assert told["skipped"] == []
    assert (result["history"], result["underlying"], result["horizon_ms"]) == ("btc_history", "BTC", 14_400_000)
    assert (result["confidence"], result["move"]) == (0.995, "end")
    coverage = result["models"]["fixed"]["coverage"]
    assert coverage["breach_rate"] == coverage["breaches"] / coverage["windows"]
    assert coverage["tests"]["observations"] == pytest.approx(coverage["windows"] / 4, abs=2)
    assert set(coverage["tests"]["unconditional"]) == {"statistic", "p_value"}
    assert result["models"]["fixed"]["range"]["peak_to_trough"] == 1.0
    assert set(result["models"]["adaptive"]["range"]["rises"]) == {"1d", "5d", "30d"}
    assert result["models"]["adaptive"]["margin"]["long future"]["peak_to_trough"] > 1.0


def test_backtest__with_a_report__writes_a_page_and_every_plot_twice(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    code, _, err = call(EXAMPLE, *SHORT, "--report", tmp_path / "out")
    assert (code, err) == (0, f"Report: {tmp_path / 'out' / 'index.html'}\n")
    names = [f"01-btc-history-{plot}.{form}" for plot in ("calendar", "prices", "ranges") for form in ("png", "svg")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [*names, "index.html"]
    assert all((tmp_path / "out" / name).stat().st_size > 2_000 for name in names)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    assert "Kupiec p" in page
    assert all(f">{word}<" in page for word in ("price", "allowed by the range", "breach", "covered", "adaptive"))
    assert "http://www.w3.org" in page
    assert "<script" not in page


def test_backtest__without_matplotlib__says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(risk_backtest, "find_spec", lambda name: None if name == "matplotlib" else sys)
    code, _, err = call(EXAMPLE, "--report", tmp_path)
    assert code == 2
    assert err.startswith("holdfast risk backtest: --report: needs matplotlib")
    assert "report" in err


def test_backtest__a_report_where_nothing_may_be_written__is_refused(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    code, _, err = call(EXAMPLE, "--report", blocked / "out")
    assert code == 2
    assert "cannot be written" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "garch"), "--model: 'garch' is none of"),
        (("--horizon", "soon"), "--horizon: 'soon' is no time; write one such as 5m, 4h or 1d"),
        (("--horizon", "0h"), "--horizon: '0h' is no time"),
        (("--epoch", "5s"), "--epoch: '5s' is no time"),
        (("--gap", "-1h"), "--gap: '-1h' is no time"),
        (("--confidence", "2"), "--confidence: 2 is not from 0.5"),
        (("--epoch", "7h"), "--horizon: is no whole number of epochs of 7 hours"),
        (("--underlying", "DOGE"), "--underlying: 'DOGE' is none of BTC, ETH"),
        (("--price-column", "mid"), "btc_history.csv: line 1: --price-column: 'mid' is not among time, close"),
    ],
)
def test_backtest__an_option_that_means_nothing__is_refused_in_one_line(arguments: tuple[str, ...], words: str) -> None:
    code, out, err = call(EXAMPLE, *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert words in err


def test_backtest__a_missing_file__is_refused_and_told_to_machines(tmp_path: Path) -> None:
    code, out, err = call(tmp_path / "btc.csv", "--json")
    assert code == 2
    told = json.loads(out)
    assert told["exit_code"] == 2
    assert told["error"]["row"] == "btc.csv"
    assert err == "holdfast risk backtest: btc.csv: No such file or directory\n"


def test_backtest__strictly__names_the_row_and_column(tmp_path: Path) -> None:
    path = write(tmp_path, "1767225600,1", "1767229200,nan")
    code, _, err = call(path, "--strict")
    assert code == 2
    assert err == "holdfast risk backtest: btc.csv: line 3: close: 'nan' is not a finite number\n"


def test_backtest__rows_left_out__are_counted_in_words_and_json(tmp_path: Path) -> None:
    rows = [f"{1_767_225_600 + 3_600 * hour},{100 + hour % 3}" for hour in range(60)]
    path = write(tmp_path, *rows, "1767300000,-4", "1767300001,0")
    assert "2 rows left out (close is not above zero)" in call(path, *SHORT)[1]
    (result,) = json.loads(call(path, *SHORT, "--json")[1])["results"]
    assert result["rows_left_out"] == {"close is not above zero": 2}
    assert result["row_examples"] == ["line 62: close: -4 is not above zero", "line 63: close: 0 is not above zero"]


def test_help__names_the_models_and_the_exchange_s_own_figures() -> None:
    _, out, _ = call("--help")
    words = " ".join(out.split())
    assert f"Models: {', '.join(MODELS)};" in words
    assert f"{HORIZON_MS // 3_600_000}h" in words
    assert str(CONFIDENCE) in words
    assert f"default: ({WARM_UP_EPOCHS})" in words


def test_backtest__of_several_histories__names_each_in_one_table(tmp_path: Path) -> None:
    rows = [f"{1_767_225_600 + 3_600 * hour},{100 + hour % 3}" for hour in range(60)]
    for name in ("btc.csv", "eth.csv"):
        write(tmp_path, *rows, name=name)
    code, out, err = call(tmp_path, *SHORT)
    assert (code, err) == (0, "")
    tests = out.split("Tests, over windows that do not overlap\n")[1].split("\n\n")[0]
    assert [line.split()[:3] for line in tests.splitlines()] == [
        ["history", "model", "windows"],
        ["btc", "adaptive", "14"],
        ["btc", "fixed", "14"],
        ["eth", "adaptive", "14"],
        ["eth", "fixed", "14"],
    ]
