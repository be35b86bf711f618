"""Single orders: price-time priority, kinds of orders, amending, self-trade prevention, fees, makers at the fill."""

import pytest

from holdfast.primitives.reject import Code, RejectedError
from holdfast.protocol.accounts.messages import CreateSubaccount
from holdfast.protocol.accounts.state import INSURANCE_FUND, TREASURY
from holdfast.protocol.custody.messages import Transfer
from holdfast.protocol.instruments.state import INSTRUMENTS
from holdfast.protocol.ledger.handlers import get_cash
from holdfast.protocol.ledger.state import USDC
from holdfast.protocol.limits import ACCOUNT_LOTS_MAX, ORDER_LOTS_MAX, ROW_ATOMS_MAX
from holdfast.protocol.messages import Bundle
from holdfast.protocol.portfolio.state import POSITIONS, Position
from holdfast.protocol.trading import rules
from holdfast.protocol.trading.messages import (
    AmendOrder,
    CancelAll,
    Cancelled,
    CancelOrder,
    OrderAmended,
    OrderCancelled,
    OrderPlaced,
    PlaceOrder,
    SelfTrade,
    TimeInForce,
    Traded,
)
from holdfast.protocol.trading.rules import check_position_room
from tests.support.exchange import BUY, SELL, USD, Market

IOC, FOK = TimeInForce.IMMEDIATE_OR_CANCEL, TimeInForce.FILL_OR_KILL


@pytest.fixture
def market() -> Market:
    return Market()


def place(market: Market, index: int, side: int, ticks: int, lots: int, **flags: int | bool) -> int:
    """Place an order in the nearest future; return its id."""
    receipt = market.do(index, PlaceOrder(market.future(), side, ticks, lots, **flags))  # type: ignore[arg-type]
    assert receipt.code == Code.OK, receipt.detail
    return market.found(OrderPlaced)[-1].order_id


def fills(market: Market) -> list[tuple[int, int, int]]:
    """Return (maker's order, ticks, lots) of the last block's fills."""
    return [(trade.maker_order_id, trade.price_ticks, trade.lots) for trade in market.found(Traded)]


def dropped(market: Market) -> list[tuple[int, int, int]]:
    """Return (order, lots, reason) of the last block's cancellations."""
    return [(event.order_id, event.lots, event.reason) for event in market.found(OrderCancelled)]


def test_match__several_makers__fills_best_price_then_oldest_at_their_prices(market: Market) -> None:
    far = place(market, 1, SELL, 120_010, 5)
    first = place(market, 1, SELL, 120_005, 5)
    second = place(market, 2, SELL, 120_005, 5)
    taker = place(market, 0, BUY, 120_020, 12)
    assert fills(market) == [(first, 120_005, 5), (second, 120_005, 5), (far, 120_010, 2)]
    assert market.orders() == {far: (market.id(1), SELL, 120_010, 3)}
    assert market.found(OrderPlaced)[0].filled_lots == 12
    assert taker not in market.orders()
    assert [market.lots(index, market.future()) for index in range(3)] == [12, -7, -5]


def test_limit__crossing_in_part__rests_the_remainder_at_its_limit(market: Market) -> None:
    place(market, 1, SELL, 120_000, 3)
    taker = place(market, 0, BUY, 120_000, 10)
    assert market.orders() == {taker: (market.id(0), BUY, 120_000, 7)}


@pytest.mark.parametrize(
    ("flags", "left"),
    [({"time_in_force": IOC}, 7), ({"time_in_force": TimeInForce.GOOD_TILL_CANCELLED, "ticks": 0}, 7)],
    ids=["immediate_or_cancel", "market"],
)
def test_order__that_never_rests__fills_what_it_can_and_drops_the_rest(
    market: Market, flags: dict[str, int], left: int
) -> None:
    place(market, 1, SELL, 120_000, 3)
    ticks = flags.pop("ticks", 120_000)
    taker = place(market, 0, BUY, ticks, 10, **flags)
    assert dropped(market) == [(taker, left, Cancelled.IMMEDIATE)]
    assert market.orders() == {}
    assert market.lots(0, market.future()) == 3


