"""The client against a running devnet: every method answers, every command ends, nothing is lost on the way."""

import asyncio
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest

from holdfast.client import AsyncExchange, Exchange, ExchangeError, Journal, Rejected, SigningKey, Trust, demo_key
from holdfast.client.errors import EXIT_REJECTED, InputError, Unreachable, WrongChainError
from holdfast.client.orders import make_cancel_all, make_order
from holdfast.client.submission import hash_tx
from holdfast.client.transport import Transport
from tests.support.devnet import LiveDevnet
from tests.support.proxy import Proxy

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(name="alice")
def _alice(live: LiveDevnet) -> Iterator[Exchange]:
    with Exchange(live.url, key=demo_key("demo-1")) as exchange:
        yield exchange


@pytest.fixture(name="bob")
def _bob(live: LiveDevnet) -> Iterator[Exchange]:
    with Exchange(live.url, key=demo_key("demo-2")) as exchange:
        yield exchange


def future(exchange: Exchange) -> str:
    return exchange.instruments("BTC", "future")[0].instrument_name


def near(exchange: Exchange, name: str, percent: int) -> int:
    mark = exchange.ticker(name).mark_price
    assert mark is not None
    return int(mark) * percent // 100


def test_read__each_method__answers_with_the_height_and_the_app_hash(alice: Exchange) -> None:
    status = alice.status()
    assert (status.chain_id, len(status.genesis_hash), len(status.app_hash)) == ("holdfast-dev-7", 64, 64)
    assert status.height > 0
    name = future(alice)
    identity = alice.identity()
    for answer in (
        alice.instruments(),
        alice.instruments("ETH", "option"),
        alice.ticker(name),
        alice.book(name, 5),
        alice.summaries("BTC"),
        alice.trades(name),
        alice.account(identity.account_id),
        alice.positions(identity.account_id),
        alice.margin(identity.account_id),
        alice.orders(identity.account_id),
        alice.user_trades(identity.account_id),
    ):
        assert answer.height >= status.height
        assert len(answer.app_hash) == 64
    assert alice.validators()[0].status == "running"
    assert alice.block(1)["block_height"] == 1
    assert alice.account(identity.account_id).balances[0].asset == "USDC"
    assert alice.proof("balances", f"{identity.account_id},0")["value"]


def test_place__two_that_meet__are_filled_and_change_positions(alice: Exchange, bob: Exchange) -> None:
    name = future(alice)
    price = near(alice, name, 100)
    rested = alice.place(name, "sell", "0.05", price, client_id=11)
    assert (rested.state, rested.code, len(rested.app_hash)) == ("committed", 0, 64)
    assert rested.order is not None
    assert (rested.order.order_state, rested.order.amount) == ("open", Decimal("0.05"))
    taken = bob.place(name, "buy", "0.05", price, time_in_force="fok")
    assert taken.order is not None
    assert (taken.order.order_state, taken.order.filled_amount) == ("filled", Decimal("0.05"))
    assert sum(fill.amount for fill in taken.trades) == Decimal("0.05")
    held = {one.instrument_name: one.size for one in bob.positions(bob.identity().account_id)}
    assert held[name] >= Decimal("0.05")
    assert bob.margin(bob.identity().account_id).initial_margin > 0
    bob.place(name, "sell", "0.05", price)
    alice.place(name, "buy", "0.05", price)


def test_amend_and_cancel__an_open_order__keeps_its_id_then_goes(alice: Exchange) -> None:
    name = future(alice)
    price = near(alice, name, 80)
    placed = alice.place(name, "buy", "0.02", price, post_only=True)
    assert placed.order is not None
    order_id = placed.order.order_id
    amended = alice.amend(order_id, amount="0.01", price=price - 10)
    assert amended.order is not None
    assert (amended.order.order_id, amended.order.price) == (order_id, Decimal(price - 10))
    assert [one.order_id for one in alice.orders(alice.identity().account_id)] == [order_id]
    assert alice.cancel(order_id).code == 0
    assert alice.order(order_id).order_state == "cancelled"
    with pytest.raises(Rejected) as refusal:
        alice.cancel(order_id)
    assert (refusal.value.name, refusal.value.exit_code, refusal.value.height > 0) == (
        "ORDER_UNKNOWN",
        EXIT_REJECTED,
        True,
    )
    with pytest.raises(InputError, match="nothing to change"):
        alice.amend(order_id)


