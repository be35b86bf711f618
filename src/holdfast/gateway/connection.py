"""One WebSocket: requests in, answers and notifications out, signs of life both ways."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from holdfast.gateway import envelope
from holdfast.gateway.api import Caller
from holdfast.gateway.errors import bad_param
from holdfast.gateway.metrics import Metrics
from holdfast.gateway.outbox import Outbox
from holdfast.gateway.params import CHANNELS_MAX
from holdfast.gateway.subscriptions import Hub

PING_S: Final = 30.0
# Taken and not yet sent an answer to.
REQUESTS_AT_ONCE: Final = 2_048
_CLOSE_S: Final = 1.0
_SILENT_BEATS: Final = 2

# Takes the bytes of a request, and who sent it; returns the bytes of the answer.
Handle = Callable[[bytes, Caller], Awaitable[bytes]]
Refuse = Callable[[bytes, str], bytes]


class Connection:
    """A client's connection; it is a `Session` to methods and a `Listener` to channels."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        abort: Callable[[], None],
        hub: Hub,
        metrics: Metrics,
        *,
        is_foreign_page: bool,
    ) -> None:
        """Begin with no channels and no heartbeat; `abort` ends a connection that nobody reads at the other side."""
        self._socket = socket
        self._caller = Caller(self, is_foreign_page)
        self._abort = abort
        self._hub = hub
        self._metrics = metrics
        self._outbox = Outbox()
        self._channels: dict[str, None] = {}
        self._requests: set[asyncio.Task[None]] = set()
        self._heartbeat: asyncio.Task[None] | None = None
        self._heard_s = 0.0

    # Channels

    def subscribe(self, channels: Sequence[str]) -> list[str]:
        """Follow channels; return those that there are."""
        wanted = [name for name in dict.fromkeys(channels) if name not in self._channels]
        if len(self._channels) + len(wanted) > CHANNELS_MAX:
            raise bad_param("channels", f"one connection follows at most {CHANNELS_MAX} channels; open another one")
        accepted = self._hub.subscribe(self, wanted)
        self._channels.update(dict.fromkeys(accepted))
        return [name for name in channels if name in self._channels]

    def unsubscribe(self, channels: Sequence[str]) -> list[str]:
        """Follow channels no more."""
        dropped = self._hub.unsubscribe(self, channels)
        for name in dropped:
            self._channels.pop(name, None)
        return dropped

    def unsubscribe_all(self) -> None:
        """Follow nothing any more."""
        self.unsubscribe(list(self._channels))

    @property
    def is_busy(self) -> bool:
        """Return whether so much waits to be sent that more had better wait."""
        return self._outbox.is_busy and not self._outbox.is_overflown

    def send(self, frame: bytes) -> None:
        """Send a frame that must not be left out."""
        self._outbox.put(frame)

    def send_latest(self, channel: str, frame: bytes, whole: bytes) -> None:
        """Send a frame of a channel that tells the present; one that still waits is replaced by the whole."""
        if not self._outbox.replace(channel, whole):
            self._outbox.put(frame, channel=channel)

    # Signs of life

    def set_heartbeat(self, interval_s: float) -> None:
        """Ask for a sign of life so often; 0 for none."""
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            self._heartbeat = None
        if interval_s:
            self._heartbeat = asyncio.create_task(self._beat(interval_s))

    async def _beat(self, interval_s: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            asked_s = loop.time()
            await asyncio.sleep(interval_s)
            is_silent = self._heard_s < asked_s
            if loop.time() - self._heard_s > _SILENT_BEATS * interval_s:
                self._metrics.ws_dropped.labels("silent").inc()
                await self.close(WSCloseCode.GOING_AWAY, "no sign of life")
                return
            kind = "test_request" if is_silent else "heartbeat"
            self.send(envelope.encode({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": kind}}))

    # Life

    async def run(self, handle: Handle, refuse: Refuse) -> None:
        """Serve until either side ends it."""
        self._heard_s = asyncio.get_running_loop().time()
        sender = asyncio.create_task(self._send_all())
        self._metrics.ws_clients.inc()
        try:
            async for message in self._socket:
                self._heard_s = asyncio.get_running_loop().time()
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    body = message.data.encode() if isinstance(message.data, str) else bytes(message.data)
                    if len(self._requests) + self._outbox.answers >= REQUESTS_AT_ONCE:
                        words = f"{REQUESTS_AT_ONCE} requests of this connection wait for answers already"
                        self._outbox.put_answer(refuse(body, words))
                        continue
                    task = asyncio.create_task(self._answer(handle, body))
                    self._requests.add(task)
                    task.add_done_callback(self._requests.discard)
        finally:
            self._metrics.ws_clients.dec()
            self.unsubscribe_all()
            self.set_heartbeat(0)
            # What was handed on goes its way; nobody is left to hear the answer.
            for task in (sender, *self._requests):
                task.cancel()
            await asyncio.gather(sender, *self._requests, return_exceptions=True)

    async def _answer(self, handle: Handle, body: bytes) -> None:
        self._outbox.put_answer(await handle(body, self._caller))

    async def _send_all(self) -> None:
        while (frame := await self._outbox.take()) is not None:
            try:
                await self._socket.send_frame(frame, WSMsgType.TEXT)
            except (ConnectionError, RuntimeError):
                return
        self._metrics.ws_dropped.labels("slow").inc()
        await self.close(WSCloseCode.POLICY_VIOLATION, "reads too slowly; subscribe again for the present state")

    async def close(self, code: WSCloseCode, words: str) -> None:
        """End the connection, soon even where the other side does not answer."""
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._socket.close(code=code, message=words.encode())
        except (TimeoutError, ConnectionError, RuntimeError):
            pass
        self._abort()
