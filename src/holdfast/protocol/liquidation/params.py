"""Liquidation parameters."""

from typing import Final

from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.primitives.units import PPM
from holdfast.protocol.limits import U64
from holdfast.state.table import Table


class LiquidationParams(Record):
    """The auction's clock and prices, and the block's budget.

    A bidder's incentive is a share of the slice's maintenance margin that grows from `incentive_first_ppm` to
    `incentive_last_ppm` over `auction_steps` live blocks. `fee_ppm` of the slice's maintenance margin goes to the fund
    from a solvent account. `hedge_band_ppm` of the index bounds a hedge's price. Of the fund at most `fund_cap_ppm`
    goes to one account's deficit at once, and at most `fund_incentive_ppm` to one bidder's incentive.
    """

    auction_steps: U64 = 20
    incentive_first_ppm: U64 = 50_000
    incentive_last_ppm: U64 = 500_000
    fee_ppm: U64 = 50_000
    hedge_band_ppm: U64 = 10_000
    fund_cap_ppm: U64 = 1_000_000
    fund_incentive_ppm: U64 = 20_000
    ends_per_block: U64 = 50


LIQUIDATION_PARAMS: Final = Table[int, LiquidationParams]("liquidation params", ["u64"], LiquidationParams, tag=105)


def check(params: LiquidationParams) -> None:
    """Check the parameters against their hard bounds and each other."""
    ensure(1 <= params.auction_steps <= 1_000, "an auction ends")
    ensure(params.incentive_first_ppm <= params.incentive_last_ppm <= PPM, "an incentive stays within the margin")
    ensure(params.fee_ppm <= 200_000, "a liquidation fee stays in bounds")
    ensure(1_000 <= params.hedge_band_ppm <= 100_000, "a hedge's band stays in bounds")
    ensure(params.fund_incentive_ppm <= 500_000, "incentives never take most of the fund")
    ensure(100_000 <= params.fund_cap_ppm <= PPM, "the fund pays a stated part of a deficit, up to all of it")
    ensure(1 <= params.ends_per_block <= 10_000, "a block's work is bounded and goes on")
