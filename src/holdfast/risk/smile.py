"""The smile of `primitives/smiles.py` in doubles, for fitting and for looking closely; consensus never computes this.

Sources: Gatheral and Jacquier, arXiv 1204.0646, eq. 2.1 (density), sections 3 and 4 (form).
"""

from functools import cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.primitives.smiles import RHO_MAX_PPM, SKEW_PPM, SLOPE_MAX_E12, Smile
from holdfast.primitives.units import PPM

Floats = npt.NDArray[np.float64]

_THETA_SCALE: Final = 1e12


class Shape(NamedTuple):
    """One smile's five numbers as they are in the formulas."""

    theta: float
    rho: float
    eta: float
    shift: float
    width: float

    @property
    def phi(self) -> float:
        return self.eta / float(np.sqrt(self.theta * (1 + self.theta)))

    @property
    def vertex(self) -> float:
        return self.rho + self.shift

    @property
    def scale(self) -> float:
        return float(np.sqrt((1 - self.rho**2) * self.width))


def from_integers(smile: Smile) -> Shape:
    """Return what integers stand for."""
    return Shape(smile.theta_e12 / _THETA_SCALE, *(value / PPM for value in smile[1:]))


def to_integers(shape: Shape) -> Smile:
    """Return the nearest integers."""
    return Smile(round(shape.theta * _THETA_SCALE), *(round(value * PPM) for value in shape[1:]))


def skew_shape(shape: Shape) -> Shape:
    """Return a smile under the chain's skew shock."""
    most = min(SLOPE_MAX_E12 / PPM**2 / shape.eta - 1, RHO_MAX_PPM / PPM)
    return shape._replace(rho=max(shape.rho + SKEW_PPM / PPM, -most))


def compute_form(shape: Shape, z: Floats) -> tuple[Floats, Floats, Floats]:
    """Return V and its first two derivatives; V is 2 at z = 0."""
    vertex, scale = shape.vertex, shape.scale
    root = np.sqrt((z + vertex) ** 2 + scale**2)
    value = 2 - np.hypot(vertex, scale) + shape.rho * z + root
    return value, shape.rho + (z + vertex) / root, scale**2 / root**3


def compute_variance(shape: Shape, moneyness: Floats) -> Floats:
    """Return total variance at ln(strike / forward)."""
    variance: Floats = shape.theta / 2 * compute_form(shape, shape.phi * moneyness)[0]
    return variance


def compute_density(shape: Shape, z: Floats, headroom: float = 1.0) -> Floats:
    """Return the sign function g of the risk-neutral density, with the total variance raised by a factor.

    Negative anywhere is a butterfly that costs less than nothing. A factor of nothing gives the limit.
    """
    return judge_form(shape, z, compute_form(shape, z), headroom)


def judge_form(shape: Shape, z: Floats, form: tuple[Floats, Floats, Floats], headroom: float) -> Floats:
    """Return the same of V and its derivatives at z."""
    value, slope, bend = form
    theta = headroom * shape.theta
    weight = shape.eta**2 / (1 + theta)
    inner = 1 - z * slope / (2 * value)
    density: Floats = inner**2 - weight * slope**2 / 8 * (1 / value + theta / 8) + weight * bend / 4
    return density


def compute_gaps(near: Shape, far: Shape, reach: float, points: int) -> Floats:
    """Return by how much the far smile's total variance lies above the near one's, over itself, on both their grids."""
    places = np.concatenate([make_grid(shape, reach, points) / shape.phi for shape in (near, far)])
    above = compute_variance(far, places)
    gaps: Floats = (above - compute_variance(near, places)) / above
    return gaps


def make_grid(shape: Shape, reach: float, points: int) -> Floats:
    """Return places z, dense where the smile bends; `reach` is in steps of e away from its scale."""
    places: Floats = shape.scale * _make_steps(reach, points) - shape.vertex
    return places


@cache
def _make_steps(reach: float, points: int) -> Floats:
    steps: Floats = np.sinh(np.linspace(-reach, reach, points))
    steps.setflags(write=False)
    return steps
