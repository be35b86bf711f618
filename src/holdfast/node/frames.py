"""Frames: how every durable record is written, so that whatever a disk makes of it is noticed.

    length     4 bytes
    check      4 bytes, of the length, so that a wrong length is never followed
    check      8 bytes, of the payload
    payload

A write that a crash cut short ends inside a frame, or in the zeros of a file that had grown already: it was never
acknowledged, and is left out. Anything else that does not check is damage.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from holdfast.primitives.crypto import sha256

_LENGTH_BYTES: Final = 4
_LENGTH_CHECK_BYTES: Final = 4
_PAYLOAD_CHECK_BYTES: Final = 8
_PAYLOAD_CHECK_AT: Final = _LENGTH_BYTES + _LENGTH_CHECK_BYTES
_DIGITS: Final = 16
HEADER_BYTES: Final = _PAYLOAD_CHECK_AT + _PAYLOAD_CHECK_BYTES


class DamagedFileError(Exception):
    """Durable bytes do not check: the file is named, and nothing is guessed."""


class Frames(NamedTuple):
    """The payloads at the start of a file, and how many of its bytes they take."""

    payloads: tuple[bytes, ...]
    sound_bytes: int


def numbered(prefix: str, number: int) -> str:
    """Return the name of one file of a row of them, so that names sort as their numbers do."""
    return f"{prefix}{number:0{_DIGITS}d}"


def numbers_of(names: Iterable[str], prefix: str) -> list[int]:
    """Return the numbers of the files of a row, in order; what else a person has left there is passed over."""
    ends = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
    return sorted(int(end) for end in ends if len(end) == _DIGITS and end.isdigit())


def frame(payload: bytes) -> bytes:
    """Return a payload with its header."""
    length = len(payload).to_bytes(_LENGTH_BYTES, "big")
    return length + sha256(length)[:_LENGTH_CHECK_BYTES] + sha256(payload)[:_PAYLOAD_CHECK_BYTES] + payload


def frame_bytes(header: bytes) -> int | None:
    """Return how long the frame behind a header is, None where the header does not check."""
    length = header[:_LENGTH_BYTES]
    if len(header) < HEADER_BYTES or sha256(length)[:_LENGTH_CHECK_BYTES] != header[_LENGTH_BYTES:_PAYLOAD_CHECK_AT]:
        return None
    return HEADER_BYTES + int.from_bytes(length, "big")


def open_frame(data: bytes) -> bytes | None:
    """Return the payload of exactly one frame, None where it does not check."""
    payload = data[HEADER_BYTES:]
    if frame_bytes(data[:HEADER_BYTES]) != len(data):
        return None
    return payload if sha256(payload)[:_PAYLOAD_CHECK_BYTES] == data[_PAYLOAD_CHECK_AT:HEADER_BYTES] else None


def read_prefix(data: bytes) -> Frames:
    """Return the frames before the first that is torn or damaged."""
    payloads: list[bytes] = []
    offset = 0
    while True:
        size = frame_bytes(data[offset : offset + HEADER_BYTES])
        payload = None if size is None else open_frame(data[offset : offset + size])
        if size is None or payload is None:
            return Frames(tuple(payloads), offset)
        payloads.append(payload)
        offset += size


def read_frames(name: str, data: bytes) -> Frames:
    """Split a file into payloads, leaving out a last frame that a crash cut short.

    Refuses: DamagedFileError, for whole bytes that do not check.
    """
    found = read_prefix(data)
    rest = data[found.sound_bytes :]
    if len(rest) < HEADER_BYTES or not any(rest):
        return found
    size = frame_bytes(rest[:HEADER_BYTES])
    if size is None or size <= len(rest):
        part = "header" if size is None else "payload"
        raise DamagedFileError(f"{name}: the frame at byte {found.sound_bytes} has a damaged {part}")
    return found


def read_record(name: str, data: bytes) -> bytes | None:
    """Return the payload of a file that holds exactly one frame, None where there is no file.

    Refuses: DamagedFileError, where it does not check.
    """
    if not data:
        return None
    payload = open_frame(data)
    if payload is None:
        raise DamagedFileError(f"{name}: the record does not check")
    return payload
