"""Mass quotes, judged one by one and margined together, and the protection that bounds what of them may fill."""

import pytest

from holdfast.primitives.reject import Code
from holdfast.protocol.margin.state import PROTECTIONS
from holdfast.protocol.messages import Bundle
from holdfast.protocol.trading.messages import (
    AmendOrder,
    Cancelled,
    MassQuote,
    OrderCancelled,
    PlaceOrder,
    ProtectionTriggered,
    Quote,
    Quoted,
    SetProtection,
    TimeInForce,
    Traded,
)
from tests.support.exchange import BTC, BUY, ETH, SELL, USD, Market

WINDOW_MS = 600_000


@pytest.fixture
def market() -> Market:
    market = Market()
    assert market.do(0, SetProtection(BTC, 100, WINDOW_MS)).code == Code.OK
    return market


def quote(market: Market, *quotes: Quote, underlying: int = BTC) -> list[int]:
    receipt = market.do(0, MassQuote(underlying, quotes))
    assert receipt.code == Code.OK, receipt.detail
    return list(market.found(Quoted)[0].codes)


def test_mass_quote__good_and_bad_sides__bad_ones_come_back_as_codes_and_the_rest_stands(market: Market) -> None:
    option, future = market.option(), market.future()
    market.do(1, PlaceOrder(future, BUY, 119_000, 1))
    codes = quote(
        market,
        Quote(option, 3_000, 5, 3_100, 5),
        Quote(99_999, 1, 1, 2, 1),
        Quote(future, 118_000, 1, 118_999, 1),
        Quote(market.option(ETH), 10, 1, 0, 0),
    )
    unknown, crossing = Code.INSTRUMENT_UNKNOWN, Code.POST_ONLY_WOULD_CROSS
    assert codes == [0, 0, unknown, unknown, 0, crossing, unknown, 0]
    assert market.found(Quoted)[0].rested == 3
    sides = sorted((side, ticks) for account, side, ticks, _ in market.orders().values() if account == market.id(0))
    assert sides == [(BUY, 3_000), (BUY, 118_000), (SELL, 3_100)]


def test_mass_quote__again__replaces_under_the_same_ids_and_keeps_place_only_where_it_shrinks(market: Market) -> None:
    option = market.option()
    quote(market, Quote(option, 3_000, 5, 3_100, 5))
    ids = sorted(market.orders())
    market.do(1, PlaceOrder(option, BUY, 3_000, 5))
    market.do(1, PlaceOrder(option, SELL, 3_100, 5))
    quote(market, Quote(option, 3_000, 4, 3_100, 6))
    assert {order_id: order[3] for order_id, order in market.orders().items() if order_id in ids} == {
        ids[0]: 4,
        ids[1]: 6,
    }
    market.do(2, PlaceOrder(option, SELL, 3_000, 1, TimeInForce.IMMEDIATE_OR_CANCEL))
    assert market.found(Traded)[0].maker_order_id == ids[0]
    market.do(2, PlaceOrder(option, BUY, 3_100, 1, TimeInForce.IMMEDIATE_OR_CANCEL))
    assert market.found(Traded)[0].maker_id == market.id(1)


def test_mass_quote__that_moves_through_its_own_old_side__never_meets_itself(market: Market) -> None:
    option = market.option()
    quote(market, Quote(option, 3_000, 5, 3_100, 5))
    assert quote(market, Quote(option, 3_150, 5, 3_200, 5)) == [0, 0]
    assert quote(market, Quote(option, 2_800, 5, 2_900, 5)) == [0, 0]
    assert quote(market, Quote(option, 2_900, 5, 2_900, 5))[1] == Code.POST_ONLY_WOULD_CROSS or market.orders()


def test_mass_quote__zero_lots__takes_a_side_back(market: Market) -> None:
    option = market.option()
    quote(market, Quote(option, 3_000, 5, 3_100, 5))
    quote(market, Quote(option, 0, 0, 3_100, 5))
    assert [side for _, side, _, _ in market.orders().values()] == [SELL]


