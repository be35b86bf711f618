"""What an account is worth and must hold, added up from its positions, coins and orders whenever it is asked."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from holdfast.lab.reference.ranges import rate
from holdfast.lab.reference.refusals import RefusedError, refuse_if
from holdfast.lab.reference.rounding import PPM, down, up
from holdfast.lab.reference.valuation import Line, Valuation
from holdfast.lab.reference.world import ASSET_ATOMS, BTC, COINS, ETH, USDC, USDT, World
from holdfast.primitives.reject import Code
from holdfast.protocol.book.state import FLAG_QUOTE, Order, Side
from holdfast.protocol.margin.state import DayStart
from holdfast.protocol.oracle.state import Status
from holdfast.protocol.portfolio.state import Position

SCENARIOS: Final = 32
_FLAT: Final = 13
_MOVES: Final = 9
_ACCOUNT_LOTS_MAX: Final = 2**26

# Rows of (BTC, ETH, USDT) that are looked at together.
_TOGETHER: Final = [(row, row, row) for row in range(SCENARIOS)]
_ALONE: Final = [
    *((row, _FLAT, _FLAT) for row in range(SCENARIOS) if row != _FLAT),
    *((_FLAT, row, _FLAT) for row in range(SCENARIOS) if row != _FLAT),
    (_FLAT, _FLAT, 27),
    (_FLAT, _FLAT, 28),
]
_JOINT: Final = [*_TOGETHER, *_ALONE]
# BTC up by as much as ETH is down, at each volatility; both unmoved is none of them.
_OPPOSED: Final = [
    (3 * move + vol, 3 * (_MOVES - 1 - move) + vol, _FLAT)
    for move in range(_MOVES)
    for vol in range(3)
    if move != _MOVES // 2
]
# A stablecoin's own shocks: it slips when the market falls hard, and most in the tails.
_USDT_SHOCKS: Final = [-20_000] * 3 + [-10_000] * 3 + [0] * 21 + [-100_000, -50_000, 0, 0, 0]

Held = list[tuple[int, Position]]
Vectors = dict[int, list[int]]  # by universe: one number a scenario


class Exposure(NamedTuple):
    """Lots in one universe, as the charges count them."""

    gross: int
    futures: int
    net_short: int


class Account(NamedTuple):
    """All that margin sees of one account, in atoms."""

    cash: int
    coins: int  # after haircut
    marks: int  # options at mark, futures at mark less cost
    unrealised: int  # every position at mark less cost
    stress: Vectors  # positions and coins
    orders: Vectors  # open orders, each where it loses
    exposures: dict[int, Exposure]
    open_lots: int

    @property
    def equity(self) -> int:
        """Return cash, marks and coins."""
        return self.cash + self.marks + self.coins


class Need(NamedTuple):
    """An account's figures, in atoms."""

    equity: int
    initial: int
    maintenance: int


class Before(NamedTuple):
    """What an account fell short of when a command began."""

    need: Need
    cash_and_coins: int


def look(
    world: World, valuation: Valuation | None, account_id: int, held: Held | None = None, *, with_orders: bool = True
) -> Account:
    """Add up an account; without its orders where only maintenance is asked for.

    `held` are its positions, where the caller has sorted everybody's by account already.
    """
    if held is None:
        held = [(key[1], position) for key, position in world.positions.items() if key[0] == account_id]
    orders = [order for order in world.orders.values() if order.account_id == account_id] if with_orders else []
    stress: Vectors = {universe: [0] * SCENARIOS for universe in COINS}
    coins = 0
    for asset_id in COINS:
        counted = coin_value(world, valuation, asset_id, world.balance(account_id, asset_id))
        coins += counted
        for row, shock in enumerate(_coin_shocks(world, asset_id) if counted else ()):
            stress[asset_id][row] += down(shock * counted, PPM)
    marks = unrealised = 0
    gross, futures = dict.fromkeys(COINS, 0), dict.fromkeys(COINS, 0)
    nets: dict[tuple[int, int, int], int] = {}
    # Before the first price nobody holds or orders anything.
    lines = {} if valuation is None else valuation.lines
    for instrument_id, position in held:
        line, lots = lines[instrument_id], position.lots
        marks += lots * line.value - (position.cost_atoms if line.is_future else 0)
        unrealised += lots * line.value - position.cost_atoms
        gross[line.underlying] += abs(lots)
        if line.is_future:
            futures[line.underlying] += abs(lots)
        else:
            nets[line.strike] = nets.get(line.strike, 0) + lots
        stress[line.underlying] = [
            sum_ + lots * move for sum_, move in zip(stress[line.underlying], line.row, strict=True)
        ]
    short = {universe: sum(max(0, -net) for key, net in nets.items() if key[0] == universe) for universe in COINS}
    return Account(
        world.cash(account_id),
        coins,
        marks,
        unrealised,
        stress,
        _open_orders(world, valuation, account_id, orders),
        {universe: Exposure(gross[universe], futures[universe], short[universe]) for universe in COINS},
        sum(order.lots for order in orders),
    )


