"""Catching up by blocks: who is behind asks one peer at a time for a bounded range, and trusts only certificates.

A lie costs time only: a block without a sound certificate is dropped and its sender set back, a silent peer is left
after a timeout, and the replica goes on taking part in its own height meanwhile.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Final, NamedTuple

from holdfast.consensus.commit import check_commit, make_commit
from holdfast.consensus.messages import Vote, VoteKind, decode_block, header_hash
from holdfast.node.blockstore import StoredBlock
from holdfast.node.replica_blocks import Decision
from holdfast.node.replica_chain import Chain
from holdfast.node.replica_env import Environment, HaltError
from holdfast.node.replica_rules import fault_of_body
from holdfast.node.replica_wire import BlockResponse, BlocksRequest, StatusMessage, encode_message
from holdfast.primitives.reject import Malformed

_ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024


class PeerHeight(NamedTuple):
    """What a peer says it has, and how often it did not keep its word."""

    height: int
    first: int
    failures: int = 0


class _Request(NamedTuple):
    number: int
    peer: int
    last: int


class CatchUp:
    """One replica's knowledge of its peers' heights, and its one request under way."""

    def __init__(self, env: Environment, chain: Chain, apply: Callable[[Decision], None]) -> None:
        """Know nobody yet; `apply` takes each verified block."""
        self._env = env
        self._chain = chain
        self._apply = apply
        self._peers: dict[int, PeerHeight] = {}
        self._request: _Request | None = None
        self._waiting = 0
        self._number = 0
        self.is_paused = False
        self.is_eager = True

    @property
    def is_behind(self) -> bool:
        """Tell whether more than a third of power says that it is at least two heights ahead."""
        return self.backed_height() > self._chain.tip.height + 1

    def backed_height(self) -> int:
        """Return the highest height that more than a third of power has announced, so at least one honest member."""
        validators = self._chain.tip.validators
        power = 0
        for index, peer in sorted(self._peers.items(), key=lambda item: -item[1].height):
            power += validators.power(index)
            if validators.has_honest_member(power):
                return peer.height
        return 0

    def announced_height(self) -> int:
        """Return the highest height that a peer has announced which has always kept its word."""
        return max((peer.height for peer in self._peers.values() if not peer.failures), default=0)

    def has_heard_quorum(self) -> bool:
        """Tell whether the peers that have spoken, with this replica, are more than two thirds of power."""
        validators = self._chain.tip.validators
        heard = {*self._peers, self._env.index}
        return validators.has_quorum(sum(validators.power(index) for index in heard))

    def note(self, peer: int, height: int, first: int | None = None) -> None:
        """Take a peer's word for its height."""
        known = self._peers.get(peer, PeerHeight(0, 1))
        self._peers[peer] = PeerHeight(height, known.first if first is None else first, known.failures)
        self.consider()

    def hint(self, peer: int, height: int) -> None:
        """Take a peer's message from a later height as its word that it has the heights before."""
        if height > self._peers.get(peer, PeerHeight(0, 1)).height:
            self.note(peer, height)

    def consider(self) -> None:
        """Ask for blocks where a peer has more; wait a little where it is one block, which may be under way.

        Who takes no part in the rounds yet is eager: no block is under way to it.
        """
        if self.is_paused or self._request is not None:
            return
        ahead = [peer for peer in self._peers.values() if peer.height > self._chain.tip.height]
        if not ahead or self._waiting:
            return
        if max(peer.height for peer in ahead) == self._chain.tip.height + 1 and not self.is_eager:
            self._number += 1
            self._waiting = self._number
            self._env.set_timer("catchup", self._env.config.catchup_grace_ms, self._number)
            return
        self._ask()

    def on_timer(self, number: int) -> None:
        """Act on a grace that is over or a request that was not answered."""
        if number == self._waiting:
            self._waiting = 0
            self._ask()
        elif self._request is not None and number == self._request.number:
            self._fail(self._request.peer, "peer_silent")

    def on_tip_changed(self) -> None:
        """Go on after a commit, whoever brought the block."""
        if self._request is not None and self._chain.tip.height >= self._request.last:
            self._request = None
            self.consider()

    def on_blocks_request(self, peer: int, request: BlocksRequest) -> None:
        """Send a peer some of what it asks for."""
        last = min(request.last, request.first + self._env.config.catchup_batch_max - 1, self._chain.tip.height)
        sent_bytes = 0
        for height in range(max(request.first, self._chain.store.first, 1), last + 1):
            stored = self._chain.store.load(height)
            if stored is None or sent_bytes > _ANSWER_BYTES_MAX:
                break
            sent_bytes += len(stored.data)
            self._env.network.send(peer, encode_message(BlockResponse(height, stored.data, stored.votes)))
        if sent_bytes == 0:
            self._env.network.send(peer, encode_message(self.status()))

    def on_block(self, peer: int, response: BlockResponse) -> None:
        """Apply the next block if it is certified."""
        if self._request is None or peer != self._request.peer or response.height != self._chain.tip.height + 1:
            return
        decision = self._verified(response)
        if decision is None:
            self._fail(peer, "block_refused")
            return
        fault = self._chain.fault_of_decided(decision.block)
        if fault:
            raise HaltError(
                f"two thirds decided block {decision.block_hash.hex()} at height {response.height}, but {fault}"
            )
        self._env.count("block_caught_up", height=response.height, peer=peer)
        self._apply(decision)

    def status(self, *, wants_reply: bool = False) -> StatusMessage:
        """Return what this replica says of itself."""
        return StatusMessage(self._chain.tip.height, self._chain.store.first, wants_reply)

    def _verified(self, response: BlockResponse) -> Decision | None:
        try:
            block = decode_block(response.block)
        except Malformed:
            return None
        block_hash = header_hash(block.header)
        if fault_of_body(block) or block.header.height != response.height:
            return None
        if not is_certificate(response.votes, response.height, block_hash):
            return None
        commit = make_commit(response.votes)
        fault = check_commit(self._chain.tip.validators, self._env.domains, commit, response.height, block_hash)
        return None if fault else Decision(block, block_hash, StoredBlock(response.block, response.votes))

    def _ask(self) -> None:
        wanted = self._chain.tip.height + 1
        usable = {index: peer for index, peer in self._peers.items() if peer.first <= wanted <= peer.height}
        if not usable:
            return
        size = len(self._chain.tip.validators)
        index = min(usable, key=lambda peer: (usable[peer].failures, (peer - self._env.index) % size))
        last = min(usable[index].height, wanted + self._env.config.catchup_batch_max - 1)
        self._number += 1
        self._request = _Request(self._number, index, last)
        self._env.count("blocks_requested", first=wanted, last=last, peer=index)
        self._env.network.send(index, encode_message(BlocksRequest(wanted, last)))
        self._env.set_timer("catchup", self._env.config.catchup_timeout_ms, self._number)

    def _fail(self, peer: int, event: str) -> None:
        """Believe a peer's height no longer until it speaks again, and turn to another."""
        self._env.count(event, peer=peer)
        known = self._peers[peer]
        self._peers[peer] = PeerHeight(0, known.first, known.failures + 1)
        self._request = None
        self.consider()


def is_certificate(votes: tuple[Vote, ...], height: int, block_hash: bytes) -> bool:
    """Tell whether votes are precommits of one round for one block, in order of validator."""
    if not votes:
        return False
    expected = (VoteKind.PRECOMMIT, height, votes[0].round, block_hash)
    uniform = all((vote.kind, vote.height, vote.round, vote.block_hash) == expected for vote in votes)
    indices = [vote.validator_index for vote in votes]
    return uniform and all(low < high for low, high in pairwise(indices))