def test_cancel_all_quote_and_bundle__on_one_account__work_together(alice: Exchange) -> None:
    name = future(alice)
    low, high = near(alice, name, 70), near(alice, name, 130)
    instrument = alice.instrument(name)
    both = alice.bundle([make_order(instrument, "buy", "0.01", low), make_order(instrument, "sell", "0.01", high)])
    assert [event["type"] for event in both.events].count("OrderPlaced") == 2
    alice.set_protection("BTC", 1_000, 60_000)
    quoted = alice.mass_quote({name: ((low - 1, "0.01"), (high + 1, "0.01"))})
    assert quoted.state == "committed"
    assert len(alice.orders(alice.identity().account_id)) == 4
    assert alice.cancel_all(name).code == 0
    assert list(alice.orders(alice.identity().account_id)) == []


def test_account__opened_by_a_deposit__withdraws_transfers_and_rotates(live: LiveDevnet) -> None:
    key, second, bot = (SigningKey(bytes([number]) * 32) for number in (41, 42, 43))
    with Exchange(live.url, key=key) as owner:
        with pytest.raises(ExchangeError, match="no account belongs to this key"):
            owner.identity()
        assert owner.deposit(key.public_key.hex(), "5000").is_effective
        assert owner.withdraw("100.5").is_effective
        subaccount = owner.create_subaccount().events[0]["account_id"]
        assert isinstance(subaccount, int)
        assert owner.transfer(subaccount, 50).is_effective
        expires_ms = owner.status().time_ms + 3_600_000
        assert owner.grant_session(bot.public_key.hex(), "trade,cancel", expires_ms).is_effective
        found = owner.account(owner.identity().account_id)
        assert found.sessions[0].key == bot.public_key.hex()
        with Exchange(live.url, key=bot, account_id=found.account_id) as session:
            assert session.cancel_all().is_effective
            with pytest.raises(Rejected, match="NOT_OWNER"):
                session.withdraw(1)
        assert owner.revoke_session(bot.public_key.hex()).is_effective
        assert owner.rotate(second.public_key.hex()).is_effective
        with pytest.raises(Rejected, match="SIGNER_UNKNOWN"):
            owner.withdraw(1)
    with Exchange(live.url, key=second) as heir:
        assert heir.identity().account_id == found.account_id


def test_submit__many_at_once__each_has_a_nonce_of_its_own(live: LiveDevnet) -> None:
    async def work() -> list[int]:
        async with AsyncExchange(live.url, key=demo_key("demo-3")) as exchange:
            results = await asyncio.gather(*(exchange.cancel_all() for _ in range(150)))
        return [result.code for result in results]

    assert asyncio.run(work()) == [0] * 150


def test_submit__two_clients_with_one_key__both_get_through(live: LiveDevnet) -> None:
    async def work() -> list[str]:
        clients = [AsyncExchange(live.url, key=demo_key("demo-3")) for _ in range(3)]
        for client in clients:
            await client.next_nonce((await client.identity()).account_id, demo_key("demo-3").public_key.hex())
        results = await asyncio.gather(*(client.cancel_all() for client in clients for _ in range(5)))
        for client in clients:
            await client.close()
        return [result.state for result in results]

    assert asyncio.run(work()) == ["committed"] * 15


def test_refused__in_a_block_or_before__says_which(alice: Exchange, live: LiveDevnet) -> None:
    with pytest.raises(Rejected) as in_block:
        alice.withdraw(10**9)
    assert (in_block.value.name, in_block.value.height > 0) == ("WITHDRAWABLE_SHORT", True)
    with Exchange(live.url, key=SigningKey(bytes(32)), account_id=1_000) as stranger, pytest.raises(Rejected) as before:
        stranger.cancel_all()
    assert (before.value.name, before.value.height) == ("SIGNER_UNKNOWN", 0)
    assert "in no block" in str(before.value)


