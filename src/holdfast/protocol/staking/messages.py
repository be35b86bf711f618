"""What is recorded about validators."""

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64


class MisbehaviorRecorded(Record, tag=131):
    """A validator is proven to have equivocated."""

    validator_index: U64
    at_height: U64
