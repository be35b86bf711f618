"""A surface from a chain: one smile an expiry, fitted to the quotes' volatilities, free of arbitrage, as integers.

Each expiry is first fitted alone, under the butterfly conditions. Where neighbours cross, all expiries are fitted again
together, and crossing costs more from stage to stage, until the integers pass the chain's own test,
`primitives.smiles.is_arbitrage_free`. A sequence of expiries, each bounded by the one before (Corbetta, Cohort, Laachir
and Martini 2019), would let one noisy expiry bend all that follow; together, whose quotes are wide gives way (so, for
extended SSVI, Mingone 2022, arXiv 2204.00312).

The error of a volatility counts by 1 / (spread + half a point), and beyond a point only in proportion to itself, so
that a single wrong quote does not bend a smile. The whole is deterministic: fixed starts, fixed steps, no randomness.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from holdfast.primitives.check import ensure
from holdfast.primitives.smiles import SLOPE_MAX_E12, Smile, is_arbitrage_free
from holdfast.primitives.units import PPM
from holdfast.risk.chain import SETTLING_S, Chain, Quote
from holdfast.risk.implied import compute_delta, compute_deviation
from holdfast.risk.least_squares import DIFFERENCE, minimise
from holdfast.risk.rows import InputError
from holdfast.risk.smile import (
    Shape,
    compute_density,
    compute_form,
    compute_gaps,
    compute_variance,
    from_integers,
    make_grid,
    to_integers,
)

Floats = npt.NDArray[np.float64]

QUOTES_MIN: Final = 5  # a smile has five numbers
YEAR_S: Final = 365 * 86_400.0
# How closely arbitrage is looked for, and what rounding may leave of smiles that touch, over the variance there.
GRID_REACH: Final = 9.0
GRID_POINTS: Final = 4_001
TOUCH: Final = 1e-7

_SPREAD_FLOOR: Final = 0.005
_SPREAD_USUAL: Final = 0.015
_POINT: Final = 100.0
_ROBUST_POINTS: Final = 1.0
_SHARE_MIN: Final = 0.03  # of the steepest wings: a smile that is flat has no gradient to find its way back
_RHO_MAX: Final = 0.985
_SHIFT_MAX: Final = 5.95
_WIDTHS: Final = (0.051, 59.5)
_STARTS: Final = ((-0.2, 1.0), (0.0, 12.0))
_FIRST_ITERATIONS: Final = 60
_STAGE_ITERATIONS: Final = 15
_STAGES_MAX: Final = 8
_BLENDS: Final = 16
_REACH: Final = 4.77  # ln(2 x 58.7): as far out as the chain's test looks
_SHAPE_MIN: Final = 0.022
_DENSITY_MARGIN: Final = 0.004
_DENSITY_WEIGHT: Final = 300.0
_CALENDAR_MARGIN: Final = 3e-4
_CALENDAR_WEIGHT: Final = 0.1
_CALENDAR_GROWTH: Final = 3.0


@dataclass(frozen=True, slots=True)
class Points:
    """One expiry's quotes as arrays: volatility against ln(strike / forward), with what a quote's error weighs."""

    expiry: dt.datetime
    quotes: tuple[Quote, ...]
    years: float
    averaging: float  # the variance of the settlement average over that of its last price
    moneyness: Floats
    vol: Floats  # of the middle of bid and ask
    target: Floats  # what is fitted to: the same, or the marks
    spread: Floats
    delta: Floats
    weight: Floats


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
    """Return the surface of a chain, fitted to the middle of bid and ask, or to the volatilities that it calls marks.

    Refuses: a chain without an expiry of at least five usable quotes; one without marks to fit to.
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
    while stages < _STAGES_MAX and not _is_clean([to_integers(shape) for shape in shapes]):
        stages += 1
        shapes = _fit_together(points, shapes, stages)
    smiles, moved = _repair(points, [to_integers(shape) for shape in shapes])
    ensure(is_arbitrage_free(smiles), "a fitted surface passes the chain's own test")
    thin = {expiry: len(quotes) for expiry, quotes in chain.expiries.items() if len(quotes) < QUOTES_MIN}
    return Fit(chain, points, smiles, to_marks, thin, stages, moved)


def make_points(expiry: dt.datetime, quotes: Sequence[Quote], *, to_marks: bool = False) -> Points:
    """Return an expiry's quotes with their implied volatilities, at the middle of bid and ask.

    Refuses: a quote without a mark, where marks are what is fitted to.
    """
    marks = [quote.mark_vol for quote in quotes if quote.mark_vol is not None]
    if to_marks and len(marks) < len(quotes):
        name = next(quote.instrument.name for quote in quotes if quote.mark_vol is None)
        raise InputError(name, "mark_vol", "is missing, and marks are what is to be fitted to")
    moneyness = np.array([quote.moneyness for quote in quotes])
    seconds = quotes[0].seconds
    years = seconds / YEAR_S
    low, middle, high = (
        compute_deviation(moneyness, np.array(premiums)) / np.sqrt(years)
        for premiums in (
            [quote.bid for quote in quotes],
            [(quote.bid + quote.ask) / 2 for quote in quotes],
            [quote.ask for quote in quotes],
        )
    )
    weight = _SPREAD_USUAL / (high - low + _SPREAD_FLOOR)
    return Points(
        expiry=expiry,
        quotes=tuple(quotes),
        years=years,
        averaging=(seconds - 2 * SETTLING_S / 3) / seconds,
        moneyness=moneyness,
        vol=middle,
        target=np.array(marks) if to_marks else middle,
        spread=high - low,
        delta=compute_delta(moneyness, middle * np.sqrt(years)),
        weight=weight,
    )