def test_trust__another_chain__is_refused_before_anything_is_signed(live: LiveDevnet) -> None:
    with (
        Exchange(live.url, key=demo_key("demo-1"), trust=Trust("holdfast-dev-7", bytes(32)), account_id=1_000) as other,
        pytest.raises(WrongChainError, match=r"trusted is holdfast-dev-7 \(genesis 0000000000000000\)"),
    ):
        other.cancel_all()


def test_instrument__a_name_that_is_not_listed__names_those_that_are_close(alice: Exchange) -> None:
    with pytest.raises(InputError, match="did you mean BTC_USDC-"):
        alice.instrument("BTC-27MAR26")


def test_unreachable__nobody_there__is_told_at_once() -> None:
    begun = time.monotonic()
    with Exchange(NOWHERE, key=demo_key("demo-1")) as nobody, pytest.raises(Unreachable, match="connection refused"):
        nobody.cancel_all()
    assert time.monotonic() - begun < 5


def test_submit__answers_that_never_come__is_retried_with_the_same_bytes(live: LiveDevnet, tmp_path: Path) -> None:
    """The node takes the command and the answer is lost: the client learns of it and nothing happens twice."""
    with (
        Proxy(live.port) as proxy,
        Exchange(proxy.url, key=demo_key("demo-4"), journal=Journal(tmp_path / "j")) as client,
    ):
        nonce = client.next_nonce(client.identity().account_id, demo_key("demo-4").public_key.hex())
        client.trust()
        timer = threading.Timer(1.0, lambda: setattr(proxy, "mode", "pass"))
        timer.start()
        client.cancel_all()
        proxy.mode = "swallow"
        proxy.cut()
        result = client.cancel_all()
        timer.join()
        after = client.next_nonce(client.identity().account_id, demo_key("demo-4").public_key.hex())
    assert result.is_effective
    assert proxy.swallowed >= 1
    assert after == nonce + 2
    assert [entry.state for entry in Journal(tmp_path / "j").read()] == ["committed", "committed"]


def test_submit__a_node_that_goes_away__is_pending_by_the_deadline_and_resolved_later(
    live: LiveDevnet, tmp_path: Path
) -> None:
    path, key = tmp_path / "j", demo_key("demo-4")
    with Proxy(live.port) as proxy:
        with Exchange(proxy.url, key=key, journal=Journal(path), deadline_s=1.0) as client:
            client.cancel_all()
            proxy.mode = "swallow"
            proxy.cut()
            taken = client.cancel_all()
            proxy.mode = "refuse"
            proxy.cut()
            lost = client.cancel_all()
            assert (taken.state, lost.state) == ("pending", "pending")
            assert taken.retryable
        proxy.mode = "pass"
        with Exchange(proxy.url, key=key, journal=Journal(path)) as again:
            assert again.resolve(taken.tx_hash).state == "committed"
            assert again.resolve(lost.tx_hash).state == "unknown"
            states = {one.tx_hash: one.state for one in again.recover()}
            # What nobody had taken is abandoned for good, and its bytes are dead from then on.
            assert states[lost.tx_hash] == "rejected"
            entry = next(one for one in Journal(path).read() if one.tx_hash == lost.tx_hash)
            late = again.run(again.inner._submitter.follow(bytes.fromhex(entry.tx), lost.tx_hash, time.monotonic() + 5))
            assert (late.state, late.code_name) == ("rejected", "NONCE_USED")
            assert again.cancel_all().is_effective
    states = {one.tx_hash: one.state for one in Journal(path).read()}
    assert set(states.values()) == {"committed", "rejected"}


def test_hash__of_sent_bytes__is_the_node_s(alice: Exchange) -> None:
    result = alice.submit(make_cancel_all(None))
    assert alice.resolve(result.tx_hash).height == result.height
    assert len(hash_tx(_sign(alice))) == 64


