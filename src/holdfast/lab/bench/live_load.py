"""The load: a process of its own that sends orders at a rate, whatever the exchange does, and times the answers.

It is driven by lines on its standard input, each a `Step`, and answers with lines of `Window`: one every so often while
a step runs, and a last one over all of it. An order's time begins when it was due, not when it was sent, so that an
exchange that holds the load up cannot hide it; how late the load itself was is told too.
"""

import asyncio
import os
import sys
import time
from collections import Counter
from contextlib import suppress
from typing import Final

import aiohttp
import msgspec

from holdfast.client.exchange import AsyncExchange
from holdfast.client.transport import SOCKET_PATH, encode_request
from holdfast.lab.bench.live_orders import REST, TAKE, Listed, OrderFlow, Sent, Trader, trader_key
from holdfast.lab.bench.live_server import read_facts
from holdfast.protocol.messages import command_domain

DRAIN_S: Final = 15.0
_SOCKETS: Final = 8
_PACE_S: Final = 0.002
_BURST_MAX: Final = 64
_MARKS_EVERY_S: Final = 2.0
_DEPOSITS_AT_ONCE: Final = 16
_FUNDS: Final = 1_000_000
_LIVES_FOR_MS: Final = 2 * 86_400_000
_OPTIONS: Final = {"BTC": 4, "ETH": 2}
_MILLIS: Final = 1_000.0


class Plan(msgspec.Struct, frozen=True):
    """Where to send, and from how many accounts."""

    url: str
    accounts: int
    seed: int = 1


class Step(msgspec.Struct, frozen=True):
    """Send at a rate for a time; tell of it every `window_s` seconds, 0 for at the end only."""

    rate: float
    seconds: float
    window_s: float = 0.0


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the orders that were due in some seconds. Times are in milliseconds, from due to answered."""

    is_last: bool
    seconds: float
    sent: int
    committed: int
    effective: int
    refused: dict[str, int]  # by code: in a block without effect, or in none
    unresolved: int
    filled: int
    kinds: dict[str, int]
    p50_ms: float
    p99_ms: float
    max_ms: float
    late_p99_ms: float  # the load's own: from due to sent
    cpu_share: float  # of one core
    rss_bytes: int
    in_flight: int

    @property
    def rate(self) -> float:
        """Return the committed orders a second."""
        return self.committed / self.seconds if self.seconds else 0.0


class _Order(msgspec.Struct):
    order_id: str = ""
    order_state: str = ""


class _Result(msgspec.Struct):
    state: str
    code: int = 0
    code_name: str = ""
    order: _Order | None = None
    trades: tuple[msgspec.Raw, ...] = ()


class _Data(msgspec.Struct):
    reason: str = ""


class _Error(msgspec.Struct):
    code: int = 0
    data: _Data = msgspec.field(default_factory=_Data)


class _Frame(msgspec.Struct):
    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: _Error | None = None


_FRAMES: Final = msgspec.json.Decoder(_Frame)
_RESULTS: Final = msgspec.json.Decoder(_Result)


class Tally:
    """Counts what is due, sent and answered."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.began_s = time.perf_counter()
        self.cpu_s = time.process_time()
        self.sent = 0
        self.committed = 0
        self.effective = 0
        self.filled = 0
        self.unresolved = 0
        self.refused: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.times_ms: list[float] = []
        self.late_ms: list[float] = []

    def close(self, seconds: float, *, in_flight: int, is_last: bool) -> Window:
        """Return what was counted."""
        times, late = sorted(self.times_ms), sorted(self.late_ms)
        passed_s = max(1e-9, time.perf_counter() - self.began_s)
        return Window(
            is_last=is_last,
            seconds=seconds or passed_s,
            sent=self.sent,
            committed=self.committed,
            effective=self.effective,
            refused=dict(self.refused),
            unresolved=self.unresolved,
            filled=self.filled,
            kinds=dict(self.kinds),
            p50_ms=quantile(times, 0.5),
            p99_ms=quantile(times, 0.99),
            max_ms=times[-1] if times else 0.0,
            late_p99_ms=quantile(late, 0.99),
            cpu_share=(time.process_time() - self.cpu_s) / passed_s,
            rss_bytes=read_facts(os.getpid()).rss_bytes,
            in_flight=in_flight,
        )


