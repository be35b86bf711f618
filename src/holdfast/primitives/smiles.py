"""When SVI smiles in SSVI's scale allow no static arbitrage: integers only, the same answer on every machine.

A smile is five numbers. With z = phi k, phi = eta / sqrt(theta (1 + theta)), the total variance at log-moneyness k is

    w(k) = theta/2 V(z),  V(z) = level + rho z + R(z),  R(z) = sqrt((z + vertex)^2 + width'),
    vertex = rho + shift,  width' = width (1 - rho^2),  level = 2 - sqrt(vertex^2 + width'),

so that theta is the total variance at the money; SSVI with the power law is shift 0 and width 1. Source: Gatheral and
Jacquier, arXiv 1204.0646, section 3 (natural SVI), section 4 (SSVI).

Butterflies. With u = 1 / (1 + theta) the density's sign is that of (ibid., eq. 2.1, in these terms)

    g(z) = (1 - z V'/2V)^2 - eta^2 u V'^2 (1/V + theta/8) / 8 + eta^2 u V''/4,

which is linear in u. Where it is not negative at u = 1 and at a raised theta it is not in between either, so a smile
that passes here stays free of butterflies while shocks move theta between nothing and `THETA_HEADROOM` times itself.
Asked for besides is 1 - z V'/2V > theta / (1 + 2 theta): above nothing it has to be anyway (Fukasawa 2012), and so the
same shape lies lower everywhere at a smaller theta. SSVI has at least a half.

Calendar. A later smile lies above an earlier one at the same k: at the points of both their grids by squaring, so that
no root is taken, and beyond them by the slopes of the wings. Between points two smiles that all but touch may cross by
less than half a thousandth of the variance there.

A smile's grid is z = -vertex + sqrt(width') t, dense where it bends. All arrays are int64; the bounds below keep every
product under 2^63.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.primitives.check import ensure
from holdfast.primitives.units import PPM, div_floor, sqrt_floor

IntArray = npt.NDArray[np.int64]

E9: Final = 10**9
E12: Final = 10**12

THETA_MIN_E12: Final = 1
THETA_MAX_E12: Final = 100 * E12  # a volatility of 1,000 % for a year
RHO_MAX_PPM: Final = 990_000
ETA_MAX_PPM: Final = 4 * PPM
SLOPE_MAX_E12: Final = 4 * PPM * PPM  # eta (1 + |rho|) <= 4
SKEW_PPM: Final = -250_000  # what a skew shock adds to rho
SHIFT_MAX_PPM: Final = 6 * PPM
WIDTH_MIN_PPM: Final = 50_000
WIDTH_MAX_PPM: Final = 60 * PPM
SHAPE_MIN_PPM: Final = 20_000  # V at its lowest: a hundredth of the variance at the money
DENSITY_MIN_E9: Final = 10**6  # g may not come nearer to nothing than a thousandth
THETA_HEADROOM: Final = 4
_BEND_MAX_E9: Final = 3 * E9  # beyond it (1 - z V'/2V) counts as this
_PHI_RATIO_MAX_E9: Final = 4 * E9
_GROWTH_MAX: Final = 1_000
_GROWTH_SMALL: Final = 4
_ROOT_MAX: Final = 3 * E9
_ROOT_SLACK: Final = 4  # what rounding moves a root by, in millionths; a smile is not above itself

# t = (q - 1/q)/2 and sqrt(t^2 + 1) = (q + 1/q)/2 for q = 1.05^j: no root, and the same relative step everywhere.
_STEPS: Final = 98


def _make_grid() -> list[tuple[int, int, int, int]]:
    """Return sinh, cosh, tanh and 1/cosh^3 of each step, x 1e9. Rounds: down, sinh and tanh toward nothing."""
    rows = []
    for step in range(-_STEPS, _STEPS + 1):
        up, down, product = 441 ** abs(step), 400 ** abs(step), 420 ** abs(step)
        side = 1 if step >= 0 else -1
        sinh, tanh = (side * div_floor(E9 * (up - down), whole) for whole in (2 * product, up + down))
        cosh = div_floor(E9 * (up + down), 2 * product)
        sech3 = div_floor(E9 * (2 * product) ** 3, (up + down) ** 3)
        rows.append((sinh, cosh, tanh, sech3))
    return rows


_SINH_E9, _COSH_E9, _TANH_E9, _SECH3_E9 = np.array(_make_grid(), dtype=np.int64).T


class Smile(NamedTuple):
    """One expiry's total variance in all strikes."""

    theta_e12: int
    rho_ppm: int
    eta_ppm: int
    shift_ppm: int = 0
    width_ppm: int = PPM


