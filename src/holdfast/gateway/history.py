"""The index of what was committed: blocks, transactions, trades, orders' last states, every account's events.

It is derived: all of it follows from the decided blocks, so it may be deleted and is built again. One thread writes,
a batch of blocks in one transaction; readers have a connection of their own. Rows travel as one JSON text a statement,
because every step of a statement gives up the interpreter, and takes it back only when a validator lets go.
"""

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from holdfast.gateway.rows import (
    TRADES_PER_BLOCK_BITS,
    Builder,
    Commit,
    InstrumentRow,
    OrderRow,
    Rows,
    TradeRow,
    TxRow,
    list_order_ids,
)

FORMAT: Final = 1
_BUSY_MS: Final = 10_000

_SCHEMA: Final = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE blocks(height INTEGER PRIMARY KEY, time_ms INTEGER, app_hash TEXT, txs INTEGER);
CREATE TABLE txs(tx_hash TEXT PRIMARY KEY, height INTEGER, position INTEGER, account_id INTEGER, signer TEXT,
 nonce INTEGER, code INTEGER, detail TEXT, command TEXT) WITHOUT ROWID;
CREATE INDEX txs_by_height ON txs(height, position);
CREATE INDEX txs_by_nonce ON txs(account_id, signer, nonce);
CREATE TABLE trades(trade_id INTEGER PRIMARY KEY, height INTEGER, time_ms INTEGER, tx_hash TEXT, instrument_id INTEGER,
 price_ticks INTEGER, lots INTEGER, taker_side INTEGER, taker_id INTEGER, maker_id INTEGER, taker_order_id INTEGER,
 maker_order_id INTEGER, taker_fee_atoms INTEGER, maker_fee_atoms INTEGER, trade_seq INTEGER, is_liquidation INTEGER);
CREATE INDEX trades_by_instrument ON trades(instrument_id, trade_id);
CREATE INDEX trades_by_taker ON trades(taker_id, trade_id);
CREATE INDEX trades_by_maker ON trades(maker_id, trade_id);
CREATE TABLE orders(order_id INTEGER PRIMARY KEY, account_id INTEGER, instrument_id INTEGER, side INTEGER,
 price_ticks INTEGER, lots INTEGER, filled_lots INTEGER, open_lots INTEGER, cost_ticks INTEGER, state TEXT,
 reason INTEGER, time_in_force INTEGER, flags INTEGER, client_id INTEGER, created_ms INTEGER, created_height INTEGER,
 updated_ms INTEGER, updated_height INTEGER, tx_hash TEXT);
CREATE INDEX orders_by_account ON orders(account_id, order_id);
CREATE TABLE instruments(instrument_id INTEGER PRIMARY KEY, name TEXT, listed_height INTEGER, listed_ms INTEGER,
 retired_height INTEGER, settled_e8 INTEGER);
CREATE TABLE accounts(account_id INTEGER, seq INTEGER, height INTEGER, events TEXT,
 PRIMARY KEY(account_id, seq)) WITHOUT ROWID;
CREATE INDEX accounts_by_height ON accounts(height);
"""
TABLES: Final = ("blocks", "txs", "trades", "orders", "instruments", "accounts")

R = TypeVar("R", TxRow, TradeRow, OrderRow, InstrumentRow)
Argument = int | str

_PAIRS: Final = msgspec.json.Decoder(list[tuple[int, int]])


class IndexDamagedError(Exception):
    """The index file does not hold what it should. It is derived: delete it, or let the gateway do so."""


class AccountUpdate(msgspec.Struct, array_like=True, frozen=True):
    """What one block did to one account; `seq` counts an account's updates without a gap."""

    account_id: int
    seq: int
    height: int
    events: list[dict[str, object]]


class Written(msgspec.Struct, frozen=True):
    """One block's rows, now in the index, and the numbers of its accounts' updates."""

    rows: Rows
    updates: dict[int, AccountUpdate]


