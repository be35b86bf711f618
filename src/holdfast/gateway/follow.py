"""The follower: takes every committed block once, in order, into the index, and then tells the gateway.

Validators' threads only hand over. One thread writes; what it missed (a start, a full queue) it fetches from the blocks
that are kept. The gateway hears of a block when it is in the index, so what it has answered can always be asked again.
An index that was kept is checked meanwhile, in a thread of its own, and one that is found damaged is built anew.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from holdfast.consensus.messages import decode_block
from holdfast.gateway.backend import Backend, CommitEvent
from holdfast.gateway.history import History, Written
from holdfast.gateway.rows import Commit
from holdfast.gateway.sealed import IndexDamagedError
from holdfast.node.embedded import NoValidatorError
from holdfast.primitives.reject import Code, Malformed
from holdfast.protocol.machine import Receipt
from holdfast.protocol.messages import BLOCK_EVENTS_DECODER, EVENTS_DECODER

QUEUE_MAX: Final = 1_024
BATCH_BLOCKS: Final = 64
# Accounts' events older than so many blocks are forgotten; in memory, everything that is older than so many.
KEEP_BLOCKS: Final = 200_000
KEEP_BLOCKS_IN_MEMORY: Final = 20_000
_PRUNE_EVERY: Final = 1_000
_LOOK_EVERY_S: Final = 1.0
_LOOK_EARLY_S: Final = 0.05
_RETRY_S: Final = 1.0
_JOIN_S: Final = 30.0

Deliver = Callable[[Sequence[Written]], None]


class Follower:
    """Feeds one index from one backend."""

    def __init__(self, backend: Backend, history: History, deliver: Deliver, caught_up: Callable[[], None]) -> None:
        """Prepare; `deliver` and `caught_up` are called in the event loop that starts the follower.

        `caught_up` is called whenever the index has become such that what it does not hold may matter.
        """
        self._backend = backend
        self._history = history
        self._deliver = deliver
        self._tell_caught_up = caught_up
        self._queue: queue.Queue[CommitEvent | None] = queue.Queue(QUEUE_MAX)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="index", daemon=True)
        self._checker = threading.Thread(target=self._check, name="index-check", daemon=True)
        self._is_closing = False
        self._told: int | None = None  # the last height that the gateway has heard of; none before it heard of any
        self.is_caught_up = False
        self.began_at = 0  # every block above it is delivered
        self.rebuilds = 0
        self.failure = ""
        self.dropped = 0
        self.told_height = 0  # the highest that any validator has told of; the index follows

    @property
    def behind(self) -> int:
        """Return how many blocks the index lacks."""
        return max(0, self.told_height - self._history.height)

    @property
    def is_whole(self) -> bool:
        """Return whether what the index does not hold is in none of the blocks that it was made from."""
        return self.is_caught_up and self._history.is_checked and not self._history.damage

    def start(self) -> None:
        """Begin to follow."""
        self._loop = asyncio.get_running_loop()
        self._backend.on_commit(self.take)
        self._thread.start()
        if not self._history.is_checked:
            self._checker.start()

    def take(self, event: CommitEvent) -> None:
        """Take a committed block from its validator's thread; a full queue drops it, to be fetched later."""
        self.told_height = max(self.told_height, event.height)
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what has come so far, and stop."""
        self._is_closing = True
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        for thread in (self._thread, self._checker):
            if thread.is_alive():
                thread.join(_JOIN_S)

    # In a thread of its own

    def _check(self) -> None:
        """Check the index that was kept until that is done."""
        told = ""
        while not self._is_closing:
            try:
                self._history.check(lambda: self._is_closing)
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is told and tried again
                # Until it is done nothing is concluded from what the index does not hold; that much is safe.
                reason = f"{type(error).__name__}: {error}"
                if reason != told:
                    structlog.get_logger("index").exception("index_check_failed", reason=reason)
                told = reason
                time.sleep(_RETRY_S)
            else:
                self._post(self._tell_caught_up)
                return

    # In the follower's own thread

    def _run(self) -> None:
        """Follow until closed. An index that cannot be written says so and tries again; the exchange goes on."""
        while not self._is_closing:
            try:
                if self._history.damage:
                    self._rebuild()
                self._begin()
                while not self._history.damage and not self._is_closing:
                    self._step()
                    self.failure = ""
            except IndexDamagedError as error:
                self._history.fail(str(error))
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is told and tried again
                reason = f"{type(error).__name__}: {error}"
                if reason != self.failure:
                    structlog.get_logger("index").exception("index_failed", reason=reason)
                self.failure = reason
                time.sleep(_RETRY_S)

    def _rebuild(self) -> None:
        """Forget a damaged index; the blocks that are kept make a new one."""
        self.is_caught_up = False
        if self.rebuilds:
            # A disk that goes on like this shall not keep the machine busy.
            time.sleep(_RETRY_S)
        self.rebuilds += 1
        structlog.get_logger("index").warning("index_cleared", reason=self._history.damage)
        self._history.clear()

    def _begin(self) -> None:
        if not self.is_caught_up:
            # Before a validator is up, nobody can tell how far the chain is.
            while not self.told_height and not self._top() and not self._is_closing:
                time.sleep(_LOOK_EARLY_S)
            self._check_chain()
            self._fetch_missing(tells=self._told is not None)
            if self._told is None:
                self._told = self.began_at = self._history.height
            self.is_caught_up = True
            self._post(self._tell_caught_up)

    def _step(self) -> None:
        batch = self._next_batch()
        fresh = [event for event in batch if event.height > self._history.height]
        if not fresh:
            if not batch:
                self._fetch_missing(tells=True)
            return
        if fresh[0].height > self._history.height + 1:
            self._fetch_missing(tells=True, below_height=fresh[0].height)
        commits: list[Commit] = []
        height = self._history.height
        for event in fresh:
            # What is not the next one was dropped from the queue between; it is fetched with what follows it.
            if event.height == height + 1:
                commits.append(commit_of(event))
                height = event.height
        self._write(commits, tells=True)

    def _next_batch(self) -> list[CommitEvent]:
        batch: list[CommitEvent] = []
        try:
            event = self._queue.get(timeout=_LOOK_EVERY_S)
            while event is not None:
                batch.append(event)
                if len(batch) == BATCH_BLOCKS:
                    break
                event = self._queue.get_nowait()
        except queue.Empty:
            pass
        return batch

    def _write(self, commits: Sequence[Commit], *, tells: bool) -> None:
        if not commits:
            return
        written = self._history.write(commits)
        if commits[-1].height // _PRUNE_EVERY != (commits[0].height - 1) // _PRUNE_EVERY:
            kept = KEEP_BLOCKS_IN_MEMORY if self._history.is_in_memory else KEEP_BLOCKS
            self._history.prune(commits[-1].height - kept)
        fresh = [one for one in written if one.rows.commit.height > (self._told or 0)]
        if tells and fresh:
            self._told = fresh[-1].rows.commit.height
            self._post(lambda: self._deliver(fresh))

    def _post(self, call: Callable[[], None]) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(call)
            except RuntimeError:
                # The loop has closed since: nobody is left to be told.
                return

    def _check_chain(self) -> None:
        """Forget an index whose last block is not the chain's, as after a data directory was exchanged."""
        height = self._history.height
        while height >= self._history.first_height and not self._is_closing:
            known = self._history.app_hash_at(height)
            try:
                outcome = self._backend.outcome_at(height)
            except NoValidatorError:
                outcome = None
            top = self._top()
            if outcome is None and top <= height:
                # Nobody has come up this far yet.
                if self._wait():
                    continue
                return
            if outcome is not None and known != outcome.app_hash:
                structlog.get_logger("index").warning("index_cleared", reason="its last block is not the chain's")
                self._history.clear()
            return

    def _wait(self) -> bool:
        """Wait for the chain to reach what the index holds; false where blocks come in that tell."""
        try:
            event = self._queue.get(timeout=_LOOK_EARLY_S)
        except queue.Empty:
            return not self._is_closing
        if event is not None and event.height <= self._history.height:
            known = self._history.app_hash_at(event.height)
            if known is not None and known != event.app_hash:
                structlog.get_logger("index").warning("index_cleared", reason="the chain has other blocks")
                self._history.clear()
                return False
            return True
        return False

    def _fetch_missing(self, *, tells: bool, below_height: int = 0) -> None:
        """Fetch kept blocks above the index's last, up to the chain's end or a height."""
        try:
            while not self._is_closing:
                commits = self._fetch(below_height)
                if not commits:
                    return
                self._write(commits, tells=tells)
        except NoValidatorError:
            return

    def _fetch(self, below_height: int) -> list[Commit]:
        top = below_height - 1 if below_height else self._top()
        first = self._history.height + 1
        if first > top:
            return []
        if not self._is_kept(first):
            first = self._find_first_kept(first, top)
            if first > top:
                return []
            self._history.begin_at(first)
        commits: list[Commit] = []
        for height in range(first, min(top, first + BATCH_BLOCKS - 1) + 1):
            commit = fetch_commit(self._backend, height)
            if commit is None:
                break
            commits.append(commit)
        return commits

    def _top(self) -> int:
        return max((status.height for status in self._backend.statuses()), default=0)

    def _is_kept(self, height: int) -> bool:
        return fetch_commit(self._backend, height) is not None

    def _find_first_kept(self, low: int, high: int) -> int:
        """Return the first height that is kept: blocks are pruned from the start, so halving finds it."""
        if not self._is_kept(high):
            return high + 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._is_kept(middle) else (middle + 1, high)
        return low


def commit_of(event: CommitEvent) -> Commit:
    """Return a committed block as the index takes it."""
    return Commit(event.height, event.time_ms, event.app_hash, event.txs, event.receipts, event.events)


def fetch_commit(backend: Backend, height: int) -> Commit | None:
    """Return a kept block as the index takes it, None where it is not kept."""
    stored, outcome = backend.block_at(height), backend.outcome_at(height)
    if stored is None or outcome is None:
        return None
    try:
        txs = decode_block(stored.data).txs
        receipts = tuple(
            Receipt(Code(result.code), EVENTS_DECODER.decode(result.data), result.log) for result in outcome.results
        )
        events = BLOCK_EVENTS_DECODER.decode(outcome.events).block if outcome.events else ()
    except (Malformed, ValueError):
        return None
    if len(receipts) != len(txs):
        # The state came from a snapshot here, and the results with it are not known.
        return None
    return Commit(outcome.height, outcome.time_ms, outcome.app_hash, txs, receipts, events)
