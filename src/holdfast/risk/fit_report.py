"""How well a fitted surface meets its quotes, and whether arbitrage is left: measured on its integers.

Errors are those of the exchange's own pricing kernel: each quote is priced with the integers, at its own forward, and
the kernel's volatility is held against what the quote's middle implies. Arbitrage is looked for in doubles on a grid
far denser than the chain's own test.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from holdfast.primitives import pricing
from holdfast.primitives.smiles import Smile, is_arbitrage_free
from holdfast.primitives.units import E8, MINUTE_MS, PPM
from holdfast.protocol.ledger.state import ASSET_NAMES
from holdfast.protocol.oracle.messages import Report, SliceReport, SurfaceReport, encode_report
from holdfast.risk.fit import Fit
from holdfast.risk.points import CORE_DELTA, Points
from holdfast.risk.repair import GRID_POINTS, GRID_REACH, TOUCH
from holdfast.risk.smile import compute_density, compute_form, compute_gaps, from_integers, make_grid

Floats = npt.NDArray[np.float64]

CORE_LIMIT: Final = 0.5
WINGS_LIMIT: Final = 1.5


@dataclass(frozen=True, slots=True)
class Errors:
    """Absolute errors in volatility points; nothing where no quote lies there."""

    quotes: int
    core: float | None  # median at |delta| from 0.1 to 0.9
    wings: float | None  # median beyond
    largest: float


@dataclass(frozen=True, slots=True)
class Arbitrage:
    """What is left of it on the dense grid."""

    density_least: float  # of the sign function g; below nothing is a butterfly
    butterflies: int  # points of the grid
    calendar_least: float | None  # gap to the expiry before, over the variance there
    crossings: int  # points of the grid


@dataclass(frozen=True, slots=True)
class ExpiryReport:
    """One expiry's smile, forward and errors."""

    points: Points
    smile: Smile
    forward: float
    vol: float  # at the money
    errors: Errors
    arbitrage: Arbitrage


@dataclass(frozen=True, slots=True)
class FitReport:
    """A fit with everything measured of it."""

    fit: Fit
    expiries: tuple[ExpiryReport, ...]
    errors: Errors  # against the middle of bid and ask
    mark_errors: Errors | None  # against the volatilities that the file calls marks
    density_least: float
    butterflies: int
    crossings: int
    is_admissible: bool
    report_bytes: int

    @property
    def is_within_limits(self) -> bool:
        """Tell whether both limits are met against all that was fitted to, and no arbitrage is left."""
        sources = [self.mark_errors] if self.fit.to_marks else [self.errors, self.mark_errors]
        return (
            all(
                (one.core or 0.0) <= CORE_LIMIT and (one.wings or 0.0) <= WINGS_LIMIT
                for one in sources
                if one is not None
            )
            and self.is_admissible
            and self.butterflies == self.crossings == 0
        )

    def to_columns(self) -> dict[str, list[object]]:
        """Return the expiries as columns: integers of the smile, errors in volatility points."""
        rows = [
            {
                "expiry": one.points.expiry,
                "quotes": one.errors.quotes,
                "forward": one.forward,
                "vol": one.vol,
                **one.smile._asdict(),
                "core": one.errors.core,
                "wings": one.errors.wings,
                "largest": one.errors.largest,
                "butterflies": one.arbitrage.butterflies,
                "crossings": one.arbitrage.crossings,
            }
            for one in self.expiries
        ]
        return {name: [row[name] for row in rows] for name in rows[0]}


