"""The watch over the own key: what is signed with it elsewhere, and what was signed with it and is forgotten here.

Every vote, proposal and checkpoint under the own key that comes in is compared with the own sign log. One that this
replica has not signed means one of two things. Where it may sign, its log is whole: then another instance runs with
this key, and it halts before it signs on beside it. Where it may not sign yet, its disk may be older than what it once
signed: then the permit hears of the height and lets it sign above only. But a former self ends in one height: new
signatures of two heights in progress are another's, and it halts, too.

A forgery costs one verification and nothing else.
"""

from typing import Final, Protocol

from holdfast.consensus.messages import (
    Checkpoint,
    Proposal,
    Vote,
    bare,
    checkpoint_sign_bytes,
    proposal_sign_bytes,
    vote_sign_bytes,
)
from holdfast.node.replica_chain import Chain
from holdfast.node.replica_env import Environment, HaltError
from holdfast.node.replica_permit import SigningPermit
from holdfast.node.replica_wire import BlockResponse, CommitNotice, Message, ProposalMessage
from holdfast.node.wal import Signed
from holdfast.primitives.crypto import verify

_SIGHTINGS_MAX: Final = 1
_VOTES_A_MESSAGE_MAX: Final = 8


class ForeignSignatureError(HaltError):
    """Another instance signs with this validator's key: a restart cannot mend it."""


class Memory(Protocol):
    """What the rounds remember of the own signatures."""

    @property
    def height(self) -> int:
        """Return the height in progress."""

    def signed_at(self, height: int) -> Signed | None:
        """Return all that was signed at a height, None where that is not known any more."""


class KeyWatch:
    """Looks at what arrives before anybody else does."""

    def __init__(self, env: Environment, chain: Chain, memory: Memory, permit: SigningPermit) -> None:
        """Have seen nothing."""
        self._env = env
        self._chain = chain
        self._memory = memory
        self._permit = permit
        self._sightings: set[int] = set()
        self._noted_height = 0

    def look(self, message: Message) -> None:
        """Look for own signatures in a message.

        Refuses: ForeignSignatureError, where another instance signs with the own key.
        """
        has_lied = self._env.config.has_lied
        if has_lied is not None and has_lied():
            return
        match message:
            case Vote():
                self._look_at_votes((message,), decided=0)
            case ProposalMessage():
                self._look_at_proposal(message.proposal)
                self._look_at_votes(message.polka, decided=0)
            case CommitNotice() | BlockResponse():
                self._look_at_votes(message.votes, decided=message.height)
            case Checkpoint():
                self._look_at_checkpoint(message)
            case _:
                pass

    def _look_at_votes(self, votes: tuple[Vote, ...], *, decided: int) -> None:
        own = [vote for vote in votes if vote.validator_index == self._env.index]
        for vote in own[:_VOTES_A_MESSAGE_MAX]:
            signed = self._memory.signed_at(vote.height)
            if self._is_judged(vote.height, signed) and (signed is None or bare(vote) not in map(bare, signed.votes)):
                self._judge(vote.height, vote_sign_bytes(self._env.domains, vote), vote.signature, decided=decided)

    def _look_at_proposal(self, proposal: Proposal) -> None:
        if proposal.proposer_index != self._env.index:
            return
        signed = self._memory.signed_at(proposal.height)
        if self._is_judged(proposal.height, signed) and (signed is None or proposal not in signed.proposals):
            message = proposal_sign_bytes(self._env.domains, proposal)
            self._judge(proposal.height, message, proposal.signature, decided=0)

    def _look_at_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Look at a checkpoint of a state that is not here: that of the own chain is the same from whoever signs it."""
        if checkpoint.validator_index != self._env.index:
            return
        height = checkpoint.height
        known = self._chain.app_hash_at(height)
        if height <= self._chain.tip.height and known in (None, checkpoint.app_hash):
            return
        message = checkpoint_sign_bytes(self._env.domains, height, checkpoint.time_ms, checkpoint.app_hash)
        # Who signs the state after a height goes on to vote at the next.
        self._judge(height + 1, message, checkpoint.signature, decided=height + 1)

    def _is_judged(self, height: int, signed: Signed | None) -> bool:
        """Tell whether an own signature of a height must be in the log, or else says something."""
        return signed is not None or height > self._memory.height

    def _judge(self, height: int, message: bytes, signature: bytes, *, decided: int) -> None:
        """Judge an own signature that is not in the log; `decided` is how far its bearer says that the chain is."""
        if not verify(self._env.signer.public_key, message, signature):
            return
        if height > self._noted_height:
            self._noted_height = height
            self._env.count("own_key_signed_elsewhere", height=height)
        if height > decided and self._permit.is_above_others(height):
            self._sightings.add(height)
        if self._permit.may_sign(height) or len(self._sightings) > _SIGHTINGS_MAX:
            raise ForeignSignatureError(
                f"height {height}: another instance signs with this validator's key"
                f" {self._env.signer.public_key.hex()}; stop it, then start this one again"
            )
        self._permit.note_forgotten(height)
