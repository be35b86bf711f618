"""The exchange's paths, each run over the same flow of orders in blocks of about the same size."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from holdfast.lab.bench.bare_book import BareBook
from holdfast.lab.bench.flow import Flow, Step, make_flow
from holdfast.lab.bench.stages import Clock, P, R, StageTimes
from holdfast.lab.solo import PRICES, Solo
from holdfast.primitives import crypto
from holdfast.primitives.check import ensure
from holdfast.primitives.reject import Code
from holdfast.primitives.units import DAY_MS
from holdfast.protocol import machine
from holdfast.protocol.instruments.state import INSTRUMENTS, Instrument, Kind
from holdfast.protocol.ledger.state import BTC
from holdfast.protocol.machine import Admission, Block
from holdfast.protocol.messages import ENVELOPE_DECODER, TX_DECODER, Action, Bundle
from holdfast.protocol.surface.state import MARKS
from holdfast.protocol.trading.messages import CancelOrder, PlaceOrder, Traded

# Orders in a block: a few, and as many as a block of a second holds under load.
BLOCK_FEW: Final = 500
BLOCK_MANY: Final = 2_048
_INTERVAL_MS: Final = 1_000
_FIRST_BLOCKS: Final = 2
_EXPIRY_MS_MIN: Final = 7 * DAY_MS
_TENTH: Final = 10


class Sizes(NamedTuple):
    """How much is measured."""

    orders: int = 20_000
    accounts: int = 200
    resting: int = 500
    bundle: int = 32


class Work(NamedTuple):
    """A flow as signed transactions, with the orders that each of them counts for."""

    flow: Flow
    txs: tuple[bytes, ...]
    warm: int  # how many transactions fill the book before the clock starts
    orders_a_tx: int

    @property
    def orders(self) -> int:
        """Return how many orders are measured."""
        return (len(self.txs) - self.warm) * self.orders_a_tx

    def warm_blocks(self) -> list[tuple[bytes, ...]]:
        """Return the transactions that fill the book, in blocks."""
        return _cut(self.txs[: self.warm], BLOCK_FEW)

    def blocks(self, orders: int) -> list[tuple[bytes, ...]]:
        """Return the transactions that are measured, in blocks of about so many orders."""
        return _cut(self.txs[self.warm :], max(1, orders // self.orders_a_tx))


class Run(NamedTuple):
    """What one run of a path came to."""

    rate: float  # orders a second
    block_seconds: tuple[float, ...]
    refused: int
    fills: int  # where the path tells them
    stages: dict[str, float]  # microseconds an order, if they were watched

    @property
    def last_over_first(self) -> float:
        """Return the time of the last tenth of the blocks over that of the first; the book has kept its size."""
        tenth = max(1, len(self.block_seconds) // _TENTH)
        return sum(self.block_seconds[-tenth:]) / sum(self.block_seconds[:tenth])


class Bench:
    """The chain that all paths start from, and the flows as its transactions."""

    def __init__(self, sizes: Sizes) -> None:
        """Sign everything ahead: that is the traders' work."""
        self.sizes = sizes
        solo = self.start()
        instrument_id, mid_ticks = _pick(solo)
        single = make_flow(sizes.orders, sizes.accounts, mid_ticks, resting=sizes.resting)
        bundled = make_flow(sizes.orders, sizes.accounts, mid_ticks, resting=sizes.resting, run=sizes.bundle)
        self.singles = _sign(solo, single, instrument_id, 1)
        self.bundles = _sign(self.start(), bundled, instrument_id, sizes.bundle)
        self.domain = solo.domain

    def start(self) -> Solo:
        """Return a fresh chain with its instruments listed and marked."""
        solo = Solo(self.sizes.accounts, rebuilds=False, interval_ms=_INTERVAL_MS)
        solo.run(_FIRST_BLOCKS)
        return solo

    def verify_bare(self) -> float:
        """Return verifications a second of the exchange's own verifier, one by one, over the same messages."""
        items = [_open(self.domain, tx) for tx in self.singles.txs[self.singles.warm :]]
        clock, verify = Clock(), crypto.verify
        with clock:
            good = [verify(*item) for item in items]
        ensure(all(good), "the bench signs what it sends")
        return len(items) / clock.seconds

    def match_bare(self) -> float:
        """Return orders a second of the bare book on the same flow."""
        book, flow = BareBook(), self.singles.flow
        _match(book, flow.steps[: flow.warm], 0)
        clock = Clock()
        with clock:
            _match(book, flow.steps[flow.warm :], flow.warm)
        return (len(flow.steps) - flow.warm) / clock.seconds

    def run_signed(self, work: Work, block_orders: int, stages: StageTimes | None = None) -> Run:
        """Run the whole path of signed transactions in one replica: admit, propose, judge, execute, commit."""
        solo = self.start()
        for txs in work.warm_blocks():
            solo.block(*txs)
        clock, spent, refused = Clock(stages), [], 0
        app, check, verify_ahead = solo.app, solo.app.check_tx, solo.app.verify_ahead
        for name in ("prepare_proposal", "process_proposal", "finalize_block", "commit"):
            setattr(app, name, _timed(clock, getattr(app, name)))
        for txs in work.blocks(block_orders):
            before = clock.seconds
            with clock:
                verify_ahead(txs)
                for tx in txs:
                    check(tx)
            response = solo.block(*txs)
            ensure(len(response.tx_results) == 1 + len(txs), "every order has its place in the block")
            refused += sum(result.code != Code.OK for result in response.tx_results)
            spent.append(clock.seconds - before)
        return Run(work.orders / clock.seconds, tuple(spent), refused, 0, clock.split(work.orders) if stages else {})

    def run_machine(
        self, work: Work, block_orders: int, stages: StageTimes | None = None, *, rebuilds: bool = False
    ) -> Run:
        """Run the state machine alone over envelopes whose signatures count as verified."""
        solo = self.start()
        for txs in work.warm_blocks():
            solo.block(*txs)
        clock, spent, refused, fills = Clock(stages), [], 0, 0
        state = solo.app.state
        for txs in work.blocks(block_orders):
            solo.time_ms += _INTERVAL_MS
            request = solo.make_request()
            block = Block(request.height, request.time_ms, request.proposer_index, (*request.txs, *txs))
            before = clock.seconds
            with clock:
                applied = machine.apply_block(state, block, _admit_verified, rebuilds=rebuilds)
                for receipt in applied.receipts:
                    machine.encode_receipt(receipt)
                state.commit(applied.sealed)
            solo.app.height = request.height
            refused += sum(receipt.code != Code.OK for receipt in applied.receipts)
            fills += sum(type(event) is Traded for receipt in applied.receipts for event in receipt.events)
            spent.append(clock.seconds - before)
        return Run(
            work.orders / clock.seconds, tuple(spent), refused, fills, clock.split(work.orders) if stages else {}
        )


