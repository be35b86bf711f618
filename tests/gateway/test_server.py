"""The server's limits, pages and manners."""

import asyncio
import contextlib
import gzip
import resource
import socket
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import msgspec
import pytest

from holdfast.gateway import serve, server
from holdfast.gateway.errors import ServeError
from holdfast.gateway.history import Written
from holdfast.gateway.rows import Commit
from holdfast.protocol.trading.messages import CancelAll
from tests.support.gateway import Controls, JsonObject, open_market, served, settled, until

REQUEST = b'{"jsonrpc":"2.0","id":1,"method":"public/test"}'


def reason_of(answer: JsonObject) -> object:
    error = answer["error"]
    assert isinstance(error, dict)
    return error["data"]["reason"]


def test_serve__port_in_use__says_so_in_one_line() -> None:
    async def run() -> None:
        backend = open_market(1, 0)
        async with served(backend) as here:
            with pytest.raises(ServeError) as refusal:
                await serve(backend, "127.0.0.1", here.gateway.port)
            message = str(refusal.value)
            assert message.startswith(f"port {here.gateway.port} on 127.0.0.1 is in use; ")
            assert "\n" not in message
        with pytest.raises(ServeError, match=r"203\.0\.113\.1 is no address of this machine"):
            await serve(backend, "203.0.113.1", 0)

    asyncio.run(run())


def test_body__compressed_or_too_large__is_refused() -> None:
    async def run() -> None:
        async with served(open_market(1, 0)) as here:
            client = here.client
            packed = await client.post(gzip.compress(REQUEST), **{"Content-Encoding": "gzip"})
            assert reason_of(packed) == "COMPRESSED"
            large = await client.post(b" " * 70_000)
            assert reason_of(large) == "TOO_LARGE"
            assert (await client.post(REQUEST))["result"] == {"version": "1.2.26"}

    asyncio.run(run())


def test_body__does_not_arrive__ends_with_a_code(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr(server, "BODY_S", 0.1)
        async with served(open_market(1, 0)) as here:
            reader, writer = await asyncio.open_connection("127.0.0.1", here.gateway.port)
            writer.write(b"POST /api/v2 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert head.startswith(b"HTTP/1.1 408 ")
            writer.close()
            await writer.wait_closed()

    asyncio.run(run())


def test_headers__do_not_arrive__the_connection_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr(server, "IDLE_S", 0.2)
        async with served(open_market(1, 0)) as here:
            reader, writer = await asyncio.open_connection("127.0.0.1", here.gateway.port)
            began = time.monotonic()
            with contextlib.suppress(ConnectionError):
                while not reader.at_eof() and time.monotonic() < began + 5:
                    writer.write(b"G")
                    await writer.drain()
                    await asyncio.sleep(0.02)
            assert time.monotonic() < began + 5
            writer.close()

    asyncio.run(run())


def test_headers__too_long__are_refused_and_the_server_goes_on() -> None:
    async def run() -> None:
        async with served(open_market(1, 0)) as here:
            async with here.client.session.get(here.client.url + "/", headers={"X": "y" * 20_000}) as response:
                assert response.status == 400
                assert b"Traceback" not in await response.read()
            assert (await here.client.post(REQUEST))["result"] == {"version": "1.2.26"}

    asyncio.run(run())


def test_connections__too_many__are_closed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr(server, "CONNECTIONS_MAX", 3)
        async with served(open_market(1, 0)) as here:
            held = [await asyncio.open_connection("127.0.0.1", here.gateway.port) for _ in range(3)]
            reader, writer = await asyncio.open_connection("127.0.0.1", here.gateway.port)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            for _, other in [*held, (reader, writer)]:
                other.close()
                await other.wait_closed()

            async def works() -> bool:
                try:
                    return "result" in await here.client.post(REQUEST)
                except aiohttp.ClientError:
                    return False

            async with asyncio.timeout(20):
                while not await works():  # noqa: ASYNC110 -- the server notices in its own time
                    await asyncio.sleep(0.01)

    asyncio.run(run())


def test_sockets__too_many__are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr(server, "SOCKETS_MAX", 1)
        async with served(open_market(1, 0)) as here, here.client.session.ws_connect(here.client.ws_url):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                await here.client.session.ws_connect(here.client.ws_url)
            assert refusal.value.status == 503

    asyncio.run(run())


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api/v2", 405),
        ("DELETE", "/api/v2", 405),
        ("PUT", "/metrics", 405),
        ("GET", "/api/v2/public/nothing", 400),
        ("GET", "/api/v2/..%2f..%2fetc%2fpasswd", 400),
        ("GET", "/ws/api/v2", 400),
        ("GET", "/api/v2/public/get_order_book?instrument_name=x&instrument_name=y", 400),
        ("GET", "/api/v2/public/get_order_book?instrument_name=%ff%fe&depth=5", 400),
    ],
)
def test_path__wrong__is_a_coded_error(verb: str, path: str, status: int) -> None:
    async def run() -> None:
        async with served(open_market(1, 0)) as here:
            async with here.client.session.request(verb, here.client.url + path) as response:
                assert response.status == status
                assert response.headers["Access-Control-Allow-Origin"] == "*"
                answer = msgspec.json.decode(await response.read())
            assert answer["error"]["data"]["reason"]

    asyncio.run(run())


