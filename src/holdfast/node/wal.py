"""What this validator has signed, made durable before it leaves, so that a restart never signs against it.

One append-only file a height, of framed entries: own votes, own proposals, and behind each precommit for a block the
block and its polka, which are the lock. A frame is a header (length, checksum of the length, checksum of the payload)
and the payload. A write that a crash cut short ends inside a frame whose header, as far as it is there, is sound: it
never left and is dropped. Anything else that does not check is rot, and the replica refuses to start rather than forget
a signature.
"""

from collections.abc import Iterable
from typing import Annotated, Final, NamedTuple

from msgspec import Meta

from holdfast.consensus import limits
from holdfast.consensus.messages import Proposal, Vote, decode_vote, is_well_formed_vote
from holdfast.node.ports import Disk
from holdfast.primitives.codec import Decoder, encode
from holdfast.primitives.crypto import sha256
from holdfast.primitives.reject import Malformed

_LENGTH_BYTES: Final = 4
_CHECK_BYTES: Final = 4
_HEADER_BYTES: Final = _LENGTH_BYTES + 2 * _CHECK_BYTES
_PREFIX: Final = "signed-"

_VOTE: Final = b"v"
_PROPOSAL: Final = b"p"
_BLOCK: Final = b"b"
_POLKA: Final = b"l"

_PROPOSAL_DECODER: Final = Decoder(Proposal, max_bytes=1024, max_depth=2, max_items=16)
_POLKA_DECODER: Final[Decoder[tuple[Vote, ...]]] = Decoder(
    Annotated[tuple[Vote, ...], Meta(max_length=limits.VALIDATORS_MAX)],
    max_bytes=limits.VALIDATORS_MAX * 512,
    max_depth=3,
    max_items=limits.VALIDATORS_MAX * 16,
)


class DamagedFileError(Exception):
    """Durable bytes do not check: the file is named, and nothing is guessed."""


class Frames(NamedTuple):
    """The payloads of a file, and how many of its bytes are sound."""

    payloads: tuple[bytes, ...]
    sound_bytes: int


def frame(payload: bytes) -> bytes:
    """Return a payload with its header."""
    length = len(payload).to_bytes(_LENGTH_BYTES, "big")
    return length + sha256(length)[:_CHECK_BYTES] + sha256(payload)[:_CHECK_BYTES] + payload


def read_frames(name: str, data: bytes) -> Frames:
    """Split a file into payloads, leaving out a last frame that a crash cut short.

    Refuses: DamagedFileError, for whole bytes that do not check.
    """
    payloads = []
    offset = 0
    while len(data) - offset >= _HEADER_BYTES:
        length_bytes = data[offset : offset + _LENGTH_BYTES]
        checks = data[offset + _LENGTH_BYTES : offset + _HEADER_BYTES]
        if sha256(length_bytes)[:_CHECK_BYTES] != checks[:_CHECK_BYTES]:
            raise DamagedFileError(f"{name}: the frame at byte {offset} has a damaged header")
        start = offset + _HEADER_BYTES
        end = start + int.from_bytes(length_bytes, "big")
        if end > len(data):
            break
        payload = data[start:end]
        if sha256(payload)[:_CHECK_BYTES] != checks[_CHECK_BYTES:]:
            raise DamagedFileError(f"{name}: the frame at byte {offset} has a damaged payload")
        payloads.append(payload)
        offset = end
    return Frames(tuple(payloads), offset)


class Signed(NamedTuple):
    """What was signed at a height, in order, with the blocks and polkas behind it."""

    votes: tuple[Vote, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    blocks: tuple[bytes, ...] = ()
    polka: tuple[Vote, ...] = ()


class SignLog:
    """The log of one height."""

    def __init__(self, disk: Disk, height: int) -> None:
        """Read what the log holds, and cut off what a crash left half written."""
        self._disk = disk
        self._name = _name(height)
        data = disk.read(self._name)
        frames = read_frames(self._name, data)
        if frames.sound_bytes < len(data):
            disk.replace(self._name, data[: frames.sound_bytes])
        self.signed = _parse(self._name, frames.payloads)
        self._block_keys = {sha256(block) for block in self.signed.blocks}

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
            entries.append(_POLKA + encode(polka))
        self._write([*entries, _VOTE + encode(vote)])
        self.signed = self.signed._replace(votes=(*self.signed.votes, vote), polka=polka or self.signed.polka)

    def keep_proposal(self, proposal: Proposal, block: bytes) -> None:
        """Make an own proposal durable, with its block."""
        self._write([*self._block_entry(block), _PROPOSAL + encode(proposal)])
        self.signed = self.signed._replace(proposals=(*self.signed.proposals, proposal))

    def _block_entry(self, block: bytes) -> list[bytes]:
        key = sha256(block)
        if key in self._block_keys:
            return []
        self._block_keys.add(key)
        self.signed = self.signed._replace(blocks=(*self.signed.blocks, block))
        return [_BLOCK + block]

    def _write(self, entries: Iterable[bytes]) -> None:
        self._disk.append(self._name, b"".join(map(frame, entries)))
        self._disk.sync(self._name)


def drop_log(disk: Disk, height: int) -> None:
    """Delete the log of a height that is committed."""
    disk.delete(_name(height))


def drop_logs_below(disk: Disk, height: int) -> None:
    """Delete the logs of all heights that are committed."""
    for name in disk.names():
        if name.startswith(_PREFIX) and int(name.removeprefix(_PREFIX)) < height:
            disk.delete(name)


def _name(height: int) -> str:
    return f"{_PREFIX}{height:016d}"


def _parse(name: str, payloads: tuple[bytes, ...]) -> Signed:
    signed = Signed()
    try:
        for payload in payloads:
            signed = _take(signed, payload[:1], payload[1:])
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
