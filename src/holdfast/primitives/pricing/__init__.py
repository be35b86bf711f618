"""Consensus pricing: Black-76 on SVI smiles, from int64 columns to rounded int64 columns; a library in doubles.

The one fenced folder of floats below `node`. Every result is a fixed sequence of IEEE-754 double operations + - * /
sqrt, comparisons, minimum, maximum, copysign, rint and integer bit moves, so every machine computes the same bits. A
library's exp, log, power, sum and dot may differ between processors and never appear. Two kernels compute it, NumPy
(the reference) and Rust; `choose_kernel` compares both with a golden hash, and refuses a build that differs.

Inputs are checked here, before either kernel sees them.
"""

import numpy as np

from holdfast.primitives.check import ensure
from holdfast.primitives.pricing.inputs import (
    BoolArray,
    FloatArray,
    Grid,
    IntArray,
    Marks,
    Options,
    Slices,
    Values,
    check_grid,
    check_inputs,
    is_vector,
)
from holdfast.primitives.pricing.kernel import (
    DEFAULT_KERNEL,
    KERNELS,
    choose_kernel,
    chosen,
    ensure_kernel,
    list_kernels,
    native_path,
)

__all__ = [
    "DEFAULT_KERNEL",
    "KERNELS",
    "BoolArray",
    "FloatArray",
    "Grid",
    "IntArray",
    "Marks",
    "Options",
    "Slices",
    "Values",
    "black76",
    "black76_price",
    "choose_kernel",
    "compute_marks",
    "compute_rows",
    "ensure_kernel",
    "implied_deviation",
    "list_kernels",
    "native_path",
    "vol_scale_ppm",
]


def compute_marks(slices: Slices, options: Options) -> Marks:
    """Return mark, volatility and Greeks of each instrument."""
    check_inputs(slices, options)
    return chosen().compute_marks(slices, options)


def compute_rows(slices: Slices, options: Options, grid: Grid, marks_e8: IntArray) -> IntArray:
    """Return dV: the change of one lot's value in atoms, a row for each instrument, a column for each scenario.

    Rounds: to the nearest atom, so that a long and a short carry exactly opposite entries.
    """
    check_inputs(slices, options)
    check_grid(slices, grid)
    ensure(is_vector(marks_e8, options.strike_e8.shape[0]), "there is one mark an instrument")
    return chosen().compute_rows(slices, options, grid, marks_e8)


def vol_scale_ppm(remaining_ms: IntArray) -> IntArray:
    """Return how much a volatility shock counts at a time to expiry: (30 days / time)^0.30, beyond 30 days ^0.13.

    Rounds: to the nearest millionth; times under a day count as a day.
    """
    return chosen().vol_scale_ppm(remaining_ms)


def black76(
    forward: FloatArray,
    strike: FloatArray,
    variance: FloatArray,
    years: FloatArray,
    is_call: BoolArray,
    out: Values | None = None,
) -> Values:
    """Return undiscounted price, delta, gamma, vega and theta of options on a forward.

    `variance` is sigma^2 T, `years` is T. Vectors of one length; `out`, where given, is written to and returned.
    Refuses: ValueError that names the row and the field, for anything but numbers within forward and strike 1e-12 to
    1e15, variance 0 to 100, years 1e-12 to 1000.
    """
    count = _check_columns((forward, strike, variance, years), is_call)
    values = Values(*np.empty((len(Values._fields), count))) if out is None else out
    _check_columns(values, is_call)
    chosen().black76(forward, strike, variance, years, is_call, values)
    return values


def black76_price(
    forward: FloatArray, strike: FloatArray, variance: FloatArray, is_call: BoolArray, out: FloatArray | None = None
) -> FloatArray:
    """Return the undiscounted price alone, the one of `black76`."""
    count = _check_columns((forward, strike, variance), is_call)
    price = np.empty(count) if out is None else out
    _check_columns((price,), is_call)
    chosen().black76_price(forward, strike, variance, is_call, price)
    return price


def implied_deviation(
    price: FloatArray, forward: FloatArray, strike: FloatArray, is_call: BoolArray, out: FloatArray | None = None
) -> FloatArray:
    """Return sigma sqrt(T) of options from their undiscounted prices: seven Halley steps, for every option alike.

    0 where the price is the intrinsic value to within 1e-250 of the smaller of forward and strike; -1 where no
    volatility gives the price: below the intrinsic value, or not below the forward (call) or the strike (put).
    Refuses: ValueError as `black76`; a price lies between 0 and 1e15.
    """
    count = _check_columns((price, forward, strike), is_call)
    deviation = np.empty(count) if out is None else out
    _check_columns((deviation,), is_call)
    chosen().implied_deviation(price, forward, strike, is_call, deviation)
    return deviation


def _check_columns(columns: tuple[FloatArray, ...], is_call: BoolArray) -> int:
    """Refuse what is not contiguous vectors of one length; return that length."""
    count = is_call.shape[0] if is_call.ndim == 1 else -1
    if is_call.dtype != np.bool_ or not all(column.dtype == np.float64 for column in columns):
        raise ValueError("options come as float64 vectors, is_call as a bool vector; convert them with astype")
    if not all(column.shape == (count,) for column in columns):
        raise ValueError(f"all columns are vectors of one length; is_call has shape {is_call.shape}")
    if not all(column.flags.c_contiguous for column in (*columns, is_call)):
        raise ValueError("columns are contiguous; copy them with np.ascontiguousarray")
    return count