class _Shapes(NamedTuple):
    """All smiles at the points of their own grids: int64 arrays of shape (smiles, points), or (smiles, 1)."""

    z: IntArray  # ppm
    value: IntArray  # V, ppm
    slope_e9: IntArray  # V'
    bend_e9: IntArray  # V''
    level: IntArray
    vertex: IntArray
    scale: IntArray  # sqrt(width'), ppm


def is_arbitrage_free(smiles: Sequence[Smile]) -> bool:
    """Tell whether smiles, in order of expiry, are bounded and allow neither butterfly nor calendar arbitrage."""
    if not smiles or not all(_is_bounded(smile) for smile in smiles):
        return False
    if any(near.theta_e12 > far.theta_e12 for near, far in pairwise(smiles)):
        return False
    shapes = _compute_shapes(smiles)
    if not (_has_no_butterfly(smiles, shapes) and _has_no_calendar(smiles, shapes)):
        return False
    skewed = [skew(smile) for smile in smiles]
    return _has_no_butterfly(skewed, _compute_shapes(skewed))


def skew(smile: Smile) -> Smile:
    """Return a smile under the skew shock: puts dearer, calls cheaper, as far as its bounds let it."""
    most = min(div_floor(SLOPE_MAX_E12, smile.eta_ppm) - PPM, RHO_MAX_PPM)
    return smile._replace(rho_ppm=max(smile.rho_ppm + SKEW_PPM, -most))


def _is_bounded(smile: Smile) -> bool:
    return (
        THETA_MIN_E12 <= smile.theta_e12 <= THETA_MAX_E12
        and abs(smile.rho_ppm) <= RHO_MAX_PPM
        and 0 < smile.eta_ppm <= ETA_MAX_PPM
        and smile.eta_ppm * (PPM + abs(smile.rho_ppm)) <= SLOPE_MAX_E12
        and abs(smile.shift_ppm) <= SHIFT_MAX_PPM
        and WIDTH_MIN_PPM <= smile.width_ppm <= WIDTH_MAX_PPM
    )


def _compute_shapes(smiles: Sequence[Smile]) -> _Shapes:
    """Return the smiles' shapes. Rounds: each operation down."""
    scalars: list[tuple[int, int, int, int]] = []
    for smile in smiles:
        vertex = smile.rho_ppm + smile.shift_ppm
        width_e12 = div_floor((E12 - smile.rho_ppm**2) * smile.width_ppm, PPM)
        level = 2 * PPM - sqrt_floor(vertex**2 + width_e12)
        scalars.append((smile.rho_ppm, vertex, sqrt_floor(width_e12), level))
    rho, vertex, scale, level = (column[:, None] for column in np.array(scalars, dtype=np.int64).T)
    z = _floor(scale * _SINH_E9, E9) - vertex
    root = _floor(scale * _COSH_E9, E9)
    return _Shapes(
        z=z,
        value=level + _floor(rho * z, PPM) + root,
        slope_e9=rho * 1000 + _TANH_E9,
        bend_e9=_floor(_SECH3_E9 * PPM, scale),
        level=level,
        vertex=vertex,
        scale=scale,
    )


def _has_no_butterfly(smiles: Sequence[Smile], shapes: _Shapes) -> bool:
    if int(shapes.value.min()) < SHAPE_MIN_PPM:
        return False
    inner_e9 = E9 - _floor(shapes.z * shapes.slope_e9, 2 * shapes.value)
    least_e9 = [div_floor(smile.theta_e12 * E9, E12 + 2 * smile.theta_e12) for smile in smiles]
    if bool(np.any(inner_e9 <= _column(least_e9))):
        return False
    inner_e9 = np.minimum(inner_e9, _BEND_MAX_E9)
    square_e9 = _floor(inner_e9 * inner_e9, E9)
    slope2_e9 = _floor(shapes.slope_e9 * shapes.slope_e9, E9)
    curved_e9 = _floor(shapes.bend_e9, 4) - _floor(slope2_e9 * PPM, 8 * shapes.value)
    # At theta = 0, then at theta raised; the density is linear between.
    for headroom in (0, THETA_HEADROOM):
        thetas = [headroom * smile.theta_e12 for smile in smiles]
        eta2 = [
            div_floor(div_floor(smile.eta_ppm**2 * E12, E12 + theta), PPM)
            for smile, theta in zip(smiles, thetas, strict=True)
        ]
        thick = _column([div_floor(theta, PPM) for theta in thetas])
        whole_e9 = curved_e9 - _floor(slope2_e9 * thick, 64 * PPM)
        density_e9 = square_e9 + _floor(_column(eta2) * whole_e9, PPM)
        if int(density_e9.min()) < DENSITY_MIN_E9:
            return False
    return True


