"""A real exchange without consensus behind a real gateway: blocks are made when a test says so, or by a thread."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec

from holdfast.consensus.messages import (
    NO_COMMIT,
    Block,
    CheckpointCertificate,
    CheckpointSignature,
    Header,
    checkpoint_sign_bytes,
    make_sign_domains,
)
from holdfast.gateway import Gateway, serve
from holdfast.gateway.backend import CommitEvent, DevControls, Json
from holdfast.lab.solo import Solo
from holdfast.node.application import CheckTxResponse, QueryResponse, TxResult
from holdfast.node.embedded import NoValidatorError, ValidatorStatus, View
from holdfast.node.validator import CommitEvent as Committed
from holdfast.primitives import codec
from holdfast.primitives.crypto import sha256
from holdfast.protocol.custody.messages import Deposit
from holdfast.protocol.instruments.state import INSTRUMENTS, Kind
from holdfast.protocol.messages import Command
from holdfast.protocol.surface.state import MARKS

ZERO = bytes(32)
JsonObject = dict[str, object]


class Kept(NamedTuple):
    data: bytes


class Came(NamedTuple):
    height: int
    time_ms: int
    app_hash: bytes
    results: tuple[TxResult, ...]
    events: bytes


class SoloBackend:
    """`Backend` over one application. `step` makes a block of what waits."""

    def __init__(self, solo: Solo) -> None:
        self.solo = solo
        self.chain_id = "solo"
        self.genesis_hash = sha256(solo.genesis)
        self.block_interval_ms = 50
        self.is_down = False
        self.is_full = False
        self.is_starting = False
        self.pool: list[bytes] = []
        self.blocks: dict[int, Kept] = {}
        self.outcomes: dict[int, Came] = {}
        self.submitted = 0
        self._callbacks: list[Callable[[CommitEvent], None]] = []
        self._lock = threading.RLock()

    def submit(self, tx: bytes) -> "Future[CheckTxResponse]":
        future: Future[CheckTxResponse] = Future()
        self.submitted += 1
        if self.is_down:
            future.cancel()
            return future
        if self.is_full:
            future.set_result(CheckTxResponse(1011, "full"))
            return future
        with self._lock:
            answer = self.solo.app.check_tx(tx)
            if answer.code == 0 and tx not in self.pool:
                self.pool.append(tx)
        future.set_result(answer)
        return future

    @contextmanager
    def reading(self) -> Iterator[View]:
        if self.is_down:
            raise NoValidatorError
        with self._lock, self.solo.app.reading() as draft:
            yield View(draft, self.solo.height, self.solo.time_ms, self.solo.app.state.root, 0)

    def query(self, path: str, data: bytes) -> QueryResponse:
        return self.solo.app.query(path, data)

    def on_commit(self, callback: Callable[[CommitEvent], None]) -> None:
        self._callbacks.append(callback)

    def statuses(self) -> list[ValidatorStatus]:
        state = "down" if self.is_down else "starting" if self.is_starting else "running"
        height = 0 if self.is_starting else self.solo.height
        return [
            ValidatorStatus(index, f"validator-{index}", key.public_key, 10, state, height, ZERO, 0, 0, 0)
            for index, key in enumerate(self.solo.validator_keys)
        ]

    def block_at(self, height: int) -> Kept | None:
        return self.blocks.get(height)

    def outcome_at(self, height: int) -> Came | None:
        return self.outcomes.get(height)

    def checkpoint_at(self, height: int) -> CheckpointCertificate | None:
        known = self.outcomes.get(height)
        if known is None:
            return None
        domains = make_sign_domains(self.chain_id, self.genesis_hash)
        message = checkpoint_sign_bytes(domains, height, known.time_ms, known.app_hash)
        signatures = tuple(
            CheckpointSignature(index, key.sign(message)) for index, key in enumerate(self.solo.validator_keys)
        )
        return CheckpointCertificate(height, known.time_ms, known.app_hash, signatures)

    def now_ms(self) -> int:
        return self.solo.time_ms

    def step(self, *txs: bytes) -> Committed:
        """Make a block of what waits and of what is given; keep it and tell of it."""
        with self._lock:
            solo = self.solo
            solo.time_ms += solo.interval_ms
            request = solo.make_request(*self.pool, *txs)
            self.pool = []
            assert solo.app.process_proposal(request)
            response = solo.app.finalize_block(request)
            solo.app.commit()
            applied = solo.app.last_applied
            assert applied is not None
            header = Header("solo", request.height, request.time_ms, ZERO, ZERO, ZERO, ZERO, ZERO, 0, ZERO, ZERO, ZERO)
            self.blocks[request.height] = Kept(codec.encode(Block(header, request.txs, (), NO_COMMIT)))
            self.outcomes[request.height] = Came(
                request.height, request.time_ms, response.app_hash, response.tx_results, response.events
            )
            event = Committed(
                request.height, request.time_ms, response.app_hash, request.txs, applied.receipts, applied.events
            )
        for callback in self._callbacks:
            callback(event)
        return event

    def sign(self, index: int, command: Command, *, nonce: int | None = None) -> bytes:
        return self.solo.sign(index, command, nonce=nonce)


class Controls:
    """A devnet's operator, over the backend's custodian and prices."""

    def __init__(self, backend: SoloBackend) -> None:
        self._backend = backend

    def fault(self, spec: str) -> Json:
        raise ValueError(f"--fault {spec}: one application has no faults; use a cluster")

    def heal(self, number: int | None = None) -> Json:
        return {"ended": [] if number is None else [number]}

    def advance(self, by_ms: int) -> Json:
        self._backend.solo.time_ms += by_ms
        return {"to_ms": self._backend.solo.time_ms}

    def price(self, asset: str, *, factor: float | None, price: float | None) -> Json:
        return {"asset": asset, "factor": factor, "price": price}

    def deposit(self, owner_key: bytes, asset_id: int, amount_atoms: int) -> bytes:
        return self._backend.sign(-1, Deposit(owner_key, asset_id, amount_atoms))

    def status(self) -> Json:
        return {"faults": []}


class Client:
    """JSON-RPC over HTTP, as bare as can be."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self.session = session
        self.url = f"http://127.0.0.1:{port}"
        self.ws_url = f"ws://127.0.0.1:{port}/ws/api/v2"

    async def envelope(self, method: str, **params: object) -> JsonObject:
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        return await self.post(body)

    async def post(self, body: bytes, path: str = "/api/v2", **headers: str) -> JsonObject:
        async with self.session.post(self.url + path, data=body, headers=headers) as response:
            answer: JsonObject = msgspec.json.decode(await response.read())
            return answer

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> JsonObject:
        async with self.session.get(f"{self.url}/api/v2/{path}", params=params) as response:
            answer: JsonObject = msgspec.json.decode(await response.read())
            return answer

    async def page(self, path: str) -> JsonObject:
        async with self.session.get(self.url + path) as response:
            answer: JsonObject = msgspec.json.decode(await response.read())
            return answer

    async def call(self, method: str, **params: object) -> object:
        answer = await self.envelope(method, **params)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    async def ask(self, method: str, **params: object) -> JsonObject:
        result = await self.call(method, **params)
        assert isinstance(result, dict)
        return result

    async def rows(self, method: str, **params: object) -> list[JsonObject]:
        result = await self.call(method, **params)
        assert isinstance(result, list)
        return result

    async def error(self, method: str, **params: object) -> JsonObject:
        answer = await self.envelope(method, **params)
        error = answer["error"]
        assert isinstance(error, dict)
        return error


