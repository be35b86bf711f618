"""Keeping every account's risk current: all of it when marks move, one account's part when it trades."""

from typing import Final

import numpy as np
from msgspec.structs import replace

from holdfast.primitives.arrays import share_floor
from holdfast.primitives.check import ensure
from holdfast.primitives.units import DAY_MS, HOUR_MS, PPM, div_floor
from holdfast.protocol.accounts.state import CLEARING_BASE, PAGE_BITS
from holdfast.protocol.block import BlockContext
from holdfast.protocol.book import handlers as book
from holdfast.protocol.book.state import FLAG_QUOTE, Order, Side
from holdfast.protocol.collateral import rules as collateral
from holdfast.protocol.collateral.params import COINS, COLLATERAL
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import BALANCES, CASH_PAGES, USDC
from holdfast.protocol.limits import ACCOUNT_LOTS_MAX
from holdfast.protocol.margin import rules
from holdfast.protocol.margin.params import MARGIN_PARAMS, UNIVERSE_INDEX, check
from holdfast.protocol.margin.rules.coins import get_collateral_shocks
from holdfast.protocol.margin.state import (
    CHARGE_SCALES,
    CHARGES,
    DAY,
    DAY_STARTS,
    FROZEN,
    RISK,
    RISK_MATRIX,
    AccountRisk,
    DayStart,
    OrderChange,
    PositionChange,
    Requirement,
    RiskMatrix,
    Tally,
)
from holdfast.protocol.oracle.rules import get_degraded
from holdfast.protocol.portfolio import handlers as portfolio
from holdfast.protocol.portfolio.state import POSITIONS
from holdfast.protocol.surface.state import RISK_ARRAY, RiskLine
from holdfast.state.draft import Draft

# Bound once: a look-up of an enumeration's member costs more than the comparison that it is for.
_BUY = Side.BUY
# Changes that a tally holds before it is added up.
TALLY_CHANGES_MAX: Final = 256
_NEW_DAY = DayStart(0, 0, has_held=False)


def revalue(draft: Draft) -> None:
    """Take this block's marks into every account's risk."""
    array = draft[RISK_ARRAY].get(0)
    scales_ppm = dict(draft[CHARGE_SCALES].items())
    draft[CHARGES].put(0, rules.compute_charges(draft[MARGIN_PARAMS][0], array, get_degraded(draft), scales_ppm))
    for account_id in list(draft[RISK].keys()):
        draft[RISK].delete(account_id)
    if array is not None:
        before = draft[RISK_MATRIX].get(0)
        kept = {} if before is None else before.places.sheets
        draft[RISK_MATRIX].put(
            0, rules.compute_matrix(draft, array, draft[CHARGES][0], rules.read_sources(draft), kept)
        )


def set_charge_scale(draft: Draft, underlying: int, scale_ppm: int) -> None:
    """Write what open interest multiplies an underlying's charges by; risk follows when it is next revalued."""
    ensure(scale_ppm >= PPM, "open interest never lowers a charge")
    draft[CHARGE_SCALES].put(underlying, scale_ppm)


def set_cross_weight(draft: Draft, weight_ppm: int) -> None:
    """Write what opposed scenarios weigh; risk follows when it is next revalued."""
    after = replace(draft[MARGIN_PARAMS][0], cross_weight_ppm=weight_ppm)
    check(after)
    draft[MARGIN_PARAMS].put(0, after)


def get_risk(draft: Draft, account_id: int) -> AccountRisk:
    """Return an account's risk as of now in this block, added up."""
    tally = _get_tally(draft, account_id)
    if tally.risk is not None and not tally.changes:
        return tally.risk
    risk = rules.add_up(tally, draft[RISK_MATRIX].get(0), account_id)
    if tally.changes:
        draft[RISK].put(account_id, Tally(risk, (), tally.need_atoms, tally.lots))
    return risk


def get_equity_atoms(draft: Draft, account_id: int) -> int:
    """Return an account's equity as of now; the risk of one that nothing has touched is not added up for it."""
    if account_id in draft[RISK]:
        return rules.compute_equity_atoms(draft, account_id, get_risk(draft, account_id))
    cash, matrix = ledger.get_cash(draft, account_id), draft[RISK_MATRIX].get(0)
    place = None if matrix is None else matrix.places.get(account_id)
    if matrix is None or place is None:
        return cash
    return cash + int(matrix.marks_atoms[place]) + int(matrix.collateral_atoms[place])


