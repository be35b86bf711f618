"""The exchange's own margin of a portfolio: its real rules over a draft of its real state, so equal to the atom.

Nothing is computed twice here. A portfolio becomes the rows that the exchange would hold (feeds, instruments, marks,
risk rows, balances, positions, orders, protections), and `protocol.margin` is asked what it asks itself in every block.
"""

from holdfast.risk.holdfast.account import Account, open_account
from holdfast.risk.holdfast.market import MODEL
from holdfast.risk.holdfast.model import compute_margin

__all__ = ["MODEL", "Account", "compute_margin", "open_account"]
