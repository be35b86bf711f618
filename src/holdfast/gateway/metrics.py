"""Figures for Prometheus, in a registry of their own. They say how the exchange is, never what it decides."""

import os
import time
from pathlib import Path
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from holdfast.gateway.backend import Backend
from holdfast.gateway.history import Written
from holdfast.node.embedded import NoValidatorError
from holdfast.protocol.ledger.state import ASSET_NAMES
from holdfast.protocol.oracle.state import FEEDS, Status

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
STALLED_MIN_S: Final = 5.0
STALLED_INTERVALS: Final = 20
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
_PROC: Final = Path("/proc/self")


class Metrics:
    """All that `/metrics` shows. Counters move as things happen; gauges are read when somebody asks."""

    def __init__(self, backend: Backend) -> None:
        """Start at nothing."""
        # When a series began tells nobody here anything, and doubles the page.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._backend = backend
        self.registry = CollectorRegistry()
        made = self.registry
        self.height = Gauge("holdfast_height", "Last committed height in the index", registry=made)
        self.block_time = Gauge("holdfast_block_time_seconds", "Time of the last block, UTC", registry=made)
        self.blocks = Counter("holdfast_blocks", "Blocks followed since the start", registry=made)
        self.txs = Counter("holdfast_transactions", "Transactions committed, by their code", ["code"], registry=made)
        self.trades = Counter("holdfast_trades", "Fills committed", registry=made)
        self.interval = Histogram(
            "holdfast_block_interval_seconds", "Time between two blocks", registry=made, buckets=_SECONDS
        )
        self.commit_seconds = Histogram(
            "holdfast_commit_seconds",
            "From a submission to the answer that it is committed",
            registry=made,
            buckets=_SECONDS,
        )
        self.submissions = Counter("holdfast_submissions", "Submissions by outcome", ["outcome"], registry=made)
        self.requests = Counter(
            "holdfast_requests", "Requests by method and outcome", ["method", "outcome"], registry=made
        )
        self.ws_clients = Gauge("holdfast_ws_clients", "Open WebSocket connections", registry=made)
        self.ws_dropped = Counter("holdfast_ws_dropped", "WebSocket clients closed, by why", ["why"], registry=made)
        self.notifications = Counter("holdfast_notifications", "Notifications sent", registry=made)
        self.waiting = Gauge("holdfast_submissions_waiting", "Submissions that wait for a block", registry=made)
        self.stalled = Gauge("holdfast_stalled", "1 where the chain does not advance", registry=made)
        self.validator_up = Gauge("holdfast_validator_up", "1 where a validator runs", ["validator"], registry=made)
        self.validator_height = Gauge("holdfast_validator_height", "A validator's height", ["validator"], registry=made)
        self.validator_halted = Gauge("holdfast_validator_halted", "1 where it is halted", ["validator"], registry=made)
        self.validator_restarts = Gauge("holdfast_validator_restarts", "Restarts", ["validator"], registry=made)
        self.round = Gauge("holdfast_round", "Round of the height in progress", ["validator"], registry=made)
        self.mempool = Gauge("holdfast_mempool_transactions", "Transactions that wait", ["validator"], registry=made)
        self.oracle = Gauge("holdfast_oracle_status", "A feed's status: 0 live to 4 halted", ["feed"], registry=made)
        self.store_bytes = Gauge("holdfast_store_bytes", "Bytes on the disk below the data directory", registry=made)
        self.resident = Gauge("process_resident_memory_bytes", "Resident memory", registry=made)
        self.open_files = Gauge("process_open_fds", "Open file descriptors", registry=made)
        self.folder: Path | None = None
        self._last_block_s = time.monotonic()
        self._last_time_ms = 0

    def written(self, written: Written) -> None:
        """Count a block."""
        rows = written.rows
        commit = rows.commit
        self._last_block_s = time.monotonic()
        if self._last_time_ms:
            self.interval.observe(max(0, commit.time_ms - self._last_time_ms) / 1_000)
        self._last_time_ms = commit.time_ms
        self.height.set(commit.height)
        self.block_time.set(commit.time_ms / 1_000)
        self.blocks.inc()
        self.trades.inc(len(rows.trades))
        for receipt in commit.receipts[1:]:
            self.txs.labels(receipt.code.name).inc()

    def silent_s(self) -> float:
        """Return how long no block has come."""
        return time.monotonic() - self._last_block_s

    def is_stalled(self) -> bool:
        """Return whether the chain does not advance."""
        return self.silent_s() > max(STALLED_MIN_S, STALLED_INTERVALS * self._backend.block_interval_ms / 1_000)

    def show(self) -> bytes:
        """Return all figures as Prometheus reads them."""
        self.stalled.set(self.is_stalled())
        for status in self._backend.statuses():
            name = str(status.index)
            self.validator_up.labels(name).set(status.status in ("running", "catching-up", "syncing"))
            self.validator_halted.labels(name).set(status.status.startswith("halted"))
            self.validator_height.labels(name).set(status.height)
            self.validator_restarts.labels(name).set(max(0, status.restarts))
            self.round.labels(name).set(status.round)
            self.mempool.labels(name).set(status.mempool_size)
        self._read_oracle()
        self._read_process()
        if self.folder is not None:
            self.store_bytes.set(folder_bytes(self.folder))
        return generate_latest(self.registry)

    def _read_oracle(self) -> None:
        try:
            with self._backend.reading() as view:
                found = {asset_id: view.draft[FEEDS].get(asset_id) for asset_id in range(len(ASSET_NAMES))}
        except NoValidatorError:
            return
        for asset_id, feed in found.items():
            self.oracle.labels(ASSET_NAMES[asset_id]).set(Status.HALTED if feed is None else feed.status)

    def _read_process(self) -> None:
        try:
            pages = int((_PROC / "statm").read_text().split()[1])
            self.resident.set(pages * os.sysconf("SC_PAGE_SIZE"))
            self.open_files.set(len(os.listdir(_PROC / "fd")))  # noqa: PTH208 -- names are enough
        except OSError:
            # Not every system has these files; the figures then stay away.
            return


def folder_bytes(folder: Path) -> int:
    """Return the size of all files below a folder; what goes away meanwhile does not count."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).stat().st_size
            except OSError:
                continue
    return total
