"""Makers and takers on one application: quoted books, trades, solvency, and what crashes and restarts do to them."""

import statistics
from collections.abc import Callable

from holdfast.client.commands import sign_command
from holdfast.lab.agents.market import Market, Memory
from holdfast.lab.market.accounts import DEMO_ACCOUNTS, TAKER_ATOMS, Nonces
from holdfast.lab.market.makers import list_quoted
from holdfast.lab.market.rehearsal import Rehearsal
from holdfast.lab.market.traders import Traders
from holdfast.lab.solo import START_MS
from holdfast.primitives.units import DAY_MS, HOUR_MS, MINUTE_MS, PPM, USDC_ATOMS
from holdfast.protocol.accounts.state import INSURANCE_FUND
from holdfast.protocol.custody.messages import Withdraw
from holdfast.protocol.ledger.handlers import get_cash
from holdfast.protocol.ledger.state import BTC, ETH, USDC
from holdfast.protocol.trading.messages import OrderPlaced, PlaceOrder, Traded


def look(chain: Rehearsal) -> Market:
    return Market(chain.draft(), chain.height, chain.time_ms, Memory())


def two_sided(market: Market, underlying: int) -> tuple[int, int]:
    quoted = list_quoted(market, underlying)
    both = [one for one in quoted if market.best(one, 0) is not None and market.best(one, 1) is not None]
    return len(both), len(quoted)


def assert_quoted(chain: Rehearsal) -> None:
    market = look(chain)
    for underlying in (BTC, ETH):
        both, quoted = two_sided(market, underlying)
        assert quoted >= 30
        assert both * 10 >= quoted * 8, (both, quoted)


def test_makers__two_seconds_after_the_first_prices__quote_both_chains() -> None:
    chain = Rehearsal(1)
    chain.advance(9)
    assert_quoted(chain)


def test_market__some_minutes__trades_at_sane_spreads(
    record_property: Callable[[str, object], None],
) -> None:
    chain = Rehearsal(2)
    chain.advance(12)
    seconds = 90
    started = {agent.account_id: look(chain).equity_atoms(agent.account_id) for agent in chain.traders.makers}
    chain.advance(4 * seconds)
    assert_quoted(chain)
    market = look(chain)
    spreads_ppm = [
        (market.best(one, 1)[0] - market.best(one, 0)[0]) * one.tick_atoms * PPM // market.index_atoms(BTC)  # type: ignore[index]
        for one in list_quoted(market, BTC)
        if market.best(one, 0) is not None and market.best(one, 1) is not None
    ]
    assert 0 < statistics.median(spreads_ppm) < 1_500
    assert seconds * 8 // 10 <= len(chain.trades) <= 2 * seconds
    refused = sum(count for name, count in chain.codes.items() if name != "OK")
    assert refused * 50 <= sum(chain.codes.values()), chain.codes
    assert chain.quote_codes["OK"] * 100 >= sum(chain.quote_codes.values()) * 95, chain.quote_codes
    for account_id, before in started.items():
        assert abs(market.equity_atoms(account_id) - before) * 1_000 < before
    record_property("act_ms", statistics.mean(chain.act_seconds) * 1_000)
    record_property("report_ms", statistics.mean(chain.report_seconds) * 1_000)
    record_property("block_ms", statistics.mean(chain.block_seconds) * 1_000)


def test_newcomer__market_order_in_a_near_option__fills() -> None:
    chain = Rehearsal(3)
    chain.advance(16)
    market = look(chain)
    option = next(one for one in list_quoted(market, BTC) if one.strike_e8 > market.array.prices_e8[BTC])
    order = PlaceOrder(option.id, 0, 0, 10)
    tx = sign_command(DEMO_ACCOUNTS[0].key, chain.domain, DEMO_ACCOUNTS[0].account_id, 1, order)
    chain.block(tx)
    applied = chain.app.last_applied
    assert applied is not None
    events = [event for receipt in applied.receipts for event in receipt.events]
    assert sum(event.lots for event in events if isinstance(event, Traded)) == 10
    assert [event.filled_lots for event in events if isinstance(event, OrderPlaced)] == [10]


