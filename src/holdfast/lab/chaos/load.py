"""A client in a process of its own: it trades for several accounts, and loses sight of nothing.

Every command's bytes are in its journal before they leave, every answer is noted with its height, and several commands
are under way all the time. The exchange may die and come back under it; SIGTERM makes it stop sending, find out what
became of everything, and end.

Run it as `python -m holdfast.lab.chaos.load URL FOLDER SEED RATE`.
"""

import asyncio
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from holdfast.client import AsyncExchange
from holdfast.client.demo import DEMO_NAMES, demo_key
from holdfast.client.errors import ClientError, Rejected, Stalled, Unreachable
from holdfast.client.journal import Entry, Journal
from holdfast.client.orders import parse_order_id
from holdfast.client.results import Instrument, TxResult
from holdfast.client.signing import SigningKey
from holdfast.client.submission import Submitter
from holdfast.client.transport import Transport
from holdfast.primitives.crypto import sha256
from holdfast.protocol.custody.messages import Transfer, Withdraw
from holdfast.protocol.messages import Command
from holdfast.protocol.trading.messages import (
    AmendOrder,
    CancelOrder,
    MassQuote,
    PlaceOrder,
    Quote,
    SetProtection,
)

JOURNAL_FILE: Final = "journal"
ANSWERS_FILE: Final = "answers"
READY_FILE: Final = "trading"
EXTRA_ACCOUNTS: Final = 4
_EXTRA_USDC: Final = 200_000
_IN_FLIGHT_MAX: Final = 24  # an account
_BOOK: Final = 6
_DEADLINES_S: Final = (1.5, 20.0, 20.0)
_MARKS_EVERY_S: Final = 10.0
_CLASH_S: Final = 5.0
_CLASH_EVERY_S: Final = 0.4
_LOOK_BACK_S: Final = 2.0
_RECOVER_WITHIN_S: Final = 90.0
_OPEN_WITHIN_S: Final = 60.0
_RETRY_S: Final = 0.2
_ORDERS_MAX: Final = 40
_ATOMS: Final = 1_000_000
_KINDS: Final = {"place": 50, "amend": 14, "cancel": 14, "quote": 8, "transfer": 7, "withdraw": 7}
_BTC: Final = 1
_ENDS: Final = frozenset({"committed", "rejected"})


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a client was told of a command."""

    tx_hash: str
    kind: str
    state: str
    height: int = 0
    code: int = 0
    began_ms: int = 0
    took_ms: int = 0


class Traded(NamedTuple):
    """What is traded: an instrument and about what it is worth, in ticks."""

    instrument: Instrument
    ticks: int


class Trader:
    """One account and what it has open."""

    def __init__(self, name: str, key: SigningKey, url: str, journal: Journal, rng: random.Random) -> None:
        """Take a key; nothing is sent yet."""
        self.name = name
        self.key = key
        self.exchange = AsyncExchange(url, key=key, journal=journal)
        self.rng = rng
        self.orders: list[tuple[int, int]] = []  # order id, ticks
        self.sub_id = 0
        self.in_flight = 0

    async def open(self) -> None:
        """Learn the account, and get a subaccount and a protection for quotes where it has none."""
        identity = await self.exchange.identity()
        account = await self.exchange.account(identity.account_id)
        subs = account.subaccounts
        if isinstance(subs, tuple) and subs:
            self.sub_id = subs[0]
        else:
            made = await self.exchange.create_subaccount()
            opened = [event for event in made.events if event.get("type") == "AccountOpened"]
            self.sub_id = int(str(opened[0]["account_id"])) if opened else 0
        await self.exchange.submit(SetProtection(_BTC, 10_000, 1_000))

    def draw(self, book: list[Traded]) -> tuple[str, Command]:
        """Return the next command, and its kind."""
        kind = self.rng.choices(list(_KINDS), list(_KINDS.values()))[0]
        if kind in {"amend", "cancel"} and not self.orders:
            kind = "place"
        one = self.rng.choice(book)
        match kind:
            case "amend":
                order_id, ticks = self.rng.choice(self.orders)
                return kind, AmendOrder(order_id, max(1, ticks + self.rng.randint(-3, 3)), self.rng.randint(1, 4))
            case "cancel":
                order_id, _ = self.orders.pop(self.rng.randrange(len(self.orders)))
                return kind, CancelOrder(order_id)
            case "quote":
                bid = max(1, one.ticks - self.rng.randint(20, 60))
                ask = one.ticks + self.rng.randint(20, 60)
                return kind, MassQuote(_BTC, (Quote(one.instrument.instrument_id, bid, 2, ask, 2),))
            case "transfer" if self.sub_id:
                return kind, Transfer(self.sub_id, 0, self.rng.randint(1, 5) * _ATOMS)
            case "withdraw":
                return kind, Withdraw(0, self.rng.randint(1, 3) * _ATOMS)
            case _:
                ticks = max(1, one.ticks + self.rng.randint(-12, 12))
                return "place", PlaceOrder(
                    one.instrument.instrument_id, self.rng.randint(0, 1), ticks, self.rng.randint(1, 3)
                )


class Clasher:
    """An account that signs two commands with one nonce each time: one of them at most may ever be in a block."""

    def __init__(self, url: str, key: SigningKey, journal: Journal) -> None:
        """Take a key that nobody else signs with."""
        self.key = key
        self.exchange = AsyncExchange(url, key=key, journal=journal)
        self._journal = journal
        self._submitter = Submitter(Transport(url), None, journal)
        self._nonce = 0

    async def open(self) -> None:
        """Learn the account."""
        await self.exchange.identity()
        await self._submitter.trust()

    async def clash(self) -> list[TxResult]:
        """Send both at once, and return what became of them."""
        identity = await self.exchange.identity()
        trust = await self._submitter.trust()
        self._nonce += 1
        deadline = time.monotonic() + _CLASH_S
        sent = []
        for atoms in (1, 2):
            tx, tx_hash = await self._submitter.sign(identity, Withdraw(0, atoms), self._nonce)
            entry = Entry(
                tx_hash=tx_hash,
                tx=tx.hex(),
                account_id=identity.account_id,
                signer=self.key.public_key.hex(),
                nonce=self._nonce,
                chain_id=trust.chain_id,
                genesis_hash=trust.genesis_hash.hex(),
                time_ms=time.time_ns() // 1_000_000,
            )
            await asyncio.to_thread(self._journal.begin, entry)
            sent.append(self._submitter.follow(tx, tx_hash, deadline))
        return await asyncio.gather(*sent)


class Load:
    """All traders, one journal, one file of answers."""

    def __init__(self, url: str, folder: Path, seed: int, rate: float) -> None:
        """Prepare; `run` begins."""
        self.journal = Journal(folder / JOURNAL_FILE)
        self.is_stopping = asyncio.Event()
        self._folder = folder
        self._answers = (folder / ANSWERS_FILE).open("ab", buffering=0)
        self._rate = rate
        self._rng = random.Random(seed)
        names = (*DEMO_NAMES, *(f"chaos-{number}" for number in range(1, EXTRA_ACCOUNTS + 1)))
        self._traders = [self._make(name, url, seed, place) for place, name in enumerate(names)]
        self._clasher = Clasher(url, SigningKey(sha256(f"holdfast clasher of {seed}".encode())), self.journal)
        self._book: list[Traded] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._pending: dict[str, tuple[Trader, str]] = {}

    async def run(self) -> int:
        """Trade until stopped, then find out about everything; return how many ends stay unknown."""
        await self._open()
        (self._folder / READY_FILE).touch()
        beside = [asyncio.create_task(work()) for work in (self._look_back, self._follow_marks, self._clash)]
        pause_s = 1.0 / self._rate
        due_s = time.monotonic()
        while not self.is_stopping.is_set():
            # What could not be sent in time is made up for, a second's worth at most.
            due_s = max(due_s + pause_s, time.monotonic() - 1.0)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.is_stopping.wait(), max(0.0, due_s - time.monotonic()))
            trader = self._rng.choice(self._traders)
            if trader.in_flight < _IN_FLIGHT_MAX and not self.is_stopping.is_set():
                self._spawn(trader)
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, *self._tasks, return_exceptions=True)
        left = await self._recover()
        for trader in self._traders:
            await trader.exchange.close()
        return left

    def _make(self, name: str, url: str, seed: int, place: int) -> Trader:
        key = demo_key(name) if name in DEMO_NAMES else SigningKey(sha256(f"holdfast {name} of {seed}".encode()))
        return Trader(name, key, url, self.journal, random.Random(seed * 1_000 + place))

    # Before and beside the trading

    async def _open(self) -> None:
        await asyncio.gather(*(self._fund(trader.name, trader.key) for trader in self._traders))
        await self._fund("clasher", self._clasher.key)
        await self._insist(self._clasher.open)
        await asyncio.gather(*(self._insist(who.open) for who in self._traders))
        await self._insist(self._read_marks)

    async def _fund(self, name: str, key: SigningKey) -> None:
        faucet = self._traders[0].exchange
        if name not in DEMO_NAMES:
            await self._insist(lambda: faucet.deposit(key.public_key.hex(), _EXTRA_USDC))

    async def _insist(self, what: Callable[[], Awaitable[object]]) -> None:
        """Do something, again and again while the exchange is down."""
        deadline_s = time.monotonic() + _OPEN_WITHIN_S
        while True:
            try:
                await what()
            except ClientError as error:
                if time.monotonic() > deadline_s or not isinstance(error, Unreachable | Stalled):
                    raise
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def _read_marks(self) -> None:
        """Choose what is traded: the options of the next expiry that are worth most, at about their marks."""
        exchange = self._traders[0].exchange
        listed = {one.instrument_name: one for one in await exchange.instruments("BTC", "option")}
        rows = [row for row in await exchange.summaries("BTC") if row.mark_price and row.instrument_name in listed]
        first_ms = min(listed[row.instrument_name].expiration_timestamp for row in rows)
        near = [row for row in rows if listed[row.instrument_name].expiration_timestamp == first_ms]
        near.sort(key=lambda row: (-(row.mark_price or 0), row.instrument_name))
        self._book = [
            Traded(
                listed[row.instrument_name], max(1, int((row.mark_price or 0) / listed[row.instrument_name].tick_size))
            )
            for row in near[:_BOOK]
        ]

    async def _follow_marks(self) -> None:
        while True:
            await asyncio.sleep(_MARKS_EVERY_S)
            with suppress(ClientError, ValueError):
                await self._read_marks()

    async def _clash(self) -> None:
        while True:
            await asyncio.sleep(_CLASH_EVERY_S)
            began_ms = time.time_ns() // 1_000_000
            with suppress(ClientError):
                for result in await self._clasher.clash():
                    self._note(result.tx_hash, "clash", result, began_ms, time.time_ns() // 1_000_000 - began_ms)

    async def _look_back(self) -> None:
        """Ask after those that were still unknown when they were given up."""
        while True:
            await asyncio.sleep(_LOOK_BACK_S)
            for tx_hash, (trader, kind) in list(self._pending.items()):
                with suppress(ClientError):
                    result = await trader.exchange.resolve(tx_hash)
                    if result.state in _ENDS:
                        self._pending.pop(tx_hash, None)
                        self._note(result.tx_hash or tx_hash, kind, result)

    # Trading

    def _spawn(self, trader: Trader) -> None:
        kind, command = trader.draw(self._book)
        task = asyncio.create_task(self._send(trader, kind, command))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, trader: Trader, kind: str, command: Command) -> None:
        began_s, began_ms = time.monotonic(), time.time_ns() // 1_000_000
        trader.in_flight += 1
        try:
            result = await trader.exchange.submit(command, deadline_s=trader.rng.choice(_DEADLINES_S))
        except Rejected as error:
            state = "committed" if error.height else "rejected"
            result = TxResult(state=state, tx_hash=error.tx_hash, height=error.height, code=error.code)
        except ClientError:
            # Nothing was sent.
            return
        finally:
            trader.in_flight -= 1
        self._note(result.tx_hash, kind, result, began_ms, int(1_000 * (time.monotonic() - began_s)))
        if result.state not in _ENDS:
            self._pending[result.tx_hash] = (trader, kind)
        order = result.order
        if isinstance(command, PlaceOrder) and order is not None and order.order_state == "open":
            trader.orders = [*trader.orders, (parse_order_id(order.order_id), command.price_ticks)][-_ORDERS_MAX:]

    def _note(self, tx_hash: str, kind: str, result: TxResult, began_ms: int = 0, took_ms: int = 0) -> None:
        answer = Answer(tx_hash, kind, result.state, result.height, result.code, began_ms, took_ms)
        self._answers.write(msgspec.json.encode(answer) + b"\n")

    # The end

    async def _recover(self) -> int:
        """Find out what became of all that is open; what no block holds gives up its nonce."""
        deadline_s = time.monotonic() + _RECOVER_WITHIN_S
        genesis = (await self._traders[0].exchange.trust()).genesis_hash.hex()
        while self.journal.list_open(genesis) and time.monotonic() < deadline_s:
            for exchange in (self._clasher.exchange, *(trader.exchange for trader in self._traders)):
                with suppress(ClientError):
                    for result in await exchange.recover():
                        if result.state in _ENDS:
                            self._note(result.tx_hash, "recovered", result)
            await asyncio.sleep(_RETRY_S)
        return len(self.journal.list_open(genesis))


async def _main(url: str, folder: str, seed: str, rate: str) -> int:
    load = Load(url, Path(folder), int(seed), float(rate))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, load.is_stopping.set)
    return 1 if await load.run() else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(*sys.argv[1:])))
