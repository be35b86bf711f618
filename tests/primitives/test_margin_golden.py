"""Margin's golden hash: what the native kernel must sum, drawn and summed here in Python's integers."""

import hashlib
from typing import Final

import numpy as np
import pytest

from holdfast import _kernels
from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.pricing import kernel
from holdfast.primitives.pricing.golden import MARGIN_GOLDEN, Draws
from tests.support.margin_books import Book, Int64s, Venue, compute_in_python, sum_in_python, wrap

INSTRUMENTS: Final = 32
ACCOUNTS: Final = 128
FILLS: Final = 256
VECTORS: Final = 8
HUGE_EVERY: Final = 64
HUGE_LOTS: Final = (-(2**50), 2**50, 2**31, -(2**31) - 1)
LOTS_MAX: Final = 2**21


class World:
    """The draws of `kernels/margin/src/golden.rs`, in its order, and the numbers that come of them."""

    def __init__(self) -> None:
        self.draws = Draws(20251012)
        self.draw = self.draws.column
        self.found: list[int] = []

    def sum_all(self) -> list[int]:
        """Return every number that is hashed."""
        starts = np.concatenate(([0], np.cumsum(self.draw(ACCOUNTS, 0, 24))))
        count = int(starts[-1])
        places, lots = self.places(count), self.draw(count, -LOTS_MAX, LOTS_MAX)
        narrow, hardly_wide, wide = (self.rows(INSTRUMENTS, bits) for bits in (31, 32, 36))
        self.add_figures(Book(starts, places, lots, wide))
        huge = lots.copy()
        huge[::HUGE_EVERY] = self.draws.edged(len(huge[::HUGE_EVERY]), *HUGE_LOTS)
        for rows in (wide, hardly_wide, narrow):
            self.add_sums(Book(starts, places, huge, rows))
        self.found.append(wrap(int(wide[places].sum())))
        self.add_orders(wide)
        return self.found

    def places(self, count: int) -> np.ndarray:
        """Draw row numbers."""
        return self.draw(count, 0, INSTRUMENTS - 1).astype(np.int32)

    def rows(self, count: int, bits: int) -> Int64s:
        """Draw rows of numbers of so many bits beside the sign; every second row is never negative."""
        rows = self.draw(count * 32, -(2**bits), 2**bits - 1).reshape(count, 32)
        rows[::2] ^= rows[::2] >> 63
        return rows

    def add_sums(self, book: Book) -> None:
        """Add the sums of all accounts and the least of each, and both again after fills."""
        sums = sum_in_python(book)
        self.found += [number for row in sums for number in row] + [min(row) for row in sums]
        accounts = self.draw(FILLS, 0, ACCOUNTS - 1).tolist()
        fills = (accounts, self.places(FILLS).tolist(), self.draw(FILLS, -LOTS_MAX, LOTS_MAX).tolist())
        rows = book.rows.tolist()
        for account, place, lots in zip(*fills, strict=True):
            sums[account] = [
                wrap(total + lots * change) for total, change in zip(sums[account], rows[place], strict=True)
            ]
            self.found.append(min(sums[account]))
        self.found += [number for row in sums for number in row]

    def add_orders(self, rows: Int64s) -> None:
        """Add what open orders lose, by cell."""
        places, edges = self.places(FILLS).tolist(), self.draw(FILLS, -(2**36), 2**36).tolist()
        lots, cells = self.draw(FILLS, -(2**24), 2**24).tolist(), self.draw(FILLS, 0, FILLS - 1).tolist()
        sums = [[0] * 32 for _ in range(FILLS)]
        for place, edge, size, cell in zip(places, edges, lots, cells, strict=True):
            losses = [min(0, (change + edge) * size) for change in rows[place].tolist()]
            sums[cell] = [total + loss for total, loss in zip(sums[cell], losses, strict=True)]
        self.found += [number for row in sums for number in row]

    def add_figures(self, book: Book) -> None:
        """Add the figures of all accounts, a figure after the other, and the vectors of the first positions."""
        venue, few = self.draw_venues()
        for scenarios in (venue, few):
            figures = [compute_in_python(book, scenarios, account) for account in range(ACCOUNTS)]
            self.found += [number for column in zip(*figures, strict=True) for number in column]
        universes, rows = venue.universes.tolist(), book.rows.tolist()
        first = list(zip(book.places.tolist(), book.lots.tolist(), strict=True))[:INSTRUMENTS]
        for universe in range(3):
            held = [(place, lots) for place, lots in first if universes[place] == universe]
            self.found += [sum(lots * rows[place][s] for place, lots in held) for s in range(32)]

    def draw_venues(self) -> tuple[Venue, Venue]:
        """Draw the instruments, the listed scenarios and the accounts' vectors; the same with very few scenarios."""
        values, universes = self.draw(INSTRUMENTS, 0, 2**30), self.draw(INSTRUMENTS, 0, 2)
        groups, is_future = self.draw(INSTRUMENTS, 0, INSTRUMENTS // 4), np.zeros(INSTRUMENTS, dtype=np.int64)
        groups[::8], is_future[::8] = -1, 1
        whole = [t for row in range(32) for t in ((row, row, row), (row, 4, 9), (13, row, 9), (13, 4, row))]
        joint = np.concatenate([self.draw(40 * 3, 0, 31).reshape(-1, 3), np.array(whole)])
        opposed, one, two = (self.draw(count * 3, 0, 31).reshape(-1, 3) for count in (24, 1, 2))
        extra_of, order_of = self.draw(ACCOUNTS, -1, VECTORS - 1), self.draw(ACCOUNTS, -1, VECTORS - 1)
        extras, orders = (self.rows(VECTORS * 3, 50).reshape(-1, 3, 32) for _ in range(2))
        venue = Venue(values, universes, is_future, groups, joint, opposed, extra_of, extras, order_of, orders)
        return venue, venue._replace(joint=one, opposed=two)


def test_golden__summed_in_python__is_the_pinned_hash() -> None:
    numbers = World().sum_all()
    assert hashlib.sha256(np.array(numbers, dtype="<i8").tobytes()).hexdigest() == MARGIN_GOLDEN


@pytest.mark.parametrize("path", _kernels.list_paths())
def test_golden__of_every_path__is_the_pinned_hash(path: str) -> None:
    assert _kernels.margin_golden_hash(path) == MARGIN_GOLDEN


def test_choice__margin_of_other_integers__is_refused_with_both_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "margin_golden_hash", lambda _: "0" * 64)
    with pytest.raises(BrokenInvariantError, match=f"margin kernel native-[a-z0-9]+ computes 0+, .* {MARGIN_GOLDEN}"):
        kernel.choose_kernel("native")