def _open_orders(world: World, valuation: Valuation | None, account_id: int, orders: Sequence[Order]) -> Vectors:
    """Return what filling an account's orders at their limits would lose; protected quotes count up to their bound."""
    plain: Vectors = {universe: [0] * SCENARIOS for universe in COINS}
    quotes: Vectors = {universe: [0] * SCENARIOS for universe in COINS}
    quoted = dict.fromkeys(COINS, 0)
    lines = {} if valuation is None else valuation.lines
    for order in orders:
        line = lines[order.instrument_id]
        sums = (quotes if order.flags & FLAG_QUOTE else plain)[line.underlying]
        quoted[line.underlying] += order.lots if order.flags & FLAG_QUOTE else 0
        for row, loss in enumerate(_order_losses(world, line, order)):
            sums[row] += loss
    for universe in COINS:
        protection = world.protections.get((account_id, universe))
        if protection is not None and protection.limit_lots < quoted[universe]:
            quotes[universe] = [down(loss * protection.limit_lots, quoted[universe]) for loss in quotes[universe]]
    return {
        universe: [one + other for one, other in zip(plain[universe], quotes[universe], strict=True)]
        for universe in COINS
    }


def sort_positions(world: World) -> dict[int, Held]:
    """Return everybody's positions by account."""
    found: dict[int, Held] = {}
    for (account_id, instrument_id), position in world.positions.items():
        found.setdefault(account_id, []).append((instrument_id, position))
    return found


def _order_losses(world: World, line: Line, order: Order) -> list[int]:
    """Return min(0, signed lots x (mark + dV - limit)), scenario by scenario."""
    limit = order.price_ticks * world.instruments[order.instrument_id].tick_value_atoms
    signed = order.lots if order.side == Side.BUY else -order.lots
    return [min(0, signed * (line.value + move - limit)) for move in line.row]


def coin_value(world: World, valuation: Valuation | None, asset_id: int, amount: int) -> int:
    """Return what an amount of a coin counts for: at most the account's cap, then less the haircut."""
    price = 0 if valuation is None else valuation.prices_e8.get(asset_id, 0)
    asset = world.collateral[asset_id]
    worth = min(down(amount * price, ASSET_ATOMS[asset_id] * 100), asset.account_cap_usd * 10**6)
    return down(worth * (PPM - asset.haircut_ppm), PPM)


def _coin_shocks(world: World, asset_id: int) -> list[int]:
    if asset_id == USDT:
        return _USDT_SHOCKS
    grid = world.grids[asset_id]
    return [down(spot * part, PPM) for spot, part in zip(grid.spot_ppm, grid.dampen_ppm, strict=True)]


def worst_loss(world: World, stress: Vectors) -> int:
    """Return the worst loss over the listed scenarios; opposed ones weigh less."""

    def total(rows: tuple[int, int, int]) -> int:
        return stress[BTC][rows[0]] + stress[ETH][rows[1]] + stress[USDT][rows[2]]

    weight = world.margin_params[0].cross_weight_ppm
    return max(0, -min(map(total, _JOINT)), -down(min(map(total, _OPPOSED)) * weight, PPM))


def charges(world: World, valuation: Valuation | None, account: Account, *, is_initial: bool) -> int:
    """Return the convex charges, each rounded up a lot: net shorts, basis, crowding, initially the oracle's doubt."""
    params, total = world.margin_params[0], 0
    short, basis, crowd = (
        (params.short_im_ppm, params.basis_im_ppm, params.concentration_im_ppm)
        if is_initial
        else (params.short_mm_ppm, params.basis_mm_ppm, params.concentration_mm_ppm)
    )
    for universe, exposure in account.exposures.items():
        worth = 0 if valuation is None else valuation.lot_worth.get(universe, 0)
        crowded = max(0, exposure.gross - params.concentration_lots)
        total += exposure.net_short * up(worth * rate(world, "short", universe, short), PPM)
        total += exposure.futures * up(worth * basis, PPM)
        total += crowded * up(worth * rate(world, "concentration", universe, crowd), PPM)
        if is_initial and worth and valuation is not None:
            total += exposure.gross * _doubt(world, valuation, universe, worth)
    return total


