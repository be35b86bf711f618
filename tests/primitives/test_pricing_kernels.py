"""Every kernel computes the bits of the NumPy reference, and a build that does not is refused."""

import os
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import _kernels
from holdfast.primitives import pricing
from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.pricing import (
    FloatArray,
    Grid,
    IntArray,
    Options,
    Slices,
    Values,
    arrays,
    black,
    kernel,
    maths,
)
from holdfast.primitives.pricing.golden import GOLDEN, golden_edges, golden_hash, golden_inputs, golden_options
from holdfast.primitives.pricing.inputs import check_grid, check_inputs
from holdfast.primitives.pricing.kernel import make_kernel
from holdfast.primitives.pricing.native import Native, list_paths
from holdfast.primitives.pricing.reference import Reference

PATHS = list_paths()
EXACT_MAX = 2**53 - 1
# Lengths around the blocks in which kernels work.
COUNTS = (1, 7, 8, 255, 256, 257, 4097)
# Of the golden options.
COUNT = len(golden_options()[0])
# A bound, clamp or constant of the reference, and another value of it.
OTHERS = [
    (arrays, "SIGMA_FLOOR_PPM", 100_001),
    (arrays, "_DAY_MS", 86_400_000 + 60_000),
    (arrays, "_YEAR_MS", 366 * 86_400_000),
    (arrays, "_AVERAGING_MS", 31 * 60_000),
    (arrays, "_TWO_THIRDS_AVERAGING_MS", 20 * 60_000 + 1),
    (arrays, "_SLOPE_MAX_E12", 4 * 10**12 + 4 * 10**6),
    (arrays, "_SLOPE_MAX_E12", 4 * 10**12 - 4 * 10**6),
    (arrays, "_RHO_MAX_PPM", 990_001),
    (arrays, "_RHO_MAX_PPM", 989_999),
    (arrays, "_SHAPE_FLOOR", 0.020001),
    (black, "VARIANCE_FLOOR", 1.1e-24),
    (black, "VARIANCE_FLOOR", 9e-25),
    (black, "EXP_MIN", -599.0),
    (black, "ONE_OVER_SQRT_2PI", 0.39894228040143275),
    (black, "_STEPS", 8),
    (black, "_SQRT_2PI", 2.506),
    (black, "_SHARE_MIN", 2e-250),
    (black, "_SHARE_MIN", 5e-251),
    (black, "_DEVIATION_MIN", 1.1e-6),
    (black, "_STEP_DIVISOR_MIN", 0.51),
    (black, "_OUTSIDE", -2.0),
    (maths, "EXACT_MAX", 2**53 - 2),
    (maths, "TAIL_MAX", 37.99),
    (maths, "_LN2_HIGH", 0.6931471803691237),
    (maths, "_LN2_LOW", 1.9082e-10),
]


@pytest.fixture(autouse=True)
def _chosen_before() -> Iterator[None]:
    before = kernel._choice.name, kernel._choice.kernel
    yield
    kernel._choice.name, kernel._choice.kernel = before


def same_bits(a: FloatArray, b: FloatArray) -> bool:
    return bool(np.array_equal(a.view(np.int64), b.view(np.int64)))


@pytest.mark.parametrize("name", pricing.list_kernels())
def test_golden__every_kernel_of_this_machine__computes_the_pinned_bits(name: str) -> None:
    assert golden_hash(make_kernel(name)) == GOLDEN


@pytest.mark.parametrize(("module", "name", "other"), OTHERS)
def test_golden__another_bound_or_constant__is_noticed(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, other: float
) -> None:
    monkeypatch.setattr(module, name, other)
    assert golden_hash(Reference()) != GOLDEN, f"the golden inputs do not reach {module.__name__}.{name}"


