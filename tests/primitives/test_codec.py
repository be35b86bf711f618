"""The codec: one encoding of each record, and a typed refusal for everything else."""

import sys
from collections.abc import Callable
from typing import Annotated

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast._kernels import scan_msgpack
from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.codec import Decoder, Record, encode
from holdfast.primitives.reject import Malformed


class Leg(Record):
    name: str
    size_lots: int


class Place(Record, tag=1):
    price_ticks: int
    flag: bool
    key: Annotated[bytes, msgspec.Meta(max_length=40)]
    legs: tuple[Leg, ...]
    limit: int | None


class Cancel(Record, tag=2):
    order_id: int
    reason: str = "asked"


DECODER: Decoder[Place | Cancel] = Decoder(Place | Cancel, max_bytes=2_000, max_depth=3, max_items=40)
INTS: Decoder[tuple[int, ...]] = Decoder(tuple[int, ...], max_bytes=2_000, max_depth=2, max_items=100)
SAMPLE = Place(10**12, flag=True, key=bytes(range(32)), legs=(Leg("BTC_USDC-PERPETUAL", -5), Leg("x", 0)), limit=None)

edges = st.sampled_from(
    [
        each + delta
        for power in (0, 5, 7, 8, 15, 16, 31, 32, 53, 63)
        for each in (2**power, -(2**power))
        for delta in (-1, 0, 1)
    ]
).filter(lambda each: -(2**63) <= each < 2**64)
integers = edges | st.integers(-(2**63), 2**64 - 1)
names = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
records = st.builds(
    Place,
    integers,
    st.booleans(),
    st.binary(max_size=40),
    st.lists(st.builds(Leg, names, integers), max_size=5).map(tuple),
    st.none() | integers,
) | st.builds(Cancel, integers, names)


def is_refused(data: bytes) -> bool:
    try:
        DECODER.decode(data)
    except Malformed:
        return True
    return False


@given(records)
def test_decode__what_encode_wrote__returns_the_record(record: Place | Cancel) -> None:
    assert DECODER.decode(encode(record)) == record


@given(records, st.binary(min_size=1, max_size=5))
def test_decode__bytes_appended__refuses(record: Place | Cancel, extra: bytes) -> None:
    assert is_refused(encode(record) + extra)


def test_decode__every_truncation__refuses() -> None:
    data = encode(SAMPLE)
    assert all(is_refused(data[:size]) for size in range(len(data)))


def test_decode__every_byte_replaced__refuses_or_round_trips() -> None:
    data = encode(SAMPLE)
    accepted = 0
    for position in range(len(data)):
        for byte in range(256):
            changed = data[:position] + bytes([byte]) + data[position + 1 :]
            if not is_refused(changed):
                assert encode(DECODER.decode(changed)) == changed
                accepted += 1
    assert accepted > len(data)


@given(st.binary(max_size=60))
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xdb\xff\xff\xff\xff")
@example(b"\xc6\xff\xff\xff\xff")
def test_decode__arbitrary_bytes__refuse_or_round_trip(data: bytes) -> None:
    if not is_refused(data):
        assert encode(DECODER.decode(data)) == data


@given(integers)
def test_integer__longer_form__refuses(value: int) -> None:
    canonical = encode(value)
    assert scan_msgpack(canonical, 1, 1) is None
    for header, width, signed in [
        (0xCC, 1, False),
        (0xCD, 2, False),
        (0xCE, 4, False),
        (0xCF, 8, False),
        (0xD0, 1, True),
        (0xD1, 2, True),
        (0xD2, 4, True),
        (0xD3, 8, True),
    ]:
        try:
            other = bytes([header]) + value.to_bytes(width, "big", signed=signed)
        except OverflowError:
            continue
        assert (scan_msgpack(other, 1, 1) is None) == (other == canonical)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536])
@pytest.mark.parametrize(
    ("content", "forms"),
    [
        (b"\xc4", [(0xC4, 1), (0xC5, 2), (0xC6, 4)]),
        (b"\xd9", [(0xA0, 0), (0xD9, 1), (0xDA, 2), (0xDB, 4)]),
        (b"\x90", [(0x90, 0), (0xDC, 2), (0xDD, 4)]),
    ],
    ids=["bytes", "text", "array"],
)
def test_length__each_header__only_the_shortest_passes(content: bytes, forms: list[tuple[int, int]], size: int) -> None:
    value: object = {b"\xc4": b"a" * size, b"\xd9": "a" * size, b"\x90": [1] * size}[content]
    canonical = encode(value)
    body = b"\x01" * size if content == b"\x90" else b"a" * size
    passed = 0
    for header, width in forms:
        if width == 0:
            if size >= (32 if header == 0xA0 else 16):
                continue
            other = bytes([header | size]) + body
        elif size < 256**width:
            other = bytes([header]) + size.to_bytes(width, "big") + body
        else:
            continue
        accepted = scan_msgpack(other, 1, 100_000) is None
        assert accepted == (other == canonical)
        passed += accepted
    assert passed == 1


