"""Simulated links between validators: a full mesh with latency, loss, duplication, reordering, delays and partitions.

Owns the decision when, how often and whether a message arrives; the world owns the delivery. Carries bytes and never
looks inside them. Without a reordering fault each directed link is first in, first out, as a stream connection is.

Promises: a link that is cut carries nothing, not even what was under way; a message is never altered; the same seed
and the same sends give the same arrivals.
"""

from random import Random
from typing import NamedTuple

from holdfast.node.links import Cuts

PPM = 1_000_000


class LinkQuality(NamedTuple):
    """How every link behaves. Probabilities are in millionths; times in milliseconds."""

    base_ms: int = 10
    jitter_ms: int = 10
    loss_ppm: int = 0
    duplicate_ppm: int = 0
    reorder_ppm: int = 0
    reorder_ms: int = 200


class Mesh(Cuts):
    """The links between validators 0..size-1."""

    def __init__(self, size: int, quality: LinkQuality, random: Random) -> None:
        """Start whole: nothing cut, nobody delayed."""
        super().__init__(size)
        self.quality = quality
        self.sent = 0
        self.dropped = 0
        self._random = random
        self._last_arrival_ms: dict[tuple[int, int], int] = {}

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

    def heal_all(self) -> None:
        """Undo every cut and every delay, and make the links lose, repeat and reorder nothing."""
        super().heal_all()
        self.quality = self.quality._replace(loss_ppm=0, duplicate_ppm=0, reorder_ppm=0)

    def _arrival_ms(self, sender: int, receiver: int, now_ms: int) -> int:
        quality = self.quality
        delay_ms = self.delay_ms(sender, receiver)
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
