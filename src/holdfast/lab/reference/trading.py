"""Orders: the book as a list sorted anew, matching, fees, protection."""

from typing import Final, NamedTuple

from holdfast.lab.reference import margin, oracle, positions
from holdfast.lab.reference.refusals import RefusedError, refuse_if
from holdfast.lab.reference.rounding import PPM, down, up
from holdfast.lab.reference.valuation import Line, Valuation
from holdfast.lab.reference.world import FEE_POT, INSURANCE_FUND, TREASURY, World
from holdfast.primitives.reject import Code
from holdfast.protocol.book.state import FLAG_QUOTE, FLAG_REDUCE_ONLY, Order, Side
from holdfast.protocol.instruments.state import Instrument
from holdfast.protocol.margin.state import Protection
from holdfast.protocol.trading.messages import (
    Cancelled,
    OrderCancelled,
    ProtectionTriggered,
    SelfTrade,
    Traded,
)

ORDER_LOTS_MAX: Final = 2**24
_PRICE_TICKS_MAX: Final = 2**40
_LOT_ATOMS_MAX: Final = 2**36
_ORDERS_PER_ACCOUNT: Final = 1_024
_ORDERS_PER_SIDE: Final = 16_384
_FILLS_PER_ORDER: Final = 512


class Incoming(NamedTuple):
    """An order on its way through the book."""

    order_id: int
    account_id: int
    instrument_id: int
    side: int
    limit: int  # in ticks
    self_trade: int


class Outcome(NamedTuple):
    """What matching came to; a stopped order's rest is cancelled, not rested."""

    open_lots: int
    is_stopped: bool


def take_number(world: World) -> int:
    """Return the next number of the sequence that order ids and priorities share."""
    number = world.next_order.get(0, 1)
    world.next_order[0] = number + 1
    return number


def book_side(world: World, instrument_id: int, side: int) -> list[tuple[int, Order]]:
    """Return the resting orders of a side, the first in line first: best price, then lowest priority."""
    sign = -1 if side == Side.BUY else 1
    resting = [
        (number, order)
        for number, order in world.orders.items()
        if order.instrument_id == instrument_id and order.side == side
    ]
    return sorted(resting, key=lambda pair: (sign * pair[1].price_ticks, pair[1].priority))


def own_orders(world: World, account_id: int) -> list[tuple[int, Order]]:
    """Return an account's orders by id."""
    return sorted((number, order) for number, order in list_orders(world) if order.account_id == account_id)


def list_orders(world: World) -> list[tuple[int, Order]]:
    """Return every resting order."""
    return list(world.orders.items())


def crosses(side: int, limit: int, resting: int) -> bool:
    """Return whether an order at a limit would trade with a resting price."""
    return resting <= limit if side == Side.BUY else resting >= limit


def would_cross(world: World, instrument_id: int, side: int, limit: int) -> bool:
    """Return whether an order would trade at once."""
    against = book_side(world, instrument_id, 1 - side)
    return bool(against) and crosses(side, limit, against[0][1].price_ticks)


def check_tradable(world: World, valuation: Valuation | None, instrument_id: int, action: str) -> Instrument:
    """Refuse an instrument that may not be traded now: gone, halted, or at a price that does not allow it."""
    instrument = world.instruments.get(instrument_id)
    if instrument is None:
        was_listed = 0 < instrument_id < world.next_instrument.get(0, 0)
        raise RefusedError(Code.INSTRUMENT_EXPIRED if was_listed else Code.INSTRUMENT_UNKNOWN)
    refuse_if(world.now_ms >= instrument.expiry_ms, Code.INSTRUMENT_EXPIRED)
    refuse_if(instrument.is_halted, Code.INSTRUMENT_HALTED)
    oracle.check_allowed(world, instrument.underlying, action)
    refuse_if(action == oracle.INCREASE and margin.is_depegged(world, valuation), Code.USDC_DEPEGGED)
    return instrument


def get_line(valuation: Valuation | None, instrument_id: int) -> Line:
    """Return an instrument's value and row, refusing one that has none."""
    line = None if valuation is None else valuation.lines.get(instrument_id)
    if line is None:
        raise RefusedError(Code.NO_MARK)
    return line


