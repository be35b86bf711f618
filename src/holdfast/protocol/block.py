"""What a handler knows of the block that it runs in."""

from typing import NamedTuple


class BlockContext(NamedTuple):
    """The header's facts, and the time of the block before (0 for the first)."""

    height: int
    time_ms: int
    previous_time_ms: int
    proposer_index: int
