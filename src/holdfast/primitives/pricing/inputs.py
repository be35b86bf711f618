"""What the pricing kernels take and give: columns, their scales, and the bounds inside which no digit is lost."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.primitives.check import ensure

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_GRID_AXES: Final = 2
EXACT_MAX: Final = 2**53 - 1  # every integer up to here is a double

_THETA_MAX_E12: Final = 100 * 10**12
_ETA_MAX_PPM: Final = 4_000_000
_SHIFT_MAX_PPM: Final = 8_000_000
_WIDTH_MAX_PPM: Final = 64_000_000
_SPOT_SHOCK_MAX_PPM: Final = 10_000_000
_VOL_SHOCK_MAX_PPM: Final = 10_000_000
_LOT_MAX_E8: Final = 10**12
_REMAINING_MAX_MS: Final = 10 * 365 * 86_400_000

# Inside these no operation on doubles overflows, underflows or is invalid.
_VALUE_RANGE: Final = (1e-12, 1e15)
_VARIANCE_RANGE: Final = (0.0, 100.0)
_YEARS_RANGE: Final = (1e-12, 1000.0)
_PRICE_RANGE: Final = (0.0, 1e15)


class Slices(NamedTuple):
    """One entry for each expiry of each underlying. All int64, all of one length."""

    forward_e8: IntArray
    theta_e12: IntArray  # at-the-money total variance from now to expiry
    rho_ppm: IntArray
    eta_ppm: IntArray
    fixed_e8: IntArray  # what past minutes have fixed of the settlement average; 0 outside its window
    variable_ppm: IntArray  # share of the settlement average that is still open; 1_000_000 outside its window
    remaining_ms: IntArray  # to expiry
    grid_index: IntArray  # row of the scenario grid that shocks this slice
    shift_ppm: IntArray  # how far the smile's vertex lies beside that of SSVI; 0 for SSVI
    width_ppm: IntArray  # roundness of the smile over that of SSVI, squared; 1_000_000 for SSVI


class Options(NamedTuple):
    """One entry for each instrument. A call with strike 0 is the dated future. All int64, all of one length."""

    slice_index: IntArray
    strike_e8: IntArray
    is_call: IntArray  # 1 call, 0 put
    lot_e8: IntArray  # coins in one lot


class Grid(NamedTuple):
    """Scenarios: int64 arrays of shape (grids, scenarios)."""

    spot_ppm: IntArray
    vol_ppm: IntArray  # relative, before the scaling with time to expiry
    rho_shift_ppm: IntArray
    dampen_ppm: IntArray  # share of the profit or loss that counts


class Marks(NamedTuple):
    """Unshocked values, one entry for each instrument."""

    mark_e8: IntArray  # USD x 1e8 a coin
    iv_ppm: IntArray  # Black-76 volatility of the mark at the effective forward and the time that remains
    delta_ppm: IntArray  # coins of forward for each coin of option
    gamma_e12: IntArray  # change of delta (as a fraction) for one USD of the forward, x 1e12
    vega_e8: IntArray  # USD x 1e8 a coin for one volatility point (0.01)
    theta_e8: IntArray  # USD x 1e8 a coin for one day


class Values(NamedTuple):
    """Black-76 values of options given in doubles, in the money of the forward. All float64, all of one length."""

    price: FloatArray  # undiscounted
    delta: FloatArray  # change of the price with the forward
    gamma: FloatArray  # change of delta with the forward
    vega: FloatArray  # change of the price with the volatility, for a volatility of 1.00
    theta: FloatArray  # change of the price with a year's passing; never positive


def check_inputs(slices: Slices, options: Options) -> None:
    """Halt on arrays outside the kernel's domain; the rules that build them keep inside it."""
    length, count = slices.forward_e8.shape[0], options.strike_e8.shape[0]
    ensure(all(is_vector(column, length) for column in slices), "slice columns are int64 vectors of one length")
    ensure(all(is_vector(column, count) for column in options), "option columns are int64 vectors of one length")
    if length:
        open_share = slices.variable_ppm
        ensure(_within(slices.forward_e8, 1, EXACT_MAX), "forwards are positive and exact in a double")
        ensure(_within(slices.fixed_e8, 0, EXACT_MAX), "fixed parts are exact in a double")
        ensure(_within(open_share, 0, 1_000_000), "open shares lie between none and all")
        ensure(bool(np.all((open_share > 0) | (slices.fixed_e8 > 0))), "a closed average has a fixed part")
        ensure(_within(slices.theta_e12, 0, _THETA_MAX_E12), "total variances are bounded")
        ensure(_within(slices.rho_ppm, -999_999, 999_999), "correlations lie inside minus one and one")
        ensure(_within(slices.eta_ppm, 1, _ETA_MAX_PPM), "etas are positive and bounded")
        ensure(_within(slices.shift_ppm, -_SHIFT_MAX_PPM, _SHIFT_MAX_PPM), "shifts are bounded")
        ensure(_within(slices.width_ppm, 1, _WIDTH_MAX_PPM), "widths are positive and bounded")
        ensure(_within(slices.remaining_ms, -EXACT_MAX, _REMAINING_MAX_MS), "times to expiry are bounded")
    if count:
        ensure(_within(options.slice_index, 0, length - 1), "each instrument has its slice")
        ensure(_within(options.strike_e8, 0, EXACT_MAX), "strikes are exact in a double")
        ensure(_within(options.is_call, 0, 1), "an option is a call or a put")
        ensure(_within(options.lot_e8, 1, _LOT_MAX_E8), "lots are positive and bounded")


