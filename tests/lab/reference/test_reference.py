"""Both engines over the same blocks: every command, every phase, and the same rows after each."""

import random

import pytest
from msgspec.structs import replace

from holdfast.client.signing import SigningKey
from holdfast.lab.reference import ReferenceExchange
from holdfast.primitives.codec import Record
from holdfast.primitives.crypto import sha256
from holdfast.primitives.reject import Code
from holdfast.protocol.accounts.messages import CreateSubaccount, GrantSession, RevokeSession, RotateOwner, Scope
from holdfast.protocol.custody.messages import Deposit, Transfer, Withdraw
from holdfast.protocol.instruments.state import Kind
from holdfast.protocol.liquidation.messages import (
    AuctionStarted,
    BidAuction,
    ClosedAtMark,
    CoinsSeized,
    DeficitCovered,
    Haircut,
    LiquidationHedged,
    SliceSold,
)
from holdfast.protocol.liquidation.params import LiquidationParams
from holdfast.protocol.liquidation.state import LIQUIDATIONS
from holdfast.protocol.messages import Bundle
from holdfast.protocol.oracle.messages import FeedStatusChanged
from holdfast.protocol.ranges.messages import (
    ChargeScaleChanged,
    CrossWeightChanged,
    RangeAnnounced,
    RangeChanged,
)
from holdfast.protocol.ranges.params import LIMITS, RANGE_PARAMS, RangeHistory, RangeParams
from holdfast.protocol.settlement.messages import FutureRealised, PositionSettled, SettlementPriceFixed
from holdfast.protocol.trading.messages import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    MassQuote,
    PlaceOrder,
    ProtectionTriggered,
    Quote,
    SelfTrade,
    SetProtection,
    TimeInForce,
)
from tests.support.exchange import BTC, BUY, ETH, SELL, USD
from tests.support.twin import TwinMarket

EIGHT_MS = 1_760_054_400_000 + 8 * 3_600_000  # the day's expiry
RICH = ((0, 5_000_000 * USD),)


def run_same(market: TwinMarket, blocks: int) -> list[Record]:
    events: list[Record] = []
    for _ in range(blocks):
        events += market.run(1)
        market.assert_same()
    return events


def do_same(market: TwinMarket, index: int, command: Record, account_id: int | None = None) -> int:
    code = int(market.do(index, command, account_id).code)  # type: ignore[arg-type]
    market.assert_same()
    return code


def kinds(events: list[Record]) -> set[type[Record]]:
    return {type(event) for event in events}


def test_orders__of_every_kind__leave_the_same_rows() -> None:
    market = TwinMarket()
    future, call = market.future(), market.option(place=1)
    mark, premium = market.mark_ticks(future), market.mark_ticks(call)
    assert do_same(market, 0, PlaceOrder(future, SELL, mark + 5, 10)) == Code.OK
    assert do_same(market, 0, PlaceOrder(future, SELL, mark + 5, 4, client_id=7)) == Code.OK
    assert do_same(market, 1, PlaceOrder(future, BUY, mark + 5, 12)) == Code.OK
    assert do_same(market, 2, PlaceOrder(future, BUY, 0, 1)) == Code.OK
    assert do_same(market, 2, PlaceOrder(future, BUY, 0, 1)) == Code.OK
    assert do_same(market, 2, PlaceOrder(future, BUY, 0, 1)) == Code.NO_LIQUIDITY
    assert do_same(market, 0, PlaceOrder(call, SELL, premium, 5)) == Code.OK
    assert do_same(market, 1, PlaceOrder(call, BUY, premium, 9, TimeInForce.FILL_OR_KILL)) == Code.FOK_NOT_FILLED
    assert do_same(market, 1, PlaceOrder(call, BUY, premium, 9, TimeInForce.IMMEDIATE_OR_CANCEL)) == Code.OK
    assert do_same(market, 0, PlaceOrder(call, SELL, premium, 5)) == Code.OK
    crossing = PlaceOrder(call, BUY, premium, 1, post_only=True)
    assert do_same(market, 1, crossing) == Code.POST_ONLY_WOULD_CROSS
    assert do_same(market, 3, PlaceOrder(call, BUY, premium, 1, reduce_only=True)) == Code.REDUCE_ONLY_WOULD_INCREASE
    assert do_same(market, 1, PlaceOrder(call, SELL, premium + 9, 2, reduce_only=True)) == Code.OK
    number = max(market.orders())
    assert do_same(market, 1, AmendOrder(number, premium + 9, 1)) == Code.OK
    assert do_same(market, 1, AmendOrder(number, premium + 8, 1)) == Code.OK
    assert do_same(market, 1, AmendOrder(number, premium + 8, 1)) == Code.AMEND_NO_CHANGE
    assert do_same(market, 2, CancelOrder(number)) == Code.ORDER_NOT_YOURS
    assert do_same(market, 1, CancelOrder(number)) == Code.OK
    actions = (PlaceOrder(call, BUY, premium, 2), PlaceOrder(future, BUY, mark - 50, 3), CancelAll(future))
    assert do_same(market, 3, Bundle(actions)) == Code.OK
    assert do_same(market, 3, Bundle((PlaceOrder(call, BUY, premium, 1), CancelOrder(99)))) == Code.ORDER_UNKNOWN
    assert do_same(market, 0, CancelAll(0)) == Code.OK


