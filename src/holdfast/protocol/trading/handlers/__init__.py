"""The transitions of trading, and what a block's fees become."""

from holdfast.primitives.units import share_ceil
from holdfast.protocol.accounts.state import FEE_POT, INSURANCE_FUND, TREASURY
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import USDC
from holdfast.protocol.trading.handlers.orders import (
    amend_order,
    cancel_all,
    cancel_instrument,
    cancel_order,
    execute_order,
    place_order,
)
from holdfast.protocol.trading.handlers.quotes import mass_quote, set_protection
from holdfast.protocol.trading.params import TRADING_PARAMS
from holdfast.state.draft import Draft

__all__ = [
    "amend_order",
    "cancel_all",
    "cancel_instrument",
    "cancel_order",
    "execute_order",
    "give_out_fees",
    "mass_quote",
    "place_order",
    "set_protection",
]


def give_out_fees(draft: Draft) -> None:
    """Give a block's trading fees to the insurance fund and the treasury. Rounds: the fund's share up."""
    fees = ledger.get_cash(draft, FEE_POT)
    insurance = share_ceil(fees, draft[TRADING_PARAMS][0].insurance_share_ppm)
    ledger.move(draft, FEE_POT, INSURANCE_FUND, USDC, insurance)
    ledger.move(draft, FEE_POT, TREASURY, USDC, fees - insurance)