def _pick(solo: Solo) -> tuple[int, int]:
    """Return the call nearest the money that lives for a week or more, and its mark in ticks."""

    def distance(entry: tuple[int, Instrument]) -> tuple[int, int]:
        return abs(entry[1].strike_e8 - PRICES[BTC]), entry[1].expiry_ms

    draft = solo.draft()
    calls = [
        (instrument_id, instrument)
        for instrument_id, instrument in draft[INSTRUMENTS].items()
        if instrument.kind == Kind.CALL
        and instrument.underlying == BTC
        and instrument.expiry_ms - solo.time_ms >= _EXPIRY_MS_MIN
    ]
    instrument_id, instrument = min(calls, key=distance)
    return instrument_id, draft[MARKS][instrument_id].mark_e8 // instrument.tick_e8


def _sign(solo: Solo, flow: Flow, instrument_id: int, run: int) -> Work:
    """Turn steps into commands, `run` of them to a transaction. Orders get their ids in the order of the flow."""
    order_ids: dict[int, int] = {}
    actions: list[Action] = []
    for number, step in enumerate(flow.steps):
        if step.cancels < 0:
            order_ids[number] = len(order_ids) + 1
            actions.append(PlaceOrder(instrument_id, step.side, step.price_ticks, step.lots))
        else:
            actions.append(CancelOrder(order_ids[step.cancels]))
    txs = tuple(
        solo.sign(
            flow.steps[start].account,
            actions[start] if run == 1 else Bundle(tuple(actions[start : start + run])),
        )
        for start in range(0, len(actions), run)
    )
    return Work(flow, txs, flow.warm // run, run)


def _cut(txs: tuple[bytes, ...], size: int) -> list[tuple[bytes, ...]]:
    return [txs[start : start + size] for start in range(0, len(txs), size)]


def _open(domain: bytes, tx: bytes) -> tuple[bytes, bytes, bytes]:
    signed = TX_DECODER.decode(tx)
    return ENVELOPE_DECODER.decode(signed.payload).signer, domain + signed.payload, signed.signature


def _admit_verified(txs: Sequence[bytes]) -> list[Admission]:
    return [admission for _, admission in machine.open_txs(txs)]


def _match(book: BareBook, steps: Sequence[Step], first: int) -> None:
    for number, step in enumerate(steps, first):
        if step.cancels < 0:
            book.place(number, step.side, step.price_ticks, step.lots)
        else:
            book.cancel(step.cancels)


def _timed(clock: Clock, function: Callable[P, R]) -> Callable[P, R]:
    def timed(*args: P.args, **options: P.kwargs) -> R:
        with clock:
            return function(*args, **options)

    return timed
