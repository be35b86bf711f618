"""What becomes of ranges and of the weight of opposed scenarios."""

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64


class RangeAnnounced(Record, tag=170):
    """An underlying's scenario range will be another, not before a time."""

    underlying: U64
    range_ppm: U64
    from_ms: U64


class RangeChanged(Record, tag=171):
    """An underlying's scenario range is another; `is_emergency` where it is wider than was announced."""

    underlying: U64
    before_ppm: U64
    range_ppm: U64
    is_emergency: bool


class CrossWeightAnnounced(Record, tag=172):
    """Opposed scenarios will weigh another share, not before a time."""

    weight_ppm: U64
    from_ms: U64


class CrossWeightChanged(Record, tag=173):
    """Opposed scenarios weigh another share; `is_emergency` where it is more than was announced."""

    before_ppm: U64
    weight_ppm: U64
    is_emergency: bool


class ChargeScaleChanged(Record, tag=174):
    """Open interest multiplies an underlying's short and concentration charges by another factor."""

    underlying: U64
    before_ppm: U64
    scale_ppm: U64
