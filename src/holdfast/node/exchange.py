"""The exchange as a replicated application: the deterministic machine behind ABCI's methods.

What is computed for a proposal is kept by the block's hash, so that finalising the same block is a look-up. The
committed state changes in `commit` alone; readers see whole blocks only.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Final

from holdfast.node import admission
from holdfast.node.application import (
    BlockRequest,
    CheckTxResponse,
    ChunkVerdict,
    CommitResponse,
    FinalizeResponse,
    InfoResponse,
    OfferVerdict,
    PrepareRequest,
    QueryResponse,
    SnapshotInfo,
    TxResult,
)
from holdfast.node.jobs import Jobs
from holdfast.node.ports import Disk
from holdfast.node.snapshots import FORMAT, Restoring, index_state, read_offer
from holdfast.node.store import StateStore, StoreError
from holdfast.primitives import codec, pricing
from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.primitives.reject import Code, Malformed
from holdfast.protocol import genesis, machine
from holdfast.protocol.limits import EXTENSION_BYTES_MAX
from holdfast.protocol.machine import Applied, Block
from holdfast.protocol.oracle.messages import decode_report
from holdfast.protocol.schema import TABLES
from holdfast.state.draft import Draft
from holdfast.state.store import State

APP_VERSION: Final = 1
SNAPSHOT_EVERY: Final = 100

# (height being voted on, read-only draft of the committed state) -> this validator's encoded report
ReportSource = Callable[[int, Draft], bytes]


class Events(Record):
    """What a block did, for people: its own phases' events, and each transaction's."""

    block: tuple[Record, ...]
    txs: tuple[tuple[Record, ...], ...]


class ExchangeApplication:
    """One validator's exchange."""

    def __init__(
        self,
        disk: Disk,
        report_source: ReportSource,
        *,
        snapshot_every: int = SNAPSHOT_EVERY,
        snapshot_offset: int = 0,
        keep_blocks: int = 0,
        jobs: Jobs | None = None,
        rebuilds: bool = True,
    ) -> None:
        """Open what the disk holds, or start empty.

        A snapshot is written at every `snapshot_every`-th height, `snapshot_offset` heights earlier, so that validators
        of one machine take turns; `jobs` writes it, at once where none is given. The engine is asked to keep that many
        last blocks, all where `keep_blocks` is 0.
        Raises StoreError for a damaged store, VersionError for another program's, BrokenInvariantError where this
        build's pricing has other bits.
        """
        pricing.ensure_kernel()
        self._disk = disk
        self._store = StateStore(disk, jobs)
        self._report_source = report_source
        self._snapshot_every = snapshot_every
        self._snapshot_offset = snapshot_offset
        self._keep_blocks = keep_blocks
        self._rebuilds = rebuilds
        self._restoring: Restoring | None = None
        self._lock = RLock()
        self._pending: dict[bytes, Applied] = {}
        self._finalized: tuple[BlockRequest, Applied] | None = None
        self.state = State(TABLES)
        self.height = 0
        self.last_applied: Applied | None = None
        self._admission: admission.Cache | None = None
        self._open()

    def info(self) -> InfoResponse:
        """Return what the last commit left, never more."""
        return InfoResponse(self.height, self.state.root if self._admission else b"", APP_VERSION)

    def init_chain(self, genesis_bytes: bytes) -> InfoResponse:
        """Build the genesis state; may be called again before the first commit."""
        ensure(self.height == 0, "a chain begins once")
        state = State(TABLES)
        draft = state.draft()
        self.genesis_events = genesis.build(draft, genesis_bytes)
        state.commit(state.seal(draft))
        self._adopt(state, 0)
        return self.info()

    def check_tx(self, tx: bytes) -> CheckTxResponse:
        """Judge a transaction for the mempool against the committed state."""
        with self._lock:
            code, log = self._admit.check(self.state.reader(), tx)
        return CheckTxResponse(code, log)

    def verify_ahead(self, txs: Sequence[bytes]) -> None:
        """Verify, all in one go, transactions that are about to be judged."""
        self._admit.admit_many(txs)

    def prepare_proposal(self, request: PrepareRequest) -> tuple[bytes, ...]:
        """Put the oracle commit first, then the admissible commands, cancels before the rest."""
        return self._admit.prepare(self.state.draft(), request)

    def process_proposal(self, request: BlockRequest) -> bool:
        """Accept a block that an honest proposer could have made, and keep its effect for finalising."""
        if request.hash in self._pending:
            return True
        if not self._admit.is_proper(self.state.draft(), request):
            return False
        self._pending = {request.hash: self._apply(request)}
        return True

    def extend_vote(self, height: int, block_hash: bytes) -> bytes:
        """Return this validator's oracle report."""
        return self._report_source(height, self.state.draft())

    def verify_vote_extension(self, height: int, validator_index: int, extension: bytes) -> bool:
        """Accept everything but malformed bytes; a wrong price is the median's to bear. No bytes are no report."""
        if len(extension) > EXTENSION_BYTES_MAX:
            return False
        try:
            decode_report(extension)
        except Malformed:
            return False
        return True

    def finalize_block(self, request: BlockRequest) -> FinalizeResponse:
        """Compute a decided block's effect without keeping it; reuse what its proposal has computed."""
        applied = self._pending.get(request.hash)
        if applied is None:
            applied = self._apply(request)
            self._pending[request.hash] = applied
        self._finalized = (request, applied)
        results = tuple(
            TxResult(receipt.code, machine.encode_receipt(receipt), receipt.detail) for receipt in applied.receipts
        )
        events = Events(applied.events, tuple(receipt.events for receipt in applied.receipts))
        return FinalizeResponse(applied.app_hash, results, (), codec.encode(events))

    def commit(self) -> CommitResponse:
        """Keep, durably and in one step, what the last finalize_block computed."""
        ensure(self._finalized is not None, "a commit follows its finalize")
        request, applied = self._finalized  # type: ignore[misc]
        changes = applied.sealed.changes
        if self._store.is_empty:
            rows: dict[bytes, bytes | None] = {**dict(self.state.export()), **dict(changes)}
            changes = tuple(sorted(rows.items()))
        self._store.save_block(request.height, applied.app_hash, changes)
        with self._lock:
            self.state.commit(applied.sealed)
            self.height = request.height
        if (self.height + self._snapshot_offset) % self._snapshot_every == 0 or self._store.is_log_long:
            self._store.start_snapshot(self.height, self.state.root, self.state.export_later())
        self._store.settle()
        self._admit.forget(request.txs)
        self.last_applied = applied
        self._finalized = None
        self._pending = {}
        return CommitResponse(self._retain_height())

    def close(self) -> None:
        """End what runs beside the blocks; the application is not used after it."""
        self._store.close()

    def query(self, path: str, data: bytes) -> QueryResponse:
        """Answer from the committed state: `row` takes a key's bytes, and gives its value and proof."""
        with self._lock:
            if path != "row":
                return QueryResponse(Code.UNSUPPORTED_HERE, b"", self.height, self.state.root, b"")
            value, proof = self.state.look_up(data)
            return QueryResponse(Code.OK, value or b"", self.height, self.state.root, codec.encode(proof))

    @contextmanager
    def reading(self) -> Iterator[Draft]:
        """Give a reader the committed state of one height; no commit happens meanwhile."""
        with self._lock:
            yield self.state.draft()

    def list_snapshots(self) -> tuple[SnapshotInfo, ...]:
        """Return the snapshots that peers may ask for."""
        return self._store.list_snapshots()

    def load_snapshot_chunk(self, height: int, format: int, chunk: int) -> bytes:
        """Return one chunk, empty where it does not exist."""
        return self._store.load_chunk(height, chunk) if format == FORMAT else b""

    def offer_snapshot(self, snapshot: SnapshotInfo, app_hash: bytes) -> OfferVerdict:
        """Decide whether to restore from a snapshot of a state with a trusted app hash."""
        if self._restoring is not None:
            self._restoring.drop()
            self._restoring = None
        offer = read_offer(self._disk, snapshot, app_hash)
        if isinstance(offer, OfferVerdict):
            return offer
        self._restoring = offer
        return OfferVerdict.ACCEPT

    def apply_snapshot_chunk(self, index: int, chunk: bytes) -> ChunkVerdict:
        """Take the next chunk; the last one makes the restored state current if its root is the trusted one."""
        restoring = self._restoring
        if restoring is None:
            return ChunkVerdict.ABORT
        verdict = restoring.take(index, chunk)
        if verdict != ChunkVerdict.ACCEPT or not restoring.is_complete:
            return verdict
        self._restoring = None
        built = restoring.build()
        if built is None:
            return ChunkVerdict.REJECT_SNAPSHOT
        state, snapshot = built
        self._store.adopt(snapshot)
        self._adopt(state, restoring.height)
        return ChunkVerdict.ACCEPT

    def drop_caches(self) -> None:
        """Forget what proposals have computed, so that the next finalize computes it anew."""
        self._pending = {}

    def fingerprint(self) -> object:
        """Return a copy of every committed row, to compare with another of the same state."""
        return self.state.copy_rows()

    @property
    def damage(self) -> tuple[str, ...]:
        """Return what opening found damaged in the store and did without."""
        return tuple(self._store.damage)

    @property
    def _admit(self) -> admission.Cache:
        ensure(self._admission is not None, "a chain begins before it is used")
        return self._admission  # type: ignore[return-value]

    def _apply(self, request: BlockRequest) -> Applied:
        misbehavior = tuple((item.validator_index, item.height) for item in request.misbehavior)
        block = Block(request.height, request.time_ms, request.proposer_index, request.txs, misbehavior)
        return machine.apply_block(self.state, block, self._admit.admit_many, rebuilds=self._rebuilds)

    def _retain_height(self) -> int:
        """Return the lowest height to keep: a snapshot is of use only with the blocks from its height on."""
        if not self._keep_blocks:
            return 0
        oldest = self._store.oldest_snapshot or 1
        return max(0, min(self.height - self._keep_blocks, oldest))

    def _open(self) -> None:
        loaded = self._store.load()
        if loaded is None:
            return
        state = State(TABLES)
        try:
            state.load(loaded.rows)
        except Malformed as error:
            raise StoreError(f"the stored rows of height {loaded.height} are not this version's: {error}") from error
        if state.root != loaded.app_hash:
            raise StoreError(f"the stored rows of height {loaded.height} do not have their root")
        index_state(state)
        self._adopt(state, loaded.height)

    def _adopt(self, state: State, height: int) -> None:
        with self._lock:
            self.state = state
            self.height = height
            self._pending = {}
            self._finalized = None
            self._admission = admission.Cache(state.draft())
