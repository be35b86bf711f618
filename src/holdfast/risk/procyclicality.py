"""How much a requirement moves of itself: the measures of procyclicality.

Murphy, Vasios and Vause (2014, Bank of England Financial Stability Paper 29): the peak over the trough across a cycle,
and the largest rise within n days, for which a member has to find money. Added are the largest single step and the
standard deviation of the logarithm's changes.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import pstdev
from typing import Final

from holdfast.primitives.units import DAY_MS

RISE_DAYS: Final = (1, 5, 30)

# Epochs without a gap: (time, requirement), the requirement positive and in any unit.
Stretch = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Procyclicality:
    """The measures. Rises and steps are shares of the lower figure; what the history is too short for is None."""

    peak_to_trough: float | None
    rises: dict[int, float | None]
    largest_step: float | None
    log_change_deviation: float | None

    def to_dict(self) -> dict[str, object]:
        return {**asdict(self), "rises": {f"{days}d": rise for days, rise in self.rises.items()}}


def measure(stretches: Sequence[Stretch]) -> Procyclicality:
    """Measure a requirement over stretches between which nothing is compared, except peak and trough of all."""
    figures = [figure for stretch in stretches for _, figure in stretch]
    changes = [math.log(b / a) for stretch in stretches for (_, a), (_, b) in pairwise(stretch)]
    return Procyclicality(
        max(figures) / min(figures) if figures else None,
        {days: _largest_rise(stretches, days) for days in RISE_DAYS},
        math.expm1(max(changes, key=abs)) if changes else None,
        pstdev(changes) if changes else None,
    )


def _largest_rise(stretches: Sequence[Stretch], days: int) -> float | None:
    """Return the largest rise between two epochs at most so many days apart; None where no stretch lasts so long."""
    long_enough = [stretch for stretch in stretches if stretch and stretch[-1][0] - stretch[0][0] >= days * DAY_MS]
    return max((_largest_rise_of(stretch, days) for stretch in long_enough), default=None)


def _largest_rise_of(stretch: Stretch, days: int) -> float:
    # The window's lowest figure comes first; those after it are the lowest of what follows.
    lowest: deque[tuple[int, float]] = deque()
    rise = 0.0
    for time_ms, figure in stretch:
        while lowest and lowest[-1][1] >= figure:
            lowest.pop()
        lowest.append((time_ms, figure))
        while lowest[0][0] < time_ms - days * DAY_MS:
            lowest.popleft()
        rise = max(rise, figure / lowest[0][1] - 1.0)
    return rise
