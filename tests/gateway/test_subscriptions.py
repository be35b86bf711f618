"""Channels over a real WebSocket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import aiohttp
import msgspec
import pytest

from holdfast.gateway import subscriptions
from holdfast.gateway.channels import parse_channel
from holdfast.gateway.connection import Connection
from holdfast.gateway.outbox import ANSWER_BYTES_MAX, BYTES_MAX, MESSAGES_MAX, Outbox
from holdfast.protocol.trading.messages import CancelAll, PlaceOrder
from tests.support.gateway import JsonObject, Served, future_of, mark_ticks, open_market, served, until


class Socket:
    """A client's side of a WebSocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self._ids = 0

    async def next(self, seconds: float = 20.0) -> JsonObject:
        message = await self.socket.receive(seconds)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return cast("JsonObject", msgspec.json.decode(message.data))

    async def call(self, method: str, **params: object) -> object:
        """Ask, and return the answer; what a channel says first is lost."""
        self._ids += 1
        await self.socket.send_str(msgspec.json.encode({"id": self._ids, "method": method, "params": params}).decode())
        while True:
            message = await self.next()
            if message.get("id") == self._ids:
                assert "result" in message, message
                return message["result"]

    async def data(self, channel: str) -> JsonObject:
        """Return what a channel says next."""
        while True:
            message = await self.next()
            params = cast("JsonObject", message.get("params", {}))
            if params.get("channel") == channel:
                return cast("JsonObject", params["data"])


@asynccontextmanager
async def connected(here: Served) -> AsyncIterator[Socket]:
    async with here.client.session.ws_connect(here.client.ws_url) as socket:
        yield Socket(socket)


def test_subscribe__unknown_channels__are_left_out() -> None:
    async def run() -> None:
        backend = open_market()
        _, name = future_of(backend)
        async with served(backend) as here, connected(here) as wire:
            asked = [
                "blocks",
                f"ticker.{name}.raw",
                "ticker.NOPE.raw",
                "user.portfolio.BTC",
                "account.1000",
                "account.9",
            ]
            assert await wire.call("public/subscribe", channels=asked) == [
                "blocks",
                f"ticker.{name}.raw",
                "account.1000",
            ]
            assert await wire.call("public/unsubscribe", channels=["blocks", "nope"]) == ["blocks"]
            assert await wire.call("public/unsubscribe_all") == "ok"

    asyncio.run(run())


def test_book__after_changes__chains_to_the_book_that_rest_gives() -> None:
    async def run() -> None:
        backend = open_market()
        number, name = future_of(backend)
        channel = f"book.{name}.raw"
        mark = mark_ticks(backend, number)
        async with served(backend) as here, connected(here) as wire:
            await wire.call("public/subscribe", channels=[channel])
            first = await wire.data(channel)
            assert (first["type"], first["bids"], "prev_change_id" in first) == ("snapshot", [], False)
            levels: dict[str, dict[float, float]] = {"bids": {}, "asks": {}}
            change_id = first["change_id"]
            for step in range(5):
                txs = [
                    backend.sign(0, PlaceOrder(number, 0, mark - 1 - step % 3, 2)),
                    backend.sign(1, PlaceOrder(number, 1, mark + 1 + step % 2, 3)),
                ]
                if step == 3:
                    txs.append(backend.sign(0, CancelAll(0)))
                await here.step(*txs)
                data = await wire.data(channel)
                assert (data["type"], data["prev_change_id"]) == ("change", change_id)
                change_id = data["change_id"]
                for side, known in levels.items():
                    for what, price, amount in cast("list[tuple[str, float, float]]", data[side]):
                        if what == "delete":
                            del known[price]
                        else:
                            assert (what == "new") == (price not in known)
                            known[price] = amount
            book = await here.client.ask("public/get_order_book", instrument_name=name)
            assert dict(cast("list[tuple[float, float]]", book["bids"])) == levels["bids"]
            assert dict(cast("list[tuple[float, float]]", book["asks"])) == levels["asks"]
            # Who comes later begins where the others are.
            async with connected(here) as other:
                await other.call("public/subscribe", channels=[channel])
                late = await other.data(channel)
                assert (late["type"], late["change_id"]) == ("snapshot", change_id)

    asyncio.run(run())


