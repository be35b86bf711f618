"""Fit the power-law SSVI surface to real Deribit chains, off-chain, and print what it misses.

    python tools/fit_surface.py CHAIN.csv...

For each chain and underlying: rho and eta (one each), the at-the-money variance of each expiry, and the absolute
error in implied volatility between |delta| 0.1 and 0.9 and in the wings outside; beside it the same with a rho and an
eta for each expiry (extended SSVI). Then the term structure of at-the-money variance,
long + (short - long) (1 - e^(-t/tau)) / (t/tau). Figures are printed as a Markdown table.
"""

import csv
import datetime as dt
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

YEAR_S: Final = 365 * 86_400
YEARS_MIN: Final = 6 / (24 * 365)  # hours before expiry marks follow the settlement average, not a surface
DELTA_MIN: Final = 0.1
WING_DELTA_MIN: Final = 0.01
STRIKES_MIN: Final = 6
WING_WEIGHT: Final = 0.25
ETA_RHO_MAX: Final = 2.0
STEP_MIN: Final = 0.0005
BUMP: Final = 1e-4


class Smile(NamedTuple):
    """One expiry's out-of-the-money marks: log-strikes over the forward, volatilities, and distance from the wings."""

    years: float
    log_strikes: Array
    volatilities: Array
    is_core: NDArray[np.bool_]


class Fit(NamedTuple):
    """Parameters and absolute errors in volatility points."""

    rho: float
    eta: float
    thetas: list[float]
    core: Array
    wings: Array


def load(path: Path) -> dict[str, list[Smile]]:
    """Read the out-of-the-money mark volatilities of a chain, by underlying, nearest expiry first."""
    points: dict[str, dict[float, list[tuple[float, float]]]] = {}
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            forward, strike = float(row["underlying_price"]), float(row["strike"])
            if not row["mark_iv"] or (row["option_type"] == "call") != (strike >= forward):
                continue
            left = dt.datetime.fromisoformat(row["expiry_datetime"]) - dt.datetime.fromisoformat(row["timestamp"])
            years = round(left.total_seconds() / 600) * 600 / YEAR_S
            if years >= YEARS_MIN:
                by_expiry = points.setdefault(row["currency"], {}).setdefault(years, [])
                by_expiry.append((math.log(strike / forward), float(row["mark_iv"])))
    smiles = {name: [_smile(years, by[years]) for years in sorted(by)] for name, by in points.items()}
    return {name: [smile for smile in column if smile.is_core.sum() >= STRIKES_MIN] for name, column in smiles.items()}


def _smile(years: float, points: list[tuple[float, float]]) -> Smile:
    log_strikes, volatilities = np.array(sorted(points)).T
    deviation = volatilities * math.sqrt(years)
    d1 = -log_strikes / deviation + deviation / 2
    tail = np.array([math.erfc(abs(value) / math.sqrt(2)) / 2 for value in d1])
    seen = tail >= WING_DELTA_MIN
    return Smile(years, log_strikes[seen], volatilities[seen], tail[seen] >= DELTA_MIN)


def ssvi_volatility(smile: Smile, theta: float, rho: float, eta: float) -> Array:
    """Return the surface's volatility at each strike of an expiry."""
    wing = eta / math.sqrt(theta * (1 + theta)) * smile.log_strikes
    variance = theta / 2 * (1 + rho * wing + np.sqrt((wing + rho) ** 2 + 1 - rho**2))
    return np.sqrt(variance / smile.years)


def _weights(smile: Smile) -> Array:
    return np.where(smile.is_core, 1.0, WING_WEIGHT) / math.sqrt(len(smile.log_strikes))


def fit_theta(smile: Smile, rho: float, eta: float) -> float:
    """Return the at-the-money total variance that fits an expiry best, by Gauss-Newton from the interpolated one."""
    theta = float(np.interp(0.0, smile.log_strikes, smile.volatilities)) ** 2 * smile.years
    weights = _weights(smile)
    for _ in range(6):
        error = (ssvi_volatility(smile, theta, rho, eta) - smile.volatilities) * weights
        bumped = (ssvi_volatility(smile, theta * (1 + BUMP), rho, eta) - smile.volatilities) * weights
        slope = (bumped - error) / BUMP
        theta *= math.exp(-max(-0.3, min(0.3, float(error @ slope) / float(slope @ slope))))
    return theta


