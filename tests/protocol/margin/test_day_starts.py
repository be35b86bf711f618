"""The start of a day: what every account is worth then, and whether it holds anything."""

from holdfast.primitives.units import DAY_MS, HOUR_MS
from holdfast.protocol import rebuild
from holdfast.protocol.accounts.state import BACKSTOP, INSURANCE_FUND
from holdfast.protocol.block import BlockContext
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import USDC
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.state import DAY, DAY_STARTS, DayStart
from holdfast.protocol.portfolio.handlers import get_holdings
from holdfast.protocol.trading.messages import PlaceOrder
from holdfast.state.draft import Draft
from tests.support.exchange import BTC, BUY, USD, Market

DEPOSITS = {
    0: ((USDC, 10**6 * USD), (BTC, 10**8)),
    1: ((USDC, 10**6 * USD),),
    2: ((BTC, 3 * 10**7),),
    3: ((USDC, 5 * USD),),
    4: ((USDC, 10**6 * USD),),
}


def start_next_day(draft: Draft, market: Market) -> None:
    time_ms = (draft[DAY][0] + 1) * DAY_MS + 9 * HOUR_MS
    margin.start_day(draft, BlockContext(market.solo.height + 1, time_ms, time_ms - 1, 0))


def test_day__starts__with_the_equity_of_every_account_that_has_anything() -> None:
    market = Market(5, deposits=DEPOSITS)
    market.trade(0, 1, market.future(), 50)
    market.do(4, PlaceOrder(market.future(), BUY, 100_000, 1))
    market.run(1)
    draft = market.draft
    ledger.move(draft, market.id(3), market.id(4), USDC, 5 * USD)
    rebuild.refresh_columns(draft)
    margin.revalue(draft)
    start_next_day(draft, market)
    having = [BACKSTOP, *(market.id(index) for index in (0, 1, 2, 4))]
    assert draft[DAY_STARTS].as_dict() == {
        account_id: DayStart(
            margin.get_requirement(draft, account_id).equity_atoms, 0, bool(get_holdings(draft, account_id))
        )
        for account_id in having
    }
    assert INSURANCE_FUND not in draft[DAY_STARTS]


def test_day__of_an_account_that_has_done_nothing__writes_no_row() -> None:
    market = Market(5, deposits=DEPOSITS)
    market.run(1)
    draft = market.draft
    start_next_day(draft, market)
    written = draft[DAY_STARTS].changes()
    assert market.id(1) not in written
    assert draft[DAY_STARTS][market.id(1)] == DayStart(10**6 * USD, 0, has_held=False)
