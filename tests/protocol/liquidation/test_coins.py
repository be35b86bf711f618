"""Coins beside a debt: who takes them, at what price, and that a liquidation ends whoever can pay."""

import pytest

from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.codec import Record
from holdfast.protocol.accounts.state import FUND_DEBT, INSURANCE_FUND, TREASURY
from holdfast.protocol.block import BlockContext
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.limits import COIN_TAKERS_MAX
from holdfast.protocol.liquidation.handlers import queue
from holdfast.protocol.liquidation.handlers.ending import repay_debt
from holdfast.protocol.liquidation.messages import (
    CoinsSeized,
    DeficitCovered,
    Ended,
    FundDebtChanged,
    Haircut,
    LiquidationEnded,
    LiquidationStarted,
)
from holdfast.protocol.liquidation.params import LIQUIDATION_PARAMS, LiquidationParams
from holdfast.protocol.liquidation.state import LIQUIDATIONS
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.state import DAY_STARTS, FROZEN
from tests.support.closing import COIN, Closing
from tests.support.exchange import BTC, ETH, USD, USDT, Market

# What one bitcoin sells for at 120,000 USD and a haircut of 7 %.
WORTH = 111_600 * USD
# Start, hedge, two steps of the auction, and its end.
BLOCKS_MAX = 6


@pytest.fixture(scope="module")
def market() -> Market:
    """Account 0 has one bitcoin and the dollar that it then owes; the others have a million dollars."""
    return Market(5, deposits={0: ((BTC, COIN),)})


@pytest.fixture
def case(market: Market) -> Closing:
    return Closing(market)


