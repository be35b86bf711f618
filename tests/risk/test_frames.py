"""Frames of pandas and Polars, in and out; each test is passed over where its library is not installed."""

import math
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from holdfast.primitives.units import HOUR_MS
from holdfast.risk import InputError, compare_models, compute_margin
from holdfast.risk.backtests import Request, run
from holdfast.risk.chain import read_chains
from holdfast.risk.fit import fit_chain
from holdfast.risk.fit_report import measure
from holdfast.risk.frames import chains_of_frame, portfolio_of_frames, to_pandas, to_polars
from holdfast.risk.scenarios import make_table
from tests.support.chains import HEADER, make_lines, to_csv
from tests.support.margin_cases import EXAMPLES, Tree, account_document, read

ACCOUNT = read(account_document())
CONVERT = {"pandas": to_pandas, "polars": to_polars}


@pytest.fixture(params=["pandas", "polars"])
def library(request: pytest.FixtureRequest) -> ModuleType:
    module: ModuleType = pytest.importorskip(
        request.param, reason=f"the extra `frames` ({request.param}) is not installed"
    )
    return module


def frames_of(library: ModuleType, case: Tree) -> dict[str, Any]:
    """Return a document's sections as frames; what a row does not give is missing there."""
    frames: dict[str, Any] = {}
    for name, section in case.items():
        rows = section if isinstance(section, list) else [section]
        names = list(dict.fromkeys(key for row in rows for key in row))
        frames[name] = library.DataFrame({key: [_cell(row.get(key)) for row in rows] for key in names})
    return frames


def _cell(value: object) -> object:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def test_portfolio__of_frames__is_that_of_the_document(library: ModuleType) -> None:
    portfolio = portfolio_of_frames(frames_of(library, account_document()))
    assert compute_margin(portfolio) == compute_margin(ACCOUNT)


def test_results__become_frames(library: ModuleType) -> None:
    convert = CONVERT[library.__name__]
    result = compute_margin(ACCOUNT)
    scenarios: Any = convert(result)
    assert list(scenarios.columns) == ["scenario", "pnl"]
    assert min(scenarios["pnl"]) == min(result.scenarios.values())
    grid: Any = convert(make_table(ACCOUNT, [-0.1, 0.0], [-0.3, 0.0, 0.5]))
    assert (list(grid.columns), len(grid)) == (["spot", "vol", "pnl"], 6)
    models: Any = convert(compare_models(ACCOUNT))
    assert next(iter(models["model"])) == "holdfast"
    assert next(iter(models["initial"])) == result.initial
    assert "PM2 margins one underlying" in list(models["refusal"])[1]


def test_frame__with_a_wrong_cell__is_refused_by_section_row_and_field(library: ModuleType) -> None:
    case = account_document()
    case["positions"][1]["amount"] = math.inf
    with pytest.raises(InputError, match=r"^positions\[1\]: amount: inf is not a finite number"):
        portfolio_of_frames(frames_of(library, case))
    case["positions"][1]["amount"] = None
    with pytest.raises(InputError, match=r"^positions\[1\]: amount: is missing"):
        portfolio_of_frames(frames_of(library, case))


def test_frame__with_a_nan_in_polars__is_no_missing_value() -> None:
    polars = pytest.importorskip("polars", reason="the extra `frames` (polars) is not installed")
    frames = frames_of(polars, account_document())
    frames["account"] = frames["account"].with_columns(cash=math.nan)
    with pytest.raises(InputError, match=r"^account\[0\]: cash: nan is not a finite number"):
        portfolio_of_frames(frames)


def test_frame_of_pandas__with_named_labels_dates_and_categories__is_read() -> None:
    pandas = pytest.importorskip("pandas", reason="the extra `frames` (pandas) is not installed")
    frames = frames_of(pandas, account_document())
    frames["positions"] = frames["positions"].astype({"instrument": "category"}).set_index("instrument")
    frames["expiries"]["expiry"] = pandas.to_datetime(frames["expiries"]["expiry"], format="%d%b%y")
    frames["surfaces"]["expiry"] = pandas.to_datetime(frames["surfaces"]["expiry"], format="%d%b%y").dt.date
    frames["account"]["valuation_time"] = pandas.to_datetime(frames["account"]["valuation_time"])
    assert compute_margin(portfolio_of_frames(frames)) == compute_margin(ACCOUNT)


