"""The index's file: its connections, which of its failures are damage, and the check of all of it.

SQLite tells of some damage by itself, and of a flipped bit in a row by none. So rows carry digests, tables carry seals,
and what SQLite knows of its own trees is asked once at the start: then a row that is not found is not there.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from holdfast.gateway.sealed import (
    HEADS,
    SCHEMA,
    TABLES,
    UNSEALED,
    AnyTable,
    Head,
    IndexDamagedError,
    Key,
    Table,
    read_seal,
)

FORMAT: Final = 2
_BUSY_MS: Final = 10_000
_READ_AT_ONCE: Final = 128
_PAUSE_MAX_S: Final = 0.1
_STEPS_AT_ONCE: Final = 1_000_000
_INDEXED: Final = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
# What the machine refuses rather than the file. A sector that cannot be read is the file's: another file has others.
_OF_THE_MACHINE: Final = frozenset(
    (
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_MISUSE,
    )
)

R = TypeVar("R", bound=Struct)
T = TypeVar("T")
IsStopping = Callable[[], bool]


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

    def connect(self) -> bool:
        """Open the file, or make it; return whether it is new.

        Refuses: IndexDamagedError, for one that this program has not written.
        """
        with self.judging():
            is_new = False
            target = ":memory:" if self.path is None else str(self.path)
            self._reader = self.writer = self._dial(target)
            self.writer.execute("PRAGMA journal_mode = WAL")
            self.writer.execute("PRAGMA synchronous = NORMAL")
            if self.writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                is_new = True
                self.writer.executescript(f"{SCHEMA}PRAGMA user_version = {FORMAT};")
            if self.writer.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
                raise IndexDamagedError("the index is of another format")
            if self.writer.execute(_INDEXED).fetchall() != _list_indexed():
                raise IndexDamagedError("the index has other tables than were made")
            if self.path is not None:
                self._reader = self._dial(target)
                self._reader.execute("PRAGMA query_only = ON")
            return is_new

    def clear(self) -> None:
        """Delete the file and make it anew."""
        self.close()
        if self.path is not None:
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self.damage = ""
        try:
            self.connect()
        except (sqlite3.Error, IndexDamagedError):
            self.damage = self.damage or "the index could not be made anew"
            raise

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
            raise self.fail(str(error)) from None
        except (sqlite3.Error, msgspec.DecodeError, UnicodeDecodeError) as error:
            explained = self._explain(error)
            if isinstance(explained, IndexDamagedError):
                self.fail(str(explained))
            raise explained from None

    def _explain(self, error: Exception) -> Exception:
        """Return what an error says: damage, or itself."""
        if isinstance(error, sqlite3.Error) and not self._is_damage(error):
            return error
        return IndexDamagedError(f"{type(error).__name__}: {' '.join(str(error).split())}")

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

    def read(self, decoder: msgspec.json.Decoder[T], sql: str, arguments: Sequence[Key] = ()) -> T:
        """Return what the one text of a statement says. Refuses: IndexDamagedError."""
        with self.read_lock, self.judging():
            return decoder.decode(_fetch(self._reader, sql, arguments))

    def select(self, table: Table[R], where: str, arguments: Sequence[Key] = ()) -> list[R]:
        """Return the rows of a table, each checked. Refuses: IndexDamagedError."""
        sql = table.select_sql(where)
        with self.read_lock, self.judging():
            return table.read(_fetch(self._reader, sql, arguments))[0]

    def select_all(self, table: AnyTable) -> Sequence[Struct]:
        """Return all rows of a table. Refuses: IndexDamagedError."""
        sql = table.select_sql(table.all_rows)
        with self.read_lock, self.judging():
            return table.read(_fetch(self._reader, sql, ()))[0]

    def select_written(self, table: Table[R], where: str, arguments: Sequence[Key] = ()) -> tuple[list[R], list[int]]:
        """Return rows and digests as the writer sees them. Refuses: IndexDamagedError."""
        return table.read(_fetch(self.writer, table.select_sql(where), arguments))

    def read_head(self) -> Head | None:
        """Return what the index says of itself, None where it is new. Refuses: IndexDamagedError."""
        with self.judging():
            return _find_head(self.writer)

    # All of it

    def check_trees(self, is_stopping: IsStopping) -> None:
        """Hold what is there against SQLite's trees and the tables' seals. Refuses: IndexDamagedError.

        A row that is there is found by each of its keys after this. It runs beside the writer, at the speed of C.
        """
        with self._looking(is_stopping) as connection:
            # One moment, whatever is written meanwhile.
            connection.execute("BEGIN")
            found = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
            if found != "ok":
                raise IndexDamagedError(f"SQLite finds {' '.join(found.split())}")
            head = _find_head(connection)
            for table in TABLES:
                seal = read_seal(_fetch(connection, table.seal_sql, ()))
                if head is None or seal != head.seals.get(table.name, UNSEALED):
                    raise IndexDamagedError(f"the rows of {table.name} are not those that were written")

    def check_rows(self, is_stopping: IsStopping) -> None:
        """Read every row once, without haste. Refuses: IndexDamagedError."""
        with self._looking(is_stopping) as connection:
            for table in TABLES:
                _read_through(connection, table, is_stopping)

    @contextmanager
    def _looking(self, is_stopping: IsStopping) -> Iterator[sqlite3.Connection]:
        """Lend a connection that stops when it should. Refuses: IndexDamagedError."""
        try:
            with closing(sqlite3.connect(str(self.path), timeout=_BUSY_MS / 1_000)) as connection:
                connection.execute("PRAGMA query_only = ON")
                connection.set_progress_handler(is_stopping, _STEPS_AT_ONCE)
                yield connection
        except (sqlite3.Error, msgspec.DecodeError, UnicodeDecodeError) as error:
            if not is_stopping():
                raise self._explain(error) from None


def _fetch(connection: sqlite3.Connection, sql: str, arguments: Sequence[Key]) -> str:
    return str(connection.execute(sql, arguments).fetchone()[0])


def _find_head(connection: sqlite3.Connection) -> Head | None:
    heads = HEADS.read(_fetch(connection, HEADS.select_sql("1"), ()))[0]
    return heads[0] if heads else None


def _read_through(connection: sqlite3.Connection, table: AnyTable, is_stopping: IsStopping) -> None:
    """Read a table some rows at a time, and leave as much time again to others."""
    names = ", ".join(table.unique)
    where = f"({names}) > ({', '.join('?' * len(table.unique))})"
    last: tuple[Key, ...] = ()
    while not is_stopping():
        began_s = time.monotonic()
        sql = table.select_sql(f"{where if last else '1'} ORDER BY {names} LIMIT {_READ_AT_ONCE}")
        rows, _ = table.read(_fetch(connection, sql, last))
        if not rows:
            return
        last = tuple(getattr(rows[-1], name) for name in table.unique)
        time.sleep(min(_PAUSE_MAX_S, time.monotonic() - began_s))


def _list_indexed() -> list[tuple[str, str, str]]:
    """Return what SQLite says of the tables that this program makes."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        return connection.execute(_INDEXED).fetchall()
