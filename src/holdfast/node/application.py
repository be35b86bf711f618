"""The replicated application as an engine sees it: ABCI 2.0's methods, over plain records.

An engine (the embedded one, the simulated world, later CometBFT) calls these in ABCI's grammar and never looks behind
them; the application never imports an engine. Rules that matter here: nothing before `commit` may have side effects;
`process_proposal`, `verify_vote_extension` and `finalize_block` are pure functions of (request, committed state).
"""

from enum import IntEnum
from typing import NamedTuple, Protocol


class ValidatorInfo(NamedTuple):
    """One validator as the application knows it: its 32-byte Ed25519 key and its integer voting power."""

    public_key: bytes
    power: int


class ExtendedVote(NamedTuple):
    """One slot of an extended commit, in the set's order; absent or nil votes have empty extension and signature."""

    validator_index: int
    power: int
    committed: bool
    extension: bytes
    extension_signature: bytes


class ExtendedCommit(NamedTuple):
    """The precommits of the last height with their vote extensions, as one proposer has seen them."""

    height: int
    round: int
    votes: tuple[ExtendedVote, ...]


class CommitVote(NamedTuple):
    """Whether a validator's precommit for the block is in the decided last commit."""

    validator_index: int
    power: int
    committed: bool


class Misbehavior(NamedTuple):
    """A proven equivocation: who, at which height, and the power it had there."""

    validator_index: int
    public_key: bytes
    power: int
    height: int
    total_power: int


class InfoResponse(NamedTuple):
    """The last committed height and its app hash."""

    height: int
    app_hash: bytes
    app_version: int


class TxResult(NamedTuple):
    """What a transaction came to. Code and data enter the results hash; log does not."""

    code: int
    data: bytes
    log: str = ""


class CheckTxResponse(NamedTuple):
    """Whether a mempool may keep a transaction."""

    code: int
    log: str = ""


class PrepareRequest(NamedTuple):
    """What a proposer hands over. `last_commit` is None at the first height."""

    height: int
    time_ms: int
    proposer_index: int
    max_tx_bytes: int
    txs: tuple[bytes, ...]
    last_commit: ExtendedCommit | None
    misbehavior: tuple[Misbehavior, ...]


class BlockRequest(NamedTuple):
    """A whole block, proposed or decided."""

    hash: bytes
    height: int
    time_ms: int
    proposer_index: int
    txs: tuple[bytes, ...]
    last_commit: tuple[CommitVote, ...]
    misbehavior: tuple[Misbehavior, ...]


class FinalizeResponse(NamedTuple):
    """The effect of a decided block, not yet committed. `events` are for people; the app hash is the state root."""

    app_hash: bytes
    tx_results: tuple[TxResult, ...]
    validator_updates: tuple[ValidatorInfo, ...]
    events: bytes


class CommitResponse(NamedTuple):
    """The lowest height that peers may still need; 0 keeps all."""

    retain_height: int


class QueryResponse(NamedTuple):
    """An answer about one committed height, with the height and root that it belongs to."""

    code: int
    value: bytes
    height: int
    app_hash: bytes
    proof: bytes


class SnapshotInfo(NamedTuple):
    """A snapshot of the state of one height. Only the app hash behind it is ever trusted."""

    height: int
    format: int
    chunks: int
    hash: bytes
    metadata: bytes


class OfferVerdict(IntEnum):
    """Answers to an offered snapshot, numbered as in ABCI."""

    ACCEPT = 1
    ABORT = 2
    REJECT = 3
    REJECT_FORMAT = 4


class ChunkVerdict(IntEnum):
    """Answers to a snapshot chunk, numbered as in ABCI."""

    ACCEPT = 1
    ABORT = 2
    RETRY = 3
    RETRY_SNAPSHOT = 4
    REJECT_SNAPSHOT = 5


class Application(Protocol):
    """ABCI 2.0, as method calls."""

    def info(self) -> InfoResponse:
        """Return what the last commit left, never more."""

    def init_chain(self, genesis: bytes) -> InfoResponse:
        """Build the genesis state; may be called again before the first commit."""

    def check_tx(self, tx: bytes) -> CheckTxResponse:
        """Judge a transaction for the mempool against the committed state."""

    def prepare_proposal(self, request: PrepareRequest) -> tuple[bytes, ...]:
        """Choose and order the transactions of a block."""

    def process_proposal(self, request: BlockRequest) -> bool:
        """Accept or refuse a proposed block."""

    def extend_vote(self, height: int, block_hash: bytes) -> bytes:
        """Return this validator's vote extension."""

    def verify_vote_extension(self, height: int, validator_index: int, extension: bytes) -> bool:
        """Accept everything but malformed bytes."""

    def finalize_block(self, request: BlockRequest) -> FinalizeResponse:
        """Compute a decided block's effect without keeping it."""

    def commit(self) -> CommitResponse:
        """Keep, durably and in one step, what the last finalize_block computed."""

    def query(self, path: str, data: bytes) -> QueryResponse:
        """Answer from the committed state."""

    def list_snapshots(self) -> tuple[SnapshotInfo, ...]:
        """Return the snapshots that peers may ask for."""

    def load_snapshot_chunk(self, height: int, format: int, chunk: int) -> bytes:
        """Return one chunk, empty where it does not exist."""

    def offer_snapshot(self, snapshot: SnapshotInfo, app_hash: bytes) -> OfferVerdict:
        """Decide whether to restore from a snapshot of a state with a trusted app hash."""

    def apply_snapshot_chunk(self, index: int, chunk: bytes) -> ChunkVerdict:
        """Take the next chunk; the last one makes the restored state current if its root is the trusted one."""
