"""Whether the exchange would take an end state: its own check of initial margin, and its own fees."""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from holdfast.primitives.reject import RejectedError
from holdfast.protocol.instruments.params import DEFAULT_SPECS, E8_PER_ATOM
from holdfast.protocol.margin import rules
from holdfast.protocol.surface.state import RISK_ARRAY
from holdfast.protocol.trading.params import TRADING_PARAMS
from holdfast.protocol.trading.rules import compute_fee_atoms
from holdfast.risk.holdfast import amounts
from holdfast.risk.holdfast.account import ACCOUNT_ID, Account, open_account
from holdfast.risk.holdfast.market import Contract
from holdfast.risk.holdfast.model import tell
from holdfast.risk.portfolio import Portfolio
from holdfast.risk.result import MarginResult


class Fill(NamedTuple):
    """Signed coins of a contract at a price in USD, or at the mark, and the row that an error names."""

    row: str
    contract: Contract
    amount: float
    price: float | None


class Judgement(NamedTuple):
    """The margins before and after, the fee in USD, why the exchange refuses (nothing where it does not), the end."""

    before: MarginResult
    after: MarginResult
    fee: float
    refusal: str
    portfolio: Portfolio


def judge_fills(before: Portfolio, after: Portfolio, fills: Iterable[Fill]) -> Judgement:
    """Judge what fills have made of a portfolio, once a taker's fees are paid.

    Refuses: amounts that are no lots, prices that are no ticks, and whatever the exchange would not hold.
    """
    # A fill is judged before what it makes of a position, so that an error names the fill.
    counted = [(fill, *_count(fill)) for fill in fills]
    first, unpaid = open_account(before), open_account(after)
    fee = amounts.to_usd(sum(_count_fee((unpaid, first), *one) for one in counted))
    paid = replace(after, cash=after.cash - fee)
    last = open_account(paid)
    try:
        rules.check_initial(last.draft, ACCOUNT_ID, (first.risk, first.cash_atoms), last.risk)
        refusal = ""
    except RejectedError as rejected:
        refusal = str(rejected)
    return Judgement(tell(first), tell(last), fee, refusal, paid)


def _count(fill: Fill) -> tuple[int, int | None]:
    """Return a fill's lots, and its price in atoms a lot where it has one."""
    underlying = amounts.get_underlying(fill.contract.underlying, fill.row)
    lots = abs(amounts.count_lots(fill.amount, underlying, fill.row))
    if fill.price is None:
        return lots, None
    spec = DEFAULT_SPECS[underlying]
    ticks = amounts.count_ticks(fill.price, underlying, fill.row)
    return lots, ticks * spec.tick_e8 * spec.lot_e8 // E8_PER_ATOM


def _count_fee(accounts: tuple[Account, ...], fill: Fill, lots: int, price_atoms: int | None) -> int:
    # What has been closed is in the account before alone.
    account = next(one for one in accounts if fill.contract in one.market.ids)
    array = account.draft[RISK_ARRAY][0]
    line = array.lines[account.market.ids[fill.contract]]
    value = line.value_atoms if price_atoms is None else price_atoms
    params = account.draft[TRADING_PARAMS][0]
    return compute_fee_atoms(params, array, line, lots, lots * value, params.taker_ppm)
