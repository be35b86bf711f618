"""One validator of the embedded engine: a replica in its own thread, which starts, stops, fails and comes back.

It owns the replica's life; the replica owns its state. Nothing here decides whether to restart: see `supervisor`.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice
from typing import NamedTuple, Protocol

from holdfast.node.application import (
    BlockRequest,
    CheckTxResponse,
    CommitResponse,
    FinalizeResponse,
    ValidatorInfo,
)
from holdfast.node.exchange import ExchangeApplication, ReportSource
from holdfast.node.frames import DamagedFileError
from holdfast.node.jobs import BackgroundJobs
from holdfast.node.links import Links
from holdfast.node.loop import Loop, Timebase
from holdfast.node.ports import Disk, DiskError, Network, Signer
from holdfast.node.replica import Replica
from holdfast.node.replica_env import ChainConfig, HaltError, LogLine, ReplicaConfig
from holdfast.node.replica_watch import ForeignSignatureError
from holdfast.node.store import StoreError
from holdfast.primitives.check import BrokenInvariantError, ensure
from holdfast.primitives.codec import Record
from holdfast.protocol.machine import Receipt

# The rebuilding invariants may take this share of a validator's time; see `_Exchange`.
_REBUILD_PERCENT = 5
_REBUILD_EVERY_MIN = 64
# Offers that may wait for a validator, and how many it looks at in one go.
OFFERS_MAX = 16_384
OFFERS_AT_ONCE = 256


class CommitEvent(NamedTuple):
    """A block that is durable and committed: what was in it and what came of it."""

    height: int
    time_ms: int
    app_hash: bytes
    txs: tuple[bytes, ...]
    receipts: tuple[Receipt, ...]
    events: tuple[Record, ...]  # of the block's own phases


OnCommit = Callable[[int, CommitEvent], None]


class Cause(Enum):
    """Why a validator is not up."""

    OPERATOR = "stopped by the operator"
    DAMAGED = "its store is damaged"
    DISK = "its disk fails"
    BROKEN = "a promise is broken"
    FOREIGN = "another instance signs with its key"
    ERROR = "it failed"


class Failure(NamedTuple):
    """Why a validator went down by itself."""

    cause: Cause
    reason: str


class OpenDisk(Protocol):
    """Opens a validator's disk anew, at each start."""

    def __call__(self) -> Disk:
        """Return the disk."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What one validator is given."""

    index: int
    validators: Sequence[ValidatorInfo]
    chain: ChainConfig
    config: ReplicaConfig
    signer: Signer
    open_disk: OpenDisk
    report_source: ReportSource
    wrap_network: Callable[[Network], Network]
    snapshot_every: int
    keep_blocks: int
    log: LogLine


