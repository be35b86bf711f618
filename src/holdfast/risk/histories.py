"""Price histories on a grid of epochs: quotes joined, cut where nothing was quoted for too long, and sampled.

An epoch's price is the last one known at its end. Across a gap longer than allowed there is no price, no return and no
window: what lies on either side are two segments.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

from holdfast.risk.price_files import EXAMPLES_MAX, Quotes
from holdfast.risk.rows import InputError

EPOCHS_MAX: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch without a gap, one entry an epoch; `highs` and `lows` are the extremes since the entry before.

    An entry is fresh if anything was quoted since the one before; else it repeats that one's price.
    """

    times_ms: tuple[int, ...]
    closes: tuple[float, ...]
    highs: tuple[float, ...]
    lows: tuple[float, ...]
    are_fresh: tuple[bool, ...]

    @property
    def epochs(self) -> int:
        return len(self.times_ms)


@dataclass(frozen=True, slots=True)
class History:
    """One underlying's prices by epoch, in segments in order of time."""

    label: str
    underlying: str
    epoch_ms: int
    segments: tuple[Segment, ...]
    too_short: int  # stretches between gaps that hold no return, and are left out
    quotes: Quotes

    @property
    def epochs(self) -> int:
        return sum(segment.epochs for segment in self.segments)

    @property
    def stale_epochs(self) -> int:
        """Return how many epochs repeat the price before, since nothing was quoted in them."""
        return sum(segment.are_fresh.count(False) for segment in self.segments)


def join(histories: Sequence[Quotes]) -> list[Quotes]:
    """Join the quotes of each underlying into one, in order of time.

    Refuses: quotes whose times overlap, since a step between two venues is no move of the market.
    """
    joined: list[Quotes] = []
    for underlying in sorted({quotes.underlying for quotes in histories}):
        parts = sorted((q for q in histories if q.underlying == underlying), key=lambda q: q.times_ms)
        for earlier, later in pairwise(parts):
            if later.times_ms[0] <= earlier.times_ms[-1]:
                problem = f"overlaps {earlier.label} in time; join histories that follow one another"
                raise InputError(later.label, "time", problem)
        joined.append(_concatenate(parts))
    return joined


def _concatenate(parts: Sequence[Quotes]) -> Quotes:
    left_out: Counter[str] = Counter()
    for part in parts:
        left_out.update(part.left_out)
    return Quotes(
        parts[0].label if len(parts) == 1 else f"{parts[0].underlying}, {len(parts)} joined",
        parts[0].underlying,
        tuple(time_ms for part in parts for time_ms in part.times_ms),
        tuple(close for part in parts for close in part.closes),
        tuple(high for part in parts for high in part.highs),
        tuple(low for part in parts for low in part.lows),
        dict(left_out),
        sum(part.out_of_order for part in parts),
        tuple(f"{part.label}: {example}" for part in parts for example in part.examples)[:EXAMPLES_MAX],
    )


def find_spacing_ms(quotes: Quotes) -> int:
    """Return the median distance between rows: how fine an epoch the quotes can fill."""
    return round(median(later - earlier for earlier, later in pairwise(quotes.times_ms)))


def sample(quotes: Quotes, epoch_ms: int, gap_ms: int) -> History:
    """Sample quotes at whole multiples of an epoch, cut where the next quote is more than `gap_ms` away.

    Refuses: fewer than two rows, rows further apart than an epoch, a history without one return or of too many epochs.
    """
    if len(quotes.times_ms) <= 1:
        raise InputError(quotes.label, "time", "a single row has no return")
    spacing_ms = find_spacing_ms(quotes)
    if spacing_ms > epoch_ms:
        problem = f"rows are {spacing_ms / 60_000:g} minutes apart, more than an epoch of {epoch_ms / 60_000:g}"
        raise InputError(quotes.label, "--epoch", f"{problem}; give a longer epoch")
    cuts = [place for place, (a, b) in enumerate(pairwise(quotes.times_ms), 1) if b - a > gap_ms]
    parts = [_sample_part(quotes, first, end, epoch_ms) for first, end in pairwise([0, *cuts, len(quotes.times_ms)])]
    segments = tuple(part for part in parts if part.epochs > 1)
    if not segments:
        raise InputError(quotes.label, "--epoch", f"no two epochs of {epoch_ms / 60_000:g} minutes follow one another")
    return History(quotes.label, quotes.underlying, epoch_ms, segments, len(parts) - len(segments), quotes)


def _sample_part(quotes: Quotes, first: int, end: int, epoch_ms: int) -> Segment:
    times = quotes.times_ms
    start_ms, stop_ms = (-(-times[place] // epoch_ms) * epoch_ms for place in (first, end - 1))
    if (stop_ms - start_ms) // epoch_ms > EPOCHS_MAX:
        raise InputError(quotes.label, "--epoch", f"more than {EPOCHS_MAX:,} epochs without a gap; give a longer epoch")
    moments = tuple(range(start_ms, stop_ms + 1, epoch_ms))
    ends = [bisect_right(times, moment, first, end) for moment in moments]
    begins = [first, *ends[:-1]]
    closes = tuple(quotes.closes[place - 1] for place in ends)
    spans = list(zip(begins, ends, closes, strict=True))
    return Segment(
        moments,
        closes,
        tuple(max(quotes.highs[begin:stop], default=close) for begin, stop, close in spans),
        tuple(min(quotes.lows[begin:stop], default=close) for begin, stop, close in spans),
        tuple(begin < stop for begin, stop, _ in spans),
    )
