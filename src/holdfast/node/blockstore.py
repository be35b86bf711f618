"""The block log: decided blocks with the precommits that decided them, and what each came to.

Append-only segments `blocks-<first height>`. A height is two frames behind each other: the block with its votes, and
its outcome: the chain's tip after it, the transactions' results, the events. Both become durable with one sync, so the
log's last outcome is the tip. Where a height lies is known for the last segment; older ones are looked through when
they are first asked for. A block is read alone, never its whole segment.

A torn end is left where it is, and the next height begins a segment of its own. A record that does not check is counted
and never given out. Readers may come from other threads; one thread writes.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Annotated, Final, NamedTuple

from msgspec import Meta

from holdfast.consensus import limits
from holdfast.consensus.messages import HeightNumber, Vote
from holdfast.node.application import TxResult
from holdfast.node.frames import HEADER_BYTES, frame, frame_bytes, numbered, numbers_of, open_frame
from holdfast.node.ports import Disk
from holdfast.node.replica_tip import Tip, TipRecord, read_tip, record_of
from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Decoder, Record, encode
from holdfast.primitives.reject import Malformed

PREFIX: Final = "blocks-"
SEGMENT_BYTES: Final = 64 * 1024 * 1024
SEGMENT_BLOCKS: Final = 16_384
_INDEXES_MAX: Final = 4
_WINDOW_BYTES: Final = 256 * 1024
_RECORD_BYTES_MAX: Final = 256 * 1024 * 1024
_ITEMS_MAX: Final = 2**22

Votes = Annotated[tuple[Vote, ...], Meta(max_length=limits.VALIDATORS_MAX)]


class StoredBlock(NamedTuple):
    """A block's canonical bytes and precommits of more than two thirds for it, with their extensions."""

    data: bytes
    votes: tuple[Vote, ...]


class Outcome(NamedTuple):
    """What a block came to. Events are the application's, encoded."""

    height: int
    time_ms: int
    app_hash: bytes
    block_hash: bytes
    results: tuple[TxResult, ...]
    events: bytes


class BlockRecord(Record):
    """A stored block."""

    height: HeightNumber
    data: bytes
    votes: Votes


class _OutcomeRecord(Record):
    """The tip after a block, and its results: none, and unknown, where the state came from a snapshot."""

    tip: TipRecord
    has_results: bool
    results: tuple[tuple[int, bytes, bytes], ...]
    events: bytes


class _Span(NamedTuple):
    """Where a height lies in its segment."""

    offset: int
    block_bytes: int
    outcome_bytes: int

    @property
    def end(self) -> int:
        return self.offset + self.block_bytes + self.outcome_bytes


_BLOCK_DECODER: Final = Decoder(BlockRecord, max_bytes=_RECORD_BYTES_MAX, max_depth=4, max_items=_ITEMS_MAX)
_OUTCOME_DECODER: Final = Decoder(_OutcomeRecord, max_bytes=_RECORD_BYTES_MAX, max_depth=8, max_items=_ITEMS_MAX)