def check_numbers(world: World, valuation: Valuation, instrument: Instrument, lots: int, ticks: int) -> None:
    """Refuse sizes and prices out of bounds, and orders worth less than the minimum."""
    refuse_if(lots <= 0, Code.SIZE_NOT_POSITIVE)
    refuse_if(lots > ORDER_LOTS_MAX, Code.SIZE_TOO_LARGE)
    refuse_if(ticks <= 0, Code.PRICE_NOT_POSITIVE)
    refuse_if(ticks > _PRICE_TICKS_MAX or ticks * instrument.tick_value_atoms > _LOT_ATOMS_MAX, Code.PRICE_TOO_LARGE)
    notional = lots * valuation.lot_worth[instrument.underlying]
    refuse_if(notional < world.trading_params[0].min_notional_atoms, Code.NOTIONAL_TOO_SMALL)


def check_book_room(world: World, account_id: int, instrument_id: int, side: int) -> None:
    """Refuse one order too many, of an account or of a side."""
    refuse_if(len(own_orders(world, account_id)) >= _ORDERS_PER_ACCOUNT, Code.ORDERS_FULL)
    refuse_if(len(book_side(world, instrument_id, side)) >= _ORDERS_PER_SIDE, Code.BOOK_FULL)


def reducing_lots(world: World, account_id: int, instrument_id: int, side: int) -> int:
    """Return how many lots a side can trade before it stops reducing the account's position."""
    held = world.lots(account_id, instrument_id)
    return max(0, -held if side == Side.BUY else held)


def market_limit(world: World, valuation: Valuation, line: Line, instrument: Instrument, side: int) -> int:
    """Return the worst price of a market order in ticks: a bounded way from the mark, for a cheap option less."""
    params, worth = world.trading_params[0], valuation.lot_worth[instrument.underlying]
    band = down(worth * params.market_band_ppm, PPM)
    if not line.is_future:
        near = max(line.value * params.market_premium_ppm, worth * params.market_floor_ppm)
        band = min(band, down(near, PPM))
    if side == Side.BUY:
        return max(1, down(line.value + band, instrument.tick_value_atoms))
    return max(1, up(line.value - band, instrument.tick_value_atoms))


def cancel(world: World, order_id: int, reason: Cancelled) -> None:
    """Take an order off the book."""
    order = world.orders.pop(order_id)
    world.events.append(OrderCancelled(order_id, order.account_id, order.lots, reason))


def resize(world: World, order_id: int, lots: int) -> None:
    """Leave an order in its place with fewer lots, or take it off at none."""
    order = world.orders.pop(order_id)
    if lots:
        world.orders[order_id] = Order(
            order.account_id,
            order.instrument_id,
            order.side,
            order.price_ticks,
            lots,
            order.priority,
            order.flags,
            order.client_id,
        )


def cancel_quotes(world: World, account_id: int, underlying: int) -> None:
    """Take back all of an account's quotes in one underlying."""
    for order_id, order in own_orders(world, account_id):
        if order.flags & FLAG_QUOTE and world.instruments[order.instrument_id].underlying == underlying:
            cancel(world, order_id, Cancelled.PROTECTION)


def match(world: World, valuation: Valuation, incoming: Incoming, lots: int) -> Outcome:
    """Fill an order against the other side, first in line first."""
    open_lots = lots
    for _ in range(_FILLS_PER_ORDER):
        against = book_side(world, incoming.instrument_id, 1 - incoming.side)
        if open_lots == 0 or not against or not crosses(incoming.side, incoming.limit, against[0][1].price_ticks):
            return Outcome(open_lots, is_stopped=False)
        maker_id, maker = against[0]
        if world.family(maker.account_id) == world.family(incoming.account_id):
            if incoming.self_trade in (SelfTrade.CANCEL_RESTING, SelfTrade.CANCEL_BOTH):
                cancel(world, maker_id, Cancelled.SELF_TRADE)
            if incoming.self_trade in (SelfTrade.CANCEL_INCOMING, SelfTrade.CANCEL_BOTH):
                return Outcome(open_lots, is_stopped=True)
            continue
        open_lots -= _meet(world, valuation, incoming, maker_id, maker, open_lots)
    return Outcome(open_lots, is_stopped=True)


