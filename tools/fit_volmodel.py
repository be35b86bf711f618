"""Fit the constants of `holdfast.lab.volmodel` to real Deribit chains, offline, and print them with their residuals.

    python tools/fit_volmodel.py CALM_CHAIN.csv CRASH_CHAIN.csv

The calm chain gives level, carry and skew of each underlying; the crash chain gives the two horizons over which
excess variance is expected to fade. A chain is a CSV with the columns that `load` reads.
"""

import csv
import datetime as dt
import math
import sys
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

FRONT_DAYS: Final = 6.0  # nearer expiries follow the coming weekend rather than the level or the carry
REACH: Final = 2.5  # strikes within this many standard deviations of the forward


class Slice(NamedTuple):
    """One expiry: years to it, forward over index, at-the-money total variance, and its wings."""

    years: float
    basis: float
    theta: float
    log_strikes: NDArray[np.float64]
    variances: NDArray[np.float64]


# A smile with fewer strikes says nothing about skew.
STRIKES_MIN = 3


def load(path: Path) -> dict[str, list[Slice]]:
    """Read the out-of-the-money mark volatilities of a chain, by underlying and expiry."""
    rows: dict[str, dict[float, list[tuple[float, float, float]]]] = {}
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            forward, strike = float(row["underlying_price"]), float(row["strike"])
            if not row["mark_iv"] or (row["option_type"] == "call") != (strike >= forward):
                continue
            left = dt.datetime.fromisoformat(row["expiry_datetime"]) - dt.datetime.fromisoformat(row["timestamp"])
            years = left.total_seconds() / (365 * 86_400)
            variance = float(row["mark_iv"]) ** 2 * years
            point = (math.log(strike / forward), variance, forward / float(row["index_price"]))
            rows.setdefault(row["currency"], {}).setdefault(years, []).append(point)
    return {name: [_slice(years, by[years]) for years in sorted(by)] for name, by in rows.items()}


def _slice(years: float, points: list[tuple[float, float, float]]) -> Slice:
    strikes, variances, bases = np.array(sorted(points)).T
    theta = float(np.interp(0.0, strikes, variances))
    near = np.abs(strikes) <= REACH * math.sqrt(theta)
    return Slice(years, float(np.median(bases)), theta, strikes[near], variances[near])


def fit_skew(slices: list[Slice]) -> tuple[float, float, float]:
    """Return rho, eta and the residual in vol points of the SSVI power law with exponent one half."""
    best = (0.0, 0.0, math.inf)
    for rho in np.arange(-0.6, 0.2, 0.01):
        for eta in np.arange(0.4, min(1.6, 2 / (1 + abs(rho))), 0.01):
            errors = [_skew_error(item, rho, eta) for item in slices if len(item.log_strikes) >= STRIKES_MIN]
            residual = math.sqrt(float(np.mean(errors)))
            if residual < best[2]:
                best = (float(rho), float(eta), residual)
    return best[0], best[1], 100 * best[2]


def _skew_error(item: Slice, rho: float, eta: float) -> float:
    phi = eta / math.sqrt(item.theta * (1 + item.theta))
    scaled = phi * item.log_strikes
    model = item.theta / 2 * (1 + rho * scaled + np.sqrt((scaled + rho) ** 2 + 1 - rho**2))
    return float(np.mean((np.sqrt(model / item.years) - np.sqrt(item.variances / item.years)) ** 2))


def fit_horizons(slices: list[Slice], level: float) -> tuple[float, float, float]:
    """Return the fast and the slow horizon in days and the residual in vol points, given the long-run level."""
    years = np.array([item.years for item in slices])
    observed = np.array([item.theta / item.years for item in slices])
    best = (0.0, 0.0, math.inf)
    for fast_days in np.arange(0.5, 8.0, 0.25):
        for slow_days in np.arange(10.0, 90.0, 2.5):
            weights = [days / 365 / (days / 365 + years) for days in (fast_days, slow_days)]
            basis = np.array([weights[0], weights[1] - weights[0]]).T
            amounts, *_ = np.linalg.lstsq(basis, observed - level**2 * (1 - weights[1]), rcond=None)
            model = np.maximum(level**2 * (1 - weights[1]) + basis @ amounts, 0.0)
            residual = math.sqrt(float(np.mean((np.sqrt(model) - np.sqrt(observed)) ** 2)))
            if residual < best[2]:
                best = (float(fast_days), float(slow_days), residual)
    return best[0], best[1], 100 * best[2]


def main(calm_path: Path, crash_path: Path) -> None:
    """Print one line of constants for each underlying."""
    calm, crash = load(calm_path), load(crash_path)
    for name, slices in calm.items():
        back = [item for item in slices if item.years * 365 > FRONT_DAYS]
        level = float(np.mean([math.sqrt(item.theta / item.years) for item in back]))
        carry = float(np.mean([(item.basis - 1) / item.years for item in back]))
        rho, eta, skew_residual = fit_skew(slices)
        fast, slow, term_residual = fit_horizons(crash[name], level)
        print(
            f"{name}: level {level:.3f} carry {carry:.4f} rho {rho:.2f} eta {eta:.2f} "
            f"({skew_residual:.1f} vol points); horizons {fast:.2f} and {slow:.1f} days "
            f"({term_residual:.1f} vol points)"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