@pytest.mark.parametrize("rule", list(SelfTrade))
def test_self_trade__within_a_family__goes_by_the_incoming_orders_rule(rule: SelfTrade) -> None:
    market = TwinMarket()
    future = market.future()
    mark = market.mark_ticks(future)
    assert do_same(market, 0, CreateSubaccount()) == Code.OK
    child = market.id(4)
    assert do_same(market, 0, Transfer(child, 0, 200_000 * USD)) == Code.OK
    assert do_same(market, 0, PlaceOrder(future, SELL, mark, 4), child) == Code.OK
    assert do_same(market, 1, PlaceOrder(future, SELL, mark, 4)) == Code.OK
    assert do_same(market, 0, PlaceOrder(future, BUY, mark, 6, self_trade=rule)) == Code.OK


def test_quotes__with_protection__freeze_when_it_is_used_up() -> None:
    market = TwinMarket()
    call = market.option(place=1)
    premium = market.mark_ticks(call)
    quote = MassQuote(BTC, (Quote(call, premium - 5, 20, premium + 5, 20),))
    assert do_same(market, 0, quote) == Code.QUOTE_NOT_PROTECTED
    assert do_same(market, 0, SetProtection(BTC, 10, 600_000)) == Code.OK
    assert do_same(market, 0, quote) == Code.OK
    moved = MassQuote(BTC, (Quote(call, premium + 6, 5, premium + 9, 5), Quote(99_999, 1, 1, 2, 1)))
    assert do_same(market, 0, moved) == Code.OK
    assert do_same(market, 1, PlaceOrder(call, SELL, premium, 5)) == Code.OK
    assert do_same(market, 1, PlaceOrder(call, BUY, premium + 20, 30)) == Code.OK
    assert ProtectionTriggered in kinds(market.events)
    assert do_same(market, 0, quote) == Code.QUOTE_NOT_PROTECTED
    assert do_same(market, 0, SetProtection(BTC, 0, 0)) == Code.OK


def test_accounts_and_money__of_every_kind__leave_the_same_rows() -> None:
    market = TwinMarket(deposits={1: ((0, 100_000 * USD), (BTC, 2 * 10**8), (3, 50_000 * USD))})
    session = SigningKey(sha256(b"twin session"))
    now = market.solo.time_ms
    assert do_same(market, 0, GrantSession(session.public_key, Scope.TRADE, now + 600_000)) == Code.OK
    assert do_same(market, 0, GrantSession(session.public_key, Scope.CANCEL, now + 600_000)) == Code.OK
    assert do_same(market, 0, GrantSession(session.public_key, 99, now + 600_000)) == Code.SCOPES_INVALID
    market.solo.keys.append(session)
    assert do_same(market, 4, CancelAll(0), market.id(0)) == Code.OK
    assert do_same(market, 0, RevokeSession(session.public_key)) == Code.OK
    assert do_same(market, 0, RevokeSession(session.public_key)) == Code.SESSION_MISSING
    assert do_same(market, 1, Withdraw(BTC, 10**8)) == Code.OK
    assert do_same(market, 1, Withdraw(0, 10**12)) == Code.WITHDRAWABLE_SHORT
    assert do_same(market, 1, Withdraw(9, 1)) == Code.ASSET_UNKNOWN
    assert do_same(market, 1, CreateSubaccount()) == Code.OK
    assert do_same(market, 1, Transfer(market.id(4), BTC, 5 * 10**7)) == Code.OK
    assert do_same(market, 1, Transfer(market.id(2), 0, 1)) == Code.TRANSFER_NOT_FAMILY
    owner = SigningKey(sha256(b"twin owner"))
    assert do_same(market, 2, RotateOwner(owner.public_key)) == Code.OK
    assert do_same(market, -1, Deposit(owner.public_key, ETH, 10**8)) == Code.OK
    assert do_same(market, -1, Deposit(SigningKey(sha256(b"new")).public_key, 0, 5 * USD)) == Code.OK


