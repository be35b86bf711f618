"""The ports: everything that a replica may touch besides its own memory. Production, lab and tests differ only here."""

from typing import Protocol


class DiskError(Exception):
    """A disk refuses to work: which file, in which operation, why, and what the operator can do. It halts the replica.

    Why: after a failed write nobody knows what the file holds, so nothing may be acknowledged that rests on it.
    """

    def __init__(self, name: str, operation: str, reason: str, mend: str) -> None:
        """Name the place and the mend."""
        super().__init__(f"{name}: {operation} failed: {reason}; {mend}")
        self.name = name
        self.operation = operation
        self.reason = reason
        self.mend = mend


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
    """Named append-only files. What is not synced may be lost or torn by a crash.

    Refuses: every operation, with DiskError, where the medium does. Files may be written from several threads, one file
    from one thread at a time; reading is free to all.
    """

    def append(self, name: str, data: bytes) -> None:
        """Add bytes at the end of a file, creating it where absent."""

    def sync(self, name: str) -> None:
        """Make everything appended so far to a file survive a crash."""

    def read(self, name: str) -> bytes:
        """Return a whole file, empty where absent."""

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        """Return part of a file: fewer bytes where it ends early, none where it is absent."""

    def size(self, name: str) -> int:
        """Return a file's length in bytes, zero where it is absent."""

    def replace(self, name: str, data: bytes) -> None:
        """Put durable new content in a file's place: after a crash it holds the old bytes or the new."""

    def delete(self, name: str) -> None:
        """Remove a file; absent is fine."""

    def names(self) -> list[str]:
        """Return the files that exist, sorted."""

    def close(self) -> None:
        """Let go of what is open; what was not synced may be lost, as in a crash. The disk is not used after it."""


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
