"""Requests from bytes, and answers to bytes.

A body is scanned before it is parsed: its size, depth, items and digits are bounded, and a name that stands twice in
one object is refused, so that no two readers can take it for different requests.
"""

import re
import time
from typing import Final

import msgspec

from holdfast.gateway.errors import ApiCode, ApiError

BODY_BYTES_MAX: Final = 64 * 1024
DEPTH_MAX: Final = 32
NAMES_MAX: Final = 256
ITEMS_MAX: Final = 4_096
DIGITS_MAX: Final = 40
BATCH_MAX: Final = 50
ID_BYTES_MAX: Final = 128
METHOD_CHARS_MAX: Final = 64

_TOKEN: Final = re.compile(
    rb"""[ \t\r\n]*(?:
    ("[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*")[ \t\r\n]*(:)?  # a text, and whether it is a name
    |([\[\]{},])
    |(-?[0-9][0-9.eE+\-]*)
    |(true|false|null)
    )""",
    re.VERBOSE,
)
NO_ID: Final = msgspec.Raw(b"null")


class Request(msgspec.Struct):
    """A call: its id as it was given, its method, and its parameters as bytes."""

    method: str
    id: msgspec.Raw = NO_ID
    params: msgspec.Raw = msgspec.Raw(b"{}")
    jsonrpc: str = "2.0"


_REQUEST: Final = msgspec.json.Decoder(Request)
_BATCH: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ID: Final = msgspec.json.Decoder(int | str | None)
_encoder: Final = msgspec.json.Encoder()


def _parse_error(words: str, reason: str = "JSON_INVALID") -> ApiError:
    return ApiError(ApiCode.PARSE_ERROR, reason, words)


def scan(body: bytes) -> None:
    """Check a body's bounds and names. Refuses: ApiError, PARSE_ERROR."""
    if len(body) > BODY_BYTES_MAX:
        raise _parse_error(f"the request has {len(body)} bytes, at most {BODY_BYTES_MAX} are read", "TOO_LARGE")
    open_names: list[set[bytes] | None] = []
    place = items = names = 0
    end = len(body.rstrip(b" \t\r\n"))
    while place < end:
        token = _TOKEN.match(body, place)
        if token is None:
            raise _parse_error(f"the request is not JSON at byte {place}")
        place = token.end()
        items += 1
        text, colon, mark, number, _ = token.groups()
        if mark in (b"{", b"["):
            open_names.append(set() if mark == b"{" else None)
        elif mark in (b"}", b"]") and open_names:
            open_names.pop()
        elif colon:
            names += 1
            _note_name(open_names, text)
        elif number and len(number) > DIGITS_MAX:
            raise _parse_error(f"a number has more than {DIGITS_MAX} digits", "TOO_MANY_DIGITS")
        if len(open_names) > DEPTH_MAX or items > ITEMS_MAX or names > NAMES_MAX:
            raise _parse_error("the request is nested too deeply or holds too many items", "TOO_COMPLEX")


def _note_name(open_names: list[set[bytes] | None], text: bytes) -> None:
    here = open_names[-1] if open_names else None
    if here is None or b"\\" in text:
        raise _parse_error("a name in the request is out of place or escaped")
    if text in here:
        raise _parse_error("a name stands twice in one object", "NAME_TWICE")
    here.add(text)


def split_batch(body: bytes) -> list[bytes] | None:
    """Return the requests of a batch, None where the body is a single one. Refuses: ApiError."""
    scan(body)
    if body.lstrip(b" \t\r\n")[:1] != b"[":
        return None
    try:
        parts = _BATCH.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _parse_error("the request is not JSON") from None
    if not 1 <= len(parts) <= BATCH_MAX:
        words = f"a batch holds 1 to {BATCH_MAX} requests, this one {len(parts)}"
        raise ApiError(ApiCode.INVALID_REQUEST, "BATCH_SIZE", words)
    return [bytes(part) for part in parts]


def read_request(body: bytes, *, path_method: str = "") -> Request:
    """Read one scanned request; the method may stand in the path alone. Refuses: ApiError."""
    try:
        request = _REQUEST.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        request = _read_loosely(body, path_method)
    if len(request.id) > ID_BYTES_MAX or not _is_id(bytes(request.id)):
        words = "id must be a string, an integer or null, of at most 128 bytes"
        raise ApiError(ApiCode.INVALID_REQUEST, "ID_INVALID", words, param="id")
    if bytes(request.params) == b"null":
        request.params = msgspec.Raw(b"{}")
    if path_method and request.method != path_method:
        words = f"the path names {path_method}, the body {request.method[:METHOD_CHARS_MAX]!a}; let them agree"
        raise ApiError(ApiCode.INVALID_REQUEST, "METHOD_TWICE", words, param="method")
    return request


def _read_loosely(body: bytes, path_method: str) -> Request:
    """Read a body that gives parameters to the method of the path, or say what is wrong with it."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        if body.lstrip(b" \t\r\n")[:1] in (b"{", b""):
            raise _parse_error("the request is not JSON") from None
        raise ApiError(ApiCode.INVALID_REQUEST, "NOT_AN_OBJECT", "a request is a JSON object") from None
    if path_method and "method" not in fields:
        params = fields.get("params", msgspec.Raw(b"{}"))
        return Request(path_method, fields.get("id", NO_ID), params)
    words = 'a request is {"jsonrpc":"2.0","id":1,"method":"public/test","params":{}}'
    raise ApiError(ApiCode.INVALID_REQUEST, "REQUEST_INVALID", words, param="method")


def _is_id(raw: bytes) -> bool:
    try:
        _ID.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def peek_id(body: bytes) -> msgspec.Raw:
    """Return the id of a request that was refused, null where it has none that can be told."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return NO_ID
    raw = fields.get("id", NO_ID)
    return raw if len(raw) <= ID_BYTES_MAX and _is_id(bytes(raw)) else NO_ID


class Stopwatch:
    """When a request came in, in microseconds of UTC, and whether to a network for play."""

    __slots__ = ("began_us", "is_testnet")

    def __init__(self, *, is_testnet: bool = False) -> None:
        """Start."""
        self.began_us = time.time_ns() // 1_000
        self.is_testnet = is_testnet

    def stamp(self) -> dict[str, object]:
        """Return the times that an answer carries."""
        now_us = max(self.began_us, time.time_ns() // 1_000)
        return {"usIn": self.began_us, "usOut": now_us, "usDiff": now_us - self.began_us, "testnet": self.is_testnet}


def encode(value: object) -> bytes:
    """Return JSON."""
    return _encoder.encode(value)


def answer(request_id: msgspec.Raw, result: object, watch: Stopwatch, about: dict[str, object]) -> bytes:
    """Return a result in its envelope; `about` says which height it speaks of."""
    return _encoder.encode({"jsonrpc": "2.0", "id": request_id, "result": result, **about, **watch.stamp()})


def refusal(request_id: msgspec.Raw, error: ApiError, watch: Stopwatch) -> bytes:
    """Return an error in its envelope."""
    return _encoder.encode({"jsonrpc": "2.0", "id": request_id, "error": error.as_json(), **watch.stamp()})