class BlockStore:
    """The blocks of one replica, a contiguous range of heights."""

    def __init__(self, disk: Disk, *, segment_bytes: int = SEGMENT_BYTES, segment_blocks: int = SEGMENT_BLOCKS) -> None:
        """Find what the disk holds, up to the last height that is whole."""
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._segment_blocks = segment_blocks
        self._lock = Lock()
        self._starts = numbers_of(disk.names(), PREFIX)
        self._indexes: OrderedDict[int, list[_Span]] = OrderedDict()
        self.damaged = 0
        self.tip: Tip | None = None
        # Where the log stops short of its files' end: a torn write, or damage.
        self.cut = ""
        self._must_rotate = False
        self.last = 0
        self._open_last()

    @property
    def first(self) -> int:
        """Return the first height that is kept, 0 where none is."""
        return self._starts[0] if self._starts and self.last else 0

    def save(self, stored: StoredBlock, tip: Tip, results: Sequence[TxResult] = (), events: bytes = b"") -> None:
        """Make a decided block and its outcome durable."""
        ensure(tip.height == self.last + 1, "a block log has no gaps")
        logged = tuple((result.code, result.data, result.log.encode("utf-8", "replace")) for result in results)
        self._write(stored, tip, _OutcomeRecord(record_of(tip), has_results=True, results=logged, events=events))

    def restart(self, stored: StoredBlock, tip: Tip) -> None:
        """Go on from a height whose state came from elsewhere; what was kept before it is deleted."""
        with self._lock:
            old, self._starts = self._starts, []
            self._indexes.clear()
            self.last = 0
        for start in old:
            self._disk.delete(_name(start))
        self._write(stored, tip, _OutcomeRecord(record_of(tip), has_results=False, results=(), events=b""))

    def load(self, height: int) -> StoredBlock | None:
        """Return a block, or None where it is absent or damaged."""
        found = self._find(height)
        if found is None:
            return None
        start, span = found
        data = self._disk.read_at(_name(start), span.offset, span.block_bytes)
        payload = open_frame(data)
        try:
            record = None if payload is None else _BLOCK_DECODER.decode(payload)
        except Malformed:
            record = None
        if record is None or record.height != height:
            self._count_damage(data)
            return None
        return StoredBlock(record.data, record.votes)

    def outcome(self, height: int) -> Outcome | None:
        """Return what a block came to, or None where that is absent, damaged or was never known here."""
        record = self._load_outcome(height)
        if record is None or not record.has_results:
            return None
        results = tuple(TxResult(code, data, log.decode("utf-8", "replace")) for code, data, log in record.results)
        tip = record.tip
        return Outcome(height, tip.time_ms, tip.app_hash, tip.block_hash, results, record.events)

    def tip_at(self, height: int) -> Tip | None:
        """Return the chain as it was after a kept height."""
        record = self._load_outcome(height)
        return None if record is None else read_tip(record.tip)

    def prune(self, retain_height: int) -> None:
        """Delete one segment that no peer may need any more, if there is one; the last always stays."""
        with self._lock:
            if len(self._starts) < 2 or self._starts[1] > retain_height:  # noqa: PLR2004 -- one to drop, one to keep
                return
            start = self._starts.pop(0)
            self._indexes.pop(start, None)
        self._disk.delete(_name(start))

    def _write(self, stored: StoredBlock, tip: Tip, outcome: _OutcomeRecord) -> None:
        block = frame(encode(BlockRecord(tip.height, stored.data, stored.votes)))
        result = frame(encode(outcome))
        start, spans = self._segment_for(tip.height)
        name = _name(start)
        self._disk.append(name, block + result)
        self._disk.sync(name)
        with self._lock:
            spans.append(_Span(spans[-1].end if spans else 0, len(block), len(result)))
            self.last = tip.height
            self.tip = tip

    def _segment_for(self, height: int) -> tuple[int, list[_Span]]:
        """Return the segment that takes a height, a new one where the last is full or ends in a torn write."""
        with self._lock:
            if self._starts and not self._must_rotate:
                spans = self._indexes[self._starts[-1]]
                if not spans or (spans[-1].end < self._segment_bytes and len(spans) < self._segment_blocks):
                    return self._starts[-1], spans
        # What stands there under the same name never became a whole height.
        self._disk.delete(_name(height))
        with self._lock:
            self._must_rotate = False
            self._starts = [start for start in self._starts if start < height]
            self._starts.append(height)
            self._indexes[height] = []
            return height, self._indexes[height]

    def _open_last(self) -> None:
        """Find the last height that is whole, leaving segments behind that hold none."""
        while self._starts:
            start = self._starts[-1]
            spans = _scan(self._disk, _name(start))
            size = self._disk.size(_name(start))
            self._indexes[start] = spans
            while spans and not self._is_whole(start, len(spans) - 1):
                spans.pop()
            end = spans[-1].end if spans else 0
            if end < size:
                self.cut = f"{_name(start)} is cut short or damaged at byte {end} of {size}"
                self._must_rotate = True
            if spans:
                self.last = start + len(spans) - 1
                self.tip = self.tip_at(self.last)
                # A process that was killed may have left a height that no sync had covered.
                self._disk.sync(_name(start))
                return
            self._indexes.pop(start)
            self._starts.pop()

    def _is_whole(self, start: int, place: int) -> bool:
        return self.load(start + place) is not None and self.tip_at(start + place) is not None

    def _load_outcome(self, height: int) -> _OutcomeRecord | None:
        found = self._find(height)
        if found is None:
            return None
        start, span = found
        data = self._disk.read_at(_name(start), span.offset + span.block_bytes, span.outcome_bytes)
        payload = open_frame(data)
        try:
            record = None if payload is None else _OUTCOME_DECODER.decode(payload)
        except Malformed:
            record = None
        if record is None or record.tip.height != height:
            self._count_damage(data)
            return None
        return record

    def _find(self, height: int) -> tuple[int, _Span] | None:
        """Return the segment of a height and its place there."""
        with self._lock:
            place = bisect_right(self._starts, height)
            if place == 0:
                return None
            start = self._starts[place - 1]
            spans = self._indexes.get(start)
        if spans is None:
            spans = _scan(self._disk, _name(start))
            with self._lock:
                if start in self._starts:
                    self._indexes[start] = spans
                    self._drop_indexes()
        return (start, spans[height - start]) if height - start < len(spans) else None

    def _drop_indexes(self) -> None:
        for start in list(self._indexes)[: max(0, len(self._indexes) - _INDEXES_MAX)]:
            if start != self._starts[-1]:
                del self._indexes[start]

    def _count_damage(self, data: bytes) -> None:
        # What was pruned between two steps of a reader is gone, not damaged.
        if data:
            self.damaged += 1


def _name(start: int) -> str:
    return numbered(PREFIX, start)


def _scan(disk: Disk, name: str) -> list[_Span]:
    """Return the heights of a segment as its frames' headers tell them, up to the first that is torn or damaged."""
    size = disk.size(name)
    spans: list[_Span] = []
    ends: list[int] = []
    window, at, offset = b"", 0, 0
    while offset + HEADER_BYTES <= size:
        if offset + HEADER_BYTES > at + len(window):
            window, at = disk.read_at(name, offset, _WINDOW_BYTES), offset
        length = frame_bytes(window[offset - at : offset - at + HEADER_BYTES])
        if length is None or offset + length > size:
            break
        offset += length
        ends.append(offset)
        if len(ends) % 2 == 0:
            begin = ends[-3] if len(ends) > 2 else 0  # noqa: PLR2004 -- the frame before this height's two
            spans.append(_Span(begin, ends[-2] - begin, ends[-1] - ends[-2]))
    return spans
