"""Proofs of equivocation that wait for a block: one for each validator and height, bounded, forgotten when too old."""

from typing import Final

from holdfast.consensus import limits
from holdfast.consensus.commit import make_equivocation_proof
from holdfast.consensus.messages import EquivocationProof, Vote

_PENDING_MAX: Final = 256

ProofKey = tuple[int, int]


def proof_key(proof: EquivocationProof) -> ProofKey:
    """Return what a proof proves: a height and a validator."""
    return proof.first.height, proof.first.validator_index


class EvidencePool:
    """One replica's proofs. Which of them are still to be proven is the chain's knowledge, passed to `reap`."""

    def __init__(self) -> None:
        """Start empty."""
        self._pending: dict[ProofKey, EquivocationProof] = {}

    def __len__(self) -> int:
        """Return how many proofs wait."""
        return len(self._pending)

    def add(self, one: Vote, other: Vote) -> bool:
        """Keep the proof that two conflicting verified votes make, and tell whether it is new."""
        proof = make_equivocation_proof(one, other)
        if proof_key(proof) in self._pending or len(self._pending) >= _PENDING_MAX:
            return False
        self._pending[proof_key(proof)] = proof
        return True

    def drop(self, keys: set[ProofKey] | frozenset[ProofKey], oldest_height: int) -> None:
        """Forget proofs that a block carries, and proofs of heights too old to matter."""
        for key in [key for key in self._pending if key in keys or key[0] < oldest_height]:
            del self._pending[key]

    def reap(self, below_height: int) -> tuple[EquivocationProof, ...]:
        """Return the oldest proofs of earlier heights that one block may carry."""
        keys = sorted(key for key in self._pending if key[0] < below_height)
        return tuple(self._pending[key] for key in keys[: limits.EVIDENCE_PER_BLOCK_MAX])
