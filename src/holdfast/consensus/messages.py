"""What validators sign and store: records, their canonical bytes, sign bytes and hashes.

A nil vote has an empty block hash. A vote's extension has a signature of its own, so a vote without its extension
(`bare`) still verifies: that is how votes travel in proofs. `well_formed_*` say whether decoded records can mean
anything; bytes that fail them are Malformed.
"""

from enum import IntEnum, unique
from itertools import pairwise
from typing import Annotated, Final, NamedTuple

from msgspec import Meta

from holdfast.consensus import limits
from holdfast.primitives.codec import Decoder, Record, encode
from holdfast.primitives.crypto import sha256
from holdfast.primitives.reject import Malformed

NIL: Final = b""
NO_HASH: Final = bytes(limits.HASH_BYTES)

Hash = Annotated[bytes, Meta(min_length=limits.HASH_BYTES, max_length=limits.HASH_BYTES)]
HashOrNil = Annotated[bytes, Meta(max_length=limits.HASH_BYTES)]
Signature = Annotated[bytes, Meta(min_length=limits.SIGNATURE_BYTES, max_length=limits.SIGNATURE_BYTES)]
SignatureOrNone = Annotated[bytes, Meta(max_length=limits.SIGNATURE_BYTES)]
Index = Annotated[int, Meta(ge=0, lt=limits.VALIDATORS_MAX)]
HeightNumber = Annotated[int, Meta(ge=0, le=limits.HEIGHT_MAX)]
RoundNumber = Annotated[int, Meta(ge=0, le=limits.ROUND_MAX)]
PolRoundNumber = Annotated[int, Meta(ge=-1, le=limits.ROUND_MAX)]
TimeMs = Annotated[int, Meta(ge=0, le=limits.TIME_MS_MAX)]


@unique
class VoteKind(IntEnum):
    """The two votes of a round."""

    PREVOTE = 1
    PRECOMMIT = 2


class Vote(Record):
    """One signed vote, for a block or for nil. Only a precommit for a block carries an extension."""

    kind: VoteKind
    height: HeightNumber
    round: RoundNumber
    block_hash: HashOrNil
    validator_index: Index
    timestamp_ms: TimeMs
    signature: Signature
    extension: Annotated[bytes, Meta(max_length=limits.EXTENSION_BYTES_MAX)] = b""
    extension_signature: SignatureOrNone = b""


class Proposal(Record):
    """A proposer's signed claim to a round. `pol_round` is that of the polka behind a block proposed again, or -1."""

    height: HeightNumber
    round: RoundNumber
    pol_round: PolRoundNumber
    block_hash: Hash
    proposer_index: Index
    signature: Signature


class CommitSignature(Record):
    """One validator's precommit inside a commit: what is signed beyond the commit's own fields, and the signature."""

    validator_index: Index
    timestamp_ms: TimeMs
    signature: Signature


class Commit(Record):
    """The precommits that decided a block, in order of validator index; absent and nil votes have no entry."""

    height: HeightNumber
    round: RoundNumber
    block_hash: HashOrNil
    signatures: Annotated[tuple[CommitSignature, ...], Meta(max_length=limits.VALIDATORS_MAX)]


class EquivocationProof(Record):
    """Two bare votes of one validator for different blocks in one height, round and kind; the smaller hash first."""

    first: Vote
    second: Vote


class Checkpoint(Record):
    """One validator's signed word for the state that a committed height left."""

    height: HeightNumber
    time_ms: TimeMs
    app_hash: Hash
    validator_index: Index
    signature: Signature


class CheckpointSignature(Record):
    """One validator's signature inside a checkpoint certificate."""

    validator_index: Index
    signature: Signature


class CheckpointCertificate(Record):
    """Checkpoints of more than two thirds of power for one state, in order of validator index."""

    height: HeightNumber
    time_ms: TimeMs
    app_hash: Hash
    signatures: Annotated[tuple[CheckpointSignature, ...], Meta(max_length=limits.VALIDATORS_MAX)]


class Header(Record):
    """The fields that a block's hash covers. App and results hash are those that the block before left."""

    chain_id: Annotated[str, Meta(min_length=1, max_length=64)]
    height: HeightNumber
    time_ms: TimeMs
    last_block_hash: Hash
    app_hash: Hash
    last_results_hash: Hash
    validators_hash: Hash
    next_validators_hash: Hash
    proposer_index: Index
    txs_hash: Hash
    last_commit_hash: Hash
    evidence_hash: Hash


class Block(Record):
    """A proposed or decided block."""

    header: Header
    txs: Annotated[tuple[bytes, ...], Meta(max_length=limits.BLOCK_TXS_MAX)]
    evidence: Annotated[tuple[EquivocationProof, ...], Meta(max_length=limits.EVIDENCE_PER_BLOCK_MAX)]
    last_commit: Commit