def _has_no_calendar(smiles: Sequence[Smile], shapes: _Shapes) -> bool:
    """Tell whether each smile lies on or above the one before it: theta2 V2(r z) >= theta1 V1(z) with r = phi2/phi1."""
    if len(smiles) == 1:
        return True
    ratios, shares, growths, scales = [], [], [], []
    for near, far in pairwise(smiles):
        if not _wings_stay_above(near, far):
            return False
        above = far.eta_ppm**2 * near.theta_e12 * (E12 + near.theta_e12)
        below = near.eta_ppm**2 * far.theta_e12 * (E12 + far.theta_e12)
        ratios.append(sqrt_floor(div_floor(above * E9**2, below)))
        if not 0 < ratios[-1] <= _PHI_RATIO_MAX_E9:
            return False
        shares.append(div_floor(near.theta_e12 * E9, far.theta_e12))
        # A small growth is known more closely, or neighbours of nearly one variance would seem to cross.
        scales.append(E9 if far.theta_e12 < _GROWTH_SMALL * near.theta_e12 else PPM)
        growths.append(min(div_floor(far.theta_e12 * scales[-1], near.theta_e12), _GROWTH_MAX * scales[-1]))
    ratio_e9, share_e9, growth, scale = (_column(values) for values in (ratios, shares, growths, scales))
    rho = _column([smile.rho_ppm for smile in smiles])
    # Where the near smile bends its own root is known, and the far one's must be no less than what is left for it.
    z = _floor(shapes.z[:-1] * ratio_e9, E9)
    least = _floor(shapes.value[:-1] * share_e9, E9) - shapes.level[1:] - _floor(rho[1:] * z, PPM)
    least = np.minimum(np.maximum(least - _ROOT_SLACK, 0), _ROOT_MAX)
    reach = z + shapes.vertex[1:]
    if not bool(np.all(reach * reach + shapes.scale[1:] ** 2 >= least * least)):
        return False
    # Where the far smile bends it is the other way round; the wings tell of what lies far out on the near one.
    z = _floor(shapes.z[1:] * E9, ratio_e9)
    is_near = np.abs(z) <= 4 * _Z_MAX
    z = np.where(is_near, z, 0)
    most = _floor(shapes.value[1:] * growth, scale) - shapes.level[:-1] - _floor(rho[:-1] * z, PPM)
    most = np.minimum(np.maximum(most + _ROOT_SLACK, -1), _ROOT_MAX)
    reach = z + shapes.vertex[:-1]
    return bool(np.all(((most >= 0) & (reach * reach + shapes.scale[:-1] ** 2 <= most * most)) | ~is_near))


def _floor(numerators: IntArray, denominators: IntArray | int) -> IntArray:
    quotients: IntArray = np.floor_divide(numerators, denominators)
    return quotients


def _column(values: Sequence[int]) -> IntArray:
    return np.array(values, dtype=np.int64)[:, None]


def _wings_stay_above(near: Smile, far: Smile) -> bool:
    """Tell whether the far smile's wings are as steep: eta sqrt(theta/(1 + theta)) (1 +- rho), squared."""
    far_e = far.eta_ppm**2 * far.theta_e12 * (E12 + near.theta_e12)
    near_e = near.eta_ppm**2 * near.theta_e12 * (E12 + far.theta_e12)
    return all(far_e * (PPM + side * far.rho_ppm) ** 2 >= near_e * (PPM + side * near.rho_ppm) ** 2 for side in (-1, 1))


# |z| <= sqrt(60) x 59.7 + 7, in millionths; the far smile sees it up to four times as far away.
_Z_MAX: Final = div_floor(sqrt_floor(WIDTH_MAX_PPM * PPM) * int(_COSH_E9.max()), E9) + RHO_MAX_PPM + SHIFT_MAX_PPM
ensure(2 * _Z_MAX * 4 * E9 < 2**63, "a point's place in the far smile fits")
ensure(2 * (_Z_MAX + PPM) * max(_GROWTH_SMALL * E9, _GROWTH_MAX * PPM) < 2**63, "a grown variance fits")
ensure((4 * _Z_MAX + RHO_MAX_PPM + SHIFT_MAX_PPM) ** 2 + WIDTH_MAX_PPM * PPM < 2**63, "its square fits")
ensure(_ROOT_MAX**2 < 2**63 and _ROOT_MAX > 4 * _Z_MAX, "a root that is too large stays so")
