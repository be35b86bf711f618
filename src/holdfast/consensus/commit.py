"""Judging certificates: commits, the block time that they imply, and proofs of equivocation.

A validator index is the one lookup key everywhere: the key that verifies an entry, the power that it counts and the
timestamp that it contributes all come from the same index, and every field used is covered by the verified signature.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from enum import StrEnum, unique
from itertools import pairwise

from holdfast.consensus import limits
from holdfast.consensus.messages import (
    NIL,
    Checkpoint,
    CheckpointCertificate,
    Commit,
    CommitSignature,
    EquivocationProof,
    SignDomains,
    Vote,
    VoteKind,
    bare,
    checkpoint_sign_bytes,
    extension_sign_bytes,
    is_well_formed_commit,
    is_well_formed_vote,
    vote_sign_bytes,
)
from holdfast.consensus.validators import ValidatorSet
from holdfast.primitives.check import ensure
from holdfast.primitives.crypto import verify, verify_many


@unique
class Fault(StrEnum):
    """Why a certificate is worth nothing."""

    MALFORMED = "malformed"
    WRONG_BLOCK = "not a commit of this block"
    FOREIGN_VALIDATOR = "not a validator with power"
    POWER_SHORT = "two thirds of power or less"
    BAD_SIGNATURE = "a signature does not verify"
    NO_CONFLICT = "the votes do not conflict"
    TOO_OLD = "older than evidence may be"
    NOT_YET = "not of an earlier height"


def make_commit(votes: Sequence[Vote]) -> Commit:
    """Fold the precommits of one block and round into a commit."""
    ensure(len(votes) > 0, "a commit has votes")
    first = votes[0]
    entries = {
        vote.validator_index: CommitSignature(vote.validator_index, vote.timestamp_ms, vote.signature) for vote in votes
    }
    return Commit(first.height, first.round, first.block_hash, tuple(entries[index] for index in sorted(entries)))


def vote_of(commit: Commit, entry: CommitSignature) -> Vote:
    """Return the bare precommit that an entry stands for."""
    return Vote(
        VoteKind.PRECOMMIT,
        commit.height,
        commit.round,
        commit.block_hash,
        entry.validator_index,
        entry.timestamp_ms,
        entry.signature,
    )


def check_commit(
    validators: ValidatorSet,
    domains: SignDomains,
    commit: Commit,
    height: int,
    block_hash: bytes,
    verified: AbstractSet[CommitSignature] = frozenset(),
) -> Fault | None:
    """Judge a commit against the block it must be of and the validators of its height.

    `verified` are entries whose signatures have been verified before for the same height, round and block.
    """
    if not is_well_formed_commit(commit) or len(commit.signatures) > len(validators):
        return Fault.MALFORMED
    if commit.height != height or commit.block_hash != block_hash or block_hash == NIL:
        return Fault.WRONG_BLOCK
    if not all(entry.validator_index in validators for entry in commit.signatures):
        return Fault.FOREIGN_VALIDATOR
    if not validators.has_quorum(sum(validators.power(entry.validator_index) for entry in commit.signatures)):
        return Fault.POWER_SHORT
    unknown = [entry for entry in commit.signatures if entry not in verified]
    checks = [
        (
            validators.public_key(entry.validator_index),
            vote_sign_bytes(domains, vote_of(commit, entry)),
            entry.signature,
        )
        for entry in unknown
    ]
    return None if all(verify_many(checks)) else Fault.BAD_SIGNATURE


def check_polka(
    validators: ValidatorSet,
    domains: SignDomains,
    votes: Sequence[Vote],
    round_number: int,
    block_hash: bytes,
    height: int,
) -> Fault | None:
    """Judge votes as the proof of a polka: prevotes of more than two thirds for one block in one round."""
    slots = {(vote.kind, vote.height, vote.round, vote.block_hash) for vote in votes}
    indices = [vote.validator_index for vote in votes]
    if slots != {(VoteKind.PREVOTE, height, round_number, block_hash)} or len(set(indices)) != len(indices):
        return Fault.MALFORMED
    if not all(index in validators for index in indices):
        return Fault.FOREIGN_VALIDATOR
    if not validators.has_quorum(sum(map(validators.power, indices))):
        return Fault.POWER_SHORT
    checks = [
        (validators.public_key(vote.validator_index), vote_sign_bytes(domains, vote), vote.signature) for vote in votes
    ]
    return None if all(verify_many(checks)) else Fault.BAD_SIGNATURE


def compute_block_time_ms(validators: ValidatorSet, commit: Commit) -> int:
    """Return the power-weighted median of a commit's timestamps: the block time of the next height.

    More than half of the commit's power is honest, so the median lies among honest timestamps. Rounds: to the lower of
    two middle timestamps.
    """
    weighted = sorted((entry.timestamp_ms, validators.power(entry.validator_index)) for entry in commit.signatures)
    total = sum(power for _, power in weighted)
    ensure(total > 0, "a commit has power")
    cumulated = 0
    median_ms = 0
    for timestamp_ms, power in weighted:
        if 2 * cumulated < total:
            median_ms = timestamp_ms
        cumulated += power
    return median_ms


def check_vote(validators: ValidatorSet, domains: SignDomains, vote: Vote) -> Fault | None:
    """Judge a vote's form, its validator and its own signature; an extension is judged by `check_extension`."""
    if not is_well_formed_vote(vote):
        return Fault.MALFORMED
    if vote.validator_index not in validators:
        return Fault.FOREIGN_VALIDATOR
    key = validators.public_key(vote.validator_index)
    return None if verify(key, vote_sign_bytes(domains, vote), vote.signature) else Fault.BAD_SIGNATURE


