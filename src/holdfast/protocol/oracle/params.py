"""Oracle parameters."""

from typing import Annotated, Final

from msgspec import Meta

from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.primitives.units import HOUR_MS, MINUTE_MS, PPM, SECOND_MS
from holdfast.protocol.ledger.state import BTC, ETH, USDC, USDT
from holdfast.protocol.limits import U64
from holdfast.state.draft import Draft
from holdfast.state.table import Table


class OracleParams(Record):
    """Which feeds there are, and the windows of the status ladder; each window is the larger of a time and blocks.

    A report counts with at least `sources_min` sources no older than `report_age_ms_max`. A move is suspect above the
    larger of `velocity_floor_ppm` and `velocity_sigmas` deviations of the time since the last price. It is confirmed
    after `confirm_ms` and `confirm_blocks` by a price within the larger of `agree_floor_ppm` and those deviations of
    the time since; after `suspect_ms` and `suspect_blocks` the quorum's median is taken. Without a quorum a feed is
    degraded beyond `degraded_blocks` and stale from `stale_ms` and `stale_blocks` on. The variance is a moving mean
    over `variance_tau_ms`, between nothing and `variance_max_e18`, from `variance_start_e18` on.
    """

    feeds: Annotated[tuple[U64, ...], Meta(min_length=1, max_length=64)] = (USDC, BTC, ETH, USDT)
    sources_min: U64 = 3
    report_age_ms_max: U64 = 10 * MINUTE_MS
    velocity_floor_ppm: U64 = 10_000
    velocity_sigmas: U64 = 6
    confirm_ms: U64 = 3 * SECOND_MS
    confirm_blocks: U64 = 1
    agree_floor_ppm: U64 = 5_000
    suspect_ms: U64 = 60 * SECOND_MS
    suspect_blocks: U64 = 2
    degraded_blocks: U64 = 3
    stale_ms: U64 = 30 * SECOND_MS
    stale_blocks: U64 = 2
    variance_tau_ms: U64 = 30 * MINUTE_MS
    variance_start_e18: U64 = 11_400_000_000  # 60 % a year
    variance_max_e18: U64 = 3_170_000_000_000  # 1,000 % a year


ORACLE_PARAMS: Final = Table[int, OracleParams]("oracle params", ["u64"], OracleParams, tag=41)


def check(params: OracleParams) -> None:
    """Check the parameters against their hard bounds and each other."""
    ensure(params.feeds == tuple(sorted(dict.fromkeys(params.feeds))), "feeds are listed once, in order")
    ensure(params.sources_min >= 3, "fewer than three sources is no price")
    ensure(MINUTE_MS <= params.report_age_ms_max <= HOUR_MS, "a report's age stays in bounds")
    ensure(1_000 <= params.agree_floor_ppm <= params.velocity_floor_ppm <= PPM, "an agreement is no wider than a move")
    ensure(1 <= params.velocity_sigmas <= 20, "a suspect move is measured in deviations")
    ensure(1 <= params.confirm_blocks <= params.suspect_blocks <= 100, "a suspicion is over after some blocks")
    ensure(params.confirm_ms <= params.suspect_ms <= 10 * MINUTE_MS, "a suspicion is over after some minutes")
    ensure(1 <= params.stale_blocks <= 100 and SECOND_MS <= params.stale_ms <= HOUR_MS, "a price grows stale")
    ensure(MINUTE_MS <= params.variance_tau_ms <= 24 * HOUR_MS, "the variance has a memory")
    ensure(params.variance_start_e18 <= params.variance_max_e18 <= 10**14, "the variance stays in bounds")


def initialise(draft: Draft) -> None:
    """Write the default parameters."""
    params = OracleParams()
    check(params)
    draft[ORACLE_PARAMS].put(0, params)
