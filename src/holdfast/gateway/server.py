"""The server: HTTP and WebSocket on one port, with limits on all that a stranger can send.

GET  /api/v2/{method}?name=value     one request, its parameters in the query
POST /api/v2[/{method}]              one request, or a batch
WS   /ws/api/v2                      requests, and channels
GET  /metrics /health /ready /
"""

import asyncio
import errno
import resource
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from aiohttp import WSCloseCode, web
from aiohttp.http_exceptions import HttpProcessingError

from holdfast.gateway import envelope
from holdfast.gateway.api import Api, Caller
from holdfast.gateway.backend import Backend, DevControls
from holdfast.gateway.connection import Connection
from holdfast.gateway.dispatch import Dispatcher, Reply
from holdfast.gateway.envelope import BODY_BYTES_MAX, Stopwatch
from holdfast.gateway.errors import ApiCode, ApiError, ServeError
from holdfast.gateway.follow import Follower
from holdfast.gateway.health import show_health, show_ready
from holdfast.gateway.history import History, Written
from holdfast.gateway.instruments import Instruments
from holdfast.gateway.metrics import CONTENT_TYPE, Metrics
from holdfast.gateway.sealed import IndexDamagedError
from holdfast.gateway.stats import Stats
from holdfast.gateway.submit import Submitter
from holdfast.gateway.subscriptions import Hub
from holdfast.primitives.units import DAY_MS

CONNECTIONS_MAX: Final = 4_096
SOCKETS_MAX: Final = 2_048
# Accepted before the first of them is counted, and waiting to be accepted.
ACCEPTED_AT_ONCE: Final = 32
WAITING_MAX: Final = 1_024
# Also the time that a new connection has for its first request's headers.
IDLE_S: Final = 30.0
BODY_S: Final = 10.0
LINE_BYTES_MAX: Final = 8_190
_STOP_S: Final = 1.0

_CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "86400",
}
_PAGE: Final = """<!doctype html><meta charset=utf-8><title>Holdfast</title><h1>Holdfast</h1>
<p>JSON-RPC: <code>POST /api/v2</code> or <code>GET /api/v2/public/status</code>; WebSocket: <code>/ws/api/v2</code>.
<p><a href=/api/v2/rpc.discover>methods</a> <a href=/metrics>metrics</a> <a href=/health>health</a>
<a href=/ready>ready</a>
"""

Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Gateway:
    """A running gateway."""

    def __init__(self, api: Api, hub: Hub) -> None:
        """Lay out the routes; `listen` opens the port."""
        self._api = api
        self._hub = hub
        self.dispatcher = Dispatcher(api)
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_guard])
        app.on_response_prepare.append(_stamp)
        app.add_routes(
            [
                web.get("/", self._show_page),
                web.get("/metrics", self._show_metrics),
                web.get("/health", self._show_health),
                web.get("/ready", self._show_ready),
                web.get("/ws/api/v2", self._serve_socket),
                web.get("/api/v2/{method:.+}", self._answer_query),
                web.post("/api/v2", self._answer_body),
                web.post("/api/v2/", self._answer_body),
                web.post("/api/v2/{method:.+}", self._answer_body),
            ]
        )
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=IDLE_S,
            max_line_size=LINE_BYTES_MAX,
            max_field_size=LINE_BYTES_MAX,
            auto_decompress=False,
            lingering_time=_STOP_S,
            shutdown_timeout=_STOP_S,
        )
        self.port = 0

    @property
    def metrics(self) -> Metrics:
        """Return the figures."""
        return self._api.metrics

    @property
    def history(self) -> History:
        """Return the index."""
        return self._api.history

    @property
    def height(self) -> int:
        """Return the last block that the index holds and that has been told of."""
        return self._api.height

    async def listen(self, host: str, port: int) -> None:
        """Open the port; 0 takes a free one. Refuses: ServeError."""
        await self._runner.setup()
        accept = self._runner.server
        if accept is None:
            raise ServeError("the server did not come up")

        most = _count_connections_max()

        def take() -> asyncio.Protocol:
            return accept() if len(accept.connections) < most else _Full()

        try:
            self._server = await asyncio.get_running_loop().create_server(take, host, port, backlog=ACCEPTED_AT_ONCE)
        except OSError as error:
            await self._runner.cleanup()
            raise ServeError(_explain(host, port, error)) from None
        for listening in self._server.sockets:
            # So many may wait in the kernel; a file is open for those alone that were accepted.
            with listening.dup() as same:
                same.listen(WAITING_MAX)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Take no more requests, let those in progress end shortly, close all connections and the index."""
        if self._server is not None:
            self._server.close()
        await self._hub.close()
        closing = [one.close(WSCloseCode.GOING_AWAY, "the gateway stops") for one in list(self._connections)]
        await asyncio.gather(*closing, return_exceptions=True)
        await self._runner.cleanup()
        await asyncio.to_thread(self._api.follower.close)
        self._api.history.close()

    # Pages

    async def _show_page(self, _request: web.Request) -> web.Response:
        return web.Response(text=_PAGE, content_type="text/html")

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        self._api.metrics.waiting.set(self._api.submitter.waiting)
        return web.Response(body=self._api.metrics.show(), headers={"Content-Type": CONTENT_TYPE})

    async def _show_health(self, _request: web.Request) -> web.Response:
        return _json(envelope.encode(show_health()))

    async def _show_ready(self, _request: web.Request) -> web.Response:
        api = self._api
        is_ready, shown = show_ready(api.backend, api.follower, api.metrics)
        return _json(envelope.encode(shown), status=200 if is_ready else 503)

    # The API

    async def _answer_query(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        query = request.query
        for name in query:
            if len(query.getall(name)) > 1:
                words = f"{ascii(name)[:64]} is given more than once"
                return _reply(_refusal(ApiCode.INVALID_PARAMS, "NAME_TWICE", words))
        return _reply(await self.dispatcher.query(method, query, _caller(request)))

    async def _answer_body(self, request: web.Request) -> web.Response:
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            words = "compressed requests are not taken; send the JSON as it is"
            return _reply(_refusal(ApiCode.PARSE_ERROR, "COMPRESSED", words), status=415)
        try:
            async with asyncio.timeout(BODY_S):
                body = await request.read()
        except TimeoutError:
            words = f"the body did not arrive within {BODY_S:.0f} s"
            return _reply(_refusal(ApiCode.INVALID_REQUEST, "BODY_SLOW", words), status=408)
        method = request.match_info.get("method", "")
        return _reply(await self.dispatcher.body(body, _caller(request), path_method=method))

    async def _serve_socket(self, request: web.Request) -> web.StreamResponse:
        if len(self._connections) >= SOCKETS_MAX:
            words = f"{SOCKETS_MAX} WebSockets are open already; close one, or try again later"
            return _reply(_refusal(ApiCode.TOO_MANY_REQUESTS, "TOO_MANY_SOCKETS", words, retryable=True), status=503)
        socket = web.WebSocketResponse(heartbeat=IDLE_S, max_msg_size=BODY_BYTES_MAX, compress=False)
        if not socket.can_prepare(request):
            words = "this address speaks WebSocket alone; JSON-RPC over HTTP is at /api/v2"
            return _reply(_refusal(ApiCode.INVALID_REQUEST, "WEBSOCKET_NEEDED", words))
        await socket.prepare(request)
        transport = request.transport

        def abort() -> None:
            if transport is not None:
                transport.abort()

        is_foreign = _is_foreign(request)
        connection = Connection(socket, abort, self._hub, self._api.metrics, is_foreign_page=is_foreign)
        self._connections.add(connection)
        try:
            await connection.run(self._answer_frame, self.dispatcher.refuse_busy)
        finally:
            self._connections.discard(connection)
        return socket

    async def _answer_frame(self, body: bytes, caller: Caller) -> bytes:
        return (await self.dispatcher.body(body, caller)).body


def _count_connections_max() -> int:
    """Return how many connections may be open: never more than half of the files, since the validators need theirs."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS_MAX if files == resource.RLIM_INFINITY else min(CONNECTIONS_MAX, files // 2)


class _Full(asyncio.Protocol):
    """Ends a connection that there is no room for."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close at once."""
        transport.close()


