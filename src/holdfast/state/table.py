"""A keyed table: how its keys and values become bytes. Tables iterate by key, never by insertion."""

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Final, Generic, Literal, Protocol, TypeVar, cast

from holdfast.primitives import codec
from holdfast.primitives.check import ensure
from holdfast.primitives.reject import Malformed


class Ordered(Protocol):
    """What a key must be able to do: stand before another of its table."""

    def __lt__(self, other: Any, /) -> bool:  # noqa: ANN401 -- only its own kind is ever compared
        """Return whether this key comes first."""


K = TypeVar("K", bound=Ordered)
V = TypeVar("V")

Part = Literal["u64", "b32"]

VALUE_BYTES_MAX: Final = 64 * 1024
_WIDTH: Final = {"u64": 8, "b32": 32}
_FORM: Final = {"u64": "Q", "b32": "32s"}


class Table(Generic[K, V]):
    """The declaration of one table.

    `tag` is the first byte of every key in the state root; a derived table has none, is not in the root, and is
    rebuilt from the primary ones. Keys are non-negative integers below 2**64, 32-byte strings, or tuples of these, so
    that Python's order of keys is the order of their bytes. Values are immutable; None means absent.
    """

    __slots__ = (
        "_decoder",
        "_key_form",
        "decode_key",
        "encode_key",
        "encode_value",
        "key_bytes",
        "name",
        "parts",
        "raw",
        "tag",
    )

    def __init__(self, name: str, parts: Sequence[Part], value: type[V], *, tag: int | None, raw: bool = False) -> None:
        """Declare a table; `raw` values are bytes that stand for themselves."""
        self.name = name
        self.tag = tag
        self.parts: tuple[Part, ...] = tuple(parts)
        self.raw = raw
        self.key_bytes = 1 + sum(_WIDTH[part] for part in self.parts)
        self.encode_key: Callable[[K], bytes] = _key_encoder(tag or 0, self.parts)
        self.decode_key: Callable[[bytes], K] = _key_decoder(self.parts)
        self.encode_value: Callable[[V], bytes] = cast("Callable[[V], bytes]", bytes) if raw else codec.encode
        self._key_form = Struct(">x" + "".join(_FORM[part] for part in self.parts))
        self._decoder = None if raw or tag is None else codec.Decoder(value, max_bytes=VALUE_BYTES_MAX)

    def decode_value(self, data: bytes) -> V:
        """Return the value behind its canonical bytes.

        Refuses: Malformed, for bytes that would not encode to themselves.
        """
        if self._decoder is None:
            ensure(self.raw, "only tables in the root are decoded")
            return cast("V", data)
        return self._decoder.decode(data)

    def decode_keys(self, keys: Sequence[bytes]) -> list[K]:
        """Return many keys behind their bytes.

        Refuses: Malformed, for a key of another length.
        """
        if set(map(len, keys)) - {self.key_bytes}:
            message = f"a key of the table {self.name} has another length"
            raise Malformed(message)
        pieces = self._key_form.iter_unpack(b"".join(keys))
        return cast("list[K]", [piece for (piece,) in pieces] if len(self.parts) == 1 else list(pieces))

    def decode_values(self, values: Sequence[bytes]) -> list[V]:
        """Return many values behind their canonical bytes.

        Refuses: Malformed, for bytes that would not encode to themselves.
        """
        if self._decoder is None:
            ensure(self.raw, "only tables in the root are decoded")
            return cast("list[V]", list(values))
        return self._decoder.decode_many(values)

    def __repr__(self) -> str:
        """Return the table's name."""
        return f"<table {self.name}>"


def _key_encoder(tag: int, parts: tuple[Part, ...]) -> Callable[[Any], bytes]:
    prefix = bytes([tag])
    if parts == ("u64",):
        return lambda key: prefix + key.to_bytes(8, "big")
    if parts == ("u64", "u64"):
        return lambda key: prefix + (key[0] << 64 | key[1]).to_bytes(16, "big")
    if parts == ("b32",):
        return lambda key: prefix + key
    if parts == ("u64", "b32"):
        return lambda key: prefix + key[0].to_bytes(8, "big") + key[1]

    def encode_parts(key: tuple[int | bytes, ...]) -> bytes:
        pieces = [prefix]
        for part, piece in zip(parts, key, strict=True):
            pieces.append(piece.to_bytes(8, "big") if isinstance(piece, int) else piece)
            ensure(len(pieces[-1]) == _WIDTH[part], "each part of a key has its width")
        return b"".join(pieces)

    return encode_parts


def _key_decoder(parts: tuple[Part, ...]) -> Callable[[bytes], Any]:
    def decode_parts(data: bytes) -> object:
        pieces: list[int | bytes] = []
        start = 1
        for part in parts:
            piece = data[start : start + _WIDTH[part]]
            pieces.append(int.from_bytes(piece, "big") if part == "u64" else piece)
            start += _WIDTH[part]
        ensure(start == len(data), "a key has exactly its parts")
        return pieces[0] if len(pieces) == 1 else tuple(pieces)

    return decode_parts


AnyTable = Table[Any, Any]
