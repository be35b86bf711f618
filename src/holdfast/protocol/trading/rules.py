"""What an order must look like, and what a fill costs."""

from holdfast.primitives.reject import Code, RejectedError
from holdfast.primitives.units import PPM, div_ceil, div_floor
from holdfast.protocol.accounts.state import ACCOUNTS
from holdfast.protocol.book import handlers as book
from holdfast.protocol.book.state import FLAG_REDUCE_ONLY, ORDERS, Order, Side
from holdfast.protocol.instruments.rules import check_open
from holdfast.protocol.instruments.state import Instrument
from holdfast.protocol.limits import (
    ACCOUNT_LOTS_MAX,
    AMOUNT_ATOMS_MAX,
    ORDER_LOTS_MAX,
    ORDERS_PER_ACCOUNT_MAX,
    ORDERS_PER_SIDE_MAX,
    POSITIONS_PER_ACCOUNT_MAX,
    PRICE_TICKS_MAX,
    ROW_ATOMS_MAX,
)
from holdfast.protocol.margin.state import CHARGES, PROTECTIONS, Protection
from holdfast.protocol.oracle.rules import Action, check_allowed
from holdfast.protocol.portfolio import handlers as portfolio
from holdfast.protocol.portfolio.state import POSITIONS
from holdfast.protocol.surface.state import RISK_ARRAY, RiskArray, RiskLine
from holdfast.protocol.trading.messages import PlaceOrder, TimeInForce
from holdfast.protocol.trading.params import TRADING_PARAMS, TradingParams
from holdfast.protocol.trading.state import ACTION_BITS, MARKETS, Market
from holdfast.state.draft import Draft

# Bound once: a look-up of an enumeration's member costs more than the comparison that it is for.
_BUY = Side.BUY
_INCREASE_RISK = Action.INCREASE_RISK


def get_line(draft: Draft, instrument_id: int) -> RiskLine:
    """Return an instrument's line of the risk array. Refuses: NO_MARK."""
    array = draft[RISK_ARRAY].get(0)
    line = None if array is None else array.lines.get(instrument_id)
    if line is None:
        raise RejectedError(Code.NO_MARK, instrument_id=instrument_id)
    return line


def get_market(draft: Draft, instrument_id: int, now_ms: int, action: Action) -> Market:
    """Return the market of an instrument that may be traded now.

    Why it is kept: of a block's commands none changes what this asks. Refuses: what `check_tradable` does, and NO_MARK.
    """
    key = instrument_id << ACTION_BITS | action
    market = draft[MARKETS].get(key)
    if market is None:
        instrument = check_tradable(draft, instrument_id, now_ms, action)
        line = get_line(draft, instrument_id)
        market = Market(instrument_id, instrument, line, get_array(draft), draft[TRADING_PARAMS][0])
        draft[MARKETS].put(key, market)
    return market


def get_array(draft: Draft) -> RiskArray:
    """Return the risk array, which exists wherever an instrument has a line."""
    return draft[RISK_ARRAY][0]


def check_tradable(draft: Draft, instrument_id: int, now_ms: int, action: Action) -> Instrument:
    """Check that an instrument may be traded now: to increase risk, to reduce it, or to hedge a liquidation.

    Refuses: INSTRUMENT_UNKNOWN, INSTRUMENT_EXPIRED, INSTRUMENT_HALTED, ORACLE_FORBIDS_RISK, ORACLE_FORBIDS_ACTION,
    USDC_DEPEGGED.
    """
    instrument = check_open(draft, instrument_id, now_ms)
    check_allowed(draft, instrument.underlying, action)
    charges = draft[CHARGES].get(0)
    if action == _INCREASE_RISK and charges is not None and charges.is_depegged:
        raise RejectedError(Code.USDC_DEPEGGED, instrument_id=instrument_id)
    return instrument


def check_size_and_price(
    params: TradingParams, array: RiskArray, instrument: Instrument, lots: int, price_ticks: int
) -> None:
    """Check an order's numbers.

    Refuses: SIZE_NOT_POSITIVE, SIZE_TOO_LARGE, PRICE_NOT_POSITIVE, PRICE_TOO_LARGE, NOTIONAL_TOO_SMALL.
    """
    if lots <= 0:
        raise RejectedError(Code.SIZE_NOT_POSITIVE, lots=lots)
    if lots > ORDER_LOTS_MAX:
        raise RejectedError(Code.SIZE_TOO_LARGE, lots=lots, limit=ORDER_LOTS_MAX)
    if price_ticks <= 0:
        raise RejectedError(Code.PRICE_NOT_POSITIVE, price_ticks=price_ticks)
    # A lot is never worth more than the ceiling of its risk row; beyond it an order's margin would overflow.
    if price_ticks > PRICE_TICKS_MAX or price_ticks * instrument.tick_value_atoms > ROW_ATOMS_MAX:
        limit = min(PRICE_TICKS_MAX, div_floor(ROW_ATOMS_MAX, instrument.tick_value_atoms))
        raise RejectedError(Code.PRICE_TOO_LARGE, price_ticks=price_ticks, limit=limit)
    notional = lots * array.lot_value_atoms[instrument.underlying]
    if notional < params.min_notional_atoms:
        raise RejectedError(Code.NOTIONAL_TOO_SMALL, notional_atoms=notional, minimum_atoms=params.min_notional_atoms)


def check_flags(order: PlaceOrder) -> None:
    """Check that an order's flags go together. Refuses: ORDER_FLAGS_CONFLICT."""
    if not order.post_only:
        return
    if order.time_in_force != TimeInForce.GOOD_TILL_CANCELLED or order.price_ticks == 0:
        raise RejectedError(Code.ORDER_FLAGS_CONFLICT, field="post_only", mend="give a price and let the order rest")


