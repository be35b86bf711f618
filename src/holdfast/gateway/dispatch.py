"""From the bytes of a request to the bytes of its answer, over HTTP or WebSocket. Nothing that is sent raises here."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
import structlog
from msgspec import Struct

from holdfast.gateway import envelope, params
from holdfast.gateway.api import Api, Call, Caller, Method
from holdfast.gateway.envelope import Stopwatch
from holdfast.gateway.errors import ApiCode, ApiError, too_many
from holdfast.gateway.methods import METHODS

REQUESTS_MAX: Final = 8_192
LOGGED_A_SECOND_MAX: Final = 10


class Reply(NamedTuple):
    """An answer's bytes, and whether it is an error."""

    body: bytes
    is_error: bool


class Dispatcher:
    """Runs methods for everybody, a bounded number at once."""

    def __init__(self, api: Api) -> None:
        """Serve one API."""
        self._api = api
        self._running = 0
        self._logged = 0
        self._logged_s = 0.0

    def _watch(self) -> Stopwatch:
        return Stopwatch(is_testnet=self._api.dev is not None)

    async def body(self, body: bytes, caller: Caller, *, path_method: str = "") -> Reply:
        """Answer a body: one request, or a batch of them."""
        watch = self._watch()
        try:
            batch = envelope.split_batch(body)
        except ApiError as error:
            return Reply(envelope.refusal(envelope.NO_ID, error, watch), is_error=True)
        if batch is None:
            return await self._one(body, caller, path_method, watch)
        replies = await asyncio.gather(*(self._one(part, caller, path_method, self._watch()) for part in batch))
        return Reply(b"[" + b",".join(reply.body for reply in replies) + b"]", is_error=False)

    async def query(self, method: str, query: Mapping[str, str], caller: Caller) -> Reply:
        """Answer a method whose parameters stand in a query string."""
        watch = self._watch()
        try:
            found = _find(method)
            given = params.from_query(found.params, query)
        except ApiError as error:
            return self._refuse(envelope.NO_ID, method, error, watch)
        return await self._run(found, given, envelope.NO_ID, caller, watch)

    def refuse_busy(self, body: bytes, words: str) -> bytes:
        """Return the refusal of a request that is not even looked at."""
        return envelope.refusal(envelope.peek_id(body), too_many("TOO_MANY_REQUESTS", words), self._watch())

    async def _one(self, body: bytes, caller: Caller, path_method: str, watch: Stopwatch) -> Reply:
        try:
            request = envelope.read_request(body, path_method=path_method)
        except ApiError as error:
            return self._refuse(envelope.peek_id(body), "", error, watch)
        try:
            found = _find(request.method)
            given = params.from_json(found.params, request.params)
        except ApiError as error:
            return self._refuse(request.id, request.method, error, watch)
        return await self._run(found, given, request.id, caller, watch)

    async def _run(
        self, method: Method, given: Struct, request_id: msgspec.Raw, caller: Caller, watch: Stopwatch
    ) -> Reply:
        if self._running >= REQUESTS_MAX:
            error = too_many("TOO_MANY_REQUESTS", "too many requests are being answered; try again soon")
            return self._refuse(request_id, method.name, error, watch)
        self._running += 1
        try:
            answer = await method.run(Call(self._api, caller), given)
            body = envelope.answer(request_id, answer.result, watch, answer.about)
        except ApiError as error:
            return self._refuse(request_id, method.name, error, watch)
        except Exception:  # noqa: BLE001 -- whatever our mistake is, the client gets an answer and the log the rest
            # Our own mistake: it is told as such, with where to look, and never with what it looked like inside.
            structlog.get_logger("gateway").exception("method_failed", method=method.name)
            words = "this node failed to answer; its log says why"
            failure = ApiError(ApiCode.INTERNAL_ERROR, "INTERNAL_ERROR", words, retryable=True)
            return self._refuse(request_id, method.name, failure, watch)
        finally:
            self._running -= 1
        self._api.metrics.requests.labels(method.name, "ok").inc()
        return Reply(body, is_error=False)

    def _refuse(self, request_id: msgspec.Raw, method: str, error: ApiError, watch: Stopwatch) -> Reply:
        label = method if method in METHODS else "unknown"
        self._api.metrics.requests.labels(label, error.reason).inc()
        self._log(label, error)
        return Reply(envelope.refusal(request_id, error, watch), is_error=True)

    def _log(self, method: str, error: ApiError) -> None:
        """Write a refusal down, a bounded number a second: who floods the gateway shall not fill the disk."""
        now_s = time.monotonic()
        if now_s - self._logged_s > 1:
            self._logged, self._logged_s = 0, now_s
        self._logged += 1
        if self._logged <= LOGGED_A_SECOND_MAX:
            structlog.get_logger("gateway").info(
                "refused", method=method, code=int(error.code), reason=error.reason, message=error.message
            )


def _find(name: str) -> Method:
    method = METHODS.get(name)
    if method is None:
        shown = ascii(name[: envelope.METHOD_CHARS_MAX])
        words = f"there is no method {shown}; rpc.discover lists those that there are"
        raise ApiError(ApiCode.METHOD_NOT_FOUND, "METHOD_NOT_FOUND", words, param="method")
    return method
