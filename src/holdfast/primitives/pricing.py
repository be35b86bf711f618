"""The one fenced file of floats: Black-76 on SVI smiles, from int64 arrays to rounded int64 arrays.

Every result is a fixed sequence of IEEE-754 double operations + - * / sqrt, comparisons, minimum, maximum, copysign,
rint and integer bit moves, so every machine computes the same bits. The library's exp, log, power, sum and dot may
differ between processors and never appear; the polynomials below are read out in Horner order. Nothing else in the
exchange sees a float. The bits are pinned by a golden hash: a build that differs refuses to run.

Money here is USD x 1e8 a coin inside doubles below 2^53, hence exact on entry; results are rounded half to even.
No subnormal, infinity or NaN arises: exponents are clamped at -600, arguments of the normal tail at 38.

Sources: Black 1976; Gatheral and Jacquier, arXiv 1204.0646, section 3 (natural SVI), section 4 (power-law SSVI);
fdlibm e_log.c (form of log).
"""

import hashlib
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.primitives.check import ensure
from holdfast.primitives.pricing_inputs import (
    EXACT_MAX,
    Grid,
    IntArray,
    Marks,
    Options,
    Slices,
    check_grid,
    check_inputs,
    is_vector,
)

__all__ = [
    "GOLDEN",
    "Grid",
    "IntArray",
    "Marks",
    "Options",
    "Slices",
    "check_golden",
    "compute_marks",
    "compute_rows",
    "golden_hash",
    "vol_scale_ppm",
]

FloatArray = npt.NDArray[np.float64]

SIGMA_FLOOR_PPM: Final = 100_000  # a vol shock leaves at least a tenth of the volatility
GOLDEN: Final = "e1f7c5030c00754a4a3362ef9313bda9dd7eb88d843b43bb21058ea0c743e6c2"

_DAY_MS: Final = 86_400_000
_YEAR_MS: Final = 365 * _DAY_MS
_AVERAGING_MS: Final = 30 * 60_000
_TWO_THIRDS_AVERAGING_MS: Final = 20 * 60_000

_BUTTERFLY_E12: Final = 2 * 10**12

# No strike has less than a hundredth of the variance at the money, whatever a skew shock makes of the smile.
_SHAPE_FLOOR: Final = 0.02

# Below this total variance an option is worth its intrinsic value; no admissible live slice comes near it.
_VARIANCE_FLOOR: Final = 1e-24
_BLOCK_ELEMENTS: Final = 4096

_LOG2_E: Final = 1.4426950408889634
_LN2_HIGH: Final = 0.6931471803691238
_LN2_LOW: Final = 1.9082149292705877e-10
_BITS_OF_SQRT_HALF: Final = 4604544271217802189
_MANTISSA_BITS: Final = 52
_EXPONENT_BIAS: Final = 1023
_EXP_MIN: Final = -600.0
_TAIL_MAX: Final = 38.0
_ONE_OVER_SQRT_2PI: Final = 0.3989422804014327

# fmt: off
# Chebyshev interpolation at 60 digits on |r| <= ln(2)/2, highest power first.
_EXP_POLYNOMIAL: Final = (
    2.092158893897149e-09, 2.511488209588034e-08, 2.7557251877225084e-07, 2.755722492065214e-06,
    2.480158735013993e-05, 0.00019841269909257902, 0.0013888888888871874, 0.008333333333309509, 0.04166666666666669,
    0.16666666666666702, 0.5, 1.0, 1.0,
)
# (log((1+s)/(1-s))/s - 2)/s^2 in powers of s^2, for mantissas in [sqrt(1/2), sqrt(2)).
_LOG_POLYNOMIAL: Final = (
    0.13086767009948175, 0.13268759668560612, 0.15386240205813478, 0.18181795630884753, 0.2222222239180047,
    0.2857142857080323, 0.4000000000000088, 0.6666666666666666,
)
# Mills ratio x (1 + 2a) in t = (a - 4)/(a + 4), for 0 <= a <= 38: relative error 1.2e-16.
_TAIL_POLYNOMIAL: Final = (
    8.779266818961249e-10, 1.0359705698609414e-08, 2.1705727754376567e-08, -4.9655106835280455e-08,
    -2.1064498825211668e-07, 5.892422775346397e-08, 1.180081061695122e-06, 5.97612643846105e-07,
    -5.877500446164988e-06, -6.0313761400603806e-06, 3.155386069067847e-05, 3.786717268371451e-05,
    -0.00020435393530119318, -0.00014330530487162776, 0.0015769783679330407, -0.0012100600884318452,
    -0.01051231924778643, 0.04436429044437158, -0.09526047896290155, 0.1289081354447444, -0.09637998589040539,
    -0.023009233104595305, 0.8496957717177204,
)
# fmt: on


