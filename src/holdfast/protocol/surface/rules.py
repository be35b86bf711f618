"""When a surface is free of arbitrage, and its total variance between the listed expiries. Integers only.

A surface is one rho and one eta an underlying and one at-the-money total variance an expiry: SSVI with the power law
phi = eta / sqrt(theta (1 + theta)). Three inequalities make it free of butterfly and calendar arbitrage.
Source: Gatheral and Jacquier, arXiv 1204.0646, theorems 4.1 and 4.2, section 4.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from holdfast.primitives.check import ensure
from holdfast.primitives.units import PPM, div_floor

RHO_MAX_PPM: Final = PPM - 1
ETA_MAX_PPM: Final = 2 * PPM
BUTTERFLY_MAX_E12: Final = 2 * PPM * PPM  # eta (1 + |rho|) <= 2
THETA_MIN_E12: Final = 1
THETA_MAX_E12: Final = 100 * 10**12  # a volatility of 1,000 % for a year
EXPIRIES_MAX: Final = 64

ensure(ETA_MAX_PPM * PPM <= BUTTERFLY_MAX_E12, "the butterfly bound is never looser than the bound on eta")
ensure(0 < THETA_MIN_E12 < THETA_MAX_E12 < 2**53, "total variances are positive and exact in a double")


def is_admissible(rho_ppm: int, eta_ppm: int, thetas_e12: Sequence[int]) -> bool:
    """Tell whether parameters, variances in order of expiry, give a bounded surface without static arbitrage."""
    if not 1 <= len(thetas_e12) <= EXPIRIES_MAX or abs(rho_ppm) > RHO_MAX_PPM or not 0 < eta_ppm <= ETA_MAX_PPM:
        return False
    if eta_ppm * (PPM + abs(rho_ppm)) > BUTTERFLY_MAX_E12:
        return False
    if thetas_e12[0] < THETA_MIN_E12 or thetas_e12[-1] > THETA_MAX_E12:
        return False
    return all(near <= far for near, far in pairwise(thetas_e12))


def interpolate_theta_e12(expiries_ms: Sequence[int], thetas_e12: Sequence[int], expiry_ms: int, now_ms: int) -> int:
    """Return the total variance to an expiry, linear in time between now and the expiries that are still to come.

    Beyond the last of them volatility stays flat; an expiry that has come has no variance left.

    Rounds: down, so that a grid of integers keeps its order.
    """
    ensure(len(expiries_ms) == len(thetas_e12) > 0, "each expiry has its variance")
    ensure(all(near < far for near, far in pairwise(expiries_ms)), "expiries ascend")
    ensure(expiries_ms[-1] > now_ms, "a surface reaches past now")
    if expiry_ms <= now_ms:
        return 0
    live = [node for node in zip(expiries_ms, thetas_e12, strict=True) if node[0] > now_ms]
    for (near_ms, near_e12), (far_ms, far_e12) in pairwise([(now_ms, 0), *live]):
        if expiry_ms <= far_ms:
            return near_e12 + div_floor((far_e12 - near_e12) * (expiry_ms - near_ms), far_ms - near_ms)
    last_ms, last_e12 = live[-1]
    return min(div_floor(last_e12 * (expiry_ms - now_ms), last_ms - now_ms), THETA_MAX_E12)
