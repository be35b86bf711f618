"""Admission of surfaces and interpolation between expiries."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from holdfast.lab.reference.surface import shape_at
from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.smiles import THETA_MAX_E12
from holdfast.protocol.surface import rules
from holdfast.protocol.surface.rules import interpolate_theta_e12, is_admissible
from holdfast.protocol.surface.state import Slice, Surface

DAY_MS = 86_400_000


def make_slices(*thetas_e12: int, rho_ppm: int = -300_000, eta_ppm: int = 1_000_000) -> list[Slice]:
    return [
        Slice((day + 1) * DAY_MS, 10**9, theta_e12, rho_ppm, eta_ppm, 0, 10**6)
        for day, theta_e12 in enumerate(thetas_e12)
    ]


@pytest.mark.parametrize(
    ("thetas_e12", "admissible"),
    [
        ((10**9, 10**10, 10**11), True),
        ((), False),
        ((0, 1), False),
        ((1, 1), True),
        ((2, 1), False),
        ((1, 3, 2, 4), False),
        ((1, THETA_MAX_E12), True),
        ((1, THETA_MAX_E12 + 1), False),
        ((1,) * rules.EXPIRIES_MAX, True),
        ((1,) * (rules.EXPIRIES_MAX + 1), False),
    ],
)
def test_surface__variances_by_expiry__are_judged(thetas_e12: tuple[int, ...], admissible: bool) -> None:
    assert is_admissible(make_slices(*thetas_e12)) is admissible


def test_smile__between_two_expiries__goes_from_one_into_the_other() -> None:
    near, far = (
        Slice(day * DAY_MS, 10**9, theta, *numbers)
        for day, theta, numbers in (
            (1, 10**9, (-300_000, 1_000_000, 0, 10**6)),
            (3, 10**10, (-200_000, 1_100_001, 90_000, 3 * 10**6)),
        )
    )
    surface = Surface(2, (near, far), 0, 1)
    assert [rules.get_smile(surface, time_ms, 0) for time_ms in (1, DAY_MS)] == [near, near]
    assert [rules.get_smile(surface, days * DAY_MS, 0) for days in (3, 4)] == [far, far]
    between = rules.get_smile(surface, 2 * DAY_MS, 0)
    assert astuple(between)[3:] == (-250_000, 1_050_000, 45_000, 2 * 10**6)
    assert rules.get_smile(surface, 2 * DAY_MS, DAY_MS) == far


def test_smile__between_two_whose_mixture_is_arbitraged__is_the_later_one() -> None:
    # eta (1 + |rho|) is 3.98 at both, and 4.3 half way.
    near = Slice(DAY_MS, 10**9, 10**9, -900_000, 2_090_000, 0, 10**6)
    far = Slice(3 * DAY_MS, 10**9, 10**10, 0, 3_950_000, 0, 10**6)
    assert is_admissible([near])
    assert is_admissible([far])
    assert rules.get_smile(Surface(2, (near, far), 0, 1), 2 * DAY_MS, 0) == far


shapes = st.builds(
    lambda rho, eta, shift, width: (rho, eta, shift, width),
    st.integers(-800_000, 300_000),
    st.integers(300_000, 2_000_000),
    st.integers(-500_000, 500_000),
    st.integers(600_000, 20_000_000),
)


@given(st.lists(shapes, min_size=1, max_size=4), st.integers(0, 6 * DAY_MS), st.integers(0, DAY_MS))
def test_smile__at_any_time__is_the_reference_engines(
    numbers: list[tuple[int, int, int, int]], expiry_ms: int, now_ms: int
) -> None:
    slices = tuple(Slice((day + 1) * DAY_MS + 1, 10**9, (day + 1) * 10**9, *one) for day, one in enumerate(numbers))
    surface = Surface(2, slices, 0, 1)
    assert rules.get_smile(surface, expiry_ms, now_ms) == shape_at(surface, expiry_ms, now_ms)


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
    assert interpolate_theta_e12([1], [10**13], 10**6, 0) == THETA_MAX_E12


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
            exact = min(Fraction(thetas[-1], expiries[-1]) * time, Fraction(THETA_MAX_E12))
        assert 0 <= exact - value < 1
