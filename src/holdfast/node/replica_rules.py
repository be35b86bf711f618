"""What makes a block follow a chain's tip, and what the application is told of it: pure functions of tip and block.

Each `fault_of_*` returns a clause that ends "the block is refused because ...", or an empty string.
"""

from collections.abc import Set as AbstractSet
from itertools import pairwise

from holdfast.consensus.commit import check_commit, check_equivocation_proof, compute_block_time_ms
from holdfast.consensus.messages import (
    NO_COMMIT,
    Block,
    Commit,
    CommitSignature,
    EquivocationProof,
    Header,
    SignDomains,
    compute_commit_hash,
    compute_evidence_hash,
    compute_txs_hash,
)
from holdfast.node.application import BlockRequest, CommitVote, Misbehavior
from holdfast.node.evidence_pool import proof_key
from holdfast.node.replica_env import ChainConfig
from holdfast.node.replica_tip import Tip


def fault_of_body(block: Block) -> str:
    """Compare a block's contents with the hashes in its header, so that the block's hash covers all of it."""
    header = block.header
    if header.txs_hash != compute_txs_hash(block.txs):
        return "its transactions are not those of its header"
    if header.last_commit_hash != compute_commit_hash(block.last_commit):
        return "its last commit is not that of its header"
    if header.evidence_hash != compute_evidence_hash(block.evidence):
        return "its evidence is not that of its header"
    return ""


def fault_of_header(tip: Tip, chain: ChainConfig, header: Header) -> str:
    """Compare a header with what this replica's own chain says that it must be."""
    expected: dict[str, str | int | bytes] = {
        "chain_id": chain.chain_id,
        "height": tip.height + 1,
        "last_block_hash": tip.block_hash,
        "app_hash": tip.app_hash,
        "last_results_hash": tip.results_hash,
        "validators_hash": tip.validators.hash,
        "next_validators_hash": tip.next_validators.hash,
    }
    for name, value in expected.items():
        if getattr(header, name) != value:
            return f"its {name} is not this replica's"
    return "" if header.proposer_index in tip.validators else "its proposer is no validator"


def fault_of_contents(
    tip: Tip, chain: ChainConfig, domains: SignDomains, block: Block, verified: AbstractSet[CommitSignature]
) -> str:
    """Judge sizes, last commit, time and evidence. `verified` are entries of that very commit verified before."""
    commit = block.last_commit
    if sum(map(len, block.txs)) > chain.block_tx_bytes_max:
        return "its transactions are too large"
    if tip.height == 0:
        if commit != NO_COMMIT:
            return "it has a commit before the first block"
    else:
        fault = check_commit(tip.last_validators, domains, commit, tip.height, tip.block_hash, verified)
        if fault is not None:
            return f"its last commit: {fault}"
    if block.header.time_ms != next_time_ms(tip, chain, commit) or block.header.time_ms <= tip.time_ms:
        return "its time is not the median of the last commit, after the last block"
    return fault_of_evidence(tip, chain, domains, block.evidence)


def fault_of_evidence(
    tip: Tip, chain: ChainConfig, domains: SignDomains, evidence: tuple[EquivocationProof, ...]
) -> str:
    """Judge proofs: in order, each of a height and validator that no block has proven, none too old."""
    keys = [proof_key(proof) for proof in evidence]
    if any(low >= high for low, high in pairwise(keys)):
        return "its evidence is not in order"
    for proof, (height, index) in zip(evidence, keys, strict=True):
        if not oldest_evidence_height(tip, chain) <= height <= tip.height or (height, index) in tip.proven:
            return "its evidence is too old, too new or known"
        fault = check_equivocation_proof(tip.validators_at(height), domains, proof)
        if fault is not None:
            return f"its evidence: {fault}"
    return ""


def oldest_evidence_height(tip: Tip, chain: ChainConfig) -> int:
    """Return the lowest height that the next block may still prove something of."""
    return max(tip.first_known_height, tip.height + 1 - chain.evidence_age_heights_max)


def next_time_ms(tip: Tip, chain: ChainConfig, commit: Commit) -> int:
    """Return the time of the block that carries a commit of the tip."""
    return chain.genesis_time_ms if tip.height == 0 else compute_block_time_ms(tip.last_validators, commit)


def misbehavior_of(tip: Tip, evidence: tuple[EquivocationProof, ...]) -> tuple[Misbehavior, ...]:
    """Return what the application is told of proofs."""
    found = []
    for proof in evidence:
        height, index = proof_key(proof)
        validators = tip.validators_at(height)
        found.append(
            Misbehavior(index, validators.public_key(index), validators.power(index), height, validators.total_power)
        )
    return tuple(found)


def request_of(tip: Tip, block: Block, block_hash: bytes) -> BlockRequest:
    """Return what the application is told of a block. The tip may be that of a later height, as in a replay."""
    height = block.header.height
    voters = {entry.validator_index for entry in block.last_commit.signatures}
    validators = tip.validators_at(max(height - 1, 1))
    last_commit = [CommitVote(index, validators.power(index), index in voters) for index in range(len(validators))]
    return BlockRequest(
        hash=block_hash,
        height=height,
        time_ms=block.header.time_ms,
        proposer_index=block.header.proposer_index,
        txs=block.txs,
        last_commit=tuple(last_commit) if height > 1 else (),
        misbehavior=misbehavior_of(tip, block.evidence),
    )
