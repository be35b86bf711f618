"""The model from which each validator derives its surface where history has no options. Integers only.

Variance. The price is smoothed over four minutes, so that a bid-ask bounce is not taken for volatility, and its
one-block returns are scaled back by the variance that smoothing removes, (2 tau + dt) / dt. Their square, annualised
and capped, feeds a fast mean of two hours; the fast mean feeds a slow one of five days. Both keep a floor and begin at
the long-run level. Spot-vol beta: a fall below the twelve-hour mean multiplies fast volatility by 1 + 3 x fall. Of
the excess x over the long-run level a market prices x c / (x + c): all of a small one, never more than c.

Term. An excess is expected to fade over a horizon K, so that the total variance to T holds K T / (K + T) years of it.
With K fast < K slow each weight grows with T, hence total variance does, whatever the levels: no calendar arbitrage.

Skew. SSVI power law with exponent one half; without butterfly arbitrage while eta (1 + |rho|) <= 2.

Constants. Level, carry and skew were fitted once to the Deribit chain of 2026-01-15 15:34 UTC (residual 1.3 vol points
for BTC, 1.6 for ETH), the horizons to that of 2026-02-05 21:29 UTC, in the crash (2.3 points each), by
`tools/fit_volmodel.py`. Means, caps and beta were set on 2025-10-10: OKX's 21-day volatility then rose from 0.42 to
about 0.55. A one-day option goes from about 0.4 to about 1.1 in a fall of 15 % within ten minutes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from holdfast.lab.draws import draw_bell
from holdfast.primitives.check import ensure
from holdfast.primitives.units import DAY_MS, HOUR_MS, MINUTE_MS, PPM, YEAR_MS

E12: Final = 10**12
ETA_RHO_MAX: Final = 2 * PPM * PPM  # eta (1 + |rho|) <= 2, in millionths squared

_SMOOTH_MS: Final = 4 * MINUTE_MS
_FAST_MS: Final = 2 * HOUR_MS
_SLOW_MS: Final = 5 * DAY_MS
_REFERENCE_MS: Final = 12 * HOUR_MS
_RETURN_VARIANCE_MAX_E12: Final = 75 * E12
_FAST_MAX_E12: Final = 4 * E12
_BETA: Final = 3
_FALL_MAX_PPM: Final = 500_000
_NOISE_LEVEL_PPM: Final = 4_000
_NOISE_ETA_PPM: Final = 5_000
_NOISE_RHO_PPM: Final = 3_000


@dataclass(frozen=True, slots=True)
class VolParams:
    """What differs between underlyings: annualised variances, horizons, skew, carry a year."""

    long_run_e12: int
    floor_e12: int
    excess_max_e12: int
    fast_horizon_ms: int
    slow_horizon_ms: int
    rho_ppm: int
    eta_ppm: int
    carry_ppm: int


PARAMS: Final = {
    "BTC": VolParams(
        long_run_e12=169_744_000_000,  # 41.2 %
        floor_e12=90_000_000_000,  # 30 %
        excess_max_e12=1_800_000_000_000,
        fast_horizon_ms=54 * HOUR_MS,
        slow_horizon_ms=2_100 * HOUR_MS,
        rho_ppm=-150_000,
        eta_ppm=790_000,
        carry_ppm=46_000,
    ),
    "ETH": VolParams(
        long_run_e12=323_761_000_000,  # 56.9 %
        floor_e12=160_000_000_000,  # 40 %
        excess_max_e12=1_800_000_000_000,
        fast_horizon_ms=36 * HOUR_MS,
        slow_horizon_ms=1_500 * HOUR_MS,
        rho_ppm=-130_000,
        eta_ppm=790_000,
        carry_ppm=46_000,
    ),
}


@dataclass(frozen=True, slots=True)
class SurfaceQuote:
    """One validator's surface: skew, and per expiry its forward and at-the-money total variance, by expiry."""

    rho_ppm: int
    eta_ppm: int
    slices: tuple[tuple[int, int, int], ...]


