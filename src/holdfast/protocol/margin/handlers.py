"""Keeping every account's risk current: all of it when marks move, one account's part when it trades."""

import numpy as np

from holdfast.primitives.check import ensure
from holdfast.protocol.accounts.state import CLEARING_BASE
from holdfast.protocol.block import BlockContext
from holdfast.protocol.book import handlers as book
from holdfast.protocol.book.state import FLAG_QUOTE, Order, Side
from holdfast.protocol.collateral import rules as collateral
from holdfast.protocol.collateral.params import COINS, COLLATERAL
from holdfast.protocol.instruments.state import INSTRUMENTS, Instrument
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import BALANCES, USDC
from holdfast.protocol.margin import rules
from holdfast.protocol.margin.params import MARGIN_PARAMS, UNIVERSE_INDEX
from holdfast.protocol.margin.rules.matrix import compute_collateral_stress
from holdfast.protocol.margin.state import (
    CHARGES,
    DAY,
    DAY_STARTS,
    RISK,
    RISK_MATRIX,
    AccountRisk,
    DayStart,
    Requirement,
)
from holdfast.protocol.oracle.rules import get_degraded
from holdfast.protocol.portfolio import handlers as portfolio
from holdfast.protocol.portfolio.state import POSITIONS
from holdfast.protocol.surface.state import RISK_ARRAY, RiskLine
from holdfast.primitives.units import DAY_MS, HOUR_MS, div_floor
from holdfast.state.draft import Draft

_Triple = tuple[int, int, int]
_NEW_DAY = DayStart(0, 0, has_held=False)


def revalue(draft: Draft) -> None:
    """Take this block's marks into every account's risk."""
    array = draft[RISK_ARRAY].get(0)
    draft[CHARGES].put(0, rules.compute_charges(draft[MARGIN_PARAMS][0], array, get_degraded(draft)))
    for account_id in list(draft[RISK].keys()):
        draft[RISK].delete(account_id)
    if array is not None:
        draft[RISK_MATRIX].put(0, rules.compute_matrix(draft, array, draft[CHARGES][0]))


def get_risk(draft: Draft, account_id: int) -> AccountRisk:
    """Return an account's risk as of now in this block."""
    risk = draft[RISK].get(account_id)
    if risk is None:
        matrix = draft[RISK_MATRIX].get(0)
        risk = (rules.get_row(matrix, account_id) if matrix is not None else None) or rules.EMPTY_RISK
    return risk


def get_requirement(draft: Draft, account_id: int) -> Requirement:
    """Return an account's equity, initial and maintenance margin as of now."""
    return rules.compute_requirement(draft, account_id, get_risk(draft, account_id))


def remember(draft: Draft, account_id: int) -> tuple[AccountRisk, int]:
    """Return what `check_initial` compares with: an account's risk and cash before a command."""
    return get_risk(draft, account_id), ledger.get_cash(draft, account_id)


def check_initial(draft: Draft, account_id: int, before: tuple[AccountRisk, int]) -> None:
    """Check an account's end state. Refuses: LOTS_TOO_MANY, MARGIN_INITIAL_SHORT, CASH_SHORT."""
    rules.check_initial(draft, account_id, before, get_risk(draft, account_id))


def change_position(draft: Draft, account_id: int, instrument_id: int, lots: int, value_atoms: int) -> None:
    """Add signed lots at a signed value, in cash for an option, in cost for a future; the risk follows.

    The other side is the caller's to book with the same lots and value, negated. Refuses: POSITIONS_FULL.
    """
    line = draft[RISK_ARRAY][0].lines[instrument_id]
    risk = get_risk(draft, account_id)
    lots_before = portfolio.get_lots(draft, account_id, instrument_id)
    nets = _get_nets(draft, account_id, risk)
    realised = portfolio.change(draft, account_id, instrument_id, lots, value_atoms)
    note_holding(draft, account_id)
    if line.is_future:
        ledger.move(draft, CLEARING_BASE + instrument_id, account_id, USDC, realised)
    universe = UNIVERSE_INDEX[line.underlying]
    stress = risk.stress.copy()
    stress[universe] += line.row * lots
    gross_change = abs(lots_before + lots) - abs(lots_before)
    cost_change = value_atoms + realised
    marked = lots * line.value_atoms
    short_change = 0
    if not line.is_future:
        net = nets.get(line.strike_group, 0)
        short_change = max(0, -net - lots) - max(0, -net)
        nets = {**nets, line.strike_group: net + lots}
    draft[RISK].put(
        account_id,
        risk._replace(
            stress=stress,
            marks_atoms=risk.marks_atoms + marked - (cost_change if line.is_future else 0),
            unrealised_atoms=risk.unrealised_atoms + marked - cost_change,
            short_lots=_add(risk.short_lots, universe, short_change),
            gross_lots=_add(risk.gross_lots, universe, gross_change),
            future_lots=_add(risk.future_lots, universe, gross_change) if line.is_future else risk.future_lots,
            nets=nets,
        ),
    )