def test_market_order__beyond_its_band__meets_nobody(market: Market) -> None:
    place(market, 1, SELL, 122_401, 3)
    assert market.do(0, PlaceOrder(market.future(), BUY, 0, 3)).code == Code.NO_LIQUIDITY
    place(market, 1, SELL, 122_400, 3)
    assert market.do(0, PlaceOrder(market.future(), BUY, 0, 6)).code == Code.OK
    assert market.lots(0, market.future()) == 3


def test_market_order__in_an_option__goes_no_further_than_a_quarter_of_its_mark(market: Market) -> None:
    call = market.option()
    tick = market.draft[INSTRUMENTS][call].tick_value_atoms
    furthest = (market.mark_atoms(call) * 5 // 4) // tick
    assert furthest - market.mark_ticks(call) < 2_400, "the band of the index alone would reach further"
    assert market.do(1, PlaceOrder(call, SELL, furthest + 1, 3)).code == Code.OK
    assert market.do(0, PlaceOrder(call, BUY, 0, 3)).code == Code.NO_LIQUIDITY
    # Each block takes a little off the mark, so the next price stands well inside.
    assert market.do(1, PlaceOrder(call, SELL, market.mark_ticks(call) * 6 // 5, 3)).code == Code.OK
    assert market.do(0, PlaceOrder(call, BUY, 0, 3)).code == Code.OK


def test_fill_or_kill__with_enough__fills_all(market: Market) -> None:
    place(market, 1, SELL, 120_000, 3)
    place(market, 2, SELL, 120_001, 3)
    place(market, 0, BUY, 120_001, 6, time_in_force=FOK)
    assert market.lots(0, market.future()) == 6


def test_post_only__at_the_touch__rests(market: Market) -> None:
    place(market, 1, SELL, 120_001, 3)
    order_id = place(market, 0, BUY, 120_000, 3, post_only=True)
    assert market.orders()[order_id] == (market.id(0), BUY, 120_000, 3)


def test_reduce_only_taker__asking_for_more__is_cut_to_its_position(market: Market) -> None:
    market.trade(0, 1, market.future(), 5)
    place(market, 2, BUY, 120_000, 20)
    place(market, 0, SELL, 120_000, 20, reduce_only=True)
    assert market.lots(0, market.future()) == 0
    assert market.lots(2, market.future()) == 5


def test_reduce_only_maker__with_nothing_left_to_reduce__is_cancelled_at_the_fill(market: Market) -> None:
    market.trade(0, 1, market.future(), 5)
    resting = place(market, 0, SELL, 120_500, 5, reduce_only=True)
    place(market, 2, BUY, 120_000, 3)
    place(market, 0, SELL, 120_000, 3)
    place(market, 3, BUY, 120_500, 9)
    assert fills(market) == [(resting, 120_500, 2)]
    assert (resting, 3, Cancelled.REDUCE_ONLY) in dropped(market)
    assert market.lots(0, market.future()) == 0


def test_amend__smaller_at_the_same_price__keeps_its_id_and_its_place(market: Market) -> None:
    first = place(market, 1, SELL, 120_000, 5)
    second = place(market, 2, SELL, 120_000, 5)
    assert market.do(1, AmendOrder(first, 120_000, 4)).code == Code.OK
    place(market, 0, BUY, 120_000, 6)
    assert fills(market) == [(first, 120_000, 4), (second, 120_000, 2)]


@pytest.mark.parametrize(("ticks", "lots"), [(120_000, 6), (119_999, 5)], ids=["larger", "other_price_and_back"])
def test_amend__larger_or_repriced__keeps_its_id_and_goes_to_the_back(market: Market, ticks: int, lots: int) -> None:
    first = place(market, 1, SELL, 120_000, 5)
    second = place(market, 2, SELL, 120_000, 5)
    market.do(1, AmendOrder(first, ticks, lots))
    if ticks != 120_000:
        market.do(1, AmendOrder(first, 120_000, lots))
    place(market, 0, BUY, 120_000, 7)
    assert fills(market) == [(second, 120_000, 5), (first, 120_000, 2)]


def test_amend__into_the_other_side__trades_at_once_and_rests_the_remainder_under_its_id(market: Market) -> None:
    bid = place(market, 0, BUY, 119_000, 5)
    ask = place(market, 1, SELL, 120_000, 2)
    market.do(0, AmendOrder(bid, 120_000, 5))
    assert fills(market) == [(ask, 120_000, 2)]
    assert market.found(OrderAmended) == [OrderAmended(bid, 120_000, 2, 3)]
    assert market.orders() == {bid: (market.id(0), BUY, 120_000, 3)}


def test_amend__that_margin_refuses__leaves_the_order_as_it_was() -> None:
    market = Market(2, deposits={0: ((0, 20_000 * USD),), 1: ((0, 10**6 * USD),)})
    bid = place(market, 0, BUY, 119_000, 5)
    assert market.do(0, AmendOrder(bid, 119_000, 5_000)).code == Code.MARGIN_INITIAL_SHORT
    assert market.orders() == {bid: (market.id(0), BUY, 119_000, 5)}


@pytest.mark.parametrize(("reduce_only", "code"), [(True, Code.OK), (False, Code.USDC_DEPEGGED)])
def test_amend__while_new_risk_is_barred__moves_only_what_reduces(
    market: Market, code: Code, *, reduce_only: bool
) -> None:
    market.trade(0, 1, market.future(), 5)
    ask = place(market, 0, SELL, 121_000, 5, reduce_only=reduce_only)
    market.solo.prices[USDC] = 98 * 10**6
    market.run(2)
    assert market.do(0, AmendOrder(ask, 120_900, 5)).code == code
    assert market.orders()[ask][2] == (120_900 if reduce_only else 121_000)
    assert market.do(0, AmendOrder(ask, 120_900 if reduce_only else 121_000, 4)).code == Code.OK


def test_position_room__of_one_that_holds_more_than_may_be__is_there_for_what_reduces(market: Market) -> None:
    draft, account_id, future = market.draft, market.id(0), market.future()
    draft[POSITIONS].put((account_id, future), Position(ACCOUNT_LOTS_MAX + 2, 0))
    check_position_room(draft, account_id, future, -1)
    with pytest.raises(RejectedError) as refusal:
        check_position_room(draft, account_id, future, 1)
    assert refusal.value.code == Code.LOTS_TOO_MANY


def test_position_room__with_all_positions_taken__is_there_for_those_held_alone(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.trade(0, 1, market.future(), 5)
    monkeypatch.setattr(rules, "POSITIONS_PER_ACCOUNT_MAX", 1)
    check_position_room(market.draft, market.id(0), market.future(), 5)
    with pytest.raises(RejectedError) as refusal:
        check_position_room(market.draft, market.id(0), market.future(place=1), 5)
    assert refusal.value.code == Code.POSITIONS_FULL


def test_cancel__own_orders__one_all_or_of_one_instrument(market: Market) -> None:
    future, other = market.future(), market.future(place=1)
    ids = [place(market, 0, BUY, 100_000 + step, 1) for step in range(3)]
    market.do(0, PlaceOrder(other, BUY, 100_000, 1))
    market.do(0, CancelOrder(ids[1]))
    assert dropped(market) == [(ids[1], 1, Cancelled.BY_OWNER)]
    market.do(0, CancelAll(future))
    assert len(market.orders()) == 1
    market.do(0, CancelAll(0))
    assert market.orders() == {}


@pytest.mark.parametrize(
    ("mode", "is_maker_gone", "rests"),
    [
        (SelfTrade.CANCEL_RESTING, True, True),
        (SelfTrade.CANCEL_INCOMING, False, False),
        (SelfTrade.CANCEL_BOTH, True, False),
    ],
)
def test_self_trade__within_a_family__never_fills(
    market: Market, mode: SelfTrade, is_maker_gone: bool, rests: bool
) -> None:
    market.do(0, CreateSubaccount())
    market.do(0, Transfer(market.id(4), 0, 100_000 * USD))
    own = place(market, 0, SELL, 120_000, 5)
    receipt = market.do(0, PlaceOrder(market.future(), BUY, 120_000, 5, self_trade=mode), account_id=market.id(4))
    assert receipt.code == Code.OK
    assert fills(market) == []
    orders = market.orders()
    assert (own not in orders) == is_maker_gone
    assert any(account_id == market.id(4) for account_id, *_ in orders.values()) == rests


def test_fees__of_a_future__round_up_and_go_to_the_fund_and_the_treasury(market: Market) -> None:
    fund, treasury = get_cash(market.draft, INSURANCE_FUND), get_cash(market.draft, TREASURY)
    market.solo.prices[1] += 12_345_678
    market.run(2)
    market.trade(0, 1, market.future(), 1)
    (trade,) = market.found(Traded)
    worth = market.solo.prices[1] * 10**6 // 10**10
    assert trade.taker_fee_atoms == -(-worth * 300 // 10**6)
    assert trade.maker_fee_atoms == -(-worth * 100 // 10**6)
    fees = trade.taker_fee_atoms + trade.maker_fee_atoms
    assert get_cash(market.draft, INSURANCE_FUND) - fund == -(-fees * 3 // 10)
    assert get_cash(market.draft, TREASURY) - treasury == fees - -(-fees * 3 // 10)


def test_fee__of_a_cheap_option__is_capped_at_a_share_of_its_premium_rounded_up(market: Market) -> None:
    option = market.option()
    market.trade(0, 1, option, 1, ticks=1)
    (trade,) = market.found(Traded)
    assert (trade.taker_fee_atoms, trade.maker_fee_atoms) == (1_250, 1_250)


def test_option_premium__moves_from_buyer_to_seller_at_once(market: Market) -> None:
    option = market.option()
    before = [market.cash(0), market.cash(1)]
    market.trade(0, 1, option, 3, ticks=500)
    (trade,) = market.found(Traded)
    assert market.cash(0) == before[0] - 3 * 500 * 10_000 - trade.taker_fee_atoms
    assert market.cash(1) == before[1] + 3 * 500 * 10_000 - trade.maker_fee_atoms


def test_future__closed_in_steps__pays_its_whole_profit_to_the_atom(market: Market) -> None:
    future = market.future()
    before = [market.cash(0), market.cash(1)]
    paid = [0, 0]
    for buyer, seller, lots, ticks in [(0, 1, 7, 120_001), (1, 0, 3, 120_100), (1, 0, 9, 119_950), (0, 1, 5, 119_990)]:
        market.trade(buyer, seller, future, lots, ticks)
        (trade,) = market.found(Traded)
        paid[buyer] += trade.taker_fee_atoms
        paid[seller] += trade.maker_fee_atoms
    assert market.lots(0, future) == 0
    profit = 10_000 * (3 * 120_100 + 9 * 119_950 - 7 * 120_001 - 5 * 119_990)
    assert market.cash(0) - before[0] == profit - paid[0]
    assert market.cash(1) - before[1] == -profit - paid[1]


def test_maker__short_of_margin_at_the_fill__loses_that_order_and_matching_goes_on() -> None:
    market = Market(4, deposits={1: ((0, 30_000 * USD),)} | dict.fromkeys((0, 2, 3), ((0, 10**6 * USD),)))
    future, other = market.future(), market.future(place=1)
    # The resting order is margined where it stands; what then takes the margin is a loss in the mark of another future.
    resting = place(market, 1, SELL, 120_000, 100)
    good = place(market, 2, SELL, 120_001, 100)
    market.trade(1, 3, other, 45)
    market.solo.prices[1] = 112_000 * 10**8
    market.run(4)
    assert resting in market.orders()
    place(market, 0, BUY, 120_001, 100)
    assert (resting, 100, Cancelled.MARGIN_AT_FILL) in dropped(market) or fills(market)[0][0] == resting
    if fills(market)[0][0] != resting:
        assert fills(market) == [(good, 120_001, 100)]
    assert market.lots(0, future) == 100


def test_shortfall_rule__account_under_initial_margin__may_reduce_but_not_add() -> None:
    market = Market(3, deposits={0: ((0, 30_000 * USD),), 1: ((0, 10**6 * USD),), 2: ((0, 10**6 * USD),)})
    future = market.future()
    market.trade(0, 1, future, 140)
    market.solo.prices[1] = 117_800 * 10**8
    market.run(3)
    need = market.need(0)
    assert need.maintenance_atoms <= need.equity_atoms < need.initial_atoms
    ticks = market.mark_ticks(future)
    place(market, 2, BUY, ticks, 100)
    place(market, 2, SELL, ticks + 1, 100)
    assert market.do(0, PlaceOrder(future, BUY, ticks + 1, 1)).code == Code.MARGIN_INITIAL_SHORT
    assert market.do(0, PlaceOrder(future, SELL, ticks, 10)).code == Code.OK
    assert market.lots(0, future) == 130
    short = [need.initial_atoms - need.equity_atoms, market.need(0).initial_atoms - market.need(0).equity_atoms]
    assert short[1] < short[0]


def test_bundle__legs_that_hedge_each_other__are_judged_in_order_and_kept_together(market: Market) -> None:
    future = market.future()
    place(market, 1, SELL, 120_000, 5)
    place(market, 1, SELL, 120_001, 5)
    legs = Bundle((PlaceOrder(future, BUY, 120_000, 5), PlaceOrder(future, BUY, 120_001, 5), CancelAll(future)))
    assert market.do(0, legs).code == Code.OK
    assert market.lots(0, future) == 10


@pytest.mark.parametrize("bad", [CancelOrder(10**9), PlaceOrder(1, BUY, 1, 0), AmendOrder(10**9, 1, 1)])
def test_bundle__one_failing_action__leaves_no_trace(
    market: Market, bad: CancelOrder | PlaceOrder | AmendOrder
) -> None:
    future = market.future()
    maker = place(market, 1, SELL, 120_000, 5)
    orders, cash = market.orders(), market.cash(0)
    assert market.do(0, Bundle((PlaceOrder(future, BUY, 120_000, 3), bad))).code != Code.OK
    assert (market.orders(), market.cash(0), market.lots(0, future)) == (orders, cash, 0)
    assert maker in market.orders()


@pytest.mark.parametrize("side", [BUY, SELL])
def test_order__at_the_largest_price_and_size__is_margined_without_overflow(market: Market, side: int) -> None:
    one = market.draft[INSTRUMENTS][market.future()]
    ticks = ROW_ATOMS_MAX // one.tick_value_atoms
    receipt = market.do(0, PlaceOrder(market.future(), side, ticks, ORDER_LOTS_MAX))
    assert receipt.code == (Code.MARGIN_INITIAL_SHORT if side == BUY else Code.OK)
    assert market.do(0, PlaceOrder(market.future(), side, ticks + 1, 1)).code == Code.PRICE_TOO_LARGE


def test_orders__of_every_size_up_to_the_bound__never_overflow_an_account() -> None:
    market = Market(2, cash=10**15)
    for command in [PlaceOrder(market.option(), BUY, 1, ORDER_LOTS_MAX)] * 4:
        assert market.do(0, command).code == Code.OK
    assert market.do(0, PlaceOrder(market.option(), BUY, 1, 1)).code == Code.LOTS_TOO_MANY


def test_position__at_the_bound_of_lots__refuses_more_instead_of_halting() -> None:
    market = Market(3, cash=3 * 10**15)
    option = market.option()
    for _ in range(4):
        rested, taken = market.block(
            market.sign(1, PlaceOrder(option, SELL, 1, ORDER_LOTS_MAX)),
            market.sign(0, PlaceOrder(option, BUY, 1, ORDER_LOTS_MAX)),
        )
        if (rested.code, taken.code) != (Code.OK, Code.OK):
            break
    market.do(2, PlaceOrder(option, SELL, 1, ORDER_LOTS_MAX))
    market.do(0, PlaceOrder(option, BUY, 1, ORDER_LOTS_MAX))
    assert abs(market.lots(0, option)) <= 2**26


def test_receipts__of_a_refused_order__hold_no_events(market: Market) -> None:
    receipt = market.do(0, PlaceOrder(market.future(), BUY, 120_000, 10**6))
    assert receipt.code == Code.MARGIN_INITIAL_SHORT
    assert receipt.events == ()
