"""The embedded engine: the validators of a chain in one process, on real clocks, threads and disks.

Each validator has its own thread, keys, files and full copy of the state; they share the links between them and the
process's time. `Cluster` starts them, restarts what died, and is the one place from which clients are served: it asks
the validator that is furthest, so that any of them may be down.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from holdfast.consensus.messages import CheckpointCertificate
from holdfast.node.application import CheckTxResponse, QueryResponse
from holdfast.node.blockstore import Outcome, StoredBlock
from holdfast.node.links import Links
from holdfast.node.loop import Timebase
from holdfast.node.replica import Replica
from holdfast.node.supervisor import Supervisor
from holdfast.node.validator import CommitEvent, Surroundings, Validator
from holdfast.state.draft import Draft

T = TypeVar("T")


class NoValidatorError(Exception):
    """Nobody serves: every validator is down, paused or halted."""


class View(NamedTuple):
    """The committed state of one height, at one validator."""

    draft: Draft
    height: int
    time_ms: int
    app_hash: bytes
    validator: int


@dataclass(frozen=True, slots=True)
class ValidatorStatus:
    """How one validator is."""

    index: int
    name: str
    public_key: bytes
    power: int
    status: str
    height: int
    app_hash: bytes
    restarts: int
    round: int
    mempool_size: int


class Cluster:
    """All validators of a chain."""

    def __init__(
        self,
        make: Callable[[int], Surroundings],
        size: int,
        time_base: Timebase,
        *,
        chain_id: str,
        genesis_hash: bytes,
        block_interval_ms: int,
        set_aside: Callable[[int], str],
    ) -> None:
        """Lay out the validators; `set_aside` moves one's damaged files out of the way and tells where."""
        self.chain_id = chain_id
        self.genesis_hash = genesis_hash
        self.block_interval_ms = block_interval_ms
        self.links = Links(size)
        self.time_base = time_base
        self.validators = [Validator(make(index), self.links, time_base, self._committed) for index in range(size)]
        self.validator_infos = list(self.validators[0].given.validators)
        self.supervisor = Supervisor(self.validators, set_aside)
        self._callbacks: list[Callable[[CommitEvent], None]] = []
        self._told_height = 0
        self._tell_lock = threading.Lock()
        self._home = 0

    def start(self) -> None:
        """Bring everybody up, and look after them from now on."""
        for validator in self.validators:
            validator.start()
        self.supervisor.start()

    def stop(self) -> None:
        """Bring everybody down cleanly."""
        self.supervisor.stop()
        for validator in self.validators:
            validator.stop()

    def now_ms(self) -> int:
        """Return the time of this devnet."""
        return self.time_base.now_ms()

    def advance(self, by_ms: int) -> None:
        """Jump ahead in time; every validator looks at its timers again."""
        self.time_base.advance(by_ms)
        for validator in self.validators:
            validator.wake()

    # Serving

    def submit(self, tx: bytes) -> Future[CheckTxResponse]:
        """Offer a transaction to the validator that is furthest; a cancelled future means that nobody knows."""
        try:
            return self.home().submit(tx)
        except NoValidatorError:
            future: Future[CheckTxResponse] = Future()
            future.cancel()
            return future

    @contextmanager
    def reading(self) -> Iterator[View]:
        """Give a reader one height's committed state; that validator does not commit meanwhile, so be short.

        Refuses: NoValidatorError.
        """
        validator = self._reader()
        app, replica = validator.app, validator.replica
        if app is None or replica is None:
            raise NoValidatorError
        with app.reading() as draft:
            yield View(draft, app.height, replica.time_ms, app.state.root, validator.given.index)

    def query(self, path: str, data: bytes) -> QueryResponse:
        """Answer as the application of the validator that serves does.

        Refuses: NoValidatorError.
        """
        app = self._reader().app
        if app is None:
            raise NoValidatorError
        return app.query(path, data)

    def home(self) -> Validator:
        """Return the validator that serves: the one from before as long as nobody is two heights ahead of it.

        Refuses: NoValidatorError.
        """
        serving = [validator for validator in self.validators if validator.is_serving]
        if not serving:
            raise NoValidatorError
        top = max(validator.height for validator in serving)
        before = self.validators[self._home]
        if not before.is_serving or before.height < top - 1:
            before = next(validator for validator in serving if validator.height == top)
            self._home = before.given.index
        return before

    def _reader(self) -> Validator:
        """Return who is read from: nobody may be told of a height, ask, and be answered from the one before."""
        home = self.home()
        for validator in (home, *self.validators):
            app = validator.app
            if app is not None and app.height >= self._told_height and validator.is_serving:
                return validator
        return home

    def block_at(self, height: int) -> StoredBlock | None:
        """Return a decided block with its votes, None where nobody who serves keeps it."""
        return self._first(lambda replica: replica.block_at(height))

    def outcome_at(self, height: int) -> Outcome | None:
        """Return what a decided block came to, None where nobody who serves keeps it."""
        return self._first(lambda replica: replica.outcome_at(height))

    def checkpoint_at(self, height: int) -> CheckpointCertificate | None:
        """Return a height's checkpoint certificate, None where nobody who serves has it (yet)."""
        return self._first(lambda replica: replica.checkpoint_at(height))

    def latest_checkpoint(self) -> CheckpointCertificate | None:
        """Return the newest checkpoint certificate, None before the first."""
        return self._first(lambda replica: replica.latest_checkpoint())

    def _first(self, ask: Callable[[Replica], T | None]) -> T | None:
        """Return the first answer of those who serve."""
        for validator in self.validators:
            replica = validator.replica
            if replica is not None and validator.is_serving and (answer := ask(replica)) is not None:
                return answer
        return None

    def on_commit(self, callback: Callable[[CommitEvent], None]) -> None:
        """Tell of each height once, after its first durable commit, in that validator's thread: never wait there."""
        self._callbacks.append(callback)

    def statuses(self) -> list[ValidatorStatus]:
        """Return how every validator is."""
        return [self._status(validator) for validator in self.validators]

    @property
    def height(self) -> int:
        """Return the highest committed height."""
        return max(validator.height for validator in self.validators)

    def _status(self, validator: Validator) -> ValidatorStatus:
        replica = validator.replica
        info = self.validator_infos[validator.given.index]
        return ValidatorStatus(
            validator.given.index,
            validator.name,
            info.public_key,
            info.power,
            validator.status,
            validator.height,
            b"" if replica is None else replica.app_hash,
            validator.restarts,
            0 if replica is None else max(0, replica.round),
            0 if replica is None else replica.mempool_size,
        )

    def _committed(self, _index: int, event: CommitEvent) -> None:
        with self._tell_lock:
            if event.height <= self._told_height:
                return
            self._told_height = event.height
        for callback in self._callbacks:
            callback(event)
