"""What is asked of the index. Every row comes checked, and every method refuses a damaged index: IndexDamagedError.

What is not found is not there once the whole index has been checked; the methods do not wait for that.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from holdfast.gateway.index_file import IndexFile
from holdfast.gateway.rows import TRADES_PER_BLOCK_BITS, InstrumentRow, OrderRow, TradeRow, TxRow
from holdfast.gateway.sealed import (
    ACCOUNTS,
    BLOCKS,
    INSTRUMENTS,
    ORDERS,
    TRADES,
    TXS,
    AccountUpdate,
    BlockRow,
    IndexDamagedError,
)

_TEXTS: Final = msgspec.json.Decoder(list[str])


def dump_json(rows: object) -> str:
    """Return JSON as a statement takes it."""
    return msgspec.json.encode(rows).decode()


class Readings:
    """The index as readers see it, from any thread."""

    def __init__(self, file: IndexFile) -> None:
        """Read from a file that somebody else opens and writes."""
        self._file = file
        self.height = 0
        self.first_height = 1

    def fail(self, reason: str) -> IndexDamagedError:
        """Note what only a damaged index can have answered; return the refusal."""
        return self._file.fail(reason)

    def _ensure_asked(self, is_so: bool) -> None:  # noqa: FBT001 -- a claim
        """Refuse rows that a tree has given under another's key."""
        if not is_so:
            raise self.fail("a row stands under another's key")

    def find_tx(self, tx_hash: bytes) -> TxRow | None:
        """Return a committed transaction by its hash."""
        rows = self._file.select(TXS, "tx_hash = ?", (tx_hash.hex(),))
        self._ensure_asked(all(row.tx_hash == tx_hash.hex() for row in rows))
        return rows[0] if rows else None

    def find_tx_by_nonce(self, account_id: int, signer: bytes, nonce: int) -> TxRow | None:
        """Return the committed transaction that used a nonce.

        Why: the hashes stand in a tree of their own, so a transaction that one of the two trees has lost is missed.
        """
        sql = (
            "SELECT json_group_array(tx_hash) FROM txs INDEXED BY txs_by_nonce"
            " WHERE account_id = ? AND signer = ? AND nonce = ?"
        )
        hashes = self._file.read(_TEXTS, sql, (account_id, signer.hex(), nonce))
        if not hashes:
            return None
        rows = self._file.select(TXS, "tx_hash IN (SELECT value FROM json_each(?))", (dump_json(hashes),))
        if len(rows) != len(hashes):
            raise self.fail(f"transaction {hashes[0]} is listed and not there")
        asked = (account_id, signer.hex(), nonce)
        self._ensure_asked(all((row.account_id, row.signer, row.nonce) == asked for row in rows))
        return min(rows, key=lambda row: (row.height, row.position))

    def list_txs(self, height: int) -> list[TxRow]:
        """Return a block's transactions in order."""
        rows = self._file.select(TXS, "height = ?", (height,))
        self._ensure_asked(all(row.height == height for row in rows))
        return sorted(rows, key=lambda row: row.position)

    def list_trades(
        self, instrument_id: int, count: int, *, from_ms: int = 0, to_ms: int | None = None
    ) -> list[TradeRow]:
        """Return an instrument's last trades, the newest first."""
        first = self._find_height(from_ms) << TRADES_PER_BLOCK_BITS if from_ms > 0 else 0
        end = 2**62 if not to_ms else self._find_height(to_ms + 1) << TRADES_PER_BLOCK_BITS
        where = "instrument_id = ? AND trade_id >= ? AND trade_id < ? ORDER BY trade_id DESC LIMIT ?"
        rows = self._file.select(TRADES, where, (instrument_id, first, end, count))
        self._ensure_asked(all(row.instrument_id == instrument_id for row in rows))
        return rows

    def _find_height(self, time_ms: int) -> int:
        """Return the first height that is not before a time; 0 where that is the first one here, or before it."""
        low, high = self.first_height, self.height + 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._get_block(middle).time_ms >= time_ms else (middle + 1, high)
        return 0 if low == self.first_height else low

    def list_block_trades(self, height: int) -> list[TradeRow]:
        """Return a block's trades in order."""
        first, last = height << TRADES_PER_BLOCK_BITS, (height + 1) << TRADES_PER_BLOCK_BITS
        rows = self._file.select(TRADES, "trade_id >= ? AND trade_id < ? ORDER BY trade_id", (first, last))
        self._ensure_asked(all(row.height == height for row in rows))
        return rows

    def list_trades_of(self, instrument_ids: Iterable[int], count: int) -> list[TradeRow]:
        """Return the last trades of several instruments, the newest first."""
        where = "instrument_id IN (SELECT value FROM json_each(?)) ORDER BY trade_id DESC LIMIT ?"
        asked = set(instrument_ids)
        rows = self._file.select(TRADES, where, (dump_json(sorted(asked)), count))
        self._ensure_asked(all(row.instrument_id in asked for row in rows))
        return rows

    def list_user_trades(self, account_id: int, count: int, *, instrument_id: int | None = None) -> list[TradeRow]:
        """Return an account's last fills, the newest first."""
        one = "" if instrument_id is None else "AND instrument_id = ?3 "
        sides = " UNION ".join(
            f"SELECT * FROM (SELECT trade_id FROM trades WHERE {side} = ?1 {one}ORDER BY trade_id DESC LIMIT ?2)"  # noqa: S608
            for side in ("taker_id", "maker_id")
        )
        arguments = (account_id, count) if instrument_id is None else (account_id, count, instrument_id)
        rows = self._file.select(TRADES, f"trade_id IN ({sides}) ORDER BY trade_id DESC LIMIT ?2", arguments)
        sides_of = [(row.taker_id, row.maker_id) for row in rows]
        self._ensure_asked(all(account_id in pair for pair in sides_of))
        self._ensure_asked(all(instrument_id in (None, row.instrument_id) for row in rows))
        return rows

    def list_trades_since(self, from_ms: int) -> list[TradeRow]:
        """Return every trade since a time, the oldest first."""
        first = self._find_height(from_ms) << TRADES_PER_BLOCK_BITS if from_ms > 0 else 0
        return self._file.select(TRADES, "trade_id >= ? ORDER BY trade_id", (first,))

    def find_order(self, order_id: int) -> OrderRow | None:
        """Return an order's last state."""
        return self.list_orders((order_id,)).get(order_id)

    def list_orders(self, order_ids: Iterable[int]) -> dict[int, OrderRow]:
        """Return orders' last states by id."""
        where = "order_id IN (SELECT value FROM json_each(?))"
        asked = set(order_ids)
        rows = {row.order_id: row for row in self._file.select(ORDERS, where, (dump_json(sorted(asked)),))}
        self._ensure_asked(rows.keys() <= asked)
        return rows

    def list_account_orders(self, account_id: int, count: int, *, before_id: int = 2**62) -> list[OrderRow]:
        """Return an account's orders, the newest first."""
        where = "account_id = ? AND order_id < ? ORDER BY order_id DESC LIMIT ?"
        rows = self._file.select(ORDERS, where, (account_id, before_id, count))
        self._ensure_asked(all(row.account_id == account_id for row in rows))
        return rows

    def list_instruments(self) -> list[InstrumentRow]:
        """Return every instrument that was ever listed."""
        return self._file.select(INSTRUMENTS, "1 ORDER BY instrument_id")

    def list_updates(self, account_id: int, from_seq: int, count: int) -> list[AccountUpdate]:
        """Return an account's updates from a number on."""
        where = "account_id = ? AND seq >= ? ORDER BY seq LIMIT ?"
        rows = self._file.select(ACCOUNTS, where, (account_id, from_seq, count))
        self._ensure_asked(all(row.account_id == account_id for row in rows))
        # They are counted without a gap.
        self._ensure_asked(all(row.seq == rows[0].seq + number for number, row in enumerate(rows)))
        return rows

    def last_seq(self, account_id: int) -> int:
        """Return the number of an account's last update, 0 before the first."""
        rows = self._file.select(ACCOUNTS, "account_id = ? ORDER BY seq DESC LIMIT 1", (account_id,))
        self._ensure_asked(all(row.account_id == account_id for row in rows))
        return rows[0].seq if rows else 0

    def find_block(self, height: int) -> BlockRow | None:
        """Return a block, None where it is not in the index."""
        rows = self._file.select(BLOCKS, "height = ?", (height,))
        self._ensure_asked(all(row.height == height for row in rows))
        return rows[0] if rows else None

    def _get_block(self, height: int) -> BlockRow:
        block = self.find_block(height)
        if block is None and self.first_height <= height <= self.height:
            raise self.fail(f"block {height} is not there")
        return block or BlockRow(height, 0, "", 0)

    def last_block(self) -> BlockRow | None:
        """Return the last block, None before the first."""
        return None if self.height < self.first_height else self._get_block(self.height)

    def app_hash_at(self, height: int) -> bytes | None:
        """Return the app hash that the index holds for a height."""
        block = self.find_block(height)
        return None if block is None else bytes.fromhex(block.app_hash)
