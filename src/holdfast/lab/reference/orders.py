"""The commands of trading: place, amend, cancel, quotes and their protection."""

from holdfast.lab.reference import margin, oracle, positions, trading
from holdfast.lab.reference.refusals import RefusedError, refuse_if
from holdfast.lab.reference.valuation import Valuation
from holdfast.lab.reference.world import COINS, World
from holdfast.primitives.reject import Code
from holdfast.protocol.book.state import FLAG_QUOTE, FLAG_REDUCE_ONLY, Order, Side
from holdfast.protocol.margin.state import Protection
from holdfast.protocol.trading.messages import (
    AmendOrder,
    CancelAll,
    Cancelled,
    CancelOrder,
    MassQuote,
    OrderAmended,
    OrderCancelled,
    OrderPlaced,
    PlaceOrder,
    ProtectionSet,
    Quote,
    Quoted,
    SelfTrade,
    SetProtection,
    TimeInForce,
)


def place(world: World, valuation: Valuation | None, account_id: int, order: PlaceOrder) -> None:
    """Place an order and judge the account's end state."""
    margin.check_not_frozen(world, account_id)
    was = margin.before(world, valuation, account_id)
    execute(world, valuation, account_id, order, oracle.REDUCE if order.reduce_only else oracle.INCREASE)
    margin.check(world, valuation, account_id, was)


def execute(world: World, valuation: Valuation | None, account_id: int, order: PlaceOrder, action: str) -> None:
    """Match an order and rest what is left, without judging the account's margin."""
    instrument_id = order.instrument_id
    instrument = trading.check_tradable(world, valuation, instrument_id, action)
    line = trading.get_line(valuation, instrument_id)
    if valuation is None:
        raise RefusedError(Code.NO_MARK)
    is_market = order.price_ticks == 0
    rests = order.time_in_force == TimeInForce.GOOD_TILL_CANCELLED and not is_market
    refuse_if(order.post_only and not rests, Code.ORDER_FLAGS_CONFLICT)
    limit = trading.market_limit(world, valuation, line, instrument, order.side) if is_market else order.price_ticks
    trading.check_numbers(world, valuation, instrument, order.lots, limit)
    lots = order.lots
    if order.reduce_only:
        lots = min(lots, trading.reducing_lots(world, account_id, instrument_id, order.side))
        refuse_if(lots == 0, Code.REDUCE_ONLY_WOULD_INCREASE)
    positions.check_room(world, account_id, instrument_id, lots if order.side == Side.BUY else -lots)
    refuse_if(
        order.post_only and trading.would_cross(world, instrument_id, order.side, limit), Code.POST_ONLY_WOULD_CROSS
    )
    order_id = trading.take_number(world)
    place = len(world.events)
    outcome = trading.match(
        world,
        valuation,
        trading.Incoming(order_id, account_id, instrument_id, order.side, limit, order.self_trade),
        lots,
    )
    refuse_if(is_market and outcome.open_lots == lots, Code.NO_LIQUIDITY)
    refuse_if(outcome.open_lots > 0 and order.time_in_force == TimeInForce.FILL_OR_KILL, Code.FOK_NOT_FILLED)
    rested = outcome.open_lots if rests and not outcome.is_stopped else 0
    if rested:
        trading.check_book_room(world, account_id, instrument_id, order.side)
        flags = FLAG_REDUCE_ONLY if order.reduce_only else 0
        world.orders[order_id] = Order(
            account_id, instrument_id, order.side, limit, rested, order_id, flags, order.client_id
        )
    filled = lots - outcome.open_lots
    placed = OrderPlaced(order_id, account_id, instrument_id, order.side, limit, filled, rested, order.client_id)
    world.events.insert(place, placed)
    _drop_rest(world, order_id, account_id, outcome, rested)


def _drop_rest(world: World, order_id: int, account_id: int, outcome: trading.Outcome, rested: int) -> None:
    """Say what of an incoming order neither filled nor rested."""
    lots = outcome.open_lots - rested
    if lots:
        reason = Cancelled.FILL_LIMIT if outcome.is_stopped else Cancelled.IMMEDIATE
        world.events.append(OrderCancelled(order_id, account_id, lots, reason))