async def until(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110 -- what is waited for happens in other threads
            await asyncio.sleep(0.001)


class Served(NamedTuple):
    backend: SoloBackend
    gateway: Gateway
    client: Client

    async def step(self, *txs: bytes) -> None:
        """Make a block and wait until the gateway has told of it."""
        event = await asyncio.to_thread(self.backend.step, *txs)
        await until(lambda: self.gateway.height >= event.height)


def open_market(accounts: int = 4, blocks: int = 2, **options: object) -> SoloBackend:
    """Return a backend with live prices and listed instruments."""
    backend = SoloBackend(Solo(accounts, rebuilds=False, **options))  # type: ignore[arg-type]
    for _ in range(blocks):
        backend.step()
    return backend


@asynccontextmanager
async def served(
    backend: SoloBackend, *, index: Path | None = None, dev: DevControls | None = None, waits: bool = True
) -> AsyncIterator[Served]:
    """Serve a backend on a free port."""
    gateway = await serve(backend, "127.0.0.1", 0, index=index, dev=dev, genesis=backend.solo.genesis)
    try:
        async with aiohttp.ClientSession() as session:
            here = Served(backend, gateway, Client(session, gateway.port))
            if waits:
                await until(lambda: gateway.height >= backend.solo.height)
            yield here
    finally:
        await gateway.close()


async def settled(here: Served, *submissions: bytes) -> list[JsonObject]:
    """Submit transactions, make a block of them and return what became of each."""
    tasks = [asyncio.create_task(here.client.ask("public/submit", tx=tx.hex())) for tx in submissions]
    before = here.backend.submitted
    await until(lambda: here.backend.submitted >= before + len(submissions) or all(task.done() for task in tasks))
    await here.step()
    return list(await asyncio.gather(*tasks))


def mark_ticks(backend: SoloBackend, instrument_id: int) -> int:
    """Return an instrument's mark in ticks, rounded down."""
    with backend.reading() as view:
        return view.draft[MARKS][instrument_id].mark_e8 // view.draft[INSTRUMENTS][instrument_id].tick_e8


def future_of(backend: SoloBackend, underlying: int = 1) -> tuple[int, str]:
    """Return the id and name of the last-listed future of an underlying."""
    with backend.reading() as view:
        found = [
            (number, one.name)
            for number, one in view.draft[INSTRUMENTS].items()
            if one.kind == Kind.FUTURE and one.underlying == underlying
        ]
    return found[-1]


def option_of(backend: SoloBackend, underlying: int = 1) -> tuple[int, str]:
    """Return the id and name of a call of an underlying."""
    with backend.reading() as view:
        found = [
            (number, one.name)
            for number, one in view.draft[INSTRUMENTS].items()
            if one.kind == Kind.CALL and one.underlying == underlying
        ]
    return found[-1]