def check_extension(validators: ValidatorSet, domains: SignDomains, vote: Vote) -> Fault | None:
    """Judge the extension's signature of a precommit for a block, which must have one."""
    if len(vote.extension) > limits.EXTENSION_BYTES_MAX or len(vote.extension_signature) != limits.SIGNATURE_BYTES:
        return Fault.MALFORMED
    message = extension_sign_bytes(domains, vote.height, vote.round, vote.extension)
    key = validators.public_key(vote.validator_index)
    return None if verify(key, message, vote.extension_signature) else Fault.BAD_SIGNATURE


def check_checkpoint(validators: ValidatorSet, domains: SignDomains, checkpoint: Checkpoint) -> Fault | None:
    """Judge a checkpoint's validator and signature; whether its state is the chain's is the caller's to say."""
    if checkpoint.validator_index not in validators:
        return Fault.FOREIGN_VALIDATOR
    key = validators.public_key(checkpoint.validator_index)
    message = checkpoint_sign_bytes(domains, checkpoint.height, checkpoint.time_ms, checkpoint.app_hash)
    return None if verify(key, message, checkpoint.signature) else Fault.BAD_SIGNATURE


def check_checkpoint_certificate(
    validators: ValidatorSet, domains: SignDomains, certificate: CheckpointCertificate
) -> Fault | None:
    """Judge a certificate against the validators of its height; every signature in it must be sound."""
    indices = [entry.validator_index for entry in certificate.signatures]
    if not all(low < high for low, high in pairwise(indices)):
        return Fault.MALFORMED
    if not all(index in validators for index in indices):
        return Fault.FOREIGN_VALIDATOR
    if not validators.has_quorum(sum(map(validators.power, indices))):
        return Fault.POWER_SHORT
    message = checkpoint_sign_bytes(domains, certificate.height, certificate.time_ms, certificate.app_hash)
    checks = [
        (validators.public_key(entry.validator_index), message, entry.signature) for entry in certificate.signatures
    ]
    return None if all(verify_many(checks)) else Fault.BAD_SIGNATURE


def make_equivocation_proof(one: Vote, other: Vote) -> EquivocationProof:
    """Order two conflicting votes into the one proof that they make."""
    ensure(_slot(one) == _slot(other) and one.block_hash != other.block_hash, "two votes for one slot conflict")
    first, second = sorted((bare(one), bare(other)), key=lambda vote: vote.block_hash)
    return EquivocationProof(first, second)


def check_equivocation_proof(validators: ValidatorSet, domains: SignDomains, proof: EquivocationProof) -> Fault | None:
    """Judge a proof against the validators of its height. Which heights may still be proven is the caller's rule."""
    first, second = proof.first, proof.second
    if _slot(first) != _slot(second) or first.block_hash >= second.block_hash:
        return Fault.NO_CONFLICT
    if bare(first) != first or bare(second) != second:
        return Fault.MALFORMED
    return check_vote(validators, domains, first) or check_vote(validators, domains, second)


def _slot(vote: Vote) -> tuple[int, int, int, int]:
    return int(vote.kind), vote.height, vote.round, vote.validator_index