def test_account__every_block_that_touches_it__is_numbered_without_a_gap_and_can_be_asked_again() -> None:
    async def run() -> None:
        backend = open_market()
        number, _ = future_of(backend)
        mark = mark_ticks(backend, number)
        async with served(backend) as here, connected(here) as wire:
            await here.step(backend.sign(0, PlaceOrder(number, 0, mark - 5, 1)))
            await wire.call("public/subscribe", channels=["account.1000"])
            first = await wire.data("account.1000")
            assert (first["type"], first["seq"]) == ("snapshot", 1)
            told: list[JsonObject] = []
            data: JsonObject = {}
            for _ in range(3):
                await here.step(backend.sign(0, PlaceOrder(number, 0, mark, 1)))
                await here.step(backend.sign(1, PlaceOrder(number, 1, mark, 1)))
            for seq in range(2, 8):
                data = await wire.data("account.1000")
                assert data["seq"] == seq
                told.append({name: data[name] for name in ("seq", "height", "events")})
            orders, trades = cast("list[JsonObject]", data["orders"]), cast("list[JsonObject]", data["trades"])
            assert orders[0]["order_state"] == "filled"
            assert (trades[0]["liquidity"], trades[0]["direction"]) == ("M", "buy")
            asked = await here.client.ask("public/get_account_events", account_id=1_000, from_seq=2)
            assert asked["updates"] == told
            assert asked["last_seq"] == 7

    asyncio.run(run())


def test_subscribe__to_everything_at_once__greets_each_and_keeps_the_reader() -> None:
    async def run() -> None:
        async with served(open_market()) as here, connected(here) as wire:
            names = [str(one["instrument_name"]) for one in await here.client.rows("public/get_instruments")]
            channels = [f"{what}.{name}.100ms" for name in names for what in ("ticker", "book")][:500]
            assert len(channels) > 400
            assert await wire.call("public/subscribe", channels=channels) == channels
            heard = {cast("JsonObject", (await wire.next())["params"])["channel"] for _ in channels}
            assert heard == set(channels)
            await here.step()
            assert _dropped(here, "slow") == 0

    asyncio.run(run())


def test_trades_and_blocks__of_a_block__are_told_once() -> None:
    async def run() -> None:
        backend = open_market()
        number, name = future_of(backend)
        mark = mark_ticks(backend, number)
        channels = ["blocks", f"trades.{name}.raw", "trades.future.BTC.100ms", "trades.option.any.raw"]
        async with served(backend) as here, connected(here) as wire:
            assert await wire.call("public/subscribe", channels=channels) == channels
            assert (await wire.data("blocks"))["height"] == 2
            await here.step(
                backend.sign(0, PlaceOrder(number, 0, mark, 2)), backend.sign(1, PlaceOrder(number, 1, mark, 1))
            )
            heard = [cast("JsonObject", (await wire.next())["params"]) for _ in range(3)]
            assert [one["channel"] for one in heard] == channels[:3]
            assert cast("list[JsonObject]", heard[1]["data"])[0]["amount"] == 0.01
            assert heard[1]["data"] == heard[2]["data"]
            assert (cast("JsonObject", heard[0]["data"])["height"], cast("JsonObject", heard[0]["data"])["trades"]) == (
                3,
                1,
            )

    asyncio.run(run())


def test_ticker__silent_market__is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr(subscriptions, "RESEND_S", 0.05)
        backend = open_market()
        _, name = future_of(backend)
        async with served(backend) as here, connected(here) as wire:
            await wire.call("public/subscribe", channels=[f"ticker.{name}.100ms", f"quote.{name}"])
            first = await wire.data(f"ticker.{name}.100ms")
            again = await wire.data(f"ticker.{name}.100ms")
            assert first == again
            quote = await wire.data(f"quote.{name}")
            assert quote["best_bid_price"] == 0.0

    asyncio.run(run())


def _dropped(here: Served, why: str) -> float:
    return here.gateway.metrics.registry.get_sample_value("holdfast_ws_dropped_total", {"why": why}) or 0.0


