"""Decided blocks with the precommits that decided them, one checksummed file a height.

A file is complete or it does not count: a crash between append and sync leaves a tail that opens as absent. A damaged
file is forgotten and counted, so that its block is fetched from peers again; nothing is served that does not check.
"""

from typing import Annotated, Final, NamedTuple

from msgspec import Meta

from holdfast.consensus import limits
from holdfast.consensus.messages import Vote
from holdfast.node.ports import Disk
from holdfast.node.wal import DamagedFileError, frame, read_frames
from holdfast.primitives.codec import Decoder, encode
from holdfast.primitives.reject import Malformed

_PREFIX: Final = "block-"
Votes = Annotated[tuple[Vote, ...], Meta(max_length=limits.VALIDATORS_MAX)]
VOTES_DECODER: Final[Decoder[tuple[Vote, ...]]] = Decoder(
    Votes,
    max_bytes=limits.VALIDATORS_MAX * limits.VOTE_BYTES_MAX,
    max_depth=3,
    max_items=limits.VALIDATORS_MAX * 16,
)


class StoredBlock(NamedTuple):
    """A block's canonical bytes and precommits of more than two thirds for it, with their extensions."""

    data: bytes
    votes: tuple[Vote, ...]


class BlockStore:
    """The blocks of one replica, a contiguous range of heights."""

    def __init__(self, disk: Disk) -> None:
        """Find what the disk holds; of ranges with gaps only the last counts."""
        self._disk = disk
        self.damaged = 0
        heights = sorted(int(name.removeprefix(_PREFIX)) for name in disk.names() if name.startswith(_PREFIX))
        while heights and self.load(heights[-1]) is None:
            self.drop(heights.pop())
        self.last = heights[-1] if heights else 0
        self.first = self.last
        for height in reversed(heights):
            if height < self.first - 1:
                break
            self.first = height

    def save(self, height: int, block: StoredBlock) -> None:
        """Make a decided block durable."""
        name = _name(height)
        if self._disk.read(name):
            self._disk.delete(name)
        self._disk.append(name, frame(block.data) + frame(encode(block.votes)))
        self._disk.sync(name)
        self.first = height if height != self.last + 1 or self.first == 0 else self.first
        self.last = height

    def load(self, height: int) -> StoredBlock | None:
        """Return a block, or None where it is absent or damaged."""
        name = _name(height)
        try:
            payloads = read_frames(name, self._disk.read(name)).payloads
            if len(payloads) == 2:  # noqa: PLR2004 -- a block and its votes
                return StoredBlock(payloads[0], VOTES_DECODER.decode(payloads[1]))
        except (DamagedFileError, Malformed):
            self.damaged += 1
        return None

    def drop(self, height: int) -> None:
        """Forget a block that does not check."""
        self._disk.delete(_name(height))

    def prune(self, retain_height: int) -> None:
        """Delete what no peer may need any more, always keeping the last block."""
        while 0 < self.first < min(retain_height, self.last):
            self.drop(self.first)
            self.first += 1


def _name(height: int) -> str:
    return f"{_PREFIX}{height:016d}"
