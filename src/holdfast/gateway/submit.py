"""Submissions: every one ends as committed, as rejected, or as pending with the hash that resolves it.

A nonce is used up by inclusion, so the same bytes take effect at most once and may be sent again at any time. What is
refused for want of room is refused before it is handed on; once it may have been handed on, no error is answered.
"""

import asyncio
import contextlib
import threading
from collections import OrderedDict
from concurrent.futures import CancelledError, Future
from typing import Final

from holdfast.gateway.answers import NEVER, NONCE_GONE, Ended, Result, judge_nonce, pending, refused
from holdfast.gateway.backend import Backend
from holdfast.gateway.errors import too_many
from holdfast.gateway.follow import Follower
from holdfast.gateway.history import History, Written
from holdfast.gateway.instruments import Instruments
from holdfast.gateway.known import BUILDING, Known
from holdfast.gateway.metrics import Metrics
from holdfast.gateway.rows import TradeRow, decode_tx
from holdfast.node.application import CheckTxResponse
from holdfast.node.embedded import NoValidatorError
from holdfast.primitives.reject import Code
from holdfast.protocol.limits import TX_BYTES_MAX
from holdfast.protocol.messages import Envelope

WAITING_MAX: Final = 4_096
REMEMBERED_MAX: Final = 65_536
_OFFER_S: Final = 5.0
_RETRY_S: Final = 0.1
_LOOK_S: Final = 0.02


class _Waiter:
    """Who waits for one transaction: requests with the same bytes share the answer."""

    __slots__ = ("count", "future")

    def __init__(self, future: asyncio.Future[Ended]) -> None:
        self.count = 0
        self.future = future