def check_room(draft: Draft, account_id: int, instrument_id: int, side: int) -> None:
    """Check that one more order fits. Refuses: ORDERS_FULL, BOOK_FULL."""
    if len(book.get_open_orders(draft, account_id)) >= ORDERS_PER_ACCOUNT_MAX:
        raise RejectedError(Code.ORDERS_FULL, limit=ORDERS_PER_ACCOUNT_MAX)
    if len(book.get_entries(draft, instrument_id, side)) >= ORDERS_PER_SIDE_MAX:
        raise RejectedError(Code.BOOK_FULL, limit=ORDERS_PER_SIDE_MAX)


def check_position_room(draft: Draft, account_id: int, instrument_id: int, lots: int) -> None:
    """Check that an account may hold so many more signed lots. Refuses: POSITIONS_FULL, LOTS_TOO_MANY."""
    position = draft[POSITIONS].get((account_id, instrument_id))
    held = 0 if position is None else position.lots
    if abs(held + lots) > ACCOUNT_LOTS_MAX and abs(held + lots) > abs(held):
        raise RejectedError(Code.LOTS_TOO_MANY, limit=ACCOUNT_LOTS_MAX)
    if position is None and len(portfolio.get_holdings(draft, account_id)) >= POSITIONS_PER_ACCOUNT_MAX:
        raise RejectedError(Code.POSITIONS_FULL, limit=POSITIONS_PER_ACCOUNT_MAX)


def check_cost_room(draft: Draft, account_id: int, instrument_id: int, lots: int, value_atoms: int) -> None:
    """Check that a position can hold the cost of more signed lots. Refuses: SIZE_TOO_LARGE."""
    position = draft[POSITIONS].get((account_id, instrument_id))
    grows = position is not None and (position.lots > 0) == (lots > 0)
    if position is not None and grows and abs(position.cost_atoms + value_atoms) > AMOUNT_ATOMS_MAX:
        raise RejectedError(Code.SIZE_TOO_LARGE, instrument_id=instrument_id, field="cost", limit=AMOUNT_ATOMS_MAX)


def compute_reducing_lots(draft: Draft, account_id: int, instrument_id: int, side: int) -> int:
    """Return how many lots a side can trade before it stops reducing the account's position."""
    held = portfolio.get_lots(draft, account_id, instrument_id)
    return max(0, -held if side == _BUY else held)


def compute_market_limit_ticks(
    params: TradingParams, array: RiskArray, line: RiskLine, instrument: Instrument, side: int
) -> int:
    """Return the worst price of a market order, a bounded way from the mark. Rounds: toward the mark."""
    worth = array.lot_value_atoms[instrument.underlying]
    band = div_floor(worth * params.market_band_ppm, PPM)
    if not line.is_future:
        near = max(line.value_atoms * params.market_premium_ppm, worth * params.market_floor_ppm)
        band = min(band, div_floor(near, PPM))
    if side == Side.BUY:
        return max(1, div_floor(line.value_atoms + band, instrument.tick_value_atoms))
    return max(1, div_ceil(line.value_atoms - band, instrument.tick_value_atoms))


def is_crossing(side: int, limit_ticks: int, resting_ticks: int) -> bool:
    """Return whether an order at a limit would trade with a resting price."""
    return resting_ticks <= limit_ticks if side == _BUY else resting_ticks >= limit_ticks


def would_cross(draft: Draft, instrument_id: int, side: int, limit_ticks: int) -> bool:
    """Return whether an order would trade at once."""
    best = book.get_best(draft, instrument_id, 1 - side)
    return best is not None and is_crossing(side, limit_ticks, abs(best[0]))


def compute_fee_atoms(
    params: TradingParams, array: RiskArray, line: RiskLine, lots: int, value_atoms: int, rate_ppm: int
) -> int:
    """Return one side's fee of a fill. Rounds: up. An option's is capped at a share of its premium."""
    fee = div_ceil(lots * array.lot_value_atoms[line.underlying] * rate_ppm, PPM)
    return fee if line.is_future else min(fee, div_ceil(value_atoms * params.option_cap_ppm, PPM))


def compute_fillable_lots(draft: Draft, maker: Order, protection: Protection | None) -> int:
    """Return how much of a resting order may fill, given its reduce-only flag and its owner's protection."""
    lots = maker.lots
    if maker.flags & FLAG_REDUCE_ONLY:
        lots = min(lots, compute_reducing_lots(draft, maker.account_id, maker.instrument_id, maker.side))
    if protection is not None:
        lots = min(lots, protection.limit_lots - protection.filled_lots)
    return lots


def get_protection(draft: Draft, account_id: int, underlying: int, now_ms: int) -> Protection | None:
    """Return a market maker's protection with its window brought up to now."""
    protection = draft[PROTECTIONS].get((account_id, underlying))
    if protection is None or now_ms < protection.window_start_ms + protection.window_ms:
        return protection
    return Protection(protection.limit_lots, protection.window_ms, 0, now_ms, protection.frozen_until_ms)


def get_own_order(draft: Draft, account_id: int, order_id: int) -> Order:
    """Return an order that must be the account's own. Refuses: ORDER_UNKNOWN, ORDER_NOT_YOURS."""
    order = draft[ORDERS].get(order_id)
    if order is None:
        raise RejectedError(Code.ORDER_UNKNOWN, order_id=order_id)
    if order.account_id != account_id:
        raise RejectedError(Code.ORDER_NOT_YOURS, order_id=order_id)
    return order


def get_family(draft: Draft, account_id: int) -> int:
    """Return the main account behind an account, which self-trade prevention goes by."""
    account = draft[ACCOUNTS].get(account_id)
    return account_id if account is None or account.parent_id == 0 else account.parent_id
