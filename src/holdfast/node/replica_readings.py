"""What others may read of a replica: what says so from any thread, the rest from the replica's own."""

from collections import Counter

from holdfast.consensus.messages import CheckpointCertificate
from holdfast.node.blockstore import Outcome, StoredBlock
from holdfast.node.replica_catchup import CatchUp
from holdfast.node.replica_chain import Chain
from holdfast.node.replica_checkpoints import Checkpoints
from holdfast.node.replica_env import Environment
from holdfast.node.replica_rounds import Rounds
from holdfast.node.replica_statesync import StateSync
from holdfast.node.replica_txs import TxIntake


class Readings:
    """The readable side of a replica."""

    halt_reason: str
    _env: Environment
    _chain: Chain
    _rounds: Rounds
    _catchup: CatchUp
    _checkpoints: Checkpoints
    _statesync: StateSync
    _txs: TxIntake

    @property
    def height(self) -> int:
        """Return the last committed height."""
        return self._chain.tip.height

    @property
    def round(self) -> int:
        """Return the round of the height in progress, -1 before its start."""
        return self._rounds.state.round

    @property
    def app_hash(self) -> bytes:
        """Return the app hash after the last committed height."""
        return self._chain.tip.app_hash

    @property
    def time_ms(self) -> int:
        """Return the block time of the last committed height."""
        return self._chain.tip.time_ms

    @property
    def status(self) -> str:
        """Return `running`, `catching-up`, `syncing` or `halted`."""
        if self.halt_reason:
            return "halted"
        if self._statesync.is_active:
            return "syncing"
        return "catching-up" if self._catchup.is_behind else "running"

    @property
    def counters(self) -> Counter[str]:
        """Return how often each logged event happened."""
        return self._env.counters

    @property
    def mempool_size(self) -> int:
        """Return how many transactions wait here."""
        return len(self._txs.mempool)

    def app_hash_at(self, height: int) -> bytes | None:
        """Return the app hash after a height, None where it is not known here."""
        return self._chain.app_hash_at(height)

    def block_hash_at(self, height: int) -> bytes | None:
        """Return the hash of a decided block, None where it is not kept here."""
        return self._chain.block_hash_at(height)

    def block_at(self, height: int) -> StoredBlock | None:
        """Return a decided block with its votes, None where it is not kept here. For any thread."""
        kept = self._chain.kept
        return None if kept is None else kept.load(height)

    def outcome_at(self, height: int) -> Outcome | None:
        """Return what a block came to, None where that is not known here. For any thread."""
        kept = self._chain.kept
        return None if kept is None else kept.outcome(height)

    def checkpoint_at(self, height: int) -> CheckpointCertificate | None:
        """Return the checkpoint certificate of a height, None where it is not there (yet). For any thread."""
        return self._checkpoints.at(height)

    def latest_checkpoint(self) -> CheckpointCertificate | None:
        """Return the newest checkpoint certificate. For any thread."""
        return self._checkpoints.latest
