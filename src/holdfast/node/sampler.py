"""From the quotes of many venues to one validator's sample of a feed: fresh, robust, and never an average of two.

Pure and integer only; the replay and a live node use the same function. It must not know where quotes come from.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

SOURCES_MIN: Final = 3
PRICE_MAX_E8: Final = 10**17  # a thousand million dollars, as for history: beyond it a quote is a fault, not a price
FRESH_CADENCES: Final = 2  # a source is fresh for twice its own declared cadence

# A normal distribution's deviation is 1.4826 times its median absolute deviation; an outlier is three of them away.
_SIGMA_PER_MAD_E4: Final = 14_826
_OUTLIER_SIGMAS: Final = 3
_OUTLIER_FLOOR_E4: Final = 10  # 10 basis points
_CONFIDENCE_FLOOR_E4: Final = 1
_E4: Final = 10_000


@dataclass(frozen=True, slots=True)
class Quote:
    """What one venue tells of one feed: its price, how old it is, and how often the venue says it speaks."""

    venue: str
    price_e8: int
    age_ms: int
    cadence_ms: int
    synthetic: bool = False


@dataclass(frozen=True, slots=True)
class FeedSample:
    """One validator's view of a feed. `age_ms` is the upper median of the ages of the sources that were kept."""

    price_e8: int
    confidence_e8: int
    sources: int
    age_ms: int
    rejected: int


def sample(quotes: Iterable[Quote]) -> FeedSample | None:
    """Return the median of the fresh sources that agree, or None where fewer than three remain.

    Rounds: the median of an even count down, the confidence up.
    Why: a source rejected as an outlier is no source, so two that are left are no price either.
    """
    fresh = [quote for quote in quotes if is_fresh(quote)]
    valid = [quote for quote in fresh if 0 < quote.price_e8 <= PRICE_MAX_E8]
    if len(valid) < SOURCES_MIN:
        return None
    center_e8, mad_e8 = _center(valid)
    reach_e8e4 = max(_OUTLIER_SIGMAS * _SIGMA_PER_MAD_E4 * mad_e8, _OUTLIER_FLOOR_E4 * center_e8)
    kept = [quote for quote in valid if abs(quote.price_e8 - center_e8) * _E4 <= reach_e8e4]
    if len(kept) < SOURCES_MIN:
        return None
    price_e8, mad_e8 = _center(kept)
    prices = [quote.price_e8 for quote in kept]
    confidence_e8 = max(
        _ceil(_SIGMA_PER_MAD_E4 * mad_e8, _E4),
        _ceil(max(prices) - min(prices), 2),
        _ceil(_CONFIDENCE_FLOOR_E4 * price_e8, _E4),
    )
    ages = sorted(quote.age_ms for quote in kept)
    return FeedSample(price_e8, confidence_e8, len(kept), ages[len(ages) // 2], len(fresh) - len(kept))


def is_fresh(quote: Quote) -> bool:
    """Tell whether a quote is no older than twice its venue's cadence. A quote from the future is not."""
    return 0 <= quote.age_ms <= FRESH_CADENCES * quote.cadence_ms


def median_floor(values: Sequence[int]) -> int:
    """Return the median of at least one integer.

    Rounds: the mean of the lower and upper median down.
    """
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2


def _center(quotes: Sequence[Quote]) -> tuple[int, int]:
    center_e8 = median_floor([quote.price_e8 for quote in quotes])
    return center_e8, median_floor([abs(quote.price_e8 - center_e8) for quote in quotes])


def _ceil(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
