"""The simulated world: N nodes on one event heap, with simulated clocks, links and disks, all from one seed.

Owns time, the order of events, and the life and death of nodes. It knows a node only as start, on_message and on_timer,
so it runs replicas, Byzantine wrappers and toys alike. There is no thread, no real clock and no float in it.

Promises: the same seed, nodes and callbacks give the same trace hash; a crash keeps nothing of a node but its disk; a
timer of a crashed incarnation never fires in the next one; what a node raises reaches the runner with seed and time.
"""

import hashlib
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Generic, NamedTuple, Protocol, TypeVar

from holdfast.lab.disk import PowerLoss, SimulatedDisk
from holdfast.lab.network import LinkQuality, Mesh
from holdfast.node.ports import Clock, Disk, Network, Randomness


class Node(Protocol):
    """What the world needs of a node: the entry points of a replica."""

    def start(self) -> None:
        """Come up from what the disk holds."""

    def on_message(self, sender: int, message: bytes) -> None:
        """Take a message from the validator with that index."""

    def on_timer(self, token: bytes) -> None:
        """Take a timer that this incarnation set."""


class Ports(NamedTuple):
    """All that one incarnation of a node may touch."""

    clock: Clock
    network: Network
    disk: Disk
    randomness: Randomness


class TimeStandsStillError(Exception):
    """Nodes keep each other busy within one millisecond without end."""


class NodeFailedError(Exception):
    """A node raised: which one, when, and the seed that shows it again. The cause is chained."""

    def __init__(self, index: int, now_ms: int, seed: int, cause: BaseException) -> None:
        """Name the run and the moment."""
        super().__init__(f"node {index} failed at {now_ms} ms, seed {seed}: {type(cause).__name__}: {cause}")
        self.index = index
        self.now_ms = now_ms
        self.seed = seed


def derive_random(seed: int, name: str) -> Random:
    """Return the random stream of one concern, so that a draw more in one leaves the others as they were."""
    return Random(int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()))


class SeededRandomness:
    """The randomness port over a seeded stream."""

    def __init__(self, random: Random) -> None:
        """Wrap a stream."""
        self._random = random

    def below(self, bound: int) -> int:
        """Return a number in [0, bound)."""
        return self._random.randrange(bound)


NodeT = TypeVar("NodeT", bound=Node)

_MESSAGE, _TIMER, _CALL = 0, 1, 2
_EVENTS_PER_MS_MAX = 200_000
# Time, sequence, kind, receiver, then sender or incarnation, and the message, token or label.
_Event = tuple[int, int, int, int, int, bytes]


class _Slot(Generic[NodeT]):
    """One validator's place: what outlives its incarnations."""

    __slots__ = ("clock_offset_ms", "disk", "held", "incarnation", "node", "randomness")

    def __init__(self, disk: SimulatedDisk, randomness: SeededRandomness) -> None:
        self.disk = disk
        self.randomness = randomness
        self.node: NodeT | None = None
        self.incarnation = 0
        self.clock_offset_ms = 0
        # What has reached a paused node, None where it runs.
        self.held: list[_Event] | None = None


class _NodeClock:
    """The clock port of one incarnation."""

    __slots__ = ("_incarnation", "_index", "_world")

    def __init__(self, world: "World[NodeT]", index: int, incarnation: int) -> None:
        self._world = world
        self._index = index
        self._incarnation = incarnation

    def now_ms(self) -> int:
        return self._world.local_ms(self._index)

    def set_timer(self, delay_ms: int, token: bytes) -> None:
        self._world.post_timer(self._index, self._incarnation, delay_ms, token)


class _NodeNetwork:
    """The network port of one incarnation; a dead one sends nothing."""

    __slots__ = ("_incarnation", "_index", "_world")

    def __init__(self, world: "World[NodeT]", index: int, incarnation: int) -> None:
        self._world = world
        self._index = index
        self._incarnation = incarnation

    def send(self, peer: int, message: bytes) -> None:
        self._world.post_message(self._index, self._incarnation, peer, message)

    def broadcast(self, message: bytes) -> None:
        for peer in range(self._world.size):
            if peer != self._index:
                self._world.post_message(self._index, self._incarnation, peer, message)


