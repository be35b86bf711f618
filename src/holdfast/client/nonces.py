"""Which nonce a key's next command gets. The chain keeps a window of 64, so that commands may arrive out of order."""

import asyncio
from typing import Final

# The chain takes a nonce that is at most 63 behind its highest; one is kept free for the highest itself.
IN_FLIGHT_MAX: Final = 60


class NonceLine:
    """The nonces of one key for one account: each given out once, never too far ahead of one in flight."""

    def __init__(self, following: int) -> None:
        """Begin with the next free nonce."""
        self._following = following
        self._in_flight: set[int] = set()
        self._changed = asyncio.Condition()

    async def take(self) -> int:
        """Return a nonce that nobody else has; wait while too many are in flight."""
        async with self._changed:
            await self._changed.wait_for(self._has_room)
            nonce, self._following = self._following, self._following + 1
            self._in_flight.add(nonce)
            return nonce

    async def give_back(self, nonce: int) -> None:
        """Say that a nonce's command has ended, or is waited for no longer."""
        async with self._changed:
            self._in_flight.discard(nonce)
            self._changed.notify_all()

    async def advance(self, following: int) -> None:
        """Learn the chain's next nonce; this line never goes back."""
        async with self._changed:
            self._following = max(self._following, following)

    def _has_room(self) -> bool:
        return not self._in_flight or self._following - min(self._in_flight) < IN_FLIGHT_MAX
