"""How a liquidation ends: cured, or closed with its deficit placed."""

from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.primitives.units import PPM, div_ceil, div_floor, share_floor
from holdfast.protocol.accounts.state import INSURANCE_FUND
from holdfast.protocol.collateral.params import COINS, COLLATERAL
from holdfast.protocol.collateral.rules import compute_sale_atoms
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import USDC
from holdfast.protocol.liquidation import rules
from holdfast.protocol.liquidation.messages import (
    ClosedAtMark,
    CoinsSeized,
    DeficitCovered,
    Ended,
    Haircut,
    LiquidationEnded,
)
from holdfast.protocol.liquidation.params import LIQUIDATION_PARAMS
from holdfast.protocol.liquidation.state import LIQUIDATIONS, SOCIALISED, Socialised
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.params import MARGIN_PARAMS
from holdfast.protocol.margin.rules import compute_day_profit_atoms, compute_equity_atoms
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
    """Close what nobody took: every position at mark, the coins, then the deficit; the liquidation ends if that can be.

    Where even the winners' equity does not cover a deficit, the account waits in the queue until the fund can.
    """
    events: list[Record] = []
    for instrument_id in portfolio.get_holdings(draft, account_id):
        events.extend(_close_at_mark(draft, account_id, instrument_id))
    events.extend(_sell_coins(draft, account_id))
    met = {event.account_id: True for event in events if isinstance(event, ClosedAtMark)}
    events.extend(_cover_deficit(draft, account_id, met))
    return (*events, *end_if_done(draft, account_id, Ended.CLOSED))


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


def _sell_coins(draft: Draft, account_id: int) -> tuple[Record, ...]:
    """Sell coins to the fund at their worth after haircut, as far as the account owes and the fund can pay."""
    array = draft[RISK_ARRAY][0]
    events: list[Record] = []
    for asset_id in COINS:
        owed = -ledger.get_cash(draft, account_id)
        amount = ledger.get_balance(draft, account_id, asset_id)
        price = array.prices_e8.get(asset_id, 0)
        if owed <= 0 or amount <= 0 or price <= 0:
            continue
        asset = draft[COLLATERAL][asset_id]
        worth = compute_sale_atoms(asset, asset_id, amount, price)
        payable = min(owed, max(0, ledger.get_cash(draft, INSURANCE_FUND)))
        sold = amount if worth <= payable else div_floor(amount * payable, worth)
        value = compute_sale_atoms(asset, asset_id, sold, price)
        if sold == 0 or value == 0:
            continue
        ledger.move(draft, account_id, INSURANCE_FUND, asset_id, sold)
        ledger.move(draft, INSURANCE_FUND, account_id, USDC, value)
        events.append(CoinsSeized(account_id, INSURANCE_FUND, asset_id, sold, value))
    if events:
        margin.refresh_collateral(draft, account_id)
    return tuple(events)


def _cover_deficit(draft: Draft, account_id: int, met: dict[int, bool]) -> tuple[Record, ...]:
    """Pay what an account without positions owes beyond its coins: the fund first, then the day's winners.

    `met` are the accounts that its positions have just been closed against.
    """
    if portfolio.get_holdings(draft, account_id):
        return ()
    deficit = -margin.get_requirement(draft, account_id).equity_atoms
    if deficit <= 0:
        return ()
    fund = max(0, ledger.get_cash(draft, INSURANCE_FUND))
    from_fund = min(deficit, share_floor(fund, draft[LIQUIDATION_PARAMS][0].fund_cap_ppm))
    ledger.move(draft, INSURANCE_FUND, account_id, USDC, from_fund)
    taken: list[Record] = []
    missing = deficit - from_fund
    for weights in _list_winners(draft, account_id, met):
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


def _list_winners(
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
        equity = compute_equity_atoms(draft, holder_id, margin.get_risk(draft, holder_id))
        profit = compute_day_profit_atoms(draft, holder_id, equity)
        if profit:
            profits.append((holder_id, profit))
        if equity > profit and (holder_id in met or portfolio.get_holdings(draft, holder_id)):
            equities.append((holder_id, equity - profit))
    ensure(all(weight > 0 for _, weight in profits), "only winners are listed as winners")
    return profits, equities
