"""Takers of a live exchange: small orders on both sides of what makers quote, and out again.

A taker's positions are bounded in number and size, so that all of them together never weigh on the makers.
"""

from typing import ClassVar, Final

from holdfast.lab.agents.agent import BUY, IOC, SELL, Agent, Deposits
from holdfast.lab.agents.market import Contract, Market
from holdfast.lab.market.accounts import PublicAccount
from holdfast.lab.market.makers import list_quoted, may_trade
from holdfast.primitives.units import PPM
from holdfast.protocol.accounts.state import FIRST_USER_ACCOUNT
from holdfast.protocol.ledger.state import BTC
from holdfast.protocol.messages import Command
from holdfast.protocol.trading.messages import PlaceOrder

HOLDINGS_MAX: Final = 10
CLOSE_PERCENT: Final = 30
FUTURES_PERCENT: Final = 25
LOTS_MAX: Final = 4
ETH_TIMES: Final = 3  # a lot of ETH is worth about a third of a lot of BTC
# How far through the best price an order may go, since quotes move while it is under way.
SLIP_PPM: Final = 20_000
SLIP_TICKS: Final = 2


class LiveTaker(Agent):
    """Buys and sells near the money a few lots at a time."""

    kind: ClassVar[str] = "taker"

    def __init__(self, seed: int, account: PublicAccount, rank: int) -> None:
        """Take an account of genesis."""
        self._funds = account.deposits
        super().__init__(seed, account.account_id - FIRST_USER_ACCOUNT, rank)
        self.key = account.key

    def fund(self) -> Deposits:
        """Return what genesis gives the account."""
        return self._funds

    def decide(self, market: Market) -> list[Command]:
        """Close something, or trade a future or an option."""
        if market.is_frozen(self.account_id) or not market.underlyings:
            return []
        held = self.holdings(market)
        if held and (len(held) >= HOLDINGS_MAX or self.between(0, 99) < CLOSE_PERCENT):
            return self._close(market, held[self.between(0, len(held) - 1)])
        underlying = market.underlyings[self.between(0, len(market.underlyings) - 1)]
        if not may_trade(market, underlying):
            return []
        quoted = list_quoted(market, underlying)
        wants_future = self.between(0, 99) < FUTURES_PERCENT
        choice = [one for one in quoted if (one.strike_e8 == 0) == wants_future]
        if not choice:
            return []
        contract = choice[self.between(0, len(choice) - 1)]
        side, lots = self.between(BUY, SELL), self._draw_lots(contract)
        after = self.lots_held(market, contract) + (lots if side == BUY else -lots)
        order = self._take_through(market, contract, side, lots)
        return [order] if order is not None and abs(after) <= 3 * LOTS_MAX * ETH_TIMES else []

    def _close(self, market: Market, contract: Contract) -> list[Command]:
        lots = self.lots_held(market, contract)
        order = self._take_through(market, contract, SELL if lots > 0 else BUY, abs(lots), reduce_only=True)
        return [] if order is None else [order]

    def _draw_lots(self, contract: Contract) -> int:
        return self.between(1, LOTS_MAX * (1 if contract.underlying == BTC else ETH_TIMES))

    def _take_through(
        self, market: Market, contract: Contract, side: int, lots: int, *, reduce_only: bool = False
    ) -> Command | None:
        """Return an order that takes from the best price on, and never rests."""
        best = market.best(contract, 1 - side)
        if best is None:
            return None
        slip = max(SLIP_TICKS, best[0] * SLIP_PPM // PPM) if contract.strike_e8 else SLIP_TICKS * SLIP_TICKS
        ticks = best[0] + slip if side == BUY else max(1, best[0] - slip)
        return PlaceOrder(contract.id, side, ticks, lots, time_in_force=IOC, reduce_only=reduce_only)
