"""The links between the validators of one process, and what may be wrong with them: cuts and delays.

`Cuts` is the book of what is cut and slowed; the lab's simulated mesh keeps the same one. `Links` carries bytes from
thread to thread: a message that is sent is handed to the receiver's loop, at once or after the delay.
"""

import threading
from collections.abc import Callable, Iterable

# (message's sender, message, delay in milliseconds) into a validator's loop
Deliver = Callable[[int, bytes, int], None]


class Cuts:
    """Which directed links between validators 0..size-1 are cut, and how much slower each validator is."""

    def __init__(self, size: int) -> None:
        """Start whole: nothing cut, nobody delayed."""
        self.size = size
        self._delay_ms = [0] * size
        self._cuts: dict[int, frozenset[tuple[int, int]]] = {}
        self._cut_links: dict[tuple[int, int], int] = {}
        self._next_cut = 0

    def is_connected(self, sender: int, receiver: int) -> bool:
        """Tell whether a message may pass from sender to receiver at this moment."""
        return (sender, receiver) not in self._cut_links

    def partition(self, *groups: Iterable[int]) -> int:
        """Cut every link between different groups, both ways, and return the cut's number for `heal`.

        Validators in no group form one more group together.
        """
        group_of = [len(groups)] * self.size
        for number, group in enumerate(groups):
            for validator in group:
                group_of[validator] = number
        everyone = range(self.size)
        return self._cut((a, b) for a in everyone for b in everyone if group_of[a] != group_of[b])

    def block(self, senders: Iterable[int], receivers: Iterable[int]) -> int:
        """Cut the links from each sender to each receiver, that way only, and return the cut's number."""
        targets = tuple(receivers)
        return self._cut((a, b) for a in senders for b in targets if a != b)

    def heal(self, cut: int) -> None:
        """Undo one cut; links that another cut covers stay cut."""
        for link in self._cuts.pop(cut, frozenset()):
            self._cut_links[link] -= 1
            if self._cut_links[link] == 0:
                del self._cut_links[link]

    def heal_all(self) -> None:
        """Undo every cut and every delay."""
        self._cuts.clear()
        self._cut_links.clear()
        self._delay_ms = [0] * self.size

    def add_delay(self, validator: int, delay_ms: int) -> None:
        """Slow everything that a validator sends or receives from now on; a negative number takes a delay back."""
        self._delay_ms[validator] = max(0, self._delay_ms[validator] + delay_ms)

    def delay_ms(self, sender: int, receiver: int) -> int:
        """Return how much slower than usual a message between two validators is."""
        return self._delay_ms[sender] + self._delay_ms[receiver]

    def _cut(self, links: Iterable[tuple[int, int]]) -> int:
        cut = frozenset(links)
        self._cuts[self._next_cut] = cut
        for link in cut:
            self._cut_links[link] = self._cut_links.get(link, 0) + 1
        self._next_cut += 1
        return self._next_cut - 1


class Links:
    """The mesh of one process. A validator that is not attached hears nothing."""

    def __init__(self, size: int) -> None:
        """Lay the links; validators attach when they come up."""
        self.cuts = Cuts(size)
        self._inboxes: dict[int, Deliver] = {}
        self._lock = threading.Lock()

    def attach(self, index: int, deliver: Deliver) -> "Port":
        """Connect a validator, and return its network port, which is good until it detaches."""
        with self._lock:
            self._inboxes = {**self._inboxes, index: deliver}
        return Port(self, index, deliver)

    def detach(self, index: int) -> None:
        """Disconnect a validator: it neither hears nor is heard."""
        with self._lock:
            self._inboxes = {one: inbox for one, inbox in self._inboxes.items() if one != index}

    def carry(self, sender: int, deliver: Deliver, receivers: Iterable[int], message: bytes) -> None:
        """Hand a message on. What a detached incarnation sends goes nowhere."""
        inboxes = self._inboxes
        if inboxes.get(sender) is not deliver:
            return
        for receiver in receivers:
            inbox = inboxes.get(receiver)
            if inbox is not None and self.cuts.is_connected(sender, receiver):
                inbox(sender, message, self.cuts.delay_ms(sender, receiver))


class Port:
    """The network port of one incarnation of a validator."""

    __slots__ = ("_deliver", "_index", "_links")

    def __init__(self, links: Links, index: int, deliver: Deliver) -> None:
        """Send as a validator; its inbox is what tells this incarnation from the next."""
        self._links = links
        self._index = index
        self._deliver = deliver

    def send(self, peer: int, message: bytes) -> None:
        """Send to one peer."""
        self._links.carry(self._index, self._deliver, (peer,), message)

    def broadcast(self, message: bytes) -> None:
        """Send to every other validator."""
        others = (peer for peer in range(self._links.cuts.size) if peer != self._index)
        self._links.carry(self._index, self._deliver, others, message)
