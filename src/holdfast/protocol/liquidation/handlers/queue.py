"""The queue: who enters it, and what each block does for those in it."""

from holdfast.primitives.codec import Record
from holdfast.primitives.reject import RejectedError
from holdfast.primitives.units import PPM, div_ceil, div_floor
from holdfast.protocol.accounts.state import BACKSTOP, is_margined
from holdfast.protocol.block import BlockContext
from holdfast.protocol.book import handlers as book
from holdfast.protocol.book.state import Side
from holdfast.protocol.instruments.state import INSTRUMENTS
from holdfast.protocol.ledger.state import BALANCES
from holdfast.protocol.limits import ORDER_LOTS_MAX
from holdfast.protocol.liquidation import rules
from holdfast.protocol.liquidation.handlers.auction import sell_to_backstop
from holdfast.protocol.liquidation.handlers.ending import close_account, end_if_done, repay_debt
from holdfast.protocol.liquidation.messages import (
    AuctionStarted,
    Ended,
    LiquidationHedged,
    LiquidationStarted,
)
from holdfast.protocol.liquidation.params import LIQUIDATION_PARAMS
from holdfast.protocol.liquidation.state import LIQUIDATIONS, Liquidation, Stage
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.params import UNIVERSES
from holdfast.protocol.margin.state import FROZEN, RISK, RISK_MATRIX
from holdfast.protocol.oracle.rules import Action
from holdfast.protocol.portfolio import handlers as portfolio
from holdfast.protocol.surface.state import RISK_ARRAY, RiskLine
from holdfast.protocol.trading import handlers as trading
from holdfast.protocol.trading.messages import CancelAll, Cancelled, PlaceOrder, TimeInForce
from holdfast.state.draft import Draft


def sweep(draft: Draft, block: BlockContext) -> tuple[Record, ...]:
    """Pay the fund's debt, queue who is under maintenance, move every liquidation on, and queue whom that has hurt."""
    if draft[RISK_ARRAY].get(0) is None:
        return ()
    events = [*repay_debt(draft), *enqueue(draft, block)]
    ends_left = draft[LIQUIDATION_PARAMS][0].ends_per_block
    for account_id in list(draft[LIQUIDATIONS].keys()):
        liquidation = draft[LIQUIDATIONS][account_id]
        cured = end_if_done(draft, account_id, Ended.HEALTHY)
        if cured:
            events.extend(cured)
        elif liquidation.stage == Stage.HEDGE:
            events.extend(_hedge(draft, block, account_id))
        else:
            events.extend(_advance(draft, account_id, liquidation, may_end=ends_left > 0))
            ends_left -= draft[LIQUIDATIONS].get(account_id) is None
    events.extend(enqueue(draft, block))
    return tuple(events)


def list_unhealthy(draft: Draft) -> list[tuple[int, int]]:
    """Return (shortfall, account) of every account under maintenance, the worst first; ties to the lower id."""
    matrix = draft[RISK_MATRIX].get(0)
    short: dict[int, int] = {}
    if matrix is not None:
        missing = matrix.maintenance_atoms - matrix.equity_atoms
        for place in (missing > 0).nonzero()[0].tolist():
            short[int(matrix.account_ids[place])] = int(missing[place])
    # Money alone moves without touching an account's risk: a haircut, a fee, an object's deposit.
    changes = draft[BALANCES].changes()
    moved = {account_id: True for account_id, _ in changes if is_margined(account_id)}
    for account_id in sorted({**moved, **dict.fromkeys(draft[RISK].keys())}):
        if margin.is_covered(draft, account_id):
            short.pop(account_id, None)
            continue
        need = margin.get_requirement(draft, account_id)
        short[account_id] = need.maintenance_atoms - need.equity_atoms
    return sorted(((-missing, account_id) for account_id, missing in sorted(short.items()) if missing > 0))


def enqueue(draft: Draft, block: BlockContext) -> tuple[Record, ...]:
    """Queue every account under maintenance: its orders go, and it may not trade by itself any more."""
    events: list[Record] = []
    for _, account_id in list_unhealthy(draft):
        if account_id in draft[LIQUIDATIONS]:
            continue
        events.extend(trading.cancel_all(draft, account_id, CancelAll(0), Cancelled.LIQUIDATION))
        need = margin.get_requirement(draft, account_id)
        if need.equity_atoms >= need.maintenance_atoms:
            continue
        draft[LIQUIDATIONS].put(account_id, Liquidation(Stage.HEDGE, block.height, 0))
        draft[FROZEN].put(account_id, block.height)
        events.append(LiquidationStarted(account_id, need.equity_atoms, need.maintenance_atoms))
    return tuple(events)


