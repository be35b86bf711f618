"""exp, log and the normal tail, each a fixed sequence of + - * / and bit moves on arrays of doubles.

The library's own exp and log differ between processors and never appear. Polynomials are read out in a fixed order, in
one to four strands of powers, as their native twin does.

Sources: fdlibm e_log.c (form of log); the coefficients are Chebyshev interpolants at 60 digits, rounded once.
"""

from typing import Final

import numpy as np

from holdfast.primitives.pricing.inputs import EXACT_MAX, FloatArray, IntArray

__all__ = ["EXP_MIN", "ONE_OVER_SQRT_2PI", "TAIL_MAX", "exp", "log", "mills", "to_int"]

EXP_MIN: Final = -600.0
TAIL_MAX: Final = 38.0
ONE_OVER_SQRT_2PI: Final = 0.3989422804014327

_LOG2_E: Final = 1.4426950408889634
_LN2_HIGH: Final = 0.6931471803691238
_LN2_LOW: Final = 1.9082149292705877e-10
# 1.5 x 2^52: adding it rounds half to even into the low bits.
_ROUND: Final = 6755399441055744.0
_BITS_OF_SQRT_HALF: Final = 4604544271217802189
_MANTISSA_BITS: Final = 52
_EXPONENT_BIAS: Final = 1023

# fmt: off
# On |r| <= ln(2)/2, highest power first.
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


def exp(x: FloatArray) -> FloatArray:
    """Return e^x for -600 <= x <= 600."""
    shifted = x * _LOG2_E
    shifted += _ROUND
    power = shifted - _ROUND
    rest = x - power * _LN2_HIGH
    power *= _LN2_LOW
    rest -= power
    square = rest * rest
    value = _horner(_EXP_POLYNOMIAL[1::2], square)
    value *= rest
    value += _horner(_EXP_POLYNOMIAL[0::2], square)
    # The low bits of the shifted number are the power of two; they move to the exponent.
    bits = shifted.view(np.int64)
    bits <<= _MANTISSA_BITS
    bits += _EXPONENT_BIAS << _MANTISSA_BITS
    value *= bits.view(np.float64)
    return value


def log(x: FloatArray) -> FloatArray:
    """Return ln(x) for positive normal x."""
    bits = np.ascontiguousarray(x).view(np.int64)
    exponent = bits - _BITS_OF_SQRT_HALF
    exponent >>= _MANTISSA_BITS
    fraction = (bits - (exponent << _MANTISSA_BITS)).view(np.float64)
    fraction -= 1.0
    s = fraction + 2.0
    np.divide(fraction, s, out=s)
    z = s * s
    series = _horner(_LOG_POLYNOMIAL, z)
    series *= z
    half_square = fraction * 0.5
    half_square *= fraction
    series += half_square
    series *= s
    scale = exponent.astype(np.float64)
    series += scale * _LN2_LOW
    half_square -= series
    half_square -= fraction
    scale *= _LN2_HIGH
    scale -= half_square
    return scale


def mills(distance: FloatArray) -> FloatArray:
    """Return the normal tail beyond a distance >= 0, over e^(-distance^2/2). Overwrites its argument."""
    np.minimum(distance, TAIL_MAX, out=distance)
    t = distance - 4.0
    t /= distance + 4.0
    square = t * t
    fourth = square * square
    value = _horner(_TAIL_POLYNOMIAL[3::4], fourth)
    value *= t
    value += _horner(_TAIL_POLYNOMIAL[0::4], fourth)
    value *= square
    low = _horner(_TAIL_POLYNOMIAL[1::4], fourth)
    low *= t
    low += _horner(_TAIL_POLYNOMIAL[2::4], fourth)
    value += low
    distance *= 2.0
    distance += 1.0
    value /= distance
    return value


def to_int(value: FloatArray) -> IntArray:
    """Return the nearest integers, half to even, of values clamped to the integers that a double holds."""
    bound = float(EXACT_MAX)
    return np.rint(np.minimum(np.maximum(value, -bound), bound)).astype(np.int64)


def _horner(coefficients: tuple[float, ...], x: FloatArray) -> FloatArray:
    value = x * coefficients[0]
    value += coefficients[1]
    for coefficient in coefficients[2:]:
        value *= x
        value += coefficient
    return value
