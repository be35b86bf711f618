"""Owners, sessions with scopes and expiry, subaccounts, rotation."""

import pytest

from holdfast.client.commands import sign_command
from holdfast.client.signing import SigningKey
from holdfast.lab.solo import make_key
from holdfast.primitives.reject import Code
from holdfast.protocol.accounts.messages import (
    SCOPES_ALL,
    CreateSubaccount,
    GrantSession,
    OwnerRotated,
    RevokeSession,
    RotateOwner,
    Scope,
    SessionGranted,
    SessionRevoked,
)
from holdfast.protocol.accounts.state import ACCOUNTS, NONCES, OWNERS
from holdfast.protocol.custody.messages import Deposit, Transfer, Withdraw
from holdfast.protocol.liquidation.messages import BidAuction
from holdfast.protocol.messages import Bundle, Command
from holdfast.protocol.trading.messages import CancelAll, CancelOrder, PlaceOrder
from tests.support.exchange import Market

HOUR_MS = 3_600_000


def check(market: Market, key: SigningKey, command: Command, account_id: int | None = None, nonce: int = 1) -> int:
    account = market.id(0) if account_id is None else account_id
    return market.solo.app.check_tx(sign_command(key, market.solo.domain, account, nonce, command)).code


def granted(scopes: int) -> tuple[Market, SigningKey]:
    market, key = Market(), make_key("session")
    receipt = market.do(0, GrantSession(key.public_key, scopes, market.solo.time_ms + HOUR_MS))
    assert isinstance(receipt.events[0], SessionGranted)
    return market, key


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        (Scope.TRADE, {PlaceOrder, Bundle}),
        (Scope.CANCEL, {CancelOrder, CancelAll}),
        (Scope.TRANSFER, {Transfer}),
        (Scope.LIQUIDATE, {BidAuction}),
        (SCOPES_ALL, {PlaceOrder, Bundle, CancelOrder, CancelAll, Transfer, BidAuction}),
    ],
)
def test_session__with_a_scope__gives_the_commands_of_that_scope_alone(scope: int, allowed: set[type]) -> None:
    market, key = granted(scope)
    commands: list[Command] = [
        PlaceOrder(1, 0, 1, 1),
        Bundle((PlaceOrder(1, 0, 1, 1),)),
        CancelOrder(1),
        CancelAll(0),
        Transfer(1, 0, 1),
        BidAuction(1, 1, 1),
    ]
    for command in commands:
        expected = Code.OK if type(command) in allowed else Code.SCOPE_MISSING
        assert check(market, key, command) == expected, command
    for command in (Withdraw(0, 1), CreateSubaccount(), RotateOwner(key.public_key), RevokeSession(key.public_key)):
        assert check(market, key, command) == Code.NOT_OWNER
    assert check(market, key, CancelAll(0), market.id(1)) == Code.SIGNER_UNKNOWN


def test_session__ends_at_its_time_to_the_millisecond() -> None:
    market, key = granted(Scope.CANCEL)
    expires_ms = market.solo.time_ms - market.solo.interval_ms + HOUR_MS
    tx = sign_command(key, market.solo.domain, market.id(0), 1, CancelAll(0))
    assert market.apply(tx, time_ms=expires_ms - 1).receipts[-1].code == Code.OK
    assert market.apply(tx, time_ms=expires_ms).receipts[-1].code == Code.SESSION_EXPIRED


def test_session__revoked_and_granted_again__keeps_its_nonces_used() -> None:
    market, key = granted(Scope.CANCEL)
    market.block(sign_command(key, market.solo.domain, market.id(0), 1, CancelAll(0)))
    receipt = market.do(0, RevokeSession(key.public_key))
    assert receipt.events == (SessionRevoked(market.id(0), key.public_key),)
    assert check(market, key, CancelAll(0), nonce=2) == Code.SIGNER_UNKNOWN
    market.do(0, GrantSession(key.public_key, Scope.CANCEL, market.solo.time_ms + HOUR_MS))
    assert check(market, key, CancelAll(0), nonce=1) == Code.NONCE_USED
    assert check(market, key, CancelAll(0), nonce=2) == Code.OK
    assert (market.id(0), key.public_key) in market.draft[NONCES]


def test_session__revoked_earlier_in_the_same_block__uses_up_its_nonce_so_that_no_later_grant_revives_it() -> None:
    market, key = granted(Scope.CANCEL | Scope.TRADE)
    late = sign_command(key, market.solo.domain, market.id(0), 1, PlaceOrder(market.future(), 0, 1, 1))
    _, refused = market.block(market.sign(0, RevokeSession(key.public_key)), late)
    assert refused.code == Code.SIGNER_UNKNOWN
    assert market.draft[NONCES][market.id(0), key.public_key].highest == 1
    expires_ms = market.solo.time_ms + 86_400_000
    market.do(0, GrantSession(key.public_key, Scope.CANCEL | Scope.TRADE, expires_ms))
    assert market.solo.app.check_tx(late).code == Code.NONCE_USED


def test_rotation__moves_the_account_and_its_subaccounts_to_the_new_key_at_once() -> None:
    market, key = Market(), make_key("next owner")
    market.do(0, CreateSubaccount())
    sub = market.id(4)
    receipt = market.do(0, RotateOwner(key.public_key))
    assert receipt.events == (OwnerRotated(market.id(0), key.public_key),)
    for account_id in (market.id(0), sub):
        assert check(market, key, Withdraw(0, 1), account_id) == Code.OK
        assert check(market, market.solo.keys[0], Withdraw(0, 1), account_id, 9) == Code.SIGNER_UNKNOWN
    assert market.draft[OWNERS].get(market.solo.keys[0].public_key) is None
    market.do(-1, Deposit(key.public_key, 0, 5))
    assert market.cash(0) == 1_000_000 * 10**6 - 2 * 10**6 + 5


def test_subaccount__cannot_have_subaccounts_nor_rotate() -> None:
    market = Market()
    market.do(0, CreateSubaccount())
    sub = market.id(4)
    market.do(0, Transfer(sub, 0, 10**7))
    assert market.do(0, CreateSubaccount(), account_id=sub).code == Code.NOT_OWNER
    assert market.do(0, RotateOwner(make_key("x").public_key), account_id=sub).code == Code.NOT_OWNER
    assert market.draft[ACCOUNTS][sub].parent_id == market.id(0)


@pytest.mark.parametrize("account_id", [0, 1, 2, 3, 4, 5, 999, 2**40, 2**40 + 1])
def test_account__of_the_exchange_itself__takes_commands_of_nobody(account_id: int) -> None:
    market = Market()
    for key in (*market.solo.keys, market.solo.custodian):
        assert check(market, key, CancelAll(0), account_id) == Code.ACCOUNT_UNKNOWN
