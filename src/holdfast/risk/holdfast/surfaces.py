"""Each expiry's surface parameters as the exchange's integers: as given, or fitted to the single volatilities.

A surface that the exchange itself would not admit is refused, by its own rule.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from holdfast.primitives.smiles import THETA_MIN_E12, Smile, is_arbitrage_free
from holdfast.risk.portfolio import Expiry, Portfolio
from holdfast.risk.rows import InputError
from holdfast.risk.smile import Shape, from_integers, to_integers
from holdfast.risk.ssvi import FitErrors, fit_smile, measure_errors

Key = tuple[str, float]

# By how much the curvature of a fitted smile is lowered at a time where the exchange's rule refuses it.
_LOWER_PERCENT: Final = 99


class Slice(NamedTuple):
    """One expiry's smile; the errors of its fit where it was fitted, and the row that an error names."""

    row: str
    smile: Smile
    fit: FitErrors | None = None


def choose_slices(portfolio: Portfolio, wanted: Iterable[Key]) -> dict[Key, Slice]:
    """Return the parameters of every expiry that is given or wanted.

    Refuses: an expiry that is neither given nor has a volatility, a surface with an arbitrage.
    """
    keys = sorted(set(portfolio.surfaces) | set(wanted))
    slices = {key: _read(portfolio, key) if key in portfolio.surfaces else _fit(portfolio, key) for key in keys}
    for underlying in dict.fromkeys(name for name, _ in keys):
        _check([part for (name, _), part in slices.items() if name == underlying])
    return slices


def is_admissible(slices: Sequence[Slice]) -> bool:
    """Return whether the exchange would take these expiries, in their order, as one surface."""
    return is_arbitrage_free([part.smile for part in slices])


def _check(slices: Sequence[Slice]) -> None:
    if is_admissible(slices):
        return
    for count, part in enumerate(slices, 1):
        if not is_admissible(slices[:count]):
            problem = "has an arbitrage (a butterfly below nothing, or less variance than the expiry before)"
            mend = "; give a row of surfaces" if part.fit else ""
            raise InputError(part.row, "total_variance", f"the surface up to this expiry {problem}{mend}")


def _read(portfolio: Portfolio, key: Key) -> Slice:
    given = portfolio.surfaces[key]
    return Slice(given.row, to_integers(Shape(given.total_variance, given.rho, given.eta, given.shift, given.width)))


def _fit(portfolio: Portfolio, key: Key) -> Slice:
    expiry = portfolio.expiries[key]
    points = list_points(portfolio, expiry)
    if not points:
        raise InputError(
            expiry.row, "expiry", f"no surface and no volatility is given of {key[0]} in {expiry.seconds:g} seconds"
        )
    moneyness, vols = zip(*points, strict=True)
    smile = to_integers(fit_smile(moneyness, vols, expiry.seconds))
    smile = smile._replace(theta_e12=max(THETA_MIN_E12, smile.theta_e12))
    while smile.eta_ppm > 1 and not is_arbitrage_free([smile]):
        smile = smile._replace(eta_ppm=smile.eta_ppm * _LOWER_PERCENT // 100)
    return Slice(expiry.row, smile, measure_errors(from_integers(smile), moneyness, vols, expiry.seconds))


def list_points(portfolio: Portfolio, expiry: Expiry) -> list[tuple[float, float]]:
    """Return (ln(strike / forward), volatility) of an expiry's marks, or of the options held where it has none."""
    key = (expiry.underlying, expiry.seconds)
    marks = [(strike, vol) for (strike, _), vol in portfolio.smiles.get(key, {}).items()]
    held = [(one.strike, one.vol) for one in portfolio.options if (one.underlying, one.seconds) == key]
    return [(math.log(strike / expiry.forward), vol) for strike, vol in sorted(set(marks or held))]