def compute_vols(shape: Shape, points: Points) -> Floats:
    """Return a smile's volatilities at the points, in doubles, as a quote would imply them."""
    variance = np.maximum(compute_variance(shape, points.moneyness), 1e-12)
    vols: Floats = np.sqrt(variance * points.averaging / points.years)
    return vols


def _fit_alone(points: Points) -> Shape:
    middle = int(np.argmin(np.abs(points.moneyness)))
    theta = points.target[middle] ** 2 * points.years / points.averaging
    found = [
        minimise(
            lambda vector: np.concatenate([_misses(points, _decode(vector)), _butterflies(_decode(vector))]),
            _encode(Shape(float(theta), rho, 0.9, 0.0, width)),
            iterations=_FIRST_ITERATIONS,
        )
        for rho, width in _STARTS
    ]
    return _decode(min(found, key=lambda solution: solution.cost).parameters)


def _fit_together(points: Sequence[Points], start: Sequence[Shape], stage: int) -> list[Shape]:
    """Fit all expiries at once; crossing a neighbour costs more, and begins earlier, from stage to stage."""
    weight, margin = _CALENDAR_WEIGHT * _CALENDAR_GROWTH**stage, _CALENDAR_MARGIN * stage

    def own(place: int, vector: Floats) -> Floats:
        shape = _decode(vector)
        return np.concatenate([_misses(points[place], shape), _butterflies(shape)])

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


def _misses(points: Points, shape: Shape) -> Floats:
    """Return weighed errors in points, drawn in beyond one (soft L1)."""
    error = points.weight * (compute_vols(shape, points) - points.target) * _POINT / _ROBUST_POINTS
    misses: Floats = _ROBUST_POINTS * np.sign(error) * np.sqrt(2 * (np.sqrt(1 + error**2) - 1))
    return misses


def _butterflies(shape: Shape) -> Floats:
    """Return by how much the density falls short, at both ends of what shocks make of the variance."""
    z = make_grid(shape, _REACH, 61)
    value, slope, _ = compute_form(shape, z)
    short = [np.minimum(value - _SHAPE_MIN, 0)]
    safe = np.maximum(value, _SHAPE_MIN / 2)
    short.append(np.minimum(1 - z * slope / (2 * safe) - shape.theta / (1 + 2 * shape.theta) - _DENSITY_MARGIN, 0))
    short.extend(
        np.where(value > _SHAPE_MIN / 2, np.minimum(compute_density(shape, z, headroom) - _DENSITY_MARGIN, 0), -1)
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


def _is_clean(smiles: Sequence[Smile]) -> bool:
    """Tell whether smiles pass the chain's test, and cross nowhere between its points either."""
    return is_arbitrage_free(smiles) and all(
        float(compute_gaps(from_integers(near), from_integers(far), GRID_REACH, GRID_POINTS).min()) >= -TOUCH
        for near, far in pairwise(smiles)
    )


def _repair(points: Sequence[Points], smiles: Sequence[Smile]) -> tuple[tuple[Smile, ...], int]:
    """Return smiles that are admissible together, and how many had to be moved for it.

    From either end, a smile that crosses the one before it takes as much of that one's shape as it must; all of it is
    always enough, and the end from which quotes are missed by less is taken.
    """
    count = len(smiles)
    both = [_repair_from(smiles, list(range(count))), _repair_from(smiles, list(range(count))[::-1])]
    admissible = [found for found in both if _is_clean(found)] or [_share_shape(smiles)]
    best = min(
        admissible,
        key=lambda found: sum(
            float(np.sum(_misses(one, from_integers(smile)) ** 2)) for one, smile in zip(points, found, strict=True)
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
            if _is_clean([repaired[one] for one in sorted((before, place))]):
                break
    return repaired


def _share_shape(smiles: Sequence[Smile]) -> list[Smile]:
    """Return the thetas, made to rise, on the middle skew as SSVI: admissible whatever the quotes."""
    rho = sorted(smile.rho_ppm for smile in smiles)[len(smiles) // 2]
    eta = min(sorted(smile.eta_ppm for smile in smiles)[len(smiles) // 2], SLOPE_MAX_E12 // (PPM + abs(rho)))
    thetas = np.maximum.accumulate([smile.theta_e12 for smile in smiles]).tolist()
    return [Smile(theta, rho, eta) for theta in thetas]


def _encode(shape: Shape) -> Floats:
    low, high = np.log(_WIDTHS)
    return np.array(
        [
            np.log(shape.theta),
            np.arctanh(np.clip(shape.rho / _RHO_MAX, -0.999, 0.999)),
            _logit((shape.eta * (1 + abs(shape.rho)) / 2 - _SHARE_MIN) / (1 - _SHARE_MIN)),
            np.arctanh(np.clip(shape.shift / _SHIFT_MAX, -0.999, 0.999)),
            _logit((np.log(shape.width) - low) / (high - low)),
        ]
    )


def _decode(vector: Floats) -> Shape:
    theta, rho, share, shift, width = vector.tolist()
    rho = _RHO_MAX * np.tanh(rho)
    low, high = np.log(_WIDTHS)
    return Shape(
        theta=float(np.exp(np.clip(theta, -25.0, 4.5))),
        rho=float(rho),
        # A little inside the bound, so that rounding to integers does not pass it.
        eta=float((2 - 4e-6) * (_SHARE_MIN + (1 - _SHARE_MIN) * _logistic(share)) / (1 + abs(rho))),
        shift=float(_SHIFT_MAX * np.tanh(shift)),
        width=float(np.exp(low + (high - low) * _logistic(width))),
    )


def _logit(share: float) -> float:
    inside = min(max(share, 1e-3), 1 - 1e-3)
    return float(np.log(inside / (1 - inside)))


def _logistic(value: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(value, -30.0, 30.0))))