def test_mass_quote__beyond_margin__is_refused_whole() -> None:
    market = Market(2, cash=10_000 * USD)
    market.do(0, SetProtection(BTC, 10**6, WINDOW_MS))
    quotes = tuple(Quote(market.option(place=place), 0, 0, 1, 500) for place in (1, 2))
    assert market.do(0, MassQuote(BTC, quotes)).code == Code.MARGIN_INITIAL_SHORT
    assert market.orders() == {}


def test_protection__quotes_beyond_its_limit__count_only_as_far_as_they_may_fill() -> None:
    market = Market(2, cash=20_000 * USD)
    market.do(0, SetProtection(BTC, 10, WINDOW_MS))
    quotes = tuple(Quote(market.option(place=place), 0, 0, 1, 50) for place in (1, 2, 3))
    assert market.do(0, MassQuote(BTC, quotes)).code == Code.OK
    need = market.need(0).initial_atoms
    assert market.do(0, SetProtection(BTC, 150, WINDOW_MS)).code == Code.MARGIN_INITIAL_SHORT
    assert market.draft[PROTECTIONS][market.id(0), BTC].limit_lots == 10
    assert market.do(0, SetProtection(BTC, 5, WINDOW_MS)).code == Code.OK
    assert market.need(0).initial_atoms < need


def test_protection__used_up__takes_all_quotes_of_the_underlying_back_in_the_same_command(market: Market) -> None:
    option, future, eth = market.option(), market.future(), market.option(ETH)
    market.do(0, SetProtection(ETH, 100, WINDOW_MS))
    quote(market, Quote(option, 3_000, 80, 3_100, 80), Quote(future, 119_000, 80, 121_000, 80))
    quote(market, Quote(eth, 1, 1, 0, 0), underlying=ETH)
    own = market.do(0, PlaceOrder(future, BUY, 100_000, 1)).events
    assert own
    market.do(1, PlaceOrder(option, BUY, 3_100, 80))
    assert len(market.orders()) == 5
    market.do(1, PlaceOrder(future, BUY, 121_000, 80))
    assert [trade.lots for trade in market.found(Traded)] == [20]
    (triggered,) = market.found(ProtectionTriggered)
    assert triggered.until_ms > market.solo.time_ms
    reasons = {event.reason for event in market.found(OrderCancelled)}
    assert reasons == {Cancelled.PROTECTION}
    assert sorted(account for account, *_ in market.orders().values()) == [market.id(0), market.id(0), market.id(1)]
    assert market.do(0, MassQuote(BTC, (Quote(option, 3_000, 1, 0, 0),))).code == Code.QUOTE_NOT_PROTECTED
    market.block(time_ms=triggered.until_ms)
    assert market.do(0, MassQuote(BTC, (Quote(option, 3_000, 1, 0, 0),))).code == Code.OK


def test_protection__within_one_command__fills_no_lot_beyond_its_limit(market: Market) -> None:
    options = [market.option(place=place) for place in (1, 2, 3)]
    quote(market, *(Quote(option, 1, 60, 0, 0) for option in options))
    bundle = Bundle(tuple(PlaceOrder(option, SELL, 1, 60, TimeInForce.IMMEDIATE_OR_CANCEL) for option in options))
    market.do(1, bundle)
    assert sum(trade.lots for trade in market.found(Traded)) == 100


def test_protection__removed__takes_the_quotes_back(market: Market) -> None:
    quote(market, Quote(market.option(), 3_000, 5, 3_100, 5))
    market.do(0, SetProtection(BTC, 0, 0))
    assert market.orders() == {}


def test_quote__amended_as_an_order__is_refused(market: Market) -> None:
    quote(market, Quote(market.option(), 3_000, 5, 0, 0))
    (order_id,) = market.orders()
    assert market.do(0, AmendOrder(order_id, 2_000, 5)).code == Code.ORDER_NOT_YOURS


@pytest.mark.parametrize(
    "command", [SetProtection(0, 1, 1), SetProtection(BTC, 1, 0), SetProtection(BTC, 2**24 + 1, 1)]
)
def test_protection__out_of_bounds__is_refused(market: Market, command: SetProtection) -> None:
    assert market.do(0, command).code == Code.PROTECTION_INVALID
