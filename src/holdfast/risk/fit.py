"""A surface from a chain: one smile an expiry, fitted to the quotes' volatilities, free of arbitrage, as integers.

Each expiry is first fitted alone, under the butterfly conditions. Where neighbours cross, all expiries are fitted again
together, and crossing costs more from stage to stage, until the integers pass the chain's own test,
`primitives.smiles.is_arbitrage_free`. A sequence of expiries, each bounded by the one before (Corbetta, Cohort, Laachir
and Martini 2019), would let one noisy expiry bend all that follow; together, whose quotes are wide gives way (so, for
extended SSVI, Mingone 2022, arXiv 2204.00312).

What a smile is fitted to, and what an error counts for, is in `points`; what stands behind a fit that does not end
free of arbitrage, in `repair`. The whole is deterministic: fixed starts, fixed steps, no randomness.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from holdfast.primitives.check import ensure
from holdfast.primitives.smiles import SLOPE_MAX_E12, Smile, is_arbitrage_free
from holdfast.primitives.units import PPM
from holdfast.risk.chain import Chain
from holdfast.risk.least_squares import DIFFERENCE, Solution, minimise
from holdfast.risk.points import NARROW_POINTS, WIDE_POINTS, Points, compute_misses, make_points
from holdfast.risk.repair import is_clean, repair
from holdfast.risk.rows import InputError
from holdfast.risk.smile import (
    Shape,
    compute_form,
    compute_variance,
    judge_form,
    make_grid,
    skew_shape,
    to_integers,
)

Floats = npt.NDArray[np.float64]

QUOTES_MIN: Final = 5  # a smile has five numbers

_POINT: Final = 100.0
_LEAN: Final = 0.03  # toward an ordinary shape, where quotes leave a shape open
_SLOPE_MAX: Final = SLOPE_MAX_E12 / PPM**2
_SHARE_MIN: Final = 0.015  # of the steepest wings: a smile that is flat has no gradient to find its way back
_RHO_MAX: Final = 0.985
_SHIFT_MAX: Final = 5.95
_WIDTHS: Final = (0.051, 59.5)
_STARTS: Final = ((-0.2, 1.0), (0.0, 12.0))
_FIRST_ITERATIONS: Final = 60
_STAGE_ITERATIONS: Final = 15
_STAGES_MAX: Final = 8
_REACH: Final = 4.79  # ln(2 x 59.7): as far out as the chain's test looks
_SHAPE_MIN: Final = 0.022
_DENSITY_MARGIN: Final = 0.004
_DENSITY_WEIGHT: Final = 300.0
_CALENDAR_MARGIN: Final = 3e-4
_CALENDAR_WEIGHT: Final = 0.1
_CALENDAR_GROWTH: Final = 3.0


@dataclass(frozen=True, slots=True)
class Fit:
    """A chain's surface: expiries with their points and smiles, in order; integers that the chain admits."""

    chain: Chain
    points: tuple[Points, ...]
    smiles: tuple[Smile, ...]
    to_marks: bool
    thin: Mapping[dt.datetime, int]  # expiries left out for too few quotes, with how many they have
    stages: int  # in which crossing a neighbour cost more and more; none where none crossed
    moved: int  # smiles that no stage freed of crossing a neighbour, and that took part of its shape


def fit_chain(chain: Chain, *, to_marks: bool = False) -> Fit:
    """Return the surface of a chain, fitted to the middle of bid and ask and to its marks, or to its marks alone.

    Refuses: a chain without an expiry of at least five usable quotes; one that lacks marks, if asked for.
    """
    points = tuple(
        make_points(expiry, quotes, to_marks=to_marks)
        for expiry, quotes in chain.expiries.items()
        if len(quotes) >= QUOTES_MIN
    )
    if not points:
        left = ", ".join(f"{count} {reason}" for reason, count in chain.left_out.items())
        fault = f"no expiry has {QUOTES_MIN} usable quotes of {chain.rows} rows" + (f": {left}" if left else "")
        raise InputError(chain.underlying, "", fault)
    shapes = [_fit_alone(one) for one in points]
    stages = 0
    while stages < _STAGES_MAX and not is_clean([to_integers(shape) for shape in shapes]):
        stages += 1
        shapes = _fit_together(points, shapes, stages)
    smiles, moved = repair(points, [to_integers(shape) for shape in shapes])
    ensure(is_arbitrage_free(smiles), "a fitted surface passes the chain's own test")
    thin = {expiry: len(quotes) for expiry, quotes in chain.expiries.items() if len(quotes) < QUOTES_MIN}
    return Fit(chain, points, smiles, to_marks, thin, stages, moved)


def _fit_alone(points: Points) -> Shape:
    middle = int(np.argmin(np.abs(points.moneyness)))
    vol = points.mark[middle] if points.mark_share[middle] else points.vol[middle]
    theta = vol**2 * points.years / points.averaging
    found = [
        _descend(points, _encode(Shape(float(theta), rho, 0.9, 0.0, width)), WIDE_POINTS) for rho, width in _STARTS
    ]
    valley = min(found, key=lambda solution: solution.cost)
    return _decode(_descend(points, valley.parameters, NARROW_POINTS).parameters)


def _descend(points: Points, start: Floats, narrow: float) -> Solution:
    return minimise(lambda vector: _miss_alone(points, vector, narrow), start, iterations=_FIRST_ITERATIONS)


def _miss_alone(points: Points, vector: Floats, narrow: float = NARROW_POINTS) -> Floats:
    shape = _decode(vector)
    return np.concatenate([compute_misses(points, shape, narrow), _butterflies(shape), _LEAN * vector[2:]])


