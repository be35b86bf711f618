"""Whatever coins, debts, fund and winners: a closed liquidation ends, conserves money, and coins hurt nobody."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings

from holdfast.protocol.accounts.state import FUND_DEBT, INSURANCE_FUND
from holdfast.protocol.ledger.state import ASSET_NAMES, BALANCES
from holdfast.protocol.liquidation.messages import CoinsSeized, DeficitCovered, FundDebtChanged, Haircut
from holdfast.protocol.margin.state import FROZEN
from holdfast.state.draft import Draft
from tests.support.closing import DRAWS, OTHERS, Draw, make_closing, make_market
from tests.support.exchange import Market


@pytest.fixture(scope="module")
def market() -> Market:
    return make_market()


def totals(draft: Draft) -> list[int]:
    found = [0] * len(ASSET_NAMES)
    for (_, asset_id), atoms in draft[BALANCES].items():
        found[asset_id] += atoms
    return found


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=DRAWS)
def test_closing__as_drawn__ends_and_conserves_and_takes_no_more_than_the_haircut(market: Market, draw: Draw) -> None:
    closing = make_closing(market, draw)
    ids = {market.id(index): index for index in OTHERS}
    owed = max(0, -closing.cash(closing.loser))
    before = {index: (closing.need(index), closing.cash(market.id(index))) for index in OTHERS}
    money = totals(closing.draft)
    events = closing.close()
    assert totals(closing.draft) == money
    assert closing.cash(closing.loser) >= 0
    assert closing.cash(INSURANCE_FUND) >= 0
    haircuts: Counter[int] = Counter()
    for event in events:
        if isinstance(event, Haircut):
            haircuts[event.account_id] += event.amount_atoms
    takers = {event.to_account_id for event in events if isinstance(event, CoinsSeized)} - {INSURANCE_FUND}
    for account_id, index in ids.items():
        need, cash = before[index]
        # To the atom no worse than by the haircut alone: what coins cost is what they add to equity, or less.
        assert closing.equity(index) >= need.equity_atoms - haircuts[account_id]
        if account_id in takers:
            assert account_id not in closing.draft[FROZEN]
            assert closing.cash(account_id) >= 0
            assert closing.need(index).equity_atoms >= closing.need(index).initial_atoms
        elif account_id not in haircuts:
            assert closing.cash(account_id) == cash
    covered = [event for event in events if isinstance(event, DeficitCovered)]
    assert sum(haircuts.values()) == sum(event.haircut_atoms for event in covered)
    debts = [event.change_atoms for event in events if isinstance(event, FundDebtChanged)]
    assert -closing.cash(FUND_DEBT) == sum(debts) <= owed + closing.cash(closing.loser)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=DRAWS)
def test_closing__with_a_fund_above_the_debt__leaves_winners_alone(market: Market, draw: Draw) -> None:
    closing = make_closing(market, draw._replace(fund_atoms=10**13, fund_cap_ppm=10**6))
    before = [closing.equity(index) for index in OTHERS]
    closing.close()
    assert [closing.equity(index) for index in OTHERS] == before
    assert closing.cash(FUND_DEBT) == 0
