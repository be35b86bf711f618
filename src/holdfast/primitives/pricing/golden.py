"""The pinned bits: what every kernel must compute from one fixed set of inputs, on every machine."""

import hashlib
from collections.abc import Iterator
from typing import Final, Protocol

import numpy as np

from holdfast.primitives.pricing.inputs import (
    BoolArray,
    FloatArray,
    Grid,
    IntArray,
    Marks,
    Options,
    Slices,
    Values,
)

__all__ = ["GOLDEN", "MARGIN_GOLDEN", "Draws", "Kernel", "golden_hash", "golden_inputs", "golden_options"]

GOLDEN: Final = "d47d3a29286c0e3f52ee5e900ed531a2afe900874833dead3624b61ff87bf2d1"
# Of what the native margin kernel sums: kernels/margin/src/golden.rs.
MARGIN_GOLDEN: Final = "1f5b88ff431775581d2355ee039a4c47dcef72e601840a6fd41bcce8f9dab768"

_MINUTE_MS: Final = 60_000
_AVERAGING_MS: Final = 30 * _MINUTE_MS
_YEAR_MS: Final = 365 * 86_400_000
_OPTIONS: Final = 1024


class Kernel(Protocol):
    """One implementation of the pricing; the caller has checked all inputs."""

    def compute_marks(self, slices: Slices, options: Options) -> Marks: ...

    def compute_rows(self, slices: Slices, options: Options, grid: Grid, marks_e8: IntArray) -> IntArray: ...

    def vol_scale_ppm(self, remaining_ms: IntArray) -> IntArray: ...

    def black76(
        self,
        forward: FloatArray,
        strike: FloatArray,
        variance: FloatArray,
        years: FloatArray,
        is_call: BoolArray,
        out: Values,
    ) -> None: ...

    def black76_price(
        self, forward: FloatArray, strike: FloatArray, variance: FloatArray, is_call: BoolArray, out: FloatArray
    ) -> None: ...

    def implied_deviation(
        self, price: FloatArray, forward: FloatArray, strike: FloatArray, is_call: BoolArray, out: FloatArray
    ) -> None: ...


def golden_hash(kernel: Kernel) -> str:
    """Return the SHA-256 of marks, rows, volatility scales, Black-76 values and implied deviations."""
    slices, options, grid = golden_inputs()
    marks = kernel.compute_marks(slices, options)
    rows = kernel.compute_rows(slices, options, grid, marks.mark_e8)
    digest = hashlib.sha256()
    for column in (*marks, rows, kernel.vol_scale_ppm(slices.remaining_ms)):
        digest.update(column.astype("<i8").tobytes())
    forward, strike, variance, years, is_call = golden_options()
    values, deviation = Values(*np.empty((5, _OPTIONS))), np.empty(_OPTIONS)
    kernel.black76(forward, strike, variance, years, is_call, values)
    kernel.implied_deviation(values.price, forward, strike, is_call, deviation)
    price = np.empty(_OPTIONS)
    kernel.black76_price(forward, strike, variance, is_call, price)
    for floats in (*values, deviation, price):
        digest.update(floats.astype("<f8").tobytes())
    return digest.hexdigest()


class Draws:
    """A linear congruential generator (Knuth's multiplier), the same in every language."""

    def __init__(self, seed: int) -> None:
        self._values = self._walk(seed)

    @staticmethod
    def _walk(seed: int) -> Iterator[int]:
        while True:
            seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
            yield seed >> 11

    def column(self, count: int, low: int, high: int) -> IntArray:
        """Return so many numbers between bounds, both included, that lie less than 2^53 apart."""
        return np.array([low + next(self._values) % (high - low + 1) for _ in range(count)], dtype=np.int64)


def golden_inputs() -> tuple[Slices, Options, Grid]:
    """Return 32 slices, 256 options and two grids; the last quarter of the slices lies inside its settlement window."""
    draw = Draws(20251010).column
    count, late = 32, 8
    quiet = np.zeros(count - late, dtype=np.int64)
    remaining = np.concatenate([draw(count - late, _AVERAGING_MS + _MINUTE_MS, _YEAR_MS), draw(late, 1, _AVERAGING_MS)])
    remaining[-1] = 0
    slices = Slices(
        forward_e8=draw(count, 9 * 10**12, 11 * 10**12),
        theta_e12=draw(count, 0, 60) * remaining,  # up to a volatility of 137 %
        rho_ppm=draw(count, -700_000, 300_000),
        eta_ppm=draw(count, 200_000, 1_100_000),
        fixed_e8=np.concatenate([quiet, draw(late, 10**12, 5 * 10**12)]),
        variable_ppm=np.concatenate([quiet + 1_000_000, draw(late, 1, 900_000)]),
        remaining_ms=remaining,
        grid_index=draw(count, 0, 1),
        shift_ppm=draw(count, -2_000_000, 2_000_000),
        width_ppm=draw(count, 200_000, 40_000_000),
    )
    options = Options(
        slice_index=draw(256, 0, count - 1),
        strike_e8=draw(256, 5 * 10**12, 2 * 10**13),
        is_call=draw(256, 0, 1),
        lot_e8=draw(256, 10**6, 10**8),
    )
    spot, vol = draw(64, -660_000, 900_000), draw(64, -500_000, 500_000)
    grid = Grid(spot, vol, rho_shift_ppm=draw(64, -100_000, 100_000), dampen_ppm=draw(64, 0, 1_000_000))
    return slices, options, Grid(*(column.reshape(2, 32) for column in grid))


def golden_options() -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, BoolArray]:
    """Return forwards, strikes, variances, years and kinds of 1024 options; every eighth is far away, some are dead."""
    draw = Draws(20251011).column
    forward = draw(_OPTIONS, 10**6, 10**11).astype(np.float64) / 1e6
    strike = forward * draw(_OPTIONS, 500_000, 2_000_000).astype(np.float64) / 1e6
    far = draw(_OPTIONS // 8, 1, 10**6).astype(np.float64)
    strike[0::8] = forward[0::8] * far * (1.0 / 1024.0)
    strike[1::64] = forward[1::64]
    deviation = draw(_OPTIONS, 0, 2_000_000).astype(np.float64) / 1e6
    deviation[2::64] = 0.0
    years = draw(_OPTIONS, 1, 10**7).astype(np.float64) / 1e6
    return forward, strike, deviation * deviation, years, draw(_OPTIONS, 0, 1) == 1
