"""The blocks of the height in progress, by hash, and what a height came to."""

from typing import Final, NamedTuple

from holdfast.consensus import limits
from holdfast.consensus.messages import Block, decode_block, header_hash
from holdfast.node.blockstore import StoredBlock
from holdfast.node.replica_rules import fault_of_body
from holdfast.primitives.codec import encode
from holdfast.primitives.reject import Malformed

_BLOCKS_MAX: Final = limits.ROUNDS_AHEAD_MAX + limits.ROUNDS_BEHIND_MAX + 4


class KnownBlock(NamedTuple):
    """A block with its canonical bytes."""

    block: Block
    data: bytes


class Decision(NamedTuple):
    """What a height came to."""

    block: Block
    block_hash: bytes
    stored: StoredBlock


class HeightBlocks:
    """A bounded number of blocks whose hash covers all of them."""

    def __init__(self, tx_bytes_max: int) -> None:
        """Start empty, for blocks with so many bytes of transactions."""
        # Short transactions may double in size by their framing.
        overhead = limits.COMMIT_BYTES_MAX + limits.EVIDENCE_BYTES_MAX + 1024
        self._bytes_max = min(2 * tx_bytes_max + overhead, limits.BLOCK_BYTES_MAX)
        self._known: dict[bytes, KnownBlock] = {}

    def __contains__(self, block_hash: bytes) -> bool:
        return block_hash in self._known

    def __getitem__(self, block_hash: bytes) -> KnownBlock:
        return self._known[block_hash]

    def get(self, block_hash: bytes) -> KnownBlock | None:
        """Return a block that is known."""
        return self._known.get(block_hash)

    def clear(self) -> None:
        """Forget all of them."""
        self._known.clear()

    def add_own(self, block_hash: bytes, block: Block) -> None:
        """Keep a block that was made here."""
        self._known[block_hash] = KnownBlock(block, encode(block))

    def add_logged(self, data: bytes) -> None:
        """Keep a block that was signed before a crash."""
        block = decode_block(data)
        self._known[header_hash(block.header)] = KnownBlock(block, data)

    def take(self, block_hash: bytes, data: bytes) -> bool:
        """Keep a peer's block if its contents are those that the hash covers; tell whether they are."""
        if len(data) > self._bytes_max or len(self._known) >= _BLOCKS_MAX:
            return False
        try:
            block = decode_block(data)
        except Malformed:
            return False
        if header_hash(block.header) != block_hash or fault_of_body(block):
            return False
        self._known[block_hash] = KnownBlock(block, data)
        return True
