"""The index: derived, deletable, the same however it came to be."""

import asyncio
import random
import sqlite3
from pathlib import Path
from typing import cast

from holdfast.gateway.follow import Follower, fetch_commit
from holdfast.gateway.history import History
from holdfast.protocol.book.state import ORDERS
from holdfast.protocol.trading.messages import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    MassQuote,
    PlaceOrder,
    Quote,
    SetProtection,
)
from tests.support.gateway import SoloBackend, future_of, mark_ticks, open_market, served, until


def trade_a_while(backend: SoloBackend, blocks: int, seed: int) -> None:
    """Make blocks of drawn orders, cancels, amendments and quotes."""
    draws = random.Random(seed)
    number, _ = future_of(backend)
    backend.step(backend.sign(3, SetProtection(1, 1_000, 60_000)))
    for _ in range(blocks):
        mark = mark_ticks(backend, number)
        txs = []
        for index in range(3):
            side, away = draws.randrange(2), draws.randrange(-3, 4)
            price = 0 if draws.random() < 0.1 else mark + away
            tif = draws.randrange(3)
            txs.append(
                backend.sign(
                    index, PlaceOrder(number, side, price, draws.randrange(1, 30), tif, client_id=draws.randrange(3))
                )
            )
        with backend.reading() as view:
            open_orders = [number for number, order in view.draft[ORDERS].items() if order.flags == 0]
            owners = {number: view.draft[ORDERS][number].account_id - 1_000 for number in open_orders}
        if open_orders:
            chosen = draws.choice(open_orders)
            txs.append(backend.sign(owners[chosen], CancelOrder(chosen)))
            chosen = draws.choice(open_orders)
            txs.append(backend.sign(owners[chosen], AmendOrder(chosen, mark + draws.randrange(-3, 4), 10)))
        if draws.random() < 0.1:
            txs.append(backend.sign(0, CancelAll(0)))
        txs.append(backend.sign(3, MassQuote(1, (Quote(number, mark - 2, 5, mark + 2, 5),))))
        backend.step(*txs)


def rebuild(backend: SoloBackend, path: Path | None = None) -> History:
    history = History(path, chain_id="solo", genesis_hash=backend.genesis_hash)
    commits = [fetch_commit(backend, height) for height in range(history.height + 1, backend.solo.height + 1)]
    for commit in commits:
        assert commit is not None
        history.write([commit])
    return history


def test_index__rebuilt_from_blocks__equals_the_live_one(tmp_path: Path) -> None:
    async def run() -> None:
        backend = open_market()
        async with served(backend, index=tmp_path / "live") as here:
            await asyncio.to_thread(trade_a_while, backend, 12, 1)
            await here.step()
            live = here.gateway.history.dump()
        assert len(live["trades"]) > 10
        assert len(live["orders"]) > 20
        assert len(live["accounts"]) > 20
        again = rebuild(backend)
        assert again.dump() == live
        again.close()
        at_once = History(None, chain_id="solo", genesis_hash=backend.genesis_hash)
        commits = [fetch_commit(backend, height) for height in range(1, backend.solo.height + 1)]
        at_once.write([commit for commit in commits if commit is not None])
        assert at_once.dump() == live
        at_once.close()

    asyncio.run(run())


def test_index__orders__agree_with_the_book_and_with_their_fills() -> None:
    backend = open_market()
    trade_a_while(backend, 15, 2)
    history = rebuild(backend)
    with backend.reading() as view:
        resting = {number: order for number, order in view.draft[ORDERS].items() if order.flags == 0}
    for account_id in (1_000, 1_001, 1_002):
        for row in history.list_account_orders(account_id, 1_000):
            trades = [
                trade
                for trade in history.list_user_trades(account_id, 1_000)
                if row.order_id in (trade.taker_order_id, trade.maker_order_id)
            ]
            assert row.filled_lots == sum(trade.lots for trade in trades)
            assert row.cost_ticks == sum(trade.lots * trade.price_ticks for trade in trades)
            if row.order_id in resting:
                order = resting.pop(row.order_id)
                assert (row.state, row.open_lots, row.price_ticks) == ("open", order.lots, order.price_ticks)
                assert row.lots == row.filled_lots + row.open_lots
            else:
                assert row.state in ("filled", "cancelled")
                assert row.open_lots == 0
                assert (row.lots == row.filled_lots) == (row.state == "filled")
    assert not resting
    history.close()


