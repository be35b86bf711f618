"""The native twin: `kernels/pricing`, which gives the bits of the NumPy reference on every instruction set."""

from typing import Final

import numpy as np

from holdfast import _kernels
from holdfast.primitives.pricing.inputs import (
    BoolArray,
    FloatArray,
    Grid,
    IntArray,
    Marks,
    Options,
    Slices,
    Values,
    check_options,
    check_prices,
)

__all__ = ["Native", "list_paths", "margin_golden_hash"]

_MARK_COLUMNS: Final = len(Marks._fields)


def list_paths() -> list[str]:
    """Return the instruction sets that this machine has: some of avx512, avx2, portable; the fastest first."""
    return _kernels.list_paths()


def margin_golden_hash(path: str) -> str:
    """Return the SHA-256 of what the margin kernel sums on one instruction set."""
    return _kernels.margin_golden_hash(path)


class Native:
    """The kernel on one instruction set, one of `list_paths`."""

    def __init__(self, path: str) -> None:
        self.path = path

    def compute_marks(self, slices: Slices, options: Options) -> Marks:
        """Return mark, volatility and Greeks of each instrument."""
        out = np.empty((_MARK_COLUMNS, options.strike_e8.shape[0]), dtype=np.int64)
        marks = Marks(*out)
        _kernels.compute_marks(self.path, _packed(slices), _packed(options), marks)
        return marks

    def compute_rows(self, slices: Slices, options: Options, grid: Grid, marks_e8: IntArray) -> IntArray:
        """Return the change of one lot's value in atoms, shape (instruments, scenarios)."""
        out = np.empty((options.strike_e8.shape[0], grid.spot_ppm.shape[1]), dtype=np.int64)
        marks = np.ascontiguousarray(marks_e8)
        _kernels.compute_rows(self.path, _packed(slices), _packed(options), _packed(grid), marks, out)
        return out

    def vol_scale_ppm(self, remaining_ms: IntArray) -> IntArray:
        """Return how much a volatility shock counts at a time to expiry."""
        out = np.empty(remaining_ms.shape, dtype=np.int64)
        _kernels.vol_scale_ppm(self.path, np.ascontiguousarray(remaining_ms), out)
        return out

    def black76(
        self,
        forward: FloatArray,
        strike: FloatArray,
        variance: FloatArray,
        years: FloatArray,
        is_call: BoolArray,
        out: Values,
    ) -> None:
        """Write price and Greeks of each option to `out`. Refuses: ValueError."""
        columns = (forward, strike, variance, years)
        if not _kernels.black76(self.path, columns, is_call.view(np.uint8), out):
            check_options(forward, strike, variance, years)

    def black76_price(
        self, forward: FloatArray, strike: FloatArray, variance: FloatArray, is_call: BoolArray, out: FloatArray
    ) -> None:
        """Write the price of each option to `out`. Refuses: ValueError."""
        if not _kernels.black76_price(self.path, (forward, strike, variance), is_call.view(np.uint8), out):
            check_options(forward, strike, variance)

    def implied_deviation(
        self, price: FloatArray, forward: FloatArray, strike: FloatArray, is_call: BoolArray, out: FloatArray
    ) -> None:
        """Write sigma sqrt(T) of each price to `out`. Refuses: ValueError."""
        if not _kernels.implied_deviation(self.path, (price, forward, strike), is_call.view(np.uint8), out):
            check_options(forward, strike)
            check_prices(price)


def _packed(columns: Slices | Options | Grid) -> list[IntArray]:
    return [np.ascontiguousarray(column) for column in columns]
