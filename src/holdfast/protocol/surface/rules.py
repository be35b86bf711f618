"""When a surface is free of arbitrage, what a quorum agrees on, and what it says between expiries. Integers only.

A surface is a smile an expiry: total variance at the money, and the four numbers of its shape. `primitives/smiles.py`
has the form and the inequalities that keep it free of butterfly and calendar arbitrage.

Between two expiries total variance and the numbers of the shape are linear in time, so that a smile passes into the
next without a jump; where such a shape had a butterfly, the later one holds, which has none at any smaller variance.
Before the first expiry and beyond the last the nearest shape holds.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from holdfast.primitives.check import ensure
from holdfast.primitives.smiles import THETA_MAX_E12, Smile, is_arbitrage_free
from holdfast.primitives.units import PPM, div_floor
from holdfast.protocol.instruments.params import E8_PER_ATOM
from holdfast.protocol.ledger.state import USDT
from holdfast.protocol.oracle import rules as oracle
from holdfast.protocol.oracle.messages import Report
from holdfast.protocol.oracle.params import OracleParams
from holdfast.protocol.surface.params import SURFACE_PARAMS, USDT_SHOCKS_PPM, compute_collateral_shocks
from holdfast.protocol.surface.state import SURFACES, Int64Array, Slice, Surface
from holdfast.state.draft import Draft

EXPIRIES_MAX: Final = 64
E9: Final = 10**9
# Half of what the pricing kernel takes: beyond it an underlying is not listed and its instruments are halted.
FORWARD_MAX_E8: Final = 2**52
# A forward beyond half or double its own reporter's index is no forward.
RATIO_MIN_E9: Final = 500_000_000
RATIO_MAX_E9: Final = 2 * E9


def is_admissible(slices: Sequence[Slice]) -> bool:
    """Tell whether smiles, in order of expiry, give a bounded surface without static arbitrage."""
    return len(slices) <= EXPIRIES_MAX and _is_arbitrage_free(tuple(_get_shape(part) for part in slices))


# Validators of one process judge the same reports, and a report that stands is judged at every block.
@lru_cache(maxsize=256)
def _is_arbitrage_free(smiles: tuple[Smile, ...]) -> bool:
    return is_arbitrage_free(smiles)


def _get_shape(part: Slice) -> Smile:
    return Smile(part.theta_e12, part.rho_ppm, part.eta_ppm, part.shift_ppm, part.width_ppm)


def interpolate_theta_e12(expiries_ms: Sequence[int], thetas_e12: Sequence[int], expiry_ms: int, now_ms: int) -> int:
    """Return the total variance to an expiry, linear in time between now and the expiries that are still to come.

    Beyond the last of them volatility stays flat; an expiry that has come has no variance left.

    Rounds: down, so that a grid of integers keeps its order.
    """
    ensure(len(expiries_ms) == len(thetas_e12) > 0, "each expiry has its variance")
    ensure(all(near < far for near, far in pairwise(expiries_ms)), "expiries ascend")
    ensure(expiries_ms[-1] > now_ms, "a surface reaches past now")
    if expiry_ms <= now_ms:
        return 0
    live = [node for node in zip(expiries_ms, thetas_e12, strict=True) if node[0] > now_ms]
    for (near_ms, near_e12), (far_ms, far_e12) in pairwise([(now_ms, 0), *live]):
        if expiry_ms <= far_ms:
            return near_e12 + div_floor((far_e12 - near_e12) * (expiry_ms - near_ms), far_ms - near_ms)
    last_ms, last_e12 = live[-1]
    return min(div_floor(last_e12 * (expiry_ms - now_ms), last_ms - now_ms), THETA_MAX_E12)


def values_per_lot_atoms(prices_e8: Int64Array, lots_e8: Int64Array) -> Int64Array:
    """Return what one lot of each instrument is worth at its price per coin. Rounds: as `value_per_lot_atoms`."""
    # The product may pass int64, so the price is taken apart: p = a * unit + b with 0 <= b < unit.
    unit = E8_PER_ATOM
    whole = np.floor_divide(prices_e8, unit)
    part = (prices_e8 - whole * unit) * lots_e8
    values: Int64Array = whole * lots_e8 + np.floor_divide(2 * part + unit, 2 * unit)
    return values


class Candidate(NamedTuple):
    """One validator's admissible surface, its forwards as ratios to its own price, by expiry."""

    validator: int
    power: int
    slices: dict[int, Slice]


