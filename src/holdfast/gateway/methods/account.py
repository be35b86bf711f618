"""State of accounts. It is public, as all of the state is; no login is asked for."""

from collections.abc import Iterable
from typing import Final

from holdfast.gateway import params
from holdfast.gateway.accounts import show_account, show_margin, show_positions
from holdfast.gateway.api import Method, Read, building, read
from holdfast.gateway.errors import ApiCode, ApiError, bad_param, not_found
from holdfast.gateway.objects import Shown
from holdfast.gateway.orders import read_order_id, show_order, show_own_trade, show_resting
from holdfast.protocol.accounts.rules import get_nonce_window
from holdfast.protocol.accounts.state import ACCOUNTS, OWNERS, Account
from holdfast.protocol.book import handlers as book
from holdfast.protocol.book.state import FLAG_QUOTE, ORDERS


def _find(here: Read, account_id: int) -> Account:
    account = here.draft[ACCOUNTS].get(account_id)
    if account is None:
        raise not_found("account_id", f"account_id: there is no account {account_id}")
    return account


def get_account(here: Read, given: params.AccountOrOwner) -> Shown:
    """Return who an account is and what it has."""
    if (given.account_id is None) == (given.owner_key is None):
        raise bad_param("account_id", "give account_id or owner_key, one of them")
    account_id = given.account_id
    if given.owner_key is not None:
        account_id = here.draft[OWNERS].get(bytes.fromhex(given.owner_key))
    if account_id is None:
        raise not_found("owner_key", "owner_key: no account belongs to this key; its first deposit opens one")
    return show_account(here.draft, account_id, _find(here, account_id))


def get_nonce(here: Read, given: params.Nonce) -> Shown:
    """Return a key's next nonce for an account."""
    _find(here, given.account_id)
    window = get_nonce_window(here.draft, given.account_id, bytes.fromhex(given.signer))
    highest = 0 if window is None else window.highest
    return {"next_nonce": highest + 1, "highest": highest, "account_id": given.account_id, "signer": given.signer}


def get_positions(here: Read, given: params.Account) -> list[Shown]:
    """Return what an account holds."""
    _find(here, given.account_id)
    return show_positions(here.draft, here.api.instruments, given.account_id)


def get_margin(here: Read, given: params.Account) -> Shown:
    """Return an account's equity and what margin asks of it."""
    _find(here, given.account_id)
    return show_margin(here.draft, given.account_id)


def get_open_orders(here: Read, given: params.AccountOrders) -> list[Shown]:
    """Return an account's open orders, the oldest first."""
    _find(here, given.account_id)
    wanted = None if given.instrument_name is None else here.find_instrument(given.instrument_name)[0]
    numbers = book.get_open_orders(here.draft, given.account_id)
    rows = here.api.history.list_orders(numbers)
    _check_missing(here, (number for number in numbers if number not in rows))
    shown: list[Shown] = []
    for number in numbers:
        order = here.draft[ORDERS][number]
        instrument = here.api.instruments.get(here.draft, order.instrument_id)
        if instrument is not None and wanted in (None, order.instrument_id):
            shown.append(show_resting(number, order, instrument, rows.get(number)))
    return shown


def _check_missing(here: Read, numbers: Iterable[int]) -> None:
    """Check that orders which the index does not hold are not to be had from it. Refuses: RETRY."""
    if here.api.follower.is_whole:
        return
    for number in numbers:
        order = here.draft[ORDERS].get(number)
        # Quotes never are.
        if order is None or not order.flags & FLAG_QUOTE:
            raise building()


def _read_order_number(given: str | int, param: str) -> int:
    number = read_order_id(given)
    if number is None:
        raise bad_param(param, "an order's id is written USDC-123 or 123")
    return number


def get_order_state(here: Read, given: params.OneOrder) -> Shown:
    """Return an order, open or not."""
    number = _read_order_number(given.order_id, "order_id")
    order, row = here.draft[ORDERS].get(number), here.api.history.find_order(number)
    if row is None:
        _check_missing(here, (number,))
    instrument_id = order.instrument_id if order is not None else row.instrument_id if row is not None else 0
    instrument = here.api.instruments.get(here.draft, instrument_id)
    if instrument is not None and order is not None:
        return show_resting(number, order, instrument, row)
    if instrument is not None and row is not None:
        return show_order(row, instrument)
    words = f"order_id: no order {number} is open or in this node's index"
    raise ApiError(ApiCode.ORDER_NOT_FOUND, "ORDER_UNKNOWN", words, param="order_id")


def get_order_history(here: Read, given: params.OrderHistory) -> list[Shown]:
    """Return an account's orders, open or not, the newest first; quotes are not among them."""
    _find(here, given.account_id)
    before = 2**62 if given.before_order_id is None else _read_order_number(given.before_order_id, "before_order_id")
    shown: list[Shown] = []
    for row in here.whole_index.list_account_orders(given.account_id, given.count, before_id=before):
        instrument = here.api.instruments.get(here.draft, row.instrument_id)
        if instrument is not None:
            shown.append(show_order(row, instrument))
    return shown


def get_user_trades(here: Read, given: params.AccountTrades) -> Shown:
    """Return an account's last fills, the newest first."""
    _find(here, given.account_id)
    history = here.whole_index
    wanted = None if given.instrument_name is None else here.find_instrument(given.instrument_name)[0]
    rows = history.list_user_trades(given.account_id, given.count + 1, instrument_id=wanted)
    has_more, rows = len(rows) > given.count, rows[: given.count]
    orders = history.list_orders(
        row.taker_order_id if row.taker_id == given.account_id else row.maker_order_id for row in rows
    )
    shown: list[Shown] = []
    for row in rows:
        instrument = here.api.instruments.get(here.draft, row.instrument_id)
        number = row.taker_order_id if row.taker_id == given.account_id else row.maker_order_id
        if instrument is not None:
            shown.append(show_own_trade(row, instrument, given.account_id, orders.get(number)))
    return {"trades": shown, "has_more": has_more}


def get_account_events(here: Read, given: params.AccountEvents) -> Shown:
    """Return an account's updates from a number on: what its channel has told, or would have."""
    _find(here, given.account_id)
    history = here.whole_index
    updates = history.list_updates(given.account_id, given.from_seq, given.count)
    return {
        "updates": [{"seq": one.seq, "height": one.height, "events": one.events} for one in updates],
        "last_seq": history.last_seq(given.account_id),
    }


METHODS: Final[tuple[Method, ...]] = (
    read("public/get_account", params.AccountOrOwner, get_account),
    read("public/get_nonce", params.Nonce, get_nonce),
    read("public/get_positions", params.Account, get_positions),
    read("public/get_margin", params.Account, get_margin),
    read("public/get_open_orders", params.AccountOrders, get_open_orders),
    read("public/get_order_state", params.OneOrder, get_order_state),
    read("public/get_order_history", params.OrderHistory, get_order_history),
    read("public/get_user_trades", params.AccountTrades, get_user_trades),
    read("public/get_account_events", params.AccountEvents, get_account_events),
)