def _own(world: World, account_id: int, order_id: int) -> Order:
    order = world.orders.get(order_id)
    if order is None:
        raise RefusedError(Code.ORDER_UNKNOWN)
    refuse_if(order.account_id != account_id, Code.ORDER_NOT_YOURS)
    return order


def cancel_one(world: World, account_id: int, command: CancelOrder) -> None:
    """Take one's own order back."""
    _own(world, account_id, command.order_id)
    trading.cancel(world, command.order_id, Cancelled.BY_OWNER)


def cancel_all(world: World, account_id: int, command: CancelAll, reason: Cancelled = Cancelled.BY_OWNER) -> None:
    """Take every order of an account back, or those of one instrument."""
    for order_id, order in trading.own_orders(world, account_id):
        if command.instrument_id in (0, order.instrument_id):
            trading.cancel(world, order_id, reason)


def amend(world: World, valuation: Valuation | None, account_id: int, command: AmendOrder) -> None:
    """Change an order: it keeps its place where it only shrinks, else it goes to the back and may trade at once."""
    margin.check_not_frozen(world, account_id)
    order = _own(world, account_id, command.order_id)
    refuse_if(bool(order.flags & FLAG_QUOTE), Code.ORDER_NOT_YOURS)
    refuse_if((command.price_ticks, command.lots) == (order.price_ticks, order.lots), Code.AMEND_NO_CHANGE)
    shrinks = command.price_ticks == order.price_ticks and command.lots < order.lots
    is_reducing = bool(order.flags & FLAG_REDUCE_ONLY)
    action = oracle.REDUCE if is_reducing or shrinks else oracle.INCREASE
    instrument = trading.check_tradable(world, valuation, order.instrument_id, action)
    if valuation is None:
        raise RefusedError(Code.NO_MARK)
    trading.check_numbers(world, valuation, instrument, command.lots, command.price_ticks)
    if shrinks:
        trading.resize(world, command.order_id, command.lots)
        world.events.append(OrderAmended(command.order_id, order.price_ticks, 0, command.lots))
        return
    was = margin.before(world, valuation, account_id)
    _requeue(world, valuation, command, order, is_reducing=is_reducing)
    margin.check(world, valuation, account_id, was)


def _requeue(world: World, valuation: Valuation, command: AmendOrder, order: Order, *, is_reducing: bool) -> None:
    account_id, instrument_id, order_id = order.account_id, order.instrument_id, command.order_id
    del world.orders[order_id]
    lots = command.lots
    if is_reducing:
        lots = min(lots, trading.reducing_lots(world, account_id, instrument_id, order.side))
        refuse_if(lots == 0, Code.REDUCE_ONLY_WOULD_INCREASE)
    positions.check_room(world, account_id, instrument_id, lots if order.side == Side.BUY else -lots)
    trading.get_line(valuation, instrument_id)
    at = len(world.events)
    incoming = trading.Incoming(
        order_id, account_id, instrument_id, order.side, command.price_ticks, SelfTrade.CANCEL_RESTING
    )
    outcome = trading.match(world, valuation, incoming, lots)
    rested = 0 if outcome.is_stopped else outcome.open_lots
    if rested:
        trading.check_book_room(world, account_id, instrument_id, order.side)
        priority = trading.take_number(world)
        world.orders[order_id] = Order(
            account_id,
            instrument_id,
            order.side,
            command.price_ticks,
            rested,
            priority,
            order.flags,
            order.client_id,
        )
    world.events.insert(at, OrderAmended(order_id, command.price_ticks, lots - outcome.open_lots, rested))
    _drop_rest(world, order_id, account_id, outcome, rested)


def set_protection(world: World, valuation: Valuation | None, account_id: int, command: SetProtection) -> None:
    """Bound how many lots of quotes may fill within a window; no lots take bound and quotes away."""
    refuse_if(command.underlying not in COINS, Code.PROTECTION_INVALID)
    key = (account_id, command.underlying)
    done = ProtectionSet(account_id, command.underlying, command.limit_lots, command.window_ms)
    if command.limit_lots == 0:
        trading.cancel_quotes(world, account_id, command.underlying)
        world.protections.pop(key, None)
        world.events.append(done)
        return
    longest = world.trading_params[0].protection_window_ms_max
    is_good = 0 < command.window_ms <= longest and command.limit_lots <= trading.ORDER_LOTS_MAX
    refuse_if(not is_good, Code.PROTECTION_INVALID)
    was = margin.before(world, valuation, account_id).need
    old = world.protections.get(key, Protection(0, 0, 0, 0, 0))
    world.protections[key] = Protection(
        command.limit_lots, command.window_ms, old.filled_lots, old.window_start_ms, old.frozen_until_ms
    )
    now = margin.before(world, valuation, account_id).need
    refuse_if(now.initial - now.equity > max(0, was.initial - was.equity), Code.MARGIN_INITIAL_SHORT)
    world.events.append(done)


