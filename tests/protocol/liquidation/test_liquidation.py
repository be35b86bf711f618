"""Liquidations from queue to end: cured, hedged, auctioned, taken by the backstop, closed with the loss placed."""

import pytest

from holdfast.primitives.codec import Record
from holdfast.primitives.reject import Code
from holdfast.primitives.units import div_ceil
from holdfast.protocol.accounts.state import BACKSTOP, INSURANCE_FUND
from holdfast.protocol.custody.messages import Deposit
from holdfast.protocol.instruments.state import INSTRUMENTS, Kind
from holdfast.protocol.ledger.handlers import get_balance, get_cash
from holdfast.protocol.liquidation.messages import (
    AuctionStarted,
    BidAuction,
    ClosedAtMark,
    CoinsSeized,
    DeficitCovered,
    Ended,
    Haircut,
    LiquidationEnded,
    LiquidationHedged,
    LiquidationStarted,
    SliceSold,
)
from holdfast.protocol.liquidation.params import LiquidationParams
from holdfast.protocol.liquidation.rules import compute_fraction_max_ppm, compute_hedge_lots, compute_incentive_ppm
from holdfast.protocol.liquidation.state import LIQUIDATIONS, SOCIALISED, Stage
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.state import FROZEN, Requirement
from holdfast.protocol.portfolio.state import POSITIONS
from holdfast.protocol.surface.state import RISK_ARRAY
from holdfast.protocol.trading.messages import PlaceOrder
from tests.support.exchange import BTC, BUY, ETH, SELL, USD, Market

DAY_MS = 86_400_000
RICH = ((0, 5_000_000 * USD),)
# Start, hedge, twenty steps of the auction, and its end.
BLOCKS_MAX = 24


def leveraged(
    *,
    cash: int = 80_000 * USD,
    coins: tuple[tuple[int, int], ...] = (),
    fund: int = 1_000_000 * USD,
    backstop: int = 1_000_000 * USD,
    lots: int = 400,
) -> Market:
    """A market whose account 0 is long of futures with little money, against account 1."""
    market = Market(
        4,
        deposits={0: ((0, cash), *coins), 1: RICH, 2: RICH, 3: RICH},
        genesis={"insurance_atoms": fund, "backstop_atoms": backstop},
    )
    market.trade(0, 1, market.future(place=3), lots)
    return market


def fall(market: Market, price: int, asset: int = BTC) -> list[Record]:
    """Let a price fall and wait until that is believed."""
    market.solo.prices[asset] = price * 10**8
    return market.run(4)


def of(events: list[Record], kind: type[Record]) -> list[Record]:
    return [event for event in events if isinstance(event, kind)]


def until_ended(market: Market) -> list[Record]:
    """Make blocks until no liquidation is left, as many as one may take."""
    events: list[Record] = []
    for _ in range(BLOCKS_MAX):
        if not market.draft[LIQUIDATIONS].keys():
            return events
        events.extend(market.run(1))
    raise AssertionError("a liquidation ends within its blocks")


def fund(market: Market) -> int:
    return get_cash(market.draft, INSURANCE_FUND)


def test_queue__account_under_maintenance__loses_its_orders_and_may_not_trade() -> None:
    market = leveraged()
    future = market.future(place=3)
    market.do(0, PlaceOrder(future, BUY, 100_000, 1))
    events = fall(market, 107_000)
    (started,) = of(events, LiquidationStarted)
    assert isinstance(started, LiquidationStarted)
    assert started.equity_atoms < started.maintenance_atoms
    assert market.orders() == {}
    assert market.id(0) in market.draft[FROZEN]
    assert market.do(0, PlaceOrder(future, SELL, 100_000, 1)).code == Code.ACCOUNT_IN_LIQUIDATION


def test_deposit__that_lifts_the_account_to_its_buffer__ends_the_liquidation() -> None:
    market = leveraged()
    fall(market, 107_000)
    market.do(-1, Deposit(market.solo.keys[0].public_key, 0, 100_000 * USD))
    assert market.found(LiquidationEnded) == [LiquidationEnded(market.id(0), Ended.HEALTHY)]
    assert market.lots(0, market.future(place=3)) == 400
    assert market.do(0, PlaceOrder(market.future(), BUY, 100_000, 1)).code == Code.OK


def test_price__that_comes_back__ends_the_liquidation() -> None:
    market = leveraged()
    fall(market, 107_000)
    events = fall(market, 120_000)
    assert of(events, LiquidationEnded) == [LiquidationEnded(market.id(0), Ended.HEALTHY)]


