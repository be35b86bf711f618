"""The only writer of orders."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from holdfast.primitives.check import ensure
from holdfast.protocol.book.state import (
    FLAG_QUOTE,
    NEXT_ORDER,
    OPEN_ORDERS,
    ORDER_COLUMNS,
    ORDER_FIELDS,
    ORDERS,
    QUOTES,
    SIDES,
    Entry,
    Order,
    Side,
)
from holdfast.state.columns import Columns, Located, make_pages, refresh_pages
from holdfast.state.draft import Draft

# Bound once: a look-up of an enumeration's member costs more than the comparison that it is for.
_BUY = Side.BUY


def take_number(draft: Draft) -> int:
    """Return the next number of the one sequence that order ids and priorities share."""
    numbers = draft[NEXT_ORDER]
    number = numbers.get(0) or 1
    numbers.put(0, number + 1)
    return number


def add(draft: Draft, order_id: int, order: Order) -> None:
    """Rest an order."""
    draft[ORDERS].put(order_id, order)
    _enter(draft, order_id, order)
    owned = draft[OPEN_ORDERS].get(order.account_id) or ()
    place = bisect_left(owned, order_id)
    draft[OPEN_ORDERS].put(order.account_id, owned[:place] + (order_id,) + owned[place:])  # noqa: RUF005 -- twice as fast as unpacking
    if order.flags & FLAG_QUOTE:
        draft[QUOTES].put(_quote_key(order), order_id)


def remove(draft: Draft, order_id: int) -> Order:
    """Take an order off the book and return what was left of it."""
    order = draft[ORDERS][order_id]
    draft[ORDERS].delete(order_id)
    _leave(draft, order_id, order)
    owned = draft[OPEN_ORDERS][order.account_id]
    place = bisect_left(owned, order_id)
    rest = owned[:place] + owned[place + 1 :]
    if rest:
        draft[OPEN_ORDERS].put(order.account_id, rest)
    else:
        draft[OPEN_ORDERS].delete(order.account_id)
    if order.flags & FLAG_QUOTE:
        draft[QUOTES].delete(_quote_key(order))
    return order


def resize(draft: Draft, order_id: int, order: Order, lots: int) -> None:
    """Leave an order in its place with fewer lots."""
    ensure(0 < lots <= order.lots, "an order keeps its place only while it shrinks")
    draft[ORDERS].put(order_id, _with(order, order.price_ticks, lots, order.priority))


def replace(draft: Draft, order_id: int, price_ticks: int, lots: int) -> Order:
    """Send an order to the back of the queue at a price, under its old id."""
    before = draft[ORDERS][order_id]
    _leave(draft, order_id, before)
    after = _with(before, price_ticks, lots, take_number(draft))
    draft[ORDERS].put(order_id, after)
    _enter(draft, order_id, after)
    return after


def get_best(draft: Draft, instrument_id: int, side: int) -> Entry | None:
    """Return the entry first in line on a side."""
    entries = draft[SIDES].get((instrument_id, side))
    return entries[-1] if entries else None


def get_entries(draft: Draft, instrument_id: int, side: int) -> tuple[Entry, ...]:
    """Return a side's entries, the best last."""
    return draft[SIDES].get((instrument_id, side)) or ()


def get_open_orders(draft: Draft, account_id: int) -> tuple[int, ...]:
    """Return the ids of an account's orders, ascending."""
    return draft[OPEN_ORDERS].get(account_id) or ()


def get_quote(draft: Draft, account_id: int, instrument_id: int, side: int) -> int | None:
    """Return the id of an account's quote on a side."""
    return draft[QUOTES].get((account_id, 2 * instrument_id + side))


def refresh(draft: Draft) -> None:
    """Bring the columns up to the orders as of now."""
    refresh_pages(draft[ORDER_COLUMNS], _locate(draft[ORDERS].changes().items()), ORDER_FIELDS)


def make_order_columns(draft: Draft) -> dict[int, Columns]:
    """Return the columns of all orders, made anew."""
    return make_pages(_locate(draft[ORDERS].items()), ORDER_FIELDS)


def rebuild(draft: Draft) -> None:
    """Rebuild every index from the orders."""
    draft[ORDER_COLUMNS].fill(make_order_columns(draft))
    sides: dict[tuple[int, int], list[Entry]] = {}
    owned: dict[int, list[int]] = {}
    quotes: dict[tuple[int, int], int] = {}
    for order_id, order in draft[ORDERS].items():
        sides.setdefault((order.instrument_id, order.side), []).append(_entry(order_id, order))
        owned.setdefault(order.account_id, []).append(order_id)
        if order.flags & FLAG_QUOTE:
            quotes[_quote_key(order)] = order_id
    draft[SIDES].fill({key: tuple(sorted(sides[key])) for key in sides})
    draft[OPEN_ORDERS].fill({account_id: tuple(owned[account_id]) for account_id in owned})
    draft[QUOTES].fill(quotes)


def _locate(rows: Iterable[tuple[int, Order | None]]) -> Iterator[Located]:
    for order_id, order in rows:
        yield 0, order_id, None if order is None else _row(order)


def _row(order: Order) -> tuple[int, ...]:
    return order.account_id, order.instrument_id, order.side, order.price_ticks, order.lots, order.flags


def _entry(order_id: int, order: Order) -> Entry:
    return (order.price_ticks if order.side == _BUY else -order.price_ticks, -order.priority, order_id)


def _quote_key(order: Order) -> tuple[int, int]:
    return order.account_id, 2 * order.instrument_id + order.side


def _with(order: Order, price_ticks: int, lots: int, priority: int) -> Order:
    return Order(
        order.account_id,
        order.instrument_id,
        order.side,
        price_ticks,
        lots,
        priority,
        order.flags,
        order.client_id,
    )


def _enter(draft: Draft, order_id: int, order: Order) -> None:
    sides = draft[SIDES]
    key = (order.instrument_id, order.side)
    entries = list(sides.get(key) or ())
    insort(entries, _entry(order_id, order))
    sides.put(key, tuple(entries))


def _leave(draft: Draft, order_id: int, order: Order) -> None:
    sides = draft[SIDES]
    key = (order.instrument_id, order.side)
    entries = sides[key]
    entry = _entry(order_id, order)
    place = len(entries) - 1 if entries[-1] == entry else bisect_left(entries, entry)
    ensure(entries[place] == entry, "an order that leaves the book was in it")
    rest = list(entries)
    del rest[place]
    if rest:
        sides.put(key, tuple(rest))
    else:
        sides.delete(key)