def test_golden__inputs_at_the_edges__lie_inside_the_domain_and_at_its_ends() -> None:
    slices, options, grid = golden_edges()
    check_inputs(slices, options)
    check_grid(slices, grid)
    for column, low, high in (
        (slices.eta_ppm, 1, 4_000_000),
        (slices.rho_ppm, -999_999, 999_999),
        (slices.theta_e12, 0, 10**14),
        (slices.forward_e8, 1, EXACT_MAX),
        (options.strike_e8, 0, EXACT_MAX),
        (grid.vol_ppm, -10_000_000, 10_000_000),
        (grid.rho_shift_ppm, -2_000_000, 2_000_000),
    ):
        assert (column.min(), column.max()) == (low, high)


def test_golden__every_wider_instruction_set_disabled__keeps_its_bits() -> None:
    code = (
        "import numpy._core._multiarray_umath as core, os\n"
        "from holdfast.primitives.pricing.golden import golden_hash\n"
        "from holdfast.primitives.pricing.reference import Reference\n"
        "off = os.environ['NPY_DISABLE_CPU_FEATURES'].split()\n"
        "print(golden_hash(Reference()), any(core.__cpu_features__[name] for name in off))\n"
    )
    core = np._core._multiarray_umath  # type: ignore[attr-defined]
    wide = [name for name in core.__cpu_dispatch__ if core.__cpu_features__.get(name)]
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(wide)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [GOLDEN, "False"]


def test_choice__default__takes_the_widest_native_path() -> None:
    assert pricing.choose_kernel() == f"native-{PATHS[0]}"
    assert isinstance(kernel.chosen(), Native)


def test_choice__made_already__is_kept_by_a_replica_that_opens() -> None:
    pricing.choose_kernel("numpy")
    assert pricing.ensure_kernel() == "numpy"
    assert isinstance(kernel.chosen(), Reference)


@pytest.mark.parametrize("name", ["fortran", "native-sse9", ""])
def test_choice__unknown__is_refused_with_those_of_this_machine(name: str) -> None:
    with pytest.raises(ValueError, match=f"kernel {name}: this machine has native, .*numpy; choose one of them"):
        pricing.choose_kernel(name)


def test_choice__reference_with_other_bits__is_refused_with_both_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maths, "_LN2_LOW", maths._LN2_LOW * 1.0001)
    with pytest.raises(BrokenInvariantError, match=f"NumPy reference computes [0-9a-f]{{64}}, .* {GOLDEN}: install"):
        pricing.choose_kernel("native")


def test_choice__native_with_other_bits__is_refused_with_both_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    def off_by_one(self: Native, slices: Slices, options: Options) -> pricing.Marks:
        marks = Reference.compute_marks(slices, options)
        return marks._replace(theta_e8=marks.theta_e8 + 1)

    monkeypatch.setattr(Native, "compute_marks", off_by_one)
    with pytest.raises(BrokenInvariantError, match=f"kernel native-[a-z0-9]+ computes [0-9a-f]{{64}}, .* {GOLDEN}"):
        pricing.choose_kernel("native")
    assert pricing.choose_kernel("numpy") == "numpy"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("scenarios", [1, 3, 32, 100, 255, 256, 300])
def test_rows__any_number_of_scenarios__equal_the_reference(path: str, scenarios: int) -> None:
    slices, options, grid = golden_inputs()
    wide = Grid(*(np.resize(column, (2, scenarios)) for column in grid))
    marks = Reference.compute_marks(slices, options).mark_e8
    rows = Native(path).compute_rows(slices, options, wide, marks)
    assert np.array_equal(rows, Reference.compute_rows(slices, options, wide, marks))


def column(low: int, high: int, *favourites: int) -> st.SearchStrategy[int]:
    return st.one_of(st.sampled_from([low, high, *favourites]), st.integers(low, high))


