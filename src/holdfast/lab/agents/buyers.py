"""Buyers: takers of options and futures, with every kind of order that takes."""

from typing import ClassVar

from holdfast.lab.agents.agent import BUY, FOK, IOC, SELL, Agent, Deposits, usdc, usdt
from holdfast.lab.agents.market import Contract, Market
from holdfast.primitives.units import PPM
from holdfast.protocol.messages import Command
from holdfast.protocol.trading.messages import PlaceOrder

FUTURES_PERCENT = 20
CLOSE_PERCENT = 25
# An account spends no more than this share of its equity on one order.
SPEND_PPM = 20_000
FUTURE_LEVERAGE = 2


class Buyer(Agent):
    """Buys options near the money for small parts of its money, trades futures a little, closes what it has."""

    kind: ClassVar[str] = "buyer"
    acts_per_block: ClassVar[int] = 5

    def fund(self) -> Deposits:
        """Return USDC, for every fifth some of it in USDT."""
        dollars = self.between(30, 400) * 1_000
        return (usdc(dollars - dollars // 4), usdt(dollars // 4)) if self.rank % 5 == 0 else (usdc(dollars),)

    def decide(self, market: Market) -> list[Command]:
        """Close part of a position, trade a future, or buy an option."""
        if market.is_frozen(self.account_id):
            return []
        draw = self.between(0, 99)
        held = self.holdings(market)
        if held and draw < CLOSE_PERCENT:
            closing = self.reduce(market, held[self.between(0, len(held) - 1)], self.between(2, 10) * PPM // 10)
            return [] if closing is None else [closing]
        underlying = market.underlyings[self.between(0, len(market.underlyings) - 1)]
        if draw < CLOSE_PERCENT + FUTURES_PERCENT:
            order = self._trade_future(market, underlying)
        else:
            order = self._buy_option(market, underlying)
        return [] if order is None else [order]

    def _trade_future(self, market: Market, underlying: int) -> Command | None:
        futures = market.futures(underlying)[:2]
        if not futures:
            return None
        future = futures[self.between(0, len(futures) - 1)]
        equity = market.equity_atoms(self.account_id)
        room = FUTURE_LEVERAGE * equity // market.index_atoms(underlying) - abs(self.lots_held(market, future))
        lots = min(room, self.lots_for(market, future, self.between(1, 20) * 1_000))
        return self.take(market, future, self.between(BUY, SELL), lots) if lots > 0 else None

    def _buy_option(self, market: Market, underlying: int) -> Command | None:
        options = market.options_near(underlying, 4, 3)
        if not options:
            return None
        option = options[self.between(0, len(options) - 1)]
        ask = market.best(option, SELL)
        if ask is None:
            return self._bid(market, option)
        ticks, offered = ask
        budget = max(0, market.equity_atoms(self.account_id)) * SPEND_PPM // PPM
        lots = min(self.lots_for(market, option, self.between(1, 40) * 1_000), budget // (ticks * option.tick_atoms))
        if lots <= 0:
            return None
        match self.between(0, 9):
            case 0 | 1 | 2:
                return PlaceOrder(option.id, BUY, ticks, lots, time_in_force=IOC)
            case 3 | 4 | 5:
                # A limit a little through the best price: what does not fill rests.
                return PlaceOrder(option.id, BUY, ticks + max(1, ticks // 200), lots)
            case 6 | 7:
                return PlaceOrder(option.id, BUY, 0, lots)
            case 8:
                return PlaceOrder(option.id, BUY, ticks, min(lots, offered), time_in_force=FOK)
            case _:
                return self._bid(market, option)

    def _bid(self, market: Market, option: Contract) -> Command | None:
        """Return a resting bid a little under the mark."""
        mark = market.mark_atoms(option)
        ticks = (mark - mark // 30) // option.tick_atoms
        budget = max(0, market.equity_atoms(self.account_id)) * SPEND_PPM // PPM
        lots = min(self.lots_for(market, option, self.between(1, 10) * 1_000), budget // max(1, mark))
        return PlaceOrder(option.id, BUY, ticks, lots) if ticks > 0 and lots > 0 else None