def _loss(smiles: list[Smile], rho: float, eta: float) -> float:
    if abs(rho) >= 1 or eta <= 0 or eta * (1 + abs(rho)) > ETA_RHO_MAX:
        return math.inf
    total = 0.0
    for smile in smiles:
        error = ssvi_volatility(smile, fit_theta(smile, rho, eta), rho, eta) - smile.volatilities
        total += float(np.sum((error * _weights(smile)) ** 2))
    return total


def _descend(loss: Callable[[float, float], float], rho: float, eta: float) -> tuple[float, float]:
    """Return a minimum by pattern search: smooth in two variables, so a halving star is enough."""
    best, step = loss(rho, eta), 0.16
    while step > STEP_MIN:
        moves = [(rho + step, eta), (rho - step, eta), (rho, eta + step), (rho, eta - step)]
        values = [loss(*move) for move in moves]
        if min(values) < best:
            best = min(values)
            rho, eta = moves[values.index(best)]
        else:
            step /= 2
    return rho, eta


def fit(smiles: list[Smile], *, by_expiry: bool = False) -> Fit:
    """Fit one rho and eta to all expiries, or one of each to every expiry."""
    groups = [[smile] for smile in smiles] if by_expiry else [smiles]
    errors: list[Array] = []
    thetas: list[float] = []
    rho = eta = 0.0
    for group in groups:
        rho, eta = _descend(lambda r, e, group=group: _loss(group, r, e), -0.2, 0.9)  # type: ignore[misc]
        thetas += [fit_theta(smile, rho, eta) for smile in group]
        errors += [
            np.abs(ssvi_volatility(smile, theta, rho, eta) - smile.volatilities) * 100
            for smile, theta in zip(group, thetas[-len(group) :], strict=True)
        ]
    pairs = list(zip(smiles, errors, strict=True))
    core = np.concatenate([error[smile.is_core] for smile, error in pairs])
    return Fit(rho, eta, thetas, core, np.concatenate([error[~smile.is_core] for smile, error in pairs]))


def fit_term(years: Array, variances: Array) -> tuple[float, float, float, float]:
    """Return short and long volatility, tau in days, and the largest error in volatility points."""
    best = (0.0, 0.0, 0.0, math.inf)
    for tau_days in (2, 3, 5, 7, 10, 15, 20, 30, 45, 60, 90, 120, 180):
        decay = years * 365 / tau_days
        share = -np.expm1(-decay) / decay
        (short, long), *_ = np.linalg.lstsq(np.stack([share, 1 - share], axis=1), variances, rcond=None)
        error = np.sqrt(np.maximum(share * short + (1 - share) * long, 0)) - np.sqrt(variances)
        worst = float(np.max(np.abs(error))) * 100
        if worst < best[3] and short > 0 and long > 0:
            best = (math.sqrt(short), math.sqrt(long), tau_days, worst)
    return best


def _row(path: Path, name: str, smiles: list[Smile]) -> str:
    one, many = fit(smiles), fit(smiles, by_expiry=True)
    calendar = all(near <= far for near, far in zip(one.thetas, one.thetas[1:], strict=False))
    years = np.array([smile.years for smile in smiles])
    short, long, tau_days, worst = fit_term(years, np.array(one.thetas) / years)

    def figures(errors: Array) -> str:
        return f"{np.median(errors):.2f} / {np.percentile(errors, 95):.2f}" if len(errors) else "-"

    cells = [
        path.stem.rsplit("_", 1)[-1],
        name,
        f"{len(smiles)}",
        f"{len(one.core)} + {len(one.wings)}",
        f"{one.rho:.3f}",
        f"{one.eta:.3f}",
        figures(one.core),
        figures(one.wings),
        figures(many.core),
        figures(many.wings),
        "yes" if calendar else "no",
        f"{short:.3f}, {long:.3f}, {tau_days:.0f} ({worst:.1f})",
    ]
    return "| " + " | ".join(cells) + " |"


def main(paths: list[str]) -> int:
    """Print one row a chain and underlying."""
    if not paths:
        sys.stderr.write("name at least one chain: python tools/fit_surface.py CHAIN.csv...\n")
        return 2
    head = "chain | asset | expiries | strikes | rho | eta | core | wings | own skew: core | wings | thetas rise | term"
    lines = [f"| {head} |", "|" + " --- |" * (head.count("|") + 1)]
    for path in map(Path, paths):
        lines += [_row(path, name, smiles) for name, smiles in sorted(load(path).items())]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