@pytest.mark.parametrize(
    "value",
    [1.5, float("nan"), {"a": 1}, {}, msgspec.msgpack.Ext(1, b"x"), [1, {}], "é", "\x00", "\r\n", "\x1b[2J", "\x7f"],
    ids=lambda value: type(value).__name__,
)
def test_decode__kind_that_no_message_holds__refuses(value: object) -> None:
    data = msgspec.msgpack.encode(value)
    assert scan_msgpack(data, 8, 100) is not None
    with pytest.raises(Malformed):
        Decoder(object, max_bytes=100).decode(data)


def test_decode__reserved_byte__refuses() -> None:
    assert is_refused(b"\xc1")
    assert is_refused(b"")


@pytest.mark.parametrize(
    "value",
    [
        [1, 10, True, b"", []],
        [1, 10, True, b"", [], None, 7],
        [1, 10, 1, b"", [], None],
        [1, True, True, b"", [], None],
        [1, "10", True, b"", [], None],
        [1, 10, True, "", [], None],
        [1, 10, True, bytes(41), [], None],
        [1, 10, True, b"", [[b"name", 1]], None],
        [1, None, True, b"", [], None],
        [3, 10],
        ["1", 10],
        [2, 10],
        [],
        7,
        None,
    ],
    ids=lambda value: type(value).__name__,
)
def test_decode__wrong_shape__refuses(value: object) -> None:
    assert is_refused(encode(value))


def test_decode__size_at_its_bound__is_exact() -> None:
    decoder = Decoder(bytes, max_bytes=100)
    assert decoder.decode(encode(bytes(98))) == bytes(98)
    with pytest.raises(Malformed, match="101 bytes"):
        decoder.decode(encode(bytes(99)))


def test_decode__depth_at_its_bound__is_exact() -> None:
    def nested(levels: int) -> bytes:
        return b"\x91" * levels + b"\x01"

    for depth_max in (0, 1, 16, 64):
        assert scan_msgpack(nested(depth_max), depth_max, 1_000) is None
        assert scan_msgpack(nested(depth_max + 1), depth_max, 1_000) == 5
    assert scan_msgpack(nested(65), 1_000_000, 1_000) == 5
    assert scan_msgpack(b"\x91" * 65 + b"\x90", 1_000_000, 1_000) == 5


def test_decode__items_at_their_bound__are_exact() -> None:
    assert INTS.decode(encode([1] * 99)) == (1,) * 99
    with pytest.raises(Malformed, match="too many"):
        INTS.decode(encode([1] * 100))
    assert scan_msgpack(b"\xdd\xff\xff\xff\xff" + bytes(50), 4, 60) == 6
    assert scan_msgpack(b"\x01", 1, 0) == 6
    assert scan_msgpack(encode([[], [], [[]]]), 3, 5) is None
    assert scan_msgpack(encode([[], [], [[]]]), 3, 4) == 6


def call_at_depth(frames: int, action: Callable[[], bool]) -> bool:
    return action() if frames == 0 else call_at_depth(frames - 1, action)


@pytest.mark.parametrize("frames", [0, 300, 600, 850])
def test_decode__any_stack_depth__gives_the_same_verdict(frames: int) -> None:
    assert sys.getrecursionlimit() == 1_000
    deep = Decoder(object, max_bytes=1_000)
    good, bad = b"\x91" * 16 + b"\x01", b"\x91" * 900 + b"\x01"

    def accepts(data: bytes) -> bool:
        try:
            deep.decode(data)
        except Malformed:
            return False
        return True

    assert call_at_depth(frames, lambda: accepts(good))
    assert not call_at_depth(frames, lambda: accepts(bad))


@pytest.mark.parametrize("text", ["\x1b[2J", "\r\nFAKE LOG", "\u202e", "A" * 1_500, "%s%n"])
def test_malformed__hostile_text__is_short_and_printable(text: str) -> None:
    class Named(Record, tag="only"):
        value: int

    for value in ([text, 1], ["only", text], text):
        with pytest.raises(Malformed) as caught:
            Decoder(Named, max_bytes=2_000).decode(msgspec.msgpack.encode(value))
        message = str(caught.value)
        assert len(message) < 400
        assert message.isascii()
        assert message.isprintable()


def test_encode__integer_beyond_64_bits__halts() -> None:
    for value in (2**64, -(2**63) - 1, 10**30):
        with pytest.raises(BrokenInvariantError):
            encode(value)
    assert INTS.decode(encode([2**64 - 1, -(2**63)])) == (2**64 - 1, -(2**63))


def test_record__written_to__refuses() -> None:
    with pytest.raises(AttributeError):
        SAMPLE.flag = False  # type: ignore[misc]
