"""The ports: everything that a replica may touch besides its own memory. Production, lab and tests differ only here."""

from typing import Protocol


class Clock(Protocol):
    """Local time and timers. Local time reaches shared state only through signed vote timestamps."""

    def now_ms(self) -> int:
        """Return UTC milliseconds."""

    def set_timer(self, delay_ms: int, token: bytes) -> None:
        """Ask for `Replica.on_timer(token)` after a delay."""


class Network(Protocol):
    """Best-effort links to the other validators, known by index. Messages may be lost, late, repeated, reordered."""

    def send(self, peer: int, message: bytes) -> None:
        """Send to one peer."""

    def broadcast(self, message: bytes) -> None:
        """Send to every other validator."""


class Disk(Protocol):
    """Named append-only files. What is not synced may be lost or torn by a crash."""

    def append(self, name: str, data: bytes) -> None:
        """Add bytes at the end of a file, creating it where absent."""

    def sync(self, name: str) -> None:
        """Make everything appended so far to a file survive a crash."""

    def read(self, name: str) -> bytes:
        """Return a whole file, empty where absent."""

    def replace(self, name: str, data: bytes) -> None:
        """Put durable new content in a file's place: after a crash it holds the old bytes or the new."""

    def delete(self, name: str) -> None:
        """Remove a file; absent is fine."""

    def names(self) -> list[str]:
        """Return the files that exist, sorted."""


class Signer(Protocol):
    """Holds one validator's key."""

    @property
    def public_key(self) -> bytes:
        """Return the 32-byte Ed25519 public key."""

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of a message."""


class Randomness(Protocol):
    """Non-consensus randomness, for jitter only."""

    def below(self, bound: int) -> int:
        """Return a number in [0, bound)."""
