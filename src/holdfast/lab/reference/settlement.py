"""Settlement: what becomes of what has expired, and the daily realisation of futures."""

from typing import Final

from holdfast.lab.reference import averages, listing
from holdfast.lab.reference.rounding import PPM, down, up, worth_atoms
from holdfast.lab.reference.trading import cancel
from holdfast.lab.reference.valuation import Valuation
from holdfast.lab.reference.world import CLEARING_POTS, INSURANCE_FUND, TREASURY, World
from holdfast.primitives.check import ensure
from holdfast.protocol.instruments.state import Instrument, Kind
from holdfast.protocol.portfolio.state import Position
from holdfast.protocol.settlement.state import DailyRun, Settlement
from holdfast.protocol.trading.messages import Cancelled

_DAY_MS: Final = 86_400_000
_EIGHT_HOURS_MS: Final = 8 * 3_600_000


def settle_due(world: World) -> None:
    """Empty the books of what has expired, fix its price when it can be, pay out; within the block's steps."""
    steps = world.settlement_params[0].steps_per_block
    for key, members in world.series().items():
        if key[1] > world.now_ms:
            continue
        for instrument_id in members:
            if steps <= 0:
                return
            for order_id in [number for number, order in world.orders.items() if order.instrument_id == instrument_id]:
                cancel(world, order_id, Cancelled.EXPIRED)
                steps -= 1
        _fix(world, key)
        settlement = world.settlements.get(key)
        if settlement is None:
            continue
        for instrument_id in members:
            if steps <= 0:
                return
            # A step for each holder, one for the instrument, one for its end.
            steps -= len(world.holders(instrument_id)) + 2
            _settle(world, instrument_id, settlement.price_e8)
        world.settlements[key] = Settlement(settlement.price_e8, settlement.minutes, is_complete=True)


def _fix(world: World, key: tuple[int, int]) -> None:
    window = world.windows.get(key)
    average = None if window is None else averages.compute_average(world, window, key[1])
    if average is not None:
        ensure(key not in world.settlements, "a settlement price is written once")
        world.settlements[key] = Settlement(*average, is_complete=False)
        del world.windows[key]


def _settle(world: World, instrument_id: int, price_e8: int) -> None:
    """Pay every position of an instrument out of its clearing pot, and retire it."""
    instrument = world.instruments[instrument_id]
    params = world.settlement_params[0]
    payoff = _payoff(instrument, price_e8)
    pot = CLEARING_POTS + instrument_id
    for account_id in world.holders(instrument_id):
        position = world.positions.pop((account_id, instrument_id))
        cost = position.cost_atoms if instrument.kind == Kind.FUTURE else 0
        world.pay(pot, account_id, position.lots * payoff - cost)
        fee = 0
        if instrument.kind != Kind.FUTURE and position.lots > 0 and payoff > 0:
            worth = position.lots * worth_atoms(price_e8, instrument.lot_e8)
            fee = min(up(worth * params.delivery_ppm, PPM), up(position.lots * payoff * params.delivery_cap_ppm, PPM))
        insurance = down(fee * params.insurance_share_ppm, PPM)
        world.pay(account_id, INSURANCE_FUND, insurance)
        world.pay(account_id, TREASURY, fee - insurance)
    ensure(world.cash(pot) == 0, "a settled instrument's clearing pot is empty")
    listing.retire(world, instrument_id)


def _payoff(instrument: Instrument, price_e8: int) -> int:
    worth = {
        Kind.FUTURE: price_e8,
        Kind.CALL: max(0, price_e8 - instrument.strike_e8),
        Kind.PUT: max(0, instrument.strike_e8 - price_e8),
    }[instrument.kind]
    return worth_atoms(worth, instrument.lot_e8)


def realise_daily(world: World, valuation: Valuation | None) -> None:
    """From 08:00 UTC on, pay every future's profit or loss at its mark and set its cost to it, so many a block."""
    today = down(world.now_ms - _EIGHT_HOURS_MS, _DAY_MS)
    run = world.daily_run.get(0)
    if run is None:
        world.daily_run[0] = DailyRun(today, 0, 0, is_done=True)
        return
    if valuation is None or (run.is_done and run.day >= today):
        return
    if run.is_done:
        run = DailyRun(today, 0, 0, is_done=False)
    futures = [number for number, line in sorted(valuation.lines.items()) if line.is_future]
    waiting = [
        (instrument_id, account_id)
        for instrument_id in futures
        for account_id in world.holders(instrument_id)
        if (instrument_id, account_id) > (run.instrument_id, run.account_id)
    ]
    steps = world.settlement_params[0].steps_per_block
    for instrument_id, account_id in waiting[:steps]:
        position = world.positions[account_id, instrument_id]
        worth = position.lots * valuation.lines[instrument_id].value
        world.pay(CLEARING_POTS + instrument_id, account_id, worth - position.cost_atoms)
        world.positions[account_id, instrument_id] = Position(position.lots, worth)
    if len(waiting) > steps:
        world.daily_run[0] = DailyRun(run.day, *waiting[:steps][-1], is_done=False)
    else:
        world.daily_run[0] = DailyRun(run.day, 0, 0, is_done=True)
