"""Mass quotes and market-maker protection."""

from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.primitives.reject import Code, RejectedError
from holdfast.protocol.block import BlockContext
from holdfast.protocol.book import handlers as book
from holdfast.protocol.book.state import FLAG_QUOTE, ORDERS, Order, Side
from holdfast.protocol.limits import ORDER_LOTS_MAX
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.params import UNIVERSE_INDEX
from holdfast.protocol.margin.rules import check_not_frozen
from holdfast.protocol.margin.state import PROTECTIONS, Protection
from holdfast.protocol.oracle.rules import Action
from holdfast.protocol.surface.state import RiskLine
from holdfast.protocol.trading import rules
from holdfast.protocol.trading.handlers.matching import cancel_quotes
from holdfast.protocol.trading.messages import MassQuote, ProtectionSet, Quote, Quoted, SetProtection
from holdfast.protocol.trading.params import TRADING_PARAMS
from holdfast.state.draft import Draft


def set_protection(draft: Draft, account_id: int, command: SetProtection) -> tuple[Record, ...]:
    """Bound an account's quotes in an underlying. Removing the bound takes the quotes back too.

    Refuses: PROTECTION_INVALID, MARGIN_INITIAL_SHORT.
    """
    longest = draft[TRADING_PARAMS][0].protection_window_ms_max
    if command.underlying not in UNIVERSE_INDEX:
        raise RejectedError(Code.PROTECTION_INVALID, underlying=command.underlying)
    key = (account_id, command.underlying)
    done = ProtectionSet(account_id, command.underlying, command.limit_lots, command.window_ms)
    if command.limit_lots == 0:
        events = cancel_quotes(draft, account_id, command.underlying)
        if key in draft[PROTECTIONS]:
            draft[PROTECTIONS].delete(key)
        return (*events, done)
    if not 0 < command.window_ms <= longest or command.limit_lots > ORDER_LOTS_MAX:
        raise RejectedError(Code.PROTECTION_INVALID, window_ms=command.window_ms, limit_ms=longest)
    before = margin.get_requirement(draft, account_id)
    old = draft[PROTECTIONS].get(key) or Protection(0, 0, 0, 0, 0)
    draft[PROTECTIONS].put(
        key,
        Protection(command.limit_lots, command.window_ms, old.filled_lots, old.window_start_ms, old.frozen_until_ms),
    )
    # A wider bound lets more of the quotes count; what stood before is judged by the bound that stood then.
    after = margin.get_requirement(draft, account_id)
    short = after.initial_atoms - after.equity_atoms
    if short > max(0, before.initial_atoms - before.equity_atoms):
        raise RejectedError(Code.MARGIN_INITIAL_SHORT, short_atoms=short)
    return (done,)


def mass_quote(draft: Draft, block: BlockContext, account_id: int, command: MassQuote) -> tuple[Record, ...]:
    """Replace quotes, each judged by itself; bad ones come back as codes, margin is judged once for the whole.

    Refuses: ACCOUNT_IN_LIQUIDATION, QUOTE_NOT_PROTECTED, MARGIN_INITIAL_SHORT, CASH_SHORT, LOTS_TOO_MANY.
    """
    check_not_frozen(draft, account_id)
    protection = rules.get_protection(draft, account_id, command.underlying, block.time_ms)
    if protection is None:
        raise RejectedError(Code.QUOTE_NOT_PROTECTED, underlying=command.underlying, mend="set a protection first")
    if block.time_ms < protection.frozen_until_ms:
        raise RejectedError(Code.QUOTE_NOT_PROTECTED, frozen_until_ms=protection.frozen_until_ms)
    before = margin.remember(draft, account_id)
    codes: list[int] = []
    rested = 0
    for quote in command.quotes:
        codes.extend(_quote_both_sides(draft, block, account_id, command.underlying, quote))
        rested += (codes[-2] == 0 and quote.bid_lots > 0) + (codes[-1] == 0 and quote.ask_lots > 0)
    margin.check_initial(draft, account_id, before)
    return (Quoted(account_id, rested, tuple(codes)),)


def _quote_both_sides(
    draft: Draft, block: BlockContext, account_id: int, underlying: int, quote: Quote
) -> tuple[int, int]:
    """Put both sides up, the one that moves away first, so that a quote never meets its own other side."""
    wanted = {Side.BUY: (quote.bid_ticks, quote.bid_lots), Side.SELL: (quote.ask_ticks, quote.ask_lots)}
    old_ask = book.get_quote(draft, account_id, quote.instrument_id, Side.SELL)
    moves_up = old_ask is not None and draft[ORDERS][old_ask].price_ticks <= quote.bid_ticks
    codes = {Side.BUY: 0, Side.SELL: 0}
    for side in (Side.SELL, Side.BUY) if moves_up else (Side.BUY, Side.SELL):
        mark = draft.mark()
        try:
            _quote_side(draft, block, account_id, underlying, quote.instrument_id, side, *wanted[side])
        except RejectedError as refusal:
            draft.drop(mark)
            codes[side] = int(refusal.code)
        else:
            draft.keep()
    return codes[Side.BUY], codes[Side.SELL]


def _quote_side(
    draft: Draft,
    block: BlockContext,
    account_id: int,
    underlying: int,
    instrument_id: int,
    side: Side,
    price_ticks: int,
    lots: int,
) -> None:
    old_id = book.get_quote(draft, account_id, instrument_id, side)
    if lots == 0:
        if old_id is not None:
            margin.remove_order(draft, old_id)
        return
    line = _check_quote(draft, block, underlying, instrument_id, side, price_ticks, lots)
    if old_id is None:
        rules.check_room(draft, account_id, instrument_id, side)
        order_id = priority = book.take_number(draft)
    else:
        old = draft[ORDERS][old_id]
        if (old.price_ticks, old.lots) == (price_ticks, lots):
            return
        if old.price_ticks == price_ticks and lots < old.lots:
            margin.shrink_order(draft, old_id, old, lots)
            return
        margin.remove_order(draft, old_id)
        order_id, priority = old_id, book.take_number(draft)
    order = Order(account_id, instrument_id, side, price_ticks, lots, priority, FLAG_QUOTE, 0)
    margin.add_order(draft, order_id, order, line)
    ensure(book.get_quote(draft, account_id, instrument_id, side) == order_id, "one quote a side")


def _check_quote(
    draft: Draft, block: BlockContext, underlying: int, instrument_id: int, side: Side, price_ticks: int, lots: int
) -> RiskLine:
    market = rules.get_market(draft, instrument_id, block.time_ms, Action.INCREASE_RISK)
    if market.line.underlying != underlying:
        raise RejectedError(Code.INSTRUMENT_UNKNOWN, instrument_id=instrument_id, underlying=underlying)
    rules.check_size_and_price(market.params, market.array, market.instrument, lots, price_ticks)
    if rules.would_cross(draft, instrument_id, side, price_ticks):
        raise RejectedError(Code.POST_ONLY_WOULD_CROSS, price_ticks=price_ticks)
    return market.line