def measure(fit: Fit) -> FitReport:
    """Return all that is measured of a fit."""
    vols = [compute_kernel_vols(points, smile) for points, smile in zip(fit.points, fit.smiles, strict=True)]
    expiries = tuple(
        ExpiryReport(
            points=points,
            smile=smile,
            forward=float(np.median([quote.forward for quote in points.quotes])),
            vol=float(np.sqrt(smile.theta_e12 / 1e12 * points.averaging / points.years)),
            errors=_compute_errors([points], [vol - points.vol]),
            arbitrage=_look_for_arbitrage(fit.smiles, place),
        )
        for place, (points, smile, vol) in enumerate(zip(fit.points, fit.smiles, vols, strict=True))
    )
    marks = [np.array([quote.mark_vol or np.nan for quote in points.quotes]) for points in fit.points]
    has_marks = not any(np.isnan(mark).any() for mark in marks)
    return FitReport(
        fit=fit,
        expiries=expiries,
        errors=_compute_errors(fit.points, [vol - points.vol for vol, points in zip(vols, fit.points, strict=True)]),
        mark_errors=_compute_errors(fit.points, [vol - mark for vol, mark in zip(vols, marks, strict=True)])
        if has_marks
        else None,
        density_least=min(one.arbitrage.density_least for one in expiries),
        butterflies=sum(one.arbitrage.butterflies for one in expiries),
        crossings=sum(one.arbitrage.crossings for one in expiries),
        is_admissible=is_arbitrage_free(fit.smiles),
        report_bytes=len(encode_report(make_report(fit))),
    )


def make_report(fit: Fit) -> Report:
    """Return the surface as a validator would report it; an expiry is taken at its whole minute."""
    slices = tuple(
        SliceReport(
            int(points.expiry.timestamp() * 1000) // MINUTE_MS * MINUTE_MS,
            round(float(np.median([quote.forward for quote in points.quotes])) * E8),
            *smile,
        )
        for points, smile in zip(fit.points, fit.smiles, strict=True)
    )
    underlying = ASSET_NAMES.index(fit.chain.underlying) if fit.chain.underlying in ASSET_NAMES else len(ASSET_NAMES)
    return Report((), (SurfaceReport(underlying, slices),))


def compute_kernel_vols(points: Points, smile: Smile) -> Floats:
    """Return the pricing kernel's volatility of each quote, from the integers and the quote's own forward."""
    count = len(points.quotes)
    same = np.ones(count, dtype=np.int64)
    slices = pricing.Slices(
        forward_e8=np.array([round(quote.forward * E8) for quote in points.quotes], dtype=np.int64),
        theta_e12=same * smile.theta_e12,
        rho_ppm=same * smile.rho_ppm,
        eta_ppm=same * smile.eta_ppm,
        fixed_e8=same * 0,
        variable_ppm=same * PPM,
        remaining_ms=np.array([round(quote.seconds * 1000) for quote in points.quotes], dtype=np.int64),
        grid_index=same * 0,
        shift_ppm=same * smile.shift_ppm,
        width_ppm=same * smile.width_ppm,
    )
    options = pricing.Options(
        slice_index=np.arange(count, dtype=np.int64),
        strike_e8=np.array([round(quote.strike * E8) for quote in points.quotes], dtype=np.int64),
        is_call=np.array([quote.instrument.is_call for quote in points.quotes], dtype=np.int64),
        lot_e8=same * E8,
    )
    vols: Floats = pricing.compute_marks(slices, options).iv_ppm / PPM
    return vols


def _compute_errors(points: Sequence[Points], errors: Sequence[Floats]) -> Errors:
    size = np.abs(np.concatenate(errors)) * 100
    is_core = np.abs(np.concatenate([one.delta for one in points])) >= CORE_DELTA
    core, wings = size[is_core], size[~is_core]
    return Errors(
        quotes=size.shape[0],
        core=float(np.median(core)) if core.size else None,
        wings=float(np.median(wings)) if wings.size else None,
        largest=float(size.max()),
    )


def _look_for_arbitrage(smiles: Sequence[Smile], place: int) -> Arbitrage:
    shape = from_integers(smiles[place])
    grid = make_grid(shape, GRID_REACH, GRID_POINTS)
    density = np.where(compute_form(shape, grid)[0] > 0, compute_density(shape, grid), -np.inf)
    gaps = compute_gaps(from_integers(smiles[place - 1]), shape, GRID_REACH, GRID_POINTS) if place else None
    return Arbitrage(
        density_least=float(density.min()),
        butterflies=int(np.sum(density < 0)),
        calendar_least=None if gaps is None else float(gaps.min()),
        crossings=0 if gaps is None else int(np.sum(gaps < -TOUCH)),
    )
