"""What waits to be sent to one connection: bounded, and of what only tells the present, the last word alone.

Notifications come whether a client reads or not, so they have the narrow bound. Answers were asked for, and many may be
due at once when a block comes; their number is bounded where requests are taken, here only their size.
"""

import asyncio
from collections import deque
from typing import Final

MESSAGES_MAX: Final = 256
BYTES_MAX: Final = 1024 * 1024
ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024


class _Entry:
    __slots__ = ("channel", "frame", "is_answer")

    def __init__(self, channel: str, frame: bytes, *, is_answer: bool) -> None:
        self.channel = channel
        self.frame = frame
        self.is_answer = is_answer


class Outbox:
    """Frames in order. When they grow too many, or too large, the reader is too slow and is given up."""

    def __init__(self) -> None:
        """Start empty."""
        self._entries: deque[_Entry] = deque()
        self._latest: dict[str, _Entry] = {}
        self._is_filled = asyncio.Event()
        self.bytes = 0
        self.answers = 0
        self.answer_bytes = 0
        self.is_overflown = False

    @property
    def is_busy(self) -> bool:
        """Return whether it is better to wait before putting in more."""
        return len(self._entries) > MESSAGES_MAX // 4 or self.bytes > BYTES_MAX // 4

    def __len__(self) -> int:
        """Return how many frames wait."""
        return len(self._entries)

    def put(self, frame: bytes, *, channel: str = "") -> None:
        """Add a notification; with a channel it may later be replaced by a newer one while it still waits."""
        if self.is_overflown:
            return
        # Of what may be replaced there is one a channel, so only what must not be left out is counted.
        events = len(self._entries) - self.answers - len(self._latest)
        if events >= MESSAGES_MAX or (self.bytes and self.bytes + len(frame) > BYTES_MAX):
            self.overflow()
            return
        entry = _Entry(channel, frame, is_answer=False)
        self._entries.append(entry)
        self.bytes += len(frame)
        if channel:
            self._latest[channel] = entry
        self._is_filled.set()

    def put_answer(self, frame: bytes) -> None:
        """Add the answer to a request."""
        if self.is_overflown:
            return
        # One large answer alone is what was asked for, not slowness.
        if self.answers and self.answer_bytes + len(frame) > ANSWER_BYTES_MAX:
            self.overflow()
            return
        self._entries.append(_Entry("", frame, is_answer=True))
        self.answers += 1
        self.answer_bytes += len(frame)
        self._is_filled.set()

    def replace(self, channel: str, frame: bytes) -> bool:
        """Put a frame in the place of a channel's waiting one; return whether there was one."""
        entry = self._latest.get(channel)
        if entry is None:
            return False
        self.bytes += len(frame) - len(entry.frame)
        entry.frame = frame
        return True

    def overflow(self) -> None:
        """Give the reader up: nothing more is kept for it."""
        self.is_overflown = True
        self._entries.clear()
        self._latest.clear()
        self.bytes = self.answers = self.answer_bytes = 0
        self._is_filled.set()

    async def take(self) -> bytes | None:
        """Return the next frame, None where the reader was given up."""
        while not self._entries and not self.is_overflown:
            self._is_filled.clear()
            await self._is_filled.wait()
        if self.is_overflown:
            return None
        entry = self._entries.popleft()
        if entry.is_answer:
            self.answers -= 1
            self.answer_bytes -= len(entry.frame)
            return entry.frame
        self.bytes -= len(entry.frame)
        if self._latest.get(entry.channel) is entry:
            del self._latest[entry.channel]
        return entry.frame
