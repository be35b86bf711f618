"""The pinned bits: what every kernel must compute from one fixed set of inputs, on every machine."""

import hashlib
from collections.abc import Callable
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from holdfast.primitives.pricing.inputs import (
    EXACT_MAX,
    BoolArray,
    FloatArray,
    Grid,
    IntArray,
    Marks,
    Options,
    Slices,
    Values,
)

__all__ = [
    "GOLDEN",
    "MARGIN_GOLDEN",
    "Draws",
    "Kernel",
    "golden_edges",
    "golden_hash",
    "golden_inputs",
    "golden_options",
]

GOLDEN: Final = "06e5985e9afe67dea602c6bf34cf88a2c8612556d75ba91fcea0be0826cfb094"
# Of what the native margin kernel sums: kernels/margin/src/golden.rs.
MARGIN_GOLDEN: Final = "cb96afe1adbf781dc81b0ac48c53bcfc0b0fd8422352700d5900d365a2211a16"

_MINUTE_MS: Final = 60_000
_AVERAGING_MS: Final = 30 * _MINUTE_MS
_DAY_MS: Final = 86_400_000
_YEAR_MS: Final = 365 * _DAY_MS
_OPTIONS: Final = 1024
# Not a multiple of the kernels' blocks, as the number of instruments at the edges is not.
_OPTIONS_AT_EDGES: Final = 400
# More scenarios than a block holds: these rows are worked on in parts.
_LONG: Final = 300
_PERIOD: Final = 60  # no divisor of a block's length, so that its parts differ
_FEW: Final = 4

# Ends of the domain, and places where a branch is taken; at sqrt(1/2) ln changes powers.
_FORWARDS: Final = (1.0, 1e-12, 1e15, 65_536.0)
_RATIOS: Final = (
    *(1.0, 2.0, 0.5, 1.0000000001, 0.999, 1.5, 30.0, 1e-6, 1e15, 1e-15),
    *(0.7071067811865466, 0.7071067811865476, 0.707106781186548),
)
_VARIANCES: Final = (0.0, 1e-300, 5e-25, 1e-24, 2e-24, 1e-14, 1e-6, 0.01, 1.3862943611198906, 2.0, 60.0, 100.0)
_YEARS: Final = (1e-12, 0.001, 1.0, 1000.0)
_SHARES: Final = (0.0, 3e-251, 1e-250, 3e-250, 1e-200, 1e-30, 1e-7, 1e-6, 0.1, 0.9, 0.9999999999999999, 1.0, 1.5)


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
    digest = hashlib.sha256()
    edges = golden_edges()
    for inputs in (golden_inputs(), edges, _take_few(*edges)):
        for integers in _compute_integers(kernel, *inputs):
            digest.update(integers.astype("<i8").tobytes())
    for floats in _compute_floats(kernel):
        digest.update(floats.astype("<f8").tobytes())
    return digest.hexdigest()


def _take_few(slices: Slices, options: Options, grid: Grid) -> tuple[Slices, Options, Grid]:
    """Return an instrument of each of the first slices, under more scenarios."""
    few = Options(*(column[:_FEW] for column in options))._replace(slice_index=np.arange(_FEW, dtype=np.int64))
    long = Grid(*(np.resize(column.ravel()[:_PERIOD], (2, _LONG)) for column in grid))
    return Slices(*(column[:_FEW] for column in slices)), few, long


def _compute_integers(kernel: Kernel, slices: Slices, options: Options, grid: Grid) -> tuple[IntArray, ...]:
    marks = kernel.compute_marks(slices, options)
    rows = kernel.compute_rows(slices, options, grid, marks.mark_e8)
    return (*marks, rows, kernel.vol_scale_ppm(slices.remaining_ms))


def _compute_floats(kernel: Kernel) -> tuple[FloatArray, ...]:
    forward, strike, variance, years, is_call = golden_options()
    count = len(forward)
    values, deviation, price = Values(*np.empty((5, count))), np.empty(count), np.empty(count)
    kernel.black76(forward, strike, variance, years, is_call, values)
    asked = values.price.copy()
    odd = slice(_OPTIONS + 1, None, 2)
    asked[odd] = _pick(Draws(20251014).column, len(asked[odd]), _SHARES) * np.minimum(forward[odd], strike[odd])
    kernel.implied_deviation(np.minimum(asked, 1e15), forward, strike, is_call, deviation)
    kernel.black76_price(forward, strike, variance, is_call, price)
    return (*values, deviation, price)


