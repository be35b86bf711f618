"""Snapshots of the application's state: made on one node, checked and restored on another.

Only the app hash is trusted. Every chunk is checked against the list of hashes in the metadata, the metadata against
the snapshot's hash, and the restored rows' root against the app hash before anything of it is used.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from holdfast.node.application import ChunkVerdict, OfferVerdict, SnapshotInfo
from holdfast.primitives import codec
from holdfast.primitives.codec import Record
from holdfast.primitives.crypto import sha256
from holdfast.primitives.reject import Malformed
from holdfast.protocol.chain import CLOCK
from holdfast.protocol.rebuild import restore
from holdfast.protocol.schema import TABLES
from holdfast.state.store import State
from holdfast.state.table import VALUE_BYTES_MAX

FORMAT: Final = 1
CHUNK_BYTES: Final = 256 * 1024
CHUNKS_MAX: Final = 4_096
SNAPSHOTS_KEPT: Final = 2

_KEY_BYTES: Final = {table.tag: table.key_bytes for table in TABLES if table.tag is not None}


class Chunk(Record):
    """A run of rows in key order."""

    rows: tuple[tuple[bytes, bytes], ...]


class Metadata(Record):
    """The hashes of a snapshot's chunks, in order."""

    hashes: tuple[bytes, ...]


# A chunk is full with the row that passes its size, which is at most as long as a table's values may be.
_CHUNK_BYTES_MAX: Final = CHUNK_BYTES + 2 * VALUE_BYTES_MAX
_CHUNKS: Final = codec.Decoder(Chunk, max_bytes=_CHUNK_BYTES_MAX, max_depth=4, max_items=2**20)
_METADATA: Final = codec.Decoder(Metadata, max_bytes=CHUNKS_MAX * 40, max_depth=3, max_items=CHUNKS_MAX + 2)


class Snapshots:
    """The snapshots that a node offers, newest last."""

    def __init__(self) -> None:
        """Start with none."""
        self._kept: list[tuple[SnapshotInfo, tuple[bytes, ...]]] = []

    def take(self, height: int, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep a snapshot of the state of a height."""
        chunks = tuple(_split(rows))
        metadata = codec.encode(Metadata(tuple(sha256(chunk) for chunk in chunks)))
        info = SnapshotInfo(height, FORMAT, len(chunks), sha256(metadata), metadata)
        self._kept = [*self._kept, (info, chunks)][-SNAPSHOTS_KEPT:]

    def list(self) -> tuple[SnapshotInfo, ...]:
        """Return what peers may ask for."""
        return tuple(info for info, _ in self._kept)

    def load(self, height: int, format_: int, chunk: int) -> bytes:
        """Return one chunk, empty where it does not exist."""
        for info, chunks in self._kept:
            if (info.height, info.format) == (height, format_) and 0 <= chunk < len(chunks):
                return chunks[chunk]
        return b""


class Restoring:
    """A snapshot on its way in."""

    def __init__(self, info: SnapshotInfo, app_hash: bytes, hashes: tuple[bytes, ...]) -> None:
        """Expect the chunks of an accepted offer."""
        self.height = info.height
        self.app_hash = app_hash
        self._hashes = hashes
        self._chunks: list[bytes] = []

    def take(self, index: int, chunk: bytes) -> ChunkVerdict:
        """Take the next chunk; anything but the promised bytes is asked for again."""
        if len(chunk) > _CHUNK_BYTES_MAX:
            return ChunkVerdict.REJECT_SNAPSHOT
        if index != len(self._chunks) or index >= len(self._hashes) or sha256(chunk) != self._hashes[index]:
            return ChunkVerdict.RETRY
        self._chunks.append(chunk)
        return ChunkVerdict.ACCEPT

    @property
    def is_complete(self) -> bool:
        """Return whether every chunk is there."""
        return len(self._chunks) == len(self._hashes)

    def build(self) -> State | None:
        """Return the restored state, or None where its root is not the trusted one."""
        state = State(TABLES)
        try:
            state.load(self._read_rows())
        except Malformed:
            return None
        clock = state.draft()[CLOCK].get(0)
        if state.root != self.app_hash or clock is None or clock.height != self.height:
            return None
        index_state(state)
        return state

    def _read_rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows, whose keys have the form and the order that `State.export` gives them."""
        before = b""
        for chunk in self._chunks:
            for key, value in _CHUNKS.decode(chunk).rows:
                if key <= before or len(key) != _KEY_BYTES.get(key[0]):
                    raise Malformed("a row that no state holds, or out of order")
                before = key
                yield key, value


def read_offer(info: SnapshotInfo, app_hash: bytes) -> Restoring | OfferVerdict:
    """Judge an offer by its form; its content is judged chunk by chunk and at the end."""
    if info.format != FORMAT:
        return OfferVerdict.REJECT_FORMAT
    try:
        metadata = _METADATA.decode(info.metadata)
    except Malformed:
        return OfferVerdict.REJECT
    if not 0 < info.chunks <= CHUNKS_MAX or len(metadata.hashes) != info.chunks or sha256(info.metadata) != info.hash:
        return OfferVerdict.REJECT
    return Restoring(info, app_hash, metadata.hashes)


def index_state(state: State) -> None:
    """Rebuild the derived tables of a state that was loaded from rows."""
    draft = state.draft()
    restore(draft)
    state.commit(state.seal(draft))


def _split(rows: Iterable[tuple[bytes, bytes]]) -> Iterable[bytes]:
    pending: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in rows:
        pending.append((key, value))
        size += len(key) + len(value) + 8
        if size >= CHUNK_BYTES:
            yield codec.encode(Chunk(tuple(pending)))
            pending, size = [], 0
    yield codec.encode(Chunk(tuple(pending)))
