"""Coming up from a peer's snapshot where this replica has nothing, and serving snapshots to others.

Only an app hash is trusted, and only one that the next height's header carries under a commit of the genesis
validators: everything else about a snapshot is a peer's claim. The peer shows blocks h and h+1 first; they give the app
hash after h and all that the chain's tip needs. A set of validators that has changed since genesis is not followed
here: then, as after too many failed attempts, the replica catches up by blocks instead.
"""

from collections.abc import Callable
from typing import NamedTuple

from holdfast.consensus.commit import check_commit, make_commit, vote_of
from holdfast.consensus.messages import Block, decode_block, header_hash
from holdfast.node.application import ChunkVerdict, OfferVerdict, SnapshotInfo
from holdfast.node.blockstore import StoredBlock
from holdfast.node.replica_catchup import is_certificate
from holdfast.node.replica_chain import Chain
from holdfast.node.replica_env import Environment, HaltError
from holdfast.node.replica_rules import fault_of_body
from holdfast.node.replica_tip import Tip
from holdfast.node.replica_wire import (
    CHUNK_BYTES_MAX,
    SNAPSHOTS_MAX,
    BlockResponse,
    BlocksRequest,
    ChunkRequest,
    ChunkResponse,
    Message,
    SnapshotRecord,
    SnapshotsRequest,
    SnapshotsResponse,
    encode_message,
)
from holdfast.primitives.reject import Malformed


class _Attempt(NamedTuple):
    """One snapshot from one peer: the two blocks that anchor it, then its chunks."""

    snapshot: SnapshotRecord
    peer: int
    blocks: tuple[BlockResponse, ...] = ()
    tip: Tip | None = None
    next_chunk: int = 0


