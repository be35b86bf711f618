"""The state root from all rows at once, by recursion over the bits of their paths.

path            SHA256(key)
leaf            SHA256(0x00 || path || SHA256(value))
empty subtree   32 zero bytes
subtree of exactly one leaf    that leaf's hash
any other subtree              SHA256(0x01 || left || right), split by the next bit of the path
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256


def compute_root(rows: Mapping[bytes, bytes]) -> bytes:
    """Return the root over rows of key and value."""
    leaves = []
    for key, value in rows.items():
        path = sha256(key).digest()
        leaf = sha256(b"\x00" + path + sha256(value).digest()).digest()
        leaves.append((int.from_bytes(path, "big"), leaf))
    return _subtree(leaves, 0)


def _subtree(leaves: Sequence[tuple[int, bytes]], level: int) -> bytes:
    if not leaves:
        return bytes(32)
    if len(leaves) == 1:
        return leaves[0][1]
    bit = 1 << (255 - level)
    left = [leaf for leaf in leaves if not leaf[0] & bit]
    right = [leaf for leaf in leaves if leaf[0] & bit]
    return sha256(b"\x01" + _subtree(left, level + 1) + _subtree(right, level + 1)).digest()