class Validator:
    """One validator. `start`, `stop`, `pause` and `resume` come from one thread at a time."""

    def __init__(self, given: Surroundings, links: Links, time_base: Timebase, on_commit: OnCommit) -> None:
        """Begin down."""
        self.given = given
        self.name = f"validator-{given.index}"
        self.clock_offset_ms = 0
        self.restarts = -1
        self.replica: Replica | None = None
        self.app: ExchangeApplication | None = None
        self._links = links
        self._time = time_base
        self._on_commit = on_commit
        self._open_app: ExchangeApplication | None = None
        self._disk: Disk | None = None
        self._loop: Loop | None = None
        self._failure: Failure | None = None
        self._waiting: dict[Future[CheckTxResponse], bytes] = {}
        self._waiting_lock = threading.Lock()

    # Life

    def start(self, *, state_sync: bool = False) -> None:
        """Come up from the disk in a thread of its own; nothing happens where it is up."""
        if self._loop is not None:
            return
        self.restarts += 1
        self._failure = None
        loop = Loop(self.name, self._time, offset_ms=self.clock_offset_ms)
        self._loop = loop
        loop.post_urgent(lambda: self._come_up(loop, state_sync=state_sync))
        loop.start()

    def stop(self) -> None:
        """Go down: memory is gone, the disk stays as it is at this moment."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        self._links.detach(self.given.index)
        loop.stop()
        if self._open_app is not None:
            self._open_app.close()
        if self._disk is not None:
            self._disk.close()
        self.replica = None
        self.app = self._open_app = self._disk = None
        self._cancel_waiting()

    def pause(self) -> None:
        """Stand still, as a stopped process does."""
        if self._loop is not None:
            self._loop.pause()

    def resume(self) -> None:
        """Go on after a pause."""
        if self._loop is not None:
            self._loop.resume()

    def set_clock_offset(self, offset_ms: int) -> None:
        """Make this validator's clock wrong by so much."""
        self.clock_offset_ms = offset_ms
        if self._loop is not None:
            self._loop.offset_ms = offset_ms

    def wake(self) -> None:
        """Look at the timers again: time has jumped."""
        if self._loop is not None:
            self._loop.wake()

    # What others may ask

    @property
    def is_up(self) -> bool:
        """Tell whether it has been started and has not gone down."""
        return self._loop is not None

    @property
    def is_serving(self) -> bool:
        """Tell whether it takes part and may be asked."""
        loop, replica = self._loop, self.replica
        return loop is not None and replica is not None and not loop.is_paused and self.failure() is None

    def failure(self) -> Failure | None:
        """Return why it is down although it was started, None where it is not."""
        loop, replica = self._loop, self.replica
        if loop is None:
            return None
        if self._failure is None and replica is not None and replica.halt_reason:
            self._failure = Failure(_cause_of(replica.halt_error), replica.halt_reason)
        if self._failure is None and loop.failure is not None:
            error = loop.failure
            self._failure = Failure(_cause_of(error), f"{type(error).__name__}: {error}")
        return self._failure

    @property
    def status(self) -> str:
        """Return `running`, `catching-up`, `syncing`, `starting`, `paused`, `down`, or `halted: why`."""
        loop, replica = self._loop, self.replica
        if loop is None:
            return "down"
        failure = self.failure()
        if failure is not None:
            return f"halted: {failure.reason}"
        if loop.is_paused:
            return "paused"
        return "starting" if replica is None else replica.status

    @property
    def height(self) -> int:
        """Return the last committed height, 0 while it is down."""
        replica = self.replica
        return 0 if replica is None else replica.height

    def submit(self, tx: bytes) -> Future[CheckTxResponse]:
        """Offer a transaction. The future is cancelled where the validator goes down: then nobody knows."""
        future: Future[CheckTxResponse] = Future()
        loop, replica = self._loop, self.replica
        if loop is None or replica is None:
            future.cancel()
            return future
        with self._waiting_lock:
            is_first, has_room = not self._waiting, len(self._waiting) < OFFERS_MAX
            if has_room:
                self._waiting[future] = tx
        if not has_room:
            future.cancel()
        # What comes until the validator has time for the first is offered together with it.
        elif is_first and not loop.post(lambda: self._offer_waiting(loop, replica)):
            self._cancel_waiting()
        return future

    def _cancel_waiting(self) -> None:
        with self._waiting_lock:
            waiting, self._waiting = self._waiting, {}
        for future in waiting:
            future.cancel()

    # In the validator's thread

    def _offer_waiting(self, loop: Loop, replica: Replica) -> None:
        with self._waiting_lock:
            taken = dict(islice(self._waiting.items(), OFFERS_AT_ONCE))
            for future in taken:
                del self._waiting[future]
            is_more = bool(self._waiting)
        # Votes and blocks that have come meanwhile go before the rest.
        if is_more and not loop.post(lambda: self._offer_waiting(loop, replica)):
            self._cancel_waiting()
        offers = {future: tx for future, tx in taken.items() if future.set_running_or_notify_cancel()}
        for future, answer in zip(offers, replica.submit_many(tuple(offers.values())), strict=True):
            future.set_result(answer)

    def _come_up(self, loop: Loop, *, state_sync: bool) -> None:
        given = self.given
        disk = self._disk = given.open_disk()
        app = self._open_app = _Exchange(
            disk,
            given.report_source,
            snapshot_every=given.snapshot_every,
            snapshot_offset=given.snapshot_every * given.index // len(given.validators),
            keep_blocks=given.keep_blocks,
            index=given.index,
            interval_ms=given.chain.block_interval_ms,
            elapsed_ms=self._time.elapsed_ms,
            on_commit=self._on_commit,
        )

        def deliver(sender: int, message: bytes, delay_ms: int) -> None:
            loop.post_urgent(lambda: replica.on_message(sender, message), delay_ms)

        replica = Replica(
            index=given.index,
            validators=given.validators,
            chain=given.chain,
            application=app,
            clock=loop,
            network=given.wrap_network(self._links.attach(given.index, deliver)),
            disk=disk,
            signer=given.signer,
            config=replace(given.config, state_sync=state_sync),
            log=given.log,
        )
        loop.on_timer = replica.on_timer
        replica.start()
        self.app = app
        self.replica = replica