SLICE = st.tuples(
    column(1, EXACT_MAX, 10**13),
    column(0, 10**14, 1, 10**6),
    column(-999_999, 999_999, 0),
    column(1, 4_000_000),
    column(1, EXACT_MAX, 10**13),
    column(0, 1_000_000, 1),
    column(-(10**9), 10 * 365 * 86_400_000, 0, 1, 30 * 60_000, 30 * 60_000 + 1, 30 * 86_400_000),
    st.just(0),  # the one grid
    column(-8_000_000, 8_000_000, 0),
    column(1, 64_000_000, 1_000_000),
)
OPTION = st.tuples(column(0, EXACT_MAX, 1, 10**13), st.integers(0, 1), column(1, 10**12))
SHOCK = st.tuples(
    column(-999_999, 10_000_000, 0),
    column(-10_000_000, 10_000_000, 0),
    column(-2_000_000, 2_000_000, 0),
    column(0, 1_000_000),
)


@given(st.lists(st.tuples(SLICE, OPTION), min_size=1, max_size=20), st.lists(SHOCK, min_size=1, max_size=5))
def test_integers__drawn_at_and_between_the_edges__equal_the_reference(
    drawn: list[tuple[tuple[int, ...], tuple[int, ...]]], shocks: list[tuple[int, ...]]
) -> None:
    count = len(drawn)
    first = np.array([one for one, _ in drawn], dtype=np.int64).T.copy()
    slices = Slices(*first)
    second = np.array([one for _, one in drawn], dtype=np.int64).T.copy()
    options = Options(np.arange(count, dtype=np.int64), *second)
    grid = Grid(*np.array(shocks, dtype=np.int64).T[:, None, :].copy())
    with np.errstate(all="raise"):
        marks = Reference.compute_marks(slices, options)
        rows = Reference.compute_rows(slices, options, grid, marks.mark_e8)
        scales = Reference.vol_scale_ppm(slices.remaining_ms)
    for path in PATHS:
        native = Native(path)
        assert all(map(np.array_equal, native.compute_marks(slices, options), marks)), path
        assert np.array_equal(native.compute_rows(slices, options, grid, marks.mark_e8), rows), path
        assert np.array_equal(native.vol_scale_ppm(slices.remaining_ms), scales), path


MONEY = st.one_of(st.sampled_from([1e-12, 1e15, 1.0]), st.floats(1e-12, 1e15))
TERMS = st.tuples(
    MONEY,
    st.one_of(st.none(), MONEY, st.floats(-2.0, 2.0)),
    st.one_of(st.sampled_from([0.0, 1e-24, 100.0, 1e-300, 1e-8]), st.floats(0.0, 100.0, allow_subnormal=False)),
    st.floats(1e-12, 1000.0),
    st.booleans(),
)


# The quotient of a smaller price may underflow; it counts as no time value either way.
PRICE = st.one_of(st.just(0.0), st.floats(1e-280, 1e15))


@given(st.lists(TERMS, min_size=1, max_size=12), st.sampled_from(COUNTS), PRICE)
def test_doubles__drawn_at_and_between_the_edges__equal_the_reference(
    drawn: list[tuple[float, float | None, float, float, bool]], count: int, price: float
) -> None:
    drawn = [drawn[i % len(drawn)] for i in range(count)]
    forward = np.array([one[0] for one in drawn])
    # A strike is drawn freely, or near the forward, or is the forward.
    strike = np.array([f if k is None else k if k > 2.0 else f * 2.0**k for f, k, *_ in drawn])
    strike = np.clip(strike, 1e-12, 1e15)
    variance, years = np.array([one[2] for one in drawn]), np.array([one[3] for one in drawn])
    is_call = np.array([one[4] for one in drawn])
    expected, implied, alone = Values(*np.empty((5, count))), np.empty(count), np.empty(count)
    with np.errstate(all="raise"):
        Reference.black76(forward, strike, variance, years, is_call, expected)
        Reference.black76_price(forward, strike, variance, is_call, alone)
        asked = np.where(np.arange(count) % 3 == 2, price, np.minimum(expected.price, 1e15))
        Reference.implied_deviation(asked, forward, strike, is_call, implied)
    assert same_bits(alone, expected.price)
    for path in PATHS:
        native, found, deviation = Native(path), Values(*np.empty((5, count))), np.empty(count)
        native.black76(forward, strike, variance, years, is_call, found)
        assert all(map(same_bits, found, expected)), path
        native.black76_price(forward, strike, variance, is_call, alone)
        assert same_bits(alone, expected.price), path
        native.implied_deviation(asked, forward, strike, is_call, deviation)
        assert same_bits(deviation, implied), path


