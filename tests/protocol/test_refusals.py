"""The table of refusals: every code, reached by a real transaction, leaves no trace.

A row of `EXECUTION` is a command that stands in a block and is refused there: the state after it equals the state
without it, but for the nonce that it has used up. A row of `ADMISSION` never gets into an honest block: the mempool
answers with the code, a proposal that holds it is turned down, and where it runs all the same nothing changes at all.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from holdfast.client.commands import sign_command
from holdfast.lab.solo import make_key
from holdfast.node.replica_env import ReplicaConfig
from holdfast.primitives import codec
from holdfast.primitives.reject import Code
from holdfast.protocol.accounts.messages import CreateSubaccount, GrantSession, RevokeSession, RotateOwner, Scope
from holdfast.protocol.custody.messages import Deposit, Transfer, Withdraw
from holdfast.protocol.instruments.state import INSTRUMENTS, Kind
from holdfast.protocol.limits import (
    ACCOUNT_LOTS_MAX,
    AMOUNT_ATOMS_MAX,
    ID_MAX,
    NONCE_JUMP_MAX,
    ORDER_LOTS_MAX,
    SESSION_MS_MAX,
    SESSIONS_MAX,
    SUBACCOUNTS_MAX,
    TX_BYTES_MAX,
)
from holdfast.protocol.liquidation.messages import BidAuction
from holdfast.protocol.liquidation.state import LIQUIDATIONS, Stage
from holdfast.protocol.messages import Bundle, SignedTx
from holdfast.protocol.surface.state import MARKS
from holdfast.protocol.trading.messages import (
    AmendOrder,
    CancelOrder,
    MassQuote,
    OrderPlaced,
    PlaceOrder,
    Quote,
    SetProtection,
    TimeInForce,
)
from holdfast.protocol.trading.params import TradingParams
from tests.support.exchange import BTC, BUY, ETH, SELL, USD, Market, changes_of
from tests.support.toy_world import ToyWorld

ROOT = Path(__file__).parents[2]
DAY_MS = 86_400_000
SMALL_ORDER_KEY = bytes(32)
EMPTY = {"insurance_atoms": 0, "backstop_atoms": 0}


class Refused(NamedTuple):
    """A chain and the transactions of its next block; the last one is refused."""

    market: Market
    txs: tuple[bytes, ...]
    time_ms: int | None = None


Row = Callable[[pytest.MonkeyPatch], Refused]
EXECUTION: dict[Code, Row] = {}
ADMISSION: dict[Code, Row] = {}


def execution(code: Code) -> Callable[[Row], Row]:
    return lambda row: EXECUTION.setdefault(code, row)


def admission(code: Code) -> Callable[[Row], Row]:
    return lambda row: ADMISSION.setdefault(code, row)


def refused(market: Market, index: int, *commands: codec.Record, account_id: int | None = None) -> Refused:
    return Refused(market, tuple(market.sign(index, command, account_id) for command in commands))  # type: ignore[arg-type]


def buy(instrument_id: int, ticks: int, lots: int, **flags: bool | int) -> PlaceOrder:
    return PlaceOrder(instrument_id, BUY, ticks, lots, **flags)  # type: ignore[arg-type]


def sell(instrument_id: int, ticks: int, lots: int, **flags: bool | int) -> PlaceOrder:
    return PlaceOrder(instrument_id, SELL, ticks, lots, **flags)  # type: ignore[arg-type]


def rest(market: Market, index: int, order: PlaceOrder) -> int:
    """Rest an order; return its id."""
    receipt = market.do(index, order)
    (placed,) = (event for event in receipt.events if isinstance(event, OrderPlaced))
    assert placed.rested_lots == order.lots
    return placed.order_id


def liquidated(market: Market, *, auction: bool = True) -> int:
    """Let account 0 fall under maintenance; return its id."""
    future = market.future()
    market.trade(0, 1, future, 400)
    market.solo.prices = {**market.solo.prices, BTC: 105_000 * 10**8}
    for _ in range(12):
        market.run(1)
        held = market.draft[LIQUIDATIONS].get(market.id(0))
        if held is not None and (held.stage == Stage.AUCTION or not auction):
            return market.id(0)
    raise AssertionError("account 0 is in liquidation")


def thin() -> Market:
    """A market whose first account has little money."""
    return Market(4, deposits={0: ((0, 80_000 * USD),)})


# 1000s: admission


@admission(Code.BAD_ENCODING)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return Refused(market, (market.sign(0, CancelOrder(1)) + b"\x00",))


@admission(Code.TX_TOO_LARGE)
def _(_: pytest.MonkeyPatch) -> Refused:
    return Refused(Market(), (bytes(TX_BYTES_MAX + 1),))


@admission(Code.BAD_SIGNATURE)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    tx = bytearray(market.sign(0, CancelOrder(1)))
    tx[-1] ^= 1
    return Refused(market, (bytes(tx),))


@admission(Code.NONCE_USED)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    tx = market.sign(0, CreateSubaccount())
    market.block(tx)
    return Refused(market, (tx,))


@admission(Code.NONCE_TOO_OLD)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    market.block(market.solo.sign(0, CreateSubaccount(), nonce=100))
    return Refused(market, (market.solo.sign(0, CreateSubaccount(), nonce=36),))


@admission(Code.NONCE_TOO_FAR)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return Refused(market, (market.solo.sign(0, CreateSubaccount(), nonce=NONCE_JUMP_MAX + 1),))


@admission(Code.ACCOUNT_UNKNOWN)
def _(_: pytest.MonkeyPatch) -> Refused:
    return refused(Market(), 0, CancelOrder(1), account_id=77_777)


@admission(Code.SIGNER_UNKNOWN)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return refused(market, 0, CancelOrder(1), account_id=market.id(1))


def with_session(scopes: int, expires_in_ms: int = DAY_MS) -> tuple[Market, Callable[[codec.Record], bytes]]:
    """A market with a session key on account 0, and what signs with it."""
    market = Market()
    key = make_key("session")
    market.do(0, GrantSession(key.public_key, scopes, market.solo.time_ms + expires_in_ms))
    return market, lambda command: sign_command(key, market.solo.domain, market.id(0), 1, command)


@admission(Code.SESSION_EXPIRED)
def _(_: pytest.MonkeyPatch) -> Refused:
    market, sign = with_session(Scope.CANCEL, 90_000)
    market.run(1)
    return Refused(market, (sign(CancelOrder(1)),))


@admission(Code.NOT_OWNER)
def _(_: pytest.MonkeyPatch) -> Refused:
    market, sign = with_session(Scope.TRADE)
    return Refused(market, (sign(Withdraw(0, 1)),))


@admission(Code.SCOPE_MISSING)
def _(_: pytest.MonkeyPatch) -> Refused:
    market, sign = with_session(Scope.TRADE)
    return Refused(market, (sign(CancelOrder(1)),))


@admission(Code.NOT_CUSTODIAN)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return refused(market, 0, Deposit(market.solo.keys[0].public_key, 0, 1))


# 2000s: accounts


@execution(Code.KEY_NOT_ACCEPTABLE)
def _(_: pytest.MonkeyPatch) -> Refused:
    return refused(Market(), 0, RotateOwner(SMALL_ORDER_KEY))


@execution(Code.KEY_IN_USE)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return refused(market, 0, RotateOwner(market.solo.keys[1].public_key))


@execution(Code.SESSIONS_FULL)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    expires_ms = market.solo.time_ms + DAY_MS
    keys = [make_key(f"session {number}").public_key for number in range(SESSIONS_MAX + 1)]
    return refused(market, 0, *(GrantSession(key, Scope.TRADE, expires_ms) for key in keys))


@execution(Code.SESSION_MISSING)
def _(_: pytest.MonkeyPatch) -> Refused:
    return refused(Market(), 0, RevokeSession(make_key("nobody").public_key))


@execution(Code.SESSION_EXPIRY_INVALID)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    too_late_ms = market.solo.time_ms + market.solo.interval_ms + SESSION_MS_MAX + 1
    return refused(market, 0, GrantSession(make_key("late").public_key, Scope.TRADE, too_late_ms))


@execution(Code.SUBACCOUNTS_FULL)
def _(_: pytest.MonkeyPatch) -> Refused:
    return refused(Market(), 0, *[CreateSubaccount()] * (SUBACCOUNTS_MAX + 1))


@execution(Code.SCOPES_INVALID)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return refused(market, 0, GrantSession(make_key("s").public_key, 16, market.solo.time_ms + DAY_MS))


# 3000s: ledger and collateral


@execution(Code.ASSET_UNKNOWN)
def _(_: pytest.MonkeyPatch) -> Refused:
    return refused(Market(), 0, Withdraw(4, 1))


@execution(Code.AMOUNT_NOT_POSITIVE)
def _(_: pytest.MonkeyPatch) -> Refused:
    return refused(Market(), 0, Withdraw(0, 0))


@execution(Code.AMOUNT_TOO_LARGE)
def _(_: pytest.MonkeyPatch) -> Refused:
    return refused(Market(), 0, Withdraw(0, AMOUNT_ATOMS_MAX + 1))


@execution(Code.BALANCE_SHORT)
def _(_: pytest.MonkeyPatch) -> Refused:
    return refused(Market(), 0, Withdraw(BTC, 1))


@execution(Code.WITHDRAWABLE_SHORT)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return refused(market, 0, Withdraw(0, market.cash(0) + 1))


@execution(Code.VAULT_SHORT)
def _(_: pytest.MonkeyPatch) -> Refused:
    # Account 1 owes its premium, covered by coins; the cash that account 0 was promised is not in the vault.
    market = Market(2, deposits={0: ((0, 50_000 * USD),), 1: ((BTC, 10**8),)}, genesis=EMPTY)
    option = market.option()
    market.trade(1, 0, option, 100)
    market.trade(0, 1, option, 100, ticks=market.mark_ticks(option) // 2)
    assert market.cash(1) < 0
    market.block(time_ms=market.solo.time_ms + DAY_MS)
    return refused(market, 0, Withdraw(0, market.cash(0)))


@execution(Code.COLLATERAL_CAP)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return refused(market, -1, Deposit(market.solo.keys[0].public_key, 0, 10**16))


@execution(Code.TRANSFER_TO_SELF)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return refused(market, 0, Transfer(market.id(0), 0, 1))


@execution(Code.TRANSFER_NOT_FAMILY)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return refused(market, 0, Transfer(market.id(1), 0, 1))


# 4000s: instruments


@execution(Code.INSTRUMENT_UNKNOWN)
def _(_: pytest.MonkeyPatch) -> Refused:
    return refused(Market(), 0, buy(99_999, 1, 1))


@execution(Code.INSTRUMENT_EXPIRED)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    future = market.future()
    expiry_ms = market.draft[INSTRUMENTS][future].expiry_ms
    return Refused(market, (market.sign(0, buy(future, 1, 1)),), expiry_ms)


@execution(Code.INSTRUMENT_HALTED)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    future = market.future()
    market.solo.prices[BTC] = 20_000_000 * 10**8
    market.run(6)
    return refused(market, 0, buy(future, 1, 1))


# 5000s: oracle


@execution(Code.ORACLE_FORBIDS_RISK)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    option = market.option()
    del market.solo.prices[BTC]
    market.run(4)
    return refused(market, 0, buy(option, 1, 1))


@execution(Code.ORACLE_FORBIDS_ACTION)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    market.trade(0, 1, market.future(), 1)
    del market.solo.prices[BTC]
    market.run(4)
    return refused(market, 0, Withdraw(0, 1))


@execution(Code.NO_MARK)
def _(_: pytest.MonkeyPatch) -> Refused:
    # Two years on, without reports, no expiry of the surface is ahead; what is listed then has no mark.
    market = Market()
    market.solo.prices.clear()
    market.block(time_ms=market.solo.time_ms + 730 * DAY_MS)
    new = max(instrument_id for instrument_id, _ in market.draft[INSTRUMENTS].items())
    assert new not in market.draft[MARKS]
    return refused(market, 0, buy(new, 1, 1, reduce_only=True))


@execution(Code.USDC_DEPEGGED)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    market.solo.prices[0] = 98_000_000
    market.run(6)
    return refused(market, 0, buy(market.future(), 1, 1))


# 6000s: trading


@execution(Code.SIZE_NOT_POSITIVE)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return refused(market, 0, buy(market.future(), 1, 0))


@execution(Code.SIZE_TOO_LARGE)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return refused(market, 0, buy(market.future(), 1, ORDER_LOTS_MAX + 1))


@execution(Code.PRICE_NOT_POSITIVE)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    order_id = rest(market, 0, buy(market.future(), 100_000, 1))
    return refused(market, 0, AmendOrder(order_id, 0, 1))


@execution(Code.PRICE_TOO_LARGE)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return refused(market, 0, buy(market.future(), ID_MAX, 1))


@execution(Code.NOTIONAL_TOO_SMALL)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market(genesis={"trading_params": TradingParams(min_notional_atoms=1_000 * USD)})
    return refused(market, 0, buy(market.future(ETH), 4_000, 1))


@execution(Code.ORDERS_FULL)
def _(patch: pytest.MonkeyPatch) -> Refused:
    patch.setattr("holdfast.protocol.trading.rules.ORDERS_PER_ACCOUNT_MAX", 3)
    market = Market()
    return refused(market, 0, *[buy(market.future(), 100_000, 1)] * 4)


@execution(Code.POSITIONS_FULL)
def _(patch: pytest.MonkeyPatch) -> Refused:
    patch.setattr("holdfast.protocol.trading.rules.POSITIONS_PER_ACCOUNT_MAX", 1)
    market = Market()
    market.trade(0, 1, market.future(), 1)
    return refused(market, 0, buy(market.option(), 1, 1))


@execution(Code.BOOK_FULL)
def _(patch: pytest.MonkeyPatch) -> Refused:
    patch.setattr("holdfast.protocol.trading.rules.ORDERS_PER_SIDE_MAX", 3)
    market = Market()
    return refused(market, 0, *[buy(market.future(), 100_000, 1)] * 4)


@execution(Code.POST_ONLY_WOULD_CROSS)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    rest(market, 1, sell(market.future(), 120_000, 1))
    return refused(market, 0, buy(market.future(), 120_000, 1, post_only=True))


@execution(Code.REDUCE_ONLY_WOULD_INCREASE)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    market.trade(0, 1, market.future(), 1)
    return refused(market, 0, buy(market.future(), 120_000, 1, reduce_only=True))


@execution(Code.FOK_NOT_FILLED)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    rest(market, 1, sell(market.future(), 120_000, 1))
    return refused(market, 0, buy(market.future(), 120_000, 2, time_in_force=TimeInForce.FILL_OR_KILL))


@execution(Code.ORDER_UNKNOWN)
def _(_: pytest.MonkeyPatch) -> Refused:
    return refused(Market(), 0, CancelOrder(1))


@execution(Code.ORDER_NOT_YOURS)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return refused(market, 0, CancelOrder(rest(market, 1, sell(market.future(), 130_000, 1))))


@execution(Code.ORDER_FLAGS_CONFLICT)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return refused(market, 0, buy(market.future(), 0, 1, post_only=True))


@execution(Code.AMEND_NO_CHANGE)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return refused(market, 0, AmendOrder(rest(market, 0, buy(market.future(), 100_000, 1)), 100_000, 1))


@execution(Code.PROTECTION_INVALID)
def _(_: pytest.MonkeyPatch) -> Refused:
    return refused(Market(), 0, SetProtection(BTC, 10, 0))


@execution(Code.QUOTE_NOT_PROTECTED)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return refused(market, 0, MassQuote(BTC, (Quote(market.option(), 1, 1, 0, 0),)))


@execution(Code.NO_LIQUIDITY)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return refused(market, 0, buy(market.future(), 0, 1))


# 7000s: margin


@execution(Code.MARGIN_INITIAL_SHORT)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return refused(market, 0, sell(market.future(), 120_000, 100_000))


@execution(Code.CASH_SHORT)
def _(_: pytest.MonkeyPatch) -> Refused:
    # A call and a put that are both in the money hold their worth in any scenario, but cost more than there is.
    market = Market(2, deposits={0: ((0, 11_000 * USD),)})
    call, put = market.option(strike=114_000, place=1), market.option(strike=126_000, kind=Kind.PUT, place=1)
    prices = {call: market.mark_ticks(call), put: market.mark_ticks(put)}
    market.block(*(market.sign(1, sell(option, ticks, 100)) for option, ticks in prices.items()))
    market.do(0, buy(call, prices[call], 100))
    assert market.lots(0, call) == 100
    return refused(market, 0, buy(put, prices[put], 100))


@execution(Code.LOTS_TOO_MANY)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    orders = ACCOUNT_LOTS_MAX // ORDER_LOTS_MAX
    return refused(market, 0, *[buy(market.option(), 1, ORDER_LOTS_MAX)] * orders, buy(market.option(), 1, 1))


# 8000s: liquidation


@execution(Code.ACCOUNT_IN_LIQUIDATION)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = thin()
    liquidated(market, auction=False)
    return refused(market, 0, buy(market.future(), 1, 1))


@execution(Code.AUCTION_UNKNOWN)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = Market()
    return refused(market, 0, BidAuction(market.id(1), 10**6, 0))


@execution(Code.AUCTION_FROZEN)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = thin()
    seller = liquidated(market)
    del market.solo.prices[BTC]
    market.run(4)
    return refused(market, 2, BidAuction(seller, 10**6, 0))


@execution(Code.AUCTION_INCENTIVE_LOW)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = thin()
    return refused(market, 2, BidAuction(liquidated(market), 10**6, 10**6))


@execution(Code.FRACTION_INVALID)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = thin()
    return refused(market, 2, BidAuction(liquidated(market), 10**6 + 1, 0))


@execution(Code.BIDDER_IS_SELLER)
def _(_: pytest.MonkeyPatch) -> Refused:
    market = thin()
    market.do(0, CreateSubaccount())
    seller = liquidated(market)
    return refused(market, 0, BidAuction(seller, 10**6, 0), account_id=market.id(4))


# Codes that no block knows, with the door that gives them.


def refuse_in_mempool() -> int:
    toy = ToyWorld(config=ReplicaConfig(mempool_count_max=1)).start()
    _, replica = toy.world.nodes()[0]
    assert replica.submit(b"one").code == Code.OK
    return replica.submit(b"two").code


def refuse_query() -> int:
    return Market().solo.app.query("nothing", b"").code


ELSEWHERE: dict[Code, Callable[[], int]] = {
    Code.MEMPOOL_FULL: refuse_in_mempool,
    Code.UNSUPPORTED_HERE: refuse_query,
}
TABLE = {**EXECUTION, **ADMISSION, **ELSEWHERE}


@pytest.mark.parametrize("code", EXECUTION, ids=lambda code: code.name)
def test_command__refused_in_a_block__changes_its_nonce_alone(code: Code, monkeypatch: pytest.MonkeyPatch) -> None:
    market, txs, time_ms = EXECUTION[code](monkeypatch)
    *before, tx = txs
    assert market.solo.app.check_tx(tx).code == Code.OK
    with_it, without = market.apply(*txs, time_ms=time_ms), market.apply(*before, time_ms=time_ms)
    assert [receipt.code for receipt in with_it.receipts] == [Code.OK] * len(txs) + [code]
    assert with_it.receipts[-1].events == ()
    assert with_it.receipts[-1].detail.startswith(code.name)
    changed, expected = changes_of(with_it), changes_of(without)
    assert changed.rows == expected.rows
    assert len(set(changed.nonces.items()) - set(expected.nonces.items())) == 1
    assert with_it.events == without.events


@pytest.mark.parametrize("code", ADMISSION, ids=lambda code: code.name)
def test_command__refused_at_admission__stands_in_no_block_and_changes_nothing(
    code: Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    market, txs, _ = ADMISSION[code](monkeypatch)
    app, (tx,) = market.solo.app, txs
    assert app.check_tx(tx).code == code
    market.solo.time_ms += market.solo.interval_ms
    assert not app.process_proposal(market.solo.make_request(tx, prepare=False))
    assert market.solo.make_request(tx).txs == market.solo.make_request().txs
    market.solo.time_ms -= market.solo.interval_ms
    with_it, without = market.apply(tx), market.apply()
    assert len(tx) > TX_BYTES_MAX or with_it.receipts[-1].code == code
    assert with_it.app_hash == without.app_hash
    assert with_it.sealed.changes == without.sealed.changes


@pytest.mark.parametrize("code", ELSEWHERE, ids=lambda code: code.name)
def test_request__refused_outside_blocks__gives_its_code(code: Code) -> None:
    assert ELSEWHERE[code]() == code


def test_table__every_code__has_exactly_one_row() -> None:
    print(f"{len(TABLE)} refusal codes")  # noqa: T201 -- the count is a result
    assert sorted(TABLE) == sorted(code for code in Code if code != Code.OK)
    assert len(TABLE) == len(EXECUTION) + len(ADMISSION) + len(ELSEWHERE) == 64


def test_refused_bundle__any_failing_action__leaves_no_trace() -> None:
    market = Market()
    future = market.future()
    rest(market, 1, sell(future, 120_000, 5))
    tx = market.sign(0, Bundle((buy(future, 120_000, 2), buy(future, 100_000, 3), CancelOrder(99_999))))
    with_it, without = market.apply(tx), market.apply()
    assert with_it.receipts[-1].code == Code.ORDER_UNKNOWN
    assert changes_of(with_it).rows == changes_of(without).rows


def test_empty_bundle__is_no_transaction() -> None:
    market = Market()
    payload = codec.encode([market.id(0), market.solo.keys[0].public_key, 1, [60, []]])
    tx = codec.encode(SignedTx(payload, market.solo.keys[0].sign(market.solo.domain + payload)))
    assert market.solo.app.check_tx(tx).code == Code.BAD_ENCODING


def test_signature_of_nobody__for_the_insurance_fund__is_refused() -> None:
    # The all-zero key is of small order: under ZIP-215 one signature of it fits every message.
    market = Market()
    payload = codec.encode([1, bytes(32), 1, [11, 0, 1]])
    tx = codec.encode(SignedTx(payload, bytes([1]) + bytes(63)))
    assert market.solo.app.check_tx(tx).code == Code.ACCOUNT_UNKNOWN


def test_page_of_refusals__lists_every_code_and_the_test_that_reaches_it() -> None:
    page = (ROOT / "docs" / "refusals.md").read_text()
    rows = dict(re.findall(r"^\| (\d+) \| `([A-Z_]+)` \|", page, re.MULTILINE))
    assert rows == {str(int(code)): code.name for code in TABLE}
    for code in TABLE:
        table = "execution" if code in EXECUTION else "admission" if code in ADMISSION else "elsewhere"
        assert re.search(rf"`{code.name}` \|.*\| {table} \|$", page, re.MULTILINE), code.name