def is_covered(draft: Draft, account_id: int) -> bool:
    """Return whether an account's cash surely meets its initial margin, and so its maintenance; False tells nothing."""
    tally = _get_tally(draft, account_id)
    cash = ledger.get_cash(draft, account_id)
    return cash >= 0 and cash >= tally.need_atoms and tally.lots <= ACCOUNT_LOTS_MAX


def get_requirement(draft: Draft, account_id: int) -> Requirement:
    """Return an account's equity, initial and maintenance margin as of now."""
    return rules.compute_requirement(draft, account_id, get_risk(draft, account_id))


def remember(draft: Draft, account_id: int) -> tuple[Tally, int]:
    """Return what `check_initial` compares with: an account's risk and cash before a command."""
    return _get_tally(draft, account_id), ledger.get_cash(draft, account_id)


def check_initial(draft: Draft, account_id: int, before: tuple[Tally, int]) -> None:
    """Check an account's end state. Refuses: LOTS_TOO_MANY, MARGIN_INITIAL_SHORT, CASH_SHORT."""
    if is_covered(draft, account_id):
        return
    risk = get_risk(draft, account_id)
    tally, cash_atoms = before
    risk_before = rules.add_up(tally, draft[RISK_MATRIX].get(0), account_id)
    rules.check_initial(draft, account_id, (risk_before, cash_atoms), risk)
    _put_risk(draft, account_id, risk)


def change_position(draft: Draft, account_id: int, instrument_id: int, lots: int, value_atoms: int) -> None:
    """Add signed lots at a signed value, in cash for an option, in cost for a future; the risk follows.

    The other side is the caller's to book with the same lots and value, negated. Refuses: POSITIONS_FULL.
    """
    line = draft[RISK_ARRAY][0].lines[instrument_id]
    lots_before = portfolio.get_lots(draft, account_id, instrument_id)
    realised = portfolio.change(draft, account_id, instrument_id, lots, value_atoms)
    note_holding(draft, account_id)
    if line.is_future:
        ledger.move(draft, CLEARING_BASE + instrument_id, account_id, USDC, realised)
    marked = lots * line.value_atoms
    gained = marked - value_atoms - realised
    change = PositionChange(line, lots, lots_before, gained if line.is_future else marked, gained)
    _keep(draft, account_id, rules.note_position(_get_tally(draft, account_id), draft[RISK_MATRIX][0], change))


def add_order(draft: Draft, order_id: int, order: Order, line: RiskLine) -> None:
    """Rest an order and count it."""
    book.add(draft, order_id, order)
    count_order(draft, order, line, order.lots)


def remove_order(draft: Draft, order_id: int) -> Order:
    """Take an order off the book and out of its account's sums."""
    order = book.remove(draft, order_id)
    count_order(draft, order, draft[RISK_ARRAY][0].lines[order.instrument_id], -order.lots)
    return order


def shrink_order(draft: Draft, order_id: int, order: Order, lots: int) -> None:
    """Leave an order with fewer lots, or take it off at none."""
    if lots == 0:
        book.remove(draft, order_id)
    else:
        book.resize(draft, order_id, order, lots)
    count_order(draft, order, draft[RISK_ARRAY][0].lines[order.instrument_id], lots - order.lots)


def count_order(draft: Draft, order: Order, line: RiskLine, lots: int) -> None:
    """Add an order's lots to its account's open-order sums, or take them out where `lots` is negative."""
    account_id = order.account_id
    change = OrderChange(
        line,
        order.price_ticks * line.tick_value_atoms,
        1 if order.side == _BUY else -1,
        lots,
        order.flags & FLAG_QUOTE != 0,
    )
    _keep(draft, account_id, rules.note_order(_get_tally(draft, account_id), draft[RISK_MATRIX][0], change))


def _keep(draft: Draft, account_id: int, tally: Tally) -> None:
    """Keep a tally; a long one is added up, so that a change never costs more than a bounded copy."""
    draft[RISK].put(account_id, tally)
    if len(tally.changes) >= TALLY_CHANGES_MAX:
        get_risk(draft, account_id)