class Agreed(NamedTuple):
    """What a quorum says of one underlying's volatility."""

    slices: tuple[Slice, ...]
    included_power: int
    is_fallback: bool


def get_collateral_shocks_ppm(draft: Draft, asset_id: int) -> tuple[int, ...]:
    """Return what a coin held as collateral gains or loses in each scenario row of its universe, by the stored grid."""
    return USDT_SHOCKS_PPM if asset_id == USDT else compute_collateral_shocks(draft[SURFACE_PARAMS][asset_id])


def get_references_e8(draft: Draft) -> dict[int, int]:
    """Return the price that strikes are listed around, for each underlying that can be priced."""
    references: dict[int, int] = {}
    for underlying in draft[SURFACES].keys():  # noqa: SIM118 -- a table, not a dict
        price = oracle.get_price(draft, underlying)
        if price is not None and price <= FORWARD_MAX_E8:
            references[underlying] = price
    return references


def list_candidates(
    params: OracleParams, underlying: int, reports: Sequence[tuple[int, int, Report]]
) -> list[Candidate]:
    """Return the reports that count for an underlying's surface.

    Those have a price that counts, forwards in proportion to it, and a surface without arbitrage.
    """
    prices = {validator: feed.price_e8 for validator, _, feed in oracle.list_counted(params, underlying, reports)}
    candidates: list[Candidate] = []
    for validator, power, report in reports:
        for surface in report.surfaces:
            if surface.underlying != underlying or validator not in prices:
                continue
            slices = [
                Slice(part.expiry_ms, div_floor(part.forward_e8 * E9, prices[validator]), *part[2:])
                for part in surface.slices
            ]
            if is_admissible(slices) and all(RATIO_MIN_E9 <= part.forward_ratio_e9 <= RATIO_MAX_E9 for part in slices):
                candidates.append(Candidate(validator, power, {part.expiry_ms: part for part in slices}))
    return candidates


def compute_agreed(candidates: Sequence[Candidate], total_power: int, now_ms: int) -> Agreed | None:
    """Return the median surface of a quorum's candidates, parameter by parameter, or None without a quorum.

    An expiry counts where a quorum reports it. Where the medians together allow arbitrage, smiles are those of one
    candidate, the one that a median would be if it had to be one of them: at the least power-weighted
    distance from all. Forwards are medians in either case.
    """
    included = sum(candidate.power for candidate in candidates)
    if not oracle.has_quorum(included, total_power):
        return None
    reported: dict[int, int] = {}
    for candidate in candidates:
        for expiry_ms in sorted(candidate.slices):
            reported[expiry_ms] = reported.get(expiry_ms, 0) + candidate.power
    expiries = [
        expiry_ms
        for expiry_ms in sorted(reported)
        if expiry_ms > now_ms and oracle.has_quorum(reported[expiry_ms], total_power)
    ][:EXPIRIES_MAX]
    if not expiries:
        return None
    slices = tuple(_compute_slice(candidates, expiry_ms) for expiry_ms in expiries)
    if is_admissible(slices):
        return Agreed(slices, included, is_fallback=False)
    whole = [
        candidate
        for candidate in candidates
        if all(expiry_ms in candidate.slices for expiry_ms in expiries)
        and is_admissible([candidate.slices[expiry_ms] for expiry_ms in expiries])
    ]
    if not whole:
        return None
    nearest = min(whole, key=lambda one: (_compute_distance(one, whole, expiries), one.validator))
    slices = tuple(
        Slice(part.expiry_ms, part.forward_ratio_e9, *_get_shape(nearest.slices[part.expiry_ms])) for part in slices
    )
    return Agreed(slices, included, is_fallback=True)


