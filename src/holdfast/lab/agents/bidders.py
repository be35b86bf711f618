"""Bidders in liquidation auctions, by one stated rule each: a least incentive, and a share a bid."""

from typing import ClassVar

from holdfast.lab.agents.agent import Agent, Deposits, usdc
from holdfast.lab.agents.market import Market
from holdfast.primitives.units import PPM
from holdfast.protocol.liquidation.messages import BidAuction
from holdfast.protocol.liquidation.params import LIQUIDATION_PARAMS
from holdfast.protocol.liquidation.rules import compute_incentive_ppm
from holdfast.protocol.liquidation.state import LIQUIDATIONS, Stage
from holdfast.protocol.messages import Command

BIDS_PER_TURN = 4
SHARES_PPM = (250_000, 500_000, 1_000_000)


class Bidder(Agent):
    """Bids once an auction's incentive reaches its own threshold, and sells later what it has taken over."""

    kind: ClassVar[str] = "bidder"
    acts_per_block: ClassVar[int] = 8

    def __init__(self, seed: int, index: int, rank: int) -> None:
        """Choose the threshold and the share."""
        super().__init__(seed, index, rank)
        self.incentive_min_ppm = self.between(8, 40) * 10_000
        self.share_ppm = SHARES_PPM[rank % len(SHARES_PPM)]

    def fund(self) -> Deposits:
        """Return USDC for a professional."""
        return (usdc(self.between(3_000, 8_000) * 1_000),)

    def decide(self, market: Market) -> list[Command]:
        """Bid where the next block pays enough; with nothing to bid on, unwind."""
        params = market.draft[LIQUIDATION_PARAMS][0]
        bids: list[Command] = []
        for account_id, liquidation in market.draft[LIQUIDATIONS].items():
            incentive_ppm = compute_incentive_ppm(params, liquidation.steps)
            if liquidation.stage == Stage.AUCTION and incentive_ppm >= self.incentive_min_ppm:
                bids.append(BidAuction(account_id, self.share_ppm, self.incentive_min_ppm))
        if bids or market.height % 4 != self.rank % 4:
            return bids[:BIDS_PER_TURN]
        held = self.holdings(market)
        order = self.reduce(market, held[self.between(0, len(held) - 1)], PPM // 2) if held else None
        return [] if order is None else [order]
