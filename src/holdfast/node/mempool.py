"""Transactions that wait for a block: bounded in bytes, count and age, each held once, in order of arrival."""

from collections import deque
from typing import Final, NamedTuple

from holdfast.consensus import limits
from holdfast.primitives.crypto import sha256

_RECENT_HEIGHTS: Final = 16


class _Waiting(NamedTuple):
    tx: bytes
    height: int


class Mempool:
    """One replica's waiting transactions. The application has judged each one that is added."""

    def __init__(self, *, count_max: int, bytes_max: int, age_heights_max: int) -> None:
        """Start empty."""
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._age_heights_max = age_heights_max
        self._waiting: dict[bytes, _Waiting] = {}
        self._recent: deque[frozenset[bytes]] = deque()
        self._included: set[bytes] = set()
        self.bytes = 0

    def __len__(self) -> int:
        """Return how many transactions wait."""
        return len(self._waiting)

    def is_waiting(self, tx_hash: bytes) -> bool:
        """Tell whether a transaction waits."""
        return tx_hash in self._waiting

    def is_known(self, tx_hash: bytes) -> bool:
        """Tell whether a transaction waits or was in one of the last blocks."""
        return self.is_waiting(tx_hash) or self.was_included(tx_hash)

    def was_included(self, tx_hash: bytes) -> bool:
        """Tell whether a transaction was in one of the last blocks."""
        return tx_hash in self._included

    def has_room(self, tx: bytes) -> bool:
        """Tell whether a transaction of its size fits."""
        fits = self.bytes + len(tx) <= self._bytes_max and len(self._waiting) < self._count_max
        return fits and 0 < len(tx) <= limits.TX_BYTES_MAX

    def add(self, tx_hash: bytes, tx: bytes, height: int) -> None:
        """Keep a transaction that fits and is new."""
        self._waiting[tx_hash] = _Waiting(tx, height)
        self.bytes += len(tx)

    def reap(self, bytes_max: int) -> tuple[bytes, ...]:
        """Return the oldest transactions up to a size, leaving them in place."""
        chosen: list[bytes] = []
        total = 0
        for waiting in self._waiting.values():
            total += len(waiting.tx)
            if total > bytes_max or len(chosen) == limits.BLOCK_TXS_MAX:
                break
            chosen.append(waiting.tx)
        return tuple(chosen)

    def committed(self, height: int, txs: tuple[bytes, ...]) -> None:
        """Drop what a block included, and what has waited too long."""
        included = frozenset(map(sha256, txs))
        self._recent.append(included)
        self._included |= included
        if len(self._recent) > _RECENT_HEIGHTS:
            self._included -= self._recent.popleft()
        for tx_hash in included:
            self._drop(tx_hash)
        oldest_height = height - self._age_heights_max
        expired = []
        # Insertion order is age order, so the scan ends at the first that is young enough.
        for tx_hash, waiting in self._waiting.items():
            if waiting.height >= oldest_height:
                break
            expired.append(tx_hash)
        for tx_hash in expired:
            self._drop(tx_hash)

    def _drop(self, tx_hash: bytes) -> None:
        waiting = self._waiting.pop(tx_hash, None)
        if waiting is not None:
            self.bytes -= len(waiting.tx)
