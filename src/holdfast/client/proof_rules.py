"""What makes a proof of one row of the state, as a specification: SHA-256, Ed25519, and nothing of the exchange.

Four steps lead from a row to validators whom somebody trusts:

    compute_root        the row, and the hashes beside its way, give the app hash that they are of
    checkpoint_message  that app hash, with height, time and chain, is what validators have signed
    hash_validators     the validators are those that the trusted genesis names
    has_quorum          who signed has more than two thirds of their power

`docs/proofs.md` says the same in words. It shares no code with the tree or with consensus, but for the encoding and the
verification of a signature.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from holdfast.primitives.codec import encode

HASH_BYTES: Final = 32
LEVELS_MAX: Final = 256
EMPTY: Final = bytes(HASH_BYTES)


class Leaf(NamedTuple):
    """A leaf of the tree: where it stands, and the hash of what it holds."""

    path: bytes
    value_hash: bytes


class Validator(NamedTuple):
    """A validator's Ed25519 key and voting power. Its place in the list is its index."""

    public_key: bytes
    power: int


def compute_root(key: bytes, value: bytes | None, siblings: Sequence[bytes], other: Leaf | None) -> bytes | None:
    """Return the root of the tree in which `key` holds `value` (None: nothing), beside these siblings, topmost first.

    `other` is the leaf that the way of an absent key ends in, where it does not end in an empty subtree. None: no tree
    looks so.
    """
    path = sha256(key).digest()
    depth = len(siblings)
    if value is not None and other is None:
        node = hash_leaf(Leaf(path, sha256(value).digest()))
    elif value is None and other is None:
        node = EMPTY
    elif value is None and other is not None and _shares_way(path, other.path, depth):
        node = hash_leaf(other)
    else:
        return None
    for level in reversed(range(depth)):
        pair = siblings[level] + node if _bit(path, level) else node + siblings[level]
        node = sha256(b"\x01" + pair).digest()
    return node


def hash_leaf(leaf: Leaf) -> bytes:
    """Return the hash of a leaf, which is also that of a subtree that holds nothing else."""
    return sha256(b"\x00" + leaf.path + leaf.value_hash).digest()


def _shares_way(path: bytes, other: bytes, depth: int) -> bool:
    """Tell whether another leaf stands where a path would go after so many levels."""
    return other != path and all(_bit(path, level) == _bit(other, level) for level in range(depth))


def _bit(path: bytes, level: int) -> int:
    """Return which way a path goes at a level: 0 left, 1 right, the highest bit of the first byte on top."""
    return path[level >> 3] >> (7 - level % 8) & 1


def checkpoint_message(chain_id: str, genesis_hash: bytes, height: int, time_ms: int, app_hash: bytes) -> bytes:
    """Return what a validator signs after it has committed a height."""
    domain = sha256(b"holdfast" + encode(("checkpoint", 1, chain_id, genesis_hash))).digest()
    return domain + encode((height, time_ms, app_hash))


def hash_validators(validators: Sequence[Validator]) -> bytes:
    """Return the commitment to keys and powers that block headers carry, too."""
    return sha256(b"holdfast.validators" + encode([tuple(validator) for validator in validators])).digest()


def has_quorum(validators: Sequence[Validator], signers: Iterable[int]) -> bool:
    """Tell whether some validators, each named once, have more than two thirds of all power."""
    total = sum(validator.power for validator in validators)
    return 3 * sum(validators[index].power for index in signers) > 2 * total
