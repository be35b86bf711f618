"""A table's rows as sorted columns of integers, for arithmetic over all of them at once.

Columns are derived: they are made from a table's rows, and follow its changes from block to block, so that a block
costs what it changes and a copy, never a walk over every row.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from holdfast.primitives.check import ensure
from holdfast.state.draft import DraftTable

Int64Array = NDArray[np.int64]
Row = tuple[int, ...] | None

KEY_MAX: Final = 2**63 - 1


class Columns:
    """Rows in the order of their keys: `keys` int64[n], strictly ascending, and `values` int64[columns, n].

    Immutable: both arrays are shared and written by nobody.
    """

    __slots__ = ("keys", "values")

    def __init__(self, keys: Int64Array, values: Int64Array) -> None:
        """Take arrays over; each column of values lies in one piece."""
        values = np.ascontiguousarray(values)
        keys.setflags(write=False)
        values.setflags(write=False)
        self.keys = keys
        self.values = values

    def __eq__(self, other: object) -> bool:
        """Return whether the rows are the same."""
        return (
            isinstance(other, Columns)
            and np.array_equal(self.keys, other.keys)
            and np.array_equal(self.values, other.values)
        )

    __hash__ = None  # type: ignore[assignment]

    def change(self, changes: Sequence[tuple[int, Row]]) -> "Columns":
        """Return the columns with some rows put or, where None, removed; `changes` ascend by key, each key once."""
        if not changes:
            return self
        keys = np.array([key for key, _ in changes], dtype=np.int64)
        is_put = np.array([row is not None for _, row in changes], dtype=bool)
        rows = np.array([row for _, row in changes if row is not None], dtype=np.int64)
        rows = rows.reshape(-1, self.values.shape[0]).T
        places = np.searchsorted(self.keys, keys)
        is_there = np.zeros(len(keys), dtype=bool)
        inside = places < len(self.keys)
        is_there[inside] = self.keys[places[inside]] == keys[inside]
        values = self.values.copy()
        values[:, places[is_there & is_put]] = rows[:, is_there[is_put]]
        is_new, is_gone = is_put & ~is_there, is_there & ~is_put
        if not is_new.any() and not is_gone.any():
            return Columns(self.keys, values)
        kept = np.ones(len(self.keys), dtype=bool)
        kept[places[is_gone]] = False
        rest, added = self.keys[kept], keys[is_new]
        at = np.searchsorted(rest, added)
        new_rows = rows[:, is_new[is_put]]
        return Columns(np.insert(rest, at, added), np.insert(values[:, kept], at, new_rows, axis=1))


def make_columns(rows: Mapping[int, tuple[int, ...]], width: int) -> Columns:
    """Return the columns of rows of one width."""
    keys = sorted(rows)
    ensure(not keys or (keys[0] >= 0 and keys[-1] <= KEY_MAX), "the keys of columns fit int64")
    values = np.array([rows[key] for key in keys], dtype=np.int64).reshape(-1, width).T
    return Columns(np.array(keys, dtype=np.int64), values)


def empty_columns(width: int) -> Columns:
    """Return columns without rows."""
    return make_columns({}, width)


Located = tuple[int, int, Row]  # page, key in it, row


def refresh_pages(pages: DraftTable[int, Columns], located: Iterable[Located], width: int) -> None:
    """Bring a derived table of pages up to a draft: `located` is every row that differs from what was committed.

    Pages start from the committed ones, whatever the draft has made of them so far. A page without rows is not kept.
    """
    by_page: dict[int, list[tuple[int, Row]]] = {page: [] for page in sorted(pages.changes())}
    for page, key, row in located:
        by_page.setdefault(page, []).append((key, row))
    for page in sorted(by_page):
        base = pages.get_base(page)
        after = (empty_columns(width) if base is None else base).change(sorted(by_page[page], key=itemgetter(0)))
        if len(after.keys):
            pages.put(page, after)
        elif page in pages:
            pages.delete(page)


def make_pages(located: Iterable[Located], width: int) -> dict[int, Columns]:
    """Return the pages of all rows."""
    by_page: dict[int, dict[int, tuple[int, ...]]] = {}
    for page, key, row in located:
        if row is not None:
            by_page.setdefault(page, {})[key] = row
    return {page: make_columns(by_page[page], width) for page in sorted(by_page)}
