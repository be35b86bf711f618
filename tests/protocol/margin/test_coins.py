"""Coins of all accounts at once beside the rules for one: worth, stress and both requirements, at any price."""

import numpy as np
import pytest
from numpy.typing import NDArray

from holdfast.primitives.units import E8, PPM
from holdfast.protocol import rebuild
from holdfast.protocol.accounts.state import BACKSTOP
from holdfast.protocol.collateral.params import COINS, COLLATERAL, CollateralAsset
from holdfast.protocol.collateral.rules import compute_value_atoms
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import CASH_PAGES, COIN_PAGES, USDC
from holdfast.protocol.limits import COIN_ATOMS_MAX, COIN_VALUE_USD_MAX, PRICE_E8_MAX
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin import rules
from holdfast.protocol.margin.rules.matrix import compute_position_stress
from holdfast.protocol.margin.state import CHARGES, RISK_MATRIX, AccountRisk, RiskMatrix
from holdfast.protocol.schema import TABLES
from holdfast.protocol.surface.rules import get_collateral_shocks_ppm
from holdfast.protocol.surface.state import RISK_ARRAY
from holdfast.protocol.trading.messages import PlaceOrder
from holdfast.state.draft import Draft
from holdfast.state.store import State
from tests.support.exchange import BTC, BUY, ETH, USD, USDT, Market

