"""The store bench: the durable commit of a block that changes many keys, and the opening of a large state.

The limit is the medium itself: the same bytes in one write and one sync. The peers are SQLite (write-ahead log, synced
at every commit) and, where it can be imported, LMDB, each holding the same rows. All take turns commit by commit, so
that what else the machine does falls on all alike.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter
from typing import Final, NamedTuple, Protocol, Self, cast

from holdfast.lab.world import derive_random
from holdfast.node.disk import FileDisk
from holdfast.node.frames import frame
from holdfast.node.store import Saved, StateStore
from holdfast.primitives import codec

Row = tuple[bytes, bytes]
OWN, LIMIT, SQLITE, LMDB = "holdfast", "one write, one sync", "sqlite", "lmdb"
GOAL_RATIO: Final = 2.0
_WARM_COMMITS: Final = 5
_KEY_BYTES: Final = 17
_VALUE_BYTES: Final = 40
_MAP_BYTES: Final = 2**32
_P99: Final = 0.99


class Taken(NamedTuple):
    """What one store took: commits in milliseconds, and opening it with every row, in seconds."""

    p50_ms: float
    p99_ms: float
    open_s: float


class StoreFigures(NamedTuple):
    """What the bench found, by store; `ratio` is the own commit over the limit's, at the median."""

    commits: int
    keys: int
    rows: int
    bytes_a_commit: int
    taken: dict[str, Taken]

    @property
    def ratio(self) -> float:
        """Return how many times as long as one write and one sync of its bytes a commit takes."""
        return self.taken[OWN].p50_ms / self.taken[LIMIT].p50_ms

    @property
    def is_met(self) -> bool:
        """Tell whether the commit is as near to the limit as it should be."""
        return self.ratio <= GOAL_RATIO

    def to_lines(self) -> list[str]:
        """Return the figures for people."""
        head = (
            f"durable commit of {self.keys} keys ({self.bytes_a_commit:,} bytes) beside {self.rows:,} rows,"
            f" {self.commits} commits"
        )
        lines = [
            f"  {name:<20} p50 {taken.p50_ms:7.2f} ms   p99 {taken.p99_ms:7.2f} ms   open {taken.open_s:6.2f} s"
            for name, taken in self.taken.items()
        ]
        verdict = "met" if self.is_met else "missed"
        return [head, *lines, f"  {OWN} takes {self.ratio:.2f}x the limit (goal {GOAL_RATIO:.0f}x: {verdict})"]


class Contender(Protocol):
    """A store under test."""

    def commit(self, height: int, changes: Sequence[Row]) -> None:
        """Make some rows durable."""

    def open(self) -> int:
        """Open the store anew and read every row; return how many."""

    def close(self) -> None:
        """Let go of the files."""


class _Own:
    """This exchange's store."""

    def __init__(self, folder: Path, rows: Sequence[Row]) -> None:
        self._folder = folder
        self._disk = FileDisk(folder)
        self._store = StateStore(self._disk)
        self._store.load()
        self._store.save_block(1, bytes(32), tuple(rows))
        self._store.start_snapshot(1, bytes(32), rows)
        self._store.settle()

    def commit(self, height: int, changes: Sequence[Row]) -> None:
        self._store.save_block(height, bytes(32), tuple(changes))

    def open(self) -> int:
        loaded = StateStore(FileDisk(self._folder)).load()
        return 0 if loaded is None else len(loaded.rows)

    def close(self) -> None:
        self._store.close()
        self._disk.close()


class _Limit:
    """One write and one sync of the bytes that the own store writes."""

    def __init__(self, folder: Path, rows: Sequence[Row]) -> None:
        folder.mkdir(parents=True)
        self._path = folder / "bytes"
        self._descriptor = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.write(self._descriptor, b"".join(key + value for key, value in rows))
        os.fsync(self._descriptor)
        self.pending = b""

    def commit(self, height: int, changes: Sequence[Row]) -> None:  # noqa: ARG002 -- the bytes are made beforehand
        os.write(self._descriptor, self.pending)
        os.fdatasync(self._descriptor)

    def open(self) -> int:
        return len(self._path.read_bytes())

    def close(self) -> None:
        os.close(self._descriptor)


