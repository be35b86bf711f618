"""Open orders of all accounts at once beside the rules for one: losses, lots and initial margin's bound."""

import numpy as np
import pytest

from holdfast.protocol.book.state import FLAG_QUOTE, ORDERS, Side
from holdfast.protocol.limits import ACCOUNT_LOTS_MAX, ORDER_LOTS_MAX, ROW_ATOMS_MAX
from holdfast.protocol.margin import rules
from holdfast.protocol.margin.params import UNIVERSE_INDEX
from holdfast.protocol.margin.state import CHARGES, AccountRisk, Int64Array, RiskMatrix, Sources
from holdfast.protocol.surface.state import RISK_ARRAY
from holdfast.protocol.trading.messages import MassQuote, PlaceOrder, Quote, SetProtection
from holdfast.state.columns import Columns, empty_columns
from holdfast.state.draft import Draft
from tests.support.exchange import BTC, BUY, ETH, SELL, Market

PAGE = 1_024


@pytest.fixture(scope="module")
def market() -> Market:
    """Orders beside positions and alone, quotes beside orders and alone, of any side and underlying; nothing at all."""
    market = Market(6)
    market.trade(0, 1, market.future(), 100)
    market.trade(2, 0, market.option(ETH), 20)
    for index, instrument_id, side, ticks, lots in (
        (0, market.future(ETH), BUY, 40_000, 3),
        (0, market.option(), SELL, 2_000, 7),
        (0, market.option(), BUY, 1, 5),
        (3, market.future(), BUY, 100_000, 2),
        (3, market.future(ETH), SELL, 50_000, 11),
    ):
        assert market.do(index, PlaceOrder(instrument_id, side, ticks, lots)).code == 0
    for index in (1, 3, 4):
        assert market.do(index, SetProtection(ETH, 10, 60_000)).code == 0
        assert market.do(index, MassQuote(ETH, (Quote(market.option(ETH), 10, 5, 9_000 + index, 5),))).code == 0
    return market


def compute(draft: Draft, columns: Columns) -> RiskMatrix:
    sources = rules.read_sources(draft)._replace(orders=columns)
    return rules.compute_matrix(draft, draft[RISK_ARRAY][0], draft[CHARGES][0], sources, {})


def sum_one(draft: Draft, columns: Columns, account_id: int) -> tuple[Int64Array, list[int], int]:
    """Return what an account's orders and quotes would lose, its quoted lots and its open lots, order by order."""
    losses, quoted, open_lots = np.zeros((2, 3, 32), dtype=np.int64), [0, 0, 0], 0
    for holder, instrument_id, side, ticks, lots, flags in columns.values.T.tolist():
        if holder == account_id:
            line = draft[RISK_ARRAY][0].lines[instrument_id]
            universe, is_quote = UNIVERSE_INDEX[line.underlying], bool(flags & FLAG_QUOTE)
            signed = lots if side == Side.BUY else -lots
            losses[int(is_quote), universe] += rules.compute_order_term(line, ticks * line.tick_value_atoms, signed)
            quoted[universe] += lots * is_quote
            open_lots += lots
    return losses, quoted, open_lots


def check_all(draft: Draft, columns: Columns) -> dict[int, AccountRisk]:
    """Hold every account of the matrix against the rules for one; return the accounts' risk."""
    matrix = compute(draft, columns)
    assert set(columns.values[0].tolist()) <= set(matrix.account_ids.tolist())
    rows: dict[int, AccountRisk] = {}
    for place, account_id in enumerate(matrix.account_ids.tolist()):
        row = rules.get_row(matrix, account_id)
        assert row is not None
        (plain, quotes), quoted, open_lots = sum_one(draft, columns, account_id)
        assert np.array_equal(row.orders, plain), account_id
        assert np.array_equal(row.quotes, quotes), account_id
        assert list(row.quoted_lots) == quoted, account_id
        assert row.open_lots == open_lots == matrix.open_lots[place], account_id
        assert matrix.need_atoms[place] == rules.compute_need_atoms(draft, row), account_id
        rows[account_id] = row
    return rows


def flagged(columns: Columns, flags: int) -> Columns:
    values = columns.values.copy()
    values[5] = flags
    return Columns(columns.keys, values)


@pytest.mark.usefixtures("kernel")
def test_matrix__orders_and_quotes__are_counted_as_the_rules_for_one_count_them(market: Market) -> None:
    rows = check_all(market.draft, rules.read_sources(market.draft).orders)
    assert [any(rows[market.id(index)].quoted_lots) for index in (0, 1, 3, 4)] == [False, True, True, True]
    assert rows[market.id(0)].orders.any()
    assert rows[market.id(2)].open_lots == 0
    assert market.id(5) not in rows