def test_options__from_a_browser__is_allowed() -> None:
    async def run() -> None:
        async with served(open_market(1, 0)) as here, here.client.session.options(here.client.url) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Methods"] == "GET, POST, OPTIONS"
            assert response.headers["Server"] == "holdfast"

    asyncio.run(run())


def test_pages__while_it_runs_and_while_nobody_serves__say_how_it_is() -> None:
    async def run() -> None:
        backend = open_market()
        async with served(backend) as here:
            session, url = here.client.session, here.client.url
            await settled(here, backend.sign(0, CancelAll(0)))
            async with session.get(url + "/health") as response:
                assert (response.status, await response.json()) == (200, {"status": "alive"})
            async with session.get(url + "/ready") as response:
                ready = await response.json()
                assert (response.status, ready["ready"], ready["reasons"], ready["height"]) == (200, True, [], 3)
            async with session.get(url + "/metrics") as response:
                text = await response.text()
            for line in (
                "holdfast_height 3.0",
                'holdfast_transactions_total{code="OK"} 1.0',
                'holdfast_submissions_total{outcome="committed"} 1.0',
                'holdfast_validator_up{validator="0"} 1.0',
                'holdfast_oracle_status{feed="BTC"} 0.0',
                "holdfast_commit_seconds_count 1.0",
            ):
                assert line in text.splitlines()
            assert "process_resident_memory_bytes" in text
            async with session.get(url + "/") as response:
                assert "/api/v2" in await response.text()
            backend.is_down = True
            async with session.get(url + "/ready") as response:
                ready = await response.json()
                assert response.status == 503
                assert ready["reasons"][0].startswith("no more than two thirds of the power runs: validator-0 is down")
            async with session.get(url + "/metrics") as response:
                assert 'holdfast_validator_up{validator="0"} 0.0' in await response.text()
            async with session.get(url + "/health") as response:
                assert response.status == 200

    asyncio.run(run())


def test_dev__from_a_page_of_another_site__is_forbidden() -> None:
    async def run() -> None:
        backend = open_market(1, 0)
        async with served(backend, dev=Controls(backend)) as here:
            body = b'{"id":1,"method":"dev/heal"}'
            foreign = await here.client.post(body, Origin="https://example.org")
            assert reason_of(foreign) == "FOREIGN_PAGE"
            own = await here.client.post(body, Origin=here.client.url)
            assert (own["result"], own["testnet"]) == ({"ended": []}, True)
            assert (await here.client.post(body))["result"] == {"ended": []}
            async with here.client.session.ws_connect(here.client.ws_url, origin="https://example.org") as wire:
                await wire.send_bytes(body)
                assert reason_of(await wire.receive_json()) == "FOREIGN_PAGE"

    asyncio.run(run())


def test_index__cannot_be_written__says_so(tmp_path: Path) -> None:
    async def run() -> None:
        (tmp_path / "index").mkdir()
        with pytest.raises(ServeError, match=r"index: the index cannot be opened \("):
            await serve(open_market(1, 0), "127.0.0.1", 0, index=tmp_path / "index")

    asyncio.run(run())


def test_index__fails_for_a_while__is_told_and_follows_again() -> None:
    async def run() -> None:
        backend = open_market()
        async with served(backend) as here:
            write = here.gateway.history.write

            def fail(commits: Sequence[Commit]) -> list[Written]:
                raise sqlite3.OperationalError("database or disk is full")

            here.gateway.history.write = fail  # type: ignore[method-assign]
            await asyncio.to_thread(backend.step)
            async with asyncio.timeout(20):
                while True:
                    async with here.client.session.get(here.client.url + "/ready") as response:
                        reasons = (await response.json())["reasons"]
                    if reasons:
                        break
            assert reasons == ["the index does not follow: OperationalError: database or disk is full"]
            here.gateway.history.write = write  # type: ignore[method-assign]
            await here.step()
            assert (await here.client.get("public/status"))["height"] == 4

    asyncio.run(run())


def test_discover__names_every_method() -> None:
    async def run() -> None:
        async with served(open_market(1, 0)) as here:
            answer = await here.client.get("rpc.discover")
            result = answer["result"]
            assert isinstance(result, dict)
            names = [method["name"] for method in result["methods"]]
            assert "public/submit" in names
            assert "rpc.discover" in names
            assert all(method["summary"] for method in result["methods"])

    asyncio.run(run())


def test_gateway__before_the_first_block__answers_and_then_follows() -> None:
    async def run() -> None:
        backend = open_market(1, 0)
        backend.is_down = True
        async with served(backend) as here:
            assert (await here.client.error("public/get_instruments"))["code"] == 10_040
            backend.is_down = False
            await here.step()
            assert (await here.client.ask("public/status"))["height"] == 1

    asyncio.run(run())


def test_close__with_requests_in_progress__ends_soon() -> None:
    async def run() -> None:
        backend = open_market()
        async with served(backend) as here:
            tx = backend.sign(0, CancelAll(0))
            task = asyncio.create_task(here.client.envelope("public/submit", tx=tx.hex(), timeout_ms=60_000))
            await until(lambda: len(backend.pool) == 1)
            with socket.create_connection(("127.0.0.1", here.gateway.port)):
                async with asyncio.timeout(10):
                    await here.gateway.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_connections__where_few_files_may_be_open__leave_half_of_them_to_the_validators(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for files, most in ((256, 128), (1_024, 512), (1_000_000, server.CONNECTIONS_MAX)):
        monkeypatch.setattr(resource, "getrlimit", lambda _which, files=files: (files, files))
        assert server._count_connections_max() == most
