"""What becomes of instruments."""

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64, Name


class InstrumentListed(Record, tag=160):
    """An instrument can be traded from now on."""

    instrument_id: U64
    name: Name


class InstrumentRetired(Record, tag=161):
    """A settled instrument is no more."""

    instrument_id: U64


class InstrumentHalted(Record, tag=162):
    """An instrument cannot be traded until it is resumed: its risk would pass the ceiling of the risk array."""

    instrument_id: U64


class InstrumentResumed(Record, tag=163):
    """A halted instrument can be traded again."""

    instrument_id: U64
