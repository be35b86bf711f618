"""The application's store: one durable record a block, and now and then the whole state in its place.

Every record carries its length and two checksums, of the length and of the body. What is torn at the end of the log was
never acknowledged and is cut off when the store opens; anything else that does not check is reported, never used.
"""

from typing import Final, NamedTuple

from holdfast.node.ports import Disk
from holdfast.primitives import codec
from holdfast.primitives.codec import Record
from holdfast.primitives.crypto import sha256

BASE_FILE: Final = "state-base"
LOG_FILE: Final = "state-log"
BASE_EVERY: Final = 64
_LENGTH_BYTES: Final = 4
_LENGTH_CHECK_BYTES: Final = 4
_BODY_CHECK_BYTES: Final = 8
_HEAD_BYTES: Final = _LENGTH_BYTES + _LENGTH_CHECK_BYTES + _BODY_CHECK_BYTES
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
        saved, whole = _read_records(base, BASE_FILE)
        if len(saved) != 1 or whole != len(base):
            raise _damage(BASE_FILE, whole)
        rows = {key: value for key, value in saved[0].rows if value is not None}
        height, app_hash = saved[0].height, saved[0].app_hash
        log = self._disk.read(LOG_FILE)
        records, whole = _read_records(log, LOG_FILE)
        if whole < len(log):
            # What is appended next must follow a whole record.
            self._disk.replace(LOG_FILE, log[:whole])
        # A crash between a new base and the removal of its log leaves records that the base already holds.
        for record in records:
            if record.height <= height:
                continue
            if record.height != height + 1:
                raise _damage(LOG_FILE, 0)
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
    length = len(body).to_bytes(_LENGTH_BYTES, "big")
    return length + sha256(length)[:_LENGTH_CHECK_BYTES] + sha256(body)[:_BODY_CHECK_BYTES] + body


def _read_records(data: bytes, name: str) -> tuple[list[Saved], int]:
    """Return the whole records at the start of a file, and where they end; what follows is the torn end of a write."""
    records: list[Saved] = []
    start = 0
    while len(data) - start >= _HEAD_BYTES and any(data[start : start + _HEAD_BYTES]):
        head = data[start : start + _HEAD_BYTES]
        length = head[:_LENGTH_BYTES]
        if sha256(length)[:_LENGTH_CHECK_BYTES] != head[_LENGTH_BYTES:-_BODY_CHECK_BYTES]:
            raise _damage(name, start)
        end = start + _HEAD_BYTES + int.from_bytes(length, "big")
        body = data[start + _HEAD_BYTES : end]
        if end > len(data):
            break
        if sha256(body)[:_BODY_CHECK_BYTES] != head[-_BODY_CHECK_BYTES:]:
            if end == len(data):
                break
            raise _damage(name, start)
        records.append(_DECODER.decode(body))
        start = end
    return records, start


def _damage(name: str, start: int) -> StoreError:
    return StoreError(f"{name}: damaged at byte {start}; restore a backup, or delete the store and let peers resync it")