def test_frame_of_polars__with_dates_and_decimals__is_read() -> None:
    polars = pytest.importorskip("polars", reason="the extra `frames` (polars) is not installed")
    frames = frames_of(polars, account_document())
    frames["expiries"] = frames["expiries"].with_columns(polars.col("expiry").str.to_date("%d%b%y"))
    frames["positions"] = frames["positions"].with_columns(polars.col("amount").cast(polars.Decimal(20, 4)))
    assert compute_margin(portfolio_of_frames(frames)) == compute_margin(ACCOUNT)


@pytest.mark.parametrize("table", ["text", None, 5, {"instrument": ["BTC-PERPETUAL"]}, [["BTC-PERPETUAL", 1]]])
def test_section__that_is_no_table__is_refused_by_its_name(table: object) -> None:
    sections: dict[str, Any] = {"account": [{"valuation_time": "15JAN26"}], "positions": table}
    words = rf"^positions: {type(table).__name__} is neither a frame nor a list of rows with fields$"
    with pytest.raises(InputError, match=words):
        portfolio_of_frames(sections)


def test_single_row_of_pandas__is_no_table() -> None:
    pandas = pytest.importorskip("pandas", reason="the extra `frames` (pandas) is not installed")
    with pytest.raises(InputError, match="account: Series is neither a frame nor a list of rows"):
        portfolio_of_frames({"account": pandas.Series({"valuation_time": "15JAN26"})})


def test_chain__of_a_frame__is_that_of_its_file(library: ModuleType) -> None:
    columns: dict[str, list[Any]] = {name: [line[place] for line in make_lines()] for place, name in enumerate(HEADER)}
    for name in ("bid", "ask", "forward"):
        columns[name] = list(map(float, columns[name]))
    columns["mark_vol"] = [None for _ in columns["mark_vol"]]
    frame = library.DataFrame(columns)
    assert chains_of_frame(frame) == read_chains(to_csv(make_lines()))
    with pytest.raises(InputError, match=r"^chain: has no column 'ask'; see"):
        chains_of_frame(frame[["instrument", "time", "bid", "forward"]])
    with pytest.raises(InputError, match=r"^chain: has no rows"):
        chains_of_frame(frame[:0])
    with pytest.raises(InputError, match=r"^chain\[0\]: bid: 'dear' is not a number"):
        chains_of_frame([{"instrument": "BTC-27MAR26-9-C", "time": 1, "bid": "dear", "ask": 1, "forward": 9}])


def test_fit_and_backtests__become_frames(library: ModuleType) -> None:
    convert = CONVERT[library.__name__]
    fit = measure(fit_chain(read_chains(to_csv(make_lines()[:42]))[0]))
    expiries: Any = convert(fit)
    assert list(expiries["theta_e12"]) == [one.smile.theta_e12 for one in fit.expiries]
    assert list(expiries["expiry"]) == [one.points.expiry for one in fit.expiries]
    outcome = run(Request(paths=(EXAMPLES / "btc_history.csv",), models=("fixed", "ewma"), horizon_ms=4 * HOUR_MS))
    models: Any = convert(outcome)
    assert list(models["model"]) == ["fixed", "ewma"]
    assert list(models["breaches"]) == [found.coverage.breaches for found in outcome.results[0].backtests.values()]
    assert next(iter(models["range_least"])) == next(iter(models["range_most"])) == 0.16


def test_sections__of_plain_rows__need_no_library() -> None:
    sections = {name: rows if isinstance(rows, list) else [rows] for name, rows in account_document().items()}
    assert compute_margin(portfolio_of_frames(sections)) == compute_margin(ACCOUNT)
    dearer = portfolio_of_frames(sections, {"holdfast": {"short_im_ppm": 20_000}})
    assert compute_margin(dearer).initial > compute_margin(ACCOUNT).initial
    with pytest.raises(InputError, match="position: is no section; known are account"):
        portfolio_of_frames({"position": []})
    with pytest.raises(InputError, match="account: 0 rows; one is needed"):
        portfolio_of_frames({})


def test_library__that_is_not_installed__is_named_with_the_way_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> object:
        if name in CONVERT:
            raise ModuleNotFoundError(name)
        return import_module(name)

    monkeypatch.setattr("holdfast.risk.frames.import_module", refuse)
    with pytest.raises(ModuleNotFoundError, match=r"polars is not installed: pip install 'holdfast\[frames\]'"):
        to_polars(compute_margin(ACCOUNT))
