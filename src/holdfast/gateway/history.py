"""The index of what was committed: blocks, transactions, trades, orders' last states, every account's events.

It is derived: all of it follows from the decided blocks, so it may be deleted and is built again, which is also what
becomes of damage. One thread writes, a batch of blocks in one transaction; readers have a connection of their own. Rows
travel as one JSON text a statement, because every step of a statement gives up the interpreter, and takes it back only
when a validator lets go. Every method that reads refuses a damaged index: IndexDamagedError.
"""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import structlog
from msgspec import Struct

from holdfast.gateway.index_file import IndexFile
from holdfast.gateway.readings import Readings, dump_json
from holdfast.gateway.rows import (
    TRADES_PER_BLOCK_BITS,
    Builder,
    Commit,
    InstrumentRow,
    OrderRow,
    Rows,
    list_order_ids,
)
from holdfast.gateway.sealed import (
    ACCOUNTS,
    BLOCKS,
    HEADS,
    INSTRUMENTS,
    ORDERS,
    TABLES,
    TRADES,
    TXS,
    UNSEALED,
    AccountUpdate,
    BlockRow,
    Head,
    IndexDamagedError,
    Seal,
    Table,
    add,
    take,
)

_PRUNED: Final = (
    "SELECT account_id, seq, digest FROM accounts AS one WHERE height < ?"
    " AND seq < (SELECT max(seq) FROM accounts WHERE account_id = one.account_id)"
    " ORDER BY height, account_id, seq LIMIT 20000"
)
_PRUNED_DIGESTS: Final = f"SELECT json_group_array(digest) FROM ({_PRUNED})"  # noqa: S608 -- words of ours
_PRUNE: Final = f"DELETE FROM accounts WHERE (account_id, seq) IN (SELECT account_id, seq FROM ({_PRUNED}))"  # noqa: S608
_SEQUENCES_KEPT: Final = 100_000
_HEAD: Final = 1

R = TypeVar("R", bound=Struct)


class Written(Struct, frozen=True):
    """One block's rows, now in the index, and the numbers of its accounts' updates."""

    rows: Rows
    updates: dict[int, AccountUpdate]


