"""One account's equity and requirement."""

from typing import Final

import numpy as np

from holdfast.primitives.reject import Code, RejectedError
from holdfast.primitives.units import E8, PPM, div_ceil, div_floor
from holdfast.protocol.ledger.handlers import get_cash
from holdfast.protocol.ledger.state import USDC
from holdfast.protocol.limits import ACCOUNT_LOTS_MAX, SCENARIOS
from holdfast.protocol.margin.params import (
    CONCENTRATION_MAX_PPM,
    JOINT_INDEX,
    MARGIN_PARAMS,
    OPPOSED_INDEX,
    SHORT_MAX_PPM,
    UNIVERSES,
    MarginParams,
)
from holdfast.protocol.margin.state import (
    CHARGES,
    DAY_STARTS,
    FROZEN,
    PROTECTIONS,
    AccountRisk,
    Charges,
    Int64Array,
    Requirement,
)
from holdfast.protocol.surface.state import RiskArray, RiskLine
from holdfast.state.draft import Draft

_NO_STRESS: Final = np.zeros((len(UNIVERSES), SCENARIOS), dtype=np.int64)
_NO_STRESS.setflags(write=False)
EMPTY_RISK: Final = AccountRisk(
    _NO_STRESS, _NO_STRESS, _NO_STRESS, 0, 0, 0, (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), 0, {}
)
_NOTHING: Final = (0, 0, 0)
_NO_CHARGES: Final = Charges(_NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING, is_depegged=False)


def compute_charges(
    params: MarginParams, array: RiskArray | None, degraded: dict[int, bool], scales_ppm: dict[int, int]
) -> Charges:
    """Return this block's charge a lot, from index prices, open interest and the oracle's confidence. Rounds: up."""
    if array is None:
        return _NO_CHARGES
    worth = [array.lot_value_atoms.get(underlying, 0) for underlying in UNIVERSES]

    def share(rate_ppm: int) -> tuple[int, int, int]:
        btc, eth, usdt = (div_ceil(value * rate_ppm, PPM) for value in worth)
        return btc, eth, usdt

    def scaled(rate_ppm: int, most_ppm: int) -> tuple[int, int, int]:
        rates = [min(most_ppm, div_ceil(rate_ppm * scales_ppm.get(one, PPM), PPM)) for one in UNIVERSES]
        btc, eth, usdt = (div_ceil(value * rate, PPM) for value, rate in zip(worth, rates, strict=True))
        return btc, eth, usdt

    doubt = [0] * len(UNIVERSES)
    for index, underlying in enumerate(UNIVERSES):
        price = array.prices_e8.get(underlying, 0)
        if price > 0 and worth[index]:
            factor = params.confidence_im_ppm
            if degraded.get(underlying, False):
                factor = div_ceil(factor * params.degraded_confidence_ppm, PPM)
            doubt[index] = div_ceil(worth[index] * array.confidences_e8[underlying] * factor, price * PPM)
    return Charges(
        scaled(params.short_im_ppm, SHORT_MAX_PPM),
        scaled(params.short_mm_ppm, SHORT_MAX_PPM),
        share(params.basis_im_ppm),
        share(params.basis_mm_ppm),
        scaled(params.concentration_im_ppm, CONCENTRATION_MAX_PPM),
        scaled(params.concentration_mm_ppm, CONCENTRATION_MAX_PPM),
        (doubt[0], doubt[1], doubt[2]),
        is_depegged=array.prices_e8.get(USDC, E8) < params.depeg_e8,
    )


def compute_order_term(line: RiskLine, limit_value_atoms: int, lots: int) -> Int64Array:
    """Return what filling an order at its limit would lose, scenario by scenario; a gain counts nothing.

    `lots` is signed, positive for a bid; `limit_value_atoms` is the limit's value of one lot.
    """
    return np.minimum(0, (line.row + (line.value_atoms - limit_value_atoms)) * lots)


def compute_equity_atoms(draft: Draft, account_id: int, risk: AccountRisk) -> int:
    """Return mark-to-market equity: cash, marks, and collateral after haircut."""
    return get_cash(draft, account_id) + risk.marks_atoms + risk.collateral_atoms


def compute_maintenance_atoms(draft: Draft, risk: AccountRisk) -> int:
    """Return the maintenance requirement. Rounds: up."""
    params = draft[MARGIN_PARAMS][0]
    charges = draft[CHARGES].get(0) or _NO_CHARGES
    loss = _worst_loss_atoms(params, risk.stress)
    required = div_ceil(loss * params.loss_mm_ppm, PPM)
    for index in range(len(UNIVERSES)):
        crowded = max(0, risk.gross_lots[index] - params.concentration_lots)
        required += (
            risk.short_lots[index] * charges.short_mm[index]
            + risk.future_lots[index] * charges.basis_mm[index]
            + crowded * charges.concentration_mm[index]
        )
    return required


def compute_initial_atoms(draft: Draft, account_id: int, risk: AccountRisk) -> int:
    """Return the initial requirement, open orders and the oracle's doubt included. Rounds: up."""
    stress = risk.stress + risk.orders if risk.open_lots else risk.stress
    if any(risk.quoted_lots):
        stress = stress + compute_quotes_stress(draft, account_id, risk)
    return _initial_at(draft, risk, stress)


def compute_need_atoms(draft: Draft, risk: AccountRisk) -> int:
    """Return the bound of a tally: initial margin with quotes in full, less marks and collateral."""
    return _initial_at(draft, risk, risk.stress + risk.orders + risk.quotes) - risk.marks_atoms - risk.collateral_atoms