@pytest.mark.parametrize("flags", [0, FLAG_QUOTE])
@pytest.mark.usefixtures("kernel")
def test_matrix__of_orders_alone_or_quotes_alone__counts_none_as_the_other(market: Market, flags: int) -> None:
    columns = flagged(rules.read_sources(market.draft).orders, flags)
    rows = check_all(market.draft, columns).values()
    assert any(row.orders.any() for row in rows) == (flags == 0)
    assert any(row.quotes.any() for row in rows) == (flags == FLAG_QUOTE)


@pytest.mark.usefixtures("kernel")
def test_matrix__without_any_order__has_only_those_that_hold_something(market: Market) -> None:
    rows = check_all(market.draft, empty_columns(6))
    assert sorted(rows) == [market.id(index) for index in (0, 1, 2)]
    assert not any(row.open_lots for row in rows.values())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.usefixtures("kernel")
def test_matrix__more_accounts_with_nothing_but_orders_than_a_page_holds__counts_each(
    market: Market, seed: int
) -> None:
    draft, rng = market.draft, np.random.default_rng(seed)
    array, count = draft[RISK_ARRAY][0], 3 * PAGE
    holders = rng.integers(0, 2 * PAGE, count) * 3
    values = np.stack(
        [
            holders,
            rng.choice(array.instrument_ids, count),
            rng.integers(0, 2, count),
            rng.integers(1, 10**5, count),
            rng.integers(1, 50, count),
            rng.choice([0, FLAG_QUOTE], count),
        ]
    )
    sources = Sources({}, {}, {}, Columns(np.arange(count), values))
    matrix = rules.compute_matrix(draft, array, draft[CHARGES][0], sources, {})
    assert matrix.account_ids.tolist() == sorted(set(holders.tolist()))
    assert len(matrix.account_ids) > PAGE
    for account_id in (*matrix.account_ids[::97].tolist(), *matrix.account_ids[-2:].tolist()):
        row = rules.get_row(matrix, account_id)
        assert row is not None
        (plain, quotes), quoted, open_lots = sum_one(draft, sources.orders, account_id)
        assert np.array_equal(row.orders, plain), account_id
        assert np.array_equal(row.quotes, quotes), account_id
        assert (list(row.quoted_lots), row.open_lots) == (quoted, open_lots), account_id
        assert matrix.need_atoms[matrix.places.at(account_id)] == rules.compute_need_atoms(draft, row), account_id


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.usefixtures("kernel")
def test_sums__at_the_bounds_of_lots_limits_and_rows__overflow_nowhere(market: Market, sign: int) -> None:
    """An account's every lot in orders that lose all that one can: its value and its change, each at the ceiling."""
    draft, most = market.draft, ROW_ATOMS_MAX
    array = draft[RISK_ARRAY][0]
    instrument_id = market.future()
    place = int(np.searchsorted(array.instrument_ids, instrument_id))
    changed = {name: getattr(array, name).copy() for name in ("rows", "values_atoms", "tick_values_atoms")}
    changed["rows"][place], changed["values_atoms"][place] = -sign * most, 0 if sign > 0 else most
    changed["tick_values_atoms"][place] = 1
    count = ACCOUNT_LOTS_MAX // ORDER_LOTS_MAX
    side, ticks = (Side.BUY, most) if sign > 0 else (Side.SELL, 0)
    values = np.array([[7, instrument_id, side, ticks, ORDER_LOTS_MAX, 0]] * count).T
    sources = Sources({}, {}, {}, Columns(np.arange(count), np.ascontiguousarray(values)))
    matrix = rules.compute_matrix(draft, array._replace(**changed), draft[CHARGES][0], sources, {})
    row = rules.get_row(matrix, 7)
    assert row is not None
    assert row.orders[UNIVERSE_INDEX[BTC]].tolist() == [-2 * most * ACCOUNT_LOTS_MAX] * 32
    assert row.open_lots == ACCOUNT_LOTS_MAX


def test_columns__of_the_market__are_its_orders(market: Market) -> None:
    """What the other tests take for the orders are those of the book."""
    columns = rules.read_sources(market.draft).orders
    assert columns.keys.tolist() == sorted(market.draft[ORDERS].keys())
    assert len(columns.keys) == 5 + 2 * 3
