"""The demo accounts of a devnet: everybody can make their keys, so they are for play only."""

from typing import Final

from holdfast.client.signing import SigningKey
from holdfast.primitives.crypto import sha256

DEMO_NAMES: Final = ("demo-1", "demo-2", "demo-3", "demo-4")
WARNING: Final = "is a public demo key: anybody can use it, so it is for a devnet only"


def is_demo(name: str) -> bool:
    """Tell whether a name is that of a demo account."""
    return name in DEMO_NAMES


def demo_seed(name: str) -> bytes:
    """Return the public seed of a demo account."""
    return sha256(b"holdfast public demo key " + name.encode())


def demo_key(name: str) -> SigningKey:
    """Return the public key pair of a demo account."""
    return SigningKey(demo_seed(name))
