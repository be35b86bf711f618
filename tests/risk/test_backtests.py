"""Backtests from files: the shipped history, real ones where they are at hand, and what is refused or skipped."""

import importlib.util
from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast.primitives.units import DAY_MS, HOUR_MS, MINUTE_MS
from holdfast.risk.backtest import Measure
from holdfast.risk.backtests import Request, Result, run
from holdfast.risk.rows import InputError
from tests.support.price_histories import (
    CRASH_DAYS,
    CRASH_FILE,
    CRASH_FOLDER,
    EXAMPLE,
    PERPETUALS_FILE,
    TERRA_FILE,
    needs_prices,
)


@pytest.fixture(scope="module")
def example() -> Result:
    (result,) = run(Request((EXAMPLE,))).results
    return result


def test_example__generated_again__is_the_same_bytes() -> None:
    path = Path(__file__).parents[2] / "tools" / "make_risk_history.py"
    spec = importlib.util.spec_from_file_location("make_risk_history", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert EXAMPLE.read_text(encoding="utf-8") == "\n".join(module.lines()) + "\n"


def test_run__of_the_example__cuts_at_its_gap_and_runs_every_model(example: Result) -> None:
    assert (example.history.epochs, len(example.history.segments), example.history.stale_epochs) == (2_391, 2, 0)
    assert list(example.backtests) == ["adaptive", "fixed", "ewma", "historical"]
    for found in example.backtests.values():
        times = [window.time_ms for window in found.windows]
        assert times == sorted(set(times))


def test_run__of_the_example__finds_the_planted_fall_and_nothing_else_for_the_exchange_s_ranges(
    example: Result,
) -> None:
    day_70 = int(datetime(2025, 11, 10, tzinfo=UTC).timestamp()) * 1_000
    for model in ("adaptive", "fixed"):
        breaches = [window for window in example.backtests[model].windows if window.is_breach]
        assert breaches
        assert all(day_70 - DAY_MS <= window.time_ms <= day_70 + 2 * DAY_MS for window in breaches)
    adaptive, fixed = (example.backtests[model].coverage for model in ("adaptive", "fixed"))
    assert adaptive.largest_shortfall < fixed.largest_shortfall


def test_run__of_the_example__margins_the_portfolios_of_the_exchange_s_models(example: Result) -> None:
    assert list(example.margins) == ["adaptive", "fixed"]
    margins = example.margins["adaptive"]
    assert margins.untold == ""
    ranges = [announced.range_ppm for announced in example.backtests["adaptive"].announced]
    # A future's margin is the range, rounded up to the grid's steps, and the basis charge.
    assert margins.largest_ppm["long future"] - max(ranges) in range(3_000, 3_004)
    measured = margins.by_portfolio["long future"].peak_to_trough
    assert measured == pytest.approx((max(ranges) + 3_000) / (min(ranges) + 3_000), abs=1e-4)
    assert example.margins["fixed"].by_portfolio["short straddle"].peak_to_trough == 1.0


def test_run__on_progress__counts_every_epoch_of_every_model() -> None:
    told: list[tuple[int, int]] = []
    run(Request((EXAMPLE,), models=("fixed", "ewma")), lambda done, total, _: told.append((done, total)))
    assert told == [*((done, 4_782) for done in range(500, 4_782, 500)), (4_782, 4_782)]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request((EXAMPLE,), models=("garch",)), "--model: 'garch' is none of adaptive, fixed, ewma, historical"),
        (Request((EXAMPLE,), underlying="DOGE"), "--underlying: 'DOGE' is none of BTC, ETH"),
        (Request((EXAMPLE,), confidence=1.0), "--confidence: 1 is not from 0.5 to below 1"),
        (Request((EXAMPLE,), confidence=0.2), "--confidence: 0.2 is not from 0.5"),
        (Request((EXAMPLE,), warm_up=-1), "--warm-up: -1 is below zero"),
        (Request((EXAMPLE,), horizon_ms=90 * MINUTE_MS), "btc_history: --horizon: is no whole number of epochs"),
        (Request((EXAMPLE,), epoch_ms=5 * MINUTE_MS), "btc_history: --epoch: rows are 60 minutes apart"),
        (Request((EXAMPLE,), horizon_ms=4_000 * HOUR_MS), "1429 epochs without a gap do not hold one margin period"),
    ],
)
def test_run__what_means_nothing__is_refused_with_its_option(request_: Request, words: str) -> None:
    with pytest.raises(InputError) as refused:
        run(request_)
    assert words in str(refused.value)


