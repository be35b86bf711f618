"""The index's file: its connections, which of its failures are damage, and the check of all of it.

SQLite tells of some damage by itself, and of a flipped bit in a row by none. So rows carry digests, tables carry seals,
and what SQLite knows of its own trees is asked once at the start: then a row that is not found is not there.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct

from holdfast.gateway.sealed import (
    HEADS,
    SCHEMA,
    TABLES,
    UNSEALED,
    Head,
    IndexDamagedError,
    Key,
    Table,
    add,
)

FORMAT: Final = 2
_BUSY_MS: Final = 10_000
_CHECKED_AT_ONCE: Final = 256
_INDEXED: Final = f"SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"  # noqa: F541
# What the machine refuses rather than the file.
_OF_THE_MACHINE: Final = frozenset(
    (
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_MISUSE,
    )
)

R = TypeVar("R", bound=Struct)


class IndexFile:
    """The connections to one index, in a file or in memory. One thread writes, all read."""

    def __init__(self, path: Path | None) -> None:
        """Keep the path; `connect` opens it."""
        self.path = path
        self.lock = threading.RLock()
        # In memory there is one connection, so one lock for both.
        self.read_lock = self.lock if path is None else threading.RLock()
        self.damage = ""  # why nothing more is read from it, until it is made anew
        self._connections: list[sqlite3.Connection] = []
        self.writer: sqlite3.Connection
        self._reader: sqlite3.Connection

    def connect(self) -> None:
        """Open the file, or make it. Refuses: IndexDamagedError, for one that this program has not written."""
        with self.judging():
            target = ":memory:" if self.path is None else str(self.path)
            self._reader = self.writer = self._dial(target)
            self.writer.execute("PRAGMA journal_mode = WAL")
            self.writer.execute("PRAGMA synchronous = NORMAL")
            if self.writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                self.writer.executescript(f"{SCHEMA}PRAGMA user_version = {FORMAT};")
            if self.writer.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
                raise IndexDamagedError("the index is of another format")
            if self.writer.execute(_INDEXED).fetchall() != _list_indexed():
                raise IndexDamagedError("the index has other tables than were made")
            if self.path is not None:
                self._reader = self._dial(target)
                self._reader.execute("PRAGMA query_only = ON")

    def clear(self) -> None:
        """Delete the file and make it anew."""
        self.close()
        if self.path is not None:
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self.damage = ""
        self.connect()

    def close(self) -> None:
        """Close all connections."""
        while self._connections:
            self._connections.pop().close()

    def _dial(self, target: str) -> sqlite3.Connection:
        connection = sqlite3.connect(target, timeout=_BUSY_MS / 1_000, check_same_thread=False)
        self._connections.append(connection)
        return connection

    # Statements

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Tell damage from other failures, and remember it: nothing is read any more. Refuses: IndexDamagedError."""
        if self.damage:
            raise IndexDamagedError(self.damage)
        try:
            yield
        except IndexDamagedError as error:
            self.damage = str(error)
            raise
        except sqlite3.Error as error:
            if not self._is_damage(error):
                raise
            self.damage = f"{type(error).__name__}: {error}"
            raise IndexDamagedError(self.damage) from None

    def _is_damage(self, error: sqlite3.Error) -> bool:
        # The statements are always the same: where SQLite refuses one, the file is not as they expect.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code == sqlite3.SQLITE_READONLY:
            return self.path is not None and os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)
        is_ours = isinstance(error, sqlite3.ProgrammingError) and not hasattr(error, "sqlite_errorcode")
        return not is_ours and code not in _OF_THE_MACHINE

    def fail(self, reason: str) -> IndexDamagedError:
        """Remember that what was read contradicts itself or the chain; return the refusal."""
        self.damage = self.damage or reason
        return IndexDamagedError(self.damage)

    def read(self, sql: str, arguments: Sequence[Key] = ()) -> str:
        """Return the one text that a statement gives. Refuses: IndexDamagedError."""
        with self.read_lock, self.judging():
            return _fetch(self._reader, sql, arguments)

    def select(self, table: Table[R], where: str, arguments: Sequence[Key] = ()) -> list[R]:
        """Return the rows of a table, each checked. Refuses: IndexDamagedError."""
        sql = table.select_sql(where)
        with self.read_lock, self.judging():
            return table.read(_fetch(self._reader, sql, arguments))[0]

    def select_written(
        self, table: Table[R], where: str, arguments: Sequence[Key] = ()
    ) -> tuple[list[R], list[int]]:
        """Return rows and digests as the writer sees them. Refuses: IndexDamagedError."""
        return table.read(_fetch(self.writer, table.select_sql(where), arguments))

    def read_head(self) -> Head | None:
        """Return what the index says of itself, None where it is new. Refuses: IndexDamagedError."""
        with self.judging():
            return _find_head(self.writer)

    # All of it

    def check(self, is_stopping: Callable[[], bool] = lambda: False) -> None:
        """Read everything once and hold it against the seals. Refuses: IndexDamagedError.

        It sees one moment through a connection of its own, and may run beside readers and the writer.
        """
        if self.path is None:
            return
        with self.judging(), closing(sqlite3.connect(str(self.path), timeout=_BUSY_MS / 1_000)) as connection:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            found = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
            if found != "ok":
                message = f"SQLite finds {' '.join(found.split())}"
                raise IndexDamagedError(message)
            head = _find_head(connection)
            for table in TABLES:
                if is_stopping():
                    return
                seal = _count(connection, table, is_stopping)
                if seal != (UNSEALED if head is None else head.seals.get(table.name, UNSEALED)) and not is_stopping():
                    message = f"{seal[0]} rows of {table.name} are not those that were written"
                    raise IndexDamagedError(message)


def _fetch(connection: sqlite3.Connection, sql: str, arguments: Sequence[Key]) -> str:
    return str(connection.execute(sql, arguments).fetchone()[0])


def _find_head(connection: sqlite3.Connection) -> Head | None:
    heads = HEADS.read(_fetch(connection, HEADS.select_sql("1"), ()))[0]
    return heads[0] if heads else None


def _count(connection: sqlite3.Connection, table: Table[R], is_stopping: Callable[[], bool]) -> tuple[int, int]:
    """Return the seal of what a table holds, every row checked, some at a time."""
    names = ", ".join(table.unique)
    marks = ", ".join("?" * len(table.unique))
    seal, last = UNSEALED, ()
    while not is_stopping():
        where = f"({names}) > ({marks})" if last else "1"
        sql = table.select_sql(f"{where} ORDER BY {names} LIMIT {_CHECKED_AT_ONCE}")
        rows, digests = table.read(_fetch(connection, sql, last))
        if not rows:
            break
        seal = add(seal, digests)
        last = tuple(getattr(rows[-1], name) for name in table.unique)
    return seal


def _list_indexed() -> list[tuple[str, str, str]]:
    """Return what SQLite says of the tables that this program makes."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        return connection.execute(_INDEXED).fetchall()
