"""Black-76 in fixed point: integers of 160 fraction bits and nothing else, to hold the doubles against.

exp by Taylor after halving, ln by atanh, the normal distribution by Marsaglia's series of positive terms; every loop
ends where a term vanishes, so the result is good to far more digits than a double has.
"""

from math import isqrt
from typing import Final

BITS: Final = 160
ONE: Final = 1 << BITS
_TAIL_MAX: Final = 12  # deviations beyond which the distribution is 0 or 1 in these tests' units


def price(forward: int, strike: int, variance: int, *, is_call: bool) -> int:
    """Return the price in the unit of forward and strike, with 160 fraction bits, from a variance with as many."""
    sign = 1 if is_call else -1
    if variance == 0:
        return max(sign * (forward - strike), 0) << BITS
    deviation = isqrt(variance << BITS)
    d1 = _divide(_log(_divide(forward, strike)), deviation) + deviation // 2
    d2 = d1 - deviation
    return sign * (forward * _normal(sign * d1) - strike * _normal(sign * d2))


def _divide(a: int, b: int) -> int:
    return (a << BITS) // b


def _times(a: int, b: int) -> int:
    return a * b >> BITS


def _log(x: int) -> int:
    """Return ln x as 2 atanh((x - 1) / (x + 1)), after so many square roots that the series is short."""
    roots = 0
    while abs(x - ONE) > ONE >> 4:
        x = isqrt(x << BITS)
        roots += 1
    s = _divide(x - ONE, x + ONE)
    square, term, total, n = _times(s, s), s, 0, 1
    while term not in (0, -1):
        total += term // n
        term, n = _times(term, square), n + 2
    return total << roots + 1


def _exp(x: int) -> int:
    """Return e^x for x <= 0."""
    halvings = max(0, (-x >> BITS).bit_length() + 4)
    part, term, total, n = x >> halvings, ONE, 0, 1
    while term not in (0, -1):
        total += term
        term, n = _times(term, part) // n, n + 1
    for _ in range(halvings):
        total = _times(total, total)
    return total


def _normal(x: int) -> int:
    if abs(x) > _TAIL_MAX * ONE:
        return ONE if x > 0 else 0
    square, term, total, n = _times(x, x), x, 0, 3
    while term not in (0, -1):
        total += term
        term, n = _times(term, square) // n, n + 2
    density = _divide(_exp(-square // 2), isqrt(2 * _pi() << BITS))
    return ONE // 2 + _times(density, total)


def _pi() -> int:
    """Return pi by Machin's formula."""
    return 4 * (4 * _arctan_of_inverse(5) - _arctan_of_inverse(239))


def _arctan_of_inverse(n: int) -> int:
    term, total, k = ONE // n, 0, 1
    while term:
        total += term // k if k % 4 == 1 else -(term // k)
        term, k = term // (n * n), k + 2
    return total