def test_run__a_history_too_short__is_skipped_beside_one_that_is_not(tmp_path: Path) -> None:
    short = tmp_path / "eth.csv"
    short.write_text("time,close\n1767225600,10\n1767229200,11\n1767232800,12\n", encoding="utf-8")
    outcome = run(Request((EXAMPLE, short), models=("fixed",)))
    assert [result.history.label for result in outcome.results] == ["btc_history"]
    assert [error.row for error in outcome.skipped] == ["eth"]


def test_run__a_folder_without_prices__is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the folder holds no CSV file of prices"):
        run(Request((tmp_path,)))


def test_run__a_bad_row__is_told_with_file_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "btc.csv"
    path.write_text("time,close\n1767225600,0\n", encoding="utf-8")
    with pytest.raises(InputError) as refused:
        run(Request((path,), is_strict=True))
    assert str(refused.value) == "btc.csv: line 2: close: 0 is not above zero"


@needs_prices
def test_run__of_the_crash_of_october_2025__the_exchange_s_ranges_cover_even_its_wick() -> None:
    (result,) = run(Request((CRASH_FILE,), horizon_ms=HOUR_MS, measure=Measure.WORST)).results
    for model in ("adaptive", "fixed"):
        coverage = result.backtests[model].coverage
        assert coverage.breaches == 0
        # From 21:00 to the low of 101,877.7 in the bar of 21:20.
        assert coverage.largest_move == pytest.approx(-0.1082, abs=0.001)
    assert result.backtests["ewma"].coverage.breaches > 10


@needs_prices
def test_run__of_the_fall_of_terra__the_adaptive_range_covers_where_the_fixed_one_breaks() -> None:
    (result,) = run(Request((TERRA_FILE,))).results
    adaptive, fixed = (result.backtests[model].coverage for model in ("adaptive", "fixed"))
    assert (adaptive.windows, fixed.windows) == (838, 838)
    assert fixed.breaches == 8
    assert adaptive.breaches == 0


@needs_prices
def test_run__of_four_prices_a_day__takes_epochs_of_six_hours() -> None:
    outcome = run(Request((PERPETUALS_FILE,), models=("fixed",)))
    assert [(result.history.underlying, result.history.epoch_ms) for result in outcome.results] == [
        ("BTC", 6 * HOUR_MS),
        ("ETH", 6 * HOUR_MS),
    ]


@needs_prices
def test_run__of_days_years_apart__joins_them_with_gaps() -> None:
    (result,) = run(Request((CRASH_DAYS,), is_joined=True, horizon_ms=4 * HOUR_MS)).results
    assert len(result.history.segments) == 5
    windows = result.backtests["fixed"].windows
    # ETH went from 150 to 1,800 USD between the days, no move of four hours; on Black Thursday it lost a fifth in four.
    assert all(abs(window.move) < 0.3 for window in windows)
    assert min(window.move for window in windows) < -0.2


@needs_prices
def test_run__of_a_folder__passes_over_depth_and_options() -> None:
    outcome = run(Request((CRASH_FOLDER,), models=("fixed",), horizon_ms=HOUR_MS))
    labels = {result.history.label for result in outcome.results} | {error.row for error in outcome.skipped}
    assert "gemini_ETHUSD_1m" in labels
    assert not any("bookDepth" in label or "options" in label for label in labels)


@needs_prices
def test_run__of_venues_side_by_side__joins_nothing() -> None:
    with pytest.raises(InputError, match="overlaps"):
        run(Request((CRASH_FOLDER,), is_joined=True))
