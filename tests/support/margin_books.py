"""What margin's kernels take, and the same summed in Python's integers by its definitions."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
WEIGHT_PPM: Final = 450_001


class Book(NamedTuple):
    """Accounts' positions and the instruments that they are in."""

    starts: Int64s
    places: NDArray[np.int32]
    lots: Int64s
    rows: Int64s

    def list_positions(self, account: int) -> list[tuple[int, int]]:
        """Return an account's instruments and lots."""
        part = slice(self.starts[account], self.starts[account + 1])
        return list(zip(self.places[part].tolist(), self.lots[part].tolist(), strict=True))


class Venue(NamedTuple):
    """What the fused kernel takes besides the positions."""

    values: Int64s
    universes: Int64s
    is_future: Int64s
    groups: Int64s
    joint: Int64s
    opposed: Int64s
    extra_of: Int64s
    extras: Int64s
    order_of: Int64s
    orders: Int64s


def sum_in_python(book: Book) -> list[list[int]]:
    """Return every account's 32 sums, modulo 2^64 as 64 bits hold them."""
    rows = book.rows.tolist()
    return [
        [wrap(sum(lots * rows[place][s] for place, lots in book.list_positions(account))) for s in range(32)]
        for account in range(len(book.starts) - 1)
    ]


def wrap(number: int) -> int:
    """Return the signed number whose 64 bits are the lower ones of this."""
    return (number + 2**63) % 2**64 - 2**63


def compute_in_python(book: Book, venue: Venue, account: int) -> list[int]:
    """Return an account's twelve figures by their definitions."""
    universes, is_future, groups = (a.tolist() for a in (venue.universes, venue.is_future, venue.groups))
    values, rows = venue.values.tolist(), book.rows.tolist()
    stress = [[0] * 32 for _ in range(3)]
    gross, future, value = [0] * 3, [0] * 3, 0
    nets: dict[tuple[int, int], int] = {}
    for place, lots in book.list_positions(account):
        universe = universes[place]
        stress[universe] = [total + lots * change for total, change in zip(stress[universe], rows[place], strict=True)]
        value += lots * values[place]
        gross[universe] += abs(lots)
        if is_future[place]:
            future[universe] += abs(lots)
        else:
            key = (universe, groups[place])
            nets[key] = nets.get(key, 0) + lots
    short = [sum(max(0, -net) for (u, _), net in nets.items() if u == universe) for universe in range(3)]
    losses = []
    for of, vectors in ((venue.extra_of, venue.extras), (venue.order_of, venue.orders)):
        if of[account] >= 0:
            added = vectors[of[account]].tolist()
            stress = [[a + b for a, b in zip(*both, strict=True)] for both in zip(stress, added, strict=True)]
        joint = min(sum(stress[u][row] for u, row in enumerate(rows)) for rows in venue.joint.tolist())
        opposed = min(sum(stress[u][row] for u, row in enumerate(rows)) for rows in venue.opposed.tolist())
        losses.append(max(0, -min(joint, opposed * WEIGHT_PPM // 1_000_000)))
    return [value, *short, *gross, *future, *losses]
