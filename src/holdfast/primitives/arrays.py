"""Exact arithmetic on arrays of int64 where a product may pass 64 bits: it is taken apart so that no part does."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from holdfast.primitives.units import PPM, div_exact

Int64Array = NDArray[np.int64]

_BASE: Final = 100
_INT64_MAX: Final = 2**63 - 1


def share_floor(values: Int64Array, share_ppm: int | Int64Array) -> Int64Array:
    """Return shares of values, element by element where they are arrays too. Rounds: down.

    Exact for shares up to 2^43 ppm either way, and results that fit.
    """
    whole: Int64Array = np.floor_divide(values, PPM)
    part: Int64Array = np.floor_divide((values - whole * PPM) * share_ppm, PPM)
    return whole * share_ppm + part


def times_floor(amounts: Int64Array, factor: int, divisor: int) -> Int64Array:
    """Return amounts times a factor over a divisor, which is a power of 100. Rounds: down.

    Exact for amounts from 0 to 2^56, and results that fit.
    """
    most = int(amounts.max(initial=1))
    base = _BASE
    while base < divisor and most * base * _BASE <= _INT64_MAX:
        base *= _BASE
    # By the factor's digits to that base, the lowest first: no carry passes an amount, and so no sum passes 64 bits.
    carry: Int64Array = np.zeros_like(amounts)
    while divisor > 1:
        step = min(base, divisor)
        factor, digit = divmod(factor, step)
        carry = np.floor_divide(amounts * digit + carry, step)
        divisor = div_exact(divisor, step)
    return amounts * factor + carry