def test_transactions__that_no_honest_block_holds__come_to_the_same_codes() -> None:
    market = TwinMarket()
    good = market.sign(0, CancelAll(0))
    txs = (b"", good[:-1], good[:-4] + bytes(4), good, good, market.solo.sign(1, CancelAll(0), nonce=2**40))
    applied = market.apply(*txs)
    solo = market.solo
    solo.time_ms += solo.interval_ms
    first = solo.make_request(prepare=False).txs[0]
    results = market.reference.apply(solo.height + 1, solo.time_ms, (first, *txs))
    assert [int(result.code) for result in results] == [int(receipt.code) for receipt in applied.receipts]
    rows = dict(solo.app.state.export())
    for key, value in applied.sealed.changes:
        rows[key] = value if value is not None else b""
    assert {key: value for key, value in rows.items() if value} == market.reference.rows()


def test_expiry__with_options_and_futures_held__settles_and_realises_the_same() -> None:
    market = TwinMarket()
    market.block(time_ms=EIGHT_MS - 32 * 60_000)
    market.assert_same()
    call, put, future = (
        market.option(place=0),
        market.option(kind=Kind.PUT, place=0),
        market.future(),
    )
    for instrument_id in (call, put, future, market.future(place=1)):
        market.trade(0, 1, instrument_id, 30)
        market.assert_same()
    events: list[Record] = []
    for _ in range(36):
        market.solo.prices[BTC] += 7 * 10**8 + 3
        events += market.run(1)
        market.assert_same()
    assert {SettlementPriceFixed, PositionSettled, FutureRealised} <= kinds(events)


def test_liquidation__with_bids__hedges_and_sells_the_same_slices() -> None:
    market = TwinMarket(4, deposits={0: ((0, 40_000 * USD), (ETH, 10**8)), 1: RICH, 2: RICH, 3: RICH})
    call, future = market.option(place=1), market.future()
    market.trade(1, 0, call, 200)
    do_same(market, 2, PlaceOrder(future, SELL, 132_100, 30))
    market.solo.prices[BTC] = 132_000 * 10**8
    events = run_same(market, 5)
    assert {LiquidationHedged, AuctionStarted} <= kinds(events)
    assert do_same(market, 2, BidAuction(market.id(0), 300_000, 0)) == Code.OK
    assert do_same(market, 2, BidAuction(market.id(0), 300_000, 900_000)) == Code.AUCTION_INCENTIVE_LOW
    assert do_same(market, 3, BidAuction(market.id(0), 1_000_000, 0)) in (Code.OK, Code.AUCTION_UNKNOWN)
    run_same(market, 3)


@pytest.mark.parametrize(
    ("backstop", "fund", "coins"), [(1_000_000, 1_000_000, 10**7), (0, 1_000, 0), (2_000, 50, 10**7), (0, 0, 10**7)]
)
def test_liquidation__with_nobody_bidding__ends_the_same(backstop: int, fund: int, coins: int) -> None:
    genesis = {"insurance_atoms": fund * USD, "backstop_atoms": backstop * USD}
    deposits = {0: ((0, 70_000 * USD), (BTC, coins)) if coins else ((0, 85_000 * USD),), 1: RICH, 2: RICH, 3: RICH}
    market = TwinMarket(4, deposits=deposits, genesis=genesis)
    market.trade(0, 1, market.future(), 400)
    market.trade(0, 2, market.option(place=1), 30)
    market.solo.prices[BTC] = 98_000 * 10**8
    events = run_same(market, 28)
    assert not market.draft[LIQUIDATIONS].keys()
    assert kinds(events) & {SliceSold, ClosedAtMark}
    if coins:
        assert CoinsSeized in kinds(events)
    if fund <= 1_000:
        assert {DeficitCovered, Haircut} <= kinds(events)


