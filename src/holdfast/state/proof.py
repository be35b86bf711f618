"""Proofs of what a state root says about one key, and the check that needs nothing but SHA-256.

The check shares no code with the tree, so that whoever trusts nobody can read it alone. There is exactly one proof of
each true statement: nothing can be added to it, and no bit of it changed.
"""

from hashlib import sha256
from typing import Annotated, Final

from msgspec import Meta

from holdfast.primitives.codec import Decoder, Record

Hash32 = Annotated[bytes, Meta(min_length=32, max_length=32)]

_HASH_BYTES: Final = 32
_LEVELS_MAX: Final = 256
_EMPTY: Final = bytes(_HASH_BYTES)


class OtherLeaf(Record):
    """The leaf that stands where an absent key would be."""

    path: Hash32
    value_hash: Hash32


class Proof(Record):
    """The hashes beside the way from the root to a key, topmost first, and the other leaf that the way ends in, if any.

    For a present key `other` is None; for an absent one it is None where the way ends in an empty subtree.
    """

    siblings: Annotated[tuple[Hash32, ...], Meta(max_length=_LEVELS_MAX)]
    other: OtherLeaf | None


PROOF_DECODER: Final = Decoder(Proof, max_bytes=_LEVELS_MAX * 34 + 128, max_depth=2, max_items=_LEVELS_MAX + 8)


def check_proof(root: bytes, key: bytes, value: bytes | None, proof: Proof) -> bool:
    """Return whether the root holds `value` at `key`, or with None, whether it holds nothing there."""
    path = sha256(key).digest()
    depth = len(proof.siblings)
    if depth > _LEVELS_MAX or any(len(sibling) != _HASH_BYTES for sibling in proof.siblings):
        return False
    node = _bottom(path, value, proof)
    if node is None:
        return False
    bits = int.from_bytes(path, "big")
    for level in range(depth - 1, -1, -1):
        sibling = proof.siblings[level]
        is_right = bits >> (_LEVELS_MAX - 1 - level) & 1
        node = sha256(b"\x01" + (sibling + node if is_right else node + sibling)).digest()
    return node == root


def _bottom(path: bytes, value: bytes | None, proof: Proof) -> bytes | None:
    """Return the hash that the way must end in, or None where the proof cannot speak of this key."""
    other = proof.other
    if value is not None:
        return _leaf(path, sha256(value).digest()) if other is None else None
    if other is None:
        return _EMPTY
    if len(other.path) != _HASH_BYTES or len(other.value_hash) != _HASH_BYTES or other.path == path:
        return None
    depth = len(proof.siblings)
    differing = int.from_bytes(path, "big") ^ int.from_bytes(other.path, "big")
    shares_the_way = differing >> (_LEVELS_MAX - depth) == 0
    return _leaf(other.path, other.value_hash) if shares_the_way else None


def _leaf(path: bytes, value_hash: bytes) -> bytes:
    return sha256(b"\x00" + path + value_hash).digest()
