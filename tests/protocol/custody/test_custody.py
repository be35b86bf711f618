"""Money in, out and within a family: what may leave, what objects cost, caps, and the measure of a day's profit."""

import pytest

from holdfast.client.commands import sign_command
from holdfast.lab.solo import make_key
from holdfast.primitives.reject import Code
from holdfast.protocol.accounts.messages import AccountOpened, CreateSubaccount, GrantSession, RevokeSession, Scope
from holdfast.protocol.accounts.state import DEPOSIT_ESCROW
from holdfast.protocol.custody.messages import Deposit, Deposited, Transfer, Withdraw, Withdrawn
from holdfast.protocol.ledger.handlers import get_balance, get_cash, get_vault
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin import rules as margin_rules
from holdfast.protocol.margin.state import DAY_STARTS
from holdfast.protocol.trading.messages import CancelAll, PlaceOrder
from tests.support.exchange import BTC, BUY, USD, USDT, Market

DAY_MS = 86_400_000


def withdrawable(market: Market, index: int) -> int:
    draft, account_id = market.draft, market.id(index)
    return margin_rules.compute_withdrawable_atoms(draft, account_id, margin.get_risk(draft, account_id))


def day_profit(market: Market, index: int) -> int:
    draft, account_id = market.draft, market.id(index)
    return margin_rules.compute_day_profit_atoms(draft, account_id, market.need(index).equity_atoms)


def test_deposit__for_a_new_key__opens_its_account() -> None:
    market = Market()
    key = make_key("newcomer").public_key
    market.do(-1, Deposit(key, 0, 5 * USD))
    (opened,) = market.found(AccountOpened)
    assert market.found(Deposited) == [Deposited(opened.account_id, 0, 5 * USD)]
    assert get_cash(market.draft, opened.account_id) == 5 * USD
    market.do(-1, Deposit(key, BTC, 7))
    assert market.found(AccountOpened) == []
    assert get_balance(market.draft, opened.account_id, BTC) == 7


def test_withdrawable__idle_cash_from_before_the_first_prices__may_leave_at_once() -> None:
    market = Market()
    assert (day_profit(market, 0), withdrawable(market, 0)) == (0, market.cash(0))
    assert market.do(0, Withdraw(0, market.cash(0))).code == Code.OK
    assert market.found(Withdrawn)[0].amount_atoms == 1_000_000 * USD
    assert get_vault(market.draft, 0).withdrawn_atoms == 1_000_000 * USD


def test_withdrawable__with_profit__holds_back_what_is_open_and_what_is_of_today() -> None:
    market = Market(3)
    future = market.future(place=2)
    market.trade(0, 1, future, 50)
    market.solo.prices[BTC] = 121_000 * 10**8
    market.run(4)
    need, risk = market.need(0), margin.get_risk(market.draft, market.id(0))
    assert risk.unrealised_atoms == 50 * 10 * USD
    spare = need.equity_atoms - need.initial_atoms
    assert withdrawable(market, 0) == min(spare, market.cash(0) - risk.unrealised_atoms - day_profit(market, 0))
    most = withdrawable(market, 0)
    assert market.do(0, Withdraw(0, most + 1)).code == Code.WITHDRAWABLE_SHORT
    assert market.do(0, Withdraw(0, most)).code == Code.OK


def test_withdrawable__profit_of_yesterday__is_free_after_the_new_day_began() -> None:
    market = Market(3)
    option = market.option(place=4)
    market.trade(0, 1, option, 10, ticks=1_000)
    market.trade(1, 0, option, 10, ticks=2_000)
    gained = market.cash(0) - 1_000_000 * USD
    assert gained > 0
    assert day_profit(market, 0) == gained
    assert withdrawable(market, 0) == 1_000_000 * USD
    market.block(time_ms=market.solo.time_ms + DAY_MS)
    assert day_profit(market, 0) == 0
    assert withdrawable(market, 0) == market.cash(0)