class _Bridge:
    """Brings validators' answers into the event loop: those that have come by the time it looks, with one wake-up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._come: list[tuple[asyncio.Future[CheckTxResponse], Future[CheckTxResponse]]] = []

    def bring(self, offered: Future[CheckTxResponse]) -> asyncio.Future[CheckTxResponse]:
        """Return what the event loop waits for; it may be given up without harm to what was offered."""
        loop = asyncio.get_running_loop()
        awaited: asyncio.Future[CheckTxResponse] = loop.create_future()

        def come(done: Future[CheckTxResponse]) -> None:
            with self._lock:
                self._come.append((awaited, done))
                is_first = len(self._come) == 1
            if is_first:
                # A loop that has closed since has nobody left to be told.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._deliver)

        offered.add_done_callback(come)
        return awaited

    def _deliver(self) -> None:
        with self._lock:
            come, self._come = self._come, []
        for awaited, done in come:
            if awaited.done():
                continue
            if done.cancelled():
                awaited.cancel()
            elif (error := done.exception()) is not None:
                awaited.set_exception(error)
            else:
                awaited.set_result(done.result())


class Submitter:
    """Hands transactions to the backend and waits for their blocks."""

    def __init__(
        self, backend: Backend, history: History, follower: Follower, instruments: Instruments, metrics: Metrics
    ) -> None:
        """Start with nobody waiting."""
        self._backend = backend
        self._history = history
        self._follower = follower
        self._known = Known(backend, history, follower, instruments)
        self._metrics = metrics
        self._waiting: dict[bytes, _Waiter] = {}
        self._waiters = 0
        # What was handed on from here and has not come back: it is pending, whatever anybody says of it now.
        self._accepted: OrderedDict[bytes, None] = OrderedDict()
        self._bridge = _Bridge()
        self._heights: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def waiting(self) -> int:
        """Return how many requests wait for a block."""
        return self._waiters

    def written(self, written: Written) -> None:
        """Wake who waits for what a block holds."""
        rows = written.rows
        commit = rows.commit
        trades_by_tx: dict[str, list[TradeRow]] = {}
        for row in rows.trades:
            trades_by_tx.setdefault(row.tx_hash, []).append(row)
        if self._waiting or self._accepted:
            for decoded in rows.decoded:
                self._accepted.pop(decoded.tx_hash, None)
                waiter = self._waiting.get(decoded.tx_hash)
                if waiter is not None and not waiter.future.done():
                    trades = trades_by_tx.get(decoded.tx_hash.hex(), [])
                    ended = Ended(commit.height, commit.time_ms, commit.app_hash, decoded, trades, rows.orders)
                    waiter.future.set_result(ended)
        self._wake_reached(commit.height)

    async def submit(self, tx: bytes, *, waits: bool, timeout_s: float) -> Result:
        """Hand a transaction on and return what became of it. Refuses: ApiError, where it was not handed on."""
        result = await self._submit(tx, waits=waits, timeout_s=timeout_s)
        outcome = str(result["state"]) if not result["code"] else f"{result['state']}_refused"
        self._metrics.submissions.labels(outcome).inc()
        return result

    async def _submit(self, tx: bytes, *, waits: bool, timeout_s: float) -> Result:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        tx_hash, envelope = decode_tx(tx)
        if len(tx) > TX_BYTES_MAX:
            return refused(tx_hash, Code.TX_TOO_LARGE, f"{len(tx)} bytes, where at most {TX_BYTES_MAX} are taken")
        if envelope is None:
            return refused(tx_hash, Code.BAD_ENCODING, "these bytes are no signed command of this version")
        if self._waiters >= WAITING_MAX:
            self._metrics.submissions.labels("overloaded").inc()
            raise too_many(
                "TOO_MANY_WAITING", f"{WAITING_MAX} submissions wait already; send the same bytes again soon"
            )
        waiter = self._waiting.setdefault(tx_hash, _Waiter(loop.create_future()))
        waiter.count += 1
        self._waiters += 1
        began = loop.time()
        try:
            answer = await self._offer(tx, tx_hash, envelope, deadline)
            if answer is not None:
                return answer
            if not waits:
                return self._pending(tx_hash, "received; it is in no block yet")
            ended = await asyncio.wait_for(asyncio.shield(waiter.future), max(0.0, deadline - loop.time()))
        except TimeoutError:
            return self._known.find(tx_hash) or self._pending(tx_hash, self._why_not_yet())
        finally:
            self._waiters -= 1
            waiter.count -= 1
            if waiter.count == 0:
                del self._waiting[tx_hash]
        self._metrics.commit_seconds.observe(loop.time() - began)
        return self._known.show(ended)

    async def _offer(self, tx: bytes, tx_hash: bytes, envelope: Envelope, deadline: float) -> Result | None:
        """Hand a transaction to a validator; return None where it was taken, or may have been."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                offered = self._bridge.bring(self._backend.submit(tx))
                check = await asyncio.wait_for(offered, max(0.01, min(_OFFER_S, deadline - loop.time())))
            except (CancelledError, asyncio.CancelledError):
                # The validator went down with it, or nobody serves; a request that was itself cancelled ends here too.
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                self._accept(tx_hash)
                if loop.time() + _RETRY_S >= deadline:
                    return self._known.find(tx_hash) or self._pending(tx_hash, "no validator has answered")
                await asyncio.sleep(_RETRY_S)
                continue
            except TimeoutError:
                self._accept(tx_hash)
                return None
            break
        if check.code == Code.OK:
            self._accept(tx_hash)
            return None
        return await self._judge(tx_hash, envelope, check.code, check.log, deadline)

    async def _judge(self, tx_hash: bytes, envelope: Envelope, code: int, log: str, deadline: float) -> Result | None:
        """Return what a validator's refusal means; None where the command may yet come into a block.

        These bytes may have been in a block before: then that is the answer, whatever the state says of them now.
        """
        if code in NEVER:
            return refused(tx_hash, code, log)
        if code == Code.MEMPOOL_FULL:
            known = self._known.find(tx_hash)
            if known is None and tx_hash not in self._accepted:
                raise too_many("MEMPOOL_FULL", "too many commands wait for a block; send the same bytes again soon")
            return known
        try:
            height, use = await asyncio.wait_for(
                self._see_nonce(envelope), max(0.01, deadline - asyncio.get_running_loop().time())
            )
        except TimeoutError:
            return self._pending(tx_hash, "whether it is in a block is not known yet")
        if use in NONCE_GONE:
            found = self._known.explain_used(tx_hash, envelope, use, height)
            return self._unknown(tx_hash, found) if isinstance(found, str) else found
        # It was taken before; a later opinion of one validator does not take it back.
        return None if tx_hash in self._accepted else refused(tx_hash, code, log)

    async def _see_nonce(self, envelope: Envelope) -> tuple[int, int]:
        """Return a state's height and what it says of a nonce, once the index holds all blocks of that state.

        The state is no older than any that a validator has judged by: each tells of its commit before it judges again.
        """
        told_height = self._follower.told_height
        while True:
            try:
                with self._backend.reading() as view:
                    height = view.height
                    use = judge_nonce(view.draft, envelope.account_id, envelope.signer, envelope.nonce)
            except NoValidatorError:
                height, use = -1, int(Code.OK)
            if height >= told_height:
                await self._reach(height)
                return height, use
            await asyncio.sleep(_LOOK_S)

    async def _reach(self, height: int) -> None:
        if self._history.height >= height and self._follower.is_whole:
            return
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._heights.append((height, reached))
        await reached

    def caught_up(self) -> None:
        """Wake who waits for the index where it has caught up by fetching, or was checked."""
        self._wake_reached(self._history.height)

    def _wake_reached(self, here: int) -> None:
        if self._follower.is_whole:
            for height, reached in self._heights:
                if height <= here and not reached.done():
                    reached.set_result(None)
        self._heights = [entry for entry in self._heights if not entry[1].done()]

    def _accept(self, tx_hash: bytes) -> None:
        self._accepted[tx_hash] = None
        while len(self._accepted) > REMEMBERED_MAX:
            self._accepted.popitem(last=False)

    def is_accepted(self, tx_hash: bytes) -> bool:
        """Return whether a transaction was handed on from here and is in no block yet."""
        return tx_hash in self._accepted

    def _why_not_yet(self) -> str:
        heights = [status.height for status in self._backend.statuses()]
        if self._metrics.is_stalled():
            return f"the chain does not advance: it stands at height {max(heights, default=0)}"
        return "it is in no block yet"

    def _pending(self, tx_hash: bytes, message: str) -> Result:
        return pending(tx_hash, message, is_stalled=self._metrics.is_stalled())

    def _unknown(self, tx_hash: bytes, message: str) -> Result:
        return self._pending(tx_hash, message) | {"state": "unknown"}

    # What is known already

    async def get(self, tx_hash: bytes) -> Result:
        """Return what is known of a transaction: committed, pending where it was handed on from here, or unknown."""
        known = self._known.find(tx_hash)
        if known is not None:
            return known
        if self.is_accepted(tx_hash):
            return self._pending(tx_hash, self._why_not_yet())
        if not self._follower.is_whole:
            return self._unknown(tx_hash, BUILDING)
        return self._unknown(tx_hash, "no block holds it, and it was not handed on from here since the start")

    async def get_by_nonce(self, account_id: int, signer: bytes, nonce: int) -> Result:
        """Return what used a nonce: committed, or unknown where nothing has."""
        tx_hash = self._known.find_hash(account_id, signer, nonce)
        if tx_hash is not None:
            return self._known.find(tx_hash) or self._unknown(tx_hash, BUILDING)
        with self._backend.reading() as view:
            is_free = judge_nonce(view.draft, account_id, signer, nonce) == Code.OK
        words = "no transaction has used this nonce" if is_free else "this nonce is used up or out of reach"
        if not is_free and not self._follower.is_whole:
            words = BUILDING
        return self._unknown(b"", words) | {"nonce_is_free": is_free}
