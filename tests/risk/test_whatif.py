"""Trades before they are sent: what they make of a portfolio, and whether the venue would take them."""

from dataclasses import replace

import pytest

from holdfast.protocol.instruments.state import INSTRUMENTS, Instrument
from holdfast.protocol.trading.messages import PlaceOrder, TimeInForce
from holdfast.risk import InputError, compute_margin
from holdfast.risk.trades import apply_trades, parse_trade
from holdfast.risk.whatif import judge, judge_one_by_one
from tests.support.exchange import BUY, USD, Market
from tests.support.margin_cases import account_document, document, read
from tests.support.risk_twin import document_of

ACCOUNT = read(account_document())
PUT = "BTC_USDC-27MAR26-90000-P"


def test_trade__is_read_as_it_is_written() -> None:
    trade = parse_trade(f"  +5 {PUT}@1200 ")
    assert (trade.amount, trade.instrument.name, trade.price) == (5.0, PUT, 1_200.0)
    assert parse_trade(f"-0.5 {PUT}").price is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a trade is written as"),
        (f"+5 {PUT} @", "a trade is written as"),
        (f"five {PUT}", "amount: 'five' is not a number"),
        (f"0 {PUT}", "amount: buys above zero, or sells below it"),
        (f"1e12 {PUT}", "amount: '1e12' is above"),
        (f"1 {PUT} @ 0", "price: 0 is not above zero"),
        (f"1 {PUT} @ inf", "price: inf is not a finite number"),
        ("1 GOLD", "instrument: 'GOLD' is an unknown instrument"),
        ("1 BTC-27MAR26-90000-P", "is paid in coin"),
    ],
)
def test_trade__that_is_none__is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_trade(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 SOL_USDC-27MAR26", "SOL is in no row of underlyings"),
        ("1 BTC_USDC-PERPETUAL", "has no field perpetual"),
        ("1 BTC_USDC-27MAR25-90000-P", "has expired"),
        ("1 BTC_USDC-28MAR26-90000-P", "no row of expiries gives the forward"),
    ],
)
def test_trade__of_what_is_not_priced__is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        apply_trades(ACCOUNT, [parse_trade(text)])


def test_option__bought_and_sold_again_at_one_price__leaves_the_portfolio_as_it_was() -> None:
    trades = [parse_trade(f"{amount} BTC_USDC-27MAR26-95000-C @ 5100") for amount in (3, -3)]
    after = apply_trades(ACCOUNT, trades)
    assert (after.options, after.cash) == (ACCOUNT.options, ACCOUNT.cash)
    assert apply_trades(ACCOUNT, trades[:1]).cash == ACCOUNT.cash - 3 * 5_100


def test_future__added_to_and_closed__realises_its_profit_in_cash() -> None:
    after = apply_trades(ACCOUNT, [parse_trade("-0.8 BTC_USDC-30JAN26 @ 96000")])
    assert not after.futures
    assert after.cash - ACCOUNT.cash == pytest.approx(0.8 * (96_000 - 95_400))
    more = apply_trades(ACCOUNT, [parse_trade("0.2 BTC_USDC-30JAN26 @ 96200")]).futures[0]
    assert more.amount == 1.0
    assert more.profit == pytest.approx(0.8 * 810 + 0.2 * 10)


def test_surfaces__do_not_move_by_what_is_traded() -> None:
    before = compute_margin(ACCOUNT).figures["surfaces"]
    after = compute_margin(apply_trades(ACCOUNT, [parse_trade("1 ETH_USDC-27MAR26-2000-P @ 20")])).figures["surfaces"]
    assert [(one["theta_e12"], one["rho_ppm"], one["eta_ppm"]) for one in before] == [  # type: ignore[union-attr, index, call-overload]
        (one["theta_e12"], one["rho_ppm"], one["eta_ppm"])  # type: ignore[index, call-overload]
        for one in after  # type: ignore[union-attr]
    ]


def test_impact__at_a_price_off_the_mark__shows_in_the_mark_to_market() -> None:
    cheap, dear = (judge(ACCOUNT, [parse_trade(f"+2 {PUT} @ {price}")]) for price in (4_000, 4_500))
    assert cheap.after.initial == dear.after.initial
    gap = 2 * 500 + (cheap.fee - dear.fee) * -1
    assert cheap.after.mark_to_market - dear.after.mark_to_market == pytest.approx(gap)


def test_bundle__that_only_fits_together__does_not_fit_one_by_one() -> None:
    portfolio = replace(ACCOUNT, cash=10_000.0, options=(), futures=(), orders=(), protections={}, collaterals=())
    trades = [parse_trade(f"-2 {PUT} @ 4500"), parse_trade("2 BTC_USDC-27MAR26-89000-P @ 4150")]
    assert judge(portfolio, trades).fits
    steps = judge_one_by_one(portfolio, trades)
    assert not steps[0].fits
    assert steps[0].refusal.startswith("MARGIN_INITIAL_SHORT")
    assert steps[1].before.initial == steps[0].before.initial


def test_published_model__takes_what_it_has_margin_for() -> None:
    portfolio = replace(read(document()), futures=())
    assert judge(portfolio, [parse_trade(f"0.1 {PUT}")], "deribit-pm").fits
    far = judge(portfolio, [parse_trade(f"-200 {PUT}")], "derive-pm2")
    assert far.refusal.startswith("initial margin is short by")
    with pytest.raises(InputError, match="model: 'span' is none of"):
        judge(portfolio, [], "span")


@pytest.mark.parametrize("lots", [40, 6_000])
def test_impact__equals_what_the_exchange_then_does(lots: int) -> None:
    market = Market(2, deposits={0: ((0, 10_000_000 * USD),), 1: ((0, 200_000 * USD),)})
    option = market.option(place=3)
    ticks = market.mark_ticks(option) + 20
    name = next(one.name for number, one in _instruments(market) if number == option)
    impact = judge(read(document_of(market, 1)), [parse_trade(f"-{lots / 100} {name} @ {ticks}")])
    market.do(0, PlaceOrder(option, BUY, ticks, lots))
    receipt = market.do(1, PlaceOrder(option, 1 - BUY, ticks, lots, TimeInForce.FILL_OR_KILL))
    assert (receipt.code == 0) == impact.fits
    if impact.fits:
        need = market.need(1)
        # A block passes meanwhile, which wears off a minute's variance.
        assert impact.after.mark_to_market == pytest.approx(need.equity_atoms / USD, rel=1e-4)
        assert impact.after.initial == pytest.approx(need.initial_atoms / USD, rel=1e-3)


def _instruments(market: Market) -> list[tuple[int, Instrument]]:
    return market.draft[INSTRUMENTS].items()
