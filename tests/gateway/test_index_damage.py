"""A damaged index: told and built again, never served."""

import asyncio
import random
import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from holdfast.consensus.messages import decode_block
from holdfast.gateway.follow import Follower
from holdfast.gateway.history import History
from holdfast.gateway.rows import TxRow, decode_tx
from holdfast.lab.chaos.flips import IndexRead, draw, flip_bit, judge_index, list_files, read_index
from holdfast.primitives.reject import Code
from holdfast.protocol.trading.messages import CancelAll, PlaceOrder
from tests.gateway.test_history import rebuild, trade_a_while
from tests.support.gateway import (
    JsonObject,
    Served,
    SoloBackend,
    future_of,
    mark_ticks,
    open_market,
    served,
    settled,
    until,
)


def open_index(backend: SoloBackend, folder: Path) -> History:
    return History(folder / "index", chain_id="solo", genesis_hash=backend.genesis_hash)


def make_index(backend: SoloBackend, folder: Path, *, keeps_log: bool = False) -> IndexRead:
    """Leave an index in a folder, checkpointed or as a killed process leaves it, and return what it answers."""
    made = folder.with_name("made")
    made.mkdir()
    history = rebuild(backend, made / "index")
    read = read_index(history)
    if keeps_log:
        shutil.copytree(made, folder)
    history.close()
    if not keeps_log:
        shutil.copytree(made, folder)
    return read


def first_tx(backend: SoloBackend, read: IndexRead) -> tuple[bytes, TxRow]:
    """Return a committed transaction's bytes and its row."""
    row = next(row for row in read.rows["txs"] if isinstance(row, TxRow) and row.account_id == 1_000)
    block = decode_block(backend.blocks[row.height].data)
    return next(tx for tx in block.txs[1:] if decode_tx(tx)[0].hex() == row.tx_hash), row


async def resolve(here: Served, tx: bytes) -> list[JsonObject]:
    """Submit bytes until their fate is known; return every answer."""
    answers: list[JsonObject] = []
    async with asyncio.timeout(20):
        while not answers or answers[-1]["state"] in ("unknown", "pending"):
            answers.append(await here.client.ask("public/submit", tx=tx.hex(), timeout_ms=500))
    return answers


@pytest.mark.parametrize(("keeps_log", "flips"), [(False, 200), (True, 60)])
def test_index__a_bit_flipped__is_built_again_or_answers_the_same(
    tmp_path: Path, *, keeps_log: bool, flips: int
) -> None:
    backend = open_market()
    trade_a_while(backend, 5, 1)
    whole, work = tmp_path / "whole", tmp_path / "work"
    expected = make_index(backend, whole, keeps_log=keeps_log)
    files, draws = list_files(whole), random.Random(7)
    verdicts: Counter[str] = Counter()
    for _ in range(flips):
        flip = draw(files, draws)
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(whole, work)
        flip_bit(work, flip)
        history = open_index(backend, work)
        verdict, reason = judge_index(history, expected)
        history.close()
        verdicts[verdict] += 1
        assert verdict in ("harmless", "repaired"), (flip, reason)
    assert min(verdicts["harmless"], verdicts["repaired"]) > flips // 10


def test_submit__a_bit_of_its_rows_flipped__is_committed_and_never_rejected(tmp_path: Path) -> None:
    async def run() -> None:
        backend = open_market()
        trade_a_while(backend, 3, 2)
        whole, work = tmp_path / "whole", tmp_path / "work"
        tx, row = first_tx(backend, make_index(backend, whole))
        content = (whole / "index").read_bytes()
        places: list[int] = []
        at = content.find(row.tx_hash.encode())
        while at >= 0:
            places.append(at)
            at = content.find(row.tx_hash.encode(), at + 1)
        # Its key, its row's text, and where it stands under its height and its nonce.
        assert len(places) >= 4
        for place in places:
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(whole, work)
            damaged = bytearray(content)
            damaged[place + 5] ^= 1
            (work / "index").write_bytes(damaged)
            async with served(backend, index=work / "index") as here:
                answers = await resolve(here, tx)
                assert {answer["state"] for answer in answers[:-1]} <= {"unknown", "pending"}
                assert (answers[-1]["state"], answers[-1]["height"], answers[-1]["code"]) == (
                    "committed",
                    row.height,
                    row.code,
                )

    asyncio.run(run())


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE txs SET row = replace(row, ',0,\"\"', ',1,\"\"') WHERE tx_hash = ?",
        "UPDATE txs SET height = height + 1 WHERE tx_hash = ?",
        "UPDATE txs SET digest = digest + 1 WHERE tx_hash = ?",
        "UPDATE txs SET nonce = nonce + 1 WHERE tx_hash = ?",
        "DELETE FROM txs WHERE tx_hash = ?",
    ],
)
def test_index__damaged_while_it_is_served__says_unknown_and_is_built_again(tmp_path: Path, damage: str) -> None:
    async def run() -> None:
        backend = open_market()
        tx = backend.sign(0, CancelAll(0))
        async with served(backend, index=tmp_path / "index") as here:
            [before] = await settled(here, tx)
            before_rows = here.gateway.history.dump()
            other = sqlite3.connect(tmp_path / "index")
            with other:
                assert other.execute(damage, (before["tx_hash"],)).rowcount == 1
            other.close()
            answers = await resolve(here, tx)
            assert answers[0]["state"] == "unknown"
            assert {answer["state"] for answer in answers[:-1]} <= {"unknown", "pending"}
            assert answers[-1] == before
            assert await here.client.ask("public/get_tx", tx_hash=before["tx_hash"]) == before
            assert here.gateway.history.dump() == before_rows
            # A command that lost its nonce to another is still told so.
            late = backend.sign(0, CancelAll(7), nonce=1)
            result = await here.client.ask("public/submit", tx=late.hex())
            assert (result["state"], result["code"], result["final"]) == ("rejected", Code.NONCE_USED, True)

    asyncio.run(run())


