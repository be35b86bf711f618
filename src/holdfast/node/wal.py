"""What this validator has signed, made durable before it leaves, so that a restart never signs against it.

An append-only log of framed entries, each with its height: own votes, own proposals, and behind each precommit for a
block the block and its polka, which are the lock. One append and one sync make a signature durable. The log is cut into
segments; one whose heights are all committed is deleted.

A write that a crash cut short never left and is dropped. Anything else that does not check is rot, and the replica
refuses to start rather than forget a signature.
"""

from collections.abc import Iterable
from typing import Annotated, Final, NamedTuple

from msgspec import Meta

from holdfast.consensus import limits
from holdfast.consensus.messages import Proposal, Vote, decode_vote, is_well_formed_vote
from holdfast.node.frames import DamagedFileError, frame, numbered, numbers_of, read_frames
from holdfast.node.ports import Disk
from holdfast.primitives.codec import Decoder, encode
from holdfast.primitives.crypto import sha256
from holdfast.primitives.reject import Malformed

PREFIX: Final = "signed-"
SEGMENT_BYTES: Final = 8 * 1024 * 1024

_VOTE: Final = b"v"
_PROPOSAL: Final = b"p"
_BLOCK: Final = b"b"
_POLKA: Final = b"l"
_HEIGHT_BYTES: Final = 8
_HEAD_BYTES: Final = 1 + _HEIGHT_BYTES

_PROPOSAL_DECODER: Final = Decoder(Proposal, max_bytes=1024, max_depth=2, max_items=16)
_POLKA_DECODER: Final[Decoder[tuple[Vote, ...]]] = Decoder(
    Annotated[tuple[Vote, ...], Meta(max_length=limits.VALIDATORS_MAX)],
    max_bytes=limits.VALIDATORS_MAX * 512,
    max_depth=3,
    max_items=limits.VALIDATORS_MAX * 16,
)


class Signed(NamedTuple):
    """What was signed at a height, in order, with the blocks and polkas behind it."""

    votes: tuple[Vote, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    blocks: tuple[bytes, ...] = ()
    polka: tuple[Vote, ...] = ()


class _Segment:
    """One file: its number, its size, and the highest height that it speaks of."""

    __slots__ = ("last_height", "number", "size")

    def __init__(self, number: int) -> None:
        self.number = number
        self.size = 0
        self.last_height = 0

    @property
    def name(self) -> str:
        return numbered(PREFIX, self.number)


class SignLog:
    """The log, open at one height at a time, in rising order."""

    def __init__(self, disk: Disk, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Read what the log holds, and cut off what a crash left half written.

        Refuses: DamagedFileError, for whole entries that do not check.
        """
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._height = 0
        # Of the heights that are still to come: the entries that an earlier life has left, by height.
        self._earlier: dict[int, list[tuple[str, bytes]]] = {}
        self._block_keys: set[bytes] = set()
        self.signed = Signed()
        numbers = numbers_of(disk.names(), PREFIX)
        self._segments = [self._read(number, is_last=number == numbers[-1]) for number in numbers]

    def begin(self, height: int) -> None:
        """Turn to a height, with what was signed there; lower heights are committed and forgotten."""
        self._height = height
        self.signed = _parse(self._earlier.get(height, []))
        self._earlier = {above: self._earlier[above] for above in sorted(self._earlier) if above > height}
        self._block_keys = {sha256(block) for block in self.signed.blocks}
        if not self._segments or self._segments[-1].size >= self._segment_bytes:
            self._segments.append(_Segment(self._segments[-1].number + 1 if self._segments else 1))
        kept = [segment for segment in self._segments[:-1] if segment.last_height >= height]
        for segment in self._segments[:-1]:
            if segment not in kept:
                self._disk.delete(segment.name)
        self._segments = [*kept, self._segments[-1]]

    def find_vote(self, kind: int, round_number: int) -> Vote | None:
        """Return the own vote of a round."""
        for vote in self.signed.votes:
            if vote.kind == kind and vote.round == round_number:
                return vote
        return None

    def find_proposal(self, round_number: int) -> Proposal | None:
        """Return the own proposal of a round."""
        for proposal in self.signed.proposals:
            if proposal.round == round_number:
                return proposal
        return None

    def keep_vote(self, vote: Vote, block: bytes | None = None, polka: tuple[Vote, ...] = ()) -> None:
        """Make an own vote durable; with a precommit for a block, the lock that it takes."""
        entries = self._block_entry(block) if block is not None else []
        if polka:
            entries.append((_POLKA, encode(polka)))
        self._write([*entries, (_VOTE, encode(vote))])
        self.signed = self.signed._replace(votes=(*self.signed.votes, vote), polka=polka or self.signed.polka)

    def keep_proposal(self, proposal: Proposal, block: bytes) -> None:
        """Make an own proposal durable, with its block."""
        self._write([*self._block_entry(block), (_PROPOSAL, encode(proposal))])
        self.signed = self.signed._replace(proposals=(*self.signed.proposals, proposal))

    def _block_entry(self, block: bytes) -> list[tuple[bytes, bytes]]:
        key = sha256(block)
        if key in self._block_keys:
            return []
        self._block_keys.add(key)
        self.signed = self.signed._replace(blocks=(*self.signed.blocks, block))
        return [(_BLOCK, block)]

    def _write(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        segment = self._segments[-1]
        height = self._height.to_bytes(_HEIGHT_BYTES, "big")
        data = b"".join(frame(kind + height + body) for kind, body in entries)
        segment.size += len(data)
        segment.last_height = max(segment.last_height, self._height)
        self._disk.append(segment.name, data)
        self._disk.sync(segment.name)

    def _read(self, number: int, *, is_last: bool) -> _Segment:
        segment = _Segment(number)
        data = self._disk.read(segment.name)
        frames = read_frames(segment.name, data)
        if frames.sound_bytes < len(data):
            if not is_last:
                raise DamagedFileError(f"{segment.name}: the frame at byte {frames.sound_bytes} is cut short")
            self._disk.replace(segment.name, data[: frames.sound_bytes])
        elif is_last:
            # A process that was killed may have left entries that no sync had covered.
            self._disk.sync(segment.name)
        segment.size = frames.sound_bytes
        for payload in frames.payloads:
            height = int.from_bytes(payload[1:_HEAD_BYTES], "big")
            segment.last_height = max(segment.last_height, height)
            self._earlier.setdefault(height, []).append((segment.name, payload))
        return segment


def _parse(entries: list[tuple[str, bytes]]) -> Signed:
    signed = Signed()
    for name, payload in entries:
        try:
            signed = _take(signed, payload[:1], payload[_HEAD_BYTES:])
        except Malformed as error:
            raise DamagedFileError(f"{name}: an entry is not what this version writes: {error}") from error
    return signed


def _take(signed: Signed, kind: bytes, data: bytes) -> Signed:
    if kind == _VOTE:
        return signed._replace(votes=(*signed.votes, decode_vote(data)))
    if kind == _PROPOSAL:
        return signed._replace(proposals=(*signed.proposals, _PROPOSAL_DECODER.decode(data)))
    if kind == _BLOCK:
        return signed._replace(blocks=(*signed.blocks, data))
    if kind == _POLKA:
        polka = _POLKA_DECODER.decode(data)
        if all(map(is_well_formed_vote, polka)):
            return signed._replace(polka=polka)
    raise Malformed("entry kind")