def test_slow_reader__is_closed_and_delays_nobody() -> None:
    async def run() -> None:
        backend = open_market()
        number, _ = future_of(backend)
        mark = mark_ticks(backend, number)
        async with served(backend) as here, connected(here) as quick:
            request = (
                "GET /ws/api/v2 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            body = msgspec.json.encode({"id": 1, "method": "public/get_instruments"})
            frame = b"\x81" + bytes([0x80 | len(body)]) + bytes(4) + body
            await quick.call("public/subscribe", channels=["blocks"])
            # It asks for much and reads none of it.
            with socket.create_connection(("127.0.0.1", here.gateway.port)) as stuck:
                stuck.sendall(request.encode() + frame * 300)
                await until(lambda: _dropped(here, "slow") == 1, 20)
            await here.step(backend.sign(0, PlaceOrder(number, 0, mark, 2)))
            heights = [(await quick.data("blocks"))["height"] for _ in range(2)]
            assert heights == [2, 3]

    asyncio.run(run())


def test_requests__one_that_waits__does_not_hold_up_the_next() -> None:
    async def run() -> None:
        backend = open_market()
        tx = backend.sign(0, CancelAll(0))
        async with served(backend) as here, connected(here) as wire:
            await wire.socket.send_str(f'{{"id":"slow","method":"public/submit","params":{{"tx":"{tx.hex()}"}}}}')
            assert await wire.call("public/test") == {"version": "1.2.26"}
            await here.step()
            answer = await wire.next()
            assert (answer["id"], cast("JsonObject", answer["result"])["state"]) == ("slow", "committed")

    asyncio.run(run())


def test_heartbeat__silent_client__is_asked_and_then_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr(Connection, "set_heartbeat", _quick_heartbeat(Connection.set_heartbeat))
        async with served(open_market(1, 0)) as here, connected(here) as wire:
            assert await wire.call("public/set_heartbeat", interval=10) == "ok"
            message = await wire.next()
            assert message == {"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}}
            assert await wire.call("public/test") == {"version": "1.2.26"}
            assert (await wire.next())["params"] == {"type": "heartbeat"}
            assert await wire.call("public/disable_heartbeat") == "ok"
            assert await wire.call("public/set_heartbeat", interval=10) == "ok"
            async with asyncio.timeout(20):
                async for _ in wire.socket:
                    pass
            assert _dropped(here, "silent") == 1

    asyncio.run(run())


def _quick_heartbeat(method: Callable[[Connection, float], None]) -> Callable[[Connection, int], None]:
    return lambda connection, interval_s: method(connection, interval_s / 20)


def test_gateway__stops__closes_sockets_as_going_away() -> None:
    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            async with served(open_market(1, 0)) as here:
                wire = await session.ws_connect(here.client.ws_url)
            message = await wire.receive(5)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1_001)
            await wire.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("blocks", "blocks"),
        ("account.1000", "account"),
        ("book.X.raw", "book"),
        ("book.X.none.10.100ms", "depth"),
        ("ticker.X.agg2", "ticker"),
        ("quote.X", "quote"),
        ("trades.X.raw", "trades"),
        ("trades.option.BTC.raw", "trades_of"),
        ("deribit_price_index.btc_usd", "index"),
    ],
)
def test_channel__known__is_parsed(name: str, kind: str) -> None:
    channel = parse_channel(name)
    assert channel is not None
    assert (channel.name, channel.kind) == (name, kind)


@pytest.mark.parametrize(
    "name",
    ["", "blocks.x", "account", "account.x", "account.-1", "account.\u0661", "book.X", "book.X.1s", "book.X.none.7.raw",
     "ticker.X", "trades.swap.BTC.raw", "deribit_price_index.doge_usd", "user.orders.any.any.raw"],
)  # fmt: skip
def test_channel__unknown__is_none(name: str) -> None:
    assert parse_channel(name) is None


def test_outbox__too_many_or_too_large__gives_the_reader_up() -> None:
    async def run() -> None:
        outbox = Outbox()
        outbox.put(bytes(BYTES_MAX + 1))
        assert (outbox.is_overflown, len(outbox)) == (False, 1)
        outbox.put(b"x")
        assert (outbox.is_overflown, len(outbox)) == (True, 0)
        assert await outbox.take() is None
        outbox = Outbox()
        for _ in range(MESSAGES_MAX):
            outbox.put(b"x")
        assert (outbox.is_overflown, len(outbox)) == (False, MESSAGES_MAX)
        outbox.put(b"x")
        assert (outbox.is_overflown, len(outbox), outbox.bytes) == (True, 0, 0)

    asyncio.run(run())


def test_outbox__many_answers_at_once__are_no_sign_of_slowness() -> None:
    outbox = Outbox()
    for _ in range(2_000):
        outbox.put_answer(bytes(4_000))
    assert (outbox.is_overflown, len(outbox)) == (False, 2_000)
    outbox.put(b"a notification has its own bound")
    outbox.put_answer(bytes(ANSWER_BYTES_MAX - 8_000_000 + 1))
    assert outbox.is_overflown


def test_outbox__newer_state__takes_the_place_of_what_waits() -> None:
    async def run() -> None:
        outbox = Outbox()
        outbox.put(b"first", channel="ticker")
        outbox.put_answer(b"answer")
        assert outbox.replace("ticker", b"second!")
        assert not outbox.replace("book", b"none waits")
        assert (len(outbox), outbox.bytes, outbox.answers, outbox.answer_bytes) == (2, 7, 1, 6)
        assert [await outbox.take(), await outbox.take()] == [b"second!", b"answer"]
        assert not outbox.replace("ticker", b"gone")

    asyncio.run(run())