class _Exchange(ExchangeApplication):
    """The exchange, which tells what it has committed.

    The invariants that rebuild what is kept incrementally cost more the larger the state; each validator checks them at
    every so many heights, so that they take a twentieth of its time at most, and no two validators at the same ones.
    """

    def __init__(
        self,
        disk: Disk,
        report_source: ReportSource,
        *,
        snapshot_every: int,
        snapshot_offset: int,
        keep_blocks: int,
        index: int,
        interval_ms: int,
        elapsed_ms: Callable[[], int],
        on_commit: OnCommit,
    ) -> None:
        super().__init__(
            disk,
            report_source,
            snapshot_every=snapshot_every,
            snapshot_offset=snapshot_offset,
            keep_blocks=keep_blocks,
            jobs=BackgroundJobs(),
            rebuilds=False,
        )
        self._index = index
        self._interval_ms = max(1, interval_ms)
        self._elapsed_ms = elapsed_ms
        self._on_commit = on_commit
        self._rebuild_every = _REBUILD_EVERY_MIN
        self._request: BlockRequest | None = None

    def process_proposal(self, request: BlockRequest) -> bool:
        self._rebuilds = (request.height + self._index * (_REBUILD_EVERY_MIN // 4)) % self._rebuild_every == 0
        if not self._rebuilds:
            return super().process_proposal(request)
        started_ms = self._elapsed_ms()
        accepted = super().process_proposal(request)
        cost_ms = self._elapsed_ms() - started_ms
        self._rebuild_every = max(_REBUILD_EVERY_MIN, cost_ms * 100 // (_REBUILD_PERCENT * self._interval_ms))
        return accepted

    def finalize_block(self, request: BlockRequest) -> FinalizeResponse:
        self._request = request
        return super().finalize_block(request)

    def commit(self) -> CommitResponse:
        answer = super().commit()
        request, applied = self._request, self.last_applied
        ensure(request is not None and applied is not None, "a commit follows its finalize")
        if request is not None and applied is not None:
            event = CommitEvent(
                self.height, request.time_ms, self.state.root, request.txs, applied.receipts, applied.events
            )
            self._on_commit(self._index, event)
        return answer


def _cause_of(error: BaseException | None) -> Cause:
    # A replica halts with a reason of its own, and keeps what it was told as the cause.
    match error.__cause__ if isinstance(error, HaltError) and error.__cause__ is not None else error:
        case DiskError():
            return Cause.DISK
        case StoreError() | DamagedFileError():
            return Cause.DAMAGED
        case BrokenInvariantError():
            return Cause.BROKEN
        case ForeignSignatureError():
            return Cause.FOREIGN
        case _:
            return Cause.ERROR