def test_traders__new_process__goes_on_with_the_old_chain() -> None:
    chain = Rehearsal(4)
    chain.advance(40)
    chain.reopen()
    before = sum(chain.codes.values())
    trades = len(chain.trades)
    chain.advance(40)
    assert set(chain.codes) == {"OK"}
    assert sum(chain.codes.values()) > before + 15
    assert len(chain.trades) > trades
    assert_quoted(chain)


def test_traders__same_height__say_nothing_twice() -> None:
    chain = Rehearsal(5)
    chain.advance(4)
    traders = Traders(5, Nonces())
    assert traders.act(chain.draft(), chain.height, chain.time_ms, chain.domain)
    assert traders.act(chain.draft(), chain.height, chain.time_ms, chain.domain) == []


def test_traders__price_falls_by_a_fifth__are_back_once_the_fall_is_believed() -> None:
    chain = Rehearsal(6)
    chain.advance(20)
    chain.path.move("BTC", 800_000, chain.time_ms)
    chain.advance(8)
    assert two_sided(look(chain), BTC)[0] == 0
    assert two_sided(look(chain), ETH)[0] > 25
    chain.advance(24)
    assert_quoted(chain)
    assert abs(look(chain).array.prices_e8[BTC] - chain.path.price_e8("BTC", chain.time_ms)) * 1_000 < 120_000 * 10**8


def test_traders__usdc_off_its_par__wait_for_it() -> None:
    chain = Rehearsal(7)
    chain.advance(16)
    chain.path.move_to("USDC", 95_000_000, chain.time_ms)
    chain.advance(24)
    assert two_sided(look(chain), BTC)[0] == 0
    chain.path.move_to("USDC", 100_000_000, chain.time_ms)
    chain.advance(40)
    assert_quoted(chain)


def test_traders__minutes_over_a_days_expiry__quote_what_is_newly_listed() -> None:
    chain = Rehearsal(8, start_ms=START_MS + 5 * HOUR_MS)
    chain.advance(20)
    first = {one.expiry_ms for one in list_quoted(look(chain), BTC)}
    for _ in range(4):
        chain.advance(60, interval_ms=MINUTE_MS)
        assert_quoted(chain)
    quoted = {one.expiry_ms for one in list_quoted(look(chain), BTC)}
    assert min(first) == chain.time_ms // DAY_MS * DAY_MS + 8 * HOUR_MS
    assert min(quoted) == min(first) + DAY_MS
    assert len(quoted) >= 3
    assert len(chain.trades) > 200
    refused = sum(count for name, count in chain.codes.items() if name != "OK")
    assert refused * 25 <= sum(chain.codes.values()), chain.codes
    for maker in chain.traders.makers:
        assert look(chain).equity_atoms(maker.account_id) * 100 > dict(maker.deposits)[USDC] * 98


def test_taker__poor__is_topped_up_by_the_custodian() -> None:
    chain = Rehearsal(9)
    chain.advance(8)
    taker = chain.traders.takers[0]
    nonce = Nonces().take(chain.draft(), taker.account_id, taker.key.public_key)
    loss = Withdraw(USDC, TAKER_ATOMS * 6 // 10)
    chain.block(sign_command(taker.key, chain.domain, taker.account_id, nonce, loss))
    chain.reopen()
    chain.traders._turns = 58
    chain.advance(12)
    assert get_cash(chain.draft(), taker.account_id) > TAKER_ATOMS - 10_000 * USDC_ATOMS
    assert Nonces().take(chain.draft(), INSURANCE_FUND, chain.custodian.public_key) >= 1


def test_maker__half_of_equity_in_margin__only_reduces() -> None:
    chain = Rehearsal(10)
    chain.advance(16)
    market = look(chain)
    maker = chain.traders.makers[0]
    option = list_quoted(market, BTC)[0]
    place = market.matrix.places.at(maker.account_id)
    market.matrix.maintenance_atoms[place] = market.matrix.equity_atoms[place]
    held = maker.lots_held(market, option)
    quote = maker._quote(market, option)
    assert (quote.bid_lots, quote.ask_lots) == (max(0, -held), max(0, held))
