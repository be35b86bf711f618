"""What becomes of surfaces."""

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64


class SurfaceUpdated(Record, tag=155):
    """An underlying has a new surface; `is_fallback` where the median itself was not free of arbitrage."""

    underlying: U64
    expiries: U64
    included_power: U64
    is_fallback: bool
