"""`holdfast risk scenarios`, `whatif` and the pictures of both `scenarios` and `compare`."""

import json
from pathlib import Path

import pytest

from tests.cli.test_risk import ask, call
from tests.support.margin_cases import EXAMPLES

ACCOUNT = EXAMPLES / "account.json"
PUT = "+5 BTC_USDC-27MAR26-90000-P @ 4400"
CALL = "-20 BTC_USDC-27MAR26-100000-C"


def test_scenarios__of_a_grid__tells_every_cell_and_the_tails() -> None:
    told = ask("scenarios", ACCOUNT, "--spot", "-20:20:10", "--vol=-30,0,50")
    assert told["spots"] == [-0.2, -0.1, 0.0, 0.1, 0.2]
    assert told["vols"] == [-0.3, 0.0, 0.5]
    assert told["pnl"][2][1] == 0.0
    assert told["worst"]["pnl"] == min(map(min, told["pnl"]))
    margin = ask("margin", ACCOUNT)
    assert told["listed"]["BTC skew"] == margin["scenarios"]["BTC skew"]
    code, out, _ = call("scenarios", ACCOUNT, "--spot", "-20:20:10")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:7]] == ["spot", "-20%", "-10%", "+0%", "+10%", "+20%"]
    assert "BTC skew" in out


def test_scenarios__of_another_model__lists_its_worst() -> None:
    told = ask("scenarios", ACCOUNT, "--model", "deribit-pm", "--spot", "0", "--vol", "0")
    assert told["pnl"] == [[0.0]]
    assert next(iter(told["listed"])) == ask("margin", ACCOUNT, "--model", "deribit-pm")["worst_scenario"]


def test_pictures__are_what_their_names_say(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `report` (matplotlib) is not installed")
    for command in ("scenarios", "compare"):
        png, svg, html = (tmp_path / f"{command}.{suffix}" for suffix in ("png", "svg", "html"))
        assert call(command, ACCOUNT, "--png", png, "--svg", svg, "--html", html)[0] == 0
        assert png.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        picture = svg.read_text(encoding="utf-8")
        assert picture.startswith("<svg")
        assert picture.rstrip().endswith("</svg>")
        page = html.read_text(encoding="utf-8")
        assert page.count("<svg") == 1
        assert 'src="' not in page
        assert 'href="http' not in page
    told = ask("margin", ACCOUNT)
    assert f"{told['initial']:,.2f}" in (tmp_path / "compare.html").read_text(encoding="utf-8")
    again = tmp_path / "again.svg"
    call("scenarios", ACCOUNT, "--svg", again)
    assert again.read_bytes() == (tmp_path / "scenarios.svg").read_bytes()


def test_heat_map__numbers__are_written_where_they_fit_and_crossed_by_no_line(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `report` (matplotlib) is not installed")
    texts = {}
    for name, spots in (("coarse", "-20:20:10"), ("fine", "-50:50:1")):
        assert call("scenarios", ACCOUNT, "--spot", spots, "--svg", tmp_path / f"{name}.svg")[0] == 0
        texts[name] = (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
    # The grid's lines are those of the bars alone: the colour of one is told where it is drawn.
    heat, bars = texts["coarse"].split('<g id="axes_2">')
    assert "#e4e7eb" not in heat
    assert "#e4e7eb" in bars
    flat = f"{ask('scenarios', ACCOUNT, '--spot', '-20')['pnl'][0][1]:,.0f}"
    assert [f">{flat}<" in texts[name] for name in ("coarse", "fine")] == [True, False]


def test_bars__of_a_requirement_of_nothing__tell_it(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `report` (matplotlib) is not installed")
    path = tmp_path / "cash.json"
    path.write_text('{"account": {"valuation_time": "15JAN26", "cash": 5}}', encoding="utf-8")
    assert call("compare", path, "--svg", tmp_path / "made" / "bars.svg")[0] == 0
    # Two bars of each of the four models that take it, beside the axis.
    assert (tmp_path / "made" / "bars.svg").read_text(encoding="utf-8").count(">0<") >= 8


def test_picture__without_matplotlib__says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("holdfast.cli.risk_shared.find_spec", lambda name: None)
    code, out, err = call("scenarios", ACCOUNT, "--png", tmp_path / "a.png")
    assert (code, out) == (2, "")
    assert "--png: needs matplotlib, which is not installed: pip install 'holdfast[report]'" in err


def test_whatif__tells_before_after_and_whether_it_fits() -> None:
    told = ask("whatif", ACCOUNT, "--trade", PUT)
    bundle = told["bundle"]
    assert bundle["fits"]
    assert bundle["before"]["initial"] == ask("margin", ACCOUNT)["initial"]
    for name, change in bundle["difference"].items():
        assert change == pytest.approx(bundle["after"][name] - bundle["before"][name])
    # Five lots of a hundred at 0.03 % of 96,000 USD.
    assert bundle["fee"] == 144.0


def test_whatif__of_several__judges_them_together_and_one_by_one() -> None:
    told = ask("whatif", ACCOUNT, "--trade", PUT, "--trade", CALL)
    assert not told["bundle"]["fits"]
    assert told["bundle"]["refusal"].startswith("MARGIN_INITIAL_SHORT")
    assert [step["fits"] for step in told["one_by_one"]] == [True, False]
    code, out, _ = call("whatif", ACCOUNT, "--trade", PUT, "--trade", CALL, "--model", "all")
    assert code == 0
    assert "derive-standard refuses" in out
    assert out.count("no: initial margin is short by") == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("scenarios", ACCOUNT, "--spot", "a:b:c"), "--spot: 'a:b:c' is neither FROM:TO:STEP nor a list"),
        (("scenarios", ACCOUNT, "--vol", "50:0:5"), "--vol: '50:0:5' does not go up from FROM to TO"),
        (("scenarios", ACCOUNT, "--spot", "-150,0"), "grid: spot: a shock lies outside of -99.9% to +1000%"),
        (("scenarios", ACCOUNT, "--model", "span"), "--model: 'span' is none of holdfast"),
        (("scenarios", EXAMPLES / "portfolio.json"), "the exchange lists no perpetual"),
        (
            ("whatif", ACCOUNT, "--trade", "buy"),
            "trade 'buy': a trade is written as '+5 BTC_USDC-27MAR26-90000-P @ 1200'",
        ),
        (("whatif", ACCOUNT, "--trade", "nan BTC_USDC-30JAN26"), "amount: nan is not a finite number"),
        (("whatif", ACCOUNT, "--trade", "0.001 BTC_USDC-30JAN26"), "0.001 is not a multiple of the lot of 0.01 BTC"),
        (
            ("whatif", ACCOUNT, "--trade", "1 BTC_USDC-30JAN26 @ 96000.5"),
            "96000.5 is not a multiple of the tick of 1 USD",
        ),
        (("whatif", ACCOUNT, "--trade", "1 BTC_USDC-30JAN25"), "BTC_USDC-30JAN25 has expired"),
    ],
)
def test_wrong_arguments__end_with_one_line_and_two(arguments: tuple[object, ...], words: str) -> None:
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
    code, out, _ = call(*arguments, "--json")
    assert (code, json.loads(out)["exit_code"]) == (2, 2)
