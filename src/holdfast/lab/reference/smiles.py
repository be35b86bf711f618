"""Whether smiles allow arbitrage, point by point in plain integers, as `primitives/smiles.py` promises it.

What is agreed between the two are the form, the points, the scales and that every quotient is rounded down; everything
else is written anew, without arrays and without bounds on sizes.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from itertools import pairwise
from math import isqrt, trunc
from typing import Final, NamedTuple

_PPM: Final = 10**6
_E9: Final = 10**9
_E12: Final = 10**12
_POINTS: Final = range(-98, 99)
_SLACK: Final = 4  # millionths that rounding may cost a root


class Shape(NamedTuple):
    """Total variance at the money, x 1e12, and in millionths: rho, eta, shift, width."""

    theta: int
    rho: int
    eta: int
    shift: int
    width: int


class _Point(NamedTuple):
    """One smile at one place: z, V and its root in millionths, V' and V'' x 1e9."""

    z: int
    value: int
    slope: int
    bend: int


def is_free(shapes: Sequence[Shape]) -> bool:
    """Return whether smiles, in order of expiry, are bounded and allow neither butterfly nor calendar arbitrage."""
    return (
        len(shapes) > 0
        and all(_is_bounded(shape) for shape in shapes)
        and all(near.theta <= far.theta for near, far in pairwise(shapes))
        and all(_has_density(one) for shape in shapes for one in (shape, _skewed(shape)))
        and all(_is_below(near, far) for near, far in pairwise(shapes))
    )


def _is_bounded(shape: Shape) -> bool:
    return (
        1 <= shape.theta <= 100 * _E12
        and abs(shape.rho) <= 990_000  # noqa: PLR2004 -- the bounds are written where they bind
        and 0 < shape.eta <= 4 * _PPM
        and shape.eta * (_PPM + abs(shape.rho)) <= 4 * _E12
        and abs(shape.shift) <= 6 * _PPM
        and 50_000 <= shape.width <= 60 * _PPM  # noqa: PLR2004
    )


def _skewed(shape: Shape) -> Shape:
    """Return what a skew shock makes of a smile: rho a quarter lower, within its bounds."""
    lowest = -min(4 * _E12 // shape.eta - _PPM, 990_000)
    return shape._replace(rho=max(shape.rho - 250_000, lowest))


def _parts(shape: Shape) -> tuple[int, int, int]:
    """Return vertex, width and level, in millionths."""
    vertex = shape.rho + shape.shift
    width = (_E12 - shape.rho**2) * shape.width // _PPM
    return vertex, isqrt(width), 2 * _PPM - isqrt(vertex**2 + width)


def _points(shape: Shape) -> Iterator[_Point]:
    vertex, scale, level = _parts(shape)
    for step in _POINTS:
        sinh, cosh, tanh, sech3 = _hyperbola(step)
        z = scale * sinh // _E9 - vertex
        value = level + shape.rho * z // _PPM + scale * cosh // _E9
        yield _Point(z, value, shape.rho * 1000 + tanh, sech3 * _PPM // scale)


@cache
def _hyperbola(step: int) -> tuple[int, int, int, int]:
    """Return sinh, cosh, tanh and 1 / cosh^3 of step x ln(21/20), x 1e9 and cut off."""
    root = Fraction(21, 20) ** step
    sinh, cosh = (root - 1 / root) / 2, (root + 1 / root) / 2
    return trunc(_E9 * sinh), trunc(_E9 * cosh), trunc(_E9 * sinh / cosh), trunc(_E9 / cosh**3)


def _has_density(shape: Shape) -> bool:
    """Return whether the density stays positive from no variance at all to four times this one's."""
    for point in _points(shape):
        if point.value < 20_000:  # noqa: PLR2004 -- a hundredth of the variance at the money
            return False
        inner = _E9 - point.z * point.slope // (2 * point.value)
        if inner <= shape.theta * _E9 // (_E12 + 2 * shape.theta):
            return False
        inner = min(inner, 3 * _E9)
        steep = point.slope**2 // _E9
        for theta in (0, 4 * shape.theta):
            weight = shape.eta**2 * _E12 // (_E12 + theta) // _PPM
            curved = point.bend // 4 - steep * _PPM // (8 * point.value) - steep * (theta // _PPM) // (64 * _PPM)
            if inner**2 // _E9 + weight * curved // _PPM < _PPM:
                return False
    return True


def _is_below(near: Shape, far: Shape) -> bool:
    """Return whether the near smile lies nowhere above the far one."""
    for side in (-1, 1):
        steep_far = far.eta**2 * far.theta * (_E12 + near.theta) * (_PPM + side * far.rho) ** 2
        steep_near = near.eta**2 * near.theta * (_E12 + far.theta) * (_PPM + side * near.rho) ** 2
        if steep_far < steep_near:
            return False
    above = far.eta**2 * near.theta * (_E12 + near.theta)
    below = near.eta**2 * far.theta * (_E12 + far.theta)
    ratio = isqrt(above * _E9**2 // below)
    if not 0 < ratio <= 4 * _E9:
        return False
    return _holds_on_near(near, far, ratio) and _holds_on_far(near, far, ratio)


def _holds_on_near(near: Shape, far: Shape, ratio: int) -> bool:
    vertex, scale, level = _parts(far)
    share = near.theta * _E9 // far.theta
    for point in _points(near):
        z = point.z * ratio // _E9
        least = min(max(0, point.value * share // _E9 - level - far.rho * z // _PPM - _SLACK), 3 * _E9)
        if (z + vertex) ** 2 + scale**2 < least**2:
            return False
    return True


def _holds_on_far(near: Shape, far: Shape, ratio: int) -> bool:
    vertex, scale, level = _parts(near)
    # A growth under four is known to 1e-9, a larger one to a millionth.
    unit = _E9 if far.theta < 4 * near.theta else _PPM
    growth = min(far.theta * unit // near.theta, 1_000 * unit)
    # As far out as four times the widest smile's own last point.
    reach = 4 * (isqrt(60 * _E12) * _hyperbola(_POINTS[-1])[1] // _E9 + 6_990_000)
    for point in _points(far):
        z = point.z * _E9 // ratio
        if abs(z) > reach:
            continue
        most = min(point.value * growth // unit - level - near.rho * z // _PPM + _SLACK, 3 * _E9)
        if most < 0 or (z + vertex) ** 2 + scale**2 > most**2:
            return False
    return True
