"""Simulated links between validators: a full mesh with latency, loss, duplication, reordering, delays and partitions.

Owns the decision when, how often and whether a message arrives; the world owns the delivery. Carries bytes and never
looks inside them. Without a reordering fault each directed link is first in, first out, as a stream connection is.

Promises: a link that is cut carries nothing, not even what was under way; a message is never altered; the same seed
and the same sends give the same arrivals.
"""

from collections.abc import Iterable
from random import Random
from typing import NamedTuple

PPM = 1_000_000


class LinkQuality(NamedTuple):
    """How every link behaves. Probabilities are in millionths; times in milliseconds."""

    base_ms: int = 10
    jitter_ms: int = 10
    loss_ppm: int = 0
    duplicate_ppm: int = 0
    reorder_ppm: int = 0
    reorder_ms: int = 200


class Mesh:
    """The links between validators 0..size-1."""

    def __init__(self, size: int, quality: LinkQuality, random: Random) -> None:
        """Start whole: nothing cut, nobody delayed."""
        self.size = size
        self.quality = quality
        self.sent = 0
        self.dropped = 0
        self._random = random
        self._last_arrival_ms: dict[tuple[int, int], int] = {}
        self._delay_ms = [0] * size
        self._cuts: dict[int, frozenset[tuple[int, int]]] = {}
        self._cut_links: dict[tuple[int, int], int] = {}
        self._next_cut = 0

    def arrivals_ms(self, sender: int, receiver: int, now_ms: int) -> tuple[int, ...]:
        """Return when the copies of a message sent now arrive: none when lost, two when duplicated."""
        self.sent += 1
        if not self.is_connected(sender, receiver) or self._happens(self.quality.loss_ppm):
            self.dropped += 1
            return ()
        first = self._arrival_ms(sender, receiver, now_ms)
        if self._happens(self.quality.duplicate_ppm):
            return (first, self._arrival_ms(sender, receiver, now_ms))
        return (first,)

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
        """Undo every cut and every delay, and make the links lose, repeat and reorder nothing."""
        self._cuts.clear()
        self._cut_links.clear()
        self._delay_ms = [0] * self.size
        self.quality = self.quality._replace(loss_ppm=0, duplicate_ppm=0, reorder_ppm=0)

    def add_delay(self, validator: int, delay_ms: int) -> None:
        """Slow everything that a validator sends or receives from now on; a negative number takes a delay back."""
        self._delay_ms[validator] = max(0, self._delay_ms[validator] + delay_ms)

    def _cut(self, links: Iterable[tuple[int, int]]) -> int:
        cut = frozenset(links)
        self._cuts[self._next_cut] = cut
        for link in cut:
            self._cut_links[link] = self._cut_links.get(link, 0) + 1
        self._next_cut += 1
        return self._next_cut - 1

    def _arrival_ms(self, sender: int, receiver: int, now_ms: int) -> int:
        quality = self.quality
        delay_ms = self._delay_ms[sender] + self._delay_ms[receiver]
        arrival_ms = now_ms + quality.base_ms + self._random.randrange(quality.jitter_ms + 1)
        if self._happens(quality.reorder_ppm):
            return arrival_ms + self._random.randrange(quality.reorder_ms + 1) + delay_ms
        link = (sender, receiver)
        arrival_ms = max(arrival_ms, self._last_arrival_ms.get(link, arrival_ms))
        self._last_arrival_ms[link] = arrival_ms
        # The delay of a fault stays out of the queue, so that a healed link is fast again at once.
        return arrival_ms + delay_ms

    def _happens(self, probability_ppm: int) -> bool:
        return probability_ppm > 0 and self._random.randrange(PPM) < probability_ppm
