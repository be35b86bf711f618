"""The state root: a compact sparse Merkle tree over the keys and values of the state.

    path            SHA256(key)
    leaf            SHA256(0x00 || path || SHA256(value))
    empty subtree   32 zero bytes
    subtree of exactly one leaf    that leaf's hash
    any other subtree              SHA256(0x01 || left || right), split by the next bit of the path

The root is a function of the keys and values alone. `depth` says how many levels are cached and enters no hash: the
cached levels lie in pages of bytes, what is below them in sorted buckets. Neither is ever changed, only replaced, so a
plan can be computed before a block is final and dropped at no cost.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from holdfast import _kernels
from holdfast.primitives.check import BrokenInvariantError, ensure
from holdfast.primitives.crypto import sha256
from holdfast.state.proof import OtherLeaf, Proof

EMPTY_ROOT: Final = bytes(32)
DEPTH_MAX: Final = 20
_HASH_BYTES: Final = 32


class TreePlan(NamedTuple):
    """What a batch of changes makes of the tree with the root `base`."""

    base: bytes
    root: bytes
    size: int
    pages: Sequence[tuple[int, bytes]]
    buckets: Sequence[tuple[int, bytes]]


class StateTree:
    """The tree of one committed height."""

    __slots__ = ("_buckets", "_depth", "_pages", "_root", "_size")

    def __init__(self, depth: int = 14) -> None:
        """Start empty, caching the hashes of the top `depth` levels."""
        ensure(1 <= depth <= DEPTH_MAX, "a tree caches a sensible number of levels")
        self._depth = depth
        self._pages = [
            page for page_bytes, number in _kernels.tree_shape(depth) for page in [bytes(page_bytes)] * number
        ]
        self._buckets = [b""] * (1 << depth)
        self._root = EMPTY_ROOT
        self._size = 0

    @property
    def root(self) -> bytes:
        """Return the root."""
        return self._root

    def __len__(self) -> int:
        """Return how many keys have a value."""
        return self._size

    def plan(self, changes: Sequence[tuple[bytes, bytes | None]]) -> TreePlan:
        """Compute the root after some changes (None deletes), leaving the tree as it is.

        The order of the changes does not matter; each key changes at most once.
        """
        try:
            root, growth, pages, buckets = _kernels.tree_plan(
                self._pages, self._buckets, self._depth, self._root, changes
            )
        except ValueError as error:
            raise BrokenInvariantError(str(error)) from None
        return TreePlan(self._root, root, self._size + growth, pages, buckets)

    def apply(self, plan: TreePlan) -> None:
        """Make a plan of this tree its content."""
        ensure(plan.base == self._root, "a plan is applied to the tree that it was made for")
        for number, page in plan.pages:
            self._pages[number] = page
        for number, bucket in plan.buckets:
            self._buckets[number] = bucket
        self._root = plan.root
        self._size = plan.size

    def prove(self, key: bytes) -> Proof:
        """Return a proof of the key's value, or of its absence."""
        siblings, entry = _kernels.tree_walk(self._pages, self._buckets, self._depth, key)
        if entry is None or entry.startswith(sha256(key)):
            return Proof(tuple(siblings), None)
        return Proof(tuple(siblings), OtherLeaf(entry[:_HASH_BYTES], entry[_HASH_BYTES:]))
