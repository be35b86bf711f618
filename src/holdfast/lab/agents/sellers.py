"""Naked sellers: out-of-the-money puts and calls for premium, as many as their margin carries. A crash ends some."""

from typing import ClassVar

from holdfast.lab.agents.agent import BUY, SELL, Agent, Deposits, usdc
from holdfast.lab.agents.market import Contract, Market
from holdfast.primitives.units import PPM
from holdfast.protocol.book import handlers as book
from holdfast.protocol.instruments.state import Kind
from holdfast.protocol.messages import Command
from holdfast.protocol.trading.messages import CancelAll, PlaceOrder

OPEN_ORDERS_MAX = 3
# A single sale adds no more than this share of equity to the maintenance margin.
STEP_PPM = 250_000
# Every third seller buys back when its equity comes this near to maintenance.
FEAR_PPM = 1_120_000
PUT_PERCENT = 60
SALES_PER_TURN = 3
RECKLESS_EVERY = 6
RECKLESS_TARGET_PPM = 1_280_000


class Seller(Agent):
    """Sells until equity is a chosen multiple of maintenance, then waits."""

    kind: ClassVar[str] = "seller"
    acts_per_block: ClassVar[int] = 7

    def __init__(self, seed: int, index: int, rank: int) -> None:
        """Choose how far to go, how far away, and in what."""
        super().__init__(seed, index, rank)
        # The lower of two draws: most go far, some very far.
        self._target_ppm = min(self.between(1_280_000, 2_400_000), self.between(1_280_000, 2_400_000))
        self._away_ppm = self.between(12_000, 60_000)
        self._series = min(self.between(0, 3), self.between(0, 3))
        self._is_fearful = rank % 3 == 0
        if rank % RECKLESS_EVERY == 1:
            # Close to the money, soon to expire, and up to what initial margin lets through.
            self._target_ppm, self._away_ppm, self._series = RECKLESS_TARGET_PPM, self.between(5_000, 20_000), 1

    def fund(self) -> Deposits:
        """Return USDC."""
        return (usdc(self.between(25, 150) * 1_000),)

    def decide(self, market: Market) -> list[Command]:
        """Buy back in fear, else sell what the margin still carries."""
        if market.is_frozen(self.account_id):
            return []
        equity, need = market.equity_atoms(self.account_id), market.maintenance_atoms(self.account_id)
        if self._is_fearful and need and equity * PPM < FEAR_PPM * need:
            return self._buy_back(market)
        room = equity * PPM // self._target_ppm - need
        if room <= 0:
            return []
        sales: list[Command] = []
        for _ in range(SALES_PER_TURN):
            sale, need = self._open(market, min(room, equity * STEP_PPM // PPM))
            room -= need
            sales.extend(sale)
        return sales

    def _open(self, market: Market, room: int) -> tuple[list[Command], int]:
        """Return a sale of one leg, and what it adds to the maintenance margin at most."""
        underlying = market.underlyings[(self.rank + self.between(0, 3) // 3) % len(market.underlyings)]
        # The two legs take turns, so that a strangle stays about even.
        kind = Kind.PUT if self.between(0, 99) < PUT_PERCENT else Kind.CALL
        option = self.choose_option(market, underlying, kind, self._series, self._away_ppm)
        if option is None:
            return [], 0
        each = market.short_need_atoms(option)
        lots = room // each
        return (self._sell(market, option, lots), lots * each) if lots > 0 else ([], 0)

    def _sell(self, market: Market, option: Contract, lots: int) -> list[Command]:
        sale = self.take(market, option, SELL, lots)
        if sale is not None:
            return [sale]
        if len(book.get_open_orders(market.draft, self.account_id)) >= OPEN_ORDERS_MAX:
            return [CancelAll(0)]
        mark = market.mark_atoms(option)
        ticks = -(-(mark + mark // 20) // option.tick_atoms)
        return [PlaceOrder(option.id, SELL, max(1, ticks), lots, post_only=True)]

    def _buy_back(self, market: Market) -> list[Command]:
        """Close half of the position that weighs most."""
        shorts = [one for one in self.holdings(market) if self.lots_held(market, one) < 0]
        if not shorts:
            return []
        worst = max(shorts, key=lambda one: (-self.lots_held(market, one) * market.mark_atoms(one), one.id))
        order = self.take(market, worst, BUY, max(1, -self.lots_held(market, worst) // 2), reduce_only=True)
        return [] if order is None else [order]