def _advance(draft: Draft, account_id: int, liquidation: Liquidation, *, may_end: bool) -> tuple[Record, ...]:
    """Move an auction's clock while its prices are fresh; at its end the backstop takes its part, the rest closes."""
    if not rules.is_clock_running(draft, margin.get_risk(draft, account_id)):
        return ()
    if liquidation.stage == Stage.AUCTION and liquidation.steps < draft[LIQUIDATION_PARAMS][0].auction_steps:
        steps = liquidation.steps + 1
        draft[LIQUIDATIONS].put(account_id, Liquidation(Stage.AUCTION, liquidation.started_height, steps))
        return ()
    if not may_end:
        return ()
    events: tuple[Record, ...] = ()
    if account_id != BACKSTOP:
        events = sell_to_backstop(draft, account_id)
        ended = end_if_done(draft, account_id, Ended.BACKSTOPPED)
        if ended:
            return (*events, *ended)
    return (*events, *close_account(draft, account_id))


def _hedge(draft: Draft, block: BlockContext, account_id: int) -> tuple[Record, ...]:
    """Bring the delta down on the futures' books, then put the portfolio up for auction unless that was enough."""
    events: list[Record] = []
    for universe, underlying in enumerate(UNIVERSES):
        instrument_id = _find_hedge(draft, account_id, underlying)
        if instrument_id:
            line = draft[RISK_ARRAY][0].lines[instrument_id]
            lots = rules.compute_hedge_lots(margin.get_risk(draft, account_id), universe, line)
            events.extend(_trade_hedge(draft, block, account_id, instrument_id, line, lots))
    cured = end_if_done(draft, account_id, Ended.HEALTHY)
    if cured:
        return (*events, *cured)
    started = draft[LIQUIDATIONS][account_id].started_height
    draft[LIQUIDATIONS].put(account_id, Liquidation(Stage.AUCTION, started, 0))
    return (*events, AuctionStarted(account_id))


def _find_hedge(draft: Draft, account_id: int, underlying: int) -> int:
    """Return the future of an underlying that the account would hedge with: the first with the other side quoted."""
    universe = UNIVERSES.index(underlying)
    array = draft[RISK_ARRAY][0]
    risk = margin.get_risk(draft, account_id)
    for place in array.is_future.nonzero()[0].tolist():
        instrument_id = int(array.instrument_ids[place])
        line = array.lines[instrument_id]
        if line.underlying != underlying:
            continue
        lots = rules.compute_hedge_lots(risk, universe, line)
        if lots == 0:
            return 0
        if book.get_best(draft, instrument_id, Side.SELL if lots > 0 else Side.BUY) is not None:
            return instrument_id
    return 0


def _trade_hedge(
    draft: Draft, block: BlockContext, account_id: int, instrument_id: int, line: RiskLine, lots: int
) -> tuple[Record, ...]:
    """Trade a hedge within its band; keep it only if the account is no worse for it."""
    if lots == 0:
        return ()
    instrument = draft[INSTRUMENTS][instrument_id]
    worth = draft[RISK_ARRAY][0].lot_value_atoms[line.underlying]
    band = div_floor(worth * draft[LIQUIDATION_PARAMS][0].hedge_band_ppm, PPM)
    if lots > 0:
        side, limit = Side.BUY, div_floor(line.value_atoms + band, instrument.tick_value_atoms)
    else:
        side, limit = Side.SELL, div_ceil(line.value_atoms - band, instrument.tick_value_atoms)
    before = margin.get_requirement(draft, account_id)
    held = portfolio.get_lots(draft, account_id, instrument_id)
    mark = draft.mark()
    try:
        size = min(abs(lots), ORDER_LOTS_MAX)
        order = PlaceOrder(instrument_id, side, max(1, limit), size, TimeInForce.IMMEDIATE_OR_CANCEL)
        events = trading.execute_order(draft, block, account_id, order, Action.QUEUE)
        after = margin.get_requirement(draft, account_id)
    except RejectedError:
        draft.drop(mark)
        return ()
    traded = portfolio.get_lots(draft, account_id, instrument_id) - held
    worse = after.equity_atoms - after.maintenance_atoms < before.equity_atoms - before.maintenance_atoms
    if traded == 0 or worse:
        draft.drop(mark)
        return ()
    draft.keep()
    return (*events, LiquidationHedged(account_id, instrument_id, traded))
