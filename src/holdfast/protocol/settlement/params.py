"""Settlement parameters."""

from typing import Final

from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.primitives.units import PPM
from holdfast.protocol.limits import U64
from holdfast.protocol.settlement.state import WINDOW_MINUTES
from holdfast.state.draft import Draft
from holdfast.state.table import Table


class SettlementParams(Record):
    """The average, the delivery fee, and a block's budget.

    An average needs `minutes_min` good minutes of thirty, else its window slides on for `slide_minutes_max`, and then
    the last `minutes_min` good ones count, as soon as there are as many. Longs of an option in the money pay
    `delivery_ppm` of the settlement value of their lots, at most `delivery_cap_ppm` of the payoff;
    `insurance_share_ppm` of it goes to the insurance fund, the rest to the treasury. Futures deliver free of charge. A
    block settles about `steps_per_block` positions and orders, and realises as many futures positions at most.
    """

    minutes_min: U64 = 25
    slide_minutes_max: U64 = 24 * 60
    delivery_ppm: U64 = 150
    delivery_cap_ppm: U64 = 125_000
    insurance_share_ppm: U64 = 300_000
    steps_per_block: U64 = 2_000


SETTLEMENT_PARAMS: Final = Table[int, SettlementParams]("settlement params", ["u64"], SettlementParams, tag=98)


def check(params: SettlementParams) -> None:
    """Check the parameters against their hard bounds and each other."""
    ensure(2 * WINDOW_MINUTES <= 3 * params.minutes_min <= 3 * WINDOW_MINUTES, "an average is of most of its minutes")
    ensure(60 <= params.slide_minutes_max <= 7 * 24 * 60, "a window slides for a while and then ends")
    ensure(params.delivery_ppm <= 5_000, "a delivery never costs more than 0.5 %")
    ensure(2 * params.delivery_cap_ppm <= PPM, "a delivery fee leaves most of the payoff")
    ensure(params.insurance_share_ppm <= PPM, "no more than a whole fee is given out")
    ensure(1 <= params.steps_per_block <= 100_000, "a block's work is bounded and goes on")


def initialise(draft: Draft) -> None:
    """Write the default parameters."""
    params = SettlementParams()
    check(params)
    draft[SETTLEMENT_PARAMS].put(0, params)