def test_hedge__of_a_short_option__buys_futures_within_its_band() -> None:
    market = Market(4, deposits={0: ((0, 40_000 * USD),), 1: RICH, 2: RICH, 3: RICH})
    call, future = market.option(place=4), market.future(place=2)
    market.trade(1, 0, call, 200)
    market.do(2, PlaceOrder(future, SELL, 132_100, 1_000))
    events = fall(market, 132_000)
    assert of(events, LiquidationStarted)
    hedges = of(events, LiquidationHedged)
    assert len(hedges) == 1
    assert market.lots(0, future) > 0
    line = market.draft[RISK_ARRAY][0].lines[future]
    after = margin.get_risk(market.draft, market.id(0))
    assert abs(compute_hedge_lots(after, 0, line)) <= 2


def test_hedge__while_its_price_is_stale__goes_on_and_the_auction_waits() -> None:
    market = Market(4, deposits={0: ((0, 60_000 * USD),), 1: RICH, 2: RICH, 3: RICH})
    btc, eth = market.future(place=2), market.future(ETH, place=2)
    market.trade(0, 1, btc, 50)
    market.trade(0, 1, eth, 300)
    market.do(2, PlaceOrder(btc, BUY, 119_900, 1_000))
    del market.solo.prices[BTC]
    market.run(3)
    events = fall(market, 2_900, ETH)
    assert of(events, LiquidationStarted)
    assert [event.instrument_id for event in of(events, LiquidationHedged) if isinstance(event, LiquidationHedged)] == [
        btc
    ]
    assert market.lots(0, btc) == 0


def test_auction__while_a_price_is_stale__stands_still_and_goes_on_when_it_is_fresh() -> None:
    market = leveraged()
    fall(market, 107_000)
    steps = market.draft[LIQUIDATIONS][market.id(0)].steps
    assert market.draft[LIQUIDATIONS][market.id(0)].stage == Stage.AUCTION
    price = market.solo.prices.pop(BTC)
    market.run(3)
    frozen = market.draft[LIQUIDATIONS][market.id(0)].steps
    market.run(30)
    assert market.draft[LIQUIDATIONS][market.id(0)].steps == frozen >= steps
    market.solo.prices[BTC] = price
    until_ended(market)