class VolModel:
    """One validator's view of one underlying's volatility, moved by the prices that it samples."""

    def __init__(self, feed: str, seed: int, validator: int) -> None:
        ensure(feed in PARAMS, f"the volatility model knows {feed}")
        self._params = PARAMS[feed]
        self._key = (seed, "surface", validator, feed)
        self._price_e8 = self._smooth_e8 = self._reference_e8 = 0
        self._observed_ms = 0
        self._fast_e12 = self._slow_e12 = self._params.long_run_e12

    def observe(self, price_e8: int, now_ms: int) -> None:
        """Move the model to a sampled price. A time that is not later than the last changes nothing."""
        if self._price_e8 == 0:
            self._price_e8 = self._smooth_e8 = self._reference_e8 = price_e8
            self._observed_ms = now_ms
            return
        passed_ms = now_ms - self._observed_ms
        if passed_ms <= 0:
            return
        self._price_e8, self._observed_ms = price_e8, now_ms
        before_e8 = self._smooth_e8
        self._smooth_e8 = max(1, _toward(before_e8, price_e8, passed_ms, _SMOOTH_MS))
        self._reference_e8 = max(1, _toward(self._reference_e8, price_e8, passed_ms, _REFERENCE_MS))
        return_e12 = (self._smooth_e8 - before_e8) * E12 // before_e8
        annual_e12 = return_e12**2 * (2 * _SMOOTH_MS + passed_ms) * YEAR_MS // (passed_ms**2 * E12)
        fast_e12 = _toward(self._fast_e12, min(annual_e12, _RETURN_VARIANCE_MAX_E12), passed_ms, _FAST_MS)
        self._fast_e12 = min(max(fast_e12, self._params.floor_e12), _FAST_MAX_E12)
        slow_e12 = _toward(self._slow_e12, self._priced(self._fast_e12), passed_ms, _SLOW_MS)
        self._slow_e12 = max(slow_e12, self._params.floor_e12)

    def quote(self, now_ms: int, expiries_ms: Iterable[int]) -> SurfaceQuote | None:
        """Return the surface for the expiries that lie ahead, or None before the first price.

        Rounds: down; a later expiry never has less total variance than an earlier one.
        """
        if self._price_e8 == 0:
            return None
        params = self._params
        fast_e12 = self._priced(self._fast_e12 * (PPM + _BETA * self._fall_ppm()) ** 2 // PPM**2)
        noise_ppm = PPM + draw_bell(_NOISE_LEVEL_PPM, *self._key, "level", now_ms)
        slices: list[tuple[int, int, int]] = []
        floor_e12 = 1
        for expiry_ms in sorted(set(expiries_ms)):
            left_ms = expiry_ms - now_ms
            if left_ms <= 0:
                continue
            theta_e12 = self._total_variance_e12(fast_e12, left_ms) * noise_ppm // PPM
            floor_e12 = max(floor_e12, theta_e12)
            forward_e8 = self._price_e8 + self._price_e8 * params.carry_ppm * left_ms // (YEAR_MS * PPM)
            slices.append((expiry_ms, forward_e8, floor_e12))
        rho_ppm = params.rho_ppm + draw_bell(_NOISE_RHO_PPM, *self._key, "rho", now_ms)
        eta_ppm = params.eta_ppm * (PPM + draw_bell(_NOISE_ETA_PPM, *self._key, "eta", now_ms)) // PPM
        eta_ppm = min(eta_ppm, ETA_RHO_MAX // (PPM + abs(rho_ppm)))
        return SurfaceQuote(rho_ppm, eta_ppm, tuple(slices))

    def _fall_ppm(self) -> int:
        fall_ppm = (self._reference_e8 - self._smooth_e8) * PPM // self._reference_e8
        return min(max(fall_ppm, 0), _FALL_MAX_PPM)

    def _priced(self, variance_e12: int) -> int:
        long_run_e12, most_e12 = self._params.long_run_e12, self._params.excess_max_e12
        excess_e12 = variance_e12 - long_run_e12
        return variance_e12 if excess_e12 <= 0 else long_run_e12 + excess_e12 * most_e12 // (excess_e12 + most_e12)

    def _total_variance_e12(self, fast_e12: int, left_ms: int) -> int:
        params = self._params
        fast_ms = _share_ms(params.fast_horizon_ms, left_ms)
        slow_ms = _share_ms(params.slow_horizon_ms, left_ms)
        total = params.long_run_e12 * (left_ms - slow_ms) + self._slow_e12 * (slow_ms - fast_ms) + fast_e12 * fast_ms
        return total // YEAR_MS


def _share_ms(horizon_ms: int, left_ms: int) -> int:
    return horizon_ms * left_ms // (horizon_ms + left_ms)


def _toward(value: int, target: int, passed_ms: int, mean_ms: int) -> int:
    """Move an exponential mean: by passed / (mean + passed), which needs no exponential function."""
    return value + (target - value) * passed_ms // (mean_ms + passed_ms)
