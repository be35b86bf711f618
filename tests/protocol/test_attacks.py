"""Attacks on the exchange core that once worked, each at its smallest: what they were after, they do not get."""

import copy
from collections.abc import Callable

import pytest

from holdfast.node.exchange import ExchangeApplication
from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.codec import Record
from holdfast.primitives.reject import Code
from holdfast.primitives.units import DAY_MS, HOUR_MS, MINUTE_MS
from holdfast.protocol import invariants, machine
from holdfast.protocol.accounts.state import INSURANCE_FUND
from holdfast.protocol.block import BlockContext
from holdfast.protocol.book import handlers as book
from holdfast.protocol.book.state import Order
from holdfast.protocol.custody.messages import Withdraw
from holdfast.protocol.instruments.state import INSTRUMENTS, SERIES, Kind
from holdfast.protocol.ledger.handlers import get_balance
from holdfast.protocol.limits import AMOUNT_ATOMS_MAX
from holdfast.protocol.liquidation.handlers import queue
from holdfast.protocol.liquidation.messages import (
    BidAuction,
    CoinsSeized,
    DeficitCovered,
    Ended,
    Haircut,
    LiquidationEnded,
    SliceSold,
)
from holdfast.protocol.liquidation.params import LiquidationParams
from holdfast.protocol.liquidation.state import LIQUIDATIONS
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin import rules as margin_rules
from holdfast.protocol.margin.rules import compute_withdrawable_atoms
from holdfast.protocol.margin.state import DAY, FROZEN, OrderChange, RiskMatrix, Tally
from holdfast.protocol.messages import Bundle
from holdfast.protocol.portfolio import handlers as portfolio
from holdfast.protocol.portfolio.state import POSITIONS, Position
from holdfast.protocol.settlement import params as settlement_params
from holdfast.protocol.settlement.messages import PositionSettled
from holdfast.protocol.settlement.params import SettlementParams
from holdfast.protocol.surface.state import RISK_ARRAY
from holdfast.protocol.trading.messages import (
    Cancelled,
    MassQuote,
    OrderCancelled,
    PlaceOrder,
    Quote,
    SetProtection,
)
from holdfast.state.draft import Draft
from tests.support.exchange import BTC, BUY, ETH, SELL, USD, USDT, Market

RICH = ((0, 5_000_000 * USD),)
BLOCKS_MAX = 30


def move(market: Market, price: int) -> list[Record]:
    """Let BTC move and wait until that is believed."""
    market.solo.prices[BTC] = price * 10**8
    return market.run(4)


def until_ended(market: Market) -> list[Record]:
    """Make blocks until no liquidation is left, as many as one may take."""
    events: list[Record] = []
    for _ in range(BLOCKS_MAX):
        if not market.draft[LIQUIDATIONS].keys():
            return events
        events.extend(market.run(1))
    raise AssertionError("a liquidation ends within its blocks")


def plant(monkeypatch: pytest.MonkeyPatch, change: Callable[[Draft], None]) -> None:
    """Change the state behind the last phase of each block from here on."""
    close = machine._close_block

    def close_and_change(draft: Draft, context: BlockContext, block: machine.Block) -> machine.Events:
        events = close(draft, context, block)
        change(draft)
        return events

    monkeypatch.setattr(machine, "_close_block", close_and_change)