PLENTY = 10**6 * USD
DEPOSITS = {
    0: ((USDC, PLENTY), (BTC, 10**8)),
    1: ((USDC, PLENTY), (BTC, 1), (ETH, 7 * 10**9), (USDT, 10**10 + 1)),
    2: ((USDC, PLENTY),),
    3: ((ETH, 123_456_789),),
    4: ((USDT, 5 * 10**13),),
    5: ((USDC, PLENTY), (BTC, COIN_ATOMS_MAX // 2)),
    6: ((USDC, PLENTY),),
    7: ((USDC, 1),),
    # The second page of accounts.
    25: ((BTC, 10**8 + 7),),
    27: ((ETH, 10**9), (USDT, 10**10)),
}


@pytest.fixture(scope="module")
def market() -> Market:
    """Coins beside positions, beside orders, alone, and with a debt; cash alone and orders alone."""
    market = Market(28, deposits=DEPOSITS)
    market.trade(0, 1, market.future(), 100)
    market.trade(2, 0, market.option(), 20)
    for index in (1, 3, 6):
        market.do(index, PlaceOrder(market.future(ETH), BUY, 40_000, 3))
    return market


def compute(draft: Draft, prices_e8: dict[int, int]) -> RiskMatrix:
    array = draft[RISK_ARRAY][0]._replace(prices_e8=prices_e8)
    return rules.compute_matrix(draft, array, draft[CHARGES][0], rules.read_sources(draft), {})


def value_one(draft: Draft, account_id: int, prices_e8: dict[int, int]) -> tuple[int, NDArray[np.int64]]:
    """Return what an account's coins count for and gain or lose, coin by coin in Python's integers."""
    worth, stress = 0, np.zeros((3, 32), dtype=np.int64)
    for universe, asset_id in enumerate(COINS):
        amount, price = ledger.get_balance(draft, account_id, asset_id), prices_e8.get(asset_id, 0)
        if amount and price > 0:
            value = compute_value_atoms(draft[COLLATERAL][asset_id], asset_id, amount, price)
            stress[universe] = [value * shock // PPM for shock in get_collateral_shocks_ppm(draft, asset_id)]
            worth += value
    return worth, stress


def check_all(draft: Draft, prices_e8: dict[int, int]) -> dict[int, AccountRisk]:
    """Hold every account of the matrix against the rules for one; return the accounts' risk."""
    matrix = compute(draft, prices_e8)
    rows: dict[int, AccountRisk] = {}
    for place, account_id in enumerate(matrix.account_ids.tolist()):
        row = rules.get_row(matrix, account_id)
        assert row is not None
        worth, stress = value_one(draft, account_id, prices_e8)
        assert row.collateral_atoms == worth, account_id
        assert np.array_equal(row.stress, compute_position_stress(matrix, place) + stress), account_id
        need = rules.compute_requirement(draft, account_id, row)
        assert matrix.equity_atoms[place] == need.equity_atoms, account_id
        assert matrix.maintenance_atoms[place] == need.maintenance_atoms, account_id
        # Exact, as nobody quotes here.
        assert matrix.need_atoms[place] == need.initial_atoms - row.marks_atoms - worth, account_id
        rows[account_id] = row
    return rows


PRICES = [
    pytest.param({BTC: 120_000 * E8, ETH: 4_400 * E8, USDT: E8}, id="today's"),
    pytest.param({BTC: 119_999_87654321, ETH: 4_399_12345679, USDT: 99_999_999}, id="odd ones"),
    pytest.param({BTC: PRICE_E8_MAX, ETH: PRICE_E8_MAX, USDT: PRICE_E8_MAX}, id="the highest"),
    pytest.param({BTC: 1, ETH: 1, USDT: 1}, id="the lowest"),
    pytest.param({ETH: 4_400 * E8}, id="one alone"),
    pytest.param({}, id="none"),
]


@pytest.mark.parametrize("prices_e8", PRICES)
@pytest.mark.usefixtures("kernel")
def test_matrix__at_any_prices__values_every_account_as_the_rules_for_one(
    market: Market, prices_e8: dict[int, int]
) -> None:
    rows = check_all(market.draft, prices_e8)
    holders = [market.id(index) for index in (0, 1, 3, 4, 5, 25, 27)]
    assert all(account_id in rows for account_id in holders)
    # Cash alone is not in the matrix, an order beside it is; the backstop has no coin.
    assert market.id(6) in rows
    assert market.id(7) not in rows
    assert BACKSTOP not in rows


def test_matrix__of_one_that_owes_an_atom_and_has_nothing_else__has_it(market: Market) -> None:
    draft = market.draft
    ledger.move(draft, market.id(7), market.id(6), USDC, 2)
    rebuild.refresh_columns(draft)
    rows = check_all(draft, draft[RISK_ARRAY][0].prices_e8)
    assert market.id(7) in rows


@pytest.mark.usefixtures("kernel")
def test_matrix__coins_worth_all_that_an_account_may_count__overflows_nowhere(market: Market) -> None:
    draft = market.draft
    for asset_id in COINS:
        draft[COLLATERAL].put(asset_id, CollateralAsset(0, COIN_ATOMS_MAX, COIN_VALUE_USD_MAX))
        ledger.deposit(draft, market.id(7), asset_id, COIN_ATOMS_MAX)
    rebuild.refresh_columns(draft)
    rows = check_all(draft, dict.fromkeys(COINS, PRICE_E8_MAX))
    assert rows[market.id(7)].collateral_atoms == 3 * COIN_VALUE_USD_MAX * USD


def test_refresh__of_one_accounts_coins__is_what_the_next_matrix_says(market: Market) -> None:
    draft = market.draft
    for payer, payee, asset_id, amount in ((0, 3, BTC, 10**7 + 3), (1, 7, ETH, 7 * 10**9), (4, 0, USDT, 1)):
        ledger.move(draft, market.id(payer), market.id(payee), asset_id, amount)
        for index in (payer, payee):
            margin.refresh_collateral(draft, market.id(index))
    refreshed = {index: margin.get_risk(draft, market.id(index)) for index in range(8)}
    rebuild.refresh_columns(draft)
    margin.revalue(draft)
    for index, kept in refreshed.items():
        anew = margin.get_risk(draft, market.id(index))
        assert np.array_equal(kept.stress, anew.stress), index
        assert kept.collateral_atoms == anew.collateral_atoms, index


def test_sheets__kept_from_block_to_block__are_those_made_anew(market: Market) -> None:
    draft = market.draft
    kept = draft[RISK_MATRIX][0].places.sheets
    moves = [(0, 7, BTC, 5), (3, 6, ETH, 123_456_789), (7, 0, BTC, 5), (4, 2, USDT, 1), (2, 4, USDC, 2 * PLENTY)]
    for payer, payee, asset_id, amount in moves:
        ledger.move(draft, market.id(payer), market.id(payee), asset_id, amount)
        rebuild.refresh_columns(draft)
        sources, array = rules.read_sources(draft), draft[RISK_ARRAY][0]
        matrix = rules.compute_matrix(draft, array, draft[CHARGES][0], sources, kept)
        anew = rules.compute_matrix(draft, array, draft[CHARGES][0], rules.make_sources(draft), {})
        for name in ("account_ids", "equity_atoms", "maintenance_atoms", "collateral_atoms", "need_atoms", "lots"):
            assert np.array_equal(getattr(matrix, name), getattr(anew, name)), name
        kept = matrix.places.sheets


def test_restore__of_the_primary_rows__gives_the_same_pages_and_margins(market: Market) -> None:
    source, copy = market.draft, State(TABLES).draft()
    for table in TABLES:
        if table.tag is not None:
            copy[table].fill(source[table].as_dict())
    rebuild.restore(copy)
    for pages in (CASH_PAGES, COIN_PAGES):
        assert copy[pages].as_dict() == source[pages].as_dict()
    restored = copy[RISK_MATRIX][0]
    rebuild.refresh_columns(source)
    margin.revalue(source)
    matrix = source[RISK_MATRIX][0]
    for name in ("account_ids", "equity_atoms", "maintenance_atoms", "collateral_atoms"):
        assert np.array_equal(getattr(restored, name), getattr(matrix, name)), name


def test_equity__of_accounts_touched_and_not__is_that_of_their_added_risk(market: Market) -> None:
    draft = market.solo.app.state.draft()
    ids = [market.id(index) for index in DEPOSITS]
    ledger.move(draft, ids[6], ids[7], USDC, 5)
    ledger.move(draft, ids[0], ids[1], BTC, 10**7)
    for account_id in ids[:2]:
        margin.refresh_collateral(draft, account_id)
    margin.change_position(draft, ids[2], market.option(), -1, -USD)
    told = [margin.get_equity_atoms(draft, account_id) for account_id in ids]
    assert told == [margin.get_requirement(draft, account_id).equity_atoms for account_id in ids]
    assert len(set(told)) == len(ids)