NO_COMMIT: Final = Commit(0, 0, NIL, ())


class SignDomains(NamedTuple):
    """The prefixes that keep a signature of one chain and kind from meaning anything elsewhere."""

    vote: bytes
    proposal: bytes
    extension: bytes
    checkpoint: bytes


def make_sign_domains(chain_id: str, genesis_hash: bytes) -> SignDomains:
    """Derive the domains of a chain."""

    def domain(kind: str) -> bytes:
        return sha256(b"holdfast" + encode((kind, 1, chain_id, genesis_hash)))

    return SignDomains(domain("vote"), domain("proposal"), domain("extension"), domain("checkpoint"))


def vote_sign_bytes(domains: SignDomains, vote: Vote) -> bytes:
    """Return what a vote's signature covers: all of it but the extension."""
    fields = (vote.height, vote.round, vote.block_hash, vote.validator_index, vote.timestamp_ms)
    return domains.vote + encode((int(vote.kind), *fields))


def proposal_sign_bytes(domains: SignDomains, proposal: Proposal) -> bytes:
    """Return what a proposal's signature covers."""
    fields = (proposal.height, proposal.round, proposal.pol_round, proposal.block_hash, proposal.proposer_index)
    return domains.proposal + encode(fields)


def extension_sign_bytes(domains: SignDomains, height: int, round_number: int, extension: bytes) -> bytes:
    """Return what an extension's signature covers."""
    return domains.extension + encode((height, round_number, extension))


def checkpoint_sign_bytes(domains: SignDomains, height: int, time_ms: int, app_hash: bytes) -> bytes:
    """Return what a checkpoint's signature covers: the state and its place, the same bytes for every validator."""
    return domains.checkpoint + encode((height, time_ms, app_hash))


def bare(vote: Vote) -> Vote:
    """Return a vote without its extension."""
    if not vote.extension and not vote.extension_signature:
        return vote
    return Vote(
        vote.kind, vote.height, vote.round, vote.block_hash, vote.validator_index, vote.timestamp_ms, vote.signature
    )


def header_hash(header: Header) -> bytes:
    """Return a block's identity."""
    return sha256(b"holdfast.header" + encode(header))


def compute_txs_hash(txs: tuple[bytes, ...]) -> bytes:
    """Hash a block's transactions in their order."""
    return sha256(b"holdfast.txs" + b"".join(map(sha256, txs)))


def compute_commit_hash(commit: Commit) -> bytes:
    """Hash a commit with every signature in it."""
    return sha256(b"holdfast.commit" + encode(commit))


def compute_evidence_hash(evidence: tuple[EquivocationProof, ...]) -> bytes:
    """Hash a block's proofs of equivocation."""
    return sha256(b"holdfast.evidence" + encode(evidence))


def is_well_formed_vote(vote: Vote) -> bool:
    """Tell whether a vote's parts go together."""
    if len(vote.block_hash) not in (0, limits.HASH_BYTES):
        return False
    if vote.extension_signature:
        extendable = vote.kind == VoteKind.PRECOMMIT and vote.block_hash != NIL
        return extendable and len(vote.extension_signature) == limits.SIGNATURE_BYTES
    return not vote.extension


def is_well_formed_commit(commit: Commit) -> bool:
    """Tell whether a commit names a block and each validator at most once, in order."""
    if len(commit.block_hash) not in (0, limits.HASH_BYTES):
        return False
    indices = [entry.validator_index for entry in commit.signatures]
    return all(low < high for low, high in pairwise(indices))


def is_well_formed_block(block: Block) -> bool:
    """Tell whether the records inside a block could each be genuine."""
    votes = [vote for proof in block.evidence for vote in (proof.first, proof.second)]
    return is_well_formed_commit(block.last_commit) and all(map(is_well_formed_vote, votes))


_BLOCK_DECODER: Final = Decoder(
    Block, max_bytes=limits.BLOCK_BYTES_MAX, max_depth=8, max_items=2 * limits.BLOCK_TXS_MAX
)
_VOTE_DECODER: Final = Decoder(Vote, max_bytes=limits.VOTE_BYTES_MAX, max_depth=2, max_items=16)


def decode_block(data: bytes) -> Block:
    """Decode a block, or raise Malformed."""
    block: Block = _BLOCK_DECODER.decode(data)
    if not is_well_formed_block(block):
        raise Malformed("block")
    return block


def decode_vote(data: bytes) -> Vote:
    """Decode a vote, or raise Malformed."""
    vote: Vote = _VOTE_DECODER.decode(data)
    if not is_well_formed_vote(vote):
        raise Malformed("vote")
    return vote
