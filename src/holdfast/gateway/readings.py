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

    def find_tx(self, tx_hash: bytes) -> TxRow | None:
        """Return a committed transaction by its hash."""
        rows = self._file.select(TXS, "tx_hash = ?", (tx_hash.hex(),))
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
        return min(rows, key=lambda row: (row.height, row.position))

    def list_txs(self, height: int) -> list[TxRow]:
        """Return a block's transactions in order."""
        return sorted(self._file.select(TXS, "height = ?", (height,)), key=lambda row: row.position)

    def list_trades(
        self, instrument_id: int, count: int, *, from_ms: int = 0, to_ms: int | None = None
    ) -> list[TradeRow]:
        """Return an instrument's last trades, the newest first."""
        first = self._find_height(from_ms) << TRADES_PER_BLOCK_BITS if from_ms > 0 else 0
        end = 2**62 if not to_ms else self._find_height(to_ms + 1) << TRADES_PER_BLOCK_BITS
        where = "instrument_id = ? AND trade_id >= ? AND trade_id < ? ORDER BY trade_id DESC LIMIT ?"
        return self._file.select(TRADES, where, (instrument_id, first, end, count))

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
        return self._file.select(TRADES, "trade_id >= ? AND trade_id < ? ORDER BY trade_id", (first, last))

    def list_trades_of(self, instrument_ids: Iterable[int], count: int) -> list[TradeRow]:
        """Return the last trades of several instruments, the newest first."""
        where = "instrument_id IN (SELECT value FROM json_each(?)) ORDER BY trade_id DESC LIMIT ?"
        return self._file.select(TRADES, where, (dump_json(list(instrument_ids)), count))

    def list_user_trades(self, account_id: int, count: int, *, instrument_id: int | None = None) -> list[TradeRow]:
        """Return an account's last fills, the newest first."""
        one = "" if instrument_id is None else "AND instrument_id = ?3 "
        sides = " UNION ".join(
            f"SELECT * FROM (SELECT trade_id FROM trades WHERE {side} = ?1 {one}ORDER BY trade_id DESC LIMIT ?2)"  # noqa: S608
            for side in ("taker_id", "maker_id")
        )
        arguments = (account_id, count) if instrument_id is None else (account_id, count, instrument_id)
        return self._file.select(TRADES, f"trade_id IN ({sides}) ORDER BY trade_id DESC LIMIT ?2", arguments)

    def list_trades_since(self, from_ms: int) -> list[TradeRow]:
        """Return every trade since a time, the oldest first."""
        first = self._find_height(from_ms) << TRADES_PER_BLOCK_BITS if from_ms > 0 else 0
        return self._file.select(TRADES, "trade_id >= ? ORDER BY trade_id", (first,))

    def find_order(self, order_id: int) -> OrderRow | None:
        """Return an order's last state."""
        rows = self._file.select(ORDERS, "order_id = ?", (order_id,))
        return rows[0] if rows else None

    def list_orders(self, order_ids: Iterable[int]) -> dict[int, OrderRow]:
        """Return orders' last states by id."""
        where = "order_id IN (SELECT value FROM json_each(?))"
        return {row.order_id: row for row in self._file.select(ORDERS, where, (dump_json(list(order_ids)),))}

    def list_account_orders(self, account_id: int, count: int, *, before_id: int = 2**62) -> list[OrderRow]:
        """Return an account's orders, the newest first."""
        where = "account_id = ? AND order_id < ? ORDER BY order_id DESC LIMIT ?"
        return self._file.select(ORDERS, where, (account_id, before_id, count))

    def list_instruments(self) -> list[InstrumentRow]:
        """Return every instrument that was ever listed."""
        return self._file.select(INSTRUMENTS, "1 ORDER BY instrument_id")

    def list_updates(self, account_id: int, from_seq: int, count: int) -> list[AccountUpdate]:
        """Return an account's updates from a number on."""
        where = "account_id = ? AND seq >= ? ORDER BY seq LIMIT ?"
        return self._file.select(ACCOUNTS, where, (account_id, from_seq, count))

    def last_seq(self, account_id: int) -> int:
        """Return the number of an account's last update, 0 before the first."""
        rows = self._file.select(ACCOUNTS, "account_id = ? ORDER BY seq DESC LIMIT 1", (account_id,))
        return rows[0].seq if rows else 0

    def find_block(self, height: int) -> BlockRow | None:
        """Return a block, None where it is not in the index."""
        rows = self._file.select(BLOCKS, "height = ?", (height,))
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