def _doubt(world: World, valuation: Valuation, universe: int, worth: int) -> int:
    """Return what the oracle's confidence charges a lot; more while its feed is anything but LIVE."""
    params = world.margin_params[0]
    factor = params.confidence_im_ppm
    if world.feeds[universe].status != Status.LIVE:
        factor = up(factor * params.degraded_confidence_ppm, PPM)
    return up(worth * valuation.confidences_e8[universe] * factor, valuation.prices_e8[universe] * PPM)


def is_depegged(world: World, valuation: Valuation | None) -> bool:
    """Return whether USDC has fallen so far that new risk is barred."""
    prices = {} if valuation is None else valuation.prices_e8
    return prices.get(USDC, 10**8) < world.margin_params[0].depeg_e8


def need(world: World, valuation: Valuation | None, account: Account) -> Need:
    """Return an account's equity, initial and maintenance margin."""
    params = world.margin_params[0]
    with_orders = {
        universe: [one + other for one, other in zip(account.stress[universe], account.orders[universe], strict=True)]
        for universe in COINS
    }
    initial = up(worst_loss(world, with_orders) * params.loss_im_ppm, PPM)
    initial += charges(world, valuation, account, is_initial=True)
    if is_depegged(world, valuation):
        initial = up(initial * params.depeg_im_ppm, PPM)
    return Need(account.equity, initial, maintenance(world, valuation, account))


def maintenance(world: World, valuation: Valuation | None, account: Account) -> int:
    """Return the maintenance margin, which no open order raises."""
    loss = up(worst_loss(world, account.stress) * world.margin_params[0].loss_mm_ppm, PPM)
    return loss + charges(world, valuation, account, is_initial=False)


def before(world: World, valuation: Valuation | None, account_id: int) -> Before:
    """Return what `check` compares with."""
    account = look(world, valuation, account_id)
    return Before(need(world, valuation, account), account.cash + account.coins)


def check(world: World, valuation: Valuation | None, account_id: int, was: Before) -> None:
    """Judge an account's end state: initial margin holds and coins cover a debt, or no shortfall has grown."""
    account = look(world, valuation, account_id)
    lots = sum(exposure.gross for exposure in account.exposures.values()) + account.open_lots
    refuse_if(lots > _ACCOUNT_LOTS_MAX, Code.LOTS_TOO_MANY)
    now = need(world, valuation, account)
    short, debt = now.initial - now.equity, -(account.cash + account.coins)
    if short <= 0 and debt <= 0:
        return
    refuse_if(short > max(0, was.need.initial - was.need.equity), Code.MARGIN_INITIAL_SHORT)
    refuse_if(now.maintenance - now.equity > max(0, was.need.maintenance - was.need.equity), Code.MARGIN_INITIAL_SHORT)
    refuse_if(debt > max(0, -was.cash_and_coins), Code.CASH_SHORT)


def check_not_frozen(world: World, account_id: int) -> None:
    """Refuse an account that a liquidation holds."""
    if account_id in world.frozen:
        raise RefusedError(Code.ACCOUNT_IN_LIQUIDATION)


def day_profit(world: World, account_id: int, equity: int) -> int:
    """Return today's profit: equity less equity at 08:00 UTC less net deposits since, at most today's equity."""
    day = world.day_starts.get(account_id)
    if day is None or not day.has_held:
        return 0
    return max(0, min(equity - day.equity_atoms - day.net_deposits_atoms, equity))


def sure_cash(world: World, account_id: int, account: Account) -> int:
    """Return the cash that no fall of marks and no haircut today can take back."""
    return account.cash - max(0, account.unrealised) - day_profit(world, account_id, account.equity)


def note_deposit(world: World, account_id: int, amount: int) -> None:
    """Count what an account puts in or takes out against today's profit."""
    day = world.day_starts.get(account_id, DayStart(0, 0, has_held=False))
    world.day_starts[account_id] = DayStart(day.equity_atoms, day.net_deposits_atoms + amount, day.has_held)


def note_holding(world: World, account_id: int) -> None:
    """Note that an account has held a position today."""
    day = world.day_starts.get(account_id, DayStart(0, 0, has_held=False))
    world.day_starts[account_id] = DayStart(day.equity_atoms, day.net_deposits_atoms, has_held=True)
