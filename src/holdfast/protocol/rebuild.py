"""Every derived table, and how all of them are made anew: after a restore, and to check that they are fresh."""

from typing import Final

from holdfast.protocol.accounts import handlers as accounts
from holdfast.protocol.accounts.state import OWNERS
from holdfast.protocol.book import handlers as book
from holdfast.protocol.book.state import OPEN_ORDERS, ORDER_COLUMNS, QUOTES, SIDES
from holdfast.protocol.instruments import handlers as instruments
from holdfast.protocol.instruments.state import NAMES, SERIES
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import CASH_PAGES, COIN_PAGES
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.portfolio import handlers as portfolio
from holdfast.protocol.portfolio.state import HOLDERS, HOLDINGS, POSITION_PAGES
from holdfast.protocol.surface import handlers as surface
from holdfast.state.draft import Draft
from holdfast.state.table import AnyTable

# The risk array and the accounts' risk are derived too; they belong to a block's marks: `MARGIN_CACHE_FRESH` and the
# leaf tables stand for them.
DERIVED: Final[tuple[AnyTable, ...]] = (
    OWNERS,
    CASH_PAGES,
    COIN_PAGES,
    HOLDINGS,
    HOLDERS,
    POSITION_PAGES,
    ORDER_COLUMNS,
    SIDES,
    OPEN_ORDERS,
    QUOTES,
    NAMES,
    SERIES,
)


def rebuild(draft: Draft) -> None:
    """Rebuild every index from the primary tables."""
    accounts.rebuild(draft)
    ledger.rebuild(draft)
    instruments.rebuild(draft)
    portfolio.rebuild(draft)
    book.rebuild(draft)


def refresh_columns(draft: Draft) -> None:
    """Bring what margin reads by columns up to the draft's positions, balances and orders."""
    portfolio.refresh(draft)
    ledger.refresh(draft)
    book.refresh(draft)


def restore(draft: Draft) -> None:
    """Rebuild all that a replica derives, marks and margin included, after its rows were loaded."""
    rebuild(draft)
    surface.rebuild(draft)
    margin.revalue(draft)
