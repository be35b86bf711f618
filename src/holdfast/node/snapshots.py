"""Snapshots of the application's state: written beside the blocks, read at the next start, served to peers by chunks.

One file each: the chunks behind each other, then a framed head with their sizes and hashes, then the framed length of
the head. A file without that end is unfinished and does not count.

Of a peer's snapshot only the app hash is trusted. Every chunk is checked against the list of hashes in the metadata,
the metadata against the snapshot's hash, and the restored rows' root against the app hash before any of it is used.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from holdfast.node.application import ChunkVerdict, OfferVerdict, SnapshotInfo
from holdfast.node.frames import HEADER_BYTES, frame, numbered, open_frame
from holdfast.node.ports import Disk
from holdfast.primitives import codec
from holdfast.primitives.codec import Record
from holdfast.primitives.crypto import sha256
from holdfast.primitives.reject import Malformed
from holdfast.protocol.chain import CLOCK
from holdfast.protocol.rebuild import restore
from holdfast.protocol.schema import TABLES
from holdfast.state.store import State
from holdfast.state.table import VALUE_BYTES_MAX

PREFIX: Final = "snapshot-"
FORMAT: Final = 1
CHUNK_BYTES: Final = 256 * 1024
CHUNKS_MAX: Final = 4_096

_STEP_ROWS: Final = 64
_UNSYNCED_CHUNKS_MAX: Final = 4
_LENGTH_BYTES: Final = 8
_END_BYTES: Final = HEADER_BYTES + _LENGTH_BYTES


class Chunk(Record):
    """A run of rows in key order."""

    rows: tuple[tuple[bytes, bytes], ...]


class Metadata(Record):
    """The hashes of a snapshot's chunks, in order."""

    hashes: tuple[bytes, ...]


class Head(Record):
    """What a snapshot file is, and how long its chunks are."""

    height: int
    app_hash: bytes
    sizes: tuple[int, ...]
    hashes: tuple[bytes, ...]


# A chunk is full with the row that passes its size, which is at most as long as a table's values may be.
_CHUNK_BYTES_MAX: Final = CHUNK_BYTES + 2 * VALUE_BYTES_MAX
_CHUNKS: Final = codec.Decoder(Chunk, max_bytes=_CHUNK_BYTES_MAX, max_depth=4, max_items=2**20)
_METADATA: Final = codec.Decoder(Metadata, max_bytes=CHUNKS_MAX * 40, max_depth=3, max_items=CHUNKS_MAX + 2)
_HEADS: Final = codec.Decoder(Head, max_bytes=CHUNKS_MAX * 64, max_depth=3, max_items=2 * CHUNKS_MAX + 8)


class SnapshotFile:
    """A finished snapshot."""

    def __init__(self, disk: Disk, head: Head) -> None:
        """Give access to the chunks behind a head."""
        self._disk = disk
        self._name = file_name(head.height)
        self.head = head
        self._offsets = [0]
        for size in head.sizes:
            self._offsets.append(self._offsets[-1] + size)
        self.height = head.height
        self.app_hash = head.app_hash
        metadata = codec.encode(Metadata(head.hashes))
        self.info = SnapshotInfo(head.height, FORMAT, len(head.hashes), sha256(metadata), metadata)

    def chunk(self, index: int) -> bytes:
        """Return one chunk, empty where it does not exist or does not check."""
        if not 0 <= index < len(self.head.hashes):
            return b""
        data = self._disk.read_at(self._name, self._offsets[index], self.head.sizes[index])
        return data if sha256(data) == self.head.hashes[index] else b""

    def rows(self) -> list[tuple[bytes, bytes]] | None:
        """Return every row, None where a chunk does not check."""
        rows: list[tuple[bytes, bytes]] = []
        for index in range(len(self.head.hashes)):
            data = self.chunk(index)
            if not data:
                return None
            rows.extend(_CHUNKS.decode(data).rows)
        return rows


class SnapshotWriter:
    """A snapshot on its way to the disk."""

    def __init__(self, disk: Disk, height: int) -> None:
        """Begin, in the place of what an earlier attempt has left."""
        self._disk = disk
        self._name = file_name(height)
        self._height = height
        self._sizes: list[int] = []
        self._hashes: list[bytes] = []
        disk.delete(self._name)

    def add(self, chunk: bytes) -> None:
        """Write the next chunk. Synced now and then, so that the last sync is as short as the others."""
        self._disk.append(self._name, chunk)
        self._sizes.append(len(chunk))
        self._hashes.append(sha256(chunk))
        if len(self._sizes) % _UNSYNCED_CHUNKS_MAX == 0:
            self._disk.sync(self._name)

    def view(self, app_hash: bytes) -> SnapshotFile:
        """Return what is written so far as if it were finished, to judge it."""
        return SnapshotFile(self._disk, Head(self._height, app_hash, tuple(self._sizes), tuple(self._hashes)))

    def finish(self, app_hash: bytes) -> SnapshotFile:
        """Write the end, and make the whole durable."""
        finished = self.view(app_hash)
        data = frame(codec.encode(finished.head))
        self._disk.append(self._name, data + frame(len(data).to_bytes(_LENGTH_BYTES, "big")))
        self._disk.sync(self._name)
        return finished

    def drop(self) -> None:
        """Delete what is written so far."""
        self._disk.delete(self._name)


