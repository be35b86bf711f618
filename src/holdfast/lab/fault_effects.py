"""What a fault does to validators and prices when it begins, and how that is undone when it ends.

`FaultTarget` is what a fault can touch; the simulated world (through `WorldTarget`) and the live cluster are two of it.
`Effects` keeps count where faults of one validator overlap: of two outages only the end of the last one brings it back.
"""

from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol

from holdfast.lab.world import NodeT, World
from holdfast.primitives.check import ensure


class FaultTarget(Protocol):
    """Validators, their links and clocks, and the market's prices, as far as a fault can touch them."""

    def crash(self, validator: int) -> None:
        """Kill a validator as a power cut does."""

    def wipe(self, validator: int) -> None:
        """Delete the store of a validator that is down."""

    def start(self, validator: int) -> None:
        """Bring a validator up; nothing happens where it runs already."""

    def pause(self, validator: int) -> None:
        """Let a validator do nothing; what reaches it waits."""

    def resume(self, validator: int) -> None:
        """Let a paused validator go on, with all that waits."""

    def partition(self, validator: int) -> int:
        """Cut a validator off, and return the cut's number."""

    def heal(self, cut: int) -> None:
        """Undo a cut."""

    def add_delay(self, validator: int, delay_ms: int) -> None:
        """Slow all that a validator sends or receives; a negative number takes a delay back."""

    def set_clock_offset(self, validator: int, offset_ms: int) -> None:
        """Let a validator's clock be off by a number of milliseconds."""

    def move_price(self, asset: str, factor_ppm: int, over_ms: int) -> Callable[[], None]:
        """Move the true price of an asset, and return what takes the move back."""


class Change(NamedTuple):
    """A fault's beginning and its end."""

    begin: Callable[[], None]
    end: Callable[[], None]


class Effects:
    """All changes that faults make to one target."""

    def __init__(self, target: FaultTarget) -> None:
        """Begin with a target to which nothing has happened."""
        self._target = target
        self._down: dict[int, int] = {}
        self._paused: dict[int, int] = {}
        self._offset_ms: dict[int, int] = {}

    def of_validator(self, kind: str, validator: int, amount_ms: int) -> Change | None:
        """Return what a kind of fault does to a validator; None where it only answers questions."""
        target = self._target
        cuts: list[int] = []
        changes = {
            "crash": Change(lambda: self._crash(validator), lambda: self._restart(validator)),
            "wipe": Change(lambda: self._crash_and_wipe(validator), lambda: self._restart(validator)),
            "pause": Change(lambda: self._pause(validator), lambda: self._resume(validator)),
            "partition": Change(
                lambda: cuts.append(target.partition(validator)),
                lambda: target.heal(cuts.pop()),
            ),
            "delay": Change(
                lambda: target.add_delay(validator, amount_ms),
                lambda: target.add_delay(validator, -amount_ms),
            ),
            "clock": Change(
                lambda: self._shift_clock(validator, amount_ms),
                lambda: self._shift_clock(validator, -amount_ms),
            ),
        }
        return changes.get(kind)

    def of_price(self, asset: str, factor_ppm: int, over_ms: int) -> Change:
        """Return what a move of a price does."""
        undo: list[Callable[[], None]] = []

        def end() -> None:
            undo.pop()()

        return Change(lambda: undo.append(self._target.move_price(asset, factor_ppm, over_ms)), end)

    def _crash(self, validator: int) -> None:
        self._down[validator] = self._down.get(validator, 0) + 1
        self._target.crash(validator)

    def _crash_and_wipe(self, validator: int) -> None:
        self._crash(validator)
        self._target.wipe(validator)

    def _restart(self, validator: int) -> None:
        self._down[validator] -= 1
        if self._down[validator] == 0:
            self._target.start(validator)

    def _pause(self, validator: int) -> None:
        self._paused[validator] = self._paused.get(validator, 0) + 1
        self._target.pause(validator)

    def _resume(self, validator: int) -> None:
        self._paused[validator] -= 1
        if self._paused[validator] == 0:
            self._target.resume(validator)

    def _shift_clock(self, validator: int, by_ms: int) -> None:
        self._offset_ms[validator] = self._offset_ms.get(validator, 0) + by_ms
        self._target.set_clock_offset(validator, self._offset_ms[validator])


class WorldTarget(Generic[NodeT]):
    """The simulated world as a target. Its prices are history's, which no fault moves."""

    def __init__(self, world: World[NodeT]) -> None:
        """Wrap a world."""
        self._world = world
        self.crash = world.crash
        self.wipe = world.wipe
        self.start = world.start
        self.pause = world.pause
        self.resume = world.resume
        self.heal = world.mesh.heal
        self.add_delay = world.mesh.add_delay
        self.set_clock_offset = world.set_clock_offset

    def partition(self, validator: int) -> int:
        """Cut a validator off, and return the cut's number."""
        return self._world.mesh.partition([validator])

    def move_price(self, asset: str, _factor_ppm: int, _over_ms: int) -> Callable[[], None]:
        """Halt: specs of a replay that move a price are refused before the run."""
        ensure(False, f"no fault moves history's price of {asset}")  # noqa: FBT003 -- a claim that never holds
        return lambda: None
