"""Listing parameters."""

from typing import Final

from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.primitives.units import E8, HOUR_MS, MINUTE_MS, USDC_ATOMS, div_exact
from holdfast.protocol.ledger.state import BTC, ETH
from holdfast.protocol.limits import EXPIRIES_PER_UNDERLYING_MAX, INSTRUMENTS_MAX, U64
from holdfast.state.draft import Draft
from holdfast.state.table import Table

UNDERLYINGS: Final = (BTC, ETH)
E8_PER_ATOM: Final = E8 * div_exact(E8, USDC_ATOMS)  # price x lot, both x 1e8, over this is USDC atoms


class ContractSpec(Record):
    """One underlying's contract: lot, tick, and the distance between strikes by tenor, in USD x 1e8."""

    lot_e8: U64
    tick_e8: U64
    daily_step_e8: U64
    weekly_step_e8: U64
    monthly_step_e8: U64
    quarterly_step_e8: U64


class InstrumentParams(Record):
    """What is listed: so many expiries of each tenor, and at least `strikes_each_side` on either side of the forward.

    Nothing is listed closer than `lead_ms` to its expiry, which keeps new listings out of the settlement window. A
    block lists at most `listings_per_block`; the rest waits for the next one.
    """

    dailies: U64 = 2
    weeklies: U64 = 2
    monthlies: U64 = 2
    quarterlies: U64 = 2
    strikes_each_side: U64 = 4
    lead_ms: U64 = 40 * MINUTE_MS
    listings_per_block: U64 = 400


INSTRUMENT_PARAMS: Final = Table[int, InstrumentParams]("instrument params", ["u64"], InstrumentParams, tag=37)
CONTRACT_SPECS: Final = Table[int, ContractSpec]("contract specs", ["u64"], ContractSpec, tag=38)

DEFAULT_SPECS: Final = {
    # 0.01 BTC; 1 USD, which is 10,000 atoms a lot.
    BTC: ContractSpec(10**6, E8, 2_000 * E8, 2_500 * E8, 5_000 * E8, 10_000 * E8),
    # 0.1 ETH; 0.05 USD, which is 5,000 atoms a lot.
    ETH: ContractSpec(10**7, 5_000_000, 100 * E8, 100 * E8, 200 * E8, 400 * E8),
}


def check(params: InstrumentParams) -> None:
    """Check the parameters against their hard bounds and each other."""
    expiries = params.dailies + params.weeklies + params.monthlies + params.quarterlies
    # One more of each tenor may be alive: it has been listed and has not yet expired or settled.
    ensure(0 < expiries <= EXPIRIES_PER_UNDERLYING_MAX - 4, "the rule's expiries fit, with those that are ending")
    ensure(1 <= params.strikes_each_side <= 16, "a bounded number of strikes is listed at once")
    ensure(30 * MINUTE_MS <= params.lead_ms <= 12 * HOUR_MS, "nothing is listed inside its settlement window")
    ensure(1 <= params.listings_per_block <= INSTRUMENTS_MAX, "a block's listings are bounded and go on")


def check_spec(spec: ContractSpec) -> None:
    """Check one contract's parameters against their hard bounds and each other."""
    ensure(0 < spec.lot_e8 <= E8 and spec.tick_e8 > 0, "lots and ticks are positive")
    ensure(spec.tick_e8 * spec.lot_e8 % E8_PER_ATOM == 0, "a tick of a lot is worth whole atoms")
    steps = (spec.daily_step_e8, spec.weekly_step_e8, spec.monthly_step_e8, spec.quarterly_step_e8)
    ensure(all(step > 0 and step % E8 == 0 for step in steps), "strikes are whole dollars")


def initialise(draft: Draft) -> None:
    """Write the default parameters."""
    params = InstrumentParams()
    check(params)
    draft[INSTRUMENT_PARAMS].put(0, params)
    for underlying in UNDERLYINGS:
        check_spec(DEFAULT_SPECS[underlying])
        draft[CONTRACT_SPECS].put(underlying, DEFAULT_SPECS[underlying])
