"""An account's risk while it trades: changes are noted with a bound of what they cost, and added up where that matters.

The bound is linear: a listed scenario takes one row of a universe, so a change makes no scenario worse by more than its
own worst row, and charges count each lot at most once.
"""

from typing import Final

from holdfast.primitives.check import ensure
from holdfast.primitives.units import share_ceil
from holdfast.protocol.margin.params import UNIVERSE_INDEX
from holdfast.protocol.margin.rules.matrix import get_net_lots, get_row
from holdfast.protocol.margin.rules.requirement import EMPTY_RISK, compute_order_term
from holdfast.protocol.margin.state import AccountRisk, OrderChange, PositionChange, RiskMatrix, Tally

_NOTHING: Final = Tally(EMPTY_RISK, (), 0, 0)
# What rounding can add: of the worst loss, of its weighed opposite, and of what a depeg makes of both.
_ROUNDING_ATOMS: Final = 4

_Triple = tuple[int, int, int]


def open_tally(matrix: RiskMatrix | None, account_id: int) -> Tally:
    """Return the tally of an account that has not changed since the matrix was made."""
    place = None if matrix is None else matrix.places.get(account_id)
    if matrix is None or place is None:
        return _NOTHING
    return Tally(None, (), int(matrix.need_atoms[place]), int(matrix.lots[place]))


def note_order(tally: Tally, matrix: RiskMatrix, change: OrderChange) -> Tally:
    """Return a tally with some lots of an order more, or fewer, which lower the need only once they are added up."""
    need = tally.need_atoms
    line, lots = change.line, change.lots
    if lots > 0:
        loss = (matrix.long_loss_atoms if change.sign > 0 else matrix.short_loss_atoms)[line.place]
        loss += change.sign * (change.limit_value_atoms - line.value_atoms)
        if loss > 0:
            need += share_ceil(loss * lots, matrix.loss_ppm) + _ROUNDING_ATOMS
    return Tally(tally.risk, (*tally.changes, change), need, tally.lots + lots)


def note_position(tally: Tally, matrix: RiskMatrix, change: PositionChange) -> Tally:
    """Return a tally with some lots of a position more, or fewer."""
    index, lots = change.line.place, abs(change.lots)
    if change.lots > 0:
        loss, charge = matrix.long_loss_atoms[index], matrix.long_charge_atoms[index]
    else:
        loss, charge = matrix.short_loss_atoms[index], matrix.short_charge_atoms[index]
    need = tally.need_atoms + share_ceil(loss * lots, matrix.loss_ppm) + charge * lots + _ROUNDING_ATOMS
    return Tally(tally.risk, (*tally.changes, change), need - change.marks_atoms, tally.lots + lots)


def add_up(tally: Tally, matrix: RiskMatrix | None, account_id: int) -> AccountRisk:
    """Return the sum of a tally: what it began with, and every change since."""
    risk = tally.risk
    if risk is None:
        risk = (None if matrix is None else get_row(matrix, account_id)) or EMPTY_RISK
    if not tally.changes:
        return risk
    stress, orders, quotes = risk.stress.copy(), risk.orders.copy(), risk.quotes.copy()
    short, gross, future = list(risk.short_lots), list(risk.gross_lots), list(risk.future_lots)
    quoted, open_lots, nets = list(risk.quoted_lots), risk.open_lots, dict(risk.nets)
    marks, unrealised = risk.marks_atoms, risk.unrealised_atoms
    for change in tally.changes:
        line, lots = change.line, change.lots
        universe = UNIVERSE_INDEX[line.underlying]
        if isinstance(change, OrderChange):
            term = compute_order_term(line, change.limit_value_atoms, change.sign) * lots
            (quotes if change.is_quote else orders)[universe] += term
            quoted[universe] += lots if change.is_quote else 0
            open_lots += lots
            continue
        stress[universe] += line.row * lots
        marks += change.marks_atoms
        unrealised += change.unrealised_atoms
        more = abs(change.lots_before + lots) - abs(change.lots_before)
        gross[universe] += more
        if line.is_future:
            future[universe] += more
        else:
            net = nets.get(line.strike_group)
            if net is None:
                net = get_net_lots(matrix, account_id, line.strike_group)
            short[universe] += max(0, -net - lots) - max(0, -net)
            nets[line.strike_group] = net + lots
    ensure(open_lots >= 0, "an account's open lots are those of its orders")
    return AccountRisk(
        stress,
        orders,
        quotes,
        marks,
        unrealised,
        risk.collateral_atoms,
        _triple(short),
        _triple(gross),
        _triple(future),
        _triple(quoted),
        open_lots,
        nets,
    )


def _triple(values: list[int]) -> _Triple:
    btc, eth, usdt = values
    return btc, eth, usdt
