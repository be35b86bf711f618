"""The transitions of trading, and what a block's fees become."""

from holdfast.primitives.units import PPM, share_floor
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
from holdfast.protocol.trading.state import MARKETS
from holdfast.state.draft import Draft

__all__ = [
    "amend_order",
    "cancel_all",
    "cancel_instrument",
    "cancel_order",
    "execute_order",
    "give_out_fees",
    "mass_quote",
    "open_markets",
    "place_order",
    "set_protection",
]


def open_markets(draft: Draft) -> None:
    """Forget the markets of the block before: what may be traded, and at which marks, is asked anew."""
    for key in list(draft[MARKETS].keys()):
        draft[MARKETS].delete(key)


def give_out_fees(draft: Draft) -> None:
    """Give a block's trading fees to the insurance fund and the treasury.

    Rounds: both shares down; what is left over, an atom at most, is dust for the fund.
    """
    fees = ledger.get_cash(draft, FEE_POT)
    share = draft[TRADING_PARAMS][0].insurance_share_ppm
    insurance, treasury = share_floor(fees, share), share_floor(fees, PPM - share)
    ledger.move(draft, FEE_POT, INSURANCE_FUND, USDC, insurance)
    ledger.move(draft, FEE_POT, TREASURY, USDC, treasury)
    ledger.book_dust(draft, FEE_POT, USDC, fees - insurance - treasury)