class _Sqlite:
    """SQLite with a write-ahead log and a sync at every commit."""

    def __init__(self, folder: Path, rows: Sequence[Row]) -> None:
        folder.mkdir(parents=True)
        self._path = folder / "rows.sqlite"
        self._database = self._connect()
        self._database.execute("CREATE TABLE rows (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
        self.commit(1, rows)

    def commit(self, height: int, changes: Sequence[Row]) -> None:  # noqa: ARG002 -- a database needs no heights
        with self._database:
            self._database.execute("BEGIN")
            self._database.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", changes)

    def open(self) -> int:
        database = self._connect()
        count = len(database.execute("SELECT key, value FROM rows ORDER BY key").fetchall())
        database.close()
        return count

    def close(self) -> None:
        self._database.close()

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        return database


class _Transaction(Protocol):
    """As much of an LMDB transaction as is used here."""

    def put(self, key: bytes, value: bytes) -> bool: ...

    def cursor(self) -> Iterator[Row]: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class _Environment(Protocol):
    """As much of an LMDB environment as is used here."""

    def begin(self, *, write: bool) -> _Transaction: ...

    def close(self) -> None: ...


class _Library(Protocol):
    """As much of LMDB as is used here."""

    def open(self, path: str, *, map_size: int) -> _Environment: ...


class _Lmdb:
    """LMDB as it comes: each commit is synced."""

    def __init__(self, folder: Path, rows: Sequence[Row]) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._environment = self._connect()
        self.commit(1, rows)

    def commit(self, height: int, changes: Sequence[Row]) -> None:  # noqa: ARG002 -- a database needs no heights
        with self._environment.begin(write=True) as transaction:
            for key, value in changes:
                transaction.put(key, value)

    def open(self) -> int:
        # One process opens an environment once.
        self._environment.close()
        self._environment = self._connect()
        with self._environment.begin(write=False) as transaction:
            return len(list(transaction.cursor()))

    def close(self) -> None:
        self._environment.close()

    def _connect(self) -> _Environment:
        library = cast("_Library", import_module("lmdb"))
        return library.open(str(self._folder), map_size=_MAP_BYTES)


def measure_store(
    folder: Path, *, commits: int = 200, keys: int = 1_000, rows: int = 300_000, seed: int = 1
) -> StoreFigures:
    """Measure in a folder of its own, which is deleted afterwards."""
    random = derive_random(seed, "store bench")
    state = [(index.to_bytes(_KEY_BYTES, "big"), random.randbytes(_VALUE_BYTES)) for index in range(rows)]
    makers: dict[str, Callable[[Path, Sequence[Row]], Contender]] = {OWN: _Own, LIMIT: _Limit, SQLITE: _Sqlite}
    if find_spec("lmdb") is not None:
        makers[LMDB] = _Lmdb
    times: dict[str, list[float]] = {name: [] for name in makers}
    with _contenders(folder, makers, state) as stores:
        size = 0
        for number in range(_WARM_COMMITS + commits):
            height = number + 2
            changes = _draw(random, rows, keys)
            record = frame(codec.encode(Saved(height, bytes(32), tuple(changes))))
            size = len(record)
            for name in _turns(list(stores), number):
                store = stores[name]
                if isinstance(store, _Limit):
                    store.pending = record
                began = perf_counter()
                store.commit(height, changes)
                if number >= _WARM_COMMITS:
                    times[name].append(perf_counter() - began)
        opened = {name: _time_open(store) for name, store in stores.items()}
    taken = {name: Taken(_ms(median(times[name])), _ms(_high(times[name])), opened[name]) for name in makers}
    return StoreFigures(commits, keys, rows, size, taken)


@contextmanager
def _contenders(
    folder: Path, makers: dict[str, Callable[[Path, Sequence[Row]], Contender]], rows: Sequence[Row]
) -> Iterator[dict[str, Contender]]:
    place = folder / "store-bench"
    shutil.rmtree(place, ignore_errors=True)
    stores: dict[str, Contender] = {}
    try:
        for number, (name, make) in enumerate(makers.items()):
            stores[name] = make(place / str(number), rows)
        yield stores
    finally:
        for store in stores.values():
            store.close()
        shutil.rmtree(place, ignore_errors=True)


def _draw(random: Random, rows: int, keys: int) -> list[Row]:
    indices = sorted(random.sample(range(rows), keys))
    return [(index.to_bytes(_KEY_BYTES, "big"), random.randbytes(_VALUE_BYTES)) for index in indices]


def _turns(names: list[str], number: int) -> list[str]:
    place = number % len(names)
    return names[place:] + names[:place]


def _time_open(store: Contender) -> float:
    began = perf_counter()
    store.open()
    return perf_counter() - began


def _high(times: list[float]) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * _P99))]


def _ms(seconds: float) -> float:
    return 1_000 * seconds