def test_debt_below_the_coins_worth__goes_to_the_winner_who_pays_it_in_full(case: Closing) -> None:
    case.win(1, WORTH // 2)
    before = case.equity(1)
    assert case.close() == (
        CoinsSeized(case.loser, case.market.id(1), BTC, COIN // 2, WORTH // 2),
        LiquidationEnded(case.loser, Ended.CLOSED),
    )
    assert (case.cash(case.loser), case.coins(case.loser)) == (0, COIN // 2)
    assert (case.cash(case.market.id(1)), case.equity(1)) == (1_000_000 * USD, before)


def test_debt_above_the_coins_worth__costs_the_winner_what_the_coins_are_not_worth(case: Closing) -> None:
    case.win(1, WORTH + 30_000 * USD)
    before = case.equity(1)
    assert case.close() == (
        DeficitCovered(case.loser, 0, 30_000 * USD),
        Haircut(case.market.id(1), 30_000 * USD),
        CoinsSeized(case.loser, case.market.id(1), BTC, COIN, WORTH),
        LiquidationEnded(case.loser, Ended.CLOSED),
    )
    assert (case.cash(case.loser), case.coins(case.loser)) == (0, 0)
    assert case.equity(1) == before - 30_000 * USD
    assert case.cash(FUND_DEBT) == 0


def test_fund__with_cash_for_a_part__buys_that_and_the_winner_the_rest(case: Closing) -> None:
    case.set_fund(WORTH // 4)
    case.win(1, WORTH // 2)
    case.close()
    assert (case.cash(INSURANCE_FUND), case.coins(INSURANCE_FUND)) == (0, COIN // 4)
    assert (case.coins(case.market.id(1)), case.coins(case.loser)) == (COIN // 4, COIN // 2)


def test_fund__with_cash_enough__buys_all_that_the_debt_needs(case: Closing) -> None:
    case.set_fund(WORTH)
    case.win(1, WORTH // 2 + 1)
    case.close()
    # A coin's atom more than half, since half a coin is an atom of cash too little.
    assert (case.coins(INSURANCE_FUND), case.coins(case.market.id(1))) == (COIN // 2 + 1, 0)
    assert 0 <= case.cash(case.loser) < WORTH // COIN


def test_winners__several__share_by_profit_to_the_coins_atom(case: Closing) -> None:
    for index, thousands in ((1, 60), (2, 30), (3, 10)):
        case.win(index, thousands * 1_000 * USD)
    before = [case.equity(index) for index in (1, 2, 3)]
    case.close()
    # 100,000 USD of 111,600 are 0.89605735 coins, rounded up; each winner's part of them is rounded down.
    taken = [case.coins(case.market.id(index)) for index in (1, 2, 3)]
    assert taken == [53_763_440, 26_881_720, 8_960_573]
    assert [case.equity(index) for index in (1, 2, 3)] == before
    assert (case.coins(case.loser), case.coins(INSURANCE_FUND)) == (COIN - 89_605_735, 2)
    assert case.coins(case.market.id(4)) == 0


def test_winners__more_than_may_be_asked__those_with_the_largest_profit_take_all() -> None:
    last = COIN_TAKERS_MAX + 3
    case = Closing(Market(last + 1, deposits={0: ((BTC, COIN),)}))
    for index in range(1, last + 1):
        case.win(index, 1_000 * USD + (index == last))
    case.close()
    takers = [index for index in range(1, last + 1) if case.coins(case.market.id(index))]
    assert takers == [*range(1, COIN_TAKERS_MAX), last]
    assert case.coins(INSURANCE_FUND) > 0


def test_winner__whose_cash_its_margin_needs__takes_none_and_the_fund_takes_them_on_credit(case: Closing) -> None:
    case.win(1, WORTH // 2)
    # It owes all its cash and more against coins, so that it has none to pay with.
    ledger.move(case.draft, case.market.id(1), TREASURY, 0, 1_000_000 * USD + WORTH // 2)
    ledger.deposit(case.draft, case.market.id(1), ETH, 1_000 * COIN)
    margin.refresh_collateral(case.draft, case.market.id(1))
    events = case.close()
    assert events[:-1] == (
        CoinsSeized(case.loser, INSURANCE_FUND, BTC, COIN // 2, WORTH // 2),
        FundDebtChanged(case.loser, WORTH // 2, WORTH // 2),
    )
    assert (case.cash(FUND_DEBT), case.cash(case.loser)) == (-WORTH // 2, 0)


def test_winner__at_its_cap_of_a_coin__takes_none_that_would_not_count(case: Closing) -> None:
    ledger.move(case.draft, case.loser, TREASURY, BTC, COIN)
    ledger.deposit(case.draft, case.loser, USDT, 100_000 * USD)
    ledger.deposit(case.draft, case.market.id(1), USDT, 10_000_000 * USD - 40_000 * USD)
    for account_id in (case.loser, case.market.id(1)):
        margin.refresh_collateral(case.draft, account_id)
    case.win(1, 96_999 * USD)
    case.win(2, USD)
    before = case.equity(1)
    case.close()
    assert case.coins(case.market.id(1), USDT) == 10_000_000 * USD
    assert case.equity(1) == before
    assert case.coins(INSURANCE_FUND, USDT) == 60_000 * USD - case.coins(case.market.id(2), USDT)


def test_winner__takes_no_more_than_its_equity_beyond_initial_margin_pays_for() -> None:
    market = Market(5, deposits={0: ((BTC, COIN),)})
    market.trade(1, 2, market.future(), 300)
    case = Closing(market)
    winner, spare = market.id(1), 10_000 * USD
    case.win(1, WORTH)
    # The other side of its future is in liquidation too, so that nobody else is asked.
    case.draft[FROZEN].put(market.id(2), 1)
    need = case.need(1)
    ledger.move(case.draft, winner, TREASURY, 0, need.equity_atoms - need.initial_atoms - spare)
    assert need.maintenance_atoms < need.initial_atoms - spare
    case.close()
    assert case.coins(winner) == COIN * spare // WORTH
    assert case.equity(1) >= case.need(1).initial_atoms


def test_deficit__beyond_the_days_profits__falls_on_what_else_holders_of_positions_have() -> None:
    market = Market(5, deposits={0: ((BTC, COIN),)})
    market.trade(1, 2, market.future(), 300)
    case = Closing(market)
    one, other = market.id(1), market.id(2)
    case.win(1, WORTH + 300_000 * USD)
    start, equity = case.draft[DAY_STARTS][one].equity_atoms, case.equity(1)
    profit = equity - start
    beyond = 200_001 * USD
    ledger.move(case.draft, case.loser, TREASURY, 0, profit + beyond - 300_000 * USD)
    weights = {one: start, other: case.equity(2)}
    haircuts = [event for event in case.close() if isinstance(event, Haircut)]
    assert haircuts[0] == Haircut(one, profit)
    assert [event.account_id for event in haircuts[1:]] == [one, other]
    assert sum(event.amount_atoms for event in haircuts[1:]) == beyond
    for event in haircuts[1:]:
        share = beyond * weights[event.account_id] // sum(weights.values())
        assert share <= event.amount_atoms <= share + 1


def test_holder__whom_a_haircut_leaves_under_maintenance__is_queued_in_the_same_block() -> None:
    market = Market(3, deposits={0: ((BTC, COIN),)}, genesis={"backstop_atoms": 0, "insurance_atoms": 0})
    market.trade(1, 2, market.future(), 300)
    case = Closing(market)
    case.draft[FROZEN].put(market.id(2), 1)
    need = case.need(1)
    ledger.move(case.draft, market.id(1), TREASURY, 0, need.equity_atoms - need.maintenance_atoms - USD)
    ledger.move(case.draft, case.loser, TREASURY, 0, WORTH + 2 * USD)
    case.queue()
    events = queue.sweep(case.draft, BlockContext(market.solo.height + 1, market.solo.time_ms + 1, 0, 0))
    assert Haircut(market.id(1), 2 * USD) in events
    assert [event.account_id for event in events if isinstance(event, LiquidationStarted)] == [market.id(1)]


def test_bystander__with_cash_and_no_position__is_never_asked(case: Closing) -> None:
    ledger.move(case.draft, case.loser, TREASURY, 0, WORTH // 2)
    case.close()
    assert all(case.cash(case.market.id(index)) == 1_000_000 * USD for index in range(1, 5))
    assert (case.coins(INSURANCE_FUND), case.cash(FUND_DEBT)) == (COIN // 2, -WORTH // 2)


def test_deficit__that_nobody_can_bear__becomes_the_funds_debt_and_is_paid_from_its_income(case: Closing) -> None:
    ledger.move(case.draft, case.loser, TREASURY, 0, WORTH + 500 * USD)
    case.draft[LIQUIDATION_PARAMS].put(0, LiquidationParams(fund_cap_ppm=500_000))
    case.close()
    owed = WORTH + 500 * USD
    assert (case.cash(FUND_DEBT), case.cash(case.loser), case.coins(INSURANCE_FUND)) == (-owed, 0, COIN)
    assert repay_debt(case.draft) == ()
    case.set_fund(1_001)
    assert repay_debt(case.draft) == (FundDebtChanged(INSURANCE_FUND, -500, owed - 500),)
    case.set_fund(4 * owed)
    assert repay_debt(case.draft) == (FundDebtChanged(INSURANCE_FUND, 500 - owed, 0),)
    assert (case.cash(INSURANCE_FUND), case.cash(FUND_DEBT)) == (3 * owed + 500, 0)


def test_closing__that_adds_nothing_to_a_debt_of_before__does_not_tell_of_it(case: Closing) -> None:
    ledger.move(case.draft, FUND_DEBT, TREASURY, 0, 7)
    case.win(1, WORTH // 2)
    assert not any(isinstance(event, FundDebtChanged) for event in case.close())
    assert case.cash(FUND_DEBT) == -7


def futures_on_coins(*, fund: int = 0) -> Market:
    """A market whose account 0 is long of futures on coins alone, against account 1, without backstop or bidder."""
    rich = ((0, 5_000_000 * USD),)
    market = Market(
        4,
        deposits={0: ((BTC, COIN),), 1: rich, 2: rich, 3: rich},
        genesis={
            "insurance_atoms": fund,
            "backstop_atoms": 0,
            "liquidation_params": LiquidationParams(auction_steps=2),
        },
    )
    market.trade(0, 1, market.future(place=3), 300)
    return market


def until_ended(market: Market, price: int) -> list[Record]:
    """Let BTC fall, and make blocks until no liquidation is left, as many as one may take."""
    market.solo.prices[BTC] = price * 10**8
    events = market.run(4)
    for _ in range(BLOCKS_MAX):
        if not market.draft[LIQUIDATIONS].keys():
            return events
        events.extend(market.run(1))
    raise AssertionError("a liquidation ends within its blocks")


@pytest.mark.parametrize("price", [100_000, 80_000, 60_000])
@pytest.mark.parametrize("fund", [0, 1_000 * USD])
def test_liquidation__with_coins_and_a_drained_fund__ends_with_the_coins_at_who_won(price: int, fund: int) -> None:
    market = futures_on_coins(fund=fund)
    events = until_ended(market, price)
    assert LiquidationEnded(market.id(0), Ended.CLOSED) in events
    takers = {event.to_account_id for event in events if isinstance(event, CoinsSeized)}
    assert market.id(1) in takers
    assert takers <= {market.id(1), INSURANCE_FUND}
    assert market.cash(0) >= 0
    assert ledger.get_cash(market.draft, FUND_DEBT) == 0
    assert market.cash(2) == market.cash(3) == 5_000_000 * USD


def test_liquidation__that_waits_instead_of_ending__halts(monkeypatch: pytest.MonkeyPatch) -> None:
    market = futures_on_coins()
    monkeypatch.setattr(queue, "close_account", lambda _draft, _account_id: ())
    with pytest.raises(BrokenInvariantError, match="LIQUIDATIONS_GO_ON: the liquidation of account 1000 goes on"):
        until_ended(market, 100_000)
