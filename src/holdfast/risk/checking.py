"""Holds the figures that a file publishes against ours: what an auditor asks of a margin model.

    for case, check in check_cases(load_cases(path)):
        print(case, check.largest_relative, check.worst)

A figure's relative error is the difference over the larger of the two. Figures within 1e-13 of the case's largest are
zeros, of which doubles have left some 1e-12 on the way; they have no relative error. A figure of ours that is no finite
number is beyond every tolerance.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from holdfast.risk.inputs import Cases
from holdfast.risk.models import compute_margin
from holdfast.risk.portfolio import Portfolio
from holdfast.risk.published import Published
from holdfast.risk.rows import InputError

# The accuracy that the calculators promise.
TOLERANCE: Final = 1e-6
_DUST: Final = 1e-13


@dataclass(frozen=True, slots=True)
class Compared:
    """One published figure beside ours."""

    field: str
    published: float
    ours: float
    relative: float

    @property
    def absolute(self) -> float:
        return abs(self.ours - self.published)


@dataclass(frozen=True, slots=True)
class Check:
    """All figures published of one portfolio under one model, but those `not_compared`, which have none of ours."""

    model: str
    figures: tuple[Compared, ...]
    not_compared: tuple[str, ...]

    @property
    def worst(self) -> Compared:
        """The figure with the largest relative error, and of equal ones that with the largest absolute one."""
        return max(self.figures, key=lambda figure: (figure.relative, figure.absolute))

    @property
    def largest_relative(self) -> float:
        return self.worst.relative

    @property
    def largest_absolute(self) -> float:
        return max(figure.absolute for figure in self.figures)


def check_cases(cases: Cases, model: str | None = None) -> Iterator[tuple[str, Check | InputError]]:
    """Yield each portfolio's checks by its name, under every model that the file publishes or under one.

    Where a portfolio cannot be margined, or nothing is published of it, the reason is yielded.
    """
    for name, portfolio in cases.portfolios.items():
        published = [one for one in cases.published.get(name, ()) if model in (None, one.model)]
        if not published:
            under = f" under {model}" if model else ""
            yield name, InputError("", "published", f"the file publishes no figures{under} to hold ours against")
        for one in published:
            yield name, _check(portfolio, one)


def _check(portfolio: Portfolio, published: Published) -> Check | InputError:
    try:
        theirs = published.read()
        ours = published.find_ours(compute_margin(portfolio, published.model))
    except InputError as error:
        return error
    not_compared = tuple(field for field in theirs if field not in ours)
    if not theirs or len(not_compared) == len(theirs) or (not_compared and published.names_are_ours):
        field = not_compared[0] if not_compared else ""
        return InputError("published", field, f"is no figure that {published.model} tells")
    dust = _DUST * max(map(abs, theirs.values()), default=0.0)
    figures = tuple(_compare(field, figure, ours[field], dust) for field, figure in theirs.items() if field in ours)
    return Check(published.model, figures, not_compared)


def _compare(field: str, published: float, ours: float, dust: float) -> Compared:
    if not math.isfinite(ours):
        return Compared(field, published, ours, math.inf)
    size = max(abs(ours), abs(published))
    return Compared(field, published, ours, abs(ours - published) / size if size > dust else 0.0)