def _initial_at(draft: Draft, risk: AccountRisk, stress: Int64Array) -> int:
    params = draft[MARGIN_PARAMS][0]
    charges = draft[CHARGES].get(0) or _NO_CHARGES
    required = div_ceil(_worst_loss_atoms(params, stress) * params.loss_im_ppm, PPM)
    for index in range(len(UNIVERSES)):
        crowded = max(0, risk.gross_lots[index] - params.concentration_lots)
        required += (
            risk.short_lots[index] * charges.short_im[index]
            + risk.future_lots[index] * charges.basis_im[index]
            + crowded * charges.concentration_im[index]
            + risk.gross_lots[index] * charges.confidence_im[index]
        )
    return div_ceil(required * params.depeg_im_ppm, PPM) if charges.is_depegged else required


def compute_requirement(draft: Draft, account_id: int, risk: AccountRisk) -> Requirement:
    """Return equity, initial and maintenance margin together."""
    return Requirement(
        compute_equity_atoms(draft, account_id, risk),
        compute_initial_atoms(draft, account_id, risk),
        compute_maintenance_atoms(draft, risk),
    )


def check_initial(draft: Draft, account_id: int, before: tuple[AccountRisk, int], after: AccountRisk) -> None:
    """Check an account's end state against what it was before a command.

    `before` is the account's risk and cash when the command began. Initial margin must hold, and a debt in USDC must be
    covered by coins; failing either, the command may stand only if no shortfall has grown.
    Refuses: LOTS_TOO_MANY, MARGIN_INITIAL_SHORT, CASH_SHORT.
    """
    if sum(after.gross_lots) + after.open_lots > ACCOUNT_LOTS_MAX:
        raise RejectedError(Code.LOTS_TOO_MANY, limit=ACCOUNT_LOTS_MAX)
    cash = get_cash(draft, account_id)
    equity = cash + after.marks_atoms + after.collateral_atoms
    initial_short = compute_initial_atoms(draft, account_id, after) - equity
    cash_short = -(cash + after.collateral_atoms)
    if initial_short <= 0 and cash_short <= 0:
        return
    risk, cash_before = before
    equity_before = cash_before + risk.marks_atoms + risk.collateral_atoms
    if initial_short > max(0, compute_initial_atoms(draft, account_id, risk) - equity_before):
        raise RejectedError(Code.MARGIN_INITIAL_SHORT, short_atoms=initial_short)
    maintenance_short = compute_maintenance_atoms(draft, after) - (cash + after.marks_atoms + after.collateral_atoms)
    if maintenance_short > max(0, compute_maintenance_atoms(draft, risk) - equity_before):
        raise RejectedError(Code.MARGIN_INITIAL_SHORT, short_atoms=initial_short)
    if cash_short > max(0, -(cash_before + risk.collateral_atoms)):
        raise RejectedError(Code.CASH_SHORT, short_atoms=cash_short)


def check_not_frozen(draft: Draft, account_id: int) -> None:
    """Check that no liquidation holds an account. Refuses: ACCOUNT_IN_LIQUIDATION."""
    if draft[FROZEN].get(account_id) is not None:
        raise RejectedError(Code.ACCOUNT_IN_LIQUIDATION, account_id=account_id)


def compute_day_profit_atoms(draft: Draft, account_id: int, equity_atoms: int) -> int:
    """Return today's profit for a haircut: equity now less equity at 08:00 UTC less net deposits since, capped.

    An account that has held no position this day has none that a haircut could take.
    """
    day = draft[DAY_STARTS].get(account_id)
    if day is None or not day.has_held:
        return 0
    return max(0, min(equity_atoms - day.equity_atoms - day.net_deposits_atoms, equity_atoms))


def compute_sure_atoms(draft: Draft, account_id: int, risk: AccountRisk) -> int:
    """Return the cash that no fall of marks and no haircut today can take back; below zero where they can take more."""
    profit = compute_day_profit_atoms(draft, account_id, compute_equity_atoms(draft, account_id, risk))
    return get_cash(draft, account_id) - max(0, risk.unrealised_atoms) - profit


def compute_withdrawable_atoms(draft: Draft, account_id: int, risk: AccountRisk) -> int:
    """Return the USDC that may leave: never more than initial margin spares, nor profit that is not yet sure."""
    spare = compute_equity_atoms(draft, account_id, risk) - compute_initial_atoms(draft, account_id, risk)
    return max(0, min(spare, compute_sure_atoms(draft, account_id, risk)))


def _worst_loss_atoms(params: MarginParams, stress: Int64Array) -> int:
    joint = stress.take(JOINT_INDEX)
    opposed = stress.take(OPPOSED_INDEX)
    worst = int(np.minimum.reduce(joint[0] + joint[1] + joint[2]))
    against = int(np.minimum.reduce(opposed[0] + opposed[1] + opposed[2]))
    return max(0, -min(worst, div_floor(against * params.cross_weight_ppm, PPM)))


def compute_quotes_stress(draft: Draft, account_id: int, risk: AccountRisk) -> Int64Array:
    """Return the quotes' losses as far as protection lets them fill. Rounds: toward the larger loss."""
    quotes = risk.quotes
    for index, underlying in enumerate(UNIVERSES):
        quoted = risk.quoted_lots[index]
        protection = draft[PROTECTIONS].get((account_id, underlying)) if quoted else None
        if protection is not None and protection.limit_lots < quoted:
            quotes = quotes.copy() if quotes is risk.quotes else quotes
            # The product may pass int64, so it is taken apart: q = a * quoted + b with 0 <= b < quoted.
            whole, part = np.divmod(quotes[index], quoted)
            quotes[index] = whole * protection.limit_lots + np.floor_divide(part * protection.limit_lots, quoted)
    return quotes
