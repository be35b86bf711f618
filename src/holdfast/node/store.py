"""The application's store: one durable record a block, and now and then the whole state in its place.

Every record carries its length and a checksum. What is torn at the end of the log was never acknowledged and is left
out; anything else that does not check is reported, never used.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from holdfast.node.ports import Disk
from holdfast.primitives import codec
from holdfast.primitives.codec import Record
from holdfast.primitives.crypto import sha256

BASE_FILE: Final = "state-base"
LOG_FILE: Final = "state-log"
BASE_EVERY: Final = 64
_CHECK_BYTES: Final = 8
_LENGTH_BYTES: Final = 4
_BYTES_MAX: Final = 2**31


class StoreError(Exception):
    """The store holds something that it did not write."""


class Saved(Record):
    """The rows that one block changed (no value: removed), or the whole state."""

    height: int
    app_hash: bytes
    rows: tuple[tuple[bytes, bytes | None], ...]


class Loaded(NamedTuple):
    """What a store gives back: the last height, its root, and every row."""

    height: int
    app_hash: bytes
    rows: dict[bytes, bytes]


_DECODER: Final = codec.Decoder(Saved, max_bytes=_BYTES_MAX, max_depth=4, max_items=2**31)


class StateStore:
    """Keeps the committed state on a disk."""

    def __init__(self, disk: Disk) -> None:
        """Use a disk, which may hold an earlier state."""
        self._disk = disk
        self._since_base = 0

    def load(self) -> Loaded | None:
        """Return the last committed state, or None where nothing was ever committed.

        Raises StoreError for damage.
        """
        base = self._disk.read(BASE_FILE)
        if not base:
            return None
        saved = next(_read_records(base, BASE_FILE, may_be_torn=False))
        rows = {key: value for key, value in saved.rows if value is not None}
        height, app_hash = saved.height, saved.app_hash
        for record in _read_records(self._disk.read(LOG_FILE), LOG_FILE, may_be_torn=True):
            if record.height <= height:
                continue
            for key, value in record.rows:
                if value is None:
                    rows.pop(key, None)
                else:
                    rows[key] = value
            height, app_hash = record.height, record.app_hash
            self._since_base += 1
        return Loaded(height, app_hash, rows)

    def needs_base(self) -> bool:
        """Return whether the next save should be of the whole state."""
        return self._since_base == 0 or self._since_base >= BASE_EVERY

    def save_block(self, height: int, app_hash: bytes, changes: tuple[tuple[bytes, bytes | None], ...]) -> None:
        """Make one block's changes durable."""
        self._disk.append(LOG_FILE, _frame(Saved(height, app_hash, changes)))
        self._disk.sync(LOG_FILE)
        self._since_base += 1

    def save_base(self, height: int, app_hash: bytes, rows: tuple[tuple[bytes, bytes | None], ...]) -> None:
        """Put the whole state in the place of all that came before."""
        self._disk.replace(BASE_FILE, _frame(Saved(height, app_hash, rows)))
        self._disk.delete(LOG_FILE)
        self._since_base = 1


def _frame(saved: Saved) -> bytes:
    body = codec.encode(saved)
    return len(body).to_bytes(_LENGTH_BYTES, "big") + sha256(body)[:_CHECK_BYTES] + body


def _read_records(data: bytes, name: str, *, may_be_torn: bool) -> Iterator[Saved]:
    start = 0
    head = _LENGTH_BYTES + _CHECK_BYTES
    while start < len(data):
        length = int.from_bytes(data[start : start + _LENGTH_BYTES], "big")
        body = data[start + head : start + head + length]
        is_whole = len(data) >= start + head + length
        if not is_whole or sha256(body)[:_CHECK_BYTES] != data[start + _LENGTH_BYTES : start + head]:
            is_last = not is_whole or start + head + length == len(data)
            if may_be_torn and is_last:
                return
            message = f"{name}: a damaged record at byte {start}; restore from a backup or let the peers resync it"
            raise StoreError(message)
        yield _DECODER.decode(body)
        start += head + length
