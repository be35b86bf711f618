"""What replicas say to each other: one kind byte, then the canonical bytes of that kind's record.

Every count and size is bounded before anything is parsed. A record is only a claim: whoever takes it verifies it.
"""

from typing import Annotated, Final, NamedTuple

from msgspec import Meta

from holdfast.consensus import limits
from holdfast.consensus.messages import Checkpoint, HeightNumber, Proposal, Vote, is_well_formed_vote
from holdfast.primitives.codec import Decoder, Record, encode
from holdfast.primitives.reject import Malformed

NOTICE_VOTES_MAX: Final = 4 * limits.VALIDATORS_MAX
TXS_BYTES_MAX: Final = 512 * 1024
TXS_COUNT_MAX: Final = 4_096
SNAPSHOTS_MAX: Final = 16
SNAPSHOT_METADATA_BYTES_MAX: Final = 256 * 1024
SNAPSHOT_CHUNKS_MAX: Final = 4_096
CHUNK_BYTES_MAX: Final = 1024 * 1024

BlockBytes = Annotated[bytes, Meta(max_length=limits.BLOCK_BYTES_MAX)]
Polka = Annotated[tuple[Vote, ...], Meta(max_length=limits.VALIDATORS_MAX)]
ChunkNumber = Annotated[int, Meta(ge=0, lt=SNAPSHOT_CHUNKS_MAX)]
FormatNumber = Annotated[int, Meta(ge=0, le=255)]


class ProposalMessage(Record):
    """A proposal with its block and, where the block is proposed again, the polka that lets others prevote for it."""

    proposal: Proposal
    block: BlockBytes
    polka: Polka


class TxsMessage(Record):
    """Transactions that the sender's mempool took."""

    txs: Annotated[
        tuple[Annotated[bytes, Meta(min_length=1, max_length=limits.TX_BYTES_MAX)], ...], Meta(max_length=TXS_COUNT_MAX)
    ]


class StatusMessage(Record):
    """How far the sender is, the first block that it still has, and whether it asks for the same."""

    height: HeightNumber
    first: HeightNumber
    wants_reply: bool


class CommitNotice(Record):
    """The sender has committed a height; the bare votes that it saw there, so that conflicting ones meet."""

    height: HeightNumber
    votes: Annotated[tuple[Vote, ...], Meta(max_length=NOTICE_VOTES_MAX)]


class BlocksRequest(Record):
    """Ask for decided blocks, both ends included."""

    first: HeightNumber
    last: HeightNumber


class BlockResponse(Record):
    """One decided block and the precommits that decided it."""

    height: HeightNumber
    block: BlockBytes
    votes: Polka


class SnapshotsRequest(Record):
    """Ask for the snapshots that the receiver has."""

    height: HeightNumber


class SnapshotRecord(Record):
    """A snapshot on offer; everything in it is a claim."""

    height: HeightNumber
    format: FormatNumber
    chunks: Annotated[int, Meta(ge=1, le=SNAPSHOT_CHUNKS_MAX)]
    hash: Annotated[bytes, Meta(max_length=limits.HASH_BYTES)]
    metadata: Annotated[bytes, Meta(max_length=SNAPSHOT_METADATA_BYTES_MAX)]


class SnapshotsResponse(Record):
    """The sender's snapshots."""

    snapshots: Annotated[tuple[SnapshotRecord, ...], Meta(max_length=SNAPSHOTS_MAX)]


class ChunkRequest(Record):
    """Ask for one chunk of a snapshot."""

    height: HeightNumber
    format: FormatNumber
    chunk: ChunkNumber


class ChunkResponse(Record):
    """One chunk of a snapshot, empty where the sender does not have it."""

    height: HeightNumber
    format: FormatNumber
    chunk: ChunkNumber
    data: Annotated[bytes, Meta(max_length=CHUNK_BYTES_MAX)]


Message = (
    ProposalMessage
    | Vote
    | TxsMessage
    | StatusMessage
    | CommitNotice
    | BlocksRequest
    | BlockResponse
    | SnapshotsRequest
    | SnapshotsResponse
    | ChunkRequest
    | ChunkResponse
    | Checkpoint
)


class _Kind(NamedTuple):
    number: int
    type: type[Message]
    bytes_max: int
    items_max: int


_VOTES_BYTES: Final = limits.VALIDATORS_MAX * limits.VOTE_BYTES_MAX
_VOTES_ITEMS: Final = limits.VALIDATORS_MAX * 12

_KINDS: Final = (
    _Kind(1, ProposalMessage, limits.BLOCK_BYTES_MAX + _VOTES_BYTES, _VOTES_ITEMS + 16),
    _Kind(2, Vote, limits.VOTE_BYTES_MAX, 16),
    _Kind(3, TxsMessage, TXS_BYTES_MAX + limits.TX_BYTES_MAX, TXS_COUNT_MAX + 8),
    _Kind(4, StatusMessage, 64, 8),
    _Kind(5, CommitNotice, NOTICE_VOTES_MAX * 512, NOTICE_VOTES_MAX * 12),
    _Kind(6, BlocksRequest, 64, 8),
    _Kind(7, BlockResponse, limits.BLOCK_BYTES_MAX + _VOTES_BYTES, _VOTES_ITEMS + 16),
    _Kind(8, SnapshotsRequest, 64, 8),
    _Kind(9, SnapshotsResponse, SNAPSHOTS_MAX * (SNAPSHOT_METADATA_BYTES_MAX + 128), SNAPSHOTS_MAX * 8 + 8),
    _Kind(10, ChunkRequest, 64, 8),
    _Kind(11, ChunkResponse, CHUNK_BYTES_MAX + 64, 8),
    _Kind(12, Checkpoint, 256, 8),
)
_NUMBERS: Final = {kind.type: bytes((kind.number,)) for kind in _KINDS}
_DECODERS: Final[dict[int, Decoder[Message]]] = {
    kind.number: Decoder(kind.type, max_bytes=kind.bytes_max, max_depth=5, max_items=kind.items_max) for kind in _KINDS
}


def encode_message(message: Message) -> bytes:
    """Return a message's bytes."""
    return _NUMBERS[type(message)] + encode(message)


def decode_message(data: bytes) -> Message:
    """Return the message that bytes hold, or raise Malformed."""
    decoder = _DECODERS.get(data[0]) if data else None
    if decoder is None:
        raise Malformed("an unknown kind of message")
    message = decoder.decode(data[1:])
    if not all(map(is_well_formed_vote, _votes_in(message))):
        raise Malformed("a vote whose parts do not go together")
    return message


def _votes_in(message: Message) -> tuple[Vote, ...]:
    match message:
        case Vote():
            return (message,)
        case ProposalMessage():
            return message.polka
        case CommitNotice() | BlockResponse():
            return message.votes
        case _:
            return ()
