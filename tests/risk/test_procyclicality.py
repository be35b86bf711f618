"""Measures of procyclicality, on paths worked out by hand."""

import math
from statistics import pstdev

import pytest

from holdfast.primitives.units import DAY_MS, HOUR_MS
from holdfast.risk.procyclicality import measure


def path(*figures: float, step_ms: int = DAY_MS) -> list[tuple[int, float]]:
    return [(place * step_ms, figure) for place, figure in enumerate(figures)]


def test_measure__of_a_constant__is_no_movement() -> None:
    found = measure([path(*[0.16] * 40)])
    assert (found.peak_to_trough, found.largest_step, found.log_change_deviation) == (1.0, 0.0, 0.0)
    assert found.rises == {1: 0.0, 5: 0.0, 30: 0.0}


def test_measure__of_a_path__is_worked_out_by_hand() -> None:
    found = measure([path(1.0, 2.0, 1.0, 1.5, 3.0, 4.0)])
    assert found.peak_to_trough == 4.0
    assert found.rises[1] == pytest.approx(1.0)  # 1 to 2, and 1.5 to 3
    assert found.rises[5] == pytest.approx(3.0)  # 1 to 4
    assert found.rises[30] is None
    assert found.largest_step == pytest.approx(1.0)
    changes = [math.log(ratio) for ratio in (2, 0.5, 1.5, 2, 4 / 3)]
    assert found.log_change_deviation == pytest.approx(pstdev(changes))


def test_measure__a_rise__counts_from_the_lowest_within_its_days() -> None:
    # The trough of 1 is two days before the peak: a day's rise begins at 2.
    assert measure([path(4.0, 1.0, 2.0, 5.0)]).rises[1] == pytest.approx(1.5)


def test_measure__a_fall__is_the_largest_step_with_its_sign() -> None:
    assert measure([path(4.0, 1.0, 2.0)]).largest_step == pytest.approx(-0.75)


def test_measure__across_a_gap__compares_only_peak_and_trough() -> None:
    found = measure([path(1.0, 1.0, 1.0), path(9.0, 9.0)])
    assert found.peak_to_trough == 9.0
    assert (found.rises[1], found.largest_step) == (0.0, 0.0)


def test_measure__of_a_history_under_a_day__tells_no_rise() -> None:
    assert measure([path(1.0, 2.0, step_ms=HOUR_MS)]).rises == {1: None, 5: None, 30: None}


def test_measure__of_nothing__tells_nothing() -> None:
    found = measure([])
    assert (found.peak_to_trough, found.largest_step, found.log_change_deviation) == (None, None, None)
