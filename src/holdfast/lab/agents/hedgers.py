"""Hedgers: coin holders who are short futures against their coins, and some who are long with leverage."""

from typing import ClassVar

from holdfast.lab.agents.agent import BUY, SELL, Agent, Deposits, btc, eth, usdc, usdt
from holdfast.lab.agents.market import Market
from holdfast.primitives.units import E8, PPM
from holdfast.protocol.ledger.state import BALANCES, BTC, ETH
from holdfast.protocol.messages import Command
from holdfast.protocol.trading.messages import PlaceOrder

# Of so many hedgers in a row the last is long.
KINDS = 4
LOTS_PER_COIN = {BTC: 100, ETH: 10}
TURN_LOTS = {BTC: 60, ETH: 150}


class Hedger(Agent):
    """Three in four are short futures against BTC or ETH; the fourth is long as far as its margin target lets it."""

    kind: ClassVar[str] = "hedger"
    acts_per_block: ClassVar[int] = 4

    def __init__(self, seed: int, index: int, rank: int) -> None:
        """Choose the side, the hedge ratio and the margin target."""
        super().__init__(seed, index, rank)
        self.is_long = rank % KINDS == KINDS - 1
        self.underlying = ETH if rank % 2 else BTC
        self._hedge_ppm = self.between(400_000, 1_000_000)
        self._target_ppm = self.between(1_350_000, 2_200_000)

    def fund(self) -> Deposits:
        """Return coins; for those who are long, every kind of collateral in turn."""
        dollars = self.between(20, 120) * 1_000
        if self.rank % KINDS == KINDS - 1:
            spare = usdc(dollars // 10)
            return ((usdt(dollars), spare), (btc(dollars // 1_000), spare), (usdc(dollars),))[self.rank // KINDS % 3]
        coins = btc(self.between(30, 400)) if self.rank % 2 == 0 else eth(self.between(80, 900))
        return coins, usdc(self.between(2, 10) * 1_000)

    def decide(self, market: Market) -> list[Command]:
        """Move toward the wanted position, a bounded step at a time."""
        futures = market.futures(self.underlying)
        if market.is_frozen(self.account_id) or not futures or not market.index_atoms(self.underlying):
            return []
        future = futures[self.rank // 2 % min(2, len(futures))]
        held = self.lots_held(market, future)
        if held and self.between(0, 19) == 0:
            closing = self.reduce(market, future, PPM // 5)
            return [] if closing is None else [closing]
        side, missing = self._want(market, held)
        lots = min(missing, TURN_LOTS[self.underlying])
        if lots <= 0:
            return []
        if self.between(0, 4) == 0:
            return [PlaceOrder(future.id, side, 0, lots)]
        order = self.take(market, future, side, lots)
        return [] if order is None else [order]

    def _want(self, market: Market, held: int) -> tuple[int, int]:
        """Return the side and the lots that are missing."""
        if not self.is_long:
            coins = market.draft[BALANCES].get((self.account_id, self.underlying)) or 0
            wanted = coins * LOTS_PER_COIN[self.underlying] * self._hedge_ppm // (E8 * PPM)
            return SELL, wanted + held
        equity, need = market.equity_atoms(self.account_id), market.maintenance_atoms(self.account_id)
        room = equity * PPM // self._target_ppm - need
        # A tenth of the index a lot is more than maintenance asks, so that a step never overshoots the target.
        return BUY, room * 10 // market.index_atoms(self.underlying) // 2
