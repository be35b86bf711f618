"""The documented input in both forms, the published files as they are, and every refusal with its row and field."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.risk import InputError, load_cases, load_portfolio, parse_cases
from holdfast.risk.documents import FIELDS
from holdfast.risk.names import parse_instrument, parse_moment
from tests.support.margin_cases import (
    EXAMPLES,
    PM2_FILES,
    STANDARD_FILE,
    Tree,
    changed,
    document,
    needs_vectors,
    pm2_case,
    read,
    standard_case,
)

DOCS = Path(__file__).parents[2] / "docs" / "risk.md"


def test_json_and_csv__of_one_portfolio__are_the_same() -> None:
    from_json = load_portfolio(EXAMPLES / "portfolio.json")
    from_csv = load_portfolio(EXAMPLES / "portfolio.csv")
    assert from_csv.expiries == from_json.expiries
    assert from_csv.underlyings == from_json.underlyings
    assert [(option.strike, option.amount, option.vol) for option in from_csv.options] == [
        (option.strike, option.amount, option.vol) for option in from_json.options
    ]
    assert [(future.amount, future.profit, future.funding) for future in from_csv.futures] == [(0.8, 672.0, -12.5)]
    assert from_csv.collaterals[0].is_risk_cancelling
    assert from_csv.options[0].row == "line 3 (positions) BTC_USDC-27MAR26-90000-P"


def test_every_field__stands_in_the_documentation() -> None:
    words = DOCS.read_text(encoding="utf-8")
    assert [name for fields in FIELDS.values() for name in fields if f"`{name}`" not in words] == []


def test_inverse_entry_price__gives_the_profit_of_a_number_of_dollars() -> None:
    def invert(case: Tree) -> None:
        case["positions"] = [{"instrument": "BTC-PERPETUAL", "amount": 2, "entry_price": 48_000}]

    future = read(changed(document(), invert)).futures[0]
    dollars = 2 * 96_040
    assert future.profit / 96_000 == pytest.approx(dollars * (1 / 48_000 - 1 / 96_040))
    assert future.is_inverse


def test_last_half_hour__splits_the_forward() -> None:
    late = changed(document(), lambda case: case["account"].update(valuation_time="2026-01-30T07:45:00Z"))
    expiry = read(late).expiries["BTC", 900.0]
    assert expiry.forward_variable == pytest.approx(48_105)
    assert expiry.forward_fixed == pytest.approx(48_105)


@pytest.mark.parametrize(
    "text", ["2026-01-15T08:00:00Z", "2026-01-15T09:00:00+01:00", "2026-01-15T08:00:00", "15JAN26", "2026-01-15"]
)
def test_moment__in_any_form__is_the_same(text: str) -> None:
    moment = parse_moment(text)
    assert moment is not None
    assert moment == parse_moment("1768464000")


@pytest.mark.parametrize("text", ["", "soon", "31FEB26", "15XXX26", "99999999999999", "2026-13-01", "\uff11768464000"])
def test_moment__that_is_none__is_nothing(text: str) -> None:
    assert parse_moment(text) is None


def test_instrument_names__of_every_kind__are_read() -> None:
    option = parse_instrument("SOL_USDC-3JAN26-0d5-P")
    assert option is not None
    assert (option.underlying, option.is_inverse, option.strike, option.is_call) == ("SOL", False, 0.5, False)
    assert option.expiry == parse_moment("2026-01-03T08:00:00Z")
    for name in (
        "BTC",
        "btc-PERPETUAL",
        "BTC-27MAR26-100000",
        "BTC-27MAR26-100000-X",
        "BTC_EUR-PERPETUAL",
        "BTC-32JAN26",
        "BTC-27MAR26-\uff190000-C",
    ):
        assert parse_instrument(name) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("BTC_USDC-07MAR26-090000-P", "BTC_USDC-7MAR26-90000-P"),
        ("SOL_USDC-3JAN26-0.50-C", "SOL_USDC-3JAN26-0d5-C"),
        ("SOL_USDC-3JAN26-12d0-C", "SOL_USDC-3JAN26-12-C"),
        ("ETH-03JAN26", "ETH-3JAN26"),
        ("BTC-PERPETUAL", "BTC-PERPETUAL"),
    ],
)
def test_instrument__spelled_in_another_way__has_one_name(text: str, name: str) -> None:
    instrument = parse_instrument(text)
    assert instrument is not None
    assert instrument.name == name


Change = Callable[[Tree], object]

REFUSALS: list[tuple[Change, str]] = [
    (lambda case: case.pop("account"), "account: is missing"),
    (lambda case: case.update(postions=[]), "postions: is no field of this row; known are account"),
    (lambda case: case["account"].pop("valuation_time"), "account: valuation_time: is missing: write 2026-"),
    (lambda case: case["account"].update(valuation_time="noon"), "account: valuation_time: 'noon' is no time"),
    (lambda case: case["account"].update(cash="NaN"), "account: cash: nan is not a finite number"),
    (lambda case: case["account"].update(cash=1e18), "account: cash: 1e+18 is above 1e+15, which is absurd"),
    (lambda case: case["positions"][0].update(amount=float("nan")), "positions[0]: amount: nan is not a finite number"),
    (lambda case: case["positions"][0].update(amount=-3e9), "positions[0]: amount: -3000000000.0 is below -1e+09"),
    (lambda case: case["positions"][0].pop("amount"), "positions[0]: amount: is missing"),
    (lambda case: case["positions"][0].update(size=1), "positions[0]: size: is no field of this row"),
    (lambda case: case["positions"][0].update(entry_price=1), "positions[0]: entry_price: an option has none"),
    (lambda case: case["positions"][3].update(profit=1), "positions[3]: profit: is given beside entry_price"),
    (
        lambda case: case["positions"][1].update(instrument="BTC_USDC-27MAR26-90000-P"),
        "[1]: instrument: is given twice",
    ),
    (
        lambda case: case["positions"][1].update(instrument="BTC_USDC-27MAR26-090000.0-P"),
        "[1]: instrument: is given twice",
    ),
    (
        lambda case: case["positions"][0].update(instrument="B" * 9_000),
        f"positions[0]: instrument: '{'B' * 36}... is an unknown instrument",
    ),
    (lambda case: case["positions"][0].update(amount="٣"), "positions[0]: amount: '٣' is not a number"),
    (lambda case: case.update(parameters={"derive-pm": {}}), "parameters: derive-pm: is no model; known are holdfast"),
    (lambda case: case.update(published={"derive-pm": {}}), "published: derive-pm: is no model; known are holdfast"),
    (lambda case: case.update(published={"derive-pm2": 5}), "published.derive-pm2: 5 is not an object with fields"),
    (lambda case: case["positions"][0].update(instrument="GOLD"), "positions[0]: instrument: 'GOLD' is an unknown"),
    (
        lambda case: case["positions"][0].update(instrument="BTC_USDC-27MAR26-95000-P"),
        "positions[0]: instrument: BTC_USDC-27MAR26-95000-P is unknown: no row of marks gives its vol",
    ),
    (
        lambda case: case["positions"][0].update(instrument="BTC_USDC-26JUN26-90000-P"),
        "positions[0]: instrument: BTC_USDC-26JUN26-90000-P is unknown: no row of expiries gives its forward",
    ),
    (
        lambda case: case["positions"][0].update(instrument="ETH_USDC-27MAR26-90000-P"),
        "positions[0]: instrument: ETH_USDC-27MAR26-90000-P is unknown: ETH is in no row of underlyings",
    ),
    (
        lambda case: case["positions"][0].update(instrument="BTC_USDC-9JAN26-90000-P"),
        "positions[0]: instrument: BTC_USDC-9JAN26-90000-P expired at 2026-01-09 08:00 UTC",
    ),
    (
        lambda case: case["positions"][0].update(instrument="BTC-27MAR26-0-C"),
        "[0]: instrument: 'BTC-27MAR26-0-C' has a",
    ),
    (lambda case: case["underlyings"][0].pop("perpetual"), "positions[3]: instrument: BTC_USDC-PERPETUAL is unknown"),
    (lambda case: case["underlyings"][0].update(spot=-1), "underlyings[0]: spot: -1 is not above zero"),
    (lambda case: case["underlyings"][0].update(spot_confidence=2), "underlyings[0]: spot_confidence: 2 is above 1"),
    (lambda case: case["underlyings"].append({"underlying": "BTC", "spot": 1}), "[1]: underlying: is given twice"),
    (lambda case: case["expiries"][0].update(expiry="15JAN26"), "expiries[0]: expiry: 15JAN26 expired at 2026-01-15"),
    (lambda case: case["expiries"][0].update(expiry="30JAN46"), "expiries[0]: expiry: 30JAN46 is more than ten years"),
    (lambda case: case["expiries"][1].update(expiry="30JAN26"), "expiries[1]: expiry: is given twice"),
    (lambda case: case["expiries"][0].update(underlying="ETH"), "expiries[0]: underlying: 'ETH' is in no row of"),
    (lambda case: case["expiries"][0].pop("forward"), "expiries[0]: forward: is missing"),
    (lambda case: case["marks"][2].update(vol=0), "marks[2]: vol: 0 is not above zero"),
    (lambda case: case["marks"][2].update(vol=-0.4), "marks[2]: vol: -0.4 is not above zero"),
    (lambda case: case["marks"][2].update(vol=1e5), "marks[2]: vol: 100000.0 is above 100, which is absurd"),
    (lambda case: case["marks"][0].update(bid=2_300), "marks[0]: bid: 2300 is above the ask of 2200: the quotes are"),
    (lambda case: case["marks"][0].update(bid=90_000, ask=91_000), "marks[0]: bid: 90000 is above 79302.8, the most"),
    (lambda case: case["marks"][0].update(bid=-1), "marks[0]: bid: -1 is below 0"),
    (lambda case: case["marks"][2].update(instrument="BTC-27MAR26"), "marks[2]: instrument: BTC-27MAR26 is no option"),
    (lambda case: case["marks"][0].update(vol=1.2), "marks[1]: vol: with strike 80000 beside it a spread costs -"),
    (lambda case: case["collaterals"][0].update(price=0), "collaterals[0]: price: 0 is not above zero"),
    (lambda case: case["collaterals"][0].update(amount=-1), "collaterals[0]: amount: -1 is below 0"),
    (lambda case: case["collaterals"][0].update(risk_cancelling="yes"), "collaterals[0]: risk_cancelling: 'yes' is"),
    (
        lambda case: case["parameters"].update({"derive-pm2": {"Margn": {}}}),
        "parameters.derive-pm2: Margn: is no field",
    ),
    (
        lambda case: case["parameters"].update({"derive-pm2": {"Margin": {"IM": 1}}}),
        "parameters.derive-pm2.Margin: IM: is no field",
    ),
]


@pytest.mark.parametrize(("change", "words"), REFUSALS, ids=[words for _, words in REFUSALS])
def test_document__that_cannot_be__is_refused_with_its_row_and_field(change: Change, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read(changed(document(), change))
    assert words in str(caught.value)


def marks(*vols: float, kind: str = "C") -> Change:
    def put(case: Tree) -> None:
        case["positions"] = []
        case["marks"] = [
            {"instrument": f"BTC_USDC-27MAR26-{80_000 + 10_000 * place}-{kind}", "vol": vol}
            for place, vol in enumerate(vols)
        ]

    return put


@pytest.mark.parametrize("kind", ["C", "P"])
def test_smile__without_arbitrage__is_taken(kind: str) -> None:
    assert read(changed(document(), marks(0.56, 0.5, 0.47, 0.48, kind=kind))).options == ()


@pytest.mark.parametrize("kind", ["C", "P"])
def test_smile__with_a_butterfly_below_nothing__is_refused_at_its_middle(kind: str) -> None:
    with pytest.raises(InputError, match=r"^marks\[1\]: vol: between strikes 80000 and 100000 a butterfly costs less"):
        read(changed(document(), marks(0.5, 0.75, 0.5, 0.5, kind=kind)))


def test_quote__below_what_exercise_is_worth__is_refused() -> None:
    def put(case: Tree) -> None:
        case["positions"] = []
        case["marks"] = [{"instrument": "BTC_USDC-27MAR26-60000-C", "vol": 0.5, "ask": 30_000}]

    with pytest.raises(InputError, match=r"^marks\[0\]: ask: 30000 is below .*, what exercise is worth: an arbitrage$"):
        read(changed(document(), put))


def write(folder: Path, text: str, name: str = "portfolio.json") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: column 1: the file is not JSON"),
        ("{", "the file is not JSON"),
        ("[]", "[] is not an object with fields"),
        ('{"account": {"cash": 1, "cash": 2}}', "cash: is given twice in one row"),
        ('{"account": ' + "[" * 100_000, "a nesting that cannot be read"),
        ('{"account": {"cash": ' + "9" * 5_000 + "}}", "holds a number or a nesting that cannot be read"),
        ('{"account": {"valuation_time": "15JAN26", "cash": NaN}}', "account: cash: nan is not a finite number"),
        ('{"account": {"valuation_time": "15JAN26", "cash": 1e999}}', "account: cash: inf is not a finite number"),
        ('{"account": {"valuation_time": "15JAN26"}, "positions": {}}', "positions: is not a list"),
    ],
)
def test_file__that_is_no_document__is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        load_portfolio(write(tmp_path, text))
    assert words in str(caught.value)


def test_file__absent_or_not_text__is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_portfolio(tmp_path / "none.json")
    with pytest.raises(InputError, match="the file has more than 64 MiB"):
        load_portfolio(Path("/dev/zero"))
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        load_portfolio(tmp_path / "bytes.json")


HEADER = "section,valuation_time,cash,instrument,amount,model,name,value"
ACCOUNT = "account,15JAN26,5,,,,,"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "line 1: section: the first line has to name the columns"),
        (["a,b"], "line 1: section: the first line has to name the columns"),
        (["section,cash,cash"], "line 1: section: the first line has to name the columns, each once"),
        ([HEADER], "account: 0 lines of section account; one is needed"),
        ([HEADER, ACCOUNT, ACCOUNT], "account: 2 lines of section account; one is needed"),
        ([HEADER, ACCOUNT, "trades,,,,1,,,"], "line 3: section: 'trades' is none of account, positions"),
        ([HEADER, ACCOUNT, ",,,BTC-PERPETUAL,1,,,"], "line 3: section: is missing"),
        ([HEADER, ACCOUNT, "positions,,,BTC-PERPETUAL,1,,,,9"], "line 3: 9 cells under 8 columns"),
        ([HEADER, ACCOUNT, "positions,,7,BTC-PERPETUAL,1,,,"], "line 3 (positions): cash: is no field of this row"),
        ([HEADER, ACCOUNT, "", "positions,,,BTC-PERPETUAL,x,,,"], "line 4 (positions): instrument: BTC-PERPETUAL is"),
        ([HEADER, ACCOUNT, 'positions,,,"BTC'], "line 3"),
        ([HEADER, ACCOUNT, *["parameters,,,,,derive-pm2,Margin.IM_LOSS_FACTOR,1"] * 2], "line 4 (parameters): name:"),
    ],
)
def test_csv__that_cannot_be__is_refused_with_its_line(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        load_portfolio(write(tmp_path, "\n".join(lines), "portfolio.csv"))
    assert words in str(caught.value)


def test_cases__of_one_or_many__are_named(tmp_path: Path) -> None:
    many = write(tmp_path, json.dumps({"A": standard_case(), "B": pm2_case()}))
    cases = load_cases(many)
    assert (list(cases.portfolios), cases.are_named) == (["A", "B"], True)
    assert load_portfolio(many, "B").cash == 5_000
    with pytest.raises(InputError, match="the file holds 2 cases, of which one has to be chosen: A, B"):
        load_portfolio(many)
    with pytest.raises(InputError, match="'C' is not in the file, which holds A, B"):
        load_portfolio(many, "C")
    assert parse_cases(pm2_case(), "one").are_named is False


def test_cases__one_of_which_cannot_be__are_refused_with_its_name() -> None:
    bad = changed(standard_case(), lambda case: case["Scenario"].pop("Cash"))
    with pytest.raises(InputError, match=r"^B\.Scenario: Cash: is missing$"):
        parse_cases({"A": standard_case(), "B": bad})
    with pytest.raises(InputError, match=r"^C: Scenario: is neither a case of PM2 nor one of the standard manager$"):
        parse_cases({"A": standard_case(), "C": {"Scenario": {}}})
    with pytest.raises(InputError, match=r"^Scenario: OptionFeeds: is missing$"):
        parse_cases(changed(pm2_case(), lambda case: case["Scenario"].pop("OptionFeeds")))


def test_error__of_a_value_without_end__is_a_line_that_can_be_read() -> None:
    with pytest.raises(InputError) as caught:
        parse_cases({"account": {"valuation_time": "15JAN26", "x" * 10**6: 1}})
    assert len(str(caught.value)) < 2_100
    assert str(caught.value).startswith("account: xxx")


@needs_vectors
def test_published_files__as_they_are__are_read() -> None:
    assert [load_cases(path).are_named for path in PM2_FILES] == [False] * len(PM2_FILES)
    assert len(load_cases(STANDARD_FILE).portfolios) == 14
