"""Rounding of exact quotients, each way named."""

from fractions import Fraction
from math import floor
from typing import Final

PPM: Final = 1_000_000


def down(numerator: int, denominator: int) -> int:
    """Return a quotient rounded toward minus infinity."""
    return numerator // denominator


def up(numerator: int, denominator: int) -> int:
    """Return a quotient rounded toward plus infinity."""
    return -(-numerator // denominator)


def worth_atoms(price_e8: int, lot_e8: int) -> int:
    """Return what a lot is worth in USDC atoms: (price / 1e8) x (lot / 1e8) x 1e6, to the nearest, halves up."""
    return floor(Fraction(price_e8 * lot_e8, 10**10) + Fraction(1, 2))