class Draws:
    """A linear congruential generator (Knuth's multiplier), the same in every language."""

    def __init__(self, seed: int) -> None:
        self._state = np.uint64(seed)

    def column(self, count: int, low: int, high: int) -> IntArray:
        """Return so many numbers between bounds, both included, that lie less than 2^53 apart."""
        # After k steps x is m^k x + (1 + m + ... + m^(k-1)) c, modulo 2^64: all steps at once.
        powers: npt.NDArray[np.uint64] = np.multiply.accumulate(np.full(count, 6364136223846793005, dtype=np.uint64))
        sums: npt.NDArray[np.uint64] = np.cumsum(np.concatenate((np.ones(1, dtype=np.uint64), powers[:-1])))
        states: npt.NDArray[np.uint64] = powers * self._state + sums * np.uint64(1442695040888963407)
        self._state = states[-1]
        parts = (states >> np.uint64(11)) % np.uint64(high - low + 1)
        return parts.astype(np.int64) + low

    def edged(self, count: int, *edges: int) -> IntArray:
        """Return so many numbers: half of them edges, half drawn between the first edge and the second."""
        between = self.column(count, edges[0], edges[1])
        choice = self.column(count, 0, 2 * len(edges) - 1)
        return np.where(choice < len(edges), np.array(edges, dtype=np.int64)[choice % len(edges)], between)


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


def golden_edges() -> tuple[Slices, Options, Grid]:
    """Return 64 slices, 300 options and two grids at the ends of the domain and between; half of the slices is quiet.

    Each bound, clamp and branch of the kernels is met. One strike in three is the forward, or lies as near it as the
    least variances need; one in three lies within a factor of two.
    """
    draws = Draws(20251012)
    draw, edged, count, instruments = draws.column, draws.edged, 64, 300
    quiet = np.arange(count) < count // 2
    variable = np.where(quiet, 1_000_000, edged(count, 0, 1_000_000, 1))
    fixed = edged(count, 0, EXACT_MAX, 10**13)
    slices = Slices(
        forward_e8=edged(count, 1, EXACT_MAX, 10**13, 2**52),
        theta_e12=edged(count, 0, 100 * 10**12, 1, 10**6, 10**9, 10**11),
        rho_ppm=edged(count, -999_999, 999_999, 0),
        eta_ppm=edged(count, 1, 4_000_000, 2_000_000, 3_000_001),
        fixed_e8=np.where(quiet, 0, np.maximum(fixed, (variable == 0).astype(np.int64))),
        variable_ppm=variable,
        remaining_ms=edged(
            *(count, -(10**9), 10 * _YEAR_MS, 0, 1, _AVERAGING_MS, _AVERAGING_MS + 1),
            *(30 * _DAY_MS - _MINUTE_MS, 30 * _DAY_MS + _MINUTE_MS),
        ),
        grid_index=draw(count, 0, 1),
        shift_ppm=edged(count, -8_000_000, 8_000_000, 0),
        width_ppm=edged(count, 1, 64_000_000, 1_000_000),
    )
    index = draw(instruments, 0, count - 1)
    whole, rest = np.divmod(slices.forward_e8, 1_000_000)
    base = (slices.fixed_e8 + whole * variable + rest * variable // 1_000_000)[index]
    strike = edged(instruments, 0, EXACT_MAX, 1, 2, 10**13)
    strike[1::3] = (base + edged(instruments, -(10**7), 10**7, 0, -1, 1))[1::3]
    strike[2::3] = (base // 1000 * draw(instruments, 500, 2000))[2::3]
    options = Options(
        slice_index=index,
        strike_e8=np.minimum(np.maximum(strike, 0), EXACT_MAX),
        is_call=draw(instruments, 0, 1),
        lot_e8=edged(instruments, 1, 10**12, 5 * 10**9, 10**6),
    )
    grid = Grid(
        spot_ppm=edged(64, -999_999, 10_000_000, 0, 1_000_000),
        vol_ppm=edged(64, -10_000_000, 10_000_000, 0),
        rho_shift_ppm=edged(64, -2_000_000, 2_000_000, 0),
        dampen_ppm=edged(64, 0, 1_000_000, 500_000),
    )
    return slices, options, Grid(*(column.reshape(2, 32) for column in grid))


def golden_options() -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, BoolArray]:
    """Return forwards, strikes, variances, years and kinds of 1024 options drawn and 400 at the edges of the domain."""
    *drawn, drawn_is_call = _draw_options()
    *picked, picked_is_call = _pick_options()
    forward, strike, variance, years = (np.concatenate(pair) for pair in zip(drawn, picked, strict=True))
    return forward, strike, variance, years, np.concatenate((drawn_is_call, picked_is_call))


def _draw_options() -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, BoolArray]:
    """Every eighth is far away, some are dead."""
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


def _pick_options() -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, BoolArray]:
    draw, count = Draws(20251013).column, _OPTIONS_AT_EDGES
    forward = _pick(draw, count, _FORWARDS)
    strike = np.minimum(np.maximum(forward * _pick(draw, count, _RATIOS), 1e-12), 1e15)
    variance, years = _pick(draw, count, _VARIANCES), _pick(draw, count, _YEARS)
    return forward, strike, variance, years, draw(count, 0, 1) == 1


def _pick(draw: Callable[[int, int, int], IntArray], count: int, values: tuple[float, ...]) -> FloatArray:
    return np.array(values)[draw(count, 0, len(values) - 1)]
