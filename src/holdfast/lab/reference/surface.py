"""The volatility surface of a quorum, and what it says of any expiry, in exact fractions."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Final, NamedTuple

from holdfast.lab.reference.oracle import is_quorum, list_counted, median
from holdfast.lab.reference.reports import ReportView
from holdfast.lab.reference.world import UNDERLYINGS, World
from holdfast.protocol.surface.state import Slice, Surface

_E9: Final = 10**9
_THETA_MAX: Final = 100 * 10**12
_EXPIRIES_MAX: Final = 64


class Candidate(NamedTuple):
    """One validator's surface: rho, eta, and by expiry the forward over its own price and the variance."""

    validator: int
    power: int
    rho: int
    eta: int
    ratios: dict[int, int]
    thetas: dict[int, int]


def apply_reports(world: World, reports: Sequence[ReportView], total: int) -> None:
    """Take the reports of a quorum into every underlying's surface; without one the surface stays."""
    for underlying in UNDERLYINGS:
        candidates = _list_candidates(world, underlying, reports)
        agreed = _agree(world, candidates, total)
        if agreed is not None:
            rho, eta, slices = agreed
            world.surfaces[underlying] = Surface(1, rho, eta, slices, world.now_ms, world.height)


def is_admissible(rho_ppm: int, eta_ppm: int, thetas: Sequence[int]) -> bool:
    """Return whether parameters give a surface without static arbitrage: Gatheral and Jacquier, section 4."""
    rho, eta = Fraction(rho_ppm, 10**6), Fraction(eta_ppm, 10**6)
    return (
        1 <= len(thetas) <= _EXPIRIES_MAX
        and abs(rho) < 1
        and 0 < eta <= 2  # noqa: PLR2004 -- the bound of the theorem
        and eta * (1 + abs(rho)) <= 2  # noqa: PLR2004
        and thetas[0] >= 1
        and thetas[-1] <= _THETA_MAX
        and all(near <= far for near, far in pairwise(thetas))
    )


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
            thetas = {part.expiry_ms: part.theta_e12 for part in surface.slices}
            near_price = all(2 * ratio >= _E9 and ratio <= 2 * _E9 for ratio in ratios.values())
            if near_price and is_admissible(surface.rho_ppm, surface.eta_ppm, list(thetas.values())):
                candidates.append(
                    Candidate(report.validator, report.power, surface.rho_ppm, surface.eta_ppm, ratios, thetas)
                )
    return candidates


def _agree(world: World, candidates: list[Candidate], total: int) -> tuple[int, int, tuple[Slice, ...]] | None:
    """Return (rho, eta, slices): the medians, or where these allow arbitrage, the report nearest to all."""
    if not is_quorum(sum(one.power for one in candidates), total):
        return None
    known = sorted({expiry for one in candidates for expiry in one.thetas if expiry > world.now_ms})
    expiries = [
        expiry for expiry in known if is_quorum(sum(one.power for one in candidates if expiry in one.thetas), total)
    ][:_EXPIRIES_MAX]
    if not expiries:
        return None

    def middle(expiry: int, part: str) -> int:
        having = [one for one in candidates if expiry in one.thetas]
        values = [((one.ratios if part == "ratio" else one.thetas)[expiry], one.power) for one in having]
        return floor(median(values))

    rho = floor(median([(one.rho, one.power) for one in candidates]))
    eta = floor(median([(one.eta, one.power) for one in candidates]))
    thetas = [middle(expiry, "theta") for expiry in expiries]
    ratios = [middle(expiry, "ratio") for expiry in expiries]
    if not is_admissible(rho, eta, thetas):
        whole = [one for one in candidates if set(expiries) <= set(one.thetas)]
        if not whole:
            return None
        nearest = min(whole, key=lambda one: (_distance(one, whole, expiries), one.validator))
        rho, eta, thetas = nearest.rho, nearest.eta, [nearest.thetas[expiry] for expiry in expiries]
    return rho, eta, tuple(Slice(*parts) for parts in zip(expiries, ratios, thetas, strict=True))


def _distance(one: Candidate, others: Sequence[Candidate], expiries: Sequence[int]) -> int:
    """Return how far a surface is from others, weighed by power: in millionths, variances relative to the larger."""
    return sum(
        other.power
        * (
            abs(one.rho - other.rho)
            + abs(one.eta - other.eta)
            + sum(
                floor(
                    Fraction(
                        abs(one.thetas[expiry] - other.thetas[expiry]) * 10**6,
                        max(one.thetas[expiry], other.thetas[expiry]),
                    )
                )
                for expiry in expiries
            )
        )
        for other in others
    )


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
