"""How transactions enter a replica: offered here, or told by a peer; judged, kept, and passed on once.

Who takes a transaction from its client tells all peers, in bounded messages; who hears of it from a peer does not
repeat it.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from holdfast.node.application import CheckTxResponse
from holdfast.node.mempool import Mempool
from holdfast.node.replica_env import Environment
from holdfast.node.replica_wire import TXS_BYTES_MAX, TXS_COUNT_MAX, TxsMessage, encode_message
from holdfast.primitives.crypto import sha256
from holdfast.primitives.reject import Code


@runtime_checkable
class VerifiesAhead(Protocol):
    """An application that verifies many transactions faster in one go than one by one."""

    def verify_ahead(self, txs: Sequence[bytes]) -> None:
        """Do the part of judging them that needs no state."""


class TxIntake:
    """One replica's mempool and the gossip about it."""

    def __init__(self, env: Environment) -> None:
        """Start empty."""
        self._env = env
        self.mempool = Mempool(
            count_max=env.config.mempool_count_max,
            bytes_max=env.config.mempool_bytes_max,
            age_heights_max=env.config.mempool_age_heights_max,
        )
        self._outgoing: list[bytes] = []

    def offer(self, tx: bytes, height: int) -> CheckTxResponse:
        """Take a client's transaction, and tell the peers soon."""
        waiting = len(self.mempool)
        answer = self.take(tx, height)
        if len(self.mempool) > waiting:
            if not self._outgoing:
                self._env.set_timer("gossip", self._env.config.gossip_delay_ms, 0)
            self._outgoing.append(tx)
        return answer

    def offer_many(self, txs: Sequence[bytes], height: int) -> list[CheckTxResponse]:
        """Take clients' transactions that have come together."""
        self._verify_ahead(txs)
        return [self.offer(tx, height) for tx in txs]

    def take_many(self, txs: Sequence[bytes], height: int) -> None:
        """Take transactions that a peer has told of."""
        self._verify_ahead(txs)
        for tx in txs:
            self.take(tx, height)

    def _verify_ahead(self, txs: Sequence[bytes]) -> None:
        application, mempool = self._env.application, self.mempool
        if len(txs) > 1 and isinstance(application, VerifiesAhead):
            application.verify_ahead([tx for tx in txs if mempool.has_room(tx) and not mempool.is_known(sha256(tx))])

    def take(self, tx: bytes, height: int) -> CheckTxResponse:
        """Keep a transaction that is new, fits, and is good to the application."""
        tx_hash = sha256(tx)
        if self.mempool.is_waiting(tx_hash):
            return CheckTxResponse(Code.OK, "this transaction waits already")
        if self.mempool.was_included(tx_hash):
            return CheckTxResponse(Code.NONCE_USED, "this transaction was in a recent block")
        if not self.mempool.has_room(tx):
            self._env.count("mempool_full", size=len(tx))
            return CheckTxResponse(Code.MEMPOOL_FULL, "the transaction is too large, or too many wait")
        answer = self._env.application.check_tx(tx)
        if answer.code == Code.OK:
            self.mempool.add(tx_hash, tx, height)
        else:
            self._env.counters["tx_refused"] += 1
        return answer

    def reap(self) -> tuple[bytes, ...]:
        """Return what the next block may choose from."""
        return self.mempool.reap(self._env.chain.block_tx_bytes_max)

    def gossip(self) -> None:
        """Tell the peers what was offered here since the last time."""
        batch: list[bytes] = []
        size = 0
        for tx in self._outgoing:
            if batch and (size + len(tx) > TXS_BYTES_MAX or len(batch) == TXS_COUNT_MAX):
                self._env.network.broadcast(encode_message(TxsMessage(tuple(batch))))
                batch, size = [], 0
            batch.append(tx)
            size += len(tx)
        if batch:
            self._env.network.broadcast(encode_message(TxsMessage(tuple(batch))))
        self._outgoing.clear()
