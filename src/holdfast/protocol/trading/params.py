"""The fee schedule and the bounds of an order."""

from typing import Final

from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.primitives.units import PPM
from holdfast.protocol.limits import U64
from holdfast.state.table import Table


class TradingParams(Record):
    """Fees are shares of the index value of the lots; an option's is capped at a share of its premium.

    Of every trading fee `insurance_share_ppm` goes to the insurance fund, the rest to the treasury. A market order may
    trade up to `market_band_ppm` of the index away from the mark; for an option no further than the larger of
    `market_premium_ppm` of the mark and `market_floor_ppm` of the index, so that a cheap option stays cheap.
    `min_notional_atoms` bounds an order from below.
    """

    maker_ppm: U64 = 100
    taker_ppm: U64 = 300
    option_cap_ppm: U64 = 125_000
    insurance_share_ppm: U64 = 300_000
    market_band_ppm: U64 = 20_000
    market_premium_ppm: U64 = 250_000
    market_floor_ppm: U64 = 1_000
    min_notional_atoms: U64 = 1_000_000
    protection_window_ms_max: U64 = 3_600_000


TRADING_PARAMS: Final = Table[int, TradingParams]("trading params", ["u64"], TradingParams, tag=80)


def check(params: TradingParams) -> None:
    """Check the parameters against their hard bounds and each other."""
    ensure(params.maker_ppm <= params.taker_ppm <= 5_000, "a maker never pays more than a taker, nor anyone over 0.5 %")
    ensure(params.option_cap_ppm <= PPM, "a fee never exceeds the premium")
    ensure(params.insurance_share_ppm <= PPM, "no more than a whole fee is given out")
    ensure(1_000 <= params.market_band_ppm <= 200_000, "a market order's band stays in bounds")
    ensure(params.market_floor_ppm <= params.market_band_ppm, "a cheap option's band is no wider than any other")
    ensure(params.market_premium_ppm <= PPM, "a market order never pays twice an option's mark")
    ensure(params.min_notional_atoms <= 10**12, "an order of a million USDC is never too small")
    ensure(1_000 <= params.protection_window_ms_max <= 86_400_000, "a protection's window ends within a day")
