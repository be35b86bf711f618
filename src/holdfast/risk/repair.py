"""Smiles that are admissible together, out of smiles that all but are: what stands behind every fit.

A fit comes with a promise that the chain admits it. Where the optimiser has left neighbours crossing, one takes part of
the other's shape here; in the end all take one, and that is always admissible.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from holdfast.primitives.smiles import Smile, is_arbitrage_free
from holdfast.primitives.units import PPM, div_floor
from holdfast.risk.points import Points, compute_misses
from holdfast.risk.smile import compute_gaps, from_integers

# How closely arbitrage is looked for, and what rounding may leave of smiles that touch, over the variance there.
GRID_REACH: Final = 9.0
GRID_POINTS: Final = 4_001
TOUCH: Final = 1e-7

_BLENDS: Final = 16
_SSVI_MAX_E12: Final = 2 * PPM * PPM  # Gatheral and Jacquier, theorem 4.2: eta (1 + |rho|) <= 2 at every theta


def is_clean(smiles: Sequence[Smile]) -> bool:
    """Tell whether smiles pass the chain's test, and cross nowhere between its points either."""
    return is_arbitrage_free(smiles) and all(
        float(compute_gaps(from_integers(near), from_integers(far), GRID_REACH, GRID_POINTS).min()) >= -TOUCH
        for near, far in pairwise(smiles)
    )


def repair(points: Sequence[Points], smiles: Sequence[Smile]) -> tuple[tuple[Smile, ...], int]:
    """Return smiles that are admissible together, and how many had to be moved for it.

    From either end, a smile that crosses the one before it takes as much of that one's shape as it must; all of it is
    always enough, and the end from which quotes are missed by less is taken.
    """
    count = len(smiles)
    both = [_repair_from(smiles, list(range(count))), _repair_from(smiles, list(range(count))[::-1])]
    admissible = [found for found in both if is_clean(found)] or [_share_shape(smiles)]
    best = min(
        admissible,
        key=lambda found: sum(
            float(np.sum(compute_misses(one, from_integers(smile)) ** 2))
            for one, smile in zip(points, found, strict=True)
        ),
    )
    return tuple(best), sum(before != after for before, after in zip(smiles, best, strict=True))


def _repair_from(smiles: Sequence[Smile], order: Sequence[int]) -> list[Smile]:
    repaired = list(smiles)
    for before, place in pairwise(order):
        fixed, own = repaired[before], repaired[place]
        theta = max(own.theta_e12, fixed.theta_e12) if place > before else min(own.theta_e12, fixed.theta_e12)
        for part in range(_BLENDS + 1):
            shape = [
                (mine * (_BLENDS - part) + its * part) // _BLENDS for mine, its in zip(own[1:], fixed[1:], strict=True)
            ]
            repaired[place] = Smile(theta, *shape)
            if is_clean([repaired[one] for one in sorted((before, place))]):
                break
    return repaired


def _share_shape(smiles: Sequence[Smile]) -> list[Smile]:
    """Return the thetas, made to rise, on the middle skew as SSVI: admissible whatever the quotes."""
    rho = sorted(smile.rho_ppm for smile in smiles)[len(smiles) // 2]
    eta = min(sorted(smile.eta_ppm for smile in smiles)[len(smiles) // 2], div_floor(_SSVI_MAX_E12, PPM + abs(rho)))
    thetas = np.maximum.accumulate([smile.theta_e12 for smile in smiles]).tolist()
    return [Smile(theta, rho, eta) for theta in thetas]
