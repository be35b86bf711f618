"""Where a block's time goes: the named functions are wrapped, and each is charged with its own time alone."""

import gc
from collections.abc import Callable
from threading import get_ident
from time import perf_counter, process_time
from types import TracebackType
from typing import Final, NamedTuple, ParamSpec, TypeVar

from holdfast.node import admission, store
from holdfast.node.exchange import ExchangeApplication
from holdfast.primitives import crypto
from holdfast.primitives.check import ensure
from holdfast.protocol import invariants, machine
from holdfast.state.store import State

P = ParamSpec("P")
R = TypeVar("R")

VERIFY: Final = "verify"
INVARIANTS: Final = "invariants"
ROOT: Final = "root"
REST: Final = "rest"
_MICROS: Final = 1_000_000


class Stage(NamedTuple):
    """A function, by its owner and name, and the stage that its own time belongs to."""

    name: str
    owner: object
    function: str


STAGES: Final = (
    Stage("decode", machine, "open_txs"),
    Stage(VERIFY, crypto, "verify"),
    Stage(VERIFY, crypto, "verify_many"),
    Stage("admission", admission.Cache, "check"),
    Stage("admission", admission.Cache, "prepare"),
    Stage("admission", admission.Cache, "is_proper"),
    Stage("open block", machine, "_open_block"),
    Stage("execute", machine, "apply_tx"),
    Stage("close block", machine, "_close_block"),
    Stage(INVARIANTS, invariants, "check"),
    Stage(ROOT, State, "seal"),
    Stage("receipts", ExchangeApplication, "finalize_block"),
    Stage("receipts", machine, "encode_receipt"),
    Stage("commit", State, "commit"),
    Stage("store", store.StateStore, "save_block"),
    Stage("store", store.StateStore, "start_snapshot"),
    Stage("store", store.StateStore, "settle"),
)


class StageTimes:
    """Seconds by stage. Time inside a wrapped function that another wrapped one calls is the inner one's."""

    def __init__(self) -> None:
        """Start with every stage at nothing."""
        self.seconds: dict[str, float] = dict.fromkeys((stage.name for stage in STAGES), 0.0)
        self._inner: list[float] = [0.0]
        self._originals: list[object] = []
        self._watcher = 0

    def watch(self) -> None:
        """Wrap every stage's functions. What other threads do in them meanwhile is not counted."""
        self._watcher = get_ident()
        self._originals = []
        for stage in STAGES:
            original = getattr(stage.owner, stage.function)
            self._originals.append(original)
            setattr(stage.owner, stage.function, self._wrap(stage.name, original))

    def unwatch(self) -> None:
        """Put the functions back."""
        for stage, original in zip(STAGES, self._originals, strict=True):
            setattr(stage.owner, stage.function, original)

    def _wrap(self, name: str, function: Callable[P, R]) -> Callable[P, R]:
        seconds, inner = self.seconds, self._inner

        def timed(*args: P.args, **options: P.kwargs) -> R:
            if get_ident() != self._watcher:
                return function(*args, **options)
            inner.append(0.0)
            began = perf_counter()
            try:
                return function(*args, **options)
            finally:
                passed = perf_counter() - began
                seconds[name] += passed - inner.pop()
                inner[-1] += passed

        return timed


class Clock:
    """Adds up the processor time of what runs under it, so that neighbours on the machine do not count.

    The collector of cyclic garbage rests meanwhile, as under `timeit`, for the exchange and its peers alike.
    """

    def __init__(self, stages: StageTimes | None = None) -> None:
        """Start at nothing; with `stages`, watch them while the clock runs."""
        self.seconds = 0.0
        self._wall_seconds = 0.0
        self._began = 0.0, 0.0
        self._stages = stages

    def __enter__(self) -> None:
        """Begin to count."""
        if self._stages is not None:
            self._stages.watch()
        gc.disable()
        self._began = process_time(), perf_counter()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Count what has passed."""
        began, began_wall = self._began
        self.seconds += process_time() - began
        self._wall_seconds += perf_counter() - began_wall
        gc.enable()
        if self._stages is not None:
            self._stages.unwatch()

    def split(self, orders: int) -> dict[str, float]:
        """Return each stage's microseconds an order, and the rest; what the wall tells is scaled to the sum."""
        ensure(self._stages is not None, "stages are watched before they are told")
        seconds = self._stages.seconds if self._stages is not None else {}
        scale = self.seconds / self._wall_seconds
        told = {name: _MICROS * seconds[name] * scale / orders for name in seconds if seconds[name] > 0.0}
        return {**told, REST: _MICROS * self.seconds / orders - sum(told.values())}
