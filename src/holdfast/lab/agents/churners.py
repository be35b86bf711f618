"""Churners: orders that are changed and taken back, and those that the exchange must refuse."""

from typing import TYPE_CHECKING, ClassVar

from holdfast.lab.agents.agent import BUY, FOK, SELL, Agent, Deposits, usdc
from holdfast.lab.agents.market import Contract, Market
from holdfast.primitives.units import USDC_ATOMS
from holdfast.protocol.book import handlers as book
from holdfast.protocol.book.state import ORDERS
from holdfast.protocol.custody.messages import Withdraw
from holdfast.protocol.ledger.state import USDC
from holdfast.protocol.limits import ORDER_LOTS_MAX
from holdfast.protocol.messages import Bundle, Command
from holdfast.protocol.trading.messages import AmendOrder, CancelAll, CancelOrder, PlaceOrder

if TYPE_CHECKING:
    from collections.abc import Callable

OPEN_ORDERS_MAX = 6
SPREAD_TICKS_MIN = 10


class Churner(Agent):
    """Draws one of a list of habits at each turn; half of them end in a refusal."""

    kind: ClassVar[str] = "churner"
    acts_per_block: ClassVar[int] = 3

    def fund(self) -> Deposits:
        """Return USDC."""
        return (usdc(self.between(10, 80) * 1_000),)

    def decide(self, market: Market) -> list[Command]:
        """Do one thing."""
        underlying = market.underlyings[self.between(0, len(market.underlyings) - 1)]
        options = market.options_near(underlying, 3, 3)
        if not options:
            return []
        option = options[self.between(0, len(options) - 1)]
        habits: tuple[Callable[[Market, Contract], Command | None], ...] = (
            self._rest,
            self._rest,
            self._rest,
            self._amend,
            self._amend,
            self._cancel,
            self._spread,
            self._post_across,
            self._reduce_nothing,
            self._fill_or_kill_all,
            self._overreach,
            self._withdraw,
        )
        command = habits[self.between(0, len(habits) - 1)](market, option)
        return [] if command is None else [command]

    def _open(self, market: Market) -> tuple[int, ...]:
        return book.get_open_orders(market.draft, self.account_id)

    def _rest(self, market: Market, option: Contract) -> Command | None:
        """Rest a bid well under the mark, after a while all are taken back."""
        if len(self._open(market)) >= OPEN_ORDERS_MAX:
            return CancelAll(0)
        ticks = market.mark_atoms(option) * 4 // (5 * option.tick_atoms)
        return PlaceOrder(option.id, BUY, ticks, self.between(1, 5), post_only=True) if ticks > 0 else None

    def _amend(self, market: Market, _option: Contract) -> Command | None:
        mine = self._open(market)
        if not mine:
            return None
        order_id = mine[self.between(0, len(mine) - 1)]
        order = market.draft[ORDERS][order_id]
        return AmendOrder(order_id, max(1, order.price_ticks - self.between(0, 3)), self.between(1, 6))

    def _cancel(self, market: Market, _option: Contract) -> Command | None:
        mine = self._open(market)
        return CancelOrder(mine[0]) if mine else CancelOrder(self.between(1, 1_000))

    def _spread(self, market: Market, option: Contract) -> Command | None:
        """Buy and sell the same contract around the mark in one bundle: both rest, or neither."""
        mark = market.mark_atoms(option) // option.tick_atoms
        if mark < SPREAD_TICKS_MIN or len(self._open(market)) >= OPEN_ORDERS_MAX:
            return None
        legs = (
            PlaceOrder(option.id, BUY, mark * 3 // 4, 1, post_only=True),
            PlaceOrder(option.id, SELL, mark * 5 // 4, 1, post_only=True),
        )
        return Bundle(legs)

    def _post_across(self, market: Market, option: Contract) -> Command | None:
        """Ask for a post-only place at a price that would trade: refused."""
        ask = market.best(option, SELL)
        return None if ask is None else PlaceOrder(option.id, BUY, ask[0] * 11 // 10 + 1, 1, post_only=True)

    def _reduce_nothing(self, market: Market, option: Contract) -> Command | None:
        """Reduce a position that is not there: refused."""
        if self.lots_held(market, option):
            return self.reduce(market, option, 1)
        ticks = max(1, market.mark_atoms(option) // option.tick_atoms)
        return PlaceOrder(option.id, SELL, ticks, 1, reduce_only=True)

    def _fill_or_kill_all(self, market: Market, option: Contract) -> Command | None:
        """Ask for more than anybody offers, all or nothing: refused."""
        ask = market.best(option, SELL)
        return None if ask is None else PlaceOrder(option.id, BUY, ask[0], ORDER_LOTS_MAX // 16, time_in_force=FOK)

    def _overreach(self, market: Market, option: Contract) -> Command | None:
        """Sell far more than the margin carries: refused."""
        each = max(1, market.short_need_atoms(option))
        lots = 5 * max(USDC_ATOMS, market.equity_atoms(self.account_id)) // each + 1
        ticks = max(1, market.mark_atoms(option) * 6 // (5 * option.tick_atoms))
        return PlaceOrder(option.id, SELL, ticks, min(lots, ORDER_LOTS_MAX))

    def _withdraw(self, _market: Market, _option: Contract) -> Command | None:
        return Withdraw(USDC, self.between(1, 200) * USDC_ATOMS)
