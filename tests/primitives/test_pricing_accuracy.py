"""The kernel against the same model at fifty digits, from the same integers."""

import random
from typing import NamedTuple

import mpmath
import numpy as np
import pytest

from holdfast.primitives import pricing
from holdfast.primitives.pricing import Grid, IntArray, Options, Slices, arrays, maths
from holdfast.primitives.pricing.black import VARIANCE_FLOOR, Tails, compute_price

AVERAGING_MS = 1_800_000
YEAR_MS = 31_536_000_000


class Case(NamedTuple):
    """One option on one slice under one scenario, all integers."""

    forward_e8: int
    theta_e12: int
    rho_ppm: int
    eta_ppm: int
    fixed_e8: int
    variable_ppm: int
    remaining_ms: int
    strike_e8: int
    is_call: int
    spot_ppm: int
    vol_ppm: int
    rho_shift_ppm: int
    shift_ppm: int
    width_ppm: int


class Exact(NamedTuple):
    """Price and effective forward in USD."""

    price: mpmath.mpf
    forward: mpmath.mpf


def price_exactly(case: Case) -> Exact:
    scale_ppm = int(pricing.vol_scale_ppm(np.array([case.remaining_ms]))[0])
    sigma_factor = max(1 + mpmath.mpf(case.vol_ppm * scale_ppm) / 10**12, mpmath.mpf(1) / 10)
    theta = mpmath.mpf(case.theta_e12) / 10**12 * sigma_factor**2
    eta = mpmath.mpf(case.eta_ppm) / 10**6
    rho_max = max(0, min(4 * 10**12 // case.eta_ppm - 10**6, 990_000))
    rho = mpmath.mpf(min(max(case.rho_ppm + case.rho_shift_ppm, -rho_max), rho_max)) / 10**6
    moving = mpmath.mpf(case.forward_e8) * case.variable_ppm * (10**6 + case.spot_ppm) / 10**20
    forward = mpmath.mpf(case.fixed_e8) / 10**8 + moving
    strike = mpmath.mpf(case.strike_e8) / 10**8
    if case.remaining_ms <= 0 or theta == 0 or strike == 0:
        return Exact(max(forward - strike, 0) if case.is_call else max(strike - forward, 0), forward)
    averaging = mpmath.mpf(1) / 3
    if case.remaining_ms > AVERAGING_MS:
        averaging = mpmath.mpf(case.remaining_ms - 1_200_000) / case.remaining_ms
    phi = eta / mpmath.sqrt(theta * (1 + theta))
    k = mpmath.log(strike / forward)
    vertex = rho + mpmath.mpf(case.shift_ppm) / 10**6
    width = (1 - rho**2) * mpmath.mpf(case.width_ppm) / 10**6
    level = 2 - mpmath.sqrt(vertex**2 + width)
    smile = level + rho * phi * k + mpmath.sqrt((phi * k + vertex) ** 2 + width)
    variance = theta / 2 * max(smile, mpmath.mpf("0.02"))
    deviation = mpmath.sqrt(variance * (moving / forward) ** 2 * averaging)
    d1 = -k / deviation + deviation / 2
    sign = 1 if case.is_call else -1
    tail_forward = mpmath.erfc(-sign * d1 / mpmath.sqrt(2)) / 2
    tail_strike = mpmath.erfc(-sign * (d1 - deviation) / mpmath.sqrt(2)) / 2
    return Exact(sign * (forward * tail_forward - strike * tail_strike), forward)


def draw_case(draw: random.Random, *, shocked: bool) -> Case:
    remaining_ms = draw.choice(
        [draw.randint(1, AVERAGING_MS), draw.randint(AVERAGING_MS, 10**8), draw.randint(10**8, YEAR_MS)]
    )
    forward_e8 = draw.randint(10**9, 2 * 10**13)
    theta_e12 = max(1, int(draw.uniform(0.05, 3.0) ** 2 * remaining_ms / YEAR_MS * 1e12))
    variable_ppm = max(1, min(10**6, remaining_ms * 10**6 // AVERAGING_MS))
    fixed_e8 = int(forward_e8 * (10**6 - variable_ppm) // 10**6 * draw.uniform(0.9, 1.1))
    ratio = draw.choice([1.0, 1.0, draw.uniform(0.9, 1.1), 2.0 ** draw.uniform(-3, 3)])
    shocks = (draw.randint(-660_000, 900_000), draw.randint(-500_000, 500_000), draw.randint(-300_000, 300_000))
    return Case(
        forward_e8,
        theta_e12,
        draw.randint(-700_000, 300_000),
        draw.randint(100_000, 2_300_000),
        fixed_e8,
        variable_ppm,
        remaining_ms,
        int(forward_e8 * ratio),
        draw.randint(0, 1),
        *(shocks if shocked else (0, 0, 0)),
        *draw.choice([(0, 10**6), (draw.randint(-2_000_000, 2_000_000), draw.randint(200_000, 40_000_000))]),
    )


def columns_of(cases: list[Case]) -> tuple[Slices, Options, Grid]:
    """Give each case its own slice, grid and option; one lot is 100 coins, so that an atom is a unit of the mark."""
    column = {name: np.array([getattr(case, name) for case in cases], dtype=np.int64) for name in Case._fields}
    index = np.arange(len(cases), dtype=np.int64)
    slices = Slices(**{name: column[name] for name in Slices._fields if name != "grid_index"}, grid_index=index)
    options = Options(index, column["strike_e8"], column["is_call"], np.full(len(cases), 10**10, dtype=np.int64))
    shocks = {name: column[name].reshape(-1, 1) for name in ("spot_ppm", "vol_ppm", "rho_shift_ppm")}
    return slices, options, Grid(**shocks, dampen_ppm=np.full((len(cases), 1), 10**6, dtype=np.int64))


@pytest.fixture(autouse=True)
def _fifty_digits() -> object:
    with mpmath.workdps(50):
        yield


def count_beside_nearest(cases: list[Case], values_e8: IntArray) -> int:
    """Count the results that are not the nearest unit; none may be further off than a near tie explains."""
    beside = 0
    for case, value in zip(cases, values_e8, strict=True):
        exact = price_exactly(case).price * 10**8
        assert abs(int(value) - exact) < mpmath.mpf("0.55"), case
        beside += int(mpmath.nint(exact)) != value
    return beside


def test_marks__thousands_of_random_options__equal_fifty_digits_to_the_unit() -> None:
    draw = random.Random(11)
    cases = [draw_case(draw, shocked=False) for _ in range(3000)]
    slices, options, _ = columns_of(cases)
    marks = pricing.compute_marks(slices, options).mark_e8
    assert count_beside_nearest(cases, marks) <= 6


def test_rows__thousands_of_random_shocks__equal_fifty_digits_to_the_unit() -> None:
    draw = random.Random(12)
    cases = [draw_case(draw, shocked=True) for _ in range(3000)]
    slices, options, grid = columns_of(cases)
    rows = pricing.compute_rows(slices, options, grid, np.zeros(len(cases), dtype=np.int64))[:, 0]
    assert count_beside_nearest(cases, rows) <= 6


def test_unrounded_prices__against_fifty_digits__err_by_less_than_1e_15_of_the_forward() -> None:
    draw = random.Random(13)
    cases = [draw_case(draw, shocked=True) for _ in range(3000)]
    slices, options, grid = columns_of(cases)
    surface = arrays._shock(slices, grid)
    shifted = arrays._log_moneyness(surface, options) - surface.log_shift[:, 0]
    variance = arrays._total_variance(surface, options.slice_index, shifted[:, None])[:, 0]
    tails = Tails.of(np.abs(shifted), np.sqrt(np.maximum(variance, VARIANCE_FLOOR)))
    strike, sign = options.strike_e8.astype(np.float64), np.where(options.is_call == 1, 1.0, -1.0)
    prices = compute_price(tails, surface.forward[:, 0], strike, variance, sign)
    worst = max(
        abs(mpmath.mpf(float(price)) / 10**8 - exact.price) / max(exact.forward, mpmath.mpf(case.strike_e8) / 10**8)
        for case, price, exact in zip(cases, prices, map(price_exactly, cases), strict=True)
    )
    assert worst < 1e-15


def _worst_ulps(values: np.ndarray, exact: list[mpmath.mpf]) -> float:
    return max(
        float(abs(mpmath.mpf(float(value)) - truth) / np.spacing(abs(float(truth))))
        for value, truth in zip(values, exact, strict=True)
    )


def test_exp__over_its_domain__errs_by_at_most_two_ulps() -> None:
    points = np.linspace(-600.0, 600.0, 4001)
    assert _worst_ulps(maths.exp(points), [mpmath.exp(mpmath.mpf(float(x))) for x in points]) <= 2.0


def test_log__wide_and_beside_one__errs_by_at_most_two_ulps() -> None:
    points = np.concatenate([10.0 ** np.linspace(-15, 20, 2000), 1.0 + np.linspace(-1e-6, 1e-6, 1001)])
    points = points[points != 1.0]
    assert _worst_ulps(maths.log(points), [mpmath.log(mpmath.mpf(float(x))) for x in points]) <= 2.0
    assert maths.log(np.array([1.0]))[0] == 0.0


def test_normal_tail__out_to_thirty_deviations__keeps_its_relative_accuracy() -> None:
    points = np.linspace(0.0, 30.0, 3001)
    exact = [mpmath.erfc(mpmath.mpf(float(x)) / mpmath.sqrt(2)) / 2 for x in points]
    values = maths.mills(points.copy()) * maths.exp(-0.5 * points * points)
    relative = [abs(mpmath.mpf(float(v)) - e) / e for v, e in zip(values, exact, strict=True)]
    absolute = [abs(mpmath.mpf(float(v)) - e) for v, e in zip(values, exact, strict=True)]
    assert max(r for r, x in zip(relative, points, strict=True) if x < 9.0) < 1e-14
    assert max(relative) < 1e-13
    assert max(absolute) < 3e-16


def test_greeks__against_central_differences_at_fifty_digits__agree() -> None:
    draw = random.Random(14)
    step = mpmath.mpf(10) ** -15
    cases = [
        c._replace(remaining_ms=max(c.remaining_ms, 10**8), fixed_e8=0, variable_ppm=10**6)
        for c in (draw_case(draw, shocked=False) for _ in range(200))
    ]
    slices, options, _ = columns_of(cases)
    marks = pricing.compute_marks(slices, options)
    for i, case in enumerate(cases):
        forward, strike = mpmath.mpf(case.forward_e8) / 10**8, mpmath.mpf(case.strike_e8) / 10**8
        years = mpmath.mpf(case.remaining_ms) / YEAR_MS

        def black(at: mpmath.mpf, sigma: mpmath.mpf, time: mpmath.mpf, strike: mpmath.mpf = strike) -> mpmath.mpf:
            deviation = sigma * mpmath.sqrt(time)
            d1 = mpmath.log(at / strike) / deviation + deviation / 2
            return at * mpmath.ncdf(d1) - strike * mpmath.ncdf(d1 - deviation)

        sigma = mpmath.mpf(int(marks.iv_ppm[i])) / 10**6
        h = forward * step
        delta = (black(forward + h, sigma, years) - black(forward - h, sigma, years)) / (2 * h)
        vega = (black(forward, sigma + step, years) - black(forward, sigma - step, years)) / (2 * step) / 100
        theta = (black(forward, sigma, years - step) - black(forward, sigma, years + step)) / (2 * step) / 365
        delta -= 0 if case.is_call else 1
        assert abs(int(marks.delta_ppm[i]) - delta * 10**6) < 40
        assert abs(int(marks.vega_e8[i]) - vega * 10**8) <= 2 + abs(vega) * 10**8 * mpmath.mpf("1e-4")
        assert abs(int(marks.theta_e8[i]) - theta * 10**8) <= 2 + abs(theta) * 10**8 * mpmath.mpf("1e-4")
        premium = black(forward, sigma, years) + (0 if case.is_call else strike - forward)
        assert abs(int(marks.mark_e8[i]) - premium * 10**8) <= 1 + abs(vega) * 10**10 * mpmath.mpf("1e-6")


def test_gamma__against_the_difference_of_deltas__agrees() -> None:
    strikes = np.linspace(7 * 10**12, 13 * 10**12, 25).astype(np.int64)
    ones: IntArray = np.ones(25, dtype=np.int64)
    zeros = ones * 0
    slices = Slices(
        ones[:1] * 10**13,
        ones[:1] * 10**10,
        zeros[:1],
        ones[:1],
        zeros[:1],
        ones[:1] * 10**6,
        ones[:1] * 10**9,
        zeros[:1],
        zeros[:1],
        ones[:1] * 10**6,
    )
    options = Options(zeros, strikes, ones, ones)
    bump_usd = 10
    up, down = (slices._replace(forward_e8=slices.forward_e8 + sign * bump_usd * 10**8) for sign in (1, -1))
    slope = (pricing.compute_marks(up, options).delta_ppm - pricing.compute_marks(down, options).delta_ppm) / (
        2 * bump_usd
    )
    assert np.allclose(pricing.compute_marks(slices, options).gamma_e12 / 1e6, slope, atol=0.3)
