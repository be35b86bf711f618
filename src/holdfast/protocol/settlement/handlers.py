"""Sampling, fixing, paying out; and the daily realisation of futures."""

from bisect import bisect_right

from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.primitives.units import DAY_MS, HOUR_MS, MINUTE_MS, div_floor, share_floor
from holdfast.protocol.accounts.state import CLEARING_BASE, INSURANCE_FUND, TREASURY
from holdfast.protocol.block import BlockContext
from holdfast.protocol.instruments import handlers as instruments
from holdfast.protocol.instruments.state import INSTRUMENTS, SERIES, Kind
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import USDC
from holdfast.protocol.oracle.rules import Action, get_price, is_action_allowed
from holdfast.protocol.portfolio import handlers as portfolio
from holdfast.protocol.portfolio.state import POSITIONS
from holdfast.protocol.settlement import rules
from holdfast.protocol.settlement.messages import (
    FutureRealised,
    InstrumentSettled,
    PositionSettled,
    SettlementPriceFixed,
)
from holdfast.protocol.settlement.params import SETTLEMENT_PARAMS
from holdfast.protocol.settlement.rules import get_fixings
from holdfast.protocol.settlement.state import (
    DAILY_RUN,
    SAMPLES_MAX,
    SETTLEMENTS,
    WINDOWS,
    DailyRun,
    Settlement,
    Window,
)
from holdfast.protocol.surface import handlers as surface
from holdfast.protocol.surface.state import RISK_ARRAY
from holdfast.protocol.trading import handlers as trading
from holdfast.state.draft import Draft

__all__ = ["get_fixings", "realise_daily", "sample", "settle_due"]

Events = tuple[Record, ...]

_DAY_STARTS_MS = 8 * HOUR_MS


def sample(draft: Draft, block: BlockContext) -> Events:
    """Take this block's prices into the average of every expiry whose window is open, where their status allows it."""
    minute = div_floor(block.time_ms, MINUTE_MS)
    for key in list(draft[SERIES].keys()):
        underlying, expiry_ms = key
        if block.time_ms < expiry_ms - rules.WINDOW_MS or key in draft[SETTLEMENTS]:
            continue
        before = draft[WINDOWS].get(key) or Window(minute, (), ())
        window = rules.compute_rolled(before, minute)
        price = get_price(draft, underlying)
        is_good = price is not None and is_action_allowed(draft, underlying, Action.SAMPLE)
        if price is not None and is_good and len(window.prices_e8) < SAMPLES_MAX:
            window = Window(window.minute, (*window.prices_e8, price), window.good)
        draft[WINDOWS].put(key, window)
    return ()


def settle_due(draft: Draft, block: BlockContext) -> Events:
    """Empty the books of what has expired, then fix the prices that are due, then pay out, within the block's budget.

    An instrument's book is emptied whole and its positions are paid whole, so that its sums hold after every block; the
    budget may be passed by one instrument's share of it, which the limits on orders and accounts bound.
    """
    events: list[Record] = []
    steps = draft[SETTLEMENT_PARAMS][0].steps_per_block
    for key in list(draft[SERIES].keys()):
        if key[1] > block.time_ms:
            continue
        for instrument_id in draft[SERIES][key]:
            if steps <= 0:
                return tuple(events)
            done = trading.cancel_instrument(draft, instrument_id)
            steps -= len(done)
            events.extend(done)
        events.extend(_fix(draft, key))
        settlement = draft[SETTLEMENTS].get(key)
        if settlement is None:
            continue
        for instrument_id in draft[SERIES][key]:
            if steps <= 0:
                return tuple(events)
            done = _settle(draft, instrument_id, settlement.price_e8)
            steps -= len(done)
            events.extend(done)
        if key not in draft[SERIES]:
            draft[SETTLEMENTS].put(key, Settlement(settlement.price_e8, settlement.minutes, is_complete=True))
    return tuple(events)