class StateSync:
    """The restore of one replica, one snapshot and one peer at a time."""

    def __init__(self, env: Environment, chain: Chain, on_done: Callable[[bool], None]) -> None:
        """Stand by; `on_done` hears whether a snapshot was restored."""
        self._env = env
        self._chain = chain
        self._on_done = on_done
        self.is_active = False
        self._offers: dict[SnapshotRecord, set[int]] = {}
        self._attempt: _Attempt | None = None
        self._attempts_left = env.config.state_sync_attempts_max
        self._timer = 0

    def start(self) -> None:
        """Ask everybody, and wait a while for answers."""
        self.is_active = True
        self._env.network.broadcast(encode_message(SnapshotsRequest(0)))
        self._arm(self._env.config.state_sync_wait_ms)

    def on_timer(self, number: int) -> None:
        """Begin once answers have had time to come, or leave a peer that does not answer."""
        if self.is_active and number == self._timer:
            self._next_attempt("peer_silent" if self._attempt is not None else "")

    def on_message(self, sender: int, message: Message) -> None:
        """Take what a restore waits for."""
        match message:
            case SnapshotsResponse():
                self._take_offers(sender, message)
            case BlockResponse():
                self._take_block(sender, message)
            case ChunkResponse():
                self._take_chunk(sender, message)
            case _:
                pass

    def serve(self, peer: int, message: SnapshotsRequest | ChunkRequest) -> None:
        """Answer a peer that restores. A snapshot is on offer once its anchor is decided, and while it is kept."""
        application = self._env.application
        if isinstance(message, SnapshotsRequest):
            usable = [
                SnapshotRecord(info.height, info.format, info.chunks, info.hash, info.metadata)
                for info in application.list_snapshots()
                if self._chain.store.first <= info.height < self._chain.tip.height
            ]
            newest = sorted(usable, key=lambda record: record.height)[-SNAPSHOTS_MAX:]
            self._env.network.send(peer, encode_message(SnapshotsResponse(tuple(newest))))
            return
        data = application.load_snapshot_chunk(message.height, message.format, message.chunk)
        if len(data) <= CHUNK_BYTES_MAX:
            response = ChunkResponse(message.height, message.format, message.chunk, data)
            self._env.network.send(peer, encode_message(response))

    def _arm(self, delay_ms: int) -> None:
        self._timer += 1
        self._env.set_timer("statesync", delay_ms, self._timer)

    def _take_offers(self, sender: int, message: SnapshotsResponse) -> None:
        for snapshot in message.snapshots:
            self._offers.setdefault(snapshot, set()).add(sender)

    def _next_attempt(self, failure: str) -> None:
        """Turn to the newest snapshot on offer, away from the peer that has failed."""
        if self._attempt is not None:
            self._env.count(failure, peer=self._attempt.peer, height=self._attempt.snapshot.height)
            peers = self._offers.get(self._attempt.snapshot, set())
            peers.discard(self._attempt.peer)
        offers = [(snapshot, min(peers)) for snapshot, peers in self._offers.items() if peers]
        if not offers or self._attempts_left == 0:
            self._finish(restored=False)
            return
        self._attempts_left -= 1
        snapshot, peer = max(offers, key=lambda offer: (offer[0].height, offer[0].hash, -offer[1]))
        self._attempt = _Attempt(snapshot, peer)
        self._env.network.send(peer, encode_message(BlocksRequest(snapshot.height, snapshot.height + 1)))
        self._arm(self._env.config.catchup_timeout_ms)

    def _take_block(self, sender: int, response: BlockResponse) -> None:
        attempt = self._attempt
        if attempt is None or sender != attempt.peer or attempt.tip is not None:
            return
        if response.height != attempt.snapshot.height + len(attempt.blocks):
            return
        attempt = attempt._replace(blocks=(*attempt.blocks, response))
        self._attempt = attempt
        if len(attempt.blocks) == 2:  # noqa: PLR2004 -- the block of the snapshot, and the one that vouches for it
            tip = self._anchor(*attempt.blocks)
            if tip is None:
                self._next_attempt("snapshot_unanchored")
            else:
                self._attempt = attempt._replace(tip=tip)
                self._offer(attempt.snapshot, tip)

    def _anchor(self, own: BlockResponse, after: BlockResponse) -> Tip | None:
        """Return the tip that two blocks prove, if genesis validators certified the second."""
        try:
            block, following = decode_block(own.block), decode_block(after.block)
        except Malformed:
            return None
        block_hash, following_hash = header_hash(block.header), header_hash(following.header)
        validators = self._chain.genesis_validators
        header = following.header
        sets_known = header.validators_hash == header.next_validators_hash == validators.hash
        linked = (header.height, header.last_block_hash) == (block.header.height + 1, block_hash)
        if fault_of_body(block) or fault_of_body(following) or not sets_known or not linked:
            return None
        if not is_certificate(after.votes, header.height, following_hash):
            return None
        faults = (
            check_commit(validators, self._env.domains, make_commit(after.votes), header.height, following_hash),
            check_commit(validators, self._env.domains, following.last_commit, block.header.height, block_hash),
        )
        if faults != (None, None) or not self._is_of_this_chain(block, following):
            return None
        return self._chain.tip._replace(
            height=block.header.height,
            block_hash=block_hash,
            time_ms=block.header.time_ms,
            app_hash=header.app_hash,
            results_hash=header.last_results_hash,
        )

    def _is_of_this_chain(self, *blocks: Block) -> bool:
        return all(block.header.chain_id == self._env.chain.chain_id for block in blocks)

    def _offer(self, snapshot: SnapshotRecord, tip: Tip) -> None:
        info = SnapshotInfo(snapshot.height, snapshot.format, snapshot.chunks, snapshot.hash, snapshot.metadata)
        match self._env.application.offer_snapshot(info, tip.app_hash):
            case OfferVerdict.ACCEPT:
                self._ask_chunk()
            case OfferVerdict.ABORT:
                self._finish(restored=False)
            case OfferVerdict.REJECT | OfferVerdict.REJECT_FORMAT:
                self._offers.pop(snapshot, None)
                self._next_attempt("snapshot_refused")

    def _ask_chunk(self) -> None:
        if self._attempt is not None:
            snapshot = self._attempt.snapshot
            request = ChunkRequest(snapshot.height, snapshot.format, self._attempt.next_chunk)
            self._env.network.send(self._attempt.peer, encode_message(request))
            self._arm(self._env.config.catchup_timeout_ms)

    def _take_chunk(self, sender: int, response: ChunkResponse) -> None:
        attempt = self._attempt
        if attempt is None or attempt.tip is None or sender != attempt.peer:
            return
        wanted = (attempt.snapshot.height, attempt.snapshot.format, attempt.next_chunk)
        if (response.height, response.format, response.chunk) != wanted:
            return
        is_last = attempt.next_chunk + 1 == attempt.snapshot.chunks
        if is_last:
            self._chain.expect_restore(attempt.tip, _anchor_block(attempt))
        match self._env.application.apply_snapshot_chunk(response.chunk, response.data):
            case ChunkVerdict.ACCEPT:
                self._attempt = attempt._replace(next_chunk=attempt.next_chunk + 1)
                if is_last:
                    self._adopt(attempt, attempt.tip)
                else:
                    self._ask_chunk()
            case ChunkVerdict.ABORT:
                self._finish(restored=False)
            case ChunkVerdict.REJECT_SNAPSHOT:
                self._offers.pop(attempt.snapshot, None)
                self._next_attempt("snapshot_refused")
            case ChunkVerdict.RETRY | ChunkVerdict.RETRY_SNAPSHOT:
                self._next_attempt("chunk_refused")

    def _adopt(self, attempt: _Attempt, tip: Tip) -> None:
        info = self._env.application.info()
        if (info.height, info.app_hash) != (tip.height, tip.app_hash):
            raise HaltError(
                f"the restored snapshot is at height {info.height}, not the state that the chain vouches for"
            )
        self._chain.adopt(tip, _anchor_block(attempt))
        self._env.count("snapshot_restored", height=tip.height, peer=attempt.peer)
        self._finish(restored=True)

    def _finish(self, *, restored: bool) -> None:
        self.is_active = False
        self._attempt = None
        if not restored:
            self._chain.give_up_restore()
        self._offers.clear()
        if not restored:
            self._env.count("state_sync_given_up")
        self._on_done(restored)


def _anchor_block(attempt: _Attempt) -> StoredBlock:
    """Return the snapshot's block with the precommits that the block after it carries."""
    commit = decode_block(attempt.blocks[1].block).last_commit
    votes = tuple(vote_of(commit, entry) for entry in commit.signatures)
    return StoredBlock(attempt.blocks[0].block, votes)