class _Surface(NamedTuple):
    """Each slice under each scenario: float arrays of shape (slices, scenarios), but for the first."""

    base: FloatArray  # forward without shock, one a slice
    forward: FloatArray
    log_shift: FloatArray
    half_variance: FloatArray
    phi: FloatArray
    rho: FloatArray
    level: FloatArray
    vertex: FloatArray
    width: FloatArray


def vol_scale_ppm(remaining_ms: IntArray) -> IntArray:
    """Return how much a volatility shock counts at a time to expiry: (30 days / time)^0.30, beyond 30 days ^0.13.

    Rounds: to the nearest millionth; times under a day count as a day.
    """
    days = np.maximum(remaining_ms, _DAY_MS).astype(np.float64) / float(_DAY_MS)
    exponent = np.where(remaining_ms <= 30 * _DAY_MS, 0.30, 0.13)
    return _to_int(_exp(exponent * _log(30.0 / days)) * 1e6)


def compute_marks(slices: Slices, options: Options) -> Marks:
    """Return mark, volatility and Greeks of each instrument."""
    check_inputs(slices, options)
    no_shock = np.zeros((slices.forward_e8.shape[0], 1), dtype=np.int64)
    surface = _shock(slices, Grid(no_shock, no_shock, no_shock, no_shock))
    index = options.slice_index
    moneyness = _log_moneyness(surface, options)
    price = _price(surface, options, moneyness)[:, 0]

    forward = surface.forward[index, 0]
    variance = _total_variance(surface, index, moneyness[:, None])[:, 0]
    live = variance > _VARIANCE_FLOOR
    deviation = np.sqrt(np.maximum(variance, _VARIANCE_FLOOR))
    d1 = 0.5 * deviation - np.minimum(np.maximum(moneyness / deviation, -_TAIL_MAX), _TAIL_MAX)
    density = np.where(live, _exp(np.maximum(-0.5 * d1 * d1, _EXP_MIN)) * _ONE_OVER_SQRT_2PI, 0.0)
    is_call = options.is_call == 1
    share = slices.variable_ppm.astype(np.float64)[index] / 1e6
    delta = np.where(is_call, 1.0, -1.0) * _normal(np.where(is_call, d1, -d1))
    years = np.maximum(slices.remaining_ms, 1).astype(np.float64)[index] / float(_YEAR_MS)
    return Marks(
        mark_e8=_to_int(price),
        iv_ppm=_to_int(np.where(live, deviation / np.sqrt(years), 0.0) * 1e6),
        delta_ppm=_to_int(delta * share * 1e6),
        gamma_e12=_to_int(density / (forward * deviation) * share * share * 1e20),
        vega_e8=_to_int(forward * density * np.sqrt(years) * 0.01),
        theta_e8=_to_int(-0.5 * forward * density * deviation / (years * 365.0)),
    )