def mass_quote(world: World, valuation: Valuation | None, account_id: int, command: MassQuote) -> None:
    """Put quotes in the place of the account's quotes, side by side; margin is judged once."""
    margin.check_not_frozen(world, account_id)
    protection = trading.get_protection(world, account_id, command.underlying)
    if protection is None:
        raise RefusedError(Code.QUOTE_NOT_PROTECTED)
    refuse_if(world.now_ms < protection.frozen_until_ms, Code.QUOTE_NOT_PROTECTED)
    was = margin.before(world, valuation, account_id)
    codes: list[int] = []
    rested = 0
    for quote in command.quotes:
        bid, ask = _quote(world, valuation, account_id, command.underlying, quote)
        codes += [bid, ask]
        rested += (bid == 0 and quote.bid_lots > 0) + (ask == 0 and quote.ask_lots > 0)
    margin.check(world, valuation, account_id, was)
    world.events.append(Quoted(account_id, rested, tuple(codes)))


def _find_quote(world: World, account_id: int, instrument_id: int, side: int) -> int | None:
    for order_id, order in world.orders.items():
        place = (order.account_id, order.instrument_id, order.side)
        if place == (account_id, instrument_id, side) and order.flags & FLAG_QUOTE:
            return order_id
    return None


def _quote(
    world: World, valuation: Valuation | None, account_id: int, underlying: int, quote: Quote
) -> tuple[int, int]:
    """Put both sides up, the one that moves away first; return the code of each, bid first."""
    old_ask = _find_quote(world, account_id, quote.instrument_id, Side.SELL)
    moves_up = old_ask is not None and world.orders[old_ask].price_ticks <= quote.bid_ticks
    codes = {Side.BUY: 0, Side.SELL: 0}
    for side in (Side.SELL, Side.BUY) if moves_up else (Side.BUY, Side.SELL):
        ticks, lots = (quote.bid_ticks, quote.bid_lots) if side == Side.BUY else (quote.ask_ticks, quote.ask_lots)
        try:
            with world.attempt():
                _quote_side(world, valuation, account_id, underlying, quote.instrument_id, side, ticks, lots)
        except RefusedError as refused:
            codes[side] = int(refused.code)
    return codes[Side.BUY], codes[Side.SELL]


def _quote_side(
    world: World,
    valuation: Valuation | None,
    account_id: int,
    underlying: int,
    instrument_id: int,
    side: Side,
    ticks: int,
    lots: int,
) -> None:
    old_id = _find_quote(world, account_id, instrument_id, side)
    if lots == 0:
        if old_id is not None:
            del world.orders[old_id]
        return
    instrument = trading.check_tradable(world, valuation, instrument_id, oracle.INCREASE)
    trading.get_line(valuation, instrument_id)
    if valuation is None:
        raise RefusedError(Code.NO_MARK)
    refuse_if(instrument.underlying != underlying, Code.INSTRUMENT_UNKNOWN)
    trading.check_numbers(world, valuation, instrument, lots, ticks)
    refuse_if(trading.would_cross(world, instrument_id, side, ticks), Code.POST_ONLY_WOULD_CROSS)
    old = None if old_id is None else world.orders[old_id]
    if old_id is None or old is None:
        trading.check_book_room(world, account_id, instrument_id, side)
        order_id = priority = trading.take_number(world)
    elif old.price_ticks == ticks and lots <= old.lots:
        trading.resize(world, old_id, lots)
        return
    else:
        order_id, priority = old_id, trading.take_number(world)
    world.orders[order_id] = Order(account_id, instrument_id, side, ticks, lots, priority, FLAG_QUOTE, 0)
