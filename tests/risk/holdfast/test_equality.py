"""The model `holdfast` says of an account what the running exchange says of it, to the atom."""

import json

import pytest
from msgspec.structs import replace

from holdfast.primitives.units import E8
from holdfast.protocol.instruments.state import Kind
from holdfast.protocol.margin.state import Requirement
from holdfast.protocol.ranges.params import DEFAULT_LIMITS
from holdfast.protocol.trading.messages import MassQuote, PlaceOrder, Quote, SetProtection
from holdfast.risk import compute_margin
from tests.support.exchange import BTC, BUY, ETH, SELL, USD, USDT, Market
from tests.support.margin_cases import Tree, read
from tests.support.risk_twin import document_of

COINS = ((0, 900_000 * USD), (BTC, 3 * 10**8 + 7), (ETH, 12_345_678_901), (USDT, 54_321_012_345))


def told(market: Market, index: int) -> Tree:
    decoded: Tree = json.loads(compute_margin(read(document_of(market, index))).to_json())
    return decoded


def margined(market: Market, index: int) -> Requirement:
    figures = told(market, index)["figures"]
    return Requirement(figures["equity_atoms"], figures["initial_atoms"], figures["maintenance_atoms"])


@pytest.fixture(scope="module")
def market() -> Market:
    market = Market(deposits={0: COINS, 1: COINS})
    calls, puts = [market.option(BTC, place=place) for place in (1, 3, 5)], market.option(BTC, Kind.PUT, place=4)
    market.trade(0, 1, calls[0], 137)
    market.trade(1, 0, calls[1], 61)
    market.trade(1, 0, puts, 29)
    market.trade(0, 1, market.option(ETH, Kind.PUT, place=2), 411)
    market.trade(1, 0, market.option(ETH, place=3), 77)
    market.trade(1, 0, market.future(BTC), 45)
    market.trade(0, 1, market.future(ETH, 1), 230)
    market.do(0, PlaceOrder(calls[2], BUY, market.mark_ticks(calls[2]) - 40, 19))
    market.do(0, PlaceOrder(puts, SELL, market.mark_ticks(puts) + 55, 23))
    assert market.do(0, SetProtection(BTC, 40, 600_000)).code == 0
    quotes = [
        Quote(one, market.mark_ticks(one) - 100, 31, market.mark_ticks(one) + 100, 37)
        for one in (calls[0], market.option(BTC, Kind.PUT, place=2))
    ]
    assert market.do(0, MassQuote(BTC, tuple(quotes))).code == 0
    return market


def test_margin__of_an_account_with_everything__equals_the_exchange_s(market: Market) -> None:
    for index in (0, 1, 2):
        assert margined(market, index) == market.need(index)
    parts = told(market, 0)["figures"]["initial_parts"]
    assert all(parts[name] > 0 for name in ("worst_loss", "short", "basis", "confidence"))


def test_margin__after_prices_move_and_usdc_slips__still_equals_the_exchange_s(market: Market) -> None:
    for prices in ({BTC: 119_321 * E8, ETH: 4_417 * E8}, {BTC: 118_777 * E8 + 12_345, 0: 98_500_000, USDT: 99_900_000}):
        market.solo.prices.update(prices)
        market.run(3)
        for index in (0, 1):
            assert margined(market, index) == market.need(index)
    assert told(market, 1)["figures"]["initial_parts"]["depeg"] > 0


def test_parts__add_up_to_the_requirement(market: Market) -> None:
    for index in (0, 1):
        result = told(market, index)
        figures = result["figures"]
        for name in ("initial", "maintenance"):
            parts = dict(figures[f"{name}_parts"])
            del parts["worst_scenario_pnl"]
            assert sum(parts.values()) == pytest.approx(result[name], abs=1e-6)
        worst = min(result["scenarios"].values())
        assert (
            worst == result["scenarios"][result["worst_scenario"]] == figures["maintenance_parts"]["worst_scenario_pnl"]
        )


def test_margin__after_ranges_and_charges_have_adapted__still_equals_the_exchange_s() -> None:
    limits = tuple(
        replace(one, start_ppm=one.start_ppm + 40_000, interest_lower_usd=1, interest_upper_usd=10**8)
        for one in DEFAULT_LIMITS.values()
    )
    market = Market(deposits={0: COINS, 1: COINS}, genesis={"range_limits": limits})
    for place in range(3):
        market.trade(0, 1, market.option(BTC, place=place), 150)
        market.trade(1, 0, market.option(ETH, Kind.PUT, place=place), 400)
    for step in range(1, 6):
        market.solo.prices[BTC] = (120_000 - 150 * step) * E8
        market.solo.time_ms += 3_600_000
        market.run(2)
        for index in (0, 1):
            assert margined(market, index) == market.need(index)
    parameters = document_of(market, 0)["parameters"]["holdfast"]
    assert parameters["range_ppm"]["BTC"] != 160_000
    assert parameters["charge_scale_ppm"]["BTC"] > 1_000_000