class History:
    """The index in one file, or in memory."""

    def __init__(self, path: Path | None, *, chain_id: str, genesis_hash: bytes) -> None:
        """Open or make the index of a chain. What is of another chain, another format or damaged is made anew."""
        self._path = path
        self._identity = {"format": str(FORMAT), "chain_id": chain_id, "genesis_hash": genesis_hash.hex()}
        self._lock = threading.RLock()
        # In memory there is one connection, so one lock for both.
        self._read_lock = self._lock if path is None else threading.RLock()
        self._sequences: dict[int, int] = {}
        self._connections: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection
        self._reader: sqlite3.Connection
        self.height = 0
        self.first_height = 1
        self.rebuilt_because = ""
        try:
            self._open()
        except (sqlite3.DatabaseError, IndexDamagedError) as error:
            self.rebuilt_because = str(error)
            self.clear()

    @property
    def is_in_memory(self) -> bool:
        """Return whether the index has no file."""
        return self._path is None

    # Writing: one thread

    def write(self, commits: Sequence[Commit]) -> list[Written]:
        """Add blocks, each one above the last, in one transaction."""
        with self._lock:
            known = self._load_orders({order_id for commit in commits for order_id in list_order_ids(commit)})
            sequences = dict(self._sequences)
            built: list[Rows] = []
            for commit in commits:
                rows = Builder(commit, known, sequences).build()
                known.update(rows.orders)
                built.append(rows)
            written = self._number(built)
            with self._writer:
                self._insert(written)
            self._sequences = sequences
            self.height = commits[-1].height
        return written

    def begin_at(self, first_height: int) -> None:
        """Note the first block that can still be had: what was before it is not known here."""
        with self._lock, self._writer:
            self._writer.execute("INSERT OR REPLACE INTO meta VALUES('first_height', ?)", (str(first_height),))
            self.first_height = first_height
            self.height = first_height - 1

    def clear(self) -> None:
        """Forget everything, to be built anew."""
        with self._lock, self._read_lock:
            self._close()
            if self._path is not None:
                for suffix in ("", "-wal", "-shm"):
                    self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self.height, self.first_height, self._sequences = 0, 1, {}
            self._connect()

    def prune(self, below_height: int) -> None:
        """Forget accounts' events below a height, a bounded number at a time; in memory, all else below it too."""
        with self._lock, self._writer:
            self._writer.execute(
                "DELETE FROM accounts WHERE (account_id, seq) IN"
                " (SELECT account_id, seq FROM accounts WHERE height < ? LIMIT 20000)",
                (below_height,),
            )
            if self.is_in_memory and below_height > self.first_height:
                for table in ("txs", "trades", "blocks"):
                    self._writer.execute(f"DELETE FROM {table} WHERE height < ?", (below_height,))  # noqa: S608 -- ours
                self._writer.execute("DELETE FROM orders WHERE state != 'open' AND updated_height < ?", (below_height,))
                self.first_height = below_height

    def close(self) -> None:
        """Close the file."""
        with self._lock, self._read_lock:
            self._close()

    # Reading: any thread

    def find_tx(self, tx_hash: bytes) -> TxRow | None:
        """Return a committed transaction by its hash."""
        rows = self._select(TxRow, "txs", "tx_hash = ?", (tx_hash.hex(),))
        return rows[0] if rows else None

    def find_tx_by_nonce(self, account_id: int, signer: bytes, nonce: int) -> TxRow | None:
        """Return the committed transaction that used a nonce."""
        where = "account_id = ? AND signer = ? AND nonce = ? ORDER BY height LIMIT 1"
        rows = self._select(TxRow, "txs", where, (account_id, signer.hex(), nonce))
        return rows[0] if rows else None

    def list_txs(self, height: int) -> list[TxRow]:
        """Return a block's transactions in order."""
        return self._select(TxRow, "txs", "height = ? ORDER BY position", (height,))

    def list_trades(
        self, instrument_id: int, count: int, *, from_ms: int = 0, to_ms: int | None = None
    ) -> list[TradeRow]:
        """Return an instrument's last trades, the newest first."""
        where = "instrument_id = ? AND time_ms >= ? AND time_ms <= ? ORDER BY trade_id DESC LIMIT ?"
        return self._select(TradeRow, "trades", where, (instrument_id, from_ms, to_ms or 2**62, count))

    def list_block_trades(self, height: int) -> list[TradeRow]:
        """Return a block's trades in order."""
        first, last = height << TRADES_PER_BLOCK_BITS, (height + 1) << TRADES_PER_BLOCK_BITS
        return self._select(TradeRow, "trades", "trade_id >= ? AND trade_id < ? ORDER BY trade_id", (first, last))

    def list_trades_of(self, instrument_ids: Iterable[int], count: int) -> list[TradeRow]:
        """Return the last trades of several instruments, the newest first."""
        where = "instrument_id IN (SELECT value FROM json_each(?)) ORDER BY trade_id DESC LIMIT ?"
        return self._select(TradeRow, "trades", where, (_dump(list(instrument_ids)), count))

    def list_user_trades(self, account_id: int, count: int, *, instrument_id: int | None = None) -> list[TradeRow]:
        """Return an account's last fills, the newest first."""
        one = "" if instrument_id is None else "AND instrument_id = ?3 "
        sides = " UNION ".join(
            f"SELECT * FROM (SELECT trade_id FROM trades WHERE {side} = ?1 {one}ORDER BY trade_id DESC LIMIT ?2)"  # noqa: S608
            for side in ("taker_id", "maker_id")
        )
        arguments = (account_id, count) if instrument_id is None else (account_id, count, instrument_id)
        return self._select(TradeRow, "trades", f"trade_id IN ({sides}) ORDER BY trade_id DESC LIMIT ?2", arguments)

    def list_order_trades(self, order_id: int, account_id: int, count: int) -> list[TradeRow]:
        """Return the fills of one of an account's orders, the newest first."""
        where = (
            "trade_id IN (SELECT trade_id FROM trades WHERE taker_id = ?1 UNION SELECT trade_id FROM trades"
            " WHERE maker_id = ?1) AND (taker_order_id = ?2 OR maker_order_id = ?2) ORDER BY trade_id DESC LIMIT ?3"
        )
        return self._select(TradeRow, "trades", where, (account_id, order_id, count))

    def list_trades_since(self, from_ms: int) -> list[TradeRow]:
        """Return every trade since a time, the oldest first."""
        return self._select(TradeRow, "trades", "time_ms >= ? ORDER BY trade_id", (from_ms,))

    def find_order(self, order_id: int) -> OrderRow | None:
        """Return an order's last state."""
        rows = self._select(OrderRow, "orders", "order_id = ?", (order_id,))
        return rows[0] if rows else None

    def list_orders(self, order_ids: Iterable[int]) -> dict[int, OrderRow]:
        """Return orders' last states by id."""
        where = "order_id IN (SELECT value FROM json_each(?))"
        return {row.order_id: row for row in self._select(OrderRow, "orders", where, (_dump(list(order_ids)),))}

    def list_account_orders(self, account_id: int, count: int, *, before_id: int = 2**62) -> list[OrderRow]:
        """Return an account's orders, the newest first."""
        where = "account_id = ? AND order_id < ? ORDER BY order_id DESC LIMIT ?"
        return self._select(OrderRow, "orders", where, (account_id, before_id, count))

    def list_instruments(self) -> list[InstrumentRow]:
        """Return every instrument that was ever listed."""
        return self._select(InstrumentRow, "instruments", "1 ORDER BY instrument_id", ())

    def list_updates(self, account_id: int, from_seq: int, count: int) -> list[AccountUpdate]:
        """Return an account's updates from a number on."""
        sql = (
            "SELECT json_group_array(json_array(account_id, seq, height, json(events))) FROM"
            " (SELECT * FROM accounts WHERE account_id = ? AND seq >= ? ORDER BY seq LIMIT ?)"
        )
        return msgspec.json.decode(self._read(sql, (account_id, from_seq, count)), type=list[AccountUpdate])

    def last_seq(self, account_id: int) -> int:
        """Return the number of an account's last update, 0 before the first."""
        sql = "SELECT json_array(ifnull(max(seq), 0)) FROM accounts WHERE account_id = ?"
        return msgspec.json.decode(self._read(sql, (account_id,)), type=tuple[int])[0]

    def find_block(self, height: int) -> tuple[int, int, str, int] | None:
        """Return (height, time, app hash, number of transactions) of a block, None where it is not in the index."""
        return self._read_block("WHERE height = ?", (height,))

    def last_block(self) -> tuple[int, int, str, int] | None:
        """Return the same of the last block, None before the first."""
        return self._read_block("ORDER BY height DESC LIMIT 1", ())

    def _read_block(self, which: str, arguments: Sequence[Argument]) -> tuple[int, int, str, int] | None:
        sql = f"SELECT json_array(height, time_ms, app_hash, txs) FROM blocks {which}"  # noqa: S608 -- words of ours
        with self._read_lock:
            found = self._reader.execute(sql, arguments).fetchone()
        return None if found is None else msgspec.json.decode(str(found[0]), type=tuple[int, int, str, int])

    def app_hash_at(self, height: int) -> bytes | None:
        """Return the app hash that the index holds for a height."""
        block = self.find_block(height)
        return None if block is None else bytes.fromhex(block[2])

    def dump(self) -> dict[str, list[tuple[object, ...]]]:
        """Return every row of every table, to compare two indices."""
        with self._read_lock:
            return {
                table: self._reader.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()  # noqa: S608 -- our names
                for table in TABLES
            }

    # The SQL behind it

    def _open(self) -> None:
        self._connect()
        stored = dict(self._writer.execute("SELECT key, value FROM meta").fetchall())
        for key, value in self._identity.items():
            if stored.get(key) != value:
                message = f"the index is of another {key.replace('_', ' ')}"
                raise IndexDamagedError(message)
        self.first_height = int(stored.get("first_height", "1"))
        found = self._writer.execute("SELECT max(height) FROM blocks").fetchone()
        self.height = self.first_height - 1 if found[0] is None else int(found[0])
        by_instrument = "(SELECT instrument_id, max(trade_seq) AS last FROM trades GROUP BY instrument_id)"
        text = self._read(f"SELECT json_group_array(json_array(instrument_id, last)) FROM {by_instrument}", ())  # noqa: S608
        self._sequences = dict(_PAIRS.decode(text))

    def _connect(self) -> None:
        target = ":memory:" if self._path is None else str(self._path)
        self._reader = self._writer = self._dial(target)
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("PRAGMA synchronous = NORMAL")
        if self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            self._writer.executescript(_SCHEMA)
            with self._writer:
                self._writer.executemany("INSERT INTO meta VALUES(?, ?)", self._identity.items())
        if self._path is not None:
            self._reader = self._dial(target)
            self._reader.execute("PRAGMA query_only = ON")

    def _dial(self, target: str) -> sqlite3.Connection:
        connection = sqlite3.connect(target, timeout=_BUSY_MS / 1_000, check_same_thread=False)
        self._connections.append(connection)
        return connection

    def _close(self) -> None:
        while self._connections:
            self._connections.pop().close()

    def _read(self, sql: str, arguments: Sequence[Argument]) -> str:
        with self._read_lock:
            found = self._reader.execute(sql, arguments).fetchone()
        return str(found[0])

    def _select(self, kind: type[R], table: str, where: str, arguments: Sequence[Argument]) -> list[R]:
        return _decode(kind, self._read(_select_sql(kind, table, where), arguments))

    def _load_orders(self, order_ids: Iterable[int]) -> dict[int, OrderRow]:
        """Read from the writer's own connection, which sees what the last batch wrote."""
        where = "order_id IN (SELECT value FROM json_each(?))"
        sql = _select_sql(OrderRow, "orders", where)
        found = self._writer.execute(sql, (_dump(sorted(order_ids)),)).fetchone()
        return {row.order_id: row for row in _decode(OrderRow, str(found[0]))}

    def _number(self, built: Sequence[Rows]) -> list[Written]:
        touched = sorted({account_id for rows in built for account_id in rows.accounts})
        sql = (
            "SELECT json_group_array(json_array(account_id, last)) FROM (SELECT account_id, max(seq) AS last FROM"
            " accounts WHERE account_id IN (SELECT value FROM json_each(?)) GROUP BY account_id)"
        )
        found = self._writer.execute(sql, (_dump(touched),)).fetchone()
        last = dict(_PAIRS.decode(str(found[0])))
        written = []
        for rows in built:
            updates: dict[int, AccountUpdate] = {}
            for account_id, events in sorted(rows.accounts.items()):
                last[account_id] = last.get(account_id, 0) + 1
                updates[account_id] = AccountUpdate(account_id, last[account_id], rows.commit.height, events)
            written.append(Written(rows, updates))
        return written

    def _insert(self, written: Sequence[Written]) -> None:
        all_rows = [one.rows for one in written]
        blocks = [
            (rows.commit.height, rows.commit.time_ms, rows.commit.app_hash.hex(), len(rows.txs)) for rows in all_rows
        ]
        self._put("INSERT OR IGNORE", "blocks", 4, blocks)
        # A payload is in one block only; were it in two, the first would be what it came to.
        self._put("INSERT OR IGNORE", "txs", _width(TxRow), [row for rows in all_rows for row in rows.txs])
        trades = [row for rows in all_rows for row in rows.trades]
        self._put("INSERT OR IGNORE", "trades", _width(TradeRow), trades)
        orders = {row.order_id: row for rows in all_rows for row in rows.orders.values()}
        self._put("INSERT OR REPLACE", "orders", _width(OrderRow), list(orders.values()))
        for rows in all_rows:
            self._put_instruments(list(rows.instruments.values()))
        updates = [update for one in written for update in one.updates.values()]
        self._put("INSERT OR IGNORE", "accounts", _width(AccountUpdate), updates)

    def _put(self, how: str, table: str, width: int, rows: Sequence[object]) -> None:
        if rows:
            columns = ", ".join(f"value->>{index}" for index in range(width))
            sql = f"{how} INTO {table} SELECT {columns} FROM json_each(?)"  # noqa: S608 -- names of ours
            self._writer.execute(sql, (_dump(rows),))

    def _put_instruments(self, rows: Sequence[InstrumentRow]) -> None:
        if rows:
            self._writer.execute(
                "INSERT INTO instruments SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5"
                " FROM json_each(?) WHERE 1 ON CONFLICT(instrument_id) DO UPDATE SET"
                " retired_height = excluded.retired_height, settled_e8 = excluded.settled_e8",
                (_dump(rows),),
            )


def _width(kind: type[msgspec.Struct]) -> int:
    return len(kind.__struct_fields__)


def _dump(rows: object) -> str:
    return msgspec.json.encode(rows).decode()


def _select_sql(kind: type[msgspec.Struct], table: str, where: str) -> str:
    columns = ", ".join(kind.__struct_fields__)
    inner = f"SELECT {columns} FROM {table} WHERE {where}"  # noqa: S608 -- names of ours
    return f"SELECT json_group_array(json_array({columns})) FROM ({inner})"  # noqa: S608


def _decode(kind: type[R], text: str) -> list[R]:
    # SQLite has no booleans.
    return msgspec.json.decode(text, type=list[kind], strict=False)  # type: ignore[valid-type]
