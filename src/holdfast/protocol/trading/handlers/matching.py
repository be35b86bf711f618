"""Matching: fills against the other side, best price and oldest first."""

from holdfast.primitives.codec import Record
from holdfast.primitives.reject import Code, RejectedError
from holdfast.protocol.accounts.state import FEE_POT
from holdfast.protocol.block import BlockContext
from holdfast.protocol.book import handlers as book
from holdfast.protocol.book.state import FLAG_QUOTE, FLAG_REDUCE_ONLY, ORDERS, Order, Side
from holdfast.protocol.instruments.state import INSTRUMENTS
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.limits import FILLS_PER_ORDER_MAX
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.state import PROTECTIONS, Protection
from holdfast.protocol.trading import rules
from holdfast.protocol.trading.messages import (
    Cancelled,
    OrderCancelled,
    ProtectionTriggered,
    SelfTrade,
    Traded,
)
from holdfast.protocol.trading.state import Market
from holdfast.state.draft import Draft

_BUY = Side.BUY


class Taker(Record):
    """An incoming order on its way through the book."""

    account_id: int
    family_id: int
    order_id: int
    side: int
    limit_ticks: int
    self_trade: int


class Matched(Record):
    """What matching came to. `is_stopped` says that the rest may not go on: it is cancelled, not rested."""

    open_lots: int
    is_stopped: bool
    events: list[Record]


def match(draft: Draft, block: BlockContext, market: Market, taker: Taker, lots: int) -> Matched:
    """Fill a taker until its limit, its size, or the bound on one order's fills."""
    events: list[Record] = []
    open_lots = lots
    for _ in range(FILLS_PER_ORDER_MAX):
        best = book.get_best(draft, market.instrument_id, 1 - taker.side)
        if open_lots == 0 or best is None or not rules.is_crossing(taker.side, taker.limit_ticks, abs(best[0])):
            return Matched(open_lots, is_stopped=False, events=events)
        maker_id = best[2]
        maker = draft[ORDERS][maker_id]
        if rules.get_family(draft, maker.account_id) == taker.family_id:
            if taker.self_trade != SelfTrade.CANCEL_INCOMING:
                events.append(cancel(draft, maker_id, Cancelled.SELF_TRADE))
            if taker.self_trade != SelfTrade.CANCEL_RESTING:
                return Matched(open_lots, is_stopped=True, events=events)
            continue
        open_lots -= _meet(draft, block, market, taker, maker_id, maker, open_lots, events)
    return Matched(open_lots, is_stopped=True, events=events)


def cancel(draft: Draft, order_id: int, reason: Cancelled) -> OrderCancelled:
    """Take an order off the book for a reason."""
    order = margin.remove_order(draft, order_id)
    return OrderCancelled(order_id, order.account_id, order.lots, reason)


def cancel_quotes(draft: Draft, account_id: int, underlying: int) -> list[Record]:
    """Take back all of an account's quotes in one underlying."""
    events: list[Record] = []
    for order_id in book.get_open_orders(draft, account_id):
        order = draft[ORDERS][order_id]
        if order.flags & FLAG_QUOTE and draft[INSTRUMENTS][order.instrument_id].underlying == underlying:
            events.append(cancel(draft, order_id, Cancelled.PROTECTION))
    return events


def _meet(
    draft: Draft,
    block: BlockContext,
    market: Market,
    taker: Taker,
    maker_id: int,
    maker: Order,
    open_lots: int,
    events: list[Record],
) -> int:
    """Fill as much of the first resting order as may be; return the lots filled."""
    underlying = market.line.underlying
    protection = (
        rules.get_protection(draft, maker.account_id, underlying, block.time_ms) if maker.flags & FLAG_QUOTE else None
    )
    lots = min(open_lots, rules.compute_fillable_lots(draft, maker, protection))
    if lots <= 0:
        reason = Cancelled.REDUCE_ONLY if maker.flags & FLAG_REDUCE_ONLY else Cancelled.PROTECTION
        events.append(cancel(draft, maker_id, reason))
        return 0
    taken = lots if taker.side == _BUY else -lots
    # The taker's own bounds refuse the taker, outside of what is the maker's to bear.
    value = taken * maker.price_ticks * market.line.tick_value_atoms
    rules.check_cost_room(draft, taker.account_id, maker.instrument_id, taken, value)
    before = margin.remember(draft, maker.account_id)
    mark = draft.mark()
    try:
        rules.check_position_room(draft, maker.account_id, maker.instrument_id, -taken)
        traded = _fill(draft, market, taker, maker_id, maker, lots)
        margin.check_initial(draft, maker.account_id, before)
    except RejectedError:
        draft.drop(mark)
        events.append(cancel(draft, maker_id, Cancelled.MARGIN_AT_FILL))
        return 0
    draft.keep()
    events.append(traded)
    if protection is not None:
        _count_protected(draft, block, maker.account_id, underlying, protection, lots, events)
    return lots


def _fill(draft: Draft, market: Market, taker: Taker, maker_id: int, maker: Order, lots: int) -> Traded:
    line, array, params = market.line, market.array, market.params
    value = lots * maker.price_ticks * line.tick_value_atoms
    signed, signed_value = (lots, value) if taker.side == _BUY else (-lots, -value)
    instrument_id = maker.instrument_id
    margin.change_position(draft, taker.account_id, instrument_id, signed, signed_value)
    margin.change_position(draft, maker.account_id, instrument_id, -signed, -signed_value)
    premium = 0 if line.is_future else signed_value
    taker_fee = rules.compute_fee_atoms(params, array, line, lots, value, params.taker_ppm)
    maker_fee = rules.compute_fee_atoms(params, array, line, lots, value, params.maker_ppm)
    ledger.move_both(draft, taker.account_id, -premium - taker_fee, maker.account_id, premium - maker_fee, FEE_POT)
    margin.shrink_order(draft, maker_id, maker, maker.lots - lots)
    return Traded(
        instrument_id,
        maker.price_ticks,
        lots,
        taker.side,
        taker.account_id,
        maker.account_id,
        taker.order_id,
        maker_id,
        taker_fee,
        maker_fee,
    )


def _count_protected(
    draft: Draft,
    block: BlockContext,
    account_id: int,
    underlying: int,
    protection: Protection,
    lots: int,
    events: list[Record],
) -> None:
    filled = protection.filled_lots + lots
    frozen_until = protection.frozen_until_ms
    if filled >= protection.limit_lots:
        frozen_until = protection.window_start_ms + protection.window_ms
        events.extend(cancel_quotes(draft, account_id, underlying))
        events.append(ProtectionTriggered(account_id, underlying, frozen_until))
    start = protection.window_start_ms or block.time_ms
    draft[PROTECTIONS].put(
        (account_id, underlying),
        Protection(protection.limit_lots, protection.window_ms, filled, start, frozen_until),
    )


def check_liquidity(matched: Matched, lots: int) -> None:
    """Check that a market order met anyone at all. Refuses: NO_LIQUIDITY."""
    if matched.open_lots == lots:
        raise RejectedError(Code.NO_LIQUIDITY, lots=lots)