def check_grid(slices: Slices, grid: Grid) -> None:
    """Halt on scenarios outside the kernel's domain."""
    shape = grid.spot_ppm.shape
    ensure(len(shape) == _GRID_AXES and shape[1] > 0, "a grid has scenarios")
    ensure(all(c.dtype == np.int64 and c.shape == shape for c in grid), "grid columns are int64 of one shape")
    if not slices.grid_index.shape[0]:
        return
    ensure(_within(slices.grid_index, 0, shape[0] - 1), "each slice has its grid")
    ensure(_within(grid.spot_ppm, -999_999, _SPOT_SHOCK_MAX_PPM), "a spot shock leaves a positive price")
    ensure(_within(grid.vol_ppm, -_VOL_SHOCK_MAX_PPM, _VOL_SHOCK_MAX_PPM), "volatility shocks are bounded")
    ensure(_within(grid.rho_shift_ppm, -2_000_000, 2_000_000), "correlation shocks are bounded")
    ensure(_within(grid.dampen_ppm, 0, 1_000_000), "a dampener counts between nothing and all")


def check_options(
    forward: FloatArray, strike: FloatArray, variance: FloatArray | None = None, years: FloatArray | None = None
) -> None:
    """Refuse doubles outside the domain. Refuses: ValueError that names the row and the field."""
    _check_range("forward", forward, _VALUE_RANGE)
    _check_range("strike", strike, _VALUE_RANGE)
    if variance is not None:
        _check_range("variance", variance, _VARIANCE_RANGE)
    if years is not None:
        _check_range("years", years, _YEARS_RANGE)


def check_prices(price: FloatArray) -> None:
    """Refuse prices that are not numbers. Refuses: ValueError that names the row."""
    _check_range("price", price, _PRICE_RANGE)


def _check_range(name: str, column: FloatArray, bounds: tuple[float, float]) -> None:
    low, high = bounds
    if column.shape[0] and not (column.min() >= low and column.max() <= high):
        row = int(np.argmin((column >= low) & (column <= high)))
        raise ValueError(f"row {row}: {name} is {column[row]}; give a number between {low:g} and {high:g}")


def is_vector(column: IntArray, length: int) -> bool:
    """Tell whether a column is an int64 vector of a length."""
    return column.dtype == np.int64 and column.shape == (length,)


def _within(column: IntArray, low: int, high: int) -> bool:
    return bool(column.min() >= low) and bool(column.max() <= high)
