"""The market's thread: on new blocks it lets the traders look at the committed state, and sends what they want."""

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from holdfast.node.embedded import Cluster, NoValidatorError
from holdfast.node.replica_env import LogLine
from holdfast.primitives.units import SECOND_MS
from holdfast.protocol.messages import command_domain
from holdfast.state.draft import Draft

ACT_EVERY_MS: Final = SECOND_MS
_WAIT_S: Final = 0.5


class Actor(Protocol):
    """Who trades."""

    def act(self, draft: Draft, height: int, time_ms: int, domain: bytes) -> list[bytes]:
        """Return signed transactions for what is committed now."""


class Drive:
    """Acts about once a second of the chain's time, and never while no block comes."""

    def __init__(self, cluster: Cluster, actor: Actor, log: LogLine, monotonic_s: Callable[[], float]) -> None:
        """Drive a cluster's market; `start` begins it."""
        self.acts = 0
        self.sent = 0
        self.busy_s = 0.0
        self._cluster = cluster
        self._actor = actor
        self._log = log
        self._monotonic_s = monotonic_s
        self._domain = command_domain(cluster.chain_id, cluster.genesis_hash)
        self._acted_ms = 0
        self._has_block = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="market", daemon=True)
        cluster.on_commit(lambda _event: self._has_block.set())

    def start(self) -> None:
        """Begin to trade."""
        self._thread.start()

    def stop(self) -> None:
        """Trade no more."""
        self._is_stopping = True
        self._has_block.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._is_stopping:
            self._has_block.wait(_WAIT_S)
            self._has_block.clear()
            try:
                self._act()
            except NoValidatorError:
                time.sleep(_WAIT_S)
            except Exception as error:  # noqa: BLE001 -- a market that fails is told of and tries again; the exchange goes on
                self._log("market_failed", {"reason": f"{type(error).__name__}: {error}"})
                time.sleep(_WAIT_S)

    def _act(self) -> None:
        with self._cluster.reading() as view:
            if view.time_ms - self._acted_ms < ACT_EVERY_MS:
                return
            self._acted_ms = view.time_ms
            started_s = self._monotonic_s()
            txs = self._actor.act(view.draft, view.height, view.time_ms, self._domain)
            self.busy_s += self._monotonic_s() - started_s
        for tx in txs:
            self._cluster.submit(tx)
        self.acts += 1
        self.sent += len(txs)