class History(Readings):
    """The index in one file, or in memory."""

    def __init__(self, path: Path | None, *, chain_id: str, genesis_hash: bytes) -> None:
        """Open or make the index of a chain. What is of another chain, another format or damaged is made anew."""
        super().__init__(IndexFile(path))
        self._identity = (chain_id, genesis_hash.hex())
        self._sequences: dict[int, int] = {}  # instrument -> its last trade's number
        self._last_seqs: dict[int, int] = {}  # account -> its last update's, of those that were asked for
        self._seals: dict[str, Seal] = {}
        self.is_checked = True  # whether what is not found is known not to be there
        self.clears = 0
        self.rebuilt_because = ""
        try:
            self._open()
        except (sqlite3.DatabaseError, IndexDamagedError) as error:
            self.rebuilt_because = str(error)
            structlog.get_logger("index").warning("index_cleared", reason=self.rebuilt_because)
            self.clear()

    @property
    def is_in_memory(self) -> bool:
        """Return whether the index has no file."""
        return self._file.path is None

    @property
    def damage(self) -> str:
        """Return why the index must be built again; empty where nothing is known against it."""
        return self._file.damage

    def check(self, is_stopping: Callable[[], bool]) -> None:
        """Read all of the file, beside its readers and its writer; what is amiss stands in `damage` then.

        Rounds: the trees first, after which what is not found is not there; then each row's content, without haste.
        """
        clears = self.clears
        if self.is_in_memory:
            return
        try:
            self._file.check_trees(is_stopping)
            with self._file.read_lock:
                self.is_checked = self.is_checked or not is_stopping()
            self._file.check_rows(is_stopping)
        except IndexDamagedError as error:
            with self._file.read_lock:
                # What was cleared meanwhile is as it should be.
                if clears == self.clears:
                    self.fail(str(error))

    # Writing: one thread

    def write(self, commits: Sequence[Commit]) -> list[Written]:
        """Add blocks, each one above the last, in one transaction."""
        file = self._file
        with file.lock, file.judging():
            known, before = self._load_orders({number for commit in commits for number in list_order_ids(commit)})
            sequences = dict(self._sequences)
            built: list[Rows] = []
            for commit in commits:
                rows = Builder(commit, known, sequences).build()
                known.update(rows.orders)
                built.append(rows)
            written, last_seqs = self._number(built)
            with file.writer:
                seals = self._insert(written, before)
                self._put_head(seals, self.first_height, commits[-1].height)
            self._seals, self._sequences = seals, sequences
            self._keep_seqs(last_seqs)
            self.height = commits[-1].height
        return written

    def begin_at(self, first_height: int) -> None:
        """Note the first block that can still be had: what was before it is not known here."""
        file = self._file
        with file.lock, file.judging(), file.writer:
            self._put_head(self._seals, first_height, first_height - 1)
            self.first_height = first_height
            self.height = first_height - 1

    def clear(self) -> None:
        """Forget everything, to be built anew."""
        with self._file.lock, self._file.read_lock:
            self.clears += 1
            self._file.clear()
            self.height, self.first_height, self.is_checked = 0, 1, True
            self._sequences, self._last_seqs, self._seals = {}, {}, {}
            with self._file.writer:
                self._put_head({}, 1, 0)

    def prune(self, below_height: int) -> None:
        """Forget accounts' events below a height, a bounded number at a time; in memory, all else below it too.

        An account's last update stays: it is what the next one is counted from.
        """
        file = self._file
        with file.lock, file.judging(), file.writer:
            pruned = file.writer.execute(_PRUNED_DIGESTS, (below_height,)).fetchone()
            digests = msgspec.json.decode(str(pruned[0]), type=list[int])
            file.writer.execute(_PRUNE, (below_height,))
            seals = self._seals | {ACCOUNTS.name: take(self._seals.get(ACCOUNTS.name, UNSEALED), digests)}
            if self.is_in_memory and below_height > self.first_height:
                # Nothing damages it, so nobody counts it.
                for table in ("txs", "blocks"):
                    file.writer.execute(f"DELETE FROM {table} WHERE height < ?", (below_height,))  # noqa: S608 -- ours
                file.writer.execute("DELETE FROM trades WHERE trade_id < ?", (below_height << TRADES_PER_BLOCK_BITS,))
                file.writer.execute("DELETE FROM orders WHERE closed_height > 0 AND closed_height < ?", (below_height,))
                self.first_height = below_height
            self._put_head(seals, self.first_height, self.height)
            self._seals = seals

    def close(self) -> None:
        """Close the file."""
        with self._file.lock, self._file.read_lock:
            self._file.close()

    def dump(self) -> dict[str, list[Struct]]:
        """Return every row of every table, to compare two indices."""
        return {table.name: list(self._file.select_all(table)) for table in TABLES}

    # Behind it

    def _open(self) -> None:
        is_new = self._file.connect()
        head = self._file.read_head()
        if is_new:
            head = Head(_HEAD, *self._identity, 1, 0, {})
            with self._file.writer:
                self._put_head({}, 1, 0)
        if head is None:
            raise self.fail("the index does not say whose it is")
        for name, said, own in zip(
            ("chain id", "genesis hash"), (head.chain_id, head.genesis_hash), self._identity, strict=True
        ):
            if said != own:
                raise self.fail(f"the index is of another {name}")
        self.first_height, self.height, self._seals = head.first_height, head.height, head.seals
        self.is_checked = is_new or self.is_in_memory
        last = "(SELECT max(trade_id) FROM trades GROUP BY instrument_id)"
        self._sequences = {row.instrument_id: row.trade_seq for row in self._file.select(TRADES, f"trade_id IN {last}")}

    def _put_head(self, seals: dict[str, Seal], first_height: int, height: int) -> None:
        self._put("INSERT OR REPLACE", HEADS, [Head(_HEAD, *self._identity, first_height, height, seals)])

    def _load_orders(self, order_ids: set[int]) -> tuple[dict[int, OrderRow], dict[int, int]]:
        """Return orders and their rows' digests, by id."""
        where = "order_id IN (SELECT value FROM json_each(?))"
        rows, digests = self._file.select_written(ORDERS, where, (dump_json(sorted(order_ids)),))
        numbers = [row.order_id for row in rows]
        self._ensure_asked(order_ids.issuperset(numbers))
        return dict(zip(numbers, rows, strict=True)), dict(zip(numbers, digests, strict=True))

    def _number(self, built: Sequence[Rows]) -> tuple[list[Written], dict[int, int]]:
        """Give every account's update its number; return what the last of each is then."""
        touched = {number for rows in built for number in rows.accounts}
        last = {number: self._last_seqs[number] for number in touched if number in self._last_seqs}
        unknown = sorted(touched - last.keys())
        if unknown:
            newest = (
                "SELECT account_id, max(seq) FROM accounts WHERE account_id IN (SELECT value FROM json_each(?))"
                " GROUP BY account_id"
            )
            rows, _ = self._file.select_written(ACCOUNTS, f"(account_id, seq) IN ({newest})", (dump_json(unknown),))
            last |= dict.fromkeys(unknown, 0)
            found = {row.account_id: row.seq for row in rows}
            self._ensure_asked(found.keys() <= set(unknown))
            last |= found
        written = []
        for one in built:
            updates: dict[int, AccountUpdate] = {}
            for account_id, events in sorted(one.accounts.items()):
                last[account_id] += 1
                updates[account_id] = AccountUpdate(account_id, last[account_id], one.commit.height, events)
            written.append(Written(one, updates))
        return written, last

    def _keep_seqs(self, last: dict[int, int]) -> None:
        if len(self._last_seqs) > _SEQUENCES_KEPT:
            self._last_seqs.clear()
        self._last_seqs |= last

    def _insert(self, written: Sequence[Written], known_orders: dict[int, int]) -> dict[str, Seal]:
        """Write blocks' rows; return what the tables' seals become."""
        all_rows = [one.rows for one in written]
        seals = dict(self._seals)

        def put(table: Table[R], rows: Sequence[R], instead_of: Sequence[int] | None = None) -> None:
            if rows:
                digests = self._put("INSERT" if instead_of is None else "INSERT OR REPLACE", table, rows)
                seals[table.name] = add(take(seals.get(table.name, UNSEALED), instead_of or ()), digests)

        put(
            BLOCKS,
            [
                BlockRow(rows.commit.height, rows.commit.time_ms, rows.commit.app_hash.hex(), len(rows.txs))
                for rows in all_rows
            ],
        )
        put(TXS, [row for rows in all_rows for row in rows.txs])
        put(TRADES, [row for rows in all_rows for row in rows.trades])
        orders = {row.order_id: row for rows in all_rows for row in rows.orders.values()}
        put(ORDERS, list(orders.values()), [known_orders[number] for number in orders if number in known_orders])
        changed = [row for rows in all_rows for row in rows.instruments.values()]
        if changed:
            put(INSTRUMENTS, *self._merge_instruments(changed))
        put(ACCOUNTS, [update for one in written for update in one.updates.values()])
        return seals

    def _merge_instruments(self, changed: Sequence[InstrumentRow]) -> tuple[list[InstrumentRow], list[int]]:
        """Return instruments as they are after a batch, and the digests of the rows that go."""
        where = "instrument_id IN (SELECT value FROM json_each(?))"
        rows, digests = self._file.select_written(
            INSTRUMENTS, where, (dump_json([row.instrument_id for row in changed]),)
        )
        merged = {row.instrument_id: row for row in rows}
        for row in changed:
            known = merged.setdefault(row.instrument_id, msgspec.structs.replace(row))
            known.retired_height, known.settled_e8 = row.retired_height, row.settled_e8
        return list(merged.values()), digests

    def _put(self, how: str, table: Table[R], rows: Sequence[R]) -> list[int]:
        sealed = table.seal(rows)
        self._file.writer.execute(table.insert_sql(how), (sealed.text,))
        return sealed.digests
