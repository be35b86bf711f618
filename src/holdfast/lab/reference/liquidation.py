"""The queue: who enters it, and what each block does for those in it."""

from typing import Final

from holdfast.lab.reference import auction, closing, margin, oracle, orders, trading
from holdfast.lab.reference.refusals import RefusedError
from holdfast.lab.reference.rounding import PPM, down, up
from holdfast.lab.reference.valuation import Line, Valuation
from holdfast.lab.reference.world import BACKSTOP, COINS, World, is_margined
from holdfast.protocol.book.state import Side
from holdfast.protocol.liquidation.messages import AuctionStarted, Ended, LiquidationHedged, LiquidationStarted
from holdfast.protocol.liquidation.state import Liquidation, Stage
from holdfast.protocol.trading.messages import CancelAll, Cancelled, PlaceOrder, TimeInForce

# One spot move up and down at unchanged volatility: their difference measures delta.
_ROW_UP: Final = 16
_ROW_DOWN: Final = 10


def list_accounts(world: World) -> list[int]:
    """Return the margined accounts that hold, owe or order anything."""
    found = {account_id for account_id, _ in world.balances if is_margined(account_id)}
    found |= {account_id for account_id, _ in world.positions}
    found |= {order.account_id for order in world.orders.values()}
    return sorted(found)


def enqueue(world: World, valuation: Valuation | None) -> None:
    """Queue every account under maintenance, the worst first: its orders go, and it may not trade by itself."""
    short, held = [], margin.sort_positions(world)
    for account_id in list_accounts(world):
        account = margin.look(world, valuation, account_id, held.get(account_id, []), with_orders=False)
        maintenance = margin.maintenance(world, valuation, account)
        if account.equity < maintenance:
            short.append((account.equity - maintenance, account_id, account.equity, maintenance))
    for _, account_id, equity, maintenance in sorted(short):
        if account_id not in world.liquidations:
            orders.cancel_all(world, account_id, CancelAll(0), Cancelled.LIQUIDATION)
            world.liquidations[account_id] = Liquidation(Stage.HEDGE, world.height, 0)
            world.frozen[account_id] = world.height
            world.events.append(LiquidationStarted(account_id, equity, maintenance))


def sweep(world: World, valuation: Valuation | None) -> None:
    """Queue, move every liquidation on by a step, and queue whom that has hurt."""
    if valuation is None:
        return
    closing.repay(world)
    enqueue(world, valuation)
    ends_left = world.liquidation_params[0].ends_per_block
    for account_id in sorted(world.liquidations):
        liquidation = world.liquidations[account_id]
        if auction.end_if_done(world, valuation, account_id, Ended.HEALTHY):
            continue
        if liquidation.stage == Stage.HEDGE:
            _hedge(world, valuation, account_id)
            continue
        _advance(world, valuation, account_id, liquidation, may_end=ends_left > 0)
        ends_left -= account_id not in world.liquidations
    enqueue(world, valuation)


def _advance(world: World, valuation: Valuation, account_id: int, liquidation: Liquidation, *, may_end: bool) -> None:
    """Move an auction's clock; at its end the backstop takes its part and the rest is closed."""
    if not auction.is_clock_running(world, valuation, account_id):
        return
    steps = liquidation.steps
    if liquidation.stage == Stage.AUCTION and steps < world.liquidation_params[0].auction_steps:
        world.liquidations[account_id] = Liquidation(Stage.AUCTION, liquidation.started_height, steps + 1)
        return
    if not may_end:
        return
    if account_id != BACKSTOP:
        auction.sell_to_backstop(world, valuation, account_id)
        if auction.end_if_done(world, valuation, account_id, Ended.BACKSTOPPED):
            return
    closing.close(world, valuation, account_id)


def _hedge(world: World, valuation: Valuation, account_id: int) -> None:
    """Bring the delta down on the futures' books; then the portfolio is up for auction unless that was enough."""
    for universe in COINS:
        futures = [
            (number, line)
            for number, line in sorted(valuation.lines.items())
            if line.is_future and line.underlying == universe
        ]
        for instrument_id, line in futures:
            lots = _hedge_lots(world, valuation, account_id, line)
            if lots == 0:
                break
            if trading.book_side(world, instrument_id, Side.SELL if lots > 0 else Side.BUY):
                _trade_hedge(world, valuation, account_id, instrument_id, lots)
                break
    if not auction.end_if_done(world, valuation, account_id, Ended.HEALTHY):
        started = world.liquidations[account_id].started_height
        world.liquidations[account_id] = Liquidation(Stage.AUCTION, started, 0)
        world.events.append(AuctionStarted(account_id))


def _hedge_lots(world: World, valuation: Valuation, account_id: int, line: Line) -> int:
    """Return the lots of a future that bring an account's delta nearest to nothing without passing it."""
    stress = margin.look(world, valuation, account_id).stress[line.underlying]
    delta, a_lot = stress[_ROW_UP] - stress[_ROW_DOWN], line.row[_ROW_UP] - line.row[_ROW_DOWN]
    if a_lot <= 0:
        return 0
    lots = down(abs(delta), a_lot)
    return -lots if delta > 0 else lots


def _trade_hedge(world: World, valuation: Valuation, account_id: int, instrument_id: int, lots: int) -> None:
    """Trade a hedge within its band; keep it only where it traded and the account is no worse for it."""
    line, tick = valuation.lines[instrument_id], world.instruments[instrument_id].tick_value_atoms
    band = down(valuation.lot_worth[line.underlying] * world.liquidation_params[0].hedge_band_ppm, PPM)
    limit = down(line.value + band, tick) if lots > 0 else up(line.value - band, tick)
    order = PlaceOrder(
        instrument_id,
        Side.BUY if lots > 0 else Side.SELL,
        max(1, limit),
        min(abs(lots), trading.ORDER_LOTS_MAX),
        TimeInForce.IMMEDIATE_OR_CANCEL,
    )
    was = auction.need_of(world, valuation, account_id)
    held = world.lots(account_id, instrument_id)
    copy, events = world.copy(), list(world.events)
    try:
        orders.execute(world, valuation, account_id, order, oracle.QUEUE)
        now = auction.need_of(world, valuation, account_id)
        traded = world.lots(account_id, instrument_id) - held
        is_kept = traded != 0 and now.equity - now.maintenance >= was.equity - was.maintenance
    except RefusedError:
        is_kept, traded = False, 0
    if is_kept:
        world.events.append(LiquidationHedged(account_id, instrument_id, traded))
    else:
        world.restore(copy)
        world.events = events
