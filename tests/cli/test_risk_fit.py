"""`holdfast risk fit`: tables, JSON, pictures, and one line for whatever is wrong."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli.main import app
from tests.support.chains import EXAMPLE, make_lines, to_csv


def call(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(
        app, ["risk", "fit", *map(str, arguments)], prog_name="holdfast", catch_exceptions=False
    )
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    path = tmp_path / "small.csv"
    path.write_text(to_csv(make_lines()[:42]), encoding="utf-8")
    return path


def test_help__has_an_example_and_the_exit_codes() -> None:
    code, out, _ = call("--help")
    assert code == 0
    assert "holdfast risk fit examples/risk/chain.csv --report out" in " ".join(out.split())
    assert "Exit codes: 0" in out


def test_fit__of_one_chain__tells_every_expiry(chain: Path) -> None:
    code, out, err = call(chain)
    assert (code, err) == (0, "")
    assert "17JAN26" in out
    assert "24JAN26" in out
    assert "admissible on chain" in out
    assert "left out of 42 rows: none" in out


def test_fit__of_several_chains__tells_a_line_of_each_and_how_far_it_is(chain: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text(to_csv(make_lines(coin="ETH")[:21]), encoding="utf-8")
    code, out, err = call(chain, other)
    assert code == 0
    *lines, closing = out.splitlines()[2:]
    assert [line.split()[:2] for line in lines] == [["small.csv", "BTC"], ["other.csv", "ETH"]]
    assert closing.startswith("2 chains, ")
    assert err.splitlines() == ["fit 1/2 small.csv BTC", "fit 2/2 other.csv ETH"]


def test_fit__for_machines__tells_integers_and_errors() -> None:
    code, out, _ = call(EXAMPLE, "--json")
    assert code == 0
    told = json.loads(out)
    assert [one["underlying"] for one in told] == ["BTC", "ETH"]
    assert told[0]["left_out"]["duplicate"] == told[0]["left_out"]["crossed"] == told[0]["left_out"]["expired"] == 1
    for one in told:
        assert one["is_within_limits"] is True
        assert one["butterflies"] == one["crossings"] == 0
        assert {"theta_e12", "rho_ppm", "eta_ppm", "shift_ppm", "width_ppm"} <= set(one["expiries"][0])


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib (extra `report`) is not installed")
def test_fit__with_a_report__writes_a_page_and_two_pictures_a_chain(chain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    code, _, err = call(chain, "--report", folder)
    assert code == 0
    assert f"report: {folder / 'index.html'}" in err
    assert (folder / "small_BTC.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "small_BTC.svg").read_text(encoding="utf-8").startswith("<svg")
    # Every panel of the lowest row tells its axis, and the lines of total variance their expiries.
    assert (folder / "small_BTC.svg").read_text(encoding="utf-8").count(">ln(strike / forward)<") == 3
    assert ">17 Jan 26<" in (folder / "small_BTC.svg").read_text(encoding="utf-8")
    assert 'src="small_BTC.svg"' in (folder / "index.html").read_text(encoding="utf-8")


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib (extra `report`) is not installed")
def test_report__of_files_of_one_name__has_pictures_of_each(chain: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / chain.name).write_text(to_csv(make_lines()[:21]), encoding="utf-8")
    code, out, _ = call(chain, tmp_path / "other" / chain.name, "--report", tmp_path / "out")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[2:4]] == [f"{chain}", f"{tmp_path / 'other' / chain.name}"]
    pictures = sorted((tmp_path / "out").glob("*.svg"))
    assert len(pictures) == 2
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert all(f'src="{picture.name}"' in page for picture in pictures)


def test_bad_input__is_one_line_with_file_row_and_field(tmp_path: Path) -> None:
    lines = make_lines()
    lines[4][3] = "nan"
    path = tmp_path / "bad.csv"
    path.write_text(to_csv(lines), encoding="utf-8")
    code, out, err = call(path)
    assert (code, out) == (2, "")
    assert err == f"holdfast risk fit: {path}: line 6: ask: nan is not a finite number\n"
    code, out, _ = call(path, "--json")
    assert code == 2
    assert json.loads(out)["error"]["field"] == "ask"


def test_chain_that_gives_no_surface__is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_text(to_csv(make_lines()[:4]), encoding="utf-8")
    code, _, err = call(path)
    assert code == 2
    assert err == f"holdfast risk fit: {path}: BTC: no expiry has 5 usable quotes of 4 rows\n"


def test_folder_with_a_chain_that_cannot_be_fitted__tells_it_and_fits_the_others(chain: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(to_csv([[*line[:3], "nan", *line[4:]] for line in make_lines()[:3]]), encoding="utf-8")
    (tmp_path / "few.csv").write_text(to_csv(make_lines()[:4]), encoding="utf-8")
    (tmp_path / "prices.csv").write_text("time,close\n1,2\n", encoding="utf-8")
    code, out, err = call(tmp_path)
    assert code == 2
    assert [line.split()[0] for line in out.splitlines()[2:-1]] == [chain.name]
    assert out.splitlines()[-1].startswith("1 chains, ")
    assert out.splitlines()[-1].endswith("; all within 0.5 and 1.5 points without arbitrage")
    assert f"refused: {bad}: line 2: ask: nan is not a finite number\n" in err
    assert f"refused: {tmp_path / 'few.csv'}: BTC: no expiry has 5 usable quotes of 4 rows\n" in err
    code, out, _ = call(tmp_path, "--json")
    told = json.loads(out)
    assert (code, [one["chain"] for one in told]) == (2, ["small.csv", "bad.csv", "few.csv"])
    assert "nan" in told[1]["refused"]


def test_folder__without_a_chain__is_bad_input(tmp_path: Path) -> None:
    assert call(tmp_path)[2] == f"holdfast risk fit: {tmp_path}: the folder holds no .csv file\n"
    (tmp_path / "prices.csv").write_text("time,close\n1,2\n", encoding="utf-8")
    assert call(tmp_path)[::2] == (2, f"holdfast risk fit: {tmp_path}: the folder holds no chain\n")


@pytest.mark.parametrize("suffix", ["", "-999999999-C"])
def test_strike_beyond_what_the_exchange_prices__is_refused_by_its_row(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "far.csv"
    lines = make_lines()
    lines[2][0 if suffix else 4] = f"BTC_USDC-27MAR26{suffix}" if suffix else "999999999"
    path.write_text(to_csv(lines), encoding="utf-8")
    code, out, err = call(path)
    assert (code, out) == (2, "")
    assert f"{path}: line 4: {'instrument' if suffix else 'forward'}: " in err
    assert "exchange prices" in err