def realise_daily(draft: Draft, block: BlockContext) -> Events:
    """From the first block of a day, 08:00 UTC, pay every future's profit or loss at its mark, and set its cost to it.

    Call it between repricing and the revaluation of accounts: it moves profit from the cost of a position to cash.
    """
    array = draft[RISK_ARRAY].get(0)
    today = div_floor(block.time_ms - _DAY_STARTS_MS, DAY_MS)
    run = draft[DAILY_RUN].get(0)
    if run is None:
        draft[DAILY_RUN].put(0, DailyRun(today, 0, 0, is_done=True))
        return ()
    if array is None or (run.is_done and run.day >= today):
        return ()
    if run.is_done:
        run = DailyRun(today, 0, 0, is_done=False)
    steps = draft[SETTLEMENT_PARAMS][0].steps_per_block
    events: list[Record] = []
    for place in array.is_future.nonzero()[0].tolist():
        instrument_id = int(array.instrument_ids[place])
        if instrument_id < run.instrument_id:
            continue
        holders = portfolio.get_holders(draft, instrument_id)
        first = bisect_right(holders, run.account_id) if instrument_id == run.instrument_id else 0
        for account_id in holders[first : first + steps]:
            events.extend(_realise(draft, instrument_id, account_id, int(array.values_atoms[place])))
            run = DailyRun(run.day, instrument_id, account_id, is_done=False)
        if len(holders) - first > steps:
            draft[DAILY_RUN].put(0, run)
            return tuple(events)
        steps -= len(holders) - first
    draft[DAILY_RUN].put(0, DailyRun(run.day, 0, 0, is_done=True))
    return tuple(events)


def _fix(draft: Draft, key: tuple[int, int]) -> Events:
    """Write an expiry's price, once, as soon as its average is complete."""
    window = draft[WINDOWS].get(key)
    if window is None:
        return ()
    average = rules.compute_average(draft[SETTLEMENT_PARAMS][0], window, key[1])
    if average is None:
        return ()
    ensure(key not in draft[SETTLEMENTS], "a settlement price is written once")
    draft[SETTLEMENTS].put(key, Settlement(*average, is_complete=False))
    draft[WINDOWS].delete(key)
    return (SettlementPriceFixed(*key, *average),)


def _settle(draft: Draft, instrument_id: int, price_e8: int) -> Events:
    """Settle every position of an instrument, and retire it."""
    instrument = draft[INSTRUMENTS][instrument_id]
    params = draft[SETTLEMENT_PARAMS][0]
    payoff = rules.compute_payoff_atoms(instrument, price_e8)
    pot = CLEARING_BASE + instrument_id
    events: list[Record] = []
    for account_id in portfolio.get_holders(draft, instrument_id):
        position = portfolio.remove(draft, account_id, instrument_id)
        amount = position.lots * payoff - (position.cost_atoms if instrument.kind == Kind.FUTURE else 0)
        fee = rules.compute_delivery_fee_atoms(params, instrument, position.lots, payoff, price_e8)
        insurance = share_floor(fee, params.insurance_share_ppm)
        ledger.move(draft, pot, account_id, USDC, amount)
        ledger.move(draft, account_id, INSURANCE_FUND, USDC, insurance)
        ledger.move(draft, account_id, TREASURY, USDC, fee - insurance)
        events.append(PositionSettled(instrument_id, account_id, position.lots, amount, insurance, fee - insurance))
    ensure(ledger.get_cash(draft, pot) == 0, "a settled instrument's clearing pot is empty")
    surface.remove(draft, instrument_id)
    retired = instruments.retire(draft, instrument_id)
    return (*events, InstrumentSettled(instrument_id, price_e8, payoff), retired)


def _realise(draft: Draft, instrument_id: int, account_id: int, value_atoms: int) -> Events:
    position = draft[POSITIONS][account_id, instrument_id]
    cost = position.lots * value_atoms
    amount = cost - position.cost_atoms
    if amount == 0:
        return ()
    ledger.move(draft, CLEARING_BASE + instrument_id, account_id, USDC, amount)
    portfolio.set_cost(draft, account_id, instrument_id, cost)
    return (FutureRealised(instrument_id, account_id, amount),)