def add_order(draft: Draft, order_id: int, order: Order, instrument: Instrument) -> None:
    """Rest an order and count it."""
    book.add(draft, order_id, order)
    count_order(draft, order, instrument, order.lots)


def remove_order(draft: Draft, order_id: int) -> Order:
    """Take an order off the book and out of its account's sums."""
    order = book.remove(draft, order_id)
    count_order(draft, order, draft[INSTRUMENTS][order.instrument_id], -order.lots)
    return order


def shrink_order(draft: Draft, order_id: int, order: Order, instrument: Instrument, lots: int) -> None:
    """Leave an order with fewer lots, or take it off at none."""
    if lots == 0:
        book.remove(draft, order_id)
    else:
        book.resize(draft, order_id, order, lots)
    count_order(draft, order, instrument, lots - order.lots)


def count_order(draft: Draft, order: Order, instrument: Instrument, lots: int) -> None:
    """Add an order's lots to its account's open-order sums, or take them out where `lots` is negative."""
    line = draft[RISK_ARRAY][0].lines[order.instrument_id]
    risk = get_risk(draft, order.account_id)
    universe = UNIVERSE_INDEX[line.underlying]
    signed = 1 if order.side == Side.BUY else -1
    term = rules.compute_order_term(line, order.price_ticks * instrument.tick_value_atoms, signed) * lots
    open_lots = risk.open_lots + lots
    ensure(open_lots >= 0, "an account's open lots are those of its orders")
    if order.flags & FLAG_QUOTE:
        quotes = risk.quotes.copy()
        quotes[universe] += term
        after = risk._replace(quotes=quotes, quoted_lots=_add(risk.quoted_lots, universe, lots), open_lots=open_lots)
    else:
        orders = risk.orders.copy()
        orders[universe] += term
        after = risk._replace(orders=orders, open_lots=open_lots)
    draft[RISK].put(order.account_id, after)


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
            stress[UNIVERSE_INDEX[asset_id]] += compute_collateral_stress(asset_id, value)
    draft[RISK].put(account_id, risk._replace(stress=stress, collateral_atoms=worth))


def start_day(draft: Draft, block: BlockContext) -> None:
    """At the first block of a day, 08:00 UTC, note every account's equity for the haircut's measure of profit."""
    day = div_floor(block.time_ms - 8 * HOUR_MS, DAY_MS)
    matrix = draft[RISK_MATRIX].get(0)
    # Before the first prices nobody's equity is known; a day that began then begins with them.
    if matrix is None or (draft[DAY].get(0) or 0) >= day:
        return
    draft[DAY].put(0, day)
    for account_id in list(draft[DAY_STARTS].keys()):
        if account_id not in matrix.places:
            draft[DAY_STARTS].delete(account_id)
    equities = matrix.equity_atoms.tolist()
    for account_id in sorted(matrix.places):
        has_held = bool(portfolio.get_holdings(draft, account_id))
        draft[DAY_STARTS].put(account_id, DayStart(equities[matrix.places[account_id]], 0, has_held))


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


def _get_nets(draft: Draft, account_id: int, risk: AccountRisk) -> dict[int, int]:
    if risk.nets is not None:
        return risk.nets
    lines = draft[RISK_ARRAY][0].lines
    nets: dict[int, int] = {}
    for instrument_id in portfolio.get_holdings(draft, account_id):
        line = lines[instrument_id]
        if not line.is_future:
            lots = draft[POSITIONS][account_id, instrument_id].lots
            nets[line.strike_group] = nets.get(line.strike_group, 0) + lots
    return nets


def _add(triple: _Triple, universe: int, change: int) -> _Triple:
    if change == 0:
        return triple
    values = list(triple)
    values[universe] += change
    return values[0], values[1], values[2]