async def serve(
    backend: Backend,
    host: str,
    port: int,
    *,
    dev: DevControls | None = None,
    index: Path | None = None,
    data: Path | None = None,
    persistence: str = "in-memory, lost on exit",
    genesis: bytes | None = None,
) -> Gateway:
    """Serve an exchange; return the running gateway. `index` is the file of the history, in memory without one.

    Refuses: ServeError, for a port or a file that cannot be had.
    """
    history = _open_history(index, backend)
    instruments, stats, metrics = Instruments(), Stats(), Metrics(backend)
    metrics.folder = data

    def deliver(written: Sequence[Written]) -> None:
        for one in written:
            rows = one.rows
            instruments.note(rows.instruments.values())
            stats.note(rows.trades)
            for row in rows.instruments.values():
                if row.retired_height:
                    stats.forget(row.instrument_id)
            submitter.written(one)
            metrics.written(one)
            hub.written(one)
            api.height = rows.commit.height

    def caught_up() -> None:
        if not follower.is_caught_up:
            return
        try:
            if not api.height:
                # Nothing has been delivered yet, and what comes from now on will be.
                hub.caught_up()
                api.height = follower.began_at
                metrics.height.set(api.height)
            if follower.is_whole and not stats.is_begun:
                instruments.note(history.list_instruments())
                trades = history.list_trades_since(backend.now_ms() - DAY_MS)
                stats.begin(trade for trade in trades if trade.height <= api.height)
        except IndexDamagedError:
            # It is built again, and this is called again.
            return
        submitter.caught_up()

    follower = Follower(backend, history, deliver, caught_up)
    submitter = Submitter(backend, history, follower, instruments, metrics)
    api = Api(
        backend=backend,
        history=history,
        follower=follower,
        instruments=instruments,
        stats=stats,
        submitter=submitter,
        metrics=metrics,
        dev=dev,
        persistence=persistence,
        genesis=genesis,
    )
    hub = Hub(api)
    gateway = Gateway(api, hub)
    try:
        await gateway.listen(host, port)
    except ServeError:
        history.close()
        raise
    follower.start()
    hub.start()
    return gateway


def _open_history(index: Path | None, backend: Backend) -> History:
    try:
        return History(index, chain_id=backend.chain_id, genesis_hash=backend.genesis_hash)
    except (OSError, sqlite3.Error) as error:
        words = (
            f"{index}: the index cannot be opened ({error}); it may be deleted, and needs room and the right to write"
        )
        raise ServeError(words) from None


@web.middleware
async def _guard(request: web.Request, handler: Respond) -> web.StreamResponse:
    """Let browsers ask first, and answer in JSON what aiohttp itself refuses."""
    if request.method == "OPTIONS":
        return web.Response(status=204)
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:
        words = f"a request has at most {BODY_BYTES_MAX} bytes"
        return _reply(_refusal(ApiCode.INVALID_REQUEST, "TOO_LARGE", words), status=413)
    except web.HTTPException as refusal:
        words = f"there is no {request.method} {ascii(request.path)[1:-1][:80]}; see /"
        return _reply(_refusal(ApiCode.METHOD_NOT_FOUND, "NO_SUCH_PATH", words), status=refusal.status)
    except (ConnectionError, HttpProcessingError):
        # The client has left, or its body is no HTTP: nobody reads this, or only a number.
        return _reply(_refusal(ApiCode.PARSE_ERROR, "BODY_BROKEN", "the body did not arrive whole"))


def _caller(request: web.Request) -> Caller:
    return Caller(None, _is_foreign(request))


def _is_foreign(request: web.Request) -> bool:
    """Return whether a page of another site asks; browsers say so, and nobody else has to."""
    origin = request.headers.get("Origin", "")
    return bool(origin) and origin.partition("://")[2] != request.headers.get("Host", "")


async def _stamp(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_CORS)
    response.headers["Server"] = "holdfast"
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"


def _refusal(code: ApiCode, reason: str, words: str, *, retryable: bool = False) -> Reply:
    error = ApiError(code, reason, words, retryable=retryable)
    return Reply(envelope.refusal(envelope.NO_ID, error, Stopwatch()), is_error=True)


def _reply(reply: Reply, *, status: int = 0) -> web.Response:
    return _json(reply.body, status=status or (400 if reply.is_error else 200))


def _json(body: bytes, *, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, headers={"Content-Type": "application/json"})


def _explain(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; stop what uses it, or choose another with --port (0 takes a free one)"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} is not ours to open; choose one above 1023 with --port"
    if error.errno in (errno.EADDRNOTAVAIL, None) or error.errno < 0:
        return f"{host} is no address of this machine ({error}); choose one with --host, such as 127.0.0.1"
    return f"cannot listen on {host}:{port}: {error}"