class Load:
    """The accounts, the connections, and what is in flight."""

    def __init__(self, plan: Plan) -> None:
        """Take a plan; `open` makes the accounts."""
        self._plan = plan
        self._exchange = AsyncExchange(plan.url)
        self._instruments: list[Listed] = []
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []
        self._readers: list[asyncio.Task[None]] = []
        self._flow: OrderFlow | None = None
        self._in_flight: dict[int, tuple[Sent, float]] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._number = 0
        self._tallies: list[Tally] = []

    async def open(self) -> None:
        """Fund the accounts, choose instruments, and connect."""
        trust = await self._exchange.trust()
        limit = asyncio.Semaphore(_DEPOSITS_AT_ONCE)

        async def enter(number: int) -> Trader:
            async with limit:
                key = trader_key(number)
                await self._exchange.deposit(key.public_key.hex(), _FUNDS)
                account_id = (await self._exchange.account(owner_key=key.public_key.hex())).account_id
                nonce = await self._exchange.next_nonce(account_id, key.public_key.hex())
                return Trader(key, account_id, nonce)

        traders = list(await asyncio.gather(*map(enter, range(self._plan.accounts))))
        self._instruments = await self._choose()
        domain = command_domain(trust.chain_id, trust.genesis_hash)
        self._flow = OrderFlow(traders, self._instruments, domain, self._plan.seed)
        await self._read_marks()
        session = self._exchange._transport.session()  # noqa: SLF001 -- the client's own connections
        url = "ws" + self._plan.url.removeprefix("http") + SOCKET_PATH
        self._sockets = [await session.ws_connect(url, max_msg_size=0) for _ in range(_SOCKETS)]
        self._readers = [asyncio.create_task(self._read(socket)) for socket in self._sockets]

    async def close(self) -> None:
        """Leave."""
        for reader in self._readers:
            reader.cancel()
        for socket in self._sockets:
            await socket.close()
        await self._exchange.close()

    async def run(self, step: Step) -> None:
        """Send at a rate, tell windows, wait for the answers, and tell the whole."""
        whole = Tally()
        self._tallies = [whole]
        following = asyncio.create_task(self._follow_marks())
        windows = asyncio.create_task(self._tell_windows(step.window_s)) if step.window_s else None
        try:
            await self._send_all(step, whole)
        finally:
            following.cancel()
            if windows is not None:
                windows.cancel()
        cpu_s = time.process_time() - whole.cpu_s
        await self._drain(whole)
        window = whole.close(step.seconds, in_flight=0, is_last=True)
        tell(msgspec.structs.replace(window, cpu_share=cpu_s / max(step.seconds, 1e-9)))
        self._tallies = []

    async def _send_all(self, step: Step, whole: Tally) -> None:
        total = round(step.rate * step.seconds)
        done = 0
        while done < total:
            due = min(total, int((time.perf_counter() - whole.began_s) * step.rate) + 1)
            burst = 0
            while done < due and burst < _BURST_MAX:
                if not await self._send(whole.began_s + done / step.rate):
                    break
                done += 1
                burst += 1
            await asyncio.sleep(0 if done < due and burst == _BURST_MAX else _PACE_S)
            if not self._in_flight and not any(not reader.done() for reader in self._readers):
                return

    async def _send(self, due_s: float) -> bool:
        sent = None if self._flow is None else self._flow.next()
        if sent is None:
            return False
        self._number += 1
        now_s = time.perf_counter()
        for tally in self._tallies:
            tally.sent += 1
            tally.kinds[sent.kind] += 1
            tally.late_ms.append((now_s - due_s) * _MILLIS)
        self._in_flight[self._number] = (sent, due_s)
        self._idle.clear()
        params = {"tx": sent.tx.hex(), "wait": "committed", "timeout_ms": 30_000}
        frame = encode_request(self._number, "public/submit", params)
        await self._sockets[self._number % len(self._sockets)].send_str(frame.decode())
        return True

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                continue
            frame = _FRAMES.decode(message.data)
            found = None if frame.id is None else self._in_flight.pop(frame.id, None)
            if not self._in_flight:
                self._idle.set()
            if found is not None:
                self._take(found[0], (time.perf_counter() - found[1]) * _MILLIS, frame)

    def _take(self, sent: Sent, time_ms: float, frame: _Frame) -> None:
        sent.trader.in_flight -= 1
        if frame.error is not None:
            reason = frame.error.data.reason or str(frame.error.code)
            for tally in self._tallies:
                tally.refused[reason] += 1
                tally.times_ms.append(time_ms)
            return
        result = _RESULTS.decode(frame.result)
        is_committed = result.state == "committed"
        for tally in self._tallies:
            tally.times_ms.append(time_ms)
            tally.committed += is_committed
            tally.effective += is_committed and not result.code
            tally.filled += bool(result.trades)
            if result.code:
                tally.refused[result.code_name] += 1
            elif not is_committed:
                tally.unresolved += 1
        self._learn(sent, result)

    def _learn(self, sent: Sent, result: _Result) -> None:
        order = result.order
        if sent.kind == REST and order is not None and order.order_state == "open":
            sent.trader.resting.append(int(order.order_id.rsplit("-", 1)[-1]))
        if sent.kind == TAKE and result.trades:
            step = 1 if sent.side == 0 else -1
            sent.trader.lots[sent.instrument_id] = sent.trader.lots.get(sent.instrument_id, 0) + step

    async def _drain(self, whole: Tally) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), DRAIN_S)
        now_s = time.perf_counter()
        for sent, due_s in self._in_flight.values():
            # What was never answered counts as having taken this long at least.
            whole.times_ms.append((now_s - due_s) * _MILLIS)
            whole.unresolved += 1
            sent.trader.in_flight -= 1
        self._in_flight.clear()

    async def _tell_windows(self, every_s: float) -> None:
        while True:
            window = Tally()
            self._tallies = [self._tallies[0], window]
            await asyncio.sleep(every_s)
            tell(window.close(0.0, in_flight=len(self._in_flight), is_last=False))

    # The market that is traded in

    async def _choose(self) -> list[Listed]:
        """Return the calls nearest to the money that live for some days."""
        now_ms = (await self._exchange.status()).time_ms
        chosen: list[Listed] = []
        for currency, count in _OPTIONS.items():
            listed = await self._exchange.instruments(currency, "option")
            lasting = [
                one
                for one in listed
                if one.is_active and one.option_type == "call" and one.expiration_timestamp > now_ms + _LIVES_FOR_MS
            ]
            marks = {one.instrument_name: one.mark_price for one in await self._exchange.summaries(currency)}
            spot = float((await self._exchange.ticker(lasting[0].instrument_name)).index_price or 0)
            lasting.sort(key=lambda one: (abs(float(one.strike or 0) - spot), one.expiration_timestamp))
            priced = [one for one in lasting if marks.get(one.instrument_name)]
            chosen += [Listed(one.instrument_id, one.instrument_name, float(one.tick_size)) for one in priced[:count]]
        return chosen

    async def _follow_marks(self) -> None:
        while True:
            await asyncio.sleep(_MARKS_EVERY_S)
            await self._read_marks()

    async def _read_marks(self) -> None:
        for listed in self._instruments:
            mark = float((await self._exchange.ticker(listed.name)).mark_price or 0)
            if self._flow is not None and mark > 0:
                self._flow.marks[listed.instrument_id] = max(2, round(mark / listed.tick_size))


def quantile(ordered: list[float], share: float) -> float:
    """Return the value below which a share of an ordered list lies, 0 for none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def tell(told: Window) -> None:
    """Write a line."""
    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
    sys.stdout.buffer.flush()


async def serve(plan: Plan) -> None:
    """Make the accounts, say so with an empty window, and run what is asked for until the input ends."""
    load = Load(plan)
    try:
        await load.open()
        tell(Tally().close(0.0, in_flight=0, is_last=True))
        while line := await asyncio.to_thread(sys.stdin.buffer.readline):
            await load.run(msgspec.json.decode(line, type=Step))
    finally:
        await load.close()


def main() -> None:
    """Run the process: its plan is the first argument."""
    asyncio.run(serve(msgspec.json.decode(sys.argv[1], type=Plan)))


if __name__ == "__main__":
    main()
