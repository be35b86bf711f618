"""The application's store: a snapshot of the state, and a log of what each block since has changed.

    snapshot-H     every row at height H (`node/snapshots.py`); two are kept
    state-log-H    the blocks after height H, up to the next log: rows, height and app hash, one framed record a block

A block is committed by one append and one sync. Nothing else is written while a block waits: a snapshot is a job
(`node/jobs.py`), and what it makes superfluous is deleted afterwards.

Opening takes the newest snapshot that checks and every log behind it, up to the first record that is torn, damaged or
missing; the block log has the blocks from there on, and replaying them gives the same rows under the same roots.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from holdfast.node.application import SnapshotInfo
from holdfast.node.frames import DamagedFileError, frame, numbered, numbers_of, read_frames, read_prefix
from holdfast.node.jobs import InlineJobs, Jobs
from holdfast.node.ports import Disk
from holdfast.node.snapshots import PREFIX as SNAPSHOT_PREFIX
from holdfast.node.snapshots import SnapshotFile, SnapshotWriter, file_name, open_snapshot, write_steps
from holdfast.node.version import check_version
from holdfast.primitives import codec
from holdfast.primitives.codec import Record
from holdfast.primitives.reject import Malformed

LOG_PREFIX: Final = "state-log-"
SNAPSHOTS_KEPT: Final = 2
LOG_BYTES: Final = 128 * 1024 * 1024
_DELETED_A_BLOCK: Final = 2
_BYTES_MAX: Final = 2**31

Change = tuple[bytes, bytes | None]


class StoreError(Exception):
    """The store holds nothing that it could go on from: what it has does not check."""


class Saved(Record):
    """The rows that one block changed; no value: removed."""

    height: int
    app_hash: bytes
    rows: tuple[Change, ...]


class Loaded(NamedTuple):
    """What a store gives back: the last height, its root, and every row in the order of the keys."""

    height: int
    app_hash: bytes
    rows: list[tuple[bytes, bytes]]


_DECODER: Final = codec.Decoder(Saved, max_bytes=_BYTES_MAX, max_depth=4, max_items=2**31)


class StateStore:
    """Keeps the committed state on a disk."""

    def __init__(self, disk: Disk, jobs: Jobs | None = None) -> None:
        """Use a disk, which may hold an earlier state; `load` reads it."""
        self._disk = disk
        self._jobs = jobs or InlineJobs()
        self._snapshots: dict[int, SnapshotFile] = {}
        self._logs: list[int] = []
        self._starts_log = True
        self._log_bytes = 0
        self._height = 0
        self._written: SnapshotFile | None = None
        # What `load` found damaged and did without.
        self.damage: list[str] = []

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing is committed here."""
        return self._height == 0

    @property
    def is_log_long(self) -> bool:
        """Tell whether a snapshot is due because of what a start would have to read."""
        return self._log_bytes > LOG_BYTES and not self._starts_log

    # Opening

    def load(self) -> Loaded | None:
        """Return the last committed state, or None where nothing was ever committed.

        Refuses: VersionError, for the files of another program; StoreError, where no state can be made of the files.
        """
        check_version(self._disk)
        names = self._disk.names()
        heights = numbers_of(names, SNAPSHOT_PREFIX)
        self._logs = numbers_of(names, LOG_PREFIX)
        self._snapshots = {}
        loaded: Loaded | None = None
        for height in reversed(heights):
            snapshot = open_snapshot(self._disk, height)
            if snapshot is None:
                continue
            self._snapshots[height] = snapshot
            loaded = loaded or self._load_from(snapshot)
        if loaded is None and 0 in self._logs:
            loaded = self._follow(0, b"", [])
        found = loaded if loaded is not None and loaded.height > 0 else None
        if found is None and any(self._logs):
            raise StoreError(
                f"no snapshot checks ({'; '.join(self.damage) or 'none is whole'});"
                " restore a backup, or delete the store and let it resync from its peers"
            )
        self._sweep(0 if found is None else found.height, heights)
        return found

    def _load_from(self, snapshot: SnapshotFile) -> Loaded | None:
        rows = snapshot.rows()
        if rows is None:
            self.damage.append(f"{file_name(snapshot.height)}: a chunk does not check")
            del self._snapshots[snapshot.height]
            return None
        return self._follow(snapshot.height, snapshot.app_hash, rows)

    def _follow(self, height: int, app_hash: bytes, rows: list[tuple[bytes, bytes]]) -> Loaded:
        """Apply the logs to the rows of a height, as far as they lead."""
        changed: dict[bytes, bytes | None] = {}
        self._starts_log = True
        for place, start in enumerate(self._logs):
            if start > height or (place + 1 < len(self._logs) and self._logs[place + 1] <= height):
                continue
            records, is_whole = self._read_log(start)
            for record in records:
                if record.height == height + 1:
                    changed.update(record.rows)
                    height, app_hash = record.height, record.app_hash
                elif record.height > height:
                    is_whole = False
                    break
            self._starts_log = not is_whole
        if changed:
            # What was there keeps its place, so that the sort finds little to do.
            kept: dict[bytes, bytes | None] = {**dict(rows), **changed}
            rows = sorted((key, value) for key, value in kept.items() if value is not None)
        return Loaded(height, app_hash, rows)

    def _read_log(self, start: int) -> tuple[list[Saved], bool]:
        """Return a log's whole records, and whether they are all that it holds."""
        name = _log_name(start)
        data = self._disk.read(name)
        self._log_bytes = len(data)
        frames = read_prefix(data)
        try:
            read_frames(name, data)
        except DamagedFileError as error:
            self.damage.append(str(error))
        try:
            records = [_DECODER.decode(payload) for payload in frames.payloads]
        except Malformed as error:
            raise StoreError(f"{name}: a record is not what this version writes: {error}") from error
        # A process that was killed may have left records that no sync had covered.
        self._disk.sync(name)
        return records, frames.sound_bytes == len(data)

    def _sweep(self, height: int, heights: list[int]) -> None:
        """Delete what lies beyond the height that was reached, and snapshots that never were finished."""
        for each in heights:
            if each not in self._snapshots or each > height:
                self._disk.delete(file_name(each))
                self._snapshots.pop(each, None)
        for start in [start for start in self._logs if start > height]:
            self._disk.delete(_log_name(start))
            self._logs.remove(start)
        self._starts_log = self._starts_log or height == 0
        self._height = height

    # Committing

    def save_block(self, height: int, app_hash: bytes, changes: tuple[Change, ...]) -> None:
        """Make one block's changes durable; the first block's are all rows."""
        if self._starts_log:
            self._disk.delete(_log_name(height - 1))
            self._logs = [*(start for start in self._logs if start < height - 1), height - 1]
            self._starts_log = False
            self._log_bytes = 0
        name = _log_name(self._logs[-1])
        record = frame(codec.encode(Saved(height, app_hash, changes)))
        self._disk.append(name, record)
        self._disk.sync(name)
        self._log_bytes += len(record)
        self._height = height

    def start_snapshot(self, height: int, app_hash: bytes, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Begin to write the state of the last height down, unless the one before is not finished yet.

        `rows` must stay as they are however long it takes.
        """
        if self._jobs.is_busy or self._written is not None or height in self._snapshots:
            return
        self._starts_log = True
        self._jobs.start(self._write_snapshot(height, app_hash, rows))

    def settle(self) -> None:
        """Take over a snapshot that is finished, and delete a few files that it makes superfluous.

        Refuses: what the job has run into, such as DiskError.
        """
        self._jobs.check()
        written, self._written = self._written, None
        if written is not None:
            self._snapshots[written.height] = written
        for name in self._superfluous()[:_DELETED_A_BLOCK]:
            self._disk.delete(name)

    def adopt(self, snapshot: SnapshotFile) -> None:
        """Go on from a snapshot that came from elsewhere; everything else is deleted."""
        for height in self._snapshots:
            if height != snapshot.height:
                self._disk.delete(file_name(height))
        for start in self._logs:
            self._disk.delete(_log_name(start))
        self._snapshots = {snapshot.height: snapshot}
        self._logs = []
        self._starts_log = True
        self._height = snapshot.height

    def close(self) -> None:
        """Leave a snapshot that is under way unfinished."""
        self._jobs.close()

    # Snapshots

    def list_snapshots(self) -> tuple[SnapshotInfo, ...]:
        """Return what peers may ask for, newest last."""
        return tuple(self._snapshots[height].info for height in sorted(self._snapshots))

    def load_chunk(self, height: int, chunk: int) -> bytes:
        """Return one chunk, empty where it does not exist or does not check."""
        snapshot = self._snapshots.get(height)
        return b"" if snapshot is None else snapshot.chunk(chunk)

    @property
    def oldest_snapshot(self) -> int:
        """Return the height of the oldest snapshot, 0 where there is none."""
        return min(self._snapshots, default=0)

    def _write_snapshot(self, height: int, app_hash: bytes, rows: Iterable[tuple[bytes, bytes]]) -> Iterator[None]:
        writer = SnapshotWriter(self._disk, height)
        yield from write_steps(writer, rows)
        self._written = writer.finish(app_hash)

    def _superfluous(self) -> list[str]:
        """Forget what the kept snapshots make superfluous, as much as is deleted with one block; return its names."""
        if len(self._snapshots) < SNAPSHOTS_KEPT:
            return []
        names: list[str] = []
        kept = sorted(self._snapshots)[-SNAPSHOTS_KEPT:]
        for height in [height for height in sorted(self._snapshots) if height < kept[0]]:
            if len(names) < _DELETED_A_BLOCK:
                del self._snapshots[height]
                names.append(file_name(height))
        while len(names) < _DELETED_A_BLOCK and len(self._logs) > 1 and self._logs[1] <= kept[0]:
            names.append(_log_name(self._logs.pop(0)))
        return names


def _log_name(start: int) -> str:
    return numbered(LOG_PREFIX, start)
