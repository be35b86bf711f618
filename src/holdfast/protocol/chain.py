"""Which chain this is, and where its clock stands."""

from typing import Final

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64, Key32
from holdfast.state.table import Table


class Chain(Record):
    """The chain's identity, which every signature is bound to."""

    chain_id: str
    genesis_hash: Key32


class Clock(Record):
    """The last block's height and time."""

    height: U64
    time_ms: U64


CHAIN: Final = Table[int, Chain]("chain", ["u64"], Chain, tag=120)
CLOCK: Final = Table[int, Clock]("clock", ["u64"], Clock, tag=121)
