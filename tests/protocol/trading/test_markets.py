"""What a block's commands know of an instrument: asked once, and anew in every block."""

import pytest

from holdfast.primitives.reject import Code, RejectedError
from holdfast.protocol.instruments.handlers import set_halted
from holdfast.protocol.oracle.rules import Action
from holdfast.protocol.surface.state import RISK_ARRAY
from holdfast.protocol.trading import handlers as trading
from holdfast.protocol.trading import rules
from holdfast.protocol.trading.messages import PlaceOrder
from holdfast.protocol.trading.state import MARKETS
from tests.support.exchange import BUY, SELL, Market


@pytest.fixture
def market() -> Market:
    return Market()


def test_market__asked_for_twice_in_a_block__is_the_same_and_each_action_has_its_own(market: Market) -> None:
    draft, future = market.draft, market.future()
    first = rules.get_market(draft, future, market.solo.time_ms, Action.INCREASE_RISK)
    assert rules.get_market(draft, future, market.solo.time_ms, Action.INCREASE_RISK) is first
    assert rules.get_market(draft, future, market.solo.time_ms, Action.QUEUE) is not first
    assert (first.instrument_id, first.line) == (future, draft[RISK_ARRAY][0].lines[future])


def test_market__that_may_not_be_traded__is_not_kept(market: Market) -> None:
    draft, future = market.draft, market.future()
    set_halted(draft, future, is_halted=True)
    with pytest.raises(RejectedError) as refusal:
        rules.get_market(draft, future, market.solo.time_ms, Action.INCREASE_RISK)
    assert refusal.value.code == Code.INSTRUMENT_HALTED
    assert not draft[MARKETS].keys()


def test_open_markets__after_trades__forgets_every_market(market: Market) -> None:
    draft = market.draft
    for instrument_id in (market.future(), market.option()):
        rules.get_market(draft, instrument_id, market.solo.time_ms, Action.INCREASE_RISK)
    assert len(draft[MARKETS].keys()) == 2
    trading.open_markets(draft)
    assert not draft[MARKETS].keys()


def test_block__after_one_that_traded__trades_at_its_own_marks(market: Market) -> None:
    future, ticks = market.future(), market.mark_ticks(market.future())
    assert market.do(0, PlaceOrder(future, SELL, ticks, 1)).code == Code.OK
    market.solo.prices[1] += 1_000 * 10**8
    assert market.do(1, PlaceOrder(future, BUY, ticks, 1)).code == Code.OK
    ((_, kept),) = market.draft[MARKETS].items()
    assert kept.array is market.draft[RISK_ARRAY][0]
    assert kept.line.value_atoms == market.mark_atoms(future)
