"""Copy-on-write drafts over the committed state.

A `Draft` holds a block's changes beside the untouched base. Inside it, `nested()` opens a draft in the draft: leaving
it normally keeps its changes, leaving it by an exception drops them. Nesting costs a journal entry a write; a read is
one lookup however far the nesting goes, since what is read from the base stays at hand.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from holdfast.primitives.check import ensure
from holdfast.state.table import AnyTable, Ordered, Table

K = TypeVar("K", bound=Ordered)
V = TypeVar("V")


class _Absent:
    """Marks a key that a draft has not looked at, as against one that has no value."""


_ABSENT: Final = _Absent()
# Each insertion moves half of a table's keys; a sort of what is nearly sorted looks at all of them once.
_INSERTED_ONE_BY_ONE_MAX: Final = 64
# (view of a table, key, what stood there before): what undoes one write
_Undo = tuple[dict[Any, Any], Any, Any]
_Journal = list[_Undo]


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
        added: list[K] = []
        for key, value in changed.items():  # det-ok: each entry is independent of the others
            if value is not None:
                if key not in by_key:
                    added.append(key)
                by_key[key] = value
            elif key in by_key:
                del by_key[key]
                del ordered[bisect_left(ordered, key)]
        if len(added) <= _INSERTED_ONE_BY_ONE_MAX:
            for key in added:
                insort(ordered, key)
        else:
            ordered.extend(added)
            ordered.sort()

    def fill(self, keys: list[K], values: list[V]) -> None:
        """Take many rows into an empty table, keys in order."""
        self.by_key = dict(zip(keys, values, strict=True))
        self.ordered = keys


class _View(dict[K, V | None]):
    """What a draft has read or written of one table; None where there is no value."""

    __slots__ = ("_get_base",)

    def __init__(self, get_base: Callable[[K], V | None]) -> None:
        super().__init__()
        self._get_base = get_base

    def __missing__(self, key: K) -> V | None:
        value = self[key] = self._get_base(key)
        return value


class DraftTable(Generic[K, V]):
    """One table as a draft sees it. `get` returns the value at a key, or None; `get_base` what was committed there."""

    __slots__ = ("_note", "_peek", "_rows", "_view", "get", "get_base")

    def __init__(self, rows: Rows[K, V], journal: _Journal) -> None:
        """Lay an empty view over committed rows."""
        self._rows = rows
        self._note: Callable[[_Undo], None] = journal.append
        self.get_base: Callable[[K], V | None] = rows.by_key.get
        self._view: _View[K, V] = _View(self.get_base)
        self._peek: Callable[[K, _Absent], V | _Absent | None] = self._view.get
        self.get: Callable[[K], V | None] = self._view.__getitem__

    def __getitem__(self, key: K) -> V:
        """Return the value at a key that must be there."""
        value = self._view[key]
        if value is None:
            ensure(condition=False, claim="a row that is read without asking exists")
        return value  # type: ignore[return-value]

    def __contains__(self, key: K) -> bool:
        """Return whether a key has a value."""
        return self._view[key] is not None

    def put(self, key: K, value: V) -> None:
        """Write a value."""
        view = self._view
        self._note((view, key, self._peek(key, _ABSENT)))
        view[key] = value

    def fill(self, rows: dict[K, V]) -> None:
        """Write many rows at once, outside of any nested draft: there is no way back but the draft's own end."""
        self._view.update(rows)

    def carry_over(self, other: "DraftTable[K, V]") -> None:
        """Take another draft's changes of the same rows."""
        self._view.update(other.changes())

    def delete(self, key: K) -> None:
        """Remove a key that has a value."""
        view = self._view
        self._note((view, key, self._peek(key, _ABSENT)))
        view[key] = None

    def keys(self) -> list[K]:
        """Return the keys in order; the list is shared and must not be changed."""
        base, ordered, changed = self._rows.by_key, self._rows.ordered, self.changes()
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
        base, changed = self._rows.by_key, self.changes()
        if not changed:
            return [(key, base[key]) for key in self._rows.ordered]
        return [(key, cast("V", changed[key] if key in changed else base[key])) for key in self.keys()]

    def as_dict(self) -> dict[K, V]:
        """Return the rows as of now in a dict of their own, in no order."""
        rows = dict(self._rows.by_key)
        for key, value in self.changes().items():  # det-ok: each entry is independent of the others
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
        return rows

    def changes(self) -> dict[K, V | None]:
        """Return what differs from the base, in no order: None where the draft deletes."""
        view = self._view
        pairs = zip(view.items(), map(self.get_base, view), strict=True)  # det-ok: a dict of its own
        return {key: value for (key, value), before in pairs if value is not before}


class Draft(dict[AnyTable, DraftTable[Any, Any]]):
    """All tables with one block's changes. `draft[TABLE]` is the table; nothing reaches the base before a commit."""

    __slots__ = ("_depth", "_journal", "_rows")

    def __init__(self, rows: dict[AnyTable, Rows[Any, Any]]) -> None:
        """Open a draft over committed rows."""
        self._journal: _Journal = []
        self._depth = 0
        self._rows = rows
        super().__init__()

    def __missing__(self, table: AnyTable) -> DraftTable[Any, Any]:
        """Open a table when it is first asked for."""
        opened = self[table] = DraftTable(self._rows[table], self._journal)
        return opened

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
        for view, key, before in reversed(journal[mark:]):
            if before is _ABSENT:
                del view[key]
            else:
                view[key] = before
        del journal[mark:]
        self._depth -= 1
        if self._depth == 0:
            journal.clear()

    def shadow(self) -> "Draft":
        """Return a draft of the same primary rows with every derived table empty, for rebuilding them to compare."""
        copy = Draft({table: self._rows[table] if table.tag is not None else Rows() for table in self._rows})
        for table in self._rows:
            if table.tag is not None:
                copy[table].carry_over(self[table])
        return copy
