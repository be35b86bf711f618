"""Following channels: a WebSocket that is made again when it is lost, and what was missed in between, asked for."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final, Protocol, TypeVar

import aiohttp
import msgspec

from holdfast.client.errors import ClientError, InputError, Stalled, Unreachable
from holdfast.client.transport import (
    SOCKET_PATH,
    ErrorBody,
    Transport,
    encode_request,
    explain_unreachable,
    raise_error,
)

T = TypeVar("T")

_PING_SECONDS: Final = 10.0
_PAUSE_FIRST_SECONDS: Final = 0.2
_PAUSE_MAX_SECONDS: Final = 5.0
_FILL_MAX: Final = 1_000


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a channel.

    `seq` numbers the updates of an account, blocks and an instrument's trades without a gap; what was missed while the
    connection was lost is asked for and told in its place, and `missed` counts what could not be had any more.
    """

    channel: str
    data: object
    seq: int = 0
    missed: int = 0


class Params(msgspec.Struct, frozen=True):
    """What a notification carries."""

    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")
    type: str = ""


class Frame(msgspec.Struct, frozen=True):
    """A frame: a notification, or the answer to a request."""

    method: str = ""
    params: Params = Params()
    result: msgspec.Raw = msgspec.Raw(b"")
    error: ErrorBody | None = None
    id: int | None = None


class Gaps(Protocol):
    """Who can tell what a channel said while nobody listened."""

    async def check_chain(self) -> object:
        """Check that the node still speaks for the same chain. Refuses: WrongChainError."""

    async def fill(self, channel: str, wanted: range) -> list[tuple[int, object]]:
        """Return (number, data) of a channel for these of its numbers, as far as they can be had."""


async def watch(gaps: Gaps, transport: Transport, channels: tuple[str, ...]) -> AsyncGenerator[Notification, None]:
    """Yield the notifications of channels; a lost connection is made again, and what was missed is asked for.

    Refuses: Unreachable, Stalled at the first try; InputError for a channel that there is not; WrongChainError where
    another chain has taken the node's place.
    """
    follower = _Follower(gaps, transport, channels)
    pause = _PAUSE_FIRST_SECONDS
    while True:
        try:
            async with aclosing(follower.listen()) as notifications:
                async for notification in notifications:
                    pause = _PAUSE_FIRST_SECONDS
                    yield notification
        except (Unreachable, Stalled):
            if not follower.was_connected:
                raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, _PAUSE_MAX_SECONDS)


class _Follower:
    """What has been seen of each channel, across connections."""

    def __init__(self, gaps: Gaps, transport: Transport, channels: tuple[str, ...]) -> None:
        self._gaps = gaps
        self._transport = transport
        self._channels = channels
        self._last: dict[str, int] = {}
        self.was_connected = False

    async def listen(self) -> AsyncGenerator[Notification, None]:
        """Yield what one connection brings, until it is lost."""
        url = self._transport.url
        await self._gaps.check_chain()
        try:
            socket = await self._transport.session().ws_connect(
                "ws" + url.removeprefix("http") + SOCKET_PATH, heartbeat=_PING_SECONDS, max_msg_size=0
            )
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(explain_unreachable(url, error)) from None
        async with socket:
            await socket.send_bytes(encode_request(1, "public/subscribe", {"channels": self._channels}))
            async for message in socket:
                if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    continue
                frame = _decode(message.data, Frame)
                if frame.method == "heartbeat" and frame.params.type == "test_request":
                    await socket.send_bytes(encode_request(2, "public/test", {}))
                elif frame.method == "subscription":
                    async for notification in self._take(frame.params):
                        yield notification
                elif frame.id == 1:
                    self._check_subscribed(frame)

    def _check_subscribed(self, frame: Frame) -> None:
        if frame.error is not None:
            raise_error(frame.error)
        taken = _decode(frame.result, list[str])
        for channel in self._channels:
            if channel not in taken:
                raise InputError(f"there is no channel {channel!r}; see the list in `holdfast watch --help`")
        self.was_connected = True

    async def _take(self, params: Params) -> AsyncIterator[Notification]:
        """Yield what came before a notification and was missed, then the notification."""
        channel, last = params.channel, self._last.get(params.channel, 0)
        first, until, is_state = read_numbers(channel, params.data)
        if until:
            if last and until <= last:
                return
            self._last[channel] = until
        missed = 0
        # A snapshot only says how far the channel has come; its own number was an update's.
        wanted = range(last + 1, until + 1 if is_state else first)
        if last and wanted:
            found = await self._fill(channel, wanted)
            missed = len(wanted) - len(found)
            for seq, content in found:
                yield Notification(channel=channel, data=content, seq=seq)
            if is_state and not missed:
                return
        data: object = msgspec.json.decode(params.data)
        yield Notification(channel=channel, data=data, seq=until, missed=missed)

    async def _fill(self, channel: str, wanted: range) -> list[tuple[int, object]]:
        try:
            return await self._gaps.fill(channel, wanted[-_FILL_MAX:])
        except ClientError:
            return []


class Marks(msgspec.Struct, frozen=True):
    """What numbers a notification."""

    seq: int = 0
    height: int = 0
    trade_seq: int = 0
    type: str = ""


def read_numbers(channel: str, data: msgspec.Raw) -> tuple[int, int, bool]:
    """Return the first and the last number of a notification, and whether it is a snapshot; zeros without numbers."""
    kind, *rest = channel.split(".")
    if kind == "trades" and len(rest) == len(("instrument", "interval")):
        numbers = [trade.trade_seq for trade in _decode(data, list[Marks])]
        return (min(numbers), max(numbers), False) if numbers else (0, 0, False)
    if kind == "blocks":
        height = _decode(data, Marks).height
        return height, height, False
    if kind == "account":
        marks = _decode(data, Marks)
        return marks.seq, marks.seq, marks.type == "snapshot"
    return 0, 0, False


def _decode(data: bytes | msgspec.Raw, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=type_)
    except msgspec.DecodeError as error:
        message = f"the node told what this program cannot read ({error}); use its own version"
        raise InputError(message) from None
