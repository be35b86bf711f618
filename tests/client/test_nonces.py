"""Nonces: each given out once, and never so far ahead that the chain's window forgets one in flight."""

import asyncio

from holdfast.client.nonces import IN_FLIGHT_MAX, NonceLine
from holdfast.protocol.limits import NONCE_WINDOW


def test_take__many_at_once__gives_each_a_nonce_of_its_own() -> None:
    async def work() -> list[int]:
        line = NonceLine(7)

        async def one() -> int:
            nonce = await line.take()
            await asyncio.sleep(0)
            await line.give_back(nonce)
            return nonce

        return list(await asyncio.gather(*(one() for _ in range(300))))

    taken = asyncio.run(work())
    assert sorted(taken) == list(range(7, 307))


def test_take__the_oldest_in_flight_about_to_leave_the_window__waits_for_it() -> None:
    assert IN_FLIGHT_MAX < NONCE_WINDOW

    async def work() -> None:
        line = NonceLine(1)
        held = [await line.take() for _ in range(IN_FLIGHT_MAX)]
        waiting = asyncio.ensure_future(line.take())
        for nonce in held[1:]:
            await line.give_back(nonce)
        await asyncio.sleep(0.01)
        assert not waiting.done()
        await line.give_back(held[0])
        assert await asyncio.wait_for(waiting, 1) == IN_FLIGHT_MAX + 1

    asyncio.run(work())


def test_advance__the_chain_s_next_nonce__is_taken_only_if_it_is_ahead() -> None:
    async def work() -> list[int]:
        line = NonceLine(5)
        await line.advance(9)
        first = await line.take()
        await line.advance(3)
        return [first, await line.take()]

    assert asyncio.run(work()) == [9, 10]