def refresh_collateral(draft: Draft, account_id: int) -> None:
    """Take a change of an account's coins into its risk."""
    risk = get_risk(draft, account_id)
    array = draft[RISK_ARRAY].get(0)
    if array is None:
        return
    stress = _position_stress(draft, account_id)
    worth = 0
    for asset_id in COINS:
        amount = draft[BALANCES].get((account_id, asset_id)) or 0
        price = array.prices_e8.get(asset_id, 0)
        if amount and price > 0:
            value = collateral.compute_value_atoms(draft[COLLATERAL][asset_id], asset_id, amount, price)
            worth += value
            stress[UNIVERSE_INDEX[asset_id]] += share_floor(np.array(value), get_collateral_shocks(draft, asset_id))
    _put_risk(draft, account_id, risk._replace(stress=stress, collateral_atoms=worth))


def start_day(draft: Draft, block: BlockContext) -> None:
    """At the first block of a day, 08:00 UTC, note every account's equity for the haircut's measure of profit.

    Why: while a liquidation is open the old day goes on, by a day at most, or the profit that its loss was would be out
    of reach.
    """
    day = div_floor(block.time_ms - 8 * HOUR_MS, DAY_MS)
    matrix = draft[RISK_MATRIX].get(0)
    # Before the first prices nobody's equity is known; a day that began then begins with them.
    last = draft[DAY].get(0) or 0
    if matrix is None or last >= day or (last == day - 1 and draft[FROZEN].keys()):
        return
    draft[DAY].put(0, day)
    starts, rows = draft[DAY_STARTS], _list_day_starts(draft, matrix)
    for account_id in list(draft[DAY_STARTS].keys()):
        if account_id not in rows:
            starts.delete(account_id)
    # An idle account's row is that of the day before.
    starts.fill(
        {account_id: rows[account_id] for account_id in sorted(rows) if starts.get(account_id) != rows[account_id]}
    )


def _list_day_starts(draft: Draft, matrix: RiskMatrix) -> dict[int, DayStart]:
    """Return the row of every account with a balance, a position or an order: equity is cash where none has a risk."""
    rows: dict[int, DayStart] = {}
    ledger.refresh(draft)
    for page, cash in draft[CASH_PAGES].items():
        account_ids = cash.keys + (page << PAGE_BITS)
        for account_id, atoms in zip(account_ids.tolist(), cash.values[0].tolist(), strict=True):
            rows[account_id] = DayStart(atoms, 0, has_held=False)
    has_held = np.concatenate([np.diff(sheet.starts) > 0 for sheet in matrix.sheets])
    columns = (matrix.account_ids, matrix.equity_atoms, has_held)
    for account_id, equity, is_holder in zip(*(column.tolist() for column in columns), strict=True):
        rows[account_id] = DayStart(equity, 0, is_holder)
    return rows


def note_deposit(draft: Draft, account_id: int, value_atoms: int) -> None:
    """Count what an account puts in, or takes out where negative, against today's profit."""
    start = draft[DAY_STARTS].get(account_id) or _NEW_DAY
    after = DayStart(start.equity_atoms, start.net_deposits_atoms + value_atoms, start.has_held)
    draft[DAY_STARTS].put(account_id, after)


def note_holding(draft: Draft, account_id: int) -> None:
    """Note that an account has held a position this day."""
    start = draft[DAY_STARTS].get(account_id) or _NEW_DAY
    if not start.has_held:
        draft[DAY_STARTS].put(account_id, DayStart(start.equity_atoms, start.net_deposits_atoms, has_held=True))


def _position_stress(draft: Draft, account_id: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    stress = rules.EMPTY_RISK.stress.copy()
    lines = draft[RISK_ARRAY][0].lines
    for instrument_id in portfolio.get_holdings(draft, account_id):
        line: RiskLine = lines[instrument_id]
        stress[UNIVERSE_INDEX[line.underlying]] += line.row * draft[POSITIONS][account_id, instrument_id].lots
    return stress


def _get_tally(draft: Draft, account_id: int) -> Tally:
    return draft[RISK].get(account_id) or rules.open_tally(draft[RISK_MATRIX].get(0), account_id)


def _put_risk(draft: Draft, account_id: int, risk: AccountRisk) -> None:
    lots = sum(risk.gross_lots) + risk.open_lots
    draft[RISK].put(account_id, Tally(risk, (), rules.compute_need_atoms(draft, risk), lots))
