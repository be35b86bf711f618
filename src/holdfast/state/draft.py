"""Copy-on-write drafts over the committed state.

A `Draft` holds a block's changes beside the untouched base. Inside it, `nested()` opens a draft in the draft: leaving it
normally keeps its changes, leaving it by an exception drops them. Nesting costs a journal entry a write, and a read is
never more than two lookups deep however far the nesting goes.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from holdfast.primitives.check import ensure
from holdfast.state.table import AnyTable, Ordered, Table

K = TypeVar("K", bound=Ordered)
V = TypeVar("V")


class _Absent:
    """Marks a key that a draft has not touched, as against one that it deleted."""


_ABSENT: Final = _Absent()
# (changes of a table, key, what stood there before): what undoes one write
_Journal = list[tuple[dict[Any, Any], Any, Any]]


class Rows(Generic[K, V]):
    """The committed rows of one table, with their keys kept in order."""

    __slots__ = ("by_key", "ordered")

    def __init__(self) -> None:
        """Start empty."""
        self.by_key: dict[K, V] = {}
        self.ordered: list[K] = []

    def apply(self, changed: dict[K, V | None]) -> None:
        """Take over a draft's changes."""
        by_key, ordered = self.by_key, self.ordered
        for key, value in changed.items():  # det-ok: each entry is independent of the others
            if value is not None:
                if key not in by_key:
                    insort(ordered, key)
                by_key[key] = value
            elif key in by_key:
                del by_key[key]
                del ordered[bisect_left(ordered, key)]


class DraftTable(Generic[K, V]):
    """One table as a draft sees it."""

    __slots__ = ("_base", "_changed", "_journal", "_rows", "get_base")

    def __init__(self, rows: Rows[K, V], journal: _Journal) -> None:
        """Lay an empty set of changes over committed rows."""
        self._rows = rows
        self._base = rows.by_key
        self._changed: dict[K, V | None] = {}
        self._journal = journal
        self.get_base = rows.by_key.get

    def get(self, key: K) -> V | None:
        """Return the value at a key, or None."""
        value = self._changed.get(key, _ABSENT)
        if value is _ABSENT:
            return self._base.get(key)
        return value  # type: ignore[return-value] # the marker is gone, and a cast would cost a call a read

    def __getitem__(self, key: K) -> V:
        """Return the value at a key that must be there."""
        value = self.get(key)
        if value is None:
            ensure(condition=False, claim="a row that is read without asking exists")
        return value  # type: ignore[return-value]

    def __contains__(self, key: K) -> bool:
        """Return whether a key has a value."""
        return self.get(key) is not None

    def put(self, key: K, value: V) -> None:
        """Write a value."""
        changed = self._changed
        self._journal.append((changed, key, changed.get(key, _ABSENT)))
        changed[key] = value

    def fill(self, rows: dict[K, V]) -> None:
        """Write many rows at once, outside of any nested draft: there is no way back but the draft's own end."""
        self._changed.update(rows)

    def delete(self, key: K) -> None:
        """Remove a key that has a value."""
        changed = self._changed
        self._journal.append((changed, key, changed.get(key, _ABSENT)))
        changed[key] = None

    def keys(self) -> list[K]:
        """Return the keys in order; the list is shared and must not be changed."""
        base, ordered = self._base, self._rows.ordered
        changed = self._changed
        added = [key for key in changed if changed[key] is not None and key not in base]
        removed = {key: True for key in changed if changed[key] is None and key in base}
        if not added and not removed:
            return ordered
        kept = [key for key in ordered if key not in removed] if removed else list(ordered)
        kept.extend(added)
        kept.sort()
        return kept

    def items(self) -> list[tuple[K, V]]:
        """Return keys and values as of now, in the order of the keys."""
        base, changed = self._base, self._changed
        if not changed:
            return [(key, base[key]) for key in self._rows.ordered]
        return [(key, cast("V", changed[key] if key in changed else base[key])) for key in self.keys()]

    def as_dict(self) -> dict[K, V]:
        """Return the rows as of now in a dict of their own, in no order."""
        rows = dict(self._base)
        for key, value in self._changed.items():  # det-ok: each entry is independent of the others
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
        return rows

    def changes(self) -> dict[K, V | None]:
        """Return what the draft holds beside the base: None where it deletes."""
        return self._changed


class Draft(dict[AnyTable, DraftTable[Any, Any]]):
    """All tables with one block's changes. `draft[TABLE]` is the table; nothing reaches the base before a commit."""

    __slots__ = ("_depth", "_journal", "_rows")

    def __init__(self, rows: dict[AnyTable, Rows[Any, Any]]) -> None:
        """Open a draft over committed rows."""
        self._journal: _Journal = []
        self._depth = 0
        self._rows = rows
        super().__init__({table: DraftTable(rows[table], self._journal) for table in rows})

    if TYPE_CHECKING:

        def __getitem__(self, table: Table[K, V]) -> DraftTable[K, V]:
            """Return one table of the draft."""

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Open a draft in the draft: kept on a normal exit, dropped on an exception."""
        mark = self.mark()
        try:
            yield
        except BaseException:
            self.drop(mark)
            raise
        self.keep()

    def mark(self) -> int:
        """Open a nested draft by hand; close it with `keep` or `drop`."""
        self._depth += 1
        return len(self._journal)

    def keep(self) -> None:
        """Keep the innermost nested draft's changes."""
        self._depth -= 1
        if self._depth == 0:
            self._journal.clear()

    def drop(self, mark: int) -> None:
        """Undo everything since a mark and close that nested draft."""
        journal = self._journal
        for changed, key, before in reversed(journal[mark:]):
            if before is _ABSENT:
                del changed[key]
            else:
                changed[key] = before
        del journal[mark:]
        self._depth -= 1
        if self._depth == 0:
            journal.clear()

    def shadow(self) -> "Draft":
        """Return a draft of the same primary rows with every derived table empty, for rebuilding them to compare."""
        copy = Draft({table: self._rows[table] if table.tag is not None else Rows() for table in self._rows})
        for table in self._rows:
            if table.tag is not None:
                copy[table].changes().update(self[table].changes())
        return copy