def compute_rows(slices: Slices, options: Options, grid: Grid, marks_e8: IntArray) -> IntArray:
    """Return dV: the change of one lot's value in atoms, a row for each instrument, a column for each scenario.

    Rounds: to the nearest atom, so that a long and a short carry exactly opposite entries.
    """
    check_inputs(slices, options)
    check_grid(slices, grid)
    ensure(is_vector(marks_e8, options.strike_e8.shape[0]), "there is one mark an instrument")
    surface = _shock(slices, Grid(*(column[slices.grid_index] for column in grid)))
    moneyness = _log_moneyness(surface, options)
    lots = options.lot_e8.astype(np.float64) / 1e10
    dampen = grid.dampen_ppm.astype(np.float64) / 1e6
    grid_index = slices.grid_index[options.slice_index]
    marks = marks_e8.astype(np.float64)
    count, scenarios = options.strike_e8.shape[0], grid.spot_ppm.shape[1]
    rows = np.empty((count, scenarios), dtype=np.int64)
    step = max(1, _BLOCK_ELEMENTS // scenarios)
    for start in range(0, count, step):
        block = slice(start, start + step)
        price = _price(surface, Options(*(column[block] for column in options)), moneyness[block])
        price -= marks[block, None]
        price *= lots[block, None]
        price *= dampen[grid_index[block]]
        rows[block] = _to_int(price)
    return rows


def golden_hash() -> str:
    """Return the SHA-256 of marks and rows over a fixed set of inputs."""
    slices, options, grid = _golden_inputs()
    marks = compute_marks(slices, options)
    rows = compute_rows(slices, options, grid, marks.mark_e8)
    digest = hashlib.sha256()
    for column in (*marks, rows, vol_scale_ppm(slices.remaining_ms)):
        digest.update(column.astype("<i8").tobytes())
    return digest.hexdigest()


def check_golden() -> None:
    """Halt where this machine, build or library computes other bits than every other replica."""
    ensure(golden_hash() == GOLDEN, "the pricing kernel computes the pinned bits")


def _list_draws(seed: int) -> Iterator[int]:
    while True:
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        yield seed >> 11


def _golden_inputs() -> tuple[Slices, Options, Grid]:
    draws = _list_draws(20251010)

    def draw(count: int, low: int, high: int) -> IntArray:
        return np.array([low + next(draws) % (high - low + 1) for _ in range(count)], dtype=np.int64)

    # The last quarter of the slices lies inside its settlement window, and the very last has expired.
    count, late = 32, 8
    quiet = np.zeros(count - late, dtype=np.int64)
    remaining = np.concatenate([draw(count - late, 31 * 60_000, _YEAR_MS), draw(late, 1, _AVERAGING_MS)])
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


def _to_int(value: FloatArray) -> IntArray:
    bound = float(EXACT_MAX)
    return np.rint(np.minimum(np.maximum(value, -bound), bound)).astype(np.int64)


def _shock(slices: Slices, grid: Grid) -> _Surface:
    """Return the slices under each scenario; `grid` already has one row a slice."""
    forward = slices.forward_e8.astype(np.float64)[:, None]
    fixed = slices.fixed_e8.astype(np.float64)[:, None]
    share = slices.variable_ppm.astype(np.float64)[:, None] / 1e6
    moving = forward * share * ((1_000_000 + grid.spot_ppm).astype(np.float64) / 1e6)
    base = fixed + forward * share
    effective = fixed + moving
    part = moving / effective

    scale = vol_scale_ppm(slices.remaining_ms)[:, None]
    factor = np.maximum((10**12 + grid.vol_ppm * scale).astype(np.float64) / 1e12, float(SIGMA_FLOOR_PPM) / 1e6)
    theta = slices.theta_e12.astype(np.float64)[:, None] / 1e12 * factor * factor

    # The power law stays free of butterfly arbitrage while eta (1 + |rho|) <= 2.
    rho_max = np.maximum(np.minimum(_BUTTERFLY_E12 // slices.eta_ppm - 1_000_000, 999_999), 0)[:, None]
    rho = np.minimum(np.maximum(slices.rho_ppm[:, None] + grid.rho_shift_ppm, -rho_max), rho_max)
    theta_safe = np.maximum(theta, 1e-14)
    phi = (slices.eta_ppm.astype(np.float64)[:, None] / 1e6) / np.sqrt(theta_safe * (1.0 + theta_safe))
    slope = rho.astype(np.float64) / 1e6
    vertex = (rho + slices.shift_ppm[:, None]).astype(np.float64) / 1e6
    width = (10**12 - rho * rho).astype(np.float64) / 1e12 * (slices.width_ppm.astype(np.float64) / 1e6)[:, None]
    return _Surface(
        base=base[:, 0],
        forward=effective,
        log_shift=_log(effective / base),
        half_variance=0.5 * theta * part * part * _averaging(slices.remaining_ms)[:, None],
        phi=phi,
        rho=slope,
        level=2.0 - np.sqrt(vertex * vertex + width),
        vertex=vertex,
        width=width,
    )


def _averaging(remaining_ms: IntArray) -> FloatArray:
    """Return the variance of the settlement average over that of the last price: 1/3 inside its window, 0 at expiry."""
    time = np.maximum(remaining_ms, _AVERAGING_MS).astype(np.float64)
    return np.where(remaining_ms > 0, (time - float(_TWO_THIRDS_AVERAGING_MS)) / time, 0.0)


def _log_moneyness(surface: _Surface, options: Options) -> FloatArray:
    """Return ln(strike / forward) without shock; a scenario then only subtracts its own log shift."""
    return _log(np.maximum(options.strike_e8, 1).astype(np.float64) / surface.base[options.slice_index])


def _total_variance(surface: _Surface, index: IntArray, moneyness: FloatArray) -> FloatArray:
    """Return the total variance of each option in each scenario.

    It is theta/2 (level + rho z + sqrt((z + vertex)^2 + width)) at z = phi k, where the level makes it theta at the
    money. With vertex = rho and width = 1 - rho^2 the level is 1 and this is SSVI, Gatheral and Jacquier, eq. 4.1.
    """
    wing = surface.phi[index]
    wing *= moneyness
    tilt = wing * surface.rho[index]
    tilt += surface.level[index]
    wing += surface.vertex[index]
    wing *= wing
    wing += surface.width[index]
    np.sqrt(wing, out=wing)
    wing += tilt
    np.maximum(wing, _SHAPE_FLOOR, out=wing)
    wing *= surface.half_variance[index]
    return wing


def _price(surface: _Surface, options: Options, moneyness: FloatArray) -> FloatArray:
    """Return undiscounted Black-76 prices, shape (options, scenarios).

    Why: the out-of-the-money side is priced and parity adds the intrinsic value, so that no digits cancel.
    """
    index = options.slice_index
    shifted = moneyness[:, None] - surface.log_shift[index]
    variance = _total_variance(surface, index, shifted)
    forward = surface.forward[index]
    strike = options.strike_e8.astype(np.float64)[:, None]
    price = _out_of_the_money(shifted, variance)
    price *= np.minimum(forward, strike)
    sign = np.where(options.is_call == 1, 1.0, -1.0)[:, None]
    forward -= strike
    forward *= sign
    np.maximum(forward, 0.0, out=forward)
    price += forward
    return price


def _out_of_the_money(moneyness: FloatArray, variance: FloatArray) -> FloatArray:
    """Return the out-of-the-money option's price over the smaller of forward and strike.

    Why: with h = sd/2 - |k|/sd it is N(h) - e^|k| N(h - sd), and the two normal densities differ by that same e^|k|,
    so one exponential serves both tails and calls and puts share one form.
    """
    dead = variance <= _VARIANCE_FLOOR
    deviation = np.sqrt(np.maximum(variance, _VARIANCE_FLOOR))
    distance = np.abs(moneyness)
    distance /= deviation
    deviation *= 0.5
    ends = np.empty((2, *moneyness.shape))
    upper = deviation - distance
    np.abs(upper, out=ends[0])
    np.add(deviation, distance, out=ends[1])
    density = upper * upper
    density *= -0.5
    tails = _mills(ends)
    inside = np.copysign(tails[0], upper)
    inside += tails[1]
    inside *= _exp(np.maximum(density, _EXP_MIN))
    price = (upper >= 0.0).astype(np.float64)
    price -= inside
    np.maximum(price, 0.0, out=price)
    price[dead] = 0.0
    return price


def _mills(distance: FloatArray) -> FloatArray:
    """Return the normal tail beyond a distance >= 0, over e^(-distance^2/2). Overwrites its argument."""
    np.minimum(distance, _TAIL_MAX, out=distance)
    t = distance - 4.0
    t /= distance + 4.0
    value = _horner(_TAIL_POLYNOMIAL, t)
    distance *= 2.0
    distance += 1.0
    value /= distance
    return value


def _normal(value: FloatArray) -> FloatArray:
    """Return the standard normal distribution function."""
    tail = _mills(np.abs(value)) * _exp(np.maximum(-0.5 * value * value, _EXP_MIN))
    return np.where(value > 0.0, 1.0 - tail, tail)


def _horner(coefficients: tuple[float, ...], x: FloatArray) -> FloatArray:
    value = x * coefficients[0]
    value += coefficients[1]
    for coefficient in coefficients[2:]:
        value *= x
        value += coefficient
    return value


def _exp(x: FloatArray) -> FloatArray:
    """Return e^x for -600 <= x <= 600."""
    power = np.rint(x * _LOG2_E)
    rest = x - power * _LN2_HIGH
    rest -= power * _LN2_LOW
    bits = power.astype(np.int64)
    bits += _EXPONENT_BIAS
    bits <<= _MANTISSA_BITS
    value = _horner(_EXP_POLYNOMIAL, rest)
    value *= bits.view(np.float64)
    return value


def _log(x: FloatArray) -> FloatArray:
    """Return ln(x) for positive normal x."""
    bits = np.ascontiguousarray(x).view(np.int64)
    exponent = (bits - _BITS_OF_SQRT_HALF) >> _MANTISSA_BITS
    fraction = (bits - (exponent << _MANTISSA_BITS)).view(np.float64) - 1.0
    s = fraction / (2.0 + fraction)
    z = s * s
    series = z * _horner(_LOG_POLYNOMIAL, z)
    half_square = 0.5 * fraction * fraction
    scale = exponent.astype(np.float64)
    return scale * _LN2_HIGH - ((half_square - (s * (half_square + series) + scale * _LN2_LOW)) - fraction)
