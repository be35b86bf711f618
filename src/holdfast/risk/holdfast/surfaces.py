"""Each expiry's surface parameters as the exchange's integers: as given, or fitted to the single volatilities.

A surface that the exchange itself would not admit is refused, by its own rule.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from holdfast.primitives.units import PPM
from holdfast.protocol.surface import rules
from holdfast.risk.holdfast.amounts import E12
from holdfast.risk.portfolio import Expiry, Portfolio
from holdfast.risk.rows import InputError
from holdfast.risk.ssvi import FittedSmile, fit_smile

Key = tuple[str, float]

_BUTTERFLY_E12: Final = 2 * PPM * PPM


class Slice(NamedTuple):
    """One expiry's parameters; `fit` where they were fitted, and the row that an error names."""

    row: str
    theta_e12: int
    rho_ppm: int
    eta_ppm: int
    fit: FittedSmile | None = None


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
    return all(rules.is_admissible(part.rho_ppm, part.eta_ppm, [part.theta_e12]) for part in slices) and (
        rules.is_admissible(0, 1, [part.theta_e12 for part in slices])
    )


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
    rho, eta = round(given.rho * PPM), round(given.eta * PPM)
    return Slice(given.row, round(given.total_variance * E12), rho, eta)


def _fit(portfolio: Portfolio, key: Key) -> Slice:
    expiry = portfolio.expiries[key]
    points = list_points(portfolio, expiry)
    if not points:
        raise InputError(
            expiry.row, "expiry", f"no surface and no volatility is given of {key[0]} in {expiry.seconds:g} seconds"
        )
    fit = fit_smile([place for place, _ in points], [vol for _, vol in points], expiry.seconds)
    rho_ppm = round(fit.smile.rho * PPM)
    # Rounded down, so that the fit's own bound still holds of the integers.
    eta_ppm = max(1, min(math.floor(fit.smile.eta * PPM), _BUTTERFLY_E12 // (PPM + abs(rho_ppm))))
    return Slice(expiry.row, max(1, round(fit.smile.theta * E12)), rho_ppm, eta_ppm, fit)


def list_points(portfolio: Portfolio, expiry: Expiry) -> list[tuple[float, float]]:
    """Return (ln(strike / forward), volatility) of an expiry's marks, or of the options held where it has none."""
    key = (expiry.underlying, expiry.seconds)
    marks = [(strike, vol) for (strike, _), vol in portfolio.smiles.get(key, {}).items()]
    held = [(one.strike, one.vol) for one in portfolio.options if (one.underlying, one.seconds) == key]
    return [(math.log(strike / expiry.forward), vol) for strike, vol in sorted(set(marks or held))]
