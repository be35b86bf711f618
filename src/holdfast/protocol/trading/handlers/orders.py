"""Single orders: place, amend, cancel."""

from holdfast.primitives.codec import Record
from holdfast.primitives.reject import Code, RejectedError
from holdfast.protocol.block import BlockContext
from holdfast.protocol.book import handlers as book
from holdfast.protocol.book.state import FLAG_QUOTE, FLAG_REDUCE_ONLY, ORDERS, Order, Side
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.rules import check_not_frozen
from holdfast.protocol.oracle.rules import Action
from holdfast.protocol.trading import rules
from holdfast.protocol.trading.handlers.matching import Matched, Taker, cancel, check_liquidity, match
from holdfast.protocol.trading.messages import (
    AmendOrder,
    CancelAll,
    Cancelled,
    CancelOrder,
    OrderAmended,
    OrderCancelled,
    OrderPlaced,
    PlaceOrder,
    SelfTrade,
    TimeInForce,
)
from holdfast.protocol.trading.state import Market
from holdfast.state.draft import Draft

# Bound once: a look-up of an enumeration's member costs more than the comparison that it is for.
_BUY = Side.BUY
_INCREASE_RISK = Action.INCREASE_RISK
_GOOD_TILL_CANCELLED = TimeInForce.GOOD_TILL_CANCELLED
_FILL_OR_KILL = TimeInForce.FILL_OR_KILL
_BY_OWNER = Cancelled.BY_OWNER

Events = tuple[Record, ...]


def place_order(draft: Draft, block: BlockContext, account_id: int, order: PlaceOrder) -> Events:
    """Match an order against its book and rest the remainder; judge the account's end state.

    Refuses: everything that `rules.check_tradable`, `check_size_and_price`, `check_flags`, `check_room` and margin's
    `check_initial` refuse, and ACCOUNT_IN_LIQUIDATION, REDUCE_ONLY_WOULD_INCREASE, POST_ONLY_WOULD_CROSS,
    FOK_NOT_FILLED, NO_LIQUIDITY.
    """
    check_not_frozen(draft, account_id)
    before = margin.remember(draft, account_id)
    action = Action.REDUCE_RISK if order.reduce_only else _INCREASE_RISK
    events = execute_order(draft, block, account_id, order, action)
    margin.check_initial(draft, account_id, before)
    return events


def execute_order(draft: Draft, block: BlockContext, account_id: int, order: PlaceOrder, action: Action) -> Events:
    """Place an order without judging the taker's margin: for `place_order`, and for a liquidation's hedge.

    `action` is what the price must be fit for.
    """
    instrument_id = order.instrument_id
    market = rules.get_market(draft, instrument_id, block.time_ms, action)
    instrument, line, array, params = market.instrument, market.line, market.array, market.params
    rules.check_flags(order)
    is_market = order.price_ticks == 0
    limit = (
        rules.compute_market_limit_ticks(params, array, line, instrument, order.side)
        if is_market
        else order.price_ticks
    )
    rules.check_size_and_price(params, array, instrument, order.lots, limit)
    lots = order.lots
    if order.reduce_only:
        lots = min(lots, rules.compute_reducing_lots(draft, account_id, instrument_id, order.side))
        if lots == 0:
            raise RejectedError(Code.REDUCE_ONLY_WOULD_INCREASE, instrument_id=instrument_id)
    rules.check_position_room(draft, account_id, instrument_id, lots if order.side == _BUY else -lots)
    crosses = rules.would_cross(draft, instrument_id, order.side, limit)
    if crosses and order.post_only:
        raise RejectedError(Code.POST_ONLY_WOULD_CROSS, price_ticks=limit)
    order_id = book.take_number(draft)
    matched = Matched(lots, is_stopped=False, events=[])
    if crosses:
        taker = Taker(account_id, rules.get_family(draft, account_id), order_id, order.side, limit, order.self_trade)
        matched = match(draft, block, market, taker, lots)
    if is_market:
        check_liquidity(matched, lots)
    if matched.open_lots and order.time_in_force == _FILL_OR_KILL:
        raise RejectedError(Code.FOK_NOT_FILLED, open_lots=matched.open_lots)
    may_rest = order.time_in_force == _GOOD_TILL_CANCELLED and not is_market
    rested = matched.open_lots if may_rest and not matched.is_stopped else 0
    if rested:
        rules.check_room(draft, account_id, instrument_id, order.side)
        flags = FLAG_REDUCE_ONLY if order.reduce_only else 0
        resting = Order(account_id, instrument_id, order.side, limit, rested, order_id, flags, order.client_id)
        margin.add_order(draft, order_id, resting, line)
    placed = OrderPlaced(
        order_id,
        account_id,
        instrument_id,
        order.side,
        limit,
        lots - matched.open_lots,
        rested,
        order.client_id,
    )
    return (placed, *matched.events, *_dropped(order_id, account_id, matched, rested))


