"""Pure margin arithmetic: one account's requirement, and every account's at once."""

from holdfast.protocol.margin.rules.matrix import compute_matrix, get_row, make_sources, read_sources
from holdfast.protocol.margin.rules.requirement import (
    EMPTY_RISK,
    check_initial,
    check_not_frozen,
    compute_charges,
    compute_day_profit_atoms,
    compute_equity_atoms,
    compute_initial_atoms,
    compute_maintenance_atoms,
    compute_need_atoms,
    compute_order_term,
    compute_quotes_stress,
    compute_requirement,
    compute_sure_atoms,
    compute_withdrawable_atoms,
)
from holdfast.protocol.margin.rules.tally import add_up, note_order, note_position, open_tally

__all__ = [
    "EMPTY_RISK",
    "add_up",
    "check_initial",
    "check_not_frozen",
    "compute_charges",
    "compute_day_profit_atoms",
    "compute_equity_atoms",
    "compute_initial_atoms",
    "compute_maintenance_atoms",
    "compute_matrix",
    "compute_need_atoms",
    "compute_order_term",
    "compute_quotes_stress",
    "compute_requirement",
    "compute_sure_atoms",
    "compute_withdrawable_atoms",
    "get_row",
    "make_sources",
    "note_order",
    "note_position",
    "open_tally",
    "read_sources",
]
