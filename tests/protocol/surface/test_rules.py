"""Admission of surfaces and interpolation between expiries."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.primitives import pricing
from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.pricing import Options, Slices
from holdfast.protocol.surface import rules
from holdfast.protocol.surface.rules import interpolate_theta_e12, is_admissible

DAY_MS = 86_400_000
THETAS = (10**9, 10**10, 10**11)


@pytest.mark.parametrize(
    ("rho_ppm", "eta_ppm", "thetas_e12", "admissible"),
    [
        (-300_000, 1_000_000, THETAS, True),
        (0, 2_000_000, THETAS, True),
        (250_000, 1_600_000, THETAS, True),
        (-250_000, 1_600_000, THETAS, True),
        (-250_001, 1_600_000, THETAS, False),
        (250_001, 1_600_000, THETAS, False),
        (999_999, 1_000_000, THETAS, True),
        (1_000_000, 1_000_000, THETAS, False),
        (-1_000_000, 1, THETAS, False),
        (0, 0, THETAS, False),
        (0, -1, THETAS, False),
        (0, 2_000_001, THETAS, False),
        (0, 1, (), False),
        (0, 1, (0, 1), False),
        (0, 1, (1, 1), True),
        (0, 1, (-5, 1), False),
        (0, 1, (2, 1), False),
        (0, 1, (1, 3, 2, 4), False),
        (0, 1, (1, rules.THETA_MAX_E12), True),
        (0, 1, (1, rules.THETA_MAX_E12 + 1), False),
        (0, 1, (1,) * rules.EXPIRIES_MAX, True),
        (0, 1, (1,) * (rules.EXPIRIES_MAX + 1), False),
    ],
)
def test_surface__at_each_bound__is_judged(
    rho_ppm: int, eta_ppm: int, thetas_e12: tuple[int, ...], admissible: bool
) -> None:
    assert is_admissible(rho_ppm, eta_ppm, thetas_e12) is admissible


@given(
    rho_ppm=st.integers(-999_999, 999_999),
    theta_e12=st.integers(10**6, 5 * 10**12),
    growth_ppm=st.integers(0, 3_000_000),
    share_ppm=st.integers(1, 1_000_000),
)
def test_surface__admitted__has_no_butterfly_and_no_calendar_arbitrage(
    rho_ppm: int, theta_e12: int, growth_ppm: int, share_ppm: int
) -> None:
    eta_ppm = max(1, 2 * 10**12 // (10**6 + abs(rho_ppm)) * share_ppm // 10**6)
    thetas = (theta_e12, theta_e12 + theta_e12 * growth_ppm // 10**6)
    assert is_admissible(rho_ppm, eta_ppm, thetas)
    strikes = np.geomspace(2_000, 5_000_000, 121).astype(np.int64) * 10**8
    same = np.ones(2, dtype=np.int64)
    slices = Slices(
        forward_e8=same * 10**13,
        theta_e12=np.array(thetas, dtype=np.int64),
        rho_ppm=same * rho_ppm,
        eta_ppm=same * eta_ppm,
        fixed_e8=same * 0,
        variable_ppm=same * 10**6,
        remaining_ms=same * 30 * DAY_MS,
        grid_index=same * 0,
    )
    ones = np.ones(len(strikes), dtype=np.int64)
    near, far = (pricing.compute_marks(slices, Options(ones * i, strikes, ones, ones)).mark_e8 for i in (0, 1))
    assert np.all(far - near >= -1)
    slopes = np.diff(near) / np.diff(strikes)
    assert np.all(slopes <= 0)
    assert np.all(slopes >= -1 - 1e-9)
    # A price rounded to the unit moves a slope by at most one unit over the gap.
    assert np.all(np.diff(slopes) >= -2 / np.diff(strikes)[:-1])


def test_interpolation__at_nodes_between_and_beyond__is_linear_in_time() -> None:
    expiries = [10 * DAY_MS, 20 * DAY_MS, 40 * DAY_MS]
    thetas = [100, 300, 500]
    days = (0, 1, 5, 10, 15, 20, 21, 30, 40, 60)
    values = [interpolate_theta_e12(expiries, thetas, day * DAY_MS, 0) for day in days]
    assert values == [0, 10, 50, 100, 200, 300, 310, 400, 500, 750]


def test_interpolation__nodes_that_have_come__are_passed_over() -> None:
    expiries, thetas = [10 * DAY_MS, 20 * DAY_MS], [100, 300]
    assert interpolate_theta_e12(expiries, thetas, 15 * DAY_MS, 10 * DAY_MS) == 150
    assert interpolate_theta_e12(expiries, thetas, 10 * DAY_MS, 10 * DAY_MS) == 0
    assert interpolate_theta_e12(expiries, thetas, 9 * DAY_MS, 10 * DAY_MS) == 0


def test_interpolation__far_beyond_the_last__stops_at_the_bound() -> None:
    assert interpolate_theta_e12([1], [10**13], 10**6, 0) == rules.THETA_MAX_E12


@pytest.mark.parametrize(("expiries", "thetas"), [([], []), ([5], []), ([5, 5], [1, 2]), ([9, 5], [1, 2]), ([-1], [1])])
def test_interpolation__broken_nodes__halt(expiries: list[int], thetas: list[int]) -> None:
    with pytest.raises(BrokenInvariantError):
        interpolate_theta_e12(expiries, thetas, 7, 0)


@given(
    gaps=st.lists(st.integers(1, 400 * DAY_MS), min_size=1, max_size=8),
    steps=st.lists(st.integers(0, 10**12), min_size=8, max_size=8),
    times=st.lists(st.integers(1, 3000 * DAY_MS), min_size=2, max_size=12),
)
def test_interpolation__any_ascending_nodes__rises_and_errs_by_less_than_a_unit(
    gaps: list[int], steps: list[int], times: list[int]
) -> None:
    expiries = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    thetas = [1 + sum(steps[: i + 1]) for i in range(len(gaps))]
    values = [interpolate_theta_e12(expiries, thetas, time, 0) for time in sorted(times)]
    assert values == sorted(values)
    for time, value in zip(sorted(times), values, strict=True):
        nodes = [(0, 0), *zip(expiries, thetas, strict=True)]
        if time <= expiries[-1]:
            near, far = next((a, b) for a, b in pairwise(nodes) if time <= b[0])
            exact = near[1] + Fraction(far[1] - near[1], far[0] - near[0]) * (time - near[0])
        else:
            exact = min(Fraction(thetas[-1], expiries[-1]) * time, Fraction(rules.THETA_MAX_E12))
        assert 0 <= exact - value < 1