def _sign(exchange: Exchange) -> bytes:
    tx, _ = exchange.run(exchange.inner._submitter.sign(exchange.identity(), make_cancel_all(None), 10**6))
    return tx


def test_watch__a_lost_connection__leaves_no_gap(live: LiveDevnet) -> None:
    key = demo_key("demo-2")

    async def work() -> tuple[list[int], list[int]]:
        heights: list[int] = []
        updates: list[int] = []
        async with AsyncExchange(live.url, key=key) as trader, AsyncExchange(proxy.url) as reader:
            account_id = (await trader.identity()).account_id

            async def follow() -> None:
                async for one in reader.watch(["blocks", f"account.{account_id}"]):
                    (heights if one.channel == "blocks" else updates).append(one.seq)

            task = asyncio.create_task(follow())
            for _ in range(3):
                await asyncio.sleep(0.2)
                await trader.cancel_all()
                await trader.withdraw(1)
                proxy.cut()
                proxy.mode = "refuse"
                await trader.withdraw(1)
                await asyncio.sleep(0.3)
                proxy.mode = "pass"
            await asyncio.sleep(1.5)
            task.cancel()
        return heights, updates

    with Proxy(live.port) as proxy:
        heights, updates = asyncio.run(work())
        assert proxy.connections >= 4
    assert heights == list(range(heights[0], heights[-1] + 1))
    assert len(heights) > 20
    assert updates == list(range(updates[0], updates[-1] + 1))
    assert len(updates) >= 6


def test_watch__another_chain_in_the_node_s_place__is_refused(live: LiveDevnet) -> None:
    with LiveDevnet(seed=8) as other, Proxy(live.port) as proxy, Exchange(proxy.url) as reader:
        stream = reader.watch(["blocks"])
        next(stream)
        proxy.target_port = other.port
        proxy.cut()
        with pytest.raises(WrongChainError, match="is chain holdfast-dev-8"):
            list(islice(stream, 100))


def test_submit__another_chain_in_the_node_s_place__is_refused_for_good(live: LiveDevnet) -> None:
    with LiveDevnet(seed=9) as other, Proxy(live.port) as proxy, Exchange(proxy.url, key=demo_key("demo-1")) as trader:
        assert trader.cancel_all().is_effective
        proxy.target_port = other.port
        proxy.cut()
        with pytest.raises(Rejected, match="BAD_SIGNATURE") as refusal:
            trader.cancel_all()
        assert (refusal.value.height, refusal.value.exit_code) == (0, 3)


def test_watch__a_channel_that_there_is_not__is_refused(alice: Exchange) -> None:
    with pytest.raises(InputError, match=r"there is no channel 'book\.NOTHING\.raw'"):
        next(alice.watch(["book.NOTHING.raw"]))


def test_watch__a_book__begins_with_a_snapshot(alice: Exchange) -> None:
    name = future(alice)
    first = next(alice.watch([f"book.{name}.100ms"]))
    assert isinstance(first.data, dict)
    assert first.data["type"] == "snapshot"


def test_transport__what_is_no_exchange__is_told() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        await writer.drain()
        writer.close()

    async def work() -> None:
        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, Transport(f"http://127.0.0.1:{port}") as transport:
            await transport.call("public/status", {}, dict[str, object])

    with pytest.raises(Unreachable, match="is not an exchange's API"):
        asyncio.run(work())


def test_submit__a_number_beyond_64_bits__is_bad_input_and_costs_no_nonce(alice: Exchange) -> None:
    with pytest.raises(InputError, match="a number of this Transfer has more than 64 bits"):
        alice.transfer(2**64, 1)
    assert alice.submit(make_cancel_all(None)).state == "committed"


def test_ask__text_that_is_not_unicode__is_bad_input(alice: Exchange) -> None:
    with pytest.raises(InputError, match="is no text in UTF-8"):
        alice.instruments("\udcff")