def amend_order(draft: Draft, block: BlockContext, account_id: int, command: AmendOrder) -> Events:
    """Change an order; a new price or a larger size sends it to the back, and it may then trade at once.

    Refuses: ORDER_UNKNOWN, ORDER_NOT_YOURS, AMEND_NO_CHANGE, and what placing it anew would refuse.
    """
    check_not_frozen(draft, account_id)
    order = rules.get_own_order(draft, account_id, command.order_id)
    if order.flags & FLAG_QUOTE:
        raise RejectedError(Code.ORDER_NOT_YOURS, order_id=command.order_id, mend="replace a quote by a mass quote")
    if (command.price_ticks, command.lots) == (order.price_ticks, order.lots):
        raise RejectedError(Code.AMEND_NO_CHANGE, order_id=command.order_id)
    shrinks = command.price_ticks == order.price_ticks and command.lots < order.lots
    action = Action.REDUCE_RISK if shrinks or order.flags & FLAG_REDUCE_ONLY else _INCREASE_RISK
    market = rules.get_market(draft, order.instrument_id, block.time_ms, action)
    rules.check_size_and_price(market.params, market.array, market.instrument, command.lots, command.price_ticks)
    if shrinks:
        margin.shrink_order(draft, command.order_id, order, command.lots)
        return (OrderAmended(command.order_id, order.price_ticks, 0, command.lots),)
    before = margin.remember(draft, account_id)
    events = _requeue(draft, block, market, command, order)
    margin.check_initial(draft, account_id, before)
    return events


def cancel_order(draft: Draft, account_id: int, command: CancelOrder) -> Events:
    """Take one order back. Refuses: ORDER_UNKNOWN, ORDER_NOT_YOURS."""
    rules.get_own_order(draft, account_id, command.order_id)
    return (cancel(draft, command.order_id, _BY_OWNER),)


def cancel_all(draft: Draft, account_id: int, command: CancelAll, reason: Cancelled = Cancelled.BY_OWNER) -> Events:
    """Take every order of an account back, or those of one instrument."""
    return tuple(
        cancel(draft, order_id, reason)
        for order_id in book.get_open_orders(draft, account_id)
        if command.instrument_id in (0, draft[ORDERS][order_id].instrument_id)
    )


def cancel_instrument(draft: Draft, instrument_id: int) -> Events:
    """Take every order of an instrument that has expired off its book."""
    resting = [entry[2] for side in Side for entry in book.get_entries(draft, instrument_id, side)]
    return tuple(cancel(draft, order_id, Cancelled.EXPIRED) for order_id in resting)


def _requeue(draft: Draft, block: BlockContext, market: Market, command: AmendOrder, order: Order) -> Events:
    account_id, order_id = order.account_id, command.order_id
    margin.remove_order(draft, order_id)
    lots = command.lots
    if order.flags & FLAG_REDUCE_ONLY:
        lots = min(lots, rules.compute_reducing_lots(draft, account_id, order.instrument_id, order.side))
        if lots == 0:
            raise RejectedError(Code.REDUCE_ONLY_WOULD_INCREASE, instrument_id=order.instrument_id)
    rules.check_position_room(draft, account_id, order.instrument_id, lots if order.side == Side.BUY else -lots)
    family = rules.get_family(draft, account_id)
    taker = Taker(account_id, family, order_id, order.side, command.price_ticks, SelfTrade.CANCEL_RESTING)
    matched = match(draft, block, market, taker, lots)
    rested = 0 if matched.is_stopped else matched.open_lots
    if rested:
        rules.check_room(draft, account_id, order.instrument_id, order.side)
        priority = book.take_number(draft)
        resting = Order(
            account_id,
            order.instrument_id,
            order.side,
            command.price_ticks,
            rested,
            priority,
            order.flags,
            order.client_id,
        )
        margin.add_order(draft, order_id, resting, market.line)
    amended = OrderAmended(order_id, command.price_ticks, lots - matched.open_lots, rested)
    return (amended, *matched.events, *_dropped(order_id, account_id, matched, rested))


def _dropped(order_id: int, account_id: int, matched: Matched, rested: int) -> Events:
    """Say what of an incoming order neither filled nor rested."""
    lots = matched.open_lots - rested
    if lots == 0:
        return ()
    reason = Cancelled.FILL_LIMIT if matched.is_stopped else Cancelled.IMMEDIATE
    return (OrderCancelled(order_id, account_id, lots, reason),)
