"""How a liquidation ends: cured, or closed with its debt placed. What cannot be placed becomes the fund's debt."""

from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.primitives.units import PPM, div_ceil, share_floor
from holdfast.protocol.accounts.state import FUND_DEBT, INSURANCE_FUND
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import USDC
from holdfast.protocol.liquidation import rules
from holdfast.protocol.liquidation.handlers import coins
from holdfast.protocol.liquidation.messages import (
    ClosedAtMark,
    DeficitCovered,
    Ended,
    FundDebtChanged,
    Haircut,
    LiquidationEnded,
)
from holdfast.protocol.liquidation.params import LIQUIDATION_PARAMS
from holdfast.protocol.liquidation.state import LIQUIDATIONS, SOCIALISED, Socialised
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.params import MARGIN_PARAMS
from holdfast.protocol.margin.rules import compute_day_profit_atoms
from holdfast.protocol.margin.state import DAY_STARTS, FROZEN
from holdfast.protocol.portfolio import handlers as portfolio
from holdfast.protocol.surface.state import RISK_ARRAY
from holdfast.state.draft import Draft


def end_if_done(draft: Draft, account_id: int, how: Ended) -> tuple[Record, ...]:
    """End a liquidation whose account stands at its buffer, or has nothing left and owes nothing."""
    need = margin.get_requirement(draft, account_id)
    buffer = div_ceil(need.maintenance_atoms * draft[MARGIN_PARAMS][0].buffer_ppm, PPM)
    if need.equity_atoms < buffer:
        return ()
    draft[LIQUIDATIONS].delete(account_id)
    draft[FROZEN].delete(account_id)
    return (LiquidationEnded(account_id, how),)


def close_account(draft: Draft, account_id: int) -> tuple[Record, ...]:
    """Close what nobody took: every position at mark, then the coins that a debt needs, then the debt. It always ends.

    The fund buys coins as far as its cash goes; who bears the deficit takes the others for cash that it can spare. What
    nobody can bear becomes the fund's debt, its coins the fund's.
    """
    events: list[Record] = []
    for instrument_id in portfolio.get_holdings(draft, account_id):
        events.extend(_close_at_mark(draft, account_id, instrument_id))
    met = {event.account_id: True for event in events if isinstance(event, ClosedAtMark)}
    events.extend(coins.sell_to_fund(draft, account_id, INSURANCE_FUND))
    events.extend(_cover_deficit(draft, account_id, met))
    if ledger.get_cash(draft, account_id) < 0:
        events.extend(coins.hand_over(draft, account_id, _list_bearers(draft, account_id, met)))
        events.extend(_assume_debt(draft, account_id))
    draft[LIQUIDATIONS].delete(account_id)
    draft[FROZEN].delete(account_id)
    return (*events, LiquidationEnded(account_id, Ended.CLOSED))


def repay_debt(draft: Draft) -> tuple[Record, ...]:
    """Pay what the fund owes out of its cash, at most the share that one deficit may take at once. Rounds: down."""
    owed = -ledger.get_cash(draft, FUND_DEBT)
    cash = max(0, ledger.get_cash(draft, INSURANCE_FUND))
    paid = min(owed, share_floor(cash, draft[LIQUIDATION_PARAMS][0].fund_cap_ppm))
    if paid <= 0:
        return ()
    ledger.move(draft, INSURANCE_FUND, FUND_DEBT, USDC, paid)
    return (FundDebtChanged(INSURANCE_FUND, -paid, owed - paid),)


