"""The kernel's shape: parity, order, windows, edges, refusals, bits."""

import numpy as np
import pytest

from holdfast.primitives import pricing
from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.pricing import Grid, IntArray, Options, Slices, arrays
from holdfast.primitives.pricing.golden import golden_inputs

DAY_MS = 86_400_000
MINUTE_MS = 60_000
COIN_E8 = 10**8
USD_E8 = 10**8
FORWARD_E8 = 100_000 * USD_E8


def ints(*values: int) -> IntArray:
    return np.array(values, dtype=np.int64)


def make_slices(count: int = 1, **columns: int | IntArray) -> Slices:
    defaults: dict[str, int | IntArray] = {
        "forward_e8": FORWARD_E8,
        "theta_e12": 20_000_000_000,
        "rho_ppm": -250_000,
        "eta_ppm": 900_000,
        "fixed_e8": 0,
        "variable_ppm": 1_000_000,
        "remaining_ms": 30 * DAY_MS,
        "grid_index": 0,
        "shift_ppm": 0,
        "width_ppm": 1_000_000,
    }
    full = {
        name: np.broadcast_to(np.asarray(value, dtype=np.int64), (count,)).copy()
        for name, value in (defaults | columns).items()
    }
    return Slices(**full)


def make_options(strikes_e8: IntArray, is_call: int, slice_index: int = 0, lot_e8: int = COIN_E8 // 100) -> Options:
    same = np.ones_like(strikes_e8)
    return Options(same * slice_index, strikes_e8, same * is_call, same * lot_e8)


def make_grid(**columns: IntArray) -> Grid:
    length = len(next(iter(columns.values())))
    zero = np.zeros(length, dtype=np.int64)
    full = {"spot_ppm": zero, "vol_ppm": zero, "rho_shift_ppm": zero, "dampen_ppm": zero + 1_000_000} | columns
    return Grid(**{name: column.reshape(1, -1) for name, column in full.items()})


STRIKES_E8 = np.arange(40_000, 250_001, 2_500, dtype=np.int64) * USD_E8


def test_blocks__another_size__gives_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    slices, options, grid = golden_inputs()
    marks = pricing.compute_marks(slices, options).mark_e8
    rows = pricing.compute_rows(slices, options, grid, marks)
    monkeypatch.setattr(arrays, "_BLOCK_ELEMENTS", 96)
    assert np.array_equal(rows, pricing.compute_rows(slices, options, grid, marks))


def test_rows__one_instrument_alone__equal_its_row_among_all() -> None:
    slices, options, grid = golden_inputs()
    marks = pricing.compute_marks(slices, options).mark_e8
    rows = pricing.compute_rows(slices, options, grid, marks)
    for i in (0, 101, 255):
        alone = Options(*(column[i : i + 1] for column in options))
        assert np.array_equal(rows[i : i + 1], pricing.compute_rows(slices, alone, grid, marks[i : i + 1]))


def test_parity__calls_and_puts__differ_by_the_intrinsic_forward() -> None:
    slices = make_slices()
    calls = pricing.compute_marks(slices, make_options(STRIKES_E8, 1))
    puts = pricing.compute_marks(slices, make_options(STRIKES_E8, 0))
    assert np.all(np.abs(calls.mark_e8 - puts.mark_e8 - (FORWARD_E8 - STRIKES_E8)) <= 1)
    assert np.all(np.abs(calls.delta_ppm - puts.delta_ppm - 1_000_000) <= 1)
    assert np.array_equal(calls.iv_ppm, puts.iv_ppm)
    assert np.array_equal(calls.vega_e8, puts.vega_e8)


def test_marks__along_strikes__fall_and_are_convex() -> None:
    for theta_e12 in (1_000_000, 10**9, 10**11, 10**12, 10**13):
        calls = pricing.compute_marks(make_slices(theta_e12=theta_e12), make_options(STRIKES_E8, 1)).mark_e8
        assert np.all(np.diff(calls) <= 0)
        assert np.all(np.diff(calls, 2) >= -2)
        assert np.all(calls >= np.maximum(FORWARD_E8 - STRIKES_E8, 0))
        assert np.all(calls <= FORWARD_E8)


def test_marks__longer_expiry_with_more_variance__never_cost_less() -> None:
    thetas = np.geomspace(1e6, 1e12, 60).astype(np.int64)
    slices = make_slices(60, theta_e12=thetas)
    for strike in (50_000, 90_000, 100_000, 130_000, 400_000):
        options = make_options(np.full(60, strike * USD_E8), 1)._replace(slice_index=np.arange(60))
        assert np.all(np.diff(pricing.compute_marks(slices, options).mark_e8) >= 0)


def test_at_the_money__flat_surface__has_the_parameter_as_its_volatility() -> None:
    year = make_slices(theta_e12=360_000_000_000, remaining_ms=365 * DAY_MS, rho_ppm=0)
    averaging_e6 = 1_000_000 - round(20 * MINUTE_MS / (365 * DAY_MS) * 1e6 / 2)
    iv_ppm = int(pricing.compute_marks(year, make_options(ints(FORWARD_E8), 1)).iv_ppm[0])
    assert abs(iv_ppm - 600_000 * averaging_e6 / 1e6) < 2


def test_future__as_a_call_without_strike__is_the_forward() -> None:
    slices = make_slices()
    future = make_options(ints(0), 1)
    marks = pricing.compute_marks(slices, future)
    assert (marks.mark_e8[0], marks.delta_ppm[0], marks.gamma_e12[0], marks.vega_e8[0]) == (FORWARD_E8, 1_000_000, 0, 0)
    rows = pricing.compute_rows(slices, future, make_grid(spot_ppm=ints(-160_000, 0, 160_000)), marks.mark_e8)
    assert rows.tolist() == [[-160_000_000, 0, 160_000_000]]  # 0.01 BTC x 16,000 USD = 160 USD


def test_rows__without_shock__are_zero() -> None:
    slices, options, grid = golden_inputs()
    calm = Grid(*(column * 0 for column in grid))._replace(dampen_ppm=grid.dampen_ppm * 0 + 1_000_000)
    rows = pricing.compute_rows(slices, options, calm, pricing.compute_marks(slices, options).mark_e8)
    assert not rows.any()


def test_rows__half_dampened__are_half_and_signs_follow_the_shock() -> None:
    slices = make_slices()
    options = make_options(STRIKES_E8, 1)
    marks = pricing.compute_marks(slices, options).mark_e8
    grid = make_grid(spot_ppm=ints(-100_000, 100_000, 100_000), dampen_ppm=ints(1_000_000, 1_000_000, 500_000))
    rows = pricing.compute_rows(slices, options, grid, marks)
    assert np.all(rows[:, 0] <= 0)
    assert np.all(rows[:, 1] >= 0)
    assert np.all(np.abs(rows[:, 1] - 2 * rows[:, 2]) <= 1)


def test_rows__volatility_down__never_below_a_tenth() -> None:
    slices = make_slices()
    options = make_options(ints(FORWARD_E8), 1)
    grid = make_grid(vol_ppm=ints(-900_000, -2_000_000))
    rows = pricing.compute_rows(slices, options, grid, pricing.compute_marks(slices, options).mark_e8)
    assert rows[0, 0] == rows[0, 1] < 0


def test_rows__correlation_shock_past_the_steepest_wings__stays_at_them() -> None:
    slices = make_slices(eta_ppm=3_200_000, rho_ppm=-200_000)
    options = make_options(STRIKES_E8, 1)
    marks = pricing.compute_marks(slices, options).mark_e8
    rows = pricing.compute_rows(slices, options, make_grid(rho_shift_ppm=ints(-50_000, -600_000)), marks)
    assert np.array_equal(rows[:, 0], rows[:, 1])
    assert rows.any()


def test_rows__two_grids__each_slice_takes_its_own() -> None:
    slices = make_slices(2, grid_index=ints(0, 1))
    options = make_options(ints(FORWARD_E8, FORWARD_E8), 1)._replace(slice_index=ints(0, 1))
    marks = pricing.compute_marks(slices, options).mark_e8
    small, large = make_grid(spot_ppm=ints(100_000)), make_grid(spot_ppm=ints(200_000))
    both = Grid(*(np.concatenate(pair) for pair in zip(small, large, strict=True)))
    rows = pricing.compute_rows(slices, options, both, marks)
    assert rows[0, 0] == pricing.compute_rows(slices._replace(grid_index=ints(0, 0)), options, small, marks)[0, 0]
    assert rows[1, 0] == pricing.compute_rows(slices._replace(grid_index=ints(0, 0)), options, large, marks)[1, 0]


def test_window__at_its_opening__is_continuous() -> None:
    before = make_slices(remaining_ms=30 * MINUTE_MS + 1, theta_e12=10**7)
    after = make_slices(remaining_ms=30 * MINUTE_MS - 1, theta_e12=10**7)
    strikes = FORWARD_E8 + np.arange(-10, 11, dtype=np.int64) * 50 * USD_E8
    marks_before, marks_after = (pricing.compute_marks(s, make_options(strikes, 1)).mark_e8 for s in (before, after))
    assert np.all(np.abs(marks_before - marks_after) <= USD_E8 // 10_000)


def test_window__as_the_average_closes__the_mark_becomes_the_payoff() -> None:
    remaining = np.arange(30, -1, -1, dtype=np.int64) * MINUTE_MS
    variable = remaining * 1_000_000 // (30 * MINUTE_MS)
    fixed = FORWARD_E8 // 1_000_000 * (1_000_000 - variable)
    slices = make_slices(
        31,
        remaining_ms=remaining,
        variable_ppm=variable,
        fixed_e8=fixed,
        theta_e12=10**7 * remaining // (30 * MINUTE_MS),
    )
    options = make_options(np.full(31, FORWARD_E8), 1)._replace(slice_index=np.arange(31))
    marks = pricing.compute_marks(slices, options)
    assert np.all(np.diff(marks.mark_e8) <= 0)
    assert marks.mark_e8[-1] == 0
    assert np.all(np.diff(marks.delta_ppm[:-1]) <= 0)


def test_window__spot_shock__moves_the_variable_part_only() -> None:
    slices = make_slices(remaining_ms=6 * MINUTE_MS, variable_ppm=200_000, fixed_e8=80_000 * USD_E8, theta_e12=10**6)
    future = make_options(ints(0), 1)
    marks = pricing.compute_marks(slices, future).mark_e8
    rows = pricing.compute_rows(slices, future, make_grid(spot_ppm=ints(100_000)), marks)
    assert rows.tolist() == [[20_000_000]]  # 0.01 x 20 % x 10,000 USD = 20 USD


def test_expired_and_still__options_are_worth_their_intrinsic_value() -> None:
    for change in (
        {"remaining_ms": 0},
        {"remaining_ms": -DAY_MS},
        {"theta_e12": 0},
        {"variable_ppm": 0, "fixed_e8": FORWARD_E8},
    ):
        for is_call, sign in ((1, 1), (0, -1)):
            marks = pricing.compute_marks(make_slices(**change), make_options(STRIKES_E8, is_call))
            assert np.array_equal(marks.mark_e8, np.maximum(sign * (FORWARD_E8 - STRIKES_E8), 0))
            assert not np.concatenate([marks.iv_ppm, marks.gamma_e12, marks.vega_e8, marks.theta_e8]).any()


def test_extreme_inputs__at_the_edges_of_the_domain__give_bounded_integers() -> None:
    edge = 2**53 - 1
    forwards, thetas, etas = ints(1, edge), ints(0, 1, 10**14), ints(1, 4_000_000)
    mesh = np.array(
        np.meshgrid(
            forwards,
            thetas,
            etas,
            ints(-999_999, 999_999),
            ints(1, 10**6),
            ints(0, edge),
            ints(1, 3 * 10**11),
            ints(-8_000_000, 8_000_000),
            ints(1, 64_000_000),
        )
    )
    columns = mesh.reshape(9, -1)
    count = columns.shape[1]
    slices = make_slices(
        count,
        forward_e8=columns[0],
        theta_e12=columns[1],
        eta_ppm=columns[2],
        rho_ppm=columns[3],
        variable_ppm=columns[4],
        fixed_e8=columns[5],
        remaining_ms=columns[6],
        shift_ppm=columns[7],
        width_ppm=columns[8],
    )
    grid = make_grid(
        spot_ppm=ints(-999_999, 10_000_000, 0),
        vol_ppm=ints(10_000_000, -10_000_000, 0),
        rho_shift_ppm=ints(2_000_000, -2_000_000, 0),
    )
    with np.errstate(all="raise"):
        for strike in (0, 1, 10**13, edge):
            for is_call in (0, 1):
                options = make_options(np.full(count, strike), is_call, lot_e8=10**12)._replace(
                    slice_index=np.arange(count)
                )
                marks = pricing.compute_marks(slices, options)
                rows = pricing.compute_rows(slices, options, grid, marks.mark_e8)
                assert all(np.abs(column).max() <= edge for column in (*marks, rows))
                assert marks.mark_e8.min() >= 0


def test_vol_scale__at_its_corners__follows_the_powers() -> None:
    scale = pricing.vol_scale_ppm(ints(0, DAY_MS, 30 * DAY_MS, 31 * DAY_MS, 300 * DAY_MS, -5))
    assert scale.tolist() == [2_774_191, 2_774_191, 1_000_000, 995_746, 741_310, 2_774_191]


@pytest.mark.parametrize(
    ("slices", "options"),
    [
        (make_slices()._replace(forward_e8=ints(0)), make_options(STRIKES_E8, 1)),
        (make_slices()._replace(forward_e8=ints(2**53)), make_options(STRIKES_E8, 1)),
        (make_slices()._replace(forward_e8=np.array([1.0])), make_options(STRIKES_E8, 1)),
        (make_slices()._replace(forward_e8=np.array([1], dtype=np.int32)), make_options(STRIKES_E8, 1)),
        (make_slices()._replace(theta_e12=ints(1, 2)), make_options(STRIKES_E8, 1)),
        (make_slices()._replace(theta_e12=ints(-1)), make_options(STRIKES_E8, 1)),
        (make_slices()._replace(rho_ppm=ints(1_000_000)), make_options(STRIKES_E8, 1)),
        (make_slices()._replace(eta_ppm=ints(0)), make_options(STRIKES_E8, 1)),
        (make_slices()._replace(shift_ppm=ints(8_000_001)), make_options(STRIKES_E8, 1)),
        (make_slices()._replace(width_ppm=ints(0)), make_options(STRIKES_E8, 1)),
        (make_slices()._replace(width_ppm=ints(64_000_001)), make_options(STRIKES_E8, 1)),
        (make_slices()._replace(variable_ppm=ints(0)), make_options(STRIKES_E8, 1)),
        (make_slices()._replace(variable_ppm=ints(1_000_001)), make_options(STRIKES_E8, 1)),
        (make_slices(), make_options(STRIKES_E8, 2)),
        (make_slices(), make_options(-STRIKES_E8, 1)),
        (make_slices(), make_options(STRIKES_E8, 1, slice_index=1)),
        (make_slices(), make_options(STRIKES_E8, 1, slice_index=-1)),
        (make_slices(), make_options(STRIKES_E8, 1, lot_e8=0)),
        (make_slices(), make_options(STRIKES_E8.reshape(1, -1), 1)),
    ],
)
def test_inputs__outside_the_domain__halt(slices: Slices, options: Options) -> None:
    with pytest.raises(BrokenInvariantError):
        pricing.compute_marks(slices, options)


@pytest.mark.parametrize(
    "grid",
    [
        make_grid(spot_ppm=ints(-1_000_000)),
        make_grid(vol_ppm=ints(10_000_001)),
        make_grid(dampen_ppm=ints(1_000_001)),
        make_grid(spot_ppm=ints(1))._replace(vol_ppm=ints(0, 0).reshape(1, 2)),
        Grid(*(ints() for _ in Grid._fields)),
    ],
)
def test_grids__outside_the_domain__halt(grid: Grid) -> None:
    options = make_options(STRIKES_E8, 1)
    with pytest.raises(BrokenInvariantError):
        pricing.compute_rows(make_slices(), options, grid, np.zeros(len(STRIKES_E8), dtype=np.int64))


def test_empty__no_instrument_no_slice__gives_empty_arrays() -> None:
    nothing = ints()
    slices, options = Slices(*([nothing] * 10)), Options(*([nothing] * 4))
    marks = pricing.compute_marks(slices, options)
    assert all(column.shape == (0,) for column in marks)
    assert pricing.compute_rows(slices, options, make_grid(spot_ppm=ints(0, 1)), nothing).shape == (0, 2)
