"""The own voice: signs votes and proposals of one height, each made durable before it can leave, each slot once.

A slot (kind, round) that the log holds is answered with what it holds, whatever is asked: a restart repeats itself and
never contradicts itself.
"""

from typing import Final

from msgspec.structs import replace

from holdfast.consensus import limits
from holdfast.consensus.events import BroadcastProposal, CastVote
from holdfast.consensus.messages import (
    NIL,
    Proposal,
    Vote,
    VoteKind,
    extension_sign_bytes,
    proposal_sign_bytes,
    vote_sign_bytes,
)
from holdfast.node.frames import DamagedFileError
from holdfast.node.replica_env import Environment, HaltError
from holdfast.node.wal import Signed, SignLog

_NO_SIGNATURE: Final = bytes(limits.SIGNATURE_BYTES)


class Voice:
    """What this validator signs, one height after the other."""

    def __init__(self, env: Environment) -> None:
        """Know nothing; `begin` opens the log."""
        self._env = env
        self.height = 0
        self._log: SignLog

    def begin(self, height: int) -> None:
        """Turn to a height, with what was signed there."""
        try:
            if self.height == 0:
                self._log = SignLog(self._env.disk)
            self.height = height
            self._log.begin(height)
        except DamagedFileError as error:
            raise HaltError(f"{error}; signing on could contradict a vote that has left") from error

    @property
    def signed(self) -> Signed:
        """Return what is durable."""
        return self._log.signed

    def find_vote(self, kind: VoteKind, round_number: int) -> Vote | None:
        """Return the own vote of a round."""
        return self._log.find_vote(kind, round_number)

    def find_proposal(self, round_number: int) -> Proposal | None:
        """Return the own proposal of a round."""
        return self._log.find_proposal(round_number)

    def propose(self, wanted: BroadcastProposal, block: bytes) -> Proposal:
        """Return the durable proposal of a round."""
        held = self._log.find_proposal(wanted.round)
        if held is not None:
            return held
        unsigned = Proposal(
            self.height, wanted.round, wanted.pol_round, wanted.block_hash, self._env.index, _NO_SIGNATURE
        )
        signature = self._env.signer.sign(proposal_sign_bytes(self._env.domains, unsigned))
        proposal = replace(unsigned, signature=signature)
        self._log.keep_proposal(proposal, block)
        return proposal

    def vote(self, wanted: CastVote, not_before_ms: int, block: bytes | None, polka: tuple[Vote, ...]) -> Vote:
        """Return the durable vote of a round. `block` and `polka` are the lock that a precommit for a block takes."""
        held = self._log.find_vote(wanted.kind, wanted.round)
        if held is not None:
            return held
        takes_lock = wanted.kind == VoteKind.PRECOMMIT and wanted.block_hash != NIL
        extension = self._extend(wanted.block_hash) if takes_lock else b""
        vote = self._sign(wanted, not_before_ms, extension, has_extension=takes_lock)
        self._log.keep_vote(vote, block if takes_lock else None, polka if takes_lock else ())
        return vote

    def _sign(self, wanted: CastVote, not_before_ms: int, extension: bytes, *, has_extension: bool) -> Vote:
        domains = self._env.domains
        extension_signature = b""
        if has_extension:
            message = extension_sign_bytes(domains, self.height, wanted.round, extension)
            extension_signature = self._env.signer.sign(message)
        unsigned = Vote(
            kind=wanted.kind,
            height=self.height,
            round=wanted.round,
            block_hash=wanted.block_hash,
            validator_index=self._env.index,
            timestamp_ms=max(self._env.clock.now_ms(), not_before_ms),
            signature=_NO_SIGNATURE,
            extension=extension,
            extension_signature=extension_signature,
        )
        return replace(unsigned, signature=self._env.signer.sign(vote_sign_bytes(domains, unsigned)))

    def _extend(self, block_hash: bytes) -> bytes:
        application = self._env.application
        extension = application.extend_vote(self.height, block_hash)
        fits = len(extension) <= limits.EXTENSION_BYTES_MAX
        if not fits or not application.verify_vote_extension(self.height, self._env.index, extension):
            raise HaltError(f"height {self.height}: the application's own vote extension does not verify")
        return extension
