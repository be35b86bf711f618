"""The last step of a liquidation, as drawn: both engines place the same coins and the same debts to the atom."""

import pytest
from hypothesis import HealthCheck, given, settings

from holdfast.lab.reference import ReferenceExchange
from holdfast.lab.reference import closing as reference_closing
from holdfast.lab.reference.valuation import value
from holdfast.protocol.accounts.state import INSURANCE_FUND, TREASURY
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.liquidation.handlers import coins
from holdfast.protocol.liquidation.handlers.ending import repay_debt
from tests.support.closing import DRAWS, Draw, make_closing, make_market
from tests.support.exchange import USD, Market
from tests.support.twin import first_difference


@pytest.fixture(scope="module")
def market() -> Market:
    return make_market()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=DRAWS)
def test_closing__as_drawn__is_the_same_to_both_engines(market: Market, draw: Draw) -> None:
    check_same(market, draw)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=DRAWS)
def test_closing__with_more_winners_than_takers__asks_the_same(market: Market, draw: Draw) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coins, "COIN_TAKERS_MAX", 2)
        patch.setattr(reference_closing, "_TAKERS_MAX", 2)
        check_same(market, draw)


def check_same(market: Market, draw: Draw) -> None:
    closing = make_closing(market, draw)
    closing.queue()
    world = ReferenceExchange.resume(closing.rows().items()).world
    valuation = value(world)
    assert valuation is not None
    reference_closing.close(world, valuation, closing.loser)
    events = closing.close()
    assert first_difference(closing.rows(), world.rows()) is None
    assert tuple(world.events) == events
    ledger.move(closing.draft, TREASURY, INSURANCE_FUND, 0, 70_000 * USD)
    world.pay(TREASURY, INSURANCE_FUND, 70_000 * USD)
    world.events = []
    reference_closing.repay(world)
    assert tuple(world.events) == repay_debt(closing.draft)
    assert first_difference(closing.rows(), world.rows()) is None
