"""What coins count for: haircuts after the cap, rounded down; and what the exchange takes of each."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.reject import Code, RejectedError
from holdfast.protocol.collateral import params, rules
from holdfast.protocol.collateral.params import DEFAULTS, CollateralAsset
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import ASSET_ATOMS, BTC, ETH, USDC, USDT
from holdfast.protocol.limits import COIN_ATOMS_MAX, COIN_VALUE_USD_MAX, PRICE_E8_MAX
from holdfast.protocol.schema import TABLES
from holdfast.state.store import State
from tests.support.exchange import Market

ASSETS = st.sampled_from([BTC, ETH, USDT])


@settings(max_examples=200, deadline=None)
@given(ASSETS, st.integers(0, 2**60), st.integers(1, PRICE_E8_MAX), st.integers(1, 10**12))
def test_value__of_any_amount__is_after_haircut_capped_and_never_falls_with_price_or_amount(
    asset_id: int, amount: int, price: int, more: int
) -> None:
    asset = DEFAULTS[asset_id]
    value = rules.compute_value_atoms(asset, asset_id, amount, price)
    full = amount * price // (ASSET_ATOMS[asset_id] * 100)
    assert 0 <= value <= full * (10**6 - asset.haircut_ppm) / 10**6 + 1
    assert value <= asset.account_cap_usd * 10**6
    assert rules.compute_value_atoms(asset, asset_id, amount + more, price) >= value
    assert rules.compute_value_atoms(asset, asset_id, amount, price + more) >= value


@settings(max_examples=100, deadline=None)
@given(ASSETS, st.integers(0, 10**12), st.integers(0, 10**12), st.integers(1, 10**14))
def test_value__of_two_holdings_apart__is_never_more_than_together_and_an_atom(
    asset_id: int, one: int, two: int, price: int
) -> None:
    asset = CollateralAsset(DEFAULTS[asset_id].haircut_ppm, 2**62, 2**40)
    apart = sum(rules.compute_value_atoms(asset, asset_id, amount, price) for amount in (one, two))
    together = rules.compute_value_atoms(asset, asset_id, one + two, price)
    assert together - 2 <= apart <= together


@settings(max_examples=300, deadline=None)
@given(
    ASSETS,
    st.lists(st.integers(0, COIN_ATOMS_MAX) | st.integers(0, 10**9), min_size=1, max_size=8),
    st.sampled_from([1, 99, 10**8, PRICE_E8_MAX]) | st.integers(1, PRICE_E8_MAX),
    st.integers(0, params.HAIRCUT_PPM_MAX),
    st.sampled_from([0, 1, 25_000_000, COIN_VALUE_USD_MAX]) | st.integers(0, COIN_VALUE_USD_MAX),
)
def test_values__of_many_amounts__are_those_of_each_alone(
    asset_id: int, amounts: list[int], price: int, haircut: int, cap_usd: int
) -> None:
    asset = CollateralAsset(haircut, COIN_ATOMS_MAX, cap_usd)
    params.check(asset)
    found = rules.compute_values_atoms(asset, asset_id, np.array(amounts, dtype=np.int64), price)
    assert found.tolist() == [rules.compute_value_atoms(asset, asset_id, amount, price) for amount in amounts]


def test_values__at_the_amount_that_reaches_the_cap__step_over_it_exactly() -> None:
    asset, price = DEFAULTS[BTC], 12_345_678_912_345
    reach = -(-asset.account_cap_usd * 10**6 * 10**10 // price)
    amounts = [reach - 1, reach, reach + 1, COIN_ATOMS_MAX]
    found = rules.compute_values_atoms(asset, BTC, np.array(amounts), price).tolist()
    assert found == [rules.compute_value_atoms(asset, BTC, amount, price) for amount in amounts]
    assert found[0] < found[1] == found[2] == found[3]


def test_cap__of_the_exchange__is_reached_exactly_and_not_passed() -> None:
    draft = State(TABLES).draft()
    params.initialise(draft)
    cap = DEFAULTS[BTC].cap_atoms
    rules.check_cap(draft, BTC, cap)
    ledger.deposit(draft, 1, BTC, cap - 1)
    rules.check_cap(draft, BTC, 1)
    with pytest.raises(RejectedError) as refusal:
        rules.check_cap(draft, BTC, 2)
    assert refusal.value.code == Code.COLLATERAL_CAP
    ledger.withdraw(draft, 1, BTC, 1)
    rules.check_cap(draft, BTC, 2)


def test_asset__without_parameters__is_unknown() -> None:
    with pytest.raises(RejectedError) as refusal:
        rules.get_asset(State(TABLES).draft(), USDC)
    assert refusal.value.code == Code.ASSET_UNKNOWN


def test_haircut__that_leaves_nothing__halts() -> None:
    with pytest.raises(BrokenInvariantError):
        params.check(CollateralAsset(900_001, 0, 0))


def test_genesis__with_more_coins_than_fit_one_balance__halts() -> None:
    deposits = {0: ((BTC, COIN_ATOMS_MAX),), 1: ((BTC, 1),)}
    with pytest.raises(BrokenInvariantError, match="all coins of a kind fit one balance"):
        Market(2, deposits=deposits)