@pytest.mark.parametrize("damage", ["DELETE FROM trades", "DELETE FROM orders", "DELETE FROM blocks"])
def test_get_tx__its_trades_orders_or_block_lost__is_unknown_until_they_are_back(tmp_path: Path, damage: str) -> None:
    async def run() -> None:
        backend = open_market()
        number, _ = future_of(backend)
        price = mark_ticks(backend, number)
        async with served(backend, index=tmp_path / "index") as here:
            await settled(here, backend.sign(0, PlaceOrder(number, 0, price, 5)))
            [before] = await settled(here, backend.sign(1, PlaceOrder(number, 1, price, 5)))
            assert (len(cast("list[object]", before["trades"])), bool(before["order"])) == (1, True)
            if "blocks" in damage:
                # What the index alone tells, where the block itself is kept no more.
                del backend.blocks[cast("int", before["height"])]
            other = sqlite3.connect(tmp_path / "index")
            with other:
                other.execute(damage)
            other.close()
            answer = await here.client.ask("public/get_tx", tx_hash=before["tx_hash"])
            assert answer["state"] == "unknown"
            if "blocks" in damage:
                return
            async with asyncio.timeout(20):
                while answer["state"] == "unknown":
                    answer = await here.client.ask("public/get_tx", tx_hash=before["tx_hash"])
            assert answer == before

    asyncio.run(run())


def test_index__rows_missing_from_all_trees__is_seen_by_the_seals(tmp_path: Path) -> None:
    backend = open_market()
    trade_a_while(backend, 3, 3)
    make_index(backend, tmp_path / "index")
    for table in ("blocks", "txs", "orders", "trades", "instruments", "accounts"):
        work = tmp_path / table
        shutil.copytree(tmp_path / "index", work)
        connection = sqlite3.connect(work / "index")
        with connection:
            connection.execute(f"DELETE FROM {table} WHERE digest = (SELECT max(digest) FROM {table})")  # noqa: S608 -- ours
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
        history = open_index(backend, work)
        assert (history.rebuilt_because, history.is_checked) == ("", False)
        history.check(lambda: False)
        assert history.damage == f"the rows of {table} are not those that were written"
        assert not history.is_checked
        history.close()


def test_index__pruned__keeps_every_accounts_count_and_its_seals(tmp_path: Path) -> None:
    backend = open_market()
    trade_a_while(backend, 6, 4)
    history = rebuild(backend, tmp_path / "index")
    seqs = {number: history.last_seq(number) for number in range(1_000, 1_004)}
    assert min(seqs.values()) > 0
    history.prune(history.height + 1)
    assert all(len(history.list_updates(number, 0, 100)) == 1 for number in seqs)
    history.close()
    again = History(tmp_path / "index", chain_id="solo", genesis_hash=backend.genesis_hash)
    again.check(lambda: False)
    assert (again.damage, again.is_checked) == ("", True)
    assert {number: again.last_seq(number) for number in seqs} == seqs
    again.close()


def test_index__not_checked_yet__concludes_nothing_from_what_it_does_not_hold(tmp_path: Path) -> None:
    async def run() -> None:
        backend = open_market()
        used = backend.sign(0, CancelAll(0), nonce=1)
        async with served(backend, index=tmp_path / "index") as here:
            [done] = await settled(here, used)
            here.gateway.history.is_checked = False
            late = backend.sign(0, CancelAll(7), nonce=1)
            result = await here.client.ask("public/submit", tx=late.hex(), timeout_ms=50)
            assert result["state"] == "pending"
            # What it does hold is checked row by row.
            assert (await here.client.ask("public/get_tx", tx_hash=done["tx_hash"])) == done
            error = await here.client.error("public/get_user_trades", account_id=1_000)
            assert (error["code"], error["data"]) == (10_040, {"reason": "INDEX_BUILDING", "retryable": True})
            ready = await here.client.page("/ready")
            assert "the index is being checked" in cast("list[str]", ready["reasons"])
            here.gateway.history.is_checked = True
            result = await here.client.ask("public/submit", tx=late.hex())
            assert (result["state"], result["final"]) == ("rejected", True)

    asyncio.run(run())


def test_follower__index_damaged__tells_every_block_once_while_it_is_built_again(tmp_path: Path) -> None:
    async def run() -> None:
        backend = open_market(blocks=1)
        history = History(tmp_path / "index", chain_id="solo", genesis_hash=backend.genesis_hash)
        told: list[int] = []
        whole: list[int] = []
        follower = Follower(
            backend,
            history,
            lambda written: told.extend(one.rows.commit.height for one in written),
            lambda: whole.append(history.height),
        )
        follower.start()
        await until(lambda: bool(whole))
        backend.step()
        await until(lambda: told == [2])
        history.fail("a test says so")
        assert not follower.is_whole
        for _ in range(3):
            backend.step()
        await until(lambda: len(told) == 4)
        await until(lambda: follower.is_whole)
        assert told == [2, 3, 4, 5]
        assert (follower.rebuilds, history.clears, history.first_height, history.height) == (1, 1, 1, 5)
        follower.close()
        history.close()

    asyncio.run(run())
