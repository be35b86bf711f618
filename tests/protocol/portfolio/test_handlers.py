"""Positions: cost, realised profit, and the pot identity that they rest on."""

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.protocol.portfolio import handlers as portfolio
from holdfast.protocol.portfolio import state
from holdfast.state.draft import Draft
from holdfast.state.store import State

TABLES = (state.POSITIONS, state.HOLDINGS, state.HOLDERS)


def fresh() -> Draft:
    return State(TABLES).draft()


def test_change__closing_a_part_of_a_long__realises_its_share() -> None:
    draft = fresh()
    assert portfolio.change(draft, 1, 7, 10, 1_000) == 0
    assert portfolio.change(draft, 1, 7, -4, -480) == 80
    assert draft[state.POSITIONS][1, 7] == state.Position(6, 600)


def test_change__through_zero__opens_the_other_side_at_the_new_price() -> None:
    draft = fresh()
    portfolio.change(draft, 1, 7, 4, 400)
    assert portfolio.change(draft, 1, 7, -10, -1_200) == 80
    assert draft[state.POSITIONS][1, 7] == state.Position(-6, -720)


def test_change__to_nothing__removes_the_position_and_both_indices() -> None:
    draft = fresh()
    portfolio.change(draft, 1, 7, 4, 400)
    portfolio.change(draft, 1, 7, -4, -300)
    assert portfolio.get_holdings(draft, 1) == ()
    assert portfolio.get_holders(draft, 7) == ()


TRADE = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 9), st.integers(1, 1_000))
TRADES = st.lists(TRADE, max_size=40)


@settings(max_examples=200, deadline=None)
@given(TRADES)
def test_change__any_trades__realised_equals_the_sum_of_costs(trades: list[tuple[int, int, int, int]]) -> None:
    draft = fresh()
    realised = 0
    for buyer, seller, lots, price in trades:
        if buyer == seller:
            continue
        realised += portfolio.change(draft, buyer, 7, lots, lots * price)
        realised += portfolio.change(draft, seller, 7, -lots, -lots * price)
        positions = [position for _, position in draft[state.POSITIONS].items()]
        assert sum(position.lots for position in positions) == 0
        assert sum(position.cost_atoms for position in positions) == realised
