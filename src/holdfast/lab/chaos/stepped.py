"""One validator alone on a real disk, driven block by block in one thread: the commit path, the same every time.

Its clock is a function of the chain's height, its transactions a function of the height too. So a run that was
interrupted anywhere and started again ends in the state of one that never was.

Blocks are a minute apart, but for one day that nobody sees: the options that are listed before it expire soon after it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path
from typing import Final

from holdfast.lab.solo import START_MS, Solo
from holdfast.node.application import ValidatorInfo
from holdfast.node.disk import FileDisk
from holdfast.node.exchange import ExchangeApplication
from holdfast.node.ports import DiskError
from holdfast.node.replica import Replica
from holdfast.node.replica_env import ChainConfig
from holdfast.node.store import StoreError
from holdfast.primitives.units import DAY_MS, MINUTE_MS
from holdfast.protocol.chain import CLOCK
from holdfast.protocol.instruments.state import INSTRUMENTS, Kind
from holdfast.protocol.surface.state import MARKS
from holdfast.protocol.trading.messages import PlaceOrder
from holdfast.state.draft import Draft

INTERVAL_MS: Final = MINUTE_MS
ACCOUNTS: Final = 8
DAY_PASSES_AT: Final = 6
_POWER: Final = 10
_IDLE_STEPS_MAX: Final = 200
_EXPIRY_OF_DAY_MS: Final = 8 * 60 * MINUTE_MS


class StoppedError(Exception):
    """The validator has stopped by itself: why, in the words that its operator reads."""


@dataclass(frozen=True)
class Script:
    """What a chain starts from and what is sent at which height."""

    solo: Solo
    genesis_time_ms: int
    snapshot_every: int
    txs: dict[int, tuple[bytes, ...]] = field(default_factory=dict)

    def report(self, height: int, draft: Draft) -> bytes:
        """Return the oracle's report: the same prices always, for the expiries that the state knows."""
        clock = draft[CLOCK].get(0)
        self.solo.time_ms = self.genesis_time_ms if clock is None else clock.time_ms
        return self.solo.report(height, draft)


def make_script(*, minutes_to_expiry: int, snapshot_every: int) -> Script:
    """Return a chain that makes blocks for so many minutes until the first options expire; it has no orders yet."""
    genesis_time_ms = START_MS + _EXPIRY_OF_DAY_MS - minutes_to_expiry * MINUTE_MS
    solo = Solo(ACCOUNTS, validators=1, genesis_changes={"time_ms": genesis_time_ms})
    return Script(solo, genesis_time_ms, snapshot_every)


class _Clock:
    """Local time as the height tells it; timers fire in order as soon as nothing else is to be done."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self._timers: list[tuple[int, int, bytes]] = []
        self._sequence = 0

    def set_timer(self, delay_ms: int, token: bytes) -> None:
        self._sequence += 1
        heappush(self._timers, (self.now_ms() + delay_ms, self._sequence, token))

    def pop(self) -> bytes:
        return heappop(self._timers)[2]


class _NoNetwork:
    """Nobody else."""

    def send(self, peer: int, message: bytes) -> None:
        """Send nothing."""

    def broadcast(self, message: bytes) -> None:
        """Send nothing."""


class Stepped:
    """The validator, opened on a folder."""

    def __init__(self, folder: Path, script: Script) -> None:
        """Come up from what the folder holds.

        Refuses: StoppedError, where it cannot.
        """
        self._script = script
        self._clock = _Clock(self._now_ms)
        self._offered = 0
        self._replica: Replica | None = None
        key = script.solo.validator_keys[0]
        try:
            self.disk = FileDisk(folder)
            self.app = ExchangeApplication(self.disk, script.report, snapshot_every=script.snapshot_every)
        except (DiskError, StoreError) as error:
            raise StoppedError(str(error)) from error
        self.replica = Replica(
            index=0,
            validators=[ValidatorInfo(key.public_key, _POWER)],
            chain=ChainConfig(
                chain_id="solo",
                genesis=script.solo.genesis,
                genesis_time_ms=script.genesis_time_ms,
                block_interval_ms=INTERVAL_MS,
            ),
            application=self.app,
            clock=self._clock,
            network=_NoNetwork(),
            disk=self.disk,
            signer=key,
        )
        self._replica = self.replica
        self.replica.start()
        self._check()

    def run(self, until: int, acknowledge: Callable[[int, bytes], None]) -> None:
        """Make blocks up to a height, and acknowledge each once it is committed.

        Refuses: StoppedError.
        """
        told = self.replica.height
        idle = 0
        while self.replica.height < until:
            self._offer()
            self.replica.on_timer(self._clock.pop())
            self._check()
            idle += 1
            if idle > _IDLE_STEPS_MAX:
                raise StoppedError(f"height {self.replica.height + 1}: no block after {idle} timers")
            while told < self.replica.height:
                told, idle = told + 1, 0
                acknowledge(told, self.replica.app_hash)

    def close(self) -> None:
        """Close the files."""
        self.app.close()
        self.disk.close()

    def _offer(self) -> None:
        height = self.replica.height + 1
        if height > self._offered:
            self._offered = height
            for tx in self._script.txs.get(height, ()):
                self.replica.submit(tx)

    def _now_ms(self) -> int:
        height = 0 if self._replica is None else self._replica.height
        passed_ms = DAY_MS if height >= DAY_PASSES_AT else 0
        return self._script.genesis_time_ms + passed_ms + INTERVAL_MS * (height + 1) + 1

    def _check(self) -> None:
        if self.replica.halt_reason:
            raise StoppedError(self.replica.halt_reason)


def write_orders(script: Script, draft: Draft, heights: Mapping[int, int]) -> None:
    """Add seeded orders to a script: so many at each height, in options and futures that the state lists.

    Every second order meets the one before, so that half of them fill.
    """
    marks = draft[MARKS]
    listed = [
        (number, instrument, marks.get(number))
        for number, instrument in draft[INSTRUMENTS].items()
        if instrument.kind in (Kind.CALL, Kind.PUT) and number in marks
    ]
    liquid = sorted(listed, key=lambda one: (one[1].expiry_ms, -(one[2].mark_e8 if one[2] else 0)))[:8]
    turn = 0
    for height, count in sorted(heights.items()):
        txs = []
        for place in range(count):
            number, instrument, mark = liquid[(place // 2) % len(liquid)]
            ticks = max(1, (mark.mark_e8 if mark else 0) // instrument.tick_e8)
            side = place % 2
            txs.append(script.solo.sign(turn % ACCOUNTS, PlaceOrder(number, side, ticks, 1 + place % 3)))
            turn += 1
        script.txs[height] = tuple(txs)
