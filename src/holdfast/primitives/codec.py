"""Canonical bytes: the one encoding of a record, and a decoder that refuses every other.

The encoding is msgpack with records as arrays, without maps, floats or extensions. A message is measured, then scanned
for canonical headers within bounds of depth and width, then decoded, then encoded again and compared: two different
byte strings never mean the same record. The verdict does not depend on the caller's depth of stack.
"""

from collections.abc import Callable, Sequence
from types import GenericAlias
from typing import Final, Generic, TypeVar, dataclass_transform, overload

import msgspec

from holdfast._kernels import scan_msgpack
from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.reject import Malformed

T = TypeVar("T")

DEPTH_MAX: Final = 16
ITEMS_MAX: Final = 16_384
_EXPLANATION_CHARS_MAX: Final = 160

# The numbers are those of the scan's faults.
_FAULTS: Final = {
    1: "the message ends early",
    2: "bytes follow the message",
    3: "a number or a length is not in its shortest form",
    4: "a kind of value that no message holds",
    5: "the message is nested too deeply",
    6: "the message holds too many items",
    7: "a text is not printable ASCII",
}


# The decorator speaks to type checkers only: a subclass is frozen without saying so again.
@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An immutable record that encodes as the array of its fields."""


_encoder: Final = msgspec.msgpack.Encoder()


def encode(value: object) -> bytes:
    """Return the canonical bytes of a record, or of a tuple or list of records and plain values."""
    try:
        return _encoder.encode(value)
    except OverflowError:
        message = "every integer of a record fits 64 bits"
        raise BrokenInvariantError(message) from None


class Decoder(Generic[T]):
    """Decodes one type from its canonical bytes."""

    __slots__ = ("_bytes_max", "_decode", "_decode_list", "_depth_max", "_items_max", "_type")

    @overload
    def __init__(
        self, type_: type[T], *, max_bytes: int, max_depth: int = DEPTH_MAX, max_items: int = ITEMS_MAX
    ) -> None: ...

    @overload
    def __init__(
        self, type_: object, *, max_bytes: int, max_depth: int = DEPTH_MAX, max_items: int = ITEMS_MAX
    ) -> None: ...

    def __init__(
        self, type_: object, *, max_bytes: int, max_depth: int = DEPTH_MAX, max_items: int = ITEMS_MAX
    ) -> None:
        """Prepare for one type and its bounds: bytes, levels of nested arrays, and items in all."""
        self._type = type_
        self._decode = msgspec.msgpack.Decoder(type_).decode
        self._decode_list: Callable[[bytes], list[T]] | None = None
        self._bytes_max = max_bytes
        self._depth_max = max_depth
        self._items_max = max_items

    def decode(self, data: bytes) -> T:
        """Return the value whose canonical encoding `data` is.

        Refuses: Malformed, for anything that `encode` would not have written.
        """
        if len(data) > self._bytes_max:
            message = f"{len(data)} bytes, where at most {self._bytes_max} are read"
            raise Malformed(message)
        fault = scan_msgpack(data, self._depth_max, self._items_max)
        if fault is not None:
            raise Malformed(_FAULTS[fault])
        try:
            value: T = self._decode(data)
        # A RecursionError or MemoryError is a fault of this replica and passes through: it halts, it refuses nothing.
        except msgspec.DecodeError as error:
            raise Malformed(_explain(error)) from None
        if _encoder.encode(value) != data:
            message = "not the canonical encoding of its value"
            raise Malformed(message)
        return value

    def decode_many(self, encoded: Sequence[bytes]) -> list[T]:
        """Return the values of many encodings, at the price of few calls.

        Refuses: Malformed, where `decode` would refuse one of them.
        """
        if not encoded:
            return []
        if max(map(len, encoded)) > min(self._bytes_max, self._items_max):
            # Only what is that long can pass a bound of one value.
            return [self.decode(data) for data in encoded]
        data = _array_header(len(encoded)) + b"".join(encoded)
        fault = scan_msgpack(data, self._depth_max + 1, len(data))
        if fault is not None:
            raise Malformed(_FAULTS[fault])
        if self._decode_list is None:
            self._decode_list = msgspec.msgpack.Decoder(GenericAlias(list, (self._type,))).decode
        try:
            values = self._decode_list(data)
        except msgspec.DecodeError as error:
            raise Malformed(_explain(error)) from None
        if list(map(_encoder.encode, values)) != list(encoded):
            message = "not the canonical encodings of their values"
            raise Malformed(message)
        return values


def _array_header(length: int) -> bytes:
    if length < 2**4:
        return bytes([0x90 | length])
    return b"\xdc" + length.to_bytes(2, "big") if length < 2**16 else b"\xdd" + length.to_bytes(4, "big")


def _explain(error: Exception) -> str:
    return ascii(str(error)[:_EXPLANATION_CHARS_MAX])[1:-1]