def test_bid__for_all__takes_only_the_slice_that_cures() -> None:
    market = leveraged()
    fall(market, 107_000)
    before, fund_before = market.need(0), fund(market)
    receipt = market.do(2, BidAuction(market.id(0), 10**6, 0))
    assert receipt.code == Code.OK
    (sold,) = market.found(SliceSold)
    assert 0 < sold.fraction_ppm < 10**6
    assert market.lots(2, market.future(place=3)) == -(-400 * sold.fraction_ppm // 10**6)
    assert market.found(LiquidationEnded) == [LiquidationEnded(market.id(0), Ended.AUCTIONED)]
    after = market.need(0)
    assert after.equity_atoms * 10 >= after.maintenance_atoms * 11
    # A solvent account pays the fee, and the incentive out of its own equity.
    fee = fund(market) - fund_before
    assert sold.from_fund_atoms == 0
    assert before.equity_atoms - after.equity_atoms == sold.incentive_atoms + fee
    sliced = div_ceil(before.maintenance_atoms * sold.fraction_ppm, 10**6)
    assert fee == div_ceil(sliced * 5, 100)


def test_bid__below_the_largest_useful_slice__sells_that_and_the_auction_goes_on() -> None:
    market = leveraged()
    fall(market, 105_000)
    assert market.do(2, BidAuction(market.id(0), 50_000, 0)).code == Code.OK
    assert market.lots(2, market.future(place=3)) == 20
    assert market.id(0) in market.draft[LIQUIDATIONS]
    assert market.do(3, BidAuction(market.id(0), 10**6, 0)).code == Code.OK
    until_ended(market)


def test_bid__of_a_bidder_without_margin__is_refused() -> None:
    market = Market(3, deposits={0: ((0, 80_000 * USD),), 1: RICH, 2: ((0, 1_000 * USD),)})
    market.trade(0, 1, market.future(place=3), 400)
    fall(market, 106_000)
    assert market.do(2, BidAuction(market.id(0), 10**6, 0)).code == Code.MARGIN_INITIAL_SHORT
    assert market.lots(0, market.future(place=3)) == 400


def test_incentive__grows_with_live_blocks__from_the_first_to_the_last() -> None:
    params = LiquidationParams()
    steps = [compute_incentive_ppm(params, step) for step in range(params.auction_steps + 2)]
    assert steps[0] == params.incentive_first_ppm
    assert steps[-1] == steps[-2] == params.incentive_last_ppm
    assert steps == sorted(steps)


def test_no_bidder__solvent_account__goes_to_the_backstop_until_it_stands_at_its_buffer() -> None:
    market = leveraged()
    fall(market, 107_000)
    events = until_ended(market)
    assert [event.bidder_id for event in of(events, SliceSold) if isinstance(event, SliceSold)] == [BACKSTOP]
    assert of(events, Haircut) == []
    lots = market.draft[POSITIONS].get((BACKSTOP, market.future(place=3)))
    assert lots is not None
    assert lots.lots + market.lots(0, market.future(place=3)) == 400


def test_backstop__too_small__leaves_the_rest_to_closing_at_mark() -> None:
    market = leveraged(backstop=10_000 * USD)
    fall(market, 107_000)
    events = until_ended(market)
    closed = [(e.account_id, e.lots) for e in of(events, ClosedAtMark) if isinstance(e, ClosedAtMark)]
    assert sum(lots for _, lots in closed) == 0
    assert closed[0][1] + market.draft[POSITIONS][BACKSTOP, market.future(place=3)].lots == 400
    assert of(events, Haircut) == []
    assert of(events, LiquidationEnded) == [LiquidationEnded(market.id(0), Ended.CLOSED)]
    assert market.cash(0) > 0


def deficit_after_half(fund_atoms: int, *, backstop: int = 0) -> tuple[Market, list[Record]]:
    market = leveraged(fund=fund_atoms, backstop=backstop)
    events = fall(market, 60_000)
    return market, events + until_ended(market)


def test_gap_of_half__fund_above_at_and_below_the_deficit__is_placed_to_the_atom() -> None:
    market, events = deficit_after_half(0)
    (covered,) = of(events, DeficitCovered)
    assert isinstance(covered, DeficitCovered)
    deficit = covered.fund_atoms + covered.haircut_atoms
    fees = covered.fund_atoms  # all that the empty fund had: its share of fees
    assert deficit > 150_000 * USD
    for start in (deficit - fees - 1, deficit - fees, deficit - fees + 1, 10**12):
        market, events = deficit_after_half(start)
        (covered,) = of(events, DeficitCovered)
        assert isinstance(covered, DeficitCovered)
        missing = max(0, deficit - fees - start)
        assert (covered.fund_atoms, covered.haircut_atoms) == (deficit - missing, missing)
        assert fund(market) == start + fees - covered.fund_atoms
        assert sum(event.amount_atoms for event in of(events, Haircut) if isinstance(event, Haircut)) == missing
        social = market.draft[SOCIALISED].get(0)
        assert (0 if social is None else social.atoms) == missing
        assert market.cash(0) == 0
        assert market.lots(0, market.future(place=3)) == 0


def test_haircut__takes_from_todays_winner_alone_and_never_more_than_its_profit() -> None:
    market, events = deficit_after_half(0)
    (haircut,) = of(events, Haircut)
    assert isinstance(haircut, Haircut)
    assert haircut.account_id == market.id(1)
    assert market.cash(2) == market.cash(3) == 5_000_000 * USD
    profit = market.cash(1) + haircut.amount_atoms - 5_000_000 * USD
    assert 0 < haircut.amount_atoms <= profit


def test_haircut__of_a_profit_made_before_the_day_began__still_finds_who_won() -> None:
    market = leveraged(fund=0, backstop=0)
    market.block(time_ms=market.solo.time_ms + 8 * 3_600_000 - 7 * 60_000)
    market.solo.prices[BTC] = 60_000 * 10**8
    events = market.run(10)
    assert market.id(0) in market.draft[LIQUIDATIONS]
    events += until_ended(market)
    assert of(events, LiquidationEnded) == [LiquidationEnded(market.id(0), Ended.CLOSED)]
    assert market.need(0) == Requirement(0, 0, 0)


def test_haircut__of_a_loss_that_settlement_makes_as_the_day_begins__finds_who_won() -> None:
    market = Market(
        3,
        deposits={0: ((0, 80_000 * USD),), 1: RICH, 2: RICH},
        genesis={"insurance_atoms": 0, "backstop_atoms": 0},
    )
    future = market.future()
    expiry_ms = market.draft[INSTRUMENTS][future].expiry_ms
    assert expiry_ms % DAY_MS == 8 * 3_600_000
    market.trade(0, 1, future, 400)
    market.block(time_ms=expiry_ms - 31 * 60_000)
    market.run(10)
    events = fall(market, 60_000)
    while market.solo.time_ms < expiry_ms:
        events += market.run(1)
    assert future not in market.draft[INSTRUMENTS]
    events += until_ended(market)
    shares = {e.account_id: e.amount_atoms for e in of(events, Haircut) if isinstance(e, Haircut)}
    assert list(shares) == [market.id(1)]
    assert market.need(0) == Requirement(0, 0, 0)
    assert market.cash(2) == 5_000_000 * USD


def test_haircut__on_several_winners__is_shared_by_profit_to_the_atom() -> None:
    market = Market(
        5,
        deposits={0: ((0, 80_000 * USD),), **dict.fromkeys(range(1, 5), RICH)},
        genesis={"insurance_atoms": 0, "backstop_atoms": 0},
    )
    future = market.future(place=3)
    for seller, lots in ((1, 250), (2, 100), (3, 53)):
        market.trade(0, seller, future, lots)
    events = fall(market, 60_000) + until_ended(market)
    shares = {e.account_id: e.amount_atoms for e in of(events, Haircut) if isinstance(e, Haircut)}
    profits = {market.id(i): market.cash(i) - 5_000_000 * USD + shares[market.id(i)] for i in (1, 2, 3)}
    total, whole = sum(shares.values()), sum(profits.values())
    for account_id, profit in profits.items():
        assert abs(shares[account_id] * whole - total * profit) < whole
    assert market.cash(4) == 5_000_000 * USD


def test_whole_open_interest__liquidated_on_both_sides_at_once__ends_and_nothing_is_negative() -> None:
    # Two longs and two shorts, none with enough: a fall closes the longs, then a rise what is left of the shorts.
    market = Market(
        4,
        deposits=dict.fromkeys(range(4), ((0, 45_000 * USD),)),
        genesis={"insurance_atoms": 1, "backstop_atoms": 0},
    )
    future = market.future(place=3)
    market.trade(0, 2, future, 200)
    market.trade(1, 3, future, 200)
    fall(market, 50_000)
    until_ended(market)
    fall(market, 100_000)
    until_ended(market)
    assert [key for key, _ in market.draft[POSITIONS].items()] == []
    assert all(market.need(index).equity_atoms >= 0 for index in range(4))
    assert sum(market.cash(index) for index in range(4)) + fund(market) > 0


def test_coins__of_a_closed_account__are_sold_to_the_fund_before_it_pays_anything() -> None:
    market = leveraged(cash=20_000 * USD, coins=((ETH, 20 * 10**8),), backstop=0, lots=200)
    assert market.need(0).equity_atoms > market.need(0).initial_atoms
    fall(market, 75_000)
    events = until_ended(market)
    seized = of(events, CoinsSeized)
    assert seized
    assert all(isinstance(event, CoinsSeized) and event.to_account_id == INSURANCE_FUND for event in seized)
    assert get_balance(market.draft, INSURANCE_FUND, ETH) > 0
    assert of(events, Haircut) == []
    assert market.need(0).equity_atoms >= 0


def test_budget__of_ends_per_block__lets_liquidations_wait_for_the_next_block() -> None:
    market = Market(
        5,
        deposits={**dict.fromkeys(range(4), ((0, 20_000 * USD),)), 4: RICH},
        genesis={"backstop_atoms": 0, "liquidation_params": LiquidationParams(ends_per_block=1, auction_steps=2)},
    )
    for index in range(4):
        market.trade(index, 4, market.future(place=3), 100)
    market.solo.prices[BTC] = 100_000 * 10**8
    ended = [len([e for e in market.run(1) if isinstance(e, LiquidationEnded)]) for _ in range(12)]
    assert max(ended) == 1
    assert sum(ended) == 4


def test_options__short_book_of_many_strikes__is_sold_in_slices_that_keep_its_ratios() -> None:
    market = Market(4, deposits={0: ((0, 45_000 * USD),), 1: RICH, 2: RICH, 3: RICH})
    legs = {market.option(strike=115_000, place=3): 100, market.option(strike=125_000, kind=Kind.PUT, place=3): 60}
    for option, lots in legs.items():
        market.trade(1, 0, option, lots)
    market.solo.volatility_ppm = 2_000_000
    events = market.run(6)
    assert of(events, AuctionStarted)
    market.do(2, BidAuction(market.id(0), 300_000, 0))
    (sold,) = market.found(SliceSold)
    for option, lots in legs.items():
        assert -market.lots(2, option) == -(-lots * sold.fraction_ppm // 10**6)
    until_ended(market)


@pytest.mark.parametrize("equity", [-1, 0, 1, 900, 999])
@pytest.mark.parametrize("incentive_ppm", [50_000, 500_000, 1_000_000])
def test_fraction__any_shortfall__is_within_bounds_and_enough(equity: int, incentive_ppm: int) -> None:
    params, buffer_ppm = LiquidationParams(), 1_100_000
    need = Requirement(equity * 10**6, 0, 1_000 * 10**6)
    fraction = compute_fraction_max_ppm(params, buffer_ppm, need, incentive_ppm)
    assert 0 < fraction <= 10**6
    kept = need.maintenance_atoms * (10**6 - fraction) // 10**6
    paid = need.maintenance_atoms * fraction // 10**6 * (incentive_ppm + params.fee_ppm) // 10**6
    if fraction < 10**6:
        assert need.equity_atoms - paid >= kept * buffer_ppm // 10**6 - 2
