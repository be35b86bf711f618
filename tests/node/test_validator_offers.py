"""Offers that come together are judged together: same answers, same order, none lost when the validator goes down."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from holdfast.client.commands import sign_command
from holdfast.client.signing import SigningKey
from holdfast.node import validator as validator_module
from holdfast.node.application import CheckTxResponse
from holdfast.node.mempool import Mempool
from holdfast.node.validator import Validator
from holdfast.primitives.crypto import sha256
from holdfast.protocol.machine import admit_tx, admit_txs
from holdfast.protocol.trading.messages import CancelOrder

DOMAIN = bytes(32)


def make_txs() -> list[bytes]:
    key = SigningKey(bytes(32))
    good = [sign_command(key, DOMAIN, 1_000, nonce, CancelOrder(nonce)) for nonce in (1, 2)]
    forged = good[0][:-1] + bytes([good[0][-1] ^ 1])
    return [good[0], b"nonsense", forged, good[1], b""]


def test_admit_txs__good_forged_and_malformed__is_what_each_alone_is() -> None:
    txs = make_txs()
    together = admit_txs(DOMAIN, txs)
    assert together == [admit_tx(DOMAIN, tx) for tx in txs]
    assert [one.envelope is not None for one in together] == [True, False, False, True, False]
    assert admit_txs(DOMAIN, ()) == []


class StubLoop:
    """Runs what it is given when it is told to."""

    def __init__(self, *, takes: bool = True) -> None:
        self.calls: list[object] = []
        self.takes = takes

    def post(self, call: object) -> bool:
        if self.takes:
            self.calls.append(call)
        return self.takes

    def stop(self) -> None:
        self.takes = False

    def run(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()  # type: ignore[operator]


class StubReplica:
    def __init__(self) -> None:
        self.batches: list[tuple[bytes, ...]] = []

    def submit_many(self, txs: Sequence[bytes]) -> list[CheckTxResponse]:
        self.batches.append(tuple(txs))
        return [CheckTxResponse(0, tx.decode()) for tx in txs]


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> tuple[Validator, StubLoop, StubReplica]:
    monkeypatch.setattr(validator_module, "OFFERS_AT_ONCE", 3)
    monkeypatch.setattr(validator_module, "OFFERS_MAX", 8)
    made = Validator.__new__(Validator)
    loop, replica = StubLoop(), StubReplica()
    made._loop, made.replica = loop, replica  # type: ignore[assignment]
    made._waiting = {}
    made._waiting_lock = threading.Lock()
    return made, loop, replica


def log_of(future: Future[CheckTxResponse]) -> str:
    return future.result(timeout=0).log


def test_offers__come_together__are_judged_in_order_a_few_at_a_time(
    offered: tuple[Validator, StubLoop, StubReplica],
) -> None:
    made, loop, replica = offered
    futures = [made.submit(b"%d" % number) for number in range(5)]
    assert len(loop.calls) == 1
    loop.run()
    assert [future.done() for future in futures] == [True, True, True, False, False]
    loop.run()
    assert replica.batches == [(b"0", b"1", b"2"), (b"3", b"4")]
    assert [log_of(future) for future in futures] == ["0", "1", "2", "3", "4"]
    made.submit(b"6")
    assert len(loop.calls) == 1


def test_offers__more_than_may_wait__are_cancelled(offered: tuple[Validator, StubLoop, StubReplica]) -> None:
    made, loop, _ = offered
    futures = [made.submit(b"%d" % number) for number in range(9)]
    assert futures[8].cancelled()
    for _ in range(3):
        loop.run()
    assert [log_of(future) for future in futures[:8]] == [str(number) for number in range(8)]


def test_offers__given_up_by_their_client__are_not_judged(offered: tuple[Validator, StubLoop, StubReplica]) -> None:
    made, loop, replica = offered
    futures = [made.submit(b"%d" % number) for number in range(3)]
    futures[1].cancel()
    loop.run()
    assert replica.batches == [(b"0", b"2")]


def test_offers__to_a_loop_that_takes_nothing__are_cancelled(
    offered: tuple[Validator, StubLoop, StubReplica],
) -> None:
    made, loop, _ = offered
    loop.takes = False
    assert made.submit(b"0").cancelled()
    assert made._waiting == {}


def test_mempool__a_block_long_ago__is_forgotten() -> None:
    mempool = Mempool(count_max=10, bytes_max=1_000, age_heights_max=100)
    for height in range(1, 19):
        mempool.committed(height, (b"%d" % height,))
    assert [mempool.was_included(sha256(b"%d" % height)) for height in (1, 2, 3, 18)] == [False, False, True, True]
