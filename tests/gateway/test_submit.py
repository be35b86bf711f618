"""Submissions: each ends in exactly one of committed, rejected, or pending and resolvable."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from holdfast.client.commands import sign_command
from holdfast.gateway import submit
from holdfast.gateway.history import Written
from holdfast.gateway.rows import Commit
from holdfast.lab.solo import make_key
from holdfast.primitives.reject import Code
from holdfast.protocol.accounts.messages import GrantSession, RevokeSession, Scope
from holdfast.protocol.messages import command_domain
from holdfast.protocol.trading.messages import CancelAll, CancelOrder, PlaceOrder
from tests.support.gateway import Controls, future_of, open_market, served, settled, until


def test_submit__same_bytes_again__same_answer_and_one_effect() -> None:
    async def run() -> None:
        backend = open_market()
        number, _ = future_of(backend)
        tx = backend.sign(0, PlaceOrder(number, 0, 100_000, 1))
        async with served(backend) as here:
            both = await settled(here, tx, tx)
            assert both[0] == both[1]
            again = await here.client.ask("public/submit", tx=tx.hex())
            assert (again["state"], again["height"], again["events"]) == ("committed", 3, both[0]["events"])
            orders = await here.client.rows("public/get_open_orders", account_id=1_000)
            assert len(orders) == 1

    asyncio.run(run())


def test_submit__refused_by_the_rules__is_committed_with_a_code() -> None:
    async def run() -> None:
        backend = open_market()
        async with served(backend) as here:
            [result] = await settled(here, backend.sign(0, CancelOrder(99)))
            assert (result["state"], result["code"], result["code_name"]) == ("committed", 6012, "ORDER_UNKNOWN")
            assert result["height"] == 3
            known = await here.client.ask("public/get_tx", tx_hash=result["tx_hash"])
            assert known == result

    asyncio.run(run())


def test_submit__nonce_used_by_another__is_rejected_for_good() -> None:
    async def run() -> None:
        backend = open_market()
        async with served(backend) as here:
            [first] = await settled(here, backend.sign(0, CancelAll(0), nonce=5))
            other = await here.client.ask("public/submit", tx=backend.sign(0, CancelAll(7), nonce=5).hex())
            assert (other["state"], other["code"], other["final"]) == ("rejected", Code.NONCE_USED, True)
            assert str(first["tx_hash"]) in str(other["message"])
            signer = backend.solo.keys[0].public_key.hex()
            by_nonce = await here.client.ask("public/get_tx", account_id=1_000, signer=signer, nonce=5)
            assert by_nonce["tx_hash"] == first["tx_hash"]
            free = await here.client.ask("public/get_tx", account_id=1_000, signer=signer, nonce=6)
            assert (free["state"], free["nonce_is_free"]) == ("unknown", True)
            nonce = await here.client.ask("public/get_nonce", account_id=1_000, signer=signer)
            assert nonce["next_nonce"] == 6

    asyncio.run(run())


@pytest.mark.parametrize(
    ("tx", "code"),
    [
        (b"\x00", Code.BAD_ENCODING),
        (b"\x92\xc4\x00\xc4\x00", Code.BAD_ENCODING),
        (bytes(16 * 1024 + 1), Code.TX_TOO_LARGE),
    ],
)
def test_submit__no_command__is_rejected_for_good(tx: bytes, code: Code) -> None:
    async def run() -> None:
        async with served(open_market(1, 0)) as here:
            result = await here.client.ask("public/submit", tx=tx.hex())
            assert (result["state"], result["code"], result["final"], result["height"]) == ("rejected", code, True, 0)
            assert here.backend.submitted == 0

    asyncio.run(run())


def test_submit__foreign_chain_and_stranger__are_rejected() -> None:
    async def run() -> None:
        backend = open_market()
        other_chain = command_domain("other", backend.genesis_hash)
        key = backend.solo.keys[0]
        async with served(backend) as here:
            foreign = sign_command(key, other_chain, 1_000, 1, CancelAll(0))
            result = await here.client.ask("public/submit", tx=foreign.hex())
            assert (result["state"], result["code_name"], result["final"]) == ("rejected", "BAD_SIGNATURE", True)
            stranger = sign_command(key, backend.solo.domain, 1_001, 1, CancelAll(0))
            result = await here.client.ask("public/submit", tx=stranger.hex())
            assert (result["state"], result["code_name"], result["final"]) == ("rejected", "SIGNER_UNKNOWN", False)

    asyncio.run(run())


def test_submit__signer_lost_its_right_since__is_still_committed() -> None:
    async def run() -> None:
        backend = open_market()
        solo = backend.solo
        session = make_key("a session")
        grant = GrantSession(session.public_key, int(Scope.CANCEL), solo.time_ms + 3_600_000)
        tx = sign_command(session, solo.domain, 1_000, 1, CancelAll(0))
        never = sign_command(session, solo.domain, 1_000, 2, CancelAll(0))
        async with served(backend) as here:
            await settled(here, backend.sign(0, grant))
            [before] = await settled(here, tx)
            await settled(here, backend.sign(0, RevokeSession(session.public_key)))
            again = await here.client.ask("public/submit", tx=tx.hex())
            assert (again["state"], again["height"]) == ("committed", before["height"])
            late = await here.client.ask("public/submit", tx=never.hex())
            assert (late["state"], late["code_name"], late["final"]) == ("rejected", "SIGNER_UNKNOWN", False)

    asyncio.run(run())


def test_submit__index_behind_the_chain__waits_for_it() -> None:
    async def run() -> None:
        backend = open_market()
        tx = backend.sign(0, CancelAll(0))
        async with served(backend) as here:
            release = threading.Event()
            write = here.gateway.history.write

            def write_late(commits: Sequence[Commit]) -> list[Written]:
                release.wait(10)
                return write(commits)

            here.gateway.history.write = write_late  # type: ignore[method-assign]
            await asyncio.to_thread(backend.step, tx)
            task = asyncio.create_task(here.client.ask("public/submit", tx=tx.hex()))
            await asyncio.sleep(0.1)
            assert not task.done()
            release.set()
            result = await task
            assert (result["state"], result["height"]) == ("committed", 3)

    asyncio.run(run())


def test_get_tx__its_block_is_kept_no_more__still_tells_what_became_of_it() -> None:
    async def run() -> None:
        backend = open_market()
        async with served(backend) as here:
            [done] = await settled(here, backend.sign(0, CancelOrder(99)))
            backend.blocks.clear()
            known = await here.client.ask("public/get_tx", tx_hash=done["tx_hash"])
            for name in ("state", "height", "time_ms", "app_hash", "code", "code_name", "message", "retryable"):
                assert known[name] == done[name], name

    asyncio.run(run())


def test_submit__no_block_in_time__is_pending_and_resolves_later() -> None:
    async def run() -> None:
        backend = open_market()
        tx = backend.sign(0, CancelAll(0))
        async with served(backend) as here:
            result = await here.client.ask("public/submit", tx=tx.hex(), timeout_ms=50)
            assert (result["state"], result["height"], result["retryable"]) == ("pending", 0, True)
            asked = await here.client.ask("public/get_tx", tx_hash=result["tx_hash"])
            assert asked["state"] == "pending"
            await here.step()
            asked = await here.client.ask("public/get_tx", tx_hash=result["tx_hash"])
            assert (asked["state"], asked["height"]) == ("committed", 3)

    asyncio.run(run())


def test_submit__wait_received__answers_at_once() -> None:
    async def run() -> None:
        backend = open_market()
        async with served(backend) as here:
            result = await here.client.ask("public/submit", tx=backend.sign(0, CancelAll(0)).hex(), wait="received")
            assert result["state"] == "pending"
            assert len(backend.pool) == 1

    asyncio.run(run())


def test_submit__validator_goes_down__is_pending_never_an_error() -> None:
    async def run() -> None:
        backend = open_market()
        tx = backend.sign(0, CancelAll(0))
        async with served(backend) as here:
            backend.is_down = True
            result = await here.client.ask("public/submit", tx=tx.hex(), timeout_ms=150)
            assert result["state"] == "pending"
            error = await here.client.error("public/status")
            assert (error["code"], error["data"]) == (10_040, {"reason": "NO_VALIDATOR", "retryable": True})
            backend.is_down = False
            [result] = await settled(here, tx)
            assert result["state"] == "committed"

    asyncio.run(run())


def test_submit__validator_comes_back_while_waiting__is_committed() -> None:
    async def run() -> None:
        backend = open_market()
        async with served(backend) as here:
            backend.is_down = True
            task = asyncio.create_task(here.client.ask("public/submit", tx=backend.sign(0, CancelAll(0)).hex()))
            await until(lambda: backend.submitted > 0)
            backend.is_down = False
            await until(lambda: len(backend.pool) == 1)
            await here.step()
            assert (await task)["state"] == "committed"

    asyncio.run(run())


def test_submit__no_room__is_refused_before_it_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr(submit, "WAITING_MAX", 2)
        backend = open_market()
        txs = [backend.sign(0, CancelAll(0)) for _ in range(3)]
        async with served(backend) as here:
            waiting = [asyncio.create_task(here.client.ask("public/submit", tx=tx.hex())) for tx in txs[:2]]
            await until(lambda: backend.submitted == 2)
            error = await here.client.error("public/submit", tx=txs[2].hex())
            assert error["code"] == 10_028
            assert error["data"] == {"reason": "TOO_MANY_WAITING", "retryable": True}
            assert backend.submitted == 2
            await here.step()
            assert [(await one)["state"] for one in waiting] == ["committed", "committed"]
            [last] = await settled(here, txs[2])
            assert last["state"] == "committed"

    asyncio.run(run())


def test_submit__full_mempool__is_an_error_only_for_what_was_never_taken() -> None:
    async def run() -> None:
        backend = open_market()
        taken, fresh = backend.sign(0, CancelAll(0)), backend.sign(0, CancelAll(0))
        async with served(backend) as here:
            result = await here.client.ask("public/submit", tx=taken.hex(), timeout_ms=20)
            assert result["state"] == "pending"
            backend.is_full = True
            again = await here.client.ask("public/submit", tx=taken.hex(), timeout_ms=20)
            assert again["state"] == "pending"
            error = await here.client.error("public/submit", tx=fresh.hex())
            assert (error["code"], error["message"]) == (
                10_028,
                "too many commands wait for a block; send the same bytes again soon",
            )

    asyncio.run(run())


def test_submit__client_hangs_up__the_command_is_committed_all_the_same() -> None:
    async def run() -> None:
        backend = open_market()
        tx = backend.sign(0, CancelAll(0))
        async with served(backend) as here:
            task = asyncio.create_task(here.client.ask("public/submit", tx=tx.hex()))
            await until(lambda: len(backend.pool) == 1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await here.step()
            result = await here.client.ask("public/submit", tx=tx.hex())
            assert result["state"] == "committed"

    asyncio.run(run())


def test_dev_deposit__new_owner__opens_an_account() -> None:
    async def run() -> None:
        backend = open_market()
        key = "ab" * 31 + "cd"
        async with served(backend, dev=Controls(backend)) as here:
            owner = backend.solo.keys[0].public_key.hex()
            task = asyncio.create_task(
                here.client.ask("dev/deposit", owner_key=owner, asset="USDC", amount="1.5", amount_atoms=1_500_000)
            )
            await until(lambda: len(backend.pool) == 1)
            await here.step()
            assert (await task)["state"] == "committed"
            error = await here.client.error("dev/deposit", owner_key=key, asset="DOGE", amount=1)
            assert (error["code"], error["data"]) == (
                -32_602,
                {"reason": "PARAM_INVALID", "retryable": False, "param": "asset"},
            )
            error = await here.client.error("dev/fault", spec="crash:validator=0")
            assert error["data"] == {"reason": "DEV_REFUSED", "retryable": False}

    asyncio.run(run())


def test_dev__no_devnet__is_forbidden() -> None:
    async def run() -> None:
        async with served(open_market(1, 0)) as here:
            error = await here.client.error("dev/heal")
            assert (error["code"], error["message"]) == (13_021, "this is no devnet: dev/ methods are off")

    asyncio.run(run())
