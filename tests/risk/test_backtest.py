"""Backtests on small paths worked out by hand."""

from collections.abc import Sequence

import pytest

from holdfast.risk.backtest import Measure, compute_coverage, run_backtest
from holdfast.risk.histories import History, Segment
from holdfast.risk.price_files import Quotes
from holdfast.risk.range_models import MODELS, Settings
from holdfast.risk.rows import InputError

HOUR = 3_600_000
START = 480_000 * HOUR


def history(
    *segments: Sequence[float], highs: Sequence[float] | None = None, lows: Sequence[float] | None = None
) -> History:
    parts = []
    first = START
    for closes in segments:
        times = tuple(first + place * HOUR for place in range(len(closes)))
        parts.append(
            Segment(times, tuple(closes), tuple(highs or closes), tuple(lows or closes), (True,) * len(closes))
        )
        first = times[-1] + 100 * HOUR
    return History("btc", "BTC", HOUR, tuple(parts), 0, Quotes("btc", "BTC", (), (), (), (), {}, 0, ()))


def settings(hours: int, confidence: float = 0.99) -> Settings:
    return Settings("BTC", HOUR, hours * HOUR, confidence)


def test_run__of_a_fixed_range__finds_the_moves_beyond_it() -> None:
    # 16 % is the range; the falls by a fifth and by a quarter are beyond it, the rise by 15 % is not.
    found = run_backtest(history([100.0, 80.0, 92.0, 69.0, 70.0]), "fixed", settings(1), warm_up=0)
    assert [round(window.move, 6) for window in found.windows] == [-0.2, 0.15, -0.25, round(1 / 69, 6)]
    assert [window.is_breach for window in found.windows] == [True, False, True, False]
    coverage = found.coverage
    assert (coverage.windows, coverage.breaches, coverage.breaches_up, coverage.breaches_down) == (4, 2, 0, 2)
    assert coverage.largest_shortfall == pytest.approx(0.09)
    assert coverage.mean_shortfall == pytest.approx(0.065)
    assert coverage.worst_time_ms == START + 2 * HOUR
    assert coverage.breach_rate == 0.5


def test_run__a_move_of_exactly_the_range__is_covered() -> None:
    assert run_backtest(history([100.0, 84.0]), "fixed", settings(1), warm_up=0).coverage.breaches == 0


def test_run__a_margin_period_of_several_epochs__is_tested_where_windows_do_not_overlap() -> None:
    closes = [100.0] * 4 + [70.0] * 5
    found = run_backtest(history(closes), "fixed", settings(3), warm_up=0)
    assert [window.is_breach for window in found.windows] == [False, True, True, True, False, False]
    assert [window.is_tested for window in found.windows] == [True, False, False, True, False, False]
    tests = found.coverage.tests
    assert (tests.observations, tests.breaches) == (2, 1)


def test_run__across_a_gap__has_no_window_and_no_sequence_of_breaches() -> None:
    found = run_backtest(history([100.0, 70.0], [200.0, 140.0]), "fixed", settings(1), warm_up=0)
    assert [window.segment for window in found.windows] == [0, 1]
    assert found.coverage.breaches == 2
    # One breach a segment: nothing follows anything.
    assert found.coverage.tests.independence is None


@pytest.mark.parametrize(
    ("highs", "lows", "move"),
    [([100.0, 101.0, 100.0], [100.0, 75.0, 99.0], -0.25), ([100.0, 125.0, 100.0], [100.0, 99.0, 90.0], 0.25)],
    ids=["down", "up"],
)
def test_run__by_the_worst_price_on_the_way__counts_a_wick(highs: list[float], lows: list[float], move: float) -> None:
    told = history([100.0, 100.0, 100.0], highs=highs, lows=lows)
    assert run_backtest(told, "fixed", settings(2), warm_up=0).coverage.breaches == 0
    worst = run_backtest(told, "fixed", settings(2), Measure.WORST, warm_up=0)
    assert [window.move for window in worst.windows] == [move]
    assert worst.coverage.breaches == 1


def test_run__the_warm_up__announces_to_nobody() -> None:
    found = run_backtest(history([100.0, 70.0, 70.0, 70.0]), "fixed", settings(1), warm_up=1)
    assert [window.time_ms for window in found.windows] == [START + HOUR, START + 2 * HOUR]
    assert found.coverage.breaches == 0


def test_run__of_a_fixed_range__is_never_procyclical() -> None:
    found = run_backtest(history([100.0, 70.0, 90.0] * 20), "fixed", settings(1), warm_up=0)
    assert found.procyclicality.peak_to_trough == 1.0
    assert found.procyclicality.rises[1] == 0.0


def test_run__of_an_adaptive_range__rises_in_a_crash_and_covers_what_the_fixed_one_does_not() -> None:
    calm = [100.0 + place % 2 for place in range(60)]
    fall = [calm[-1] * 0.972**step for step in range(1, 25)]
    told = history([*calm, *fall, *[fall[-1]] * 30])
    adaptive, fixed = (run_backtest(told, name, settings(8)) for name in ("adaptive", "fixed"))
    assert adaptive.coverage.breaches < fixed.coverage.breaches
    assert adaptive.procyclicality.peak_to_trough is not None
    assert adaptive.procyclicality.peak_to_trough > 1.3


@pytest.mark.parametrize(
    ("model", "hours", "words"), [("oracle", 1, "--model: 'oracle' is none of"), ("fixed", 0, "no whole number")]
)
def test_run__what_means_nothing__is_refused(model: str, hours: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        run_backtest(history([1.0, 2.0]), model, settings(hours))


def test_coverage__of_no_window__tells_nothing() -> None:
    coverage = compute_coverage([], 0.99)
    assert (coverage.windows, coverage.breach_rate, coverage.worst_time_ms) == (0, None, None)
    assert coverage.tests.observations == 0


@pytest.mark.parametrize("model", MODELS)
def test_run__what_comes_later__changes_no_earlier_window(model: str) -> None:
    calm = [100.0 + place % 3 for place in range(60)]
    crash = [*calm[:40], *(price / 2 for price in calm[40:])]
    calm_windows, crash_windows = (
        run_backtest(history(closes), model, settings(2)).windows for closes in (calm, crash)
    )
    # The windows that end before the crash are the same; those that end in it have the ranges announced before it.
    assert [window for window in crash_windows if window.time_ms <= START + 37 * HOUR] == [
        window for window in calm_windows if window.time_ms <= START + 37 * HOUR
    ]
    hit = [window for window in crash_windows if START + 38 * HOUR <= window.time_ms <= START + 39 * HOUR]
    before = {window.time_ms: window.range_ppm for window in calm_windows}
    assert [window.range_ppm for window in hit] == [before[window.time_ms] for window in hit]
    assert all(window.is_breach for window in hit)