def _fit_together(points: Sequence[Points], start: Sequence[Shape], stage: int) -> list[Shape]:
    """Fit all expiries at once; crossing a neighbour costs more, and begins earlier, from stage to stage."""
    weight, margin = _CALENDAR_WEIGHT * _CALENDAR_GROWTH**stage, _CALENDAR_MARGIN * stage

    def own(place: int, vector: Floats) -> Floats:
        return _miss_alone(points[place], vector)

    def pair(place: int, near: Floats, far: Floats) -> Floats:
        return weight * _crossings(_decode(near), _decode(far), points[place + 1].years, margin)

    def residuals(vector: Floats) -> Floats:
        rows = vector.reshape(count, -1)
        parts = [own(place, rows[place]) for place in range(count)]
        return np.concatenate([*parts, *(pair(place, *rows[place : place + 2]) for place in range(count - 1))])

    def differentiate(vector: Floats) -> Floats:
        rows = vector.reshape(count, -1)
        alone = [own(place, rows[place]) for place in range(count)]
        paired = [pair(place, *rows[place : place + 2]) for place in range(count - 1)]
        ends = np.cumsum([0, *(part.shape[0] for part in (*alone, *paired))])
        jacobian = np.zeros((int(ends[-1]), vector.shape[0]))
        for column in range(vector.shape[0]):
            place = column // rows.shape[1]
            moved = vector.copy()
            moved[column] += DIFFERENCE
            others = moved.reshape(count, -1)
            blocks = [(place, own(place, others[place]) - alone[place])]
            blocks.extend(
                (count + near, pair(near, *others[near : near + 2]) - paired[near])
                for near in (place - 1, place)
                if 0 <= near < count - 1
            )
            for block, change in blocks:
                jacobian[ends[block] : ends[block + 1], column] = change / DIFFERENCE
        return jacobian

    count = len(points)
    first = np.concatenate([_encode(shape) for shape in start])
    found = minimise(residuals, first, iterations=_STAGE_ITERATIONS, differentiate=differentiate)
    return [_decode(row) for row in found.parameters.reshape(count, -1)]


def _butterflies(shape: Shape) -> Floats:
    """Return by how much the density falls short, with and without a skew shock."""
    return np.concatenate([_shortfalls(shape), _shortfalls(skew_shape(shape))])


def _shortfalls(shape: Shape) -> Floats:
    """Return by how much the density falls short, at both ends of what shocks make of the variance."""
    z = make_grid(shape, _REACH, 61)
    form = compute_form(shape, z)
    value, slope, _ = form
    short = [np.minimum(value - _SHAPE_MIN, 0)]
    safe = np.maximum(value, _SHAPE_MIN / 2)
    short.append(np.minimum(1 - z * slope / (2 * safe) - shape.theta / (1 + 2 * shape.theta) - _DENSITY_MARGIN, 0))
    short.extend(
        np.where(value > _SHAPE_MIN / 2, np.minimum(judge_form(shape, z, form, headroom) - _DENSITY_MARGIN, 0), -1)
        for headroom in (0.0, 4.0)
    )
    return _DENSITY_WEIGHT * np.concatenate(short)


def _crossings(near: Shape, far: Shape, years: float, margin: float) -> Floats:
    """Return by how much the near smile lies above the far one, in volatility points, and by how much its wings do."""
    places = np.concatenate([make_grid(near, _REACH, 101) / near.phi, make_grid(far, _REACH, 101) / far.phi])
    below, above = (np.maximum(compute_variance(shape, places), 1e-12) for shape in (near, far))
    gap = np.sqrt(above / years) - np.sqrt(below * (1 + margin) / years)
    wings = [
        far.phi * far.theta * (1 + side * far.rho) - near.phi * near.theta * (1 + side * near.rho) * 1.0005
        for side in (-1, 1)
    ]
    scale = 1 / np.sqrt(far.theta)
    # A smile that lies far off in the wings must not outweigh the quotes: beyond a point in proportion only.
    short = np.minimum(_POINT * np.concatenate([_CALENDAR_WEIGHT * gap, scale * np.array(wings)]), 0)
    crossings: Floats = np.sqrt(2 * (np.sqrt(1 + short**2) - 1))
    return crossings


def _encode(shape: Shape) -> Floats:
    low, high = np.log(_WIDTHS)
    return np.array(
        [
            np.log(shape.theta),
            np.arctanh(np.clip(shape.rho / _RHO_MAX, -0.999, 0.999)),
            _logit((shape.eta * (1 + abs(shape.rho)) / _SLOPE_MAX - _SHARE_MIN) / (1 - _SHARE_MIN)),
            np.arctanh(np.clip(shape.shift / _SHIFT_MAX, -0.999, 0.999)),
            _logit((np.log(shape.width) - low) / (high - low)),
        ]
    )


def _decode(vector: Floats) -> Shape:
    theta, rho, share, shift, width = vector.tolist()
    rho = _RHO_MAX * np.tanh(rho)
    low, high = np.log(_WIDTHS)
    return Shape(
        theta=float(np.exp(min(max(theta, -25.0), 4.5))),
        rho=float(rho),
        # A little inside the bound, so that rounding to integers does not pass it.
        eta=float((_SLOPE_MAX - 8e-6) * (_SHARE_MIN + (1 - _SHARE_MIN) * _logistic(share)) / (1 + abs(rho))),
        shift=float(_SHIFT_MAX * np.tanh(shift)),
        width=float(np.exp(low + (high - low) * _logistic(width))),
    )


def _logit(share: float) -> float:
    inside = min(max(share, 1e-3), 1 - 1e-3)
    return float(np.log(inside / (1 - inside)))


def _logistic(value: float) -> float:
    return float(1 / (1 + np.exp(-min(max(value, -30.0), 30.0))))