def _close_at_mark(draft: Draft, account_id: int, instrument_id: int) -> tuple[Record, ...]:
    """Close a position against the other side, pro rata by largest remainder, at mark."""
    line = draft[RISK_ARRAY][0].lines[instrument_id]
    lots = portfolio.get_lots(draft, account_id, instrument_id)
    others = [
        (holder_id, abs(held))
        for holder_id in portfolio.get_holders(draft, instrument_id)
        for held in (portfolio.get_lots(draft, holder_id, instrument_id),)
        if (held > 0) != (lots > 0)
    ]
    events: list[Record] = [ClosedAtMark(account_id, instrument_id, lots)]
    sign = 1 if lots > 0 else -1
    for holder_id, share in rules.share_out(abs(lots), others):
        value = sign * share * line.value_atoms
        margin.change_position(draft, account_id, instrument_id, -sign * share, -value)
        margin.change_position(draft, holder_id, instrument_id, sign * share, value)
        if not line.is_future:
            ledger.move(draft, holder_id, account_id, USDC, value)
        events.append(ClosedAtMark(holder_id, instrument_id, -sign * share))
    return tuple(events)


def _cover_deficit(draft: Draft, account_id: int, met: dict[int, bool]) -> tuple[Record, ...]:
    """Pay what an account without positions owes beyond its coins: the fund first, then the day's winners.

    `met` are the accounts that its positions have just been closed against.
    """
    ensure(not portfolio.get_holdings(draft, account_id), "a closed account holds nothing")
    deficit = -ledger.get_cash(draft, account_id) - coins.compute_worth_atoms(draft, account_id)
    if deficit <= 0:
        return ()
    fund = max(0, ledger.get_cash(draft, INSURANCE_FUND))
    from_fund = min(deficit, share_floor(fund, draft[LIQUIDATION_PARAMS][0].fund_cap_ppm))
    ledger.move(draft, INSURANCE_FUND, account_id, USDC, from_fund)
    taken: list[Record] = []
    missing = deficit - from_fund
    for weights in _list_bearers(draft, account_id, met) if missing else ():
        part = min(missing, sum(weight for _, weight in weights))
        for holder_id, share in rules.share_out(part, weights):
            ledger.move(draft, holder_id, account_id, USDC, share)
            taken.append(Haircut(holder_id, share))
        missing -= part
    haircut = deficit - from_fund - missing
    if haircut:
        before = draft[SOCIALISED].get(0) or Socialised(0, 0)
        draft[SOCIALISED].put(0, Socialised(before.atoms + haircut, before.times + 1))
    return (DeficitCovered(account_id, from_fund, haircut), *taken)


def _assume_debt(draft: Draft, account_id: int) -> tuple[Record, ...]:
    """Let the fund take what nobody could: the coins that the debt needs, and the debt, to be paid from its income."""
    before = -ledger.get_cash(draft, FUND_DEBT)
    events = coins.sell_to_fund(draft, account_id, FUND_DEBT)
    ledger.move(draft, FUND_DEBT, account_id, USDC, max(0, -ledger.get_cash(draft, account_id)))
    debt = -ledger.get_cash(draft, FUND_DEBT)
    return (*events, FundDebtChanged(account_id, debt - before, debt)) if debt > before else events


def _list_bearers(
    draft: Draft, account_id: int, met: dict[int, bool]
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return who bears a loss, with how much at most: the day's profits, then the equity of who holds positions.

    Who has just been closed out against the loser still counts as holding, or an old profit would bear nothing.

    Nobody who has held cash and coins alone since the day began ever pays for the risk of others.
    """
    profits: list[tuple[int, int]] = []
    equities: list[tuple[int, int]] = []
    for holder_id, day in draft[DAY_STARTS].items():
        if not day.has_held or holder_id == account_id or holder_id in draft[FROZEN]:
            continue
        equity = margin.get_equity_atoms(draft, holder_id)
        profit = compute_day_profit_atoms(draft, holder_id, equity)
        if profit:
            profits.append((holder_id, profit))
        if equity > profit and (holder_id in met or portfolio.get_holdings(draft, holder_id)):
            equities.append((holder_id, equity - profit))
    ensure(all(weight > 0 for _, weight in profits), "only winners are listed as winners")
    return profits, equities
