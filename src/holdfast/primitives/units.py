"""Units, and the only places where one unit becomes another.

Every quantity is an `int` whose NewType and name suffix carry its unit. Division is written with the functions
below, so that each one states which way it rounds; `/` and `//` are banned elsewhere below `node/`.
"""

from typing import Final, NewType

from holdfast.primitives.check import ensure

Atoms = NewType("Atoms", int)  # smallest unit of an asset; USDC: 1e-6
Ticks = NewType("Ticks", int)  # multiples of an instrument's tick
Lots = NewType("Lots", int)  # multiples of an instrument's lot; signed only for positions
PriceE8 = NewType("PriceE8", int)  # USD x 1e8
Ppm = NewType("Ppm", int)  # millionths
VarianceE12 = NewType("VarianceE12", int)  # total variance x 1e12
Millis = NewType("Millis", int)  # UTC milliseconds, or a duration in milliseconds
Height = NewType("Height", int)  # block number

PPM: Final = 1_000_000
E8: Final = 10**8
USDC_ATOMS: Final = 10**6

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
YEAR_MS: Final = 365 * DAY_MS


def div_floor(numerator: int, denominator: int) -> int:
    """Divide, rounding toward minus infinity."""
    return numerator // denominator


def div_ceil(numerator: int, denominator: int) -> int:
    """Divide, rounding toward plus infinity."""
    return -(-numerator // denominator)


def div_exact(numerator: int, denominator: int) -> int:
    """Divide where a remainder would be our own mistake."""
    quotient, remainder = divmod(numerator, denominator)
    ensure(remainder == 0, "an exact division leaves no remainder")
    return quotient


def div_nearest(numerator: int, denominator: int) -> int:
    """Divide by a positive denominator, rounding to the nearest integer, halves up."""
    return (2 * numerator + denominator) // (2 * denominator)


def sqrt_floor(value: int) -> int:
    """Return the integer square root of a value that is not negative, rounding down, by Newton's method from above."""
    ensure(value >= 0, "a square root has a real value")
    root = 1 << ((value.bit_length() + 1) >> 1)
    while root * root > value:
        root = (root + value // root) >> 1
    return root


def value_per_lot_atoms(price_e8: int, lot_e8: int) -> Atoms:
    """Return what one lot is worth at a price per coin.

    Rounds: to the nearest atom, so that a long and a short carry exactly opposite values.
    """
    return Atoms(div_nearest(price_e8 * lot_e8, E8 * (E8 // USDC_ATOMS)))


def share_floor(amount: int, share_ppm: int) -> int:
    """Return a share of an amount, rounded down: for what is paid out or credited."""
    return amount * share_ppm // PPM


def share_ceil(amount: int, share_ppm: int) -> int:
    """Return a share of an amount, rounded up: for what is charged or required."""
    return -(-amount * share_ppm // PPM)
