"""The live cluster as something that faults can touch: `lab.fault_effects.FaultTarget`."""

from collections.abc import Callable
from typing import Protocol

from holdfast.node.embedded import Cluster


class PriceMover(Protocol):
    """What can move the true price of an asset."""

    def move_price(self, asset: str, factor_ppm: int, over_ms: int) -> Callable[[], None]:
        """Move it, and return what takes the move back."""


class ClusterTarget:
    """Validators by index, as faults name them."""

    def __init__(self, cluster: Cluster, prices: PriceMover, wipe: Callable[[int], None]) -> None:
        """Wrap a cluster; `wipe` deletes the files of a validator that is down."""
        self._cluster = cluster
        self._wiped: set[int] = set()
        self.wipe_files = wipe
        self.heal = cluster.links.cuts.heal
        self.add_delay = cluster.links.cuts.add_delay
        self.move_price = prices.move_price

    def crash(self, validator: int) -> None:
        """Kill a validator: its memory is gone, its files stay as they are."""
        self._cluster.validators[validator].stop()

    def wipe(self, validator: int) -> None:
        """Delete the store of a validator that is down."""
        self.wipe_files(validator)
        self._wiped.add(validator)

    def start(self, validator: int) -> None:
        """Bring a validator up; one whose store is gone asks its peers for a snapshot."""
        self._cluster.validators[validator].start(state_sync=validator in self._wiped)
        self._wiped.discard(validator)

    def pause(self, validator: int) -> None:
        """Let a validator stand still; what reaches it waits."""
        self._cluster.validators[validator].pause()

    def resume(self, validator: int) -> None:
        """Let a paused validator go on."""
        self._cluster.validators[validator].resume()

    def partition(self, validator: int) -> int:
        """Cut a validator off, and return the cut's number."""
        return self._cluster.links.cuts.partition([validator])

    def set_clock_offset(self, validator: int, offset_ms: int) -> None:
        """Let a validator's clock be off by a number of milliseconds."""
        self._cluster.validators[validator].set_clock_offset(offset_ms)
