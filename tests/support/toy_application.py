"""A toy exchange for tests of consensus and the lab: it counts keys, and keeps the counts on a disk port.

A transaction is a key of 1 to 64 bytes; `!` first makes it one that fails. The first transaction of a block is the
oracle commit: a zero byte, the height, and the lower median of the 8-byte extensions of the last height's votes.
"""

import hashlib

from holdfast.node.application import (
    BlockRequest,
    CheckTxResponse,
    ChunkVerdict,
    CommitResponse,
    ExtendedCommit,
    FinalizeResponse,
    InfoResponse,
    OfferVerdict,
    PrepareRequest,
    QueryResponse,
    SnapshotInfo,
    TxResult,
)
from holdfast.node.ports import Disk

STATE_FILE = "toy-state"
KEY_BYTES_MAX = 64
EXTENSION_BYTES = 8
OK, FAILED, BAD_KEY = 0, 1, 2


class ToyState:
    """Counts by key, the last oracle value, height, time, and the app hash over all of them."""

    def __init__(self) -> None:
        self.height = 0
        self.time_ms = 0
        self.oracle = 0
        self.counts: dict[bytes, int] = {}

    def copy(self) -> "ToyState":
        twin = ToyState()
        twin.height, twin.time_ms, twin.oracle = self.height, self.time_ms, self.oracle
        twin.counts = dict(self.counts)
        return twin

    def encode(self) -> bytes:
        head = b"%d %d %d\n" % (self.height, self.time_ms, self.oracle)
        return head + b"".join(b"%s %d\n" % (key.hex().encode(), self.counts[key]) for key in sorted(self.counts))

    @classmethod
    def decode(cls, data: bytes) -> "ToyState":
        state = cls()
        head, *lines = data.splitlines()
        state.height, state.time_ms, state.oracle = (int(word) for word in head.split())
        for line in lines:
            key, count = line.split()
            state.counts[bytes.fromhex(key.decode())] = int(count)
        return state

    @property
    def app_hash(self) -> bytes:
        return hashlib.sha256(self.encode()).digest()


class ToyApplication:
    """The Application over a ToyState. `persist_every` > 1 makes it lag behind its engine after a crash."""

    def __init__(self, disk: Disk, *, index: int = 0, persist_every: int = 1) -> None:
        self.index = index
        self.disk = disk
        self.persist_every = persist_every
        self.executed = 0
        self.cache: dict[bytes, tuple[ToyState, FinalizeResponse]] = {}
        self.pending: ToyState | None = None
        stored = disk.read(STATE_FILE)
        self.state = ToyState.decode(stored) if stored else ToyState()

    def fingerprint(self) -> bytes:
        """Everything that only a commit may change, the disk included."""
        files = [name.encode() + b"=" + self.disk.read(name) for name in self.disk.names() if name == STATE_FILE]
        return hashlib.sha256(b"|".join([self.state.encode(), *files])).digest()

    def drop_caches(self) -> None:
        self.cache.clear()

    def info(self) -> InfoResponse:
        return InfoResponse(self.state.height, self.state.app_hash, 1)

    def init_chain(self, genesis: bytes) -> InfoResponse:
        self.state = ToyState()
        self.state.counts[b"genesis " + hashlib.sha256(genesis).digest()] = 1
        return self.info()

    def check_tx(self, tx: bytes) -> CheckTxResponse:
        return CheckTxResponse(OK if 0 < len(tx) <= KEY_BYTES_MAX and tx[:1] != b"\x00" else BAD_KEY)

    def prepare_proposal(self, request: PrepareRequest) -> tuple[bytes, ...]:
        chosen = [oracle_commit(request.height, request.last_commit)]
        room = request.max_tx_bytes - len(chosen[0])
        for tx in sorted(set(request.txs)):
            if self.check_tx(tx).code == OK and len(tx) <= room:
                chosen.append(tx)
                room -= len(tx)
        return tuple(chosen)

    def process_proposal(self, request: BlockRequest) -> bool:
        if request.height != self.state.height + 1 or request.time_ms <= self.state.time_ms or not request.txs:
            return False
        commit, *keys = request.txs
        if len(commit) != 1 + 8 + 8 or commit[:9] != b"\x00" + request.height.to_bytes(8):
            return False
        if keys != sorted(set(keys)) or any(self.check_tx(key).code != OK for key in keys):
            return False
        self.cache = {request.hash: self.execute(request)}
        return True

    def extend_vote(self, height: int, block_hash: bytes) -> bytes:
        return (1_000 * height + self.index).to_bytes(EXTENSION_BYTES)

    def verify_vote_extension(self, height: int, validator_index: int, extension: bytes) -> bool:
        return len(extension) == EXTENSION_BYTES

    def finalize_block(self, request: BlockRequest) -> FinalizeResponse:
        if request.hash not in self.cache:
            self.cache = {request.hash: self.execute(request)}
        self.pending, response = self.cache[request.hash]
        return response

    def commit(self) -> CommitResponse:
        if self.pending is None:
            raise RuntimeError("commit without finalize_block")
        self.state, self.pending = self.pending, None
        self.cache.clear()
        if self.state.height % self.persist_every == 0:
            self.disk.replace(STATE_FILE, self.state.encode())
        return CommitResponse(0)

    def execute(self, request: BlockRequest) -> tuple[ToyState, FinalizeResponse]:
        self.executed += 1
        state = self.state.copy()
        state.height, state.time_ms = request.height, request.time_ms
        state.oracle = int.from_bytes(request.txs[0][9:17]) if request.txs else 0
        results = [TxResult(OK, b"oracle")] if request.txs else []
        for key in request.txs[1:]:
            if key[:1] == b"!":
                results.append(TxResult(FAILED, b""))
            else:
                state.counts[key] = state.counts.get(key, 0) + 1
                results.append(TxResult(OK, b"%d" % state.counts[key]))
        for proven in request.misbehavior:
            guilty = b"guilty %d at %d" % (proven.validator_index, proven.height)
            state.counts[guilty] = state.counts.get(guilty, 0) + 1
        return state, FinalizeResponse(state.app_hash, tuple(results), (), b"")

    def query(self, path: str, data: bytes) -> QueryResponse:
        count = self.state.counts.get(data, 0)
        return QueryResponse(OK, b"%d" % count, self.state.height, self.state.app_hash, b"")

    def list_snapshots(self) -> tuple[SnapshotInfo, ...]:
        return ()

    def load_snapshot_chunk(self, height: int, format: int, chunk: int) -> bytes:  # noqa: A002 -- ABCI's name
        return b""

    def offer_snapshot(self, snapshot: SnapshotInfo, app_hash: bytes) -> OfferVerdict:
        return OfferVerdict.REJECT

    def apply_snapshot_chunk(self, index: int, chunk: bytes) -> ChunkVerdict:
        return ChunkVerdict.ABORT


def oracle_commit(height: int, last_commit: ExtendedCommit | None) -> bytes:
    """The first transaction of a block: the lower median of what the last height's voters said."""
    votes = last_commit.votes if last_commit is not None else ()
    values = sorted(int.from_bytes(vote.extension) for vote in votes if len(vote.extension) == EXTENSION_BYTES)
    median = values[(len(values) - 1) // 2] if values else 0
    return b"\x00" + height.to_bytes(8) + median.to_bytes(8)
