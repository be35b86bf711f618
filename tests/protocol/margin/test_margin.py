"""Margin: exact sums kept incrementally, worst cases over scenarios, charges, and what may never happen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.primitives.reject import Code
from holdfast.primitives.units import PPM, div_ceil
from holdfast.protocol.custody.messages import Deposit
from holdfast.protocol.instruments.state import INSTRUMENTS, Kind
from holdfast.protocol.ledger.state import BALANCES, USDC
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin import rules
from holdfast.protocol.margin.params import JOINT, MARGIN_PARAMS, OPPOSED, ROW_FLAT, MarginParams
from holdfast.protocol.margin.rules.requirement import EMPTY_RISK, _worst_loss_atoms, compute_order_term
from holdfast.protocol.margin.state import CHARGES, RISK_MATRIX, AccountRisk
from holdfast.protocol.surface.state import RISK_ARRAY, RiskArray
from holdfast.protocol.trading.messages import CancelOrder, MassQuote, PlaceOrder, Quote, SetProtection
from tests.support.exchange import BTC, BUY, ETH, SELL, USD, USDT, Market

PARAMS = MarginParams()
rows = st.lists(st.integers(-(2**40), 2**40), min_size=32, max_size=32)


def risk_of(*vectors: list[int]) -> AccountRisk:
    stress = np.zeros((3, 32), dtype=np.int64)
    for universe, vector in enumerate(vectors):
        stress[universe] = vector
    return EMPTY_RISK._replace(stress=stress)


@settings(max_examples=200, deadline=None)
@given(rows)
def test_worst_loss__of_one_universe__is_the_minimum_over_its_rows(vector: list[int]) -> None:
    vector[ROW_FLAT] = 0
    assert _worst_loss_atoms(PARAMS, risk_of(vector).stress) == max(0, -min(vector))
    assert _worst_loss_atoms(PARAMS, risk_of([0] * 32, vector).stress) == max(0, -min(vector))


@settings(max_examples=200, deadline=None)
@given(rows, rows, rows)
def test_worst_loss__of_three_universes__equals_a_plain_loop_over_the_listed_scenarios(
    btc: list[int], eth: list[int], usdt: list[int]
) -> None:
    joint = min(btc[a] + eth[b] + usdt[c] for a, b, c in JOINT)
    opposed = min(btc[a] + eth[b] + usdt[c] for a, b, c in OPPOSED)
    expected = max(0, -min(joint, opposed * PARAMS.cross_weight_ppm // PPM))
    assert _worst_loss_atoms(PARAMS, risk_of(btc, eth, usdt).stress) == expected


@settings(max_examples=200, deadline=None)
@given(rows, rows)
def test_worst_loss__of_two_portfolios_together__is_never_more_than_of_both_apart(a: list[int], b: list[int]) -> None:
    both = [x + y for x, y in zip(a, b, strict=True)]
    apart = _worst_loss_atoms(PARAMS, risk_of(a).stress) + _worst_loss_atoms(PARAMS, risk_of(b).stress)
    assert _worst_loss_atoms(PARAMS, risk_of(both).stress) <= apart


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(2)


def triple(values: list[int]) -> tuple[int, int, int]:
    btc, eth, usdt = values
    return btc, eth, usdt


def portfolio(market: Market, lots: dict[int, int]) -> AccountRisk:
    """Return the risk of positions bought at mark."""
    array: RiskArray = market.draft[RISK_ARRAY][0]
    stress = np.zeros((3, 32), dtype=np.int64)
    short, gross, future = [0] * 3, [0] * 3, [0] * 3
    nets: dict[int, int] = {}
    marks = 0
    for instrument_id, held in lots.items():
        line = array.lines[instrument_id]
        universe = line.underlying - 1
        stress[universe] += line.row * held
        gross[universe] += abs(held)
        if line.is_future:
            future[universe] += abs(held)
        else:
            marks += line.value_atoms * held
            before = nets.get(line.strike_group, 0)
            short[universe] += max(0, -before - held) - max(0, -before)
            nets[line.strike_group] = before + held
    return EMPTY_RISK._replace(
        stress=stress,
        marks_atoms=marks,
        short_lots=triple(short),
        gross_lots=triple(gross),
        future_lots=triple(future),
        nets=nets,
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(-500_000, 500_000)), min_size=1, max_size=12))
def test_requirement__of_any_portfolio__is_ordered_and_does_not_depend_on_cash(
    market: Market, picks: list[tuple[int, int]]
) -> None:
    draft = market.draft
    ids = [instrument_id for instrument_id, _ in draft[INSTRUMENTS].items()]
    lots = {ids[place % len(ids)]: held for place, held in picks if held}
    risk = portfolio(market, lots)
    account_id = market.id(0)
    need = rules.compute_requirement(draft, account_id, risk)
    assert need.initial_atoms >= need.maintenance_atoms >= 0
    draft[BALANCES].put((account_id, 0), draft[BALANCES][account_id, 0] + 10**12)
    more = rules.compute_requirement(draft, account_id, risk)
    assert more[1:] == need[1:]
    assert more.equity_atoms == need.equity_atoms + 10**12


def test_box__fully_hedged__costs_no_more_than_its_face(market: Market) -> None:
    low, high, place = 115_000, 125_000, 3
    legs = {
        market.option(strike=low, place=place): 100,
        market.option(strike=high, place=place): -100,
        market.option(strike=low, kind=Kind.PUT, place=place): -100,
        market.option(strike=high, kind=Kind.PUT, place=place): 100,
    }
    risk = portfolio(market, legs)
    draft = market.draft
    assert risk.short_lots == (0, 0, 0)
    face = (high - low) * USD
    need = rules.compute_requirement(draft, market.id(0), risk)
    confidence = 400 * draft[CHARGES][0].confidence_im[0]
    # Rounding of four marks and rows to whole atoms a lot is all that is left of risk.
    assert need.maintenance_atoms <= 4 * 100 * 40
    assert need.initial_atoms <= 4 * 100 * 40 + confidence <= face


def test_short_straddle__contingency__counts_calls_and_puts_of_a_strike_together(market: Market) -> None:
    call, put = market.option(strike=120_000, place=3), market.option(strike=120_000, kind=Kind.PUT, place=3)
    assert portfolio(market, {call: -10, put: -10}).short_lots == (20, 0, 0)
    assert portfolio(market, {call: -10, put: 10}).short_lots == (0, 0, 0)


def test_charges__of_concentration_and_basis__start_at_their_bounds(market: Market) -> None:
    draft = market.draft
    future = market.future(place=2)
    charges, params = draft[CHARGES][0], draft[MARGIN_PARAMS][0]
    row = draft[RISK_ARRAY][0].lines[future].row
    for lots in (params.concentration_lots, params.concentration_lots + 1):
        risk = portfolio(market, {future: lots})
        loss = -int(row.min()) * lots
        crowded = max(0, lots - params.concentration_lots)
        expected = div_ceil(loss * params.loss_mm_ppm, PPM) + lots * charges.basis_mm[0]
        expected += crowded * charges.concentration_mm[0]
        assert rules.compute_maintenance_atoms(draft, risk) == expected


def test_depeg__scales_initial_margin_and_leaves_maintenance() -> None:
    market = Market(2)
    market.trade(0, 1, market.future(), 10)
    before = market.need(0)
    market.solo.prices[0] = 98_900_000
    market.run(6)
    after = market.need(0)
    assert after.maintenance_atoms == before.maintenance_atoms
    assert after.initial_atoms == div_ceil(before.initial_atoms * 125, 100)


def test_doubt__of_the_oracle__raises_initial_margin_alone() -> None:
    market = Market(2)
    market.trade(0, 1, market.future(), 10)
    charges = market.draft[CHARGES][0]
    market.solo.prices = {asset: price for asset, price in market.solo.prices.items() if asset != BTC}
    before = market.need(0)
    market.run(4)
    doubted = market.draft[CHARGES][0]
    assert doubted.confidence_im[0] == 2 * charges.confidence_im[0]
    assert market.need(0).maintenance_atoms == before.maintenance_atoms
    assert market.need(0).initial_atoms == before.initial_atoms + 10 * charges.confidence_im[0]


def test_order__counts_where_it_loses_and_never_where_it_gains(market: Market) -> None:
    line = market.draft[RISK_ARRAY][0].lines[market.future()]
    bid = compute_order_term(line, line.value_atoms, 1)
    assert (bid == np.minimum(0, line.row)).all()
    assert (compute_order_term(line, 0, 1) == 0).all()
    assert (compute_order_term(line, 2 * line.value_atoms, 1) < 0).all()


def test_orders__in_any_sequence_of_placing_and_cancelling__add_up_to_nothing() -> None:
    market = Market(2)
    ids = []
    for step in range(4):
        market.do(0, PlaceOrder(market.future(), BUY if step % 2 else SELL, 110_000 + 20_000 * (1 - step % 2), 3))
        ids.append(max(market.orders()))
    assert market.need(0).initial_atoms > 0
    market.do(0, SetProtection(ETH, 10, 60_000))
    market.do(0, MassQuote(ETH, (Quote(market.option(ETH), 10, 5, 9_000, 5),)))
    quotes = (Quote(market.option(ETH), 0, 0, 0, 0),)
    market.do(0, MassQuote(ETH, quotes))
    for order_id in ids:
        assert market.do(0, CancelOrder(order_id)).code == Code.OK
    assert market.need(0).initial_atoms == 0
    assert margin.get_risk(market.draft, market.id(0)).open_lots == 0


@pytest.mark.parametrize(("asset", "kept_ppm"), [(BTC, 930_000), (ETH, 900_000), (USDT, 970_000)])
def test_collateral__counts_after_its_haircut_and_falls_with_its_own_shocks(asset: int, kept_ppm: int) -> None:
    market = Market(2)
    amount = 10**8
    before = market.need(0)
    market.do(-1, Deposit(market.solo.keys[0].public_key, asset, amount))
    worth = market.solo.prices[asset] * amount // (10**10 if asset != USDT else 10**8)
    counted = worth * kept_ppm // PPM
    after = market.need(0)
    assert after.equity_atoms - before.equity_atoms == counted
    assert 0 < after.initial_atoms <= counted // 5


def test_collateral__above_an_accounts_cap__counts_for_nothing_more() -> None:
    market = Market(2)
    cap = 10_000_000 * USD
    market.do(-1, Deposit(market.solo.keys[0].public_key, USDT, 2 * cap))
    assert market.need(0).equity_atoms == 1_000_000 * USD + cap * 97 // 100


def test_equity__money_moves_beside_a_position_that_does_not__follows_in_the_next_block() -> None:
    market = Market(2)
    market.trade(0, 1, market.future(), 10)
    market.block()
    known = []
    for _ in range(2):
        matrix = market.draft[RISK_MATRIX][0]
        place = matrix.places.at(market.id(0))
        known.append(int(matrix.equity_atoms[place] - matrix.marks_atoms[place]))
        market.do(-1, Deposit(market.solo.keys[0].public_key, USDC, 7 * USD))
        market.block()
    assert known[1] - known[0] == 7 * USD