def budget_of(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Let every chain that starts from here on settle so few orders and positions a block."""
    params = SettlementParams(steps_per_block=steps)
    monkeypatch.setattr(settlement_params, "SettlementParams", lambda: params)


def first_series(market: Market) -> tuple[tuple[int, int], tuple[int, ...]]:
    """Return the series that expires first, and its instruments."""
    key = min((key for key, _ in market.draft[SERIES].items() if key[0] == BTC), key=lambda key: key[1])
    return key, tuple(market.draft[SERIES][key])


def run_through_expiry(market: Market, expiry_ms: int) -> list[list[Record]]:
    """Make blocks from half an hour before an expiry to some minutes after; return the late blocks' events."""
    market.block(time_ms=expiry_ms - 31 * MINUTE_MS)
    market.run(30)
    return [market.run(1) for _ in range(12)]


def test_expiry__more_orders_than_a_blocks_budget__empties_every_book_and_settles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    budget_of(monkeypatch, 4)
    market = Market()
    key, ids = first_series(market)
    order = PlaceOrder(ids[0], BUY, 1, 1)
    market.block(
        *(market.sign(index, Bundle((order,) * 6)) for index in range(3)),
        market.sign(3, PlaceOrder(ids[-1], BUY, 1, 1)),
    )
    assert len(market.orders()) == 19
    blocks = run_through_expiry(market, key[1])
    gone = [event for events in blocks for event in events if isinstance(event, OrderCancelled)]
    assert [event.reason for event in gone] == [Cancelled.EXPIRED] * 19
    assert market.orders() == {}
    assert key not in market.draft[SERIES]


def test_expiry__more_positions_than_a_blocks_budget__settles_each_instrument_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    budget_of(monkeypatch, 3)
    market = Market(5)
    key, ids = first_series(market)
    future = market.future()
    held = (future, *(one for one in ids if market.draft[INSTRUMENTS][one].kind == Kind.CALL))[:3]
    for one in held:
        price = market.mark_ticks(one) + 1
        receipts = market.block(
            market.sign(0, PlaceOrder(one, SELL, price, 4)),
            *(market.sign(index, PlaceOrder(one, BUY, price, 1)) for index in range(1, 5)),
        )
        assert {receipt.code for receipt in receipts} == {Code.OK}
    blocks = run_through_expiry(market, key[1])
    settled = [[e.instrument_id for e in events if isinstance(e, PositionSettled)] for events in blocks]
    # Whole instruments, one after the other: the budget is passed by one instrument at most.
    assert [ids for ids in settled if ids] == [[one] * 5 for one in sorted(held)]
    assert not market.draft[POSITIONS].keys()
    assert key not in market.draft[SERIES]


def quote_often(market: Market, commands: int) -> None:
    """Let account 0 replace far quotes in many instruments as often, in one block."""
    ids = [one for one, what in market.draft[INSTRUMENTS].items() if what.underlying == BTC][:40]
    assert market.do(0, SetProtection(BTC, 1_000, MINUTE_MS)).code == Code.OK
    receipts = market.block(
        *(
            market.sign(0, MassQuote(BTC, tuple(Quote(one, 1 + k % 2, 1, 200_000 - k % 2, 1) for one in ids)))
            for k in range(commands)
        )
    )
    assert {receipt.code for receipt in receipts} == {Code.OK}
    assert len(market.orders()) == 80


def test_tally__many_quotes_of_a_covered_account_in_one_block__stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    note = margin_rules.note_order

    def watch(tally: Tally, matrix: RiskMatrix, change: OrderChange) -> Tally:
        lengths.append(len(tally.changes))
        return note(tally, matrix, change)

    monkeypatch.setattr(margin_rules, "note_order", watch)
    market = Market(2, cash=10**15)
    quote_often(market, 8)
    assert len(lengths) > 1_000
    assert max(lengths) < 256 == margin.TALLY_CHANGES_MAX


def test_tally__added_up_sooner_or_later__gives_the_same_root(monkeypatch: pytest.MonkeyPatch) -> None:
    roots = set()
    for longest in (2, 256):
        monkeypatch.setattr(margin, "TALLY_CHANGES_MAX", longest)
        market = Market(2, cash=10**15)
        quote_often(market, 2)
        roots.add(market.root)
    assert len(roots) == 1


def test_cost__beyond_what_a_position_holds__is_never_booked_and_the_store_reopens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    market = Market()
    call = market.option()
    price = market.mark_ticks(call)
    market.trade(0, 1, call, 2)
    cost, opened = AMOUNT_ATOMS_MAX - 1_000, machine._open_block

    def grow_and_open(draft: Draft, context: BlockContext, block: machine.Block) -> machine.Events:
        draft[POSITIONS].put((market.id(0), call), Position(2, cost))
        draft[POSITIONS].put((market.id(1), call), Position(-2, -cost))
        return opened(draft, context, block)

    with monkeypatch.context() as planted:
        planted.setattr(machine, "_open_block", grow_and_open)
        market.block()
    _, refused = market.block(
        market.sign(1, PlaceOrder(call, SELL, price, 1)),
        market.sign(0, PlaceOrder(call, BUY, price, 1)),
    )
    assert refused.code == Code.SIZE_TOO_LARGE
    assert len(market.orders()) == 1, "what the taker cannot hold is not the resting order's fault"
    assert market.draft[POSITIONS][market.id(0), call] == Position(2, cost)
    assert market.draft[POSITIONS][market.id(1), call] == Position(-2, -cost)
    reopened = ExchangeApplication(copy.deepcopy(market.solo.disk), market.solo.report)
    assert (reopened.height, reopened.state.root) == (market.solo.height, market.root)
    # Whoever closes is never held up by it.
    draft = market.draft
    assert portfolio.change(draft, market.id(0), call, -2, -2 * price) == 2 * price - cost


def leveraged(*, fund: int = 1_000_000 * USD) -> Market:
    """A market whose account 0 is long of futures with little money, against account 1."""
    deposits = {0: ((0, 80_000 * USD),), 1: RICH, 2: RICH, 3: RICH}
    market = Market(4, deposits=deposits, genesis={"insurance_atoms": fund, "backstop_atoms": 0})
    market.trade(0, 1, market.future(place=3), 400)
    return market


def test_incentive__seller_with_a_little_equity__takes_that_and_nothing_of_the_fund() -> None:
    market = leveraged()
    move(market, 100_100)
    assert 0 < market.need(0).equity_atoms < market.need(0).maintenance_atoms // 20
    equity, fund = market.need(0).equity_atoms, get_balance(market.draft, INSURANCE_FUND, 0)
    bid = market.sign(2, BidAuction(market.id(0), 1_000_000, 0))
    (receipt,) = market.block(bid)
    (sold,) = [event for event in receipt.events if isinstance(event, SliceSold)]
    assert (sold.incentive_atoms, sold.from_fund_atoms) == (equity, 0)
    assert get_balance(market.draft, INSURANCE_FUND, 0) >= fund


def indebted(*, fund: int, backstop: int) -> Market:
    """A market whose account 0 has coins and debt, no position, and too little margin by a fall of its coins."""
    market = Market(
        3,
        deposits={0: ((BTC, 2 * 10**8),), 1: RICH, 2: RICH},
        genesis={
            "insurance_atoms": fund,
            "backstop_atoms": backstop,
            "liquidation_params": LiquidationParams(auction_steps=8),
        },
    )
    call = market.option(place=-1)
    market.trade(0, 1, call, 900)
    market.block(market.sign(1, PlaceOrder(call, BUY, 1, 900)), market.sign(0, PlaceOrder(call, SELL, 1, 900)))
    assert market.lots(0, call) == 0
    assert market.cash(0) < -100_000 * USD
    return market


def fall_until_queued(market: Market) -> None:
    """Let BTC fall in small steps until account 0 is liquidated."""
    for _ in range(BLOCKS_MAX):
        if market.id(0) in market.draft[LIQUIDATIONS]:
            return
        move(market, market.solo.prices[BTC] * 97 // 100 // 10**8)
    raise AssertionError("the account is liquidated in the end")


def test_coins_and_debt__fund_too_small__go_to_the_backstop_and_the_liquidation_ends() -> None:
    market = indebted(fund=USD, backstop=1_000_000 * USD)
    fall_until_queued(market)
    events = until_ended(market)
    assert [e.how for e in events if isinstance(e, LiquidationEnded)] == [Ended.BACKSTOPPED]
    assert get_balance(market.draft, market.id(0), BTC) < 2 * 10**8


def test_coins_and_debt__fund_too_small_and_no_backstop__go_to_the_fund_in_part_and_the_rest_to_who_won() -> None:
    market = indebted(fund=1_000 * USD, backstop=0)
    fall_until_queued(market)
    events = market.run(12)
    takers = [event.to_account_id for event in events if isinstance(event, CoinsSeized)]
    assert takers == [INSURANCE_FUND, market.id(1)]
    assert [e.how for e in events if isinstance(e, LiquidationEnded)] == [Ended.CLOSED]
    assert market.cash(0) >= 0


def test_day__eight_oclock_while_a_liquidation_is_open__the_winner_still_bears_its_loss() -> None:
    market = leveraged(fund=0)
    market.trade(3, 1, market.option(ETH), 1)
    market.block(time_ms=market.solo.time_ms - market.solo.time_ms % (24 * HOUR_MS) + 8 * HOUR_MS - 8 * MINUTE_MS)
    events = move(market, 70_000)
    while market.solo.time_ms % (24 * HOUR_MS) != 8 * HOUR_MS:
        events += market.run(1)
    assert market.id(0) in market.draft[LIQUIDATIONS]
    assert market.need(0).equity_atoms < 0
    winner, bystander = market.need(1).equity_atoms, market.need(3).equity_atoms
    risk = margin.get_risk(market.draft, market.id(1))
    free = compute_withdrawable_atoms(market.draft, market.id(1), risk)
    assert free <= winner - 100_000 * USD
    assert market.do(1, Withdraw(0, free - USD)).code == Code.OK
    events = until_ended(market)
    (covered,) = [event for event in events if isinstance(event, DeficitCovered)]
    shares = {event.account_id: event.amount_atoms for event in events if isinstance(event, Haircut)}
    assert shares == {market.id(1): covered.haircut_atoms}
    assert covered.haircut_atoms > 100_000 * USD
    assert abs(market.need(3).equity_atoms - bystander) < USD


def test_coins_above_the_account_cap__sold_in_an_auction__fetch_their_worth_less_haircut() -> None:
    lavish = ((0, 200_000_000 * USD),)
    market = Market(3, deposits={0: ((USDT, 40_000_000 * USD),), 1: lavish, 2: lavish})
    future = market.future()
    market.trade(0, 1, future, 40_000)
    for price in (116_000, 112_000, 109_200):
        move(market, price)
    assert market.id(0) in market.draft[LIQUIDATIONS]
    (receipt,) = market.block(market.sign(2, BidAuction(market.id(0), 1_000_000, 0)))
    assert receipt.code == Code.OK
    (seized,) = [event for event in receipt.events if isinstance(event, CoinsSeized)]
    assert seized.amount_atoms > 10_000_000 * USD  # what counts of them at most
    assert seized.paid_atoms == seized.amount_atoms * 97 // 100


def test_day__a_liquidation_open_for_days__holds_the_old_day_for_one_day_only() -> None:
    market = Market()
    market.run(2)
    draft = market.draft
    today = draft[DAY][0]
    draft[FROZEN].put(market.id(0), 1)
    for days, day in ((1, today), (2, today + 2)):
        time_ms = (today + days) * DAY_MS + 9 * HOUR_MS
        margin.start_day(draft, BlockContext(market.solo.height + days, time_ms, time_ms - 1, 0))
        assert draft[DAY][0] == day


def test_withdraw__coins_against_todays_open_profit__is_refused() -> None:
    market = Market(2, deposits={0: ((BTC, 2 * 10**8),), 1: RICH})
    market.trade(0, 1, market.future(), 900)
    for price in (126_000, 132_000, 138_000, 145_000):
        move(market, price)
    coins = 15 * 10**7
    need, worth = market.need(0), 145_000 * USD * 3 // 2
    assert need.equity_atoms - need.initial_atoms > worth  # margin alone would let them go
    assert market.do(0, Withdraw(BTC, coins)).code == Code.WITHDRAWABLE_SHORT
    assert get_balance(market.draft, market.id(0), BTC) == 2 * 10**8


def test_crossed_book__made_by_an_ask_alone__halts(monkeypatch: pytest.MonkeyPatch) -> None:
    market = Market()
    future = market.future()
    assert market.do(0, PlaceOrder(future, BUY, 110_000, 1)).code == Code.OK

    def cross(draft: Draft) -> None:
        order_id = book.take_number(draft)
        ask = Order(market.id(1), future, SELL, 109_000, 1, order_id, 0, 0)
        margin.add_order(draft, order_id, ask, draft[RISK_ARRAY][0].lines[future])

    plant(monkeypatch, cross)
    with pytest.raises(BrokenInvariantError, match=r"^BOOK_NOT_CROSSED: "):
        market.apply()


def test_unhealthy_account__hidden_from_the_queue__is_found_by_fresh_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    market = leveraged()

    def hide(_: Draft) -> list[tuple[int, int]]:
        return []

    monkeypatch.setattr(queue, "list_unhealthy", hide)
    monkeypatch.setattr(invariants, "list_unhealthy", hide)
    with pytest.raises(BrokenInvariantError, match=r"^MARGIN_CACHE_FRESH: .*unhealthy by fresh sums"):
        move(market, 105_000)