def columns() -> dict[str, Any]:
    forward, strike, variance, years, is_call = golden_options()
    return {"forward": forward, "strike": strike, "variance": variance, "years": years, "is_call": is_call}


@pytest.mark.parametrize("name", pricing.list_kernels())
@pytest.mark.parametrize("field", ["forward", "strike", "variance", "years"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 1e16])
def test_black76__outside_the_domain__names_row_and_field(name: str, field: str, value: float) -> None:
    pricing.choose_kernel(name)
    given_columns = columns()
    given_columns[field][1000] = value
    with pytest.raises(ValueError, match=f"^row 1000: {field} is .*; give a number between"):
        pricing.black76(**given_columns)


@pytest.mark.parametrize("name", pricing.list_kernels())
def test_implied__not_a_price__names_row_and_field(name: str) -> None:
    pricing.choose_kernel(name)
    ones = np.ones(3)
    with pytest.raises(ValueError, match=r"^row 2: price is nan; give a number between 0 and 1e\+15"):
        pricing.implied_deviation(np.array([0.5, 0.5, np.nan]), ones, ones, np.array([True, True, False]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"strike": np.ones(3)}, "vectors of one length"),
        ({"strike": np.ones(COUNT, dtype=np.float32)}, "float64 vectors"),
        ({"is_call": np.ones(COUNT)}, "is_call as a bool vector"),
        ({"forward": np.ones(2 * COUNT)[::2]}, "contiguous"),
        ({"out": Values(*np.empty((5, 3)))}, "vectors of one length"),
    ],
)
def test_black76__columns_of_another_kind__are_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pricing.black76(**{**columns(), **change})


def test_native__output_over_an_input__is_refused() -> None:
    forward, strike, variance, _, is_call = golden_options()
    with pytest.raises(ValueError, match="overlaps another"):
        Native("portable").black76_price(forward, strike, variance, is_call, forward)


def test_native__strided_columns__are_taken_as_the_reference_takes_them() -> None:
    slices, options, _ = golden_inputs()
    apart = Options(*(np.repeat(one, 2)[::2] for one in options))
    assert all(
        map(np.array_equal, Native("portable").compute_marks(slices, apart), Reference.compute_marks(slices, options))
    )


@pytest.mark.parametrize(
    ("remaining_ms", "out", "said"),
    [
        (np.zeros(4, dtype=np.int64), np.empty(3, dtype=np.int64), r"out: takes the shape \[4\]"),
        (np.zeros(8, dtype=np.int64)[::2], np.empty(4, dtype=np.int64), "remaining_ms: takes a C-contiguous"),
        (np.zeros(4), np.empty(4, dtype=np.int64), "remaining_ms: takes a C-contiguous array of int64"),
        (np.zeros(4, dtype=np.int64), np.frombuffer(bytes(32), dtype=np.int64), "out: is written to"),
    ],
)
def test_native__arrays_that_it_cannot_view__are_refused(remaining_ms: IntArray, out: IntArray, said: str) -> None:
    with pytest.raises((ValueError, BufferError), match=said):
        _kernels.vol_scale_ppm("portable", remaining_ms, out)


def test_native__columns_too_few__are_refused() -> None:
    with pytest.raises(ValueError, match="columns: 2 columns are given where 3 belong"):
        _kernels.black76_price("portable", [np.ones(1)] * 2, np.ones(1, dtype=np.uint8), np.empty(1))
