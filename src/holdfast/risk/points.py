"""An expiry's quotes as arrays, and how far a smile misses them: what a fit makes small.

Two sources tell of a volatility: the middle of bid and ask, and the venue's mark where the chain gives one. In a calm
market they agree to a tenth of a point; in a crash they lie a point apart at the median, and nobody can tell which is
right. A smile is fitted to both. An error counts nearly in proportion to itself (soft L1), so that one wrong quote
bends nothing and a smile may lie anywhere between the two sources. Where quotes are dense the marks count for a little
more, as they do not jump with one order; in the wings they are the venue's own extrapolation, and quotes count for
more. All errors weigh by 1 / (spread + distance of the sources + one point).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from holdfast.risk.chain import SETTLING_S, Quote
from holdfast.risk.implied import compute_delta, compute_deviation
from holdfast.risk.rows import InputError
from holdfast.risk.smile import Shape, compute_variance

Floats = npt.NDArray[np.float64]

CORE_DELTA: Final = 0.1
YEAR_S: Final = 365 * 86_400.0
# How far an error counts by its square: wide at first, to find the right valley, then narrow.
WIDE_POINTS: Final = 1.0
NARROW_POINTS: Final = 0.05

_MARK_SHARE_CORE: Final = 0.68
_MARK_SHARE_WINGS: Final = 0.24
_SPREAD_FLOOR: Final = 0.01
_SPREAD_USUAL: Final = 0.02
_POINT: Final = 100.0


@dataclass(frozen=True, slots=True)
class Points:
    """One expiry's quotes as arrays: volatility against ln(strike / forward), with what a quote's error weighs."""

    expiry: dt.datetime
    quotes: tuple[Quote, ...]
    years: float
    averaging: float  # the variance of the settlement average over that of its last price
    moneyness: Floats
    vol: Floats  # of the middle of bid and ask
    mark: Floats  # the venue's; the same where it gives none
    mark_share: Floats  # what the mark counts for, of one
    spread: Floats
    delta: Floats
    weight: Floats


def make_points(expiry: dt.datetime, quotes: Sequence[Quote], *, to_marks: bool = False) -> Points:
    """Return an expiry's quotes with their implied volatilities, at the middle of bid and ask.

    Refuses: a quote without a mark, where marks alone are what is fitted to.
    """
    has_mark = np.array([quote.mark_vol is not None for quote in quotes])
    if to_marks and not has_mark.all():
        name = quotes[int(np.argmin(has_mark))].instrument.name
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
    delta = compute_delta(moneyness, middle * np.sqrt(years))
    share = np.where(np.abs(delta) >= CORE_DELTA, _MARK_SHARE_CORE, _MARK_SHARE_WINGS)
    mark = np.array([np.nan if quote.mark_vol is None else quote.mark_vol for quote in quotes])
    mark = np.where(has_mark, mark, middle)
    return Points(
        expiry=expiry,
        quotes=tuple(quotes),
        years=years,
        averaging=(seconds - 2 * SETTLING_S / 3) / seconds,
        moneyness=moneyness,
        vol=middle,
        mark=mark,
        mark_share=np.ones_like(share) if to_marks else np.where(has_mark, share, 0.0),
        spread=high - low,
        delta=delta,
        weight=_SPREAD_USUAL / (high - low + np.abs(mark - middle) + _SPREAD_FLOOR),
    )


def compute_vols(shape: Shape, points: Points) -> Floats:
    """Return a smile's volatilities at the points, in doubles, as a quote would imply them."""
    variance = np.maximum(compute_variance(shape, points.moneyness), 1e-12)
    vols: Floats = np.sqrt(variance * points.averaging / points.years)
    return vols


def compute_misses(points: Points, shape: Shape, narrow: float = NARROW_POINTS) -> Floats:
    """Return weighed errors against both sources: in points, by their square up to `narrow`, then in proportion."""
    vols = compute_vols(shape, points)
    sides = ((points.vol, 1 - points.mark_share), (points.mark, points.mark_share))
    return narrow * np.concatenate(
        [np.sqrt(2 * share) * draw_in(points.weight * (vols - told) * _POINT / narrow) for told, share in sides]
    )


def draw_in(errors: Floats) -> Floats:
    """Return what, squared, grows as an error's square below one and in proportion to the error beyond (soft L1)."""
    drawn: Floats = np.sign(errors) * np.sqrt(2 * (np.sqrt(1 + errors**2) - 1))
    return drawn
