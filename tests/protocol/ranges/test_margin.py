"""What margin promises at any range: cash never raises it, initial covers maintenance, a box costs at most its face."""

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from holdfast.protocol.instruments.state import Kind
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import USDC
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.state import CHARGES
from holdfast.protocol.ranges.params import LIMITS
from tests.support.exchange import USD, Market

RANGES_PPM: Final = (130_000, 160_000, 275_000, 500_000)
LOW, HIGH = 115_000, 125_000


def market_at(range_ppm: int) -> Market:
    """Return a market whose BTC range is one between its bounds."""
    limits = (replace(LIMITS[0], start_ppm=range_ppm), LIMITS[1])
    return Market(3, cash=1_000_000 * USD, genesis={"range_limits": limits})


@pytest.fixture(scope="module")
def mixed() -> Market:
    """Return a market in which the second account has a short option, a hedge and an order."""
    market = market_at(275_000)
    market.trade(0, 1, market.option(), 40)
    market.trade(1, 0, market.future(), 60)
    market.block()
    return market


@settings(max_examples=40)
@given(st.integers(-2_000_000 * USD, 2_000_000 * USD))
def test_more_cash__whatever_is_held__never_raises_a_requirement(mixed: Market, amount: int) -> None:
    draft, account_id = mixed.draft, mixed.id(1)
    before = margin.get_requirement(draft, account_id)
    ledger.move(draft, mixed.id(2), account_id, USDC, amount)
    after = margin.get_requirement(draft, account_id)
    assert after.initial_atoms == before.initial_atoms
    assert after.maintenance_atoms == before.maintenance_atoms
    assert after.equity_atoms - before.equity_atoms == amount


@pytest.mark.parametrize("range_ppm", RANGES_PPM)
def test_requirements__at_any_range__are_ordered_and_not_negative(range_ppm: int) -> None:
    market = market_at(range_ppm)
    market.trade(0, 1, market.option(), 30)
    market.trade(1, 0, market.option(kind=Kind.PUT), 20)
    market.trade(2, 0, market.future(), 25)
    market.block()
    for index in range(3):
        need = market.need(index)
        assert 0 <= need.maintenance_atoms <= need.initial_atoms


def test_requirement__of_a_future__grows_with_the_range() -> None:
    needs = []
    for range_ppm in RANGES_PPM:
        market = market_at(range_ppm)
        market.trade(0, 1, market.future(), 25)
        market.block()
        needs.append(market.need(0).initial_atoms)
    assert needs == sorted(needs)
    assert needs[-1] > 3 * needs[0]


@pytest.mark.parametrize("range_ppm", RANGES_PPM)
def test_box__fully_hedged__costs_no_more_than_its_face(range_ppm: int) -> None:
    market, lots = market_at(range_ppm), 20
    low_call, low_put = market.option(strike=LOW), market.option(kind=Kind.PUT, strike=LOW)
    high_call, high_put = market.option(strike=HIGH), market.option(kind=Kind.PUT, strike=HIGH)
    # The second account is short the box: it was paid for it, and owes its face at expiry.
    for instrument_id, buyer, seller in ((low_call, 0, 1), (low_put, 1, 0), (high_call, 1, 0), (high_put, 0, 1)):
        market.trade(buyer, seller, instrument_id, lots)
    market.block()
    face_atoms = (HIGH - LOW) * USD * lots // 100
    # No lot of it is net short; the oracle's doubt charges gross lots, and each mark and row is rounded to an atom.
    doubt_atoms = 4 * lots * market.draft[CHARGES][0].confidence_im[0]
    for index in (0, 1):
        need = market.need(index)
        assert need.maintenance_atoms <= 4 * lots * 40
        assert need.initial_atoms <= 4 * lots * 40 + doubt_atoms <= face_atoms
