"""Frames of pandas and Polars, in and out; each test is passed over where its library is not installed."""

import math
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from holdfast.risk import InputError, compare_models, compute_margin
from holdfast.risk.frames import portfolio_of_frames, to_pandas, to_polars
from holdfast.risk.scenarios import make_table
from tests.support.margin_cases import Tree, account_document, read

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