def test_liquidation__with_coins_and_no_fund__hands_out_the_same_coins() -> None:
    params = LiquidationParams(auction_steps=2)
    genesis = {"insurance_atoms": 0, "backstop_atoms": 0, "liquidation_params": params}
    deposits = {0: ((BTC, 10**8), (ETH, 10**8)), **dict.fromkeys(range(1, 4), RICH)}
    market = TwinMarket(4, deposits=deposits, genesis=genesis)
    for seller, lots in ((1, 110), (2, 70), (3, 60)):
        market.trade(0, seller, market.future(), lots)
        market.assert_same()
    market.run(1)
    market.solo.prices[BTC] = 93_456_789_012_34
    events = run_same(market, 8)
    assert not market.draft[LIQUIDATIONS].keys()
    takers = {event.to_account_id for event in events if isinstance(event, CoinsSeized)}
    assert {market.id(1), market.id(2), market.id(3)} <= takers


def test_oracle__moving_through_doubt__allows_and_refuses_the_same() -> None:
    market = TwinMarket(interval_ms=2_000)
    future = market.future()
    mark = market.mark_ticks(future)
    market.solo.prices[BTC] = 150_000 * 10**8
    run_same(market, 1)
    assert do_same(market, 0, PlaceOrder(future, BUY, mark, 1)) == Code.ORACLE_FORBIDS_RISK
    market.solo.prices[0] = 98_000_000
    run_same(market, 5)
    assert do_same(market, 0, PlaceOrder(future, BUY, mark, 1)) == Code.USDC_DEPEGGED
    del market.solo.prices[ETH]
    events = run_same(market, 18)
    assert FeedStatusChanged in kinds(events)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"range_params": RangeParams(announce_epochs=3, history_epochs=100, quantile_ppm=950_000)},
        {"range_params": RangeParams(is_adaptive=False)},
        {"range_history": (RangeHistory(BTC, (9_000_000, -8_000_000) * 60), RangeHistory(ETH, (7_000_000,) * 110))},
    ],
)
def test_ranges__over_days_with_a_crash_and_a_silence__move_alike(changes: dict[str, object]) -> None:
    limits = tuple(replace(one, interest_lower_usd=1_000, interest_upper_usd=90_000) for one in LIMITS)
    deposits = {0: ((0, 100_000 * USD), (BTC, 10**8)), 1: RICH, 2: RICH, 3: RICH}
    market = TwinMarket(4, deposits=deposits, genesis={"range_limits": limits, **changes}, interval_ms=1_200_000)
    market.solo.app._rebuilds = False
    market.trade(1, 0, market.option(place=1), 40)
    moves = random.Random(5)
    events: list[Record] = []
    for block in range(100):
        wild = 40_000 if 40 <= block < 60 else 3_000
        for asset in (BTC, ETH):
            step = moves.randint(-wild, wild - (wild // 2 if block < 50 else 0))
            kept = market.solo.prices.get(asset, 4_000 * 10**8)
            market.solo.prices[asset] = kept + kept * step // 10**6
        if 70 <= block < 76:
            market.solo.prices.pop(ETH)
        events += run_same(market, 1)
    moved = {RangeAnnounced, RangeChanged, CrossWeightChanged, ChargeScaleChanged} & kinds(events)
    is_adaptive = market.draft[RANGE_PARAMS][0].is_adaptive
    assert len(moved) == (4 if is_adaptive else 0)
    # A chain that begins with a wild past begins with ranges that a crash does not outrun.
    is_outrun = is_adaptive and "range_history" not in changes
    assert any(isinstance(event, RangeChanged) and event.is_emergency for event in events) == is_outrun


def test_resume__at_any_height__goes_on_as_from_genesis() -> None:
    market = TwinMarket()
    market.trade(0, 1, market.future(), 3)
    market.reference = ReferenceExchange.resume(market.solo.app.state.export())
    market.trade(1, 2, market.option(place=1), 3)
    market.assert_same()
