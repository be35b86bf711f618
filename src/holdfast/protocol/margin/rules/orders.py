"""What the open orders of all accounts would lose if they were filled at their limits, in exact int64.

One order's rule is `requirement.compute_order_term`. Nothing here can overflow: a lot's worth, its change and a limit
are each at most `ROW_ATOMS_MAX`, an order has at most `ORDER_LOTS_MAX` lots and an account `ACCOUNT_LOTS_MAX`.
"""

from typing import Final, NamedTuple

import numpy as np

from holdfast import _kernels
from holdfast.primitives.check import ensure
from holdfast.primitives.pricing import native_path
from holdfast.protocol.book.state import FLAG_QUOTE, Side
from holdfast.protocol.limits import SCENARIOS
from holdfast.protocol.margin.params import UNIVERSES
from holdfast.protocol.margin.rules.sheets import find_places, first_id
from holdfast.protocol.margin.rules.sums import sum_by
from holdfast.protocol.margin.state import Int64Array, KernelLines, Orders
from holdfast.protocol.surface.state import RiskArray
from holdfast.state.columns import Columns

_COUNT: Final = len(UNIVERSES)
_NOTHING: Final = np.zeros((2, _COUNT, SCENARIOS), dtype=np.int64)
_NOTHING.setflags(write=False)


class OpenOrders(NamedTuple):
    """One account's open orders."""

    plain: Int64Array  # int64[3, 32], atoms: each order where it loses
    quotes: Int64Array  # protected quotes likewise, before their scaling
    quoted_lots: tuple[int, int, int]


def place_orders(
    array: RiskArray, lines: KernelLines, orders: Columns, paged_ids: Int64Array
) -> tuple[Orders, Int64Array]:
    """Return the open orders in the order of the matrix, and the loose accounts: those that are on no page's sheet.

    `paged_ids` are the accounts of the pages' sheets, ascending; the loose ones follow them, ascending too.
    """
    by_account = np.argsort(orders.values[0], kind="stable")
    holders = orders.values[0, by_account]
    firsts = np.flatnonzero(np.diff(holders, prepend=-1))
    ids, counts = holders[firsts], np.diff(firsts, append=len(holders))
    places = np.searchsorted(paged_ids, ids)
    is_loose = places == np.searchsorted(paged_ids, ids, side="right")
    paged, loose = np.flatnonzero(~is_loose), np.flatnonzero(is_loose)
    places = np.concatenate([places[paged], len(paged_ids) + np.arange(len(loose))])
    counts_placed = np.concatenate([counts[paged], counts[loose]])
    of_loose = np.repeat(is_loose, counts)
    taken = np.concatenate([by_account[~of_loose], by_account[of_loose]])
    _, instruments, sides, prices, lots, flags = orders.values[:, taken]
    index = find_places(array)[instruments - first_id(array)]
    ensure(bool((index >= 0).all()), "what is ordered has a line in the risk array")
    owners = np.repeat(np.arange(len(places)), counts_placed)
    placed = Orders(
        places=places,
        starts=np.concatenate(([0], np.cumsum(counts_placed))),
        lines=index,
        edges_atoms=lines.values_atoms[index] - prices * array.tick_values_atoms[index],
        lots=np.where(sides == Side.BUY, lots, -lots),
        cells=owners * _COUNT + lines.universes[index],
        is_quote=(flags & FLAG_QUOTE != 0).astype(np.int64),
    )
    return placed, ids[loose]


def sum_open_lots(orders: Orders, accounts: int) -> Int64Array:
    """Return the lots of each account's open orders, by its place in the matrix."""
    sums = np.concatenate(([0], np.cumsum(np.abs(orders.lots))))
    open_lots = np.zeros(accounts, dtype=np.int64)
    open_lots[orders.places] = np.diff(sums[orders.starts])
    return open_lots


def stress_orders(orders: Orders, lines: KernelLines, begin: int, end: int, room: Int64Array) -> Int64Array:
    """Return what the orders of some of the accounts that have any would lose, int64[end - begin, 3, 32].

    Quotes count in full, whatever protects them. It may lie in `room`, which is written over, as `stress_coins` says.
    """
    if begin == end:
        return room[:0]
    first, last = orders.starts[begin], orders.starts[end]
    cells = orders.cells[first:last] - begin * _COUNT
    return _sum_losses(orders, lines, first, cells, room[: end - begin])


def sum_orders_of(orders: Orders, lines: KernelLines, place: int) -> OpenOrders:
    """Return the open orders of the account at a place of the matrix."""
    begin, end = np.searchsorted(orders.places, (place, place + 1)).tolist()
    if begin == end:
        return OpenOrders(_NOTHING[0], _NOTHING[1], (0, 0, 0))
    first, last = orders.starts[begin], orders.starts[end]
    cells = orders.cells[first:last] + (orders.is_quote[first:last] - begin) * _COUNT
    plain, quotes = _sum_losses(orders, lines, first, cells, np.empty_like(_NOTHING))
    lots = np.zeros(2 * _COUNT, dtype=np.int64)
    np.add.at(lots, cells, np.abs(orders.lots[first:last]))
    btc, eth, usdt = lots[_COUNT:].tolist()
    return OpenOrders(plain, quotes, (btc, eth, usdt))


def _sum_losses(orders: Orders, lines: KernelLines, first: int, cells: Int64Array, room: Int64Array) -> Int64Array:
    """Return the losses of the orders from the first one on, each added to its cell, by the kernel that was chosen."""
    end = first + len(cells)
    places, edges, lots = orders.lines[first:end], orders.edges_atoms[first:end], orders.lots[first:end]
    path = native_path()
    if path is None:
        losses = np.minimum(0, (lines.rows[places] + edges[:, None]) * lots[:, None])
        return sum_by(cells, losses, len(room) * _COUNT).reshape(room.shape)
    _kernels.sum_orders(places, edges, lots, cells, lines.rows, room.reshape(-1, SCENARIOS), path)
    return room
