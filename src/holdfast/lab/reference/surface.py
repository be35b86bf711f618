"""The volatility surface of a quorum, and what it says of any expiry, in exact fractions."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Final, NamedTuple

from holdfast.lab.reference.oracle import is_quorum, list_counted, median
from holdfast.lab.reference.reports import ReportView
from holdfast.lab.reference.smiles import Shape, is_free
from holdfast.lab.reference.world import UNDERLYINGS, World
from holdfast.protocol.surface.state import Slice, Surface

_E9: Final = 10**9
_THETA_MAX: Final = 100 * 10**12
_EXPIRIES_MAX: Final = 64


class Candidate(NamedTuple):
    """One validator's surface: by expiry the forward over its own price, and the smile."""

    validator: int
    power: int
    ratios: dict[int, int]
    shapes: dict[int, Shape]


def apply_reports(world: World, reports: Sequence[ReportView], total: int) -> None:
    """Take the reports of a quorum into every underlying's surface; without one the surface stays."""
    for underlying in UNDERLYINGS:
        candidates = _list_candidates(world, underlying, reports)
        slices = _agree(world, candidates, total)
        if slices is not None:
            world.surfaces[underlying] = Surface(2, slices, world.now_ms, world.height)


def is_admissible(shapes: Sequence[Shape]) -> bool:
    """Return whether smiles give a surface without static arbitrage."""
    return len(shapes) <= _EXPIRIES_MAX and is_free(shapes)


def _list_candidates(world: World, underlying: int, reports: Sequence[ReportView]) -> list[Candidate]:
    counted = list_counted(world.oracle_params[0], underlying, reports)
    prices = {report.validator: feed.price_e8 for report, feed in counted}
    candidates = []
    for report in reports:
        for surface in report.surfaces:
            if surface.underlying != underlying or report.validator not in prices:
                continue
            price = prices[report.validator]
            ratios = {part.expiry_ms: floor(Fraction(part.forward_e8 * _E9, price)) for part in surface.slices}
            shapes = {
                part.expiry_ms: Shape(part.theta_e12, part.rho_ppm, part.eta_ppm, part.shift_ppm, part.width_ppm)
                for part in surface.slices
            }
            near_price = all(2 * ratio >= _E9 and ratio <= 2 * _E9 for ratio in ratios.values())
            if near_price and is_admissible(list(shapes.values())):
                candidates.append(Candidate(report.validator, report.power, ratios, shapes))
    return candidates


def _agree(world: World, candidates: list[Candidate], total: int) -> tuple[Slice, ...] | None:
    """Return the slices: the medians, or where these allow arbitrage, the smiles of the report nearest to all."""
    if not is_quorum(sum(one.power for one in candidates), total):
        return None
    known = sorted({expiry for one in candidates for expiry in one.shapes if expiry > world.now_ms})
    expiries = [
        expiry for expiry in known if is_quorum(sum(one.power for one in candidates if expiry in one.shapes), total)
    ][:_EXPIRIES_MAX]
    if not expiries:
        return None
    having = {expiry: [one for one in candidates if expiry in one.shapes] for expiry in expiries}
    ratios = [floor(median([(one.ratios[expiry], one.power) for one in having[expiry]])) for expiry in expiries]
    shapes = [
        Shape(
            *(
                floor(median([(one.shapes[expiry][place], one.power) for one in having[expiry]]))
                for place in range(len(Shape._fields))
            )
        )
        for expiry in expiries
    ]
    if not is_admissible(shapes):
        whole = [
            one
            for one in candidates
            if set(expiries) <= set(one.shapes) and is_admissible([one.shapes[expiry] for expiry in expiries])
        ]
        if not whole:
            return None
        nearest = min(whole, key=lambda one: (_distance(one, whole, expiries), one.validator))
        shapes = [nearest.shapes[expiry] for expiry in expiries]
    return tuple(Slice(expiry, ratio, *shape) for expiry, ratio, shape in zip(expiries, ratios, shapes, strict=True))


def _distance(one: Candidate, others: Sequence[Candidate], expiries: Sequence[int]) -> int:
    """Return how far a surface is from others, weighed by power: in millionths, variances and widths relative."""
    return sum(
        other.power * sum(_apart(one.shapes[expiry], other.shapes[expiry]) for expiry in expiries) for other in others
    )


def _apart(one: Shape, other: Shape) -> int:
    absolute = abs(one.rho - other.rho) + abs(one.eta - other.eta) + abs(one.shift - other.shift)
    return absolute + _relative(one.theta, other.theta) + _relative(one.width, other.width)


def _relative(one: int, other: int) -> int:
    return floor(Fraction(abs(one - other) * 10**6, max(one, other)))


def shape_at(surface: Surface, expiry_ms: int, now_ms: int) -> Slice:
    """Return a slice of an expiry's shape: linear in time between two, the nearest before the first and after the last.

    Where what lies between two of them had a butterfly it is the later one's.
    """
    to_come = [part for part in surface.slices if part.expiry_ms > now_ms]
    earlier = [part for part in to_come if part.expiry_ms <= expiry_ms]
    later = [part for part in to_come if part.expiry_ms >= expiry_ms]
    if not earlier or not later or earlier[-1] == later[0]:
        return later[0] if later else to_come[-1]
    near, far = earlier[-1], later[0]
    time = Fraction(expiry_ms - near.expiry_ms, far.expiry_ms - near.expiry_ms)
    rho, eta, shift, width = (
        mine + floor((its - mine) * time)
        for mine, its in (
            (near.rho_ppm, far.rho_ppm),
            (near.eta_ppm, far.eta_ppm),
            (near.shift_ppm, far.shift_ppm),
            (near.width_ppm, far.width_ppm),
        )
    )
    if not is_admissible([Shape(far.theta_e12, rho, eta, shift, width)]):
        return far
    return Slice(expiry_ms, far.forward_ratio_e9, far.theta_e12, rho, eta, shift, width)


def ahead(surface: Surface, now_ms: int) -> list[tuple[int, int, int]]:
    """Return (expiry, forward ratio, variance) of the expiries to come; variance wears off evenly with time."""
    return [
        (
            part.expiry_ms,
            part.forward_ratio_e9,
            floor(part.theta_e12 * Fraction(part.expiry_ms - now_ms, part.expiry_ms - surface.updated_ms)),
        )
        for part in surface.slices
        if part.expiry_ms > now_ms
    ]


def theta_at(nodes: Sequence[tuple[int, int]], expiry_ms: int, now_ms: int) -> int:
    """Return the variance to an expiry: linear between now and the nodes, volatility flat beyond the last."""
    if expiry_ms <= now_ms:
        return 0
    for (near_ms, near), (far_ms, far) in pairwise([(now_ms, 0), *nodes]):
        if expiry_ms <= far_ms:
            return near + floor((far - near) * Fraction(expiry_ms - near_ms, far_ms - near_ms))
    last_ms, last = nodes[-1]
    return min(floor(last * Fraction(expiry_ms - now_ms, last_ms - now_ms)), _THETA_MAX)


def ratio_at(nodes: Sequence[tuple[int, int]], expiry_ms: int, now_ms: int) -> int:
    """Return the forward over the index at an expiry: linear from one now, flat beyond the last node."""
    for (near_ms, near), (far_ms, far) in pairwise([(now_ms, _E9), *nodes]):
        if expiry_ms <= far_ms:
            return near + floor((far - near) * Fraction(expiry_ms - near_ms, far_ms - near_ms))
    return nodes[-1][1]
