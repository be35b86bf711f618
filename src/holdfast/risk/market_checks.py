"""Market data that cannot be: crossed quotes, prices that give money away, a smile with an arbitrage in it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from holdfast.risk.black import YEAR_S, Terms, compute_price
from holdfast.risk.portfolio import Expiry
from holdfast.risk.rows import PRICE_MAX, Row

# A share of the forward: what marks rounded to a hundredth of a volatility point may seem to give away.
_TOLERANCE: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Mark:
    """An option's marked volatility, with the row that gave it."""

    row: Row
    terms: Terms
    vol: float
    is_inverse: bool
    expiry: Expiry


def check_quote(mark: Mark) -> None:
    """Refuse a bid above the ask, a bid above all that an option can pay, an ask below what it is worth at once.

    Quotes are in USD a coin; either may be missing.
    """
    row = mark.row
    discount = math.exp(-max(mark.expiry.rate, 0.0) * mark.terms.seconds / YEAR_S)
    forward = mark.expiry.forward
    slack = _TOLERANCE * forward
    bid = row.number("bid", least=0.0, most=PRICE_MAX) if row.has("bid") else None
    ask = row.positive("ask") if row.has("ask") else None
    if bid is not None and ask is not None and bid > ask:
        raise row.refuse("bid", f"{bid:g} is above the ask of {ask:g}: the quotes are crossed")
    most = discount * (forward if mark.terms.is_call else mark.terms.strike)
    if bid is not None and bid > most + slack:
        raise row.refuse("bid", f"{bid:g} is above {most:g}, the most that the option can be worth: an arbitrage")
    least = compute_price(mark.terms, forward, 0.0, discount)
    if ask is not None and ask < least - slack:
        raise row.refuse("ask", f"{ask:g} is below {least:g}, what exercise is worth: an arbitrage")


def check_smiles(marks: Iterable[Mark]) -> None:
    """Refuse marks by which a spread costs less than nothing or more than its width, or a butterfly less than nothing.

    Refuses: as the row of the dearer strike, or of the butterfly's middle one.
    """
    smiles: dict[tuple[str, bool, float, bool], list[Mark]] = {}
    for mark in marks:
        key = (mark.expiry.underlying, mark.is_inverse, mark.terms.seconds, mark.terms.is_call)
        smiles.setdefault(key, []).append(mark)
    for smile in smiles.values():
        _check_smile(sorted(smile, key=lambda mark: mark.terms.strike))


def _check_smile(smile: Sequence[Mark]) -> None:
    forward = smile[0].expiry.forward
    slack = _TOLERANCE * forward
    priced = [(mark.terms.strike, compute_price(mark.terms, forward, mark.vol), mark.row) for mark in smile]
    for (low, low_price, _), (high, high_price, row) in pairwise(priced):
        rise = high_price - low_price if not smile[0].terms.is_call else low_price - high_price
        if not -slack <= rise <= high - low + slack:
            raise row.refuse("vol", f"with strike {low:g} beside it a spread costs {rise:.6g}: an arbitrage")
    for (low, low_price, _), (middle, price, row), (high, high_price, _) in zip(
        priced, priced[1:], priced[2:], strict=False
    ):
        share = (high - middle) / (high - low)
        if price > share * low_price + (1 - share) * high_price + slack:
            raise row.refuse(
                "vol", f"between strikes {low:g} and {high:g} a butterfly costs less than nothing: an arbitrage"
            )