def test_index__restart__continues_without_a_gap(tmp_path: Path) -> None:
    async def run() -> None:
        backend = open_market()
        index = tmp_path / "index"
        async with served(backend, index=index) as here:
            await asyncio.to_thread(trade_a_while, backend, 3, 3)
            await here.step()
        trade_a_while(backend, 3, 4)
        async with served(backend, index=index) as here:
            live = here.gateway.history.dump()
            assert here.gateway.history.height == backend.solo.height
        again = rebuild(backend)
        assert again.dump() == live
        again.close()

    asyncio.run(run())


def test_index__deleted_damaged_or_foreign__is_built_anew(tmp_path: Path) -> None:
    async def run() -> None:
        backend = open_market()
        trade_a_while(backend, 2, 5)
        index = tmp_path / "index"
        expected = rebuild(backend, index)
        rows = expected.dump()
        expected.close()
        index.write_bytes(b"not a database" * 1_000)
        async with served(backend, index=index) as here:
            assert here.gateway.history.dump() == rows
            assert "not a database" in here.gateway.history.rebuilt_because
        other = History(index, chain_id="other", genesis_hash=backend.genesis_hash)
        assert (other.height, other.rebuilt_because) == (0, "the index is of another chain id")
        other.close()

    asyncio.run(run())


def test_index__of_other_blocks_of_the_same_chain__is_built_anew(tmp_path: Path) -> None:
    async def run() -> None:
        lost, kept = open_market(), open_market()
        index = tmp_path / "index"
        trade_a_while(lost, 4, 6)
        rebuild(lost, index).close()
        trade_a_while(kept, 4, 7)
        async with served(kept, index=index) as here:
            live = here.gateway.history.dump()
        again = rebuild(kept)
        assert again.dump() == live
        again.close()

    asyncio.run(run())


def test_index__early_blocks_pruned__begins_where_blocks_are_kept() -> None:
    async def run() -> None:
        backend = open_market(blocks=10)
        used = backend.sign(0, CancelAll(0))
        backend.step(used)
        backend.step()
        for height in range(1, 12):
            del backend.blocks[height]
        async with served(backend) as here:
            assert (here.gateway.history.first_height, here.gateway.history.height) == (12, 12)
            # Its nonce is used, and whether by it is told by no block that is kept.
            result = await here.client.ask("public/submit", tx=used.hex())
            assert (result["state"], result["retryable"]) == ("unknown", True)

    asyncio.run(run())


def test_index__the_file__is_whole_after_a_hard_end(tmp_path: Path) -> None:
    backend = open_market()
    index = tmp_path / "index"
    history = rebuild(backend, index)
    # No close: what a killed process leaves behind.
    again = sqlite3.connect(index)
    assert again.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert again.execute("SELECT max(height) FROM blocks").fetchone() == (2,)
    again.close()
    history.close()


def test_index__validators_come_up_later__is_built_before_it_is_said_to_be() -> None:
    async def run() -> None:
        backend = open_market(blocks=5)
        backend.is_starting = True
        async with served(backend, waits=False) as here:
            await asyncio.sleep(0.1)
            ready = await here.client.page("/ready")
            assert "the index is being built from the blocks" in cast("list[str]", ready["reasons"])
            backend.is_starting = False
            await until(lambda: here.gateway.history.height == 5)
            await until(lambda: here.gateway.height == 5)

    asyncio.run(run())


def test_follower__queue_full__fetches_what_it_dropped() -> None:
    async def run() -> None:
        backend = open_market(blocks=1)
        history = History(None, chain_id="solo", genesis_hash=backend.genesis_hash)
        told: list[int] = []
        follower = Follower(
            backend, history, lambda written: told.extend(one.rows.commit.height for one in written), lambda: None
        )
        follower.start()
        # What is committed before it has begun it does not tell.
        async with asyncio.timeout(60):
            while not follower.is_caught_up:  # noqa: ASYNC110 -- another thread begins
                await asyncio.sleep(0.01)
        event = backend.step()
        for _ in range(3):
            backend.step()
        # The same block again, and one that was told of before those below it.
        follower.take(event)
        async with asyncio.timeout(60):
            while len(told) < 4:  # noqa: ASYNC110 -- another thread tells
                await asyncio.sleep(0.01)
        assert told == [2, 3, 4, 5]
        follower.close()
        history.close()

    asyncio.run(run())