def _meet(world: World, valuation: Valuation, incoming: Incoming, maker_id: int, maker: Order, open_lots: int) -> int:
    """Fill as much of the first resting order as may be; return the lots filled."""
    underlying = world.instruments[maker.instrument_id].underlying
    is_quote, is_reducing = bool(maker.flags & FLAG_QUOTE), bool(maker.flags & FLAG_REDUCE_ONLY)
    protection = get_protection(world, maker.account_id, underlying) if is_quote else None
    lots = min(open_lots, maker.lots)
    if is_reducing:
        lots = min(lots, reducing_lots(world, maker.account_id, maker.instrument_id, maker.side))
    if protection is not None:
        lots = min(lots, protection.limit_lots - protection.filled_lots)
    if lots <= 0:
        cancel(world, maker_id, Cancelled.REDUCE_ONLY if is_reducing else Cancelled.PROTECTION)
        return 0
    signed = lots if incoming.side == Side.BUY else -lots
    value = signed * maker.price_ticks * world.instruments[maker.instrument_id].tick_value_atoms
    # The taker's own bounds refuse the taker.
    positions.check_cost(world, incoming.account_id, maker.instrument_id, signed, value)
    was = margin.before(world, valuation, maker.account_id)
    try:
        with world.attempt():
            positions.check_room(world, maker.account_id, maker.instrument_id, -signed)
            _fill(world, valuation, incoming, maker_id, maker, signed, value)
            margin.check(world, valuation, maker.account_id, was)
    except RefusedError:
        cancel(world, maker_id, Cancelled.MARGIN_AT_FILL)
        return 0
    if protection is not None:
        _count_protected(world, maker.account_id, underlying, protection, lots)
    return lots


def _fill(
    world: World,
    valuation: Valuation,
    incoming: Incoming,
    maker_id: int,
    maker: Order,
    signed: int,
    value: int,
) -> None:
    taker_id, lots = incoming.account_id, abs(signed)
    positions.trade(world, taker_id, maker.account_id, maker.instrument_id, signed, value)
    params, line = world.trading_params[0], valuation.lines[maker.instrument_id]
    fees = []
    for payer_id, rate in ((taker_id, params.taker_ppm), (maker.account_id, params.maker_ppm)):
        fee = up(lots * valuation.lot_worth[line.underlying] * rate, PPM)
        if not line.is_future:
            fee = min(fee, up(abs(value) * params.option_cap_ppm, PPM))
        world.pay(payer_id, FEE_POT, fee)
        fees.append(fee)
    resize(world, maker_id, maker.lots - lots)
    world.events.append(
        Traded(
            maker.instrument_id,
            maker.price_ticks,
            lots,
            incoming.side,
            taker_id,
            maker.account_id,
            incoming.order_id,
            maker_id,
            *fees,
        )
    )


def get_protection(world: World, account_id: int, underlying: int) -> Protection | None:
    """Return a market maker's protection as of now: a window that is over begins anew."""
    kept = world.protections.get((account_id, underlying))
    if kept is None or world.now_ms < kept.window_start_ms + kept.window_ms:
        return kept
    return Protection(kept.limit_lots, kept.window_ms, 0, world.now_ms, kept.frozen_until_ms)


def _count_protected(world: World, account_id: int, underlying: int, protection: Protection, lots: int) -> None:
    filled, frozen_until = protection.filled_lots + lots, protection.frozen_until_ms
    if filled >= protection.limit_lots:
        frozen_until = protection.window_start_ms + protection.window_ms
        cancel_quotes(world, account_id, underlying)
        world.events.append(ProtectionTriggered(account_id, underlying, frozen_until))
    world.protections[account_id, underlying] = Protection(
        protection.limit_lots,
        protection.window_ms,
        filled,
        protection.window_start_ms or world.now_ms,
        frozen_until,
    )


def give_out_fees(world: World) -> None:
    """Share the block's fees between the insurance fund and the treasury; what rounding leaves is the fund's."""
    fees, share = world.cash(FEE_POT), world.trading_params[0].insurance_share_ppm
    insurance, treasury = down(fees * share, PPM), down(fees * (PPM - share), PPM)
    dust = fees - insurance - treasury
    world.pay(FEE_POT, INSURANCE_FUND, insurance + dust)
    world.pay(FEE_POT, TREASURY, treasury)
    if dust:
        world.dust[0] = world.dust.get(0, 0) + dust
