"""The signing side of Ed25519: deterministic signatures (RFC 8032) from a 32-byte seed."""

from typing import Final

from holdfast import _kernels
from holdfast.primitives.check import ensure

SEED_BYTES: Final = 32


class SigningKey:
    """A private key. It shows its public half only."""

    __slots__ = ("_seed", "public_key")

    def __init__(self, seed: bytes) -> None:
        """Derive the key of a seed."""
        ensure(len(seed) == SEED_BYTES, "a seed has 32 bytes")
        self._seed = seed
        self.public_key = _kernels.public_key(seed)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of a message."""
        return _kernels.sign(self._seed, message)

    def __repr__(self) -> str:
        """Return the public key, so that no log can hold the private one."""
        return f"<signing key of {self.public_key.hex()}>"
