"""The committed state: every table's rows, and the tree that commits to them."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, starmap
from operator import ge
from typing import Any, NamedTuple

from holdfast.primitives.check import ensure
from holdfast.primitives.reject import Malformed
from holdfast.state.draft import Draft, Rows
from holdfast.state.proof import Proof
from holdfast.state.table import AnyTable
from holdfast.state.tree import EMPTY_ROOT, StateTree, TreePlan


class Changed:
    """The rows that a draft has changed, by table, in the order of the tables."""

    __slots__ = ("by_table",)

    def __init__(self, tables: Iterable[AnyTable], draft: Draft) -> None:
        """Take them from a draft; a table that it has not opened has none."""
        self.by_table: dict[AnyTable, dict[Any, Any]] = {
            table: draft[table].changes() for table in tables if table in draft
        }

    def encode(self, draft: Draft) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the rows of the root as bytes, where they differ from the base, by table and key."""
        for table, rows in self.by_table.items():  # det-ok: in the order of the tables
            if table.tag is None:
                continue
            encode_key, encode_value, committed = table.encode_key, table.encode_value, draft[table].get_base
            for key in sorted(rows):
                value = rows[key]
                before = committed(key)
                if value is before or value == before:
                    continue
                yield encode_key(key), None if value is None else encode_value(value)


class Sealed(NamedTuple):
    """What a draft has changed: rows by table, derived ones too; those of the root as bytes; the root they lead to."""

    changed: Changed
    changes: tuple[tuple[bytes, bytes | None], ...]
    plan: TreePlan
    root: bytes


class State:
    """The rows of one committed height. It changes in `commit` alone."""

    def __init__(self, tables: Iterable[AnyTable]) -> None:
        """Start with empty tables."""
        self.tables = tuple(tables)
        self._rows: dict[AnyTable, Rows[Any, Any]] = {table: Rows() for table in self.tables}
        self._by_tag = {table.tag: table for table in self.tables if table.tag is not None}
        ensure(
            len(self._by_tag) == sum(table.tag is not None for table in self.tables),
            "no two tables share a tag",
        )
        self._tree = StateTree()
        self._reader: Draft | None = None

    @property
    def root(self) -> bytes:
        """Return the root of the committed rows."""
        return self._tree.root

    def draft(self) -> Draft:
        """Open a draft over the committed rows; it is also the way to read them."""
        return Draft(self._rows)

    def reader(self) -> Draft:
        """Return a draft that nobody writes to, the same one until the next commit: what it has read stays at hand."""
        if self._reader is None:
            self._reader = Draft(self._rows)
        return self._reader

    def seal(self, draft: Draft) -> Sealed:
        """Compute the root that a draft leads to, leaving the committed rows untouched."""
        changed = Changed(self.tables, draft)
        changes = tuple(changed.encode(draft))
        plan = self._tree.plan(changes)
        return Sealed(changed, changes, plan, plan.root)

    def commit(self, sealed: Sealed) -> None:
        """Make a sealed draft the committed rows."""
        for table, rows in sealed.changed.by_table.items():  # det-ok: each table is independent of the others
            self._rows[table].apply(rows)
        self._tree.apply(sealed.plan)
        self._reader = None

    def prove(self, table: AnyTable, key: object) -> Proof:
        """Return a proof of what the root says about a key."""
        return self._tree.prove(table.encode_key(key))

    def look_up(self, key_bytes: bytes) -> tuple[bytes | None, Proof]:
        """Return the bytes of a row by its key's bytes, with the proof of what the root says about it."""
        table = self._by_tag.get(key_bytes[0]) if key_bytes else None
        value: bytes | None = None
        if table is not None and len(key_bytes) == table.key_bytes:
            row = self._rows[table].by_key.get(table.decode_key(key_bytes))
            value = None if row is None else table.encode_value(row)
        return value, self._tree.prove(key_bytes)

    def export(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every row of the root as bytes, in the order of the keys' bytes."""
        for tag in sorted(self._by_tag):
            table = self._by_tag[tag]
            yield from _encode_rows(table, self._rows[table].ordered, self._rows[table].by_key)

    def export_later(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield what `export` would yield now, however the state moves on meanwhile: keys and values are copied first.

        Why: copying references is cheap; encoding every row is not, and may be done in another thread.
        """
        tables = [self._by_tag[tag] for tag in sorted(self._by_tag)]
        copies = [(table, list(self._rows[table].ordered), dict(self._rows[table].by_key)) for table in tables]
        return chain.from_iterable(starmap(_encode_rows, copies))

    def copy_rows(self) -> tuple[dict[Any, Any], ...]:
        """Return the rows of the root, table by table, in dicts of their own; values are immutable and shared."""
        return tuple(dict(self._rows[table].by_key) for table in self.tables if table.tag is not None)

    def load(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
        """Fill an empty state with exported rows; derived tables are the caller's to rebuild.

        Refuses: Malformed, for an unknown table, keys out of order, or bytes that are not canonical.
        """
        ensure(self.root == EMPTY_ROOT, "only an empty state is loaded")
        keys = [key for key, _ in entries]
        if any(map(ge, keys, keys[1:])):
            message = "rows out of order"
            raise Malformed(message)
        loaded = 0
        for tag in sorted(self._by_tag):
            table = self._by_tag[tag]
            first, end = bisect_left(keys, bytes([tag])), bisect_left(keys, bytes([tag + 1]))
            values = [value for _, value in entries[first:end]]
            self._rows[table].fill(table.decode_keys(keys[first:end]), table.decode_values(values))
            loaded += end - first
        if loaded != len(keys):
            message = "a row of an unknown table"
            raise Malformed(message)
        self._tree.apply(self._tree.plan(entries))
        self._reader = None


def _encode_rows(table: AnyTable, keys: list[Any], values: dict[Any, Any]) -> Iterator[tuple[bytes, bytes]]:
    encode_key, encode_value = table.encode_key, table.encode_value
    for key in keys:
        yield encode_key(key), encode_value(values[key])