@pytest.mark.parametrize("asset", [BTC, USDT])
def test_day_profit__coins_put_in_and_taken_out__are_no_profit(asset: int) -> None:
    market = Market()
    amount = 10**7
    market.do(-1, Deposit(market.solo.keys[0].public_key, asset, amount))
    assert day_profit(market, 0) == 0
    market.do(0, Withdraw(asset, amount // 2))
    assert day_profit(market, 0) == 0
    market.do(0, Withdraw(asset, amount // 2))
    start = market.draft[DAY_STARTS][market.id(0)]
    assert (start.net_deposits_atoms, day_profit(market, 0)) == (0, 0)


def test_object_deposits__are_held_while_the_object_stands_and_are_no_profit() -> None:
    market = Market()
    key = make_key("session").public_key
    expires_ms = market.solo.time_ms + DAY_MS
    market.do(0, GrantSession(key, Scope.TRADE, expires_ms))
    assert get_cash(market.draft, DEPOSIT_ESCROW) == USD
    market.do(0, GrantSession(key, Scope.CANCEL, expires_ms))
    assert get_cash(market.draft, DEPOSIT_ESCROW) == USD
    market.do(0, RevokeSession(key))
    assert get_cash(market.draft, DEPOSIT_ESCROW) == 0
    assert day_profit(market, 0) == 0
    market.do(0, CreateSubaccount())
    assert get_cash(market.draft, DEPOSIT_ESCROW) == USD
    assert market.cash(0) == 999_999 * USD


def test_object_deposit__without_cash__is_refused() -> None:
    market = Market(1, deposits={0: ((BTC, 10**8),)})
    assert market.do(0, CreateSubaccount()).code == Code.BALANCE_SHORT


def test_transfer__to_a_subaccount_and_back__moves_money_and_no_profit() -> None:
    market = Market()
    market.do(0, CreateSubaccount())
    sub = market.id(4)
    assert market.do(0, Transfer(sub, 0, 1_000 * USD)).code == Code.OK
    assert market.do(0, Transfer(market.id(0), 0, 400 * USD), account_id=sub).code == Code.OK
    assert get_cash(market.draft, sub) == 600 * USD
    assert market.do(0, Transfer(1, 0, 1)).code == Code.TRANSFER_NOT_FAMILY
    assert market.do(0, Transfer(77_777, 0, 1)).code == Code.ACCOUNT_UNKNOWN
    assert day_profit(market, 0) == 0


def test_withdraw__margin_in_use__leaves_no_more_than_the_excess() -> None:
    market = Market()
    market.trade(0, 1, market.future(), 100)
    need = market.need(0)
    assert withdrawable(market, 0) == need.equity_atoms - need.initial_atoms
    assert market.do(0, Withdraw(0, withdrawable(market, 0))).code == Code.OK
    assert withdrawable(market, 0) == 0
    assert market.do(0, PlaceOrder(market.future(), BUY, 120_000, 1)).code == Code.MARGIN_INITIAL_SHORT


def test_withdraw__coins_that_margin_needs__is_refused() -> None:
    market = Market(2, deposits={0: ((BTC, 10**8), (0, 100 * USD)), 1: ((0, 10**6 * USD),)})
    market.trade(0, 1, market.future(), 100)
    assert market.do(0, Withdraw(BTC, 10**8)).code == Code.MARGIN_INITIAL_SHORT
    assert market.do(0, Withdraw(BTC, 10**6)).code == Code.OK


def test_withdraw__while_a_price_is_stale__waits_only_where_margin_depends_on_it() -> None:
    market = Market()
    market.trade(0, 1, market.future(), 1)
    del market.solo.prices[BTC]
    market.run(4)
    assert market.do(0, Withdraw(0, 1)).code == Code.ORACLE_FORBIDS_ACTION
    assert market.do(2, Withdraw(0, 1)).code == Code.OK


def test_object_deposit__of_a_key_that_has_acted__stays_with_its_nonce_window() -> None:
    market = Market()
    key = make_key("session")
    expires_ms = market.solo.time_ms + DAY_MS
    market.do(0, GrantSession(key.public_key, Scope.CANCEL, expires_ms))
    market.block(sign_command(key, market.solo.domain, market.id(0), 1, CancelAll(0)))
    for _ in range(2):
        assert market.do(0, RevokeSession(key.public_key)).code == Code.OK
        assert get_cash(market.draft, DEPOSIT_ESCROW) == USD
        assert market.do(0, GrantSession(key.public_key, Scope.CANCEL, expires_ms)).code == Code.OK
        assert get_cash(market.draft, DEPOSIT_ESCROW) == USD