class World(Generic[NodeT]):
    """N nodes, their ports, and one heap of events in (time, sequence) order."""

    def __init__(
        self,
        *,
        seed: int,
        start_ms: int,
        size: int,
        make_node: Callable[[int, Ports], NodeT],
        quality: LinkQuality | None = None,
    ) -> None:
        """Lay out the world; nodes come up with `start_all` or `start`."""
        self.seed = seed
        self.size = size
        self.now_ms = start_ms
        self.mesh = Mesh(size, quality or LinkQuality(), derive_random(seed, "network"))
        self.delivered = 0
        self._make_node = make_node
        self._heap: list[_Event] = []
        self._calls: dict[int, Callable[[], None]] = {}
        self._sequence = 0
        self._events_this_ms = 0
        self._trace = hashlib.sha256()
        self._slots: list[_Slot[NodeT]] = [
            _Slot(
                SimulatedDisk(derive_random(seed, f"disk/{index}")),
                SeededRandomness(derive_random(seed, f"jitter/{index}")),
            )
            for index in range(size)
        ]

    # Nodes

    def start_all(self) -> None:
        """Bring up every node that is down, in index order."""
        for index in range(self.size):
            self.start(index)

    def start(self, index: int) -> None:
        """Bring a node up from its disk; nothing happens where it runs already."""
        slot = self._slots[index]
        if slot.node is not None:
            return
        slot.incarnation += 1
        ports = Ports(
            clock=_NodeClock(self, index, slot.incarnation),
            network=_NodeNetwork(self, index, slot.incarnation),
            disk=slot.disk,
            randomness=slot.randomness,
        )

        def come_up() -> None:
            slot.node = self._make_node(index, ports)
            slot.node.start()

        self._note(f"start {index}".encode())
        self._run_in(index, come_up)

    def crash(self, index: int) -> None:
        """Kill a node: its memory and timers are gone, its disk keeps what was synced and perhaps some of the rest."""
        slot = self._slots[index]
        if slot.node is None:
            return
        self._bury(index)
        self._note(f"crash {index}".encode())

    def wipe(self, index: int) -> None:
        """Delete the store of a node that is down."""
        if self._slots[index].node is not None:
            message = f"node {index} is up; crash it before its store is wiped"
            raise ValueError(message)
        self._slots[index].disk.wipe()
        self._note(f"wipe {index}".encode())

    def pause(self, index: int) -> None:
        """Stop a node as a debugger does: messages and timers wait for it. Nothing happens where it is down."""
        slot = self._slots[index]
        if slot.node is not None and slot.held is None:
            slot.held = []
            self._note(f"pause {index}".encode())

    def resume(self, index: int) -> None:
        """Let a paused node go on: it takes all that has waited, in order."""
        slot = self._slots[index]
        held, slot.held = slot.held, None
        if held is None:
            return
        self._note(f"resume {index}".encode())
        for _, _, kind, receiver, origin, data in held:
            self._push(self.now_ms, kind, receiver, origin, data)

    def node(self, index: int) -> NodeT | None:
        """Return the node at an index, or None while it is down."""
        return self._slots[index].node

    def nodes(self) -> list[tuple[int, NodeT]]:
        """Return the nodes that are up, with their indices."""
        return [(index, slot.node) for index, slot in enumerate(self._slots) if slot.node is not None]

    def disk(self, index: int) -> SimulatedDisk:
        """Return a node's disk, which outlives its incarnations."""
        return self._slots[index].disk

    def set_clock_offset(self, index: int, offset_ms: int) -> None:
        """Let a node's clock run ahead of the world's by a number of milliseconds, or behind it."""
        self._slots[index].clock_offset_ms = offset_ms

    def local_ms(self, index: int) -> int:
        """Return the time on a node's clock."""
        return self.now_ms + self._slots[index].clock_offset_ms

    # Events

    def at(self, time_ms: int, callback: Callable[[], None], label: str = "call") -> None:
        """Run a callback of the outside world at a time; the past means now."""
        self._calls[self._sequence] = callback
        self._push(max(time_ms, self.now_ms), _CALL, 0, 0, label.encode())

    def post_message(self, sender: int, incarnation: int, receiver: int, message: bytes) -> None:
        """Hand a message to the links. Used by the network port."""
        if type(message) is not bytes:
            error = f"a network carries bytes, not {type(message).__name__}"
            raise TypeError(error)
        if self._slots[sender].incarnation != incarnation:
            return
        for arrival_ms in self.mesh.arrivals_ms(sender, receiver, self.now_ms):
            self._push(arrival_ms, _MESSAGE, receiver, sender, message)

    def post_timer(self, index: int, incarnation: int, delay_ms: int, token: bytes) -> None:
        """Set a timer of one incarnation. Used by the clock port."""
        self._push(self.now_ms + max(0, delay_ms), _TIMER, index, incarnation, token)

    def run_until(self, time_ms: int) -> None:
        """Deliver every event up to and including a time, and leave the clock there."""
        while self._heap and self._heap[0][0] <= time_ms:
            self._deliver(heappop(self._heap))
        self.now_ms = max(self.now_ms, time_ms)

    def run_while(self, condition: Callable[[], bool], limit_ms: int) -> bool:
        """Deliver events while a condition holds and time is left; tell whether the condition has ended."""
        while condition():
            if not self._heap or self._heap[0][0] > limit_ms:
                self.now_ms = max(self.now_ms, limit_ms)
                return False
            self._deliver(heappop(self._heap))
        return True

    @property
    def trace_hash(self) -> bytes:
        """Return the SHA-256 over everything delivered so far."""
        return self._trace.copy().digest()

    def _push(self, time_ms: int, kind: int, receiver: int, origin: int, data: bytes) -> None:
        heappush(self._heap, (time_ms, self._sequence, kind, receiver, origin, data))
        self._sequence += 1

    def _deliver(self, event: _Event) -> None:
        time_ms, sequence, kind, receiver, origin, data = event
        self._advance(time_ms)
        if kind == _CALL:
            self._note(data)
            self._calls.pop(sequence)()
            return
        slot = self._slots[receiver]
        node = slot.node
        if node is None:
            return
        if slot.held is not None:
            slot.held.append(event)
            return
        if kind == _MESSAGE and self.mesh.is_connected(origin, receiver):
            self._note(b"%d>%d " % (origin, receiver) + data)
            self._run_in(receiver, lambda: node.on_message(origin, data))
        elif kind == _TIMER and slot.incarnation == origin:
            self._note(b"!%d " % receiver + data)
            self._run_in(receiver, lambda: node.on_timer(data))

    def _advance(self, time_ms: int) -> None:
        self._events_this_ms = self._events_this_ms + 1 if time_ms == self.now_ms else 0
        if self._events_this_ms > _EVENTS_PER_MS_MAX:
            message = f"more than {_EVENTS_PER_MS_MAX} events at {time_ms} ms, seed {self.seed}"
            raise TimeStandsStillError(message)
        self.now_ms = time_ms

    def _run_in(self, index: int, action: Callable[[], None]) -> None:
        """Run code of a node: a power loss is a crash, anything else that it raises goes to the runner."""
        try:
            action()
        except PowerLoss:
            self._bury(index)
            self._note(f"power loss {index}".encode())
        except Exception as error:
            self._bury(index)
            raise NodeFailedError(index, self.now_ms, self.seed, error) from error

    def _bury(self, index: int) -> None:
        slot = self._slots[index]
        slot.node = None
        slot.held = None
        # The dead incarnation's ports go silent at once; `start` numbers the next one.
        slot.incarnation += 1
        slot.disk.crash()

    def _note(self, entry: bytes) -> None:
        self.delivered += 1
        self._trace.update(b"%d %d " % (self.now_ms, len(entry)))
        self._trace.update(entry)
