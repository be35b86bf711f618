"""Random losers with coins, crashes, and an insurance fund without cash: both engines agree, and nobody waits."""

import random

import pytest

from holdfast.protocol.accounts.state import BACKSTOP, INSURANCE_FUND
from holdfast.protocol.liquidation.messages import CoinsSeized
from holdfast.protocol.liquidation.params import LiquidationParams
from holdfast.protocol.liquidation.state import LIQUIDATIONS
from holdfast.protocol.trading.messages import PlaceOrder, TimeInForce
from tests.support.exchange import BTC, ETH, USD, USDT
from tests.support.twin import TwinMarket

LOSERS = (0, 1, 2, 3)
MAKERS = (4, 5)
BLOCKS = 20


def draw_market(drawn: random.Random) -> TwinMarket:
    """Four accounts that live on coins beside little cash, two with much, and next to nothing behind them."""
    deposits = {
        index: (
            (0, drawn.choice([500, 5_000] if index in LOSERS else [300_000, 3_000_000]) * USD),
            (drawn.choice([BTC, ETH, USDT]), drawn.choice([2 * 10**7, 10**8])),
        )
        for index in (*LOSERS, *MAKERS)
    }
    genesis = {
        "insurance_atoms": drawn.choice([0, 1, 50 * USD]),
        "backstop_atoms": drawn.choice([0, 2_000 * USD]),
        "liquidation_params": LiquidationParams(auction_steps=2, fund_cap_ppm=drawn.choice([100_000, 10**6])),
    }
    return TwinMarket(6, deposits=deposits, genesis=genesis)


def take_risk(market: TwinMarket, drawn: random.Random, loser: int) -> None:
    """Let a loser trade as much of one instrument as its margin lets it."""
    instrument_id = drawn.choice([market.future(), market.future(ETH), market.option(place=0)])
    side, maker, ticks = drawn.choice([0, 1]), drawn.choice(MAKERS), market.mark_ticks(instrument_id)
    for lots in (800, 400, 200, 100, 50, 25):
        market.lenient_block(
            market.sign(maker, PlaceOrder(instrument_id, 1 - side, ticks, lots)),
            market.sign(loser, PlaceOrder(instrument_id, side, ticks, lots, TimeInForce.FILL_OR_KILL)),
        )
        market.assert_same()
        if market.lots(loser, instrument_id):
            return


# Seeds in which who won takes coins.
@pytest.mark.parametrize("seed", [0, 1, 5, 6])
def test_random_losers__without_a_fund__end_within_their_blocks_in_both_engines(seed: int) -> None:
    drawn = random.Random(seed)
    market = draw_market(drawn)
    for loser in LOSERS:
        take_risk(market, drawn, loser)
        take_risk(market, drawn, loser)
    takers: set[int] = set()
    for block in range(BLOCKS):
        if block % 6 == 0:
            for asset_id in (BTC, ETH):
                market.solo.prices[asset_id] = int(market.solo.prices[asset_id] * drawn.choice([0.5, 0.7, 1.4]))
        events = market.run(1)
        market.assert_same()
        takers |= {event.to_account_id for event in events if isinstance(event, CoinsSeized)}
        # Start, hedge, two steps of the auction, its end, and the blocks in which a jump of the price is doubted.
        started = [liquidation.started_height for liquidation in market.draft[LIQUIDATIONS].as_dict().values()]
        assert all(market.solo.app.height - height <= 8 for height in started)
    assert takers - {INSURANCE_FUND, BACKSTOP}, "some coins went to who won"