def file_name(height: int) -> str:
    """Return the name of a height's snapshot."""
    return numbered(PREFIX, height)


def open_snapshot(disk: Disk, height: int) -> SnapshotFile | None:
    """Return a snapshot, None where it is unfinished or its head does not check."""
    name = file_name(height)
    size = disk.size(name)
    length = open_frame(disk.read_at(name, max(0, size - _END_BYTES), _END_BYTES))
    if length is None:
        return None
    head_bytes = int.from_bytes(length, "big")
    data = open_frame(disk.read_at(name, max(0, size - _END_BYTES - head_bytes), head_bytes))
    try:
        head = None if data is None else _HEADS.decode(data)
    except Malformed:
        head = None
    return SnapshotFile(disk, head) if head is not None and head.height == height else None


def write_steps(writer: SnapshotWriter, rows: Iterable[tuple[bytes, bytes]]) -> Iterator[None]:
    """Write rows as chunks, a short step at a time; `finish` is the caller's."""
    pending: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in rows:
        pending.append((key, value))
        size += len(key) + len(value) + 8
        if size >= CHUNK_BYTES:
            writer.add(codec.encode(Chunk(tuple(pending))))
            pending, size = [], 0
        if len(pending) % _STEP_ROWS == 0:
            yield
    writer.add(codec.encode(Chunk(tuple(pending))))


class Restoring:
    """A snapshot on its way in from a peer, written down as it comes."""

    def __init__(self, disk: Disk, info: SnapshotInfo, app_hash: bytes, hashes: tuple[bytes, ...]) -> None:
        """Expect the chunks of an accepted offer; what the disk has already is not written again."""
        self.height = info.height
        self.app_hash = app_hash
        self._hashes = hashes
        self._taken = 0
        self._held = open_snapshot(disk, info.height)
        if self._held is not None and (self._held.info, self._held.app_hash) != (info, app_hash):
            self._held = None
        self._writer = SnapshotWriter(disk, info.height) if self._held is None else None

    def take(self, index: int, chunk: bytes) -> ChunkVerdict:
        """Take the next chunk; anything but the promised bytes is asked for again."""
        if len(chunk) > _CHUNK_BYTES_MAX:
            return ChunkVerdict.REJECT_SNAPSHOT
        if index != self._taken or index >= len(self._hashes) or sha256(chunk) != self._hashes[index]:
            return ChunkVerdict.RETRY
        if self._writer is not None:
            self._writer.add(chunk)
        self._taken += 1
        return ChunkVerdict.ACCEPT

    @property
    def is_complete(self) -> bool:
        """Return whether every chunk is there."""
        return self._taken == len(self._hashes)

    def build(self) -> tuple[State, SnapshotFile] | None:
        """Return the state and its durable snapshot, or None, keeping nothing, where it is not what was promised."""
        snapshot = self._held if self._writer is None else self._writer.view(self.app_hash)
        state = None if snapshot is None else _build_state(snapshot)
        if state is None or snapshot is None:
            self.drop()
            return None
        return state, snapshot if self._writer is None else self._writer.finish(self.app_hash)

    def drop(self) -> None:
        """Keep nothing of what has come."""
        if self._writer is not None:
            self._writer.drop()


def _build_state(snapshot: SnapshotFile) -> State | None:
    state = State(TABLES)
    try:
        rows = snapshot.rows()
        if rows is None:
            return None
        state.load(rows)
    except Malformed:
        return None
    clock = state.draft()[CLOCK].get(0)
    if state.root != snapshot.app_hash or clock is None or clock.height != snapshot.height:
        return None
    index_state(state)
    return state


def read_offer(disk: Disk, info: SnapshotInfo, app_hash: bytes) -> Restoring | OfferVerdict:
    """Judge an offer by its form; its content is judged chunk by chunk and at the end."""
    if info.format != FORMAT:
        return OfferVerdict.REJECT_FORMAT
    try:
        metadata = _METADATA.decode(info.metadata)
    except Malformed:
        return OfferVerdict.REJECT
    if not 0 < info.chunks <= CHUNKS_MAX or len(metadata.hashes) != info.chunks or sha256(info.metadata) != info.hash:
        return OfferVerdict.REJECT
    return Restoring(disk, info, app_hash, metadata.hashes)


def index_state(state: State) -> None:
    """Rebuild the derived tables of a state that was loaded from rows."""
    draft = state.draft()
    restore(draft)
    state.commit(state.seal(draft))