def _compute_slice(candidates: Sequence[Candidate], expiry_ms: int) -> Slice:
    having = [
        (one.slices[expiry_ms].forward_ratio_e9, _get_shape(one.slices[expiry_ms]), one.power)
        for one in candidates
        if expiry_ms in one.slices
    ]
    ratio = oracle.compute_median_floor([(ratio, power) for ratio, _, power in having])
    shape = (
        oracle.compute_median_floor([(smile[place], power) for _, smile, power in having])
        for place in range(len(Smile._fields))
    )
    return Slice(expiry_ms, ratio, *shape)


def _compute_distance(one: Candidate, others: Sequence[Candidate], expiries: Sequence[int]) -> int:
    """Return the power-weighted distance of a surface from others, in millionths; variances and widths relative."""
    total = 0
    for other in others:
        apart = 0
        for expiry_ms in expiries:
            mine, theirs = one.slices[expiry_ms], other.slices[expiry_ms]
            apart += abs(mine.rho_ppm - theirs.rho_ppm) + abs(mine.eta_ppm - theirs.eta_ppm)
            apart += abs(mine.shift_ppm - theirs.shift_ppm)
            for ours, its in ((mine.theta_e12, theirs.theta_e12), (mine.width_ppm, theirs.width_ppm)):
                apart += div_floor(abs(ours - its) * PPM, max(ours, its))
        total += other.power * apart
    return total


def get_smile(surface: Surface, expiry_ms: int, now_ms: int) -> Slice:
    """Return a slice of the shape that holds at an expiry; its variance and its forward are not of that expiry.

    Rounds: the numbers of a shape between two expiries down.
    """
    ahead = [part for part in surface.slices if part.expiry_ms > now_ms]
    ensure(bool(ahead), "a surface reaches past now")
    far = next((part for part in ahead if part.expiry_ms >= expiry_ms), ahead[-1])
    near = next((part for part in ahead[::-1] if part.expiry_ms < expiry_ms), far)
    if not near.expiry_ms < expiry_ms < far.expiry_ms:
        return far
    share, whole = expiry_ms - near.expiry_ms, far.expiry_ms - near.expiry_ms
    between = [
        mine + div_floor((its - mine) * share, whole)
        for mine, its in zip(_get_shape(near)[1:], _get_shape(far)[1:], strict=True)
    ]
    smile = Slice(expiry_ms, far.forward_ratio_e9, far.theta_e12, *between)
    return smile if is_admissible([smile]) else far


def list_nodes(surface: Surface, now_ms: int) -> tuple[list[int], list[int], list[int]]:
    """Return expiries, variances and forward ratios of a surface's expiries ahead; variance wears off with time."""
    ahead = [part for part in surface.slices if part.expiry_ms > now_ms]
    thetas = [
        div_floor(part.theta_e12 * (part.expiry_ms - now_ms), part.expiry_ms - surface.updated_ms) for part in ahead
    ]
    return [part.expiry_ms for part in ahead], thetas, [part.forward_ratio_e9 for part in ahead]


def interpolate_ratio_e9(expiries_ms: Sequence[int], ratios_e9: Sequence[int], expiry_ms: int, now_ms: int) -> int:
    """Return the forward over the index at an expiry, linear in time from one now on, flat beyond the last.

    Rounds: down.
    """
    near_ms, near_e9 = now_ms, E9
    for far_ms, far_e9 in zip(expiries_ms, ratios_e9, strict=True):
        if expiry_ms <= far_ms:
            return near_e9 + div_floor((far_e9 - near_e9) * (expiry_ms - near_ms), far_ms - near_ms)
        near_ms, near_e9 = far_ms, far_e9
    return near_e9
