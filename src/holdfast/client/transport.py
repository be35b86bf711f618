"""JSON-RPC over HTTP: one request, one typed answer, or one of `errors`."""

import asyncio
import os
from collections.abc import Mapping
from typing import Final, Generic, NamedTuple, Self, TypeVar

import aiohttp
import msgspec

from holdfast.client.errors import ExchangeError, InputError, Stalled, Unreachable

T = TypeVar("T")

PATH: Final = "/api/v2"
SOCKET_PATH: Final = "/ws/api/v2"
_CONNECT_SECONDS: Final = 5.0
_RETRY: Final = 10040  # Deribit's `retry`: the exchange lives, its chain does not advance

_encoder: Final = msgspec.json.Encoder(decimal_format="number")


class ErrorData(msgspec.Struct, frozen=True):
    """What an error says beyond Deribit's number."""

    reason: str = ""
    param: str = ""
    retryable: bool = False


class ErrorBody(msgspec.Struct, frozen=True):
    """A JSON-RPC error."""

    code: int
    message: str
    data: ErrorData = ErrorData()


class Envelope(msgspec.Struct, frozen=True):
    """A JSON-RPC answer, with the committed height that it speaks of."""

    result: msgspec.Raw = msgspec.Raw(b"")
    error: ErrorBody | None = None
    height: int = 0
    app_hash: str = ""
    id: int | str | None = None


class Answer(NamedTuple, Generic[T]):
    """A result, and the committed state that it was read from."""

    result: T
    height: int
    app_hash: str


def encode_request(identity: int, method: str, params: Mapping[str, object]) -> bytes:
    """Return a request's bytes; what is None is left out. Refuses: InputError."""
    given = {name: value for name, value in params.items() if value is not None}
    try:
        return _encoder.encode({"jsonrpc": "2.0", "id": identity, "method": method, "params": given})
    except UnicodeEncodeError as error:
        raise InputError(f"{error.object!r} is no text in UTF-8; write it without broken characters") from None


def raise_error(error: ErrorBody) -> None:
    """Raise what an error body means."""
    if error.code == _RETRY:
        raise Stalled(f"the chain does not advance: {error.message}; see: holdfast query status")
    name = error.data.reason
    raise ExchangeError(error.code, name, error.message, retryable=error.data.retryable, param=error.data.param)


def decode_result(raw: msgspec.Raw, type_: type[T], url: str, method: str) -> T:
    """Return a result as its type. Refuses: InputError where what answers is not an exchange of this version."""
    try:
        return msgspec.json.decode(raw, type=type_)
    except msgspec.DecodeError as error:
        message = f"{url} answered {method} with something else than this program reads ({error}); use its own version"
        raise InputError(message) from None


class Transport:
    """One node's address and the connections to it."""

    def __init__(self, url: str) -> None:
        """Take an address such as http://127.0.0.1:8080. Refuses: InputError."""
        self.url = check_url(url)
        self._session: aiohttp.ClientSession | None = None
        self._identity = 0

    async def __aenter__(self) -> Self:
        """Return the transport; connections are made when they are needed."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    def session(self) -> aiohttp.ClientSession:
        """Return the connections, for this event loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=256), timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS)
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(
        self, method: str, params: Mapping[str, object], type_: type[T], *, timeout_s: float = 10.0
    ) -> Answer[T]:
        """Ask one thing. Refuses: Unreachable, Stalled, ExchangeError, InputError."""
        self._identity += 1
        body = encode_request(self._identity, method, params)
        envelope = self._read_envelope(await self._post(body, timeout_s))
        if envelope.error is not None:
            raise_error(envelope.error)
        result = decode_result(envelope.result, type_, self.url, method)
        return Answer(result, envelope.height, envelope.app_hash)

    async def _post(self, body: bytes, timeout_s: float) -> bytes:
        headers = {"Content-Type": "application/json"}
        try:
            async with asyncio.timeout(timeout_s):
                async with self.session().post(self.url + PATH, data=body, headers=headers) as response:
                    return await response.read()
        except TimeoutError:
            raise Unreachable(f"{self.url} gave no answer within {timeout_s:.0f} s; look at its log") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(explain_unreachable(self.url, error)) from None

    def _read_envelope(self, data: bytes) -> Envelope:
        try:
            return msgspec.json.decode(data, type=Envelope)
        except msgspec.DecodeError:
            message = f"what answers at {self.url} is not an exchange's API; name its address with --url"
            raise Unreachable(message) from None


def explain_unreachable(url: str, error: Exception) -> str:
    """Return one line for a connection that could not be made or was lost."""
    if isinstance(error, aiohttp.ClientSSLError):
        return f"no node answers at {url} (it speaks no TLS); write the address with http://"
    reason = getattr(error, "os_error", error)
    number = getattr(reason, "errno", None)
    words = os.strerror(number).lower() if number else str(reason) or type(reason).__name__
    return f"no node answers at {url} ({words}); start one with `holdfast up`, or name another with --url"


def check_url(url: str) -> str:
    """Return an address without its trailing slash. Refuses: InputError."""
    if not url.startswith(("http://", "https://")) or len(url.split("://", 1)[1]) == 0:
        raise InputError(f"--url {url!r} is not an address; write it like http://127.0.0.1:8080")
    return url.rstrip("/").removesuffix(PATH)
