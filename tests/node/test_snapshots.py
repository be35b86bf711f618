"""Snapshots: a restored replica goes on with the same roots; nothing that a peer sends is believed."""

from collections.abc import Callable

import pytest

from holdfast.lab.disk import SimulatedDisk
from holdfast.lab.world import derive_random
from holdfast.node import snapshots
from holdfast.node.application import ChunkVerdict, OfferVerdict, SnapshotInfo
from holdfast.node.exchange import ExchangeApplication
from holdfast.node.snapshots import FORMAT, Chunk, Metadata, SnapshotFile, SnapshotWriter, write_steps
from holdfast.primitives import codec
from holdfast.primitives.crypto import sha256
from holdfast.protocol.trading.messages import PlaceOrder
from tests.support.exchange import BUY, SELL, Market

Rows = list[tuple[bytes, bytes]]


@pytest.fixture(scope="module")
def market() -> Market:
    market = Market()
    market.trade(0, 1, market.future(), 7)
    market.do(2, PlaceOrder(market.option(), SELL, 5_000, 3))
    return market


def fresh(market: Market) -> ExchangeApplication:
    return ExchangeApplication(SimulatedDisk(derive_random(2, "restored")), market.solo.report)


def snapshot(market: Market, rows: Rows | None = None, height: int | None = None) -> SnapshotFile:
    app = market.solo.app
    writer = SnapshotWriter(SimulatedDisk(derive_random(3, "taken")), app.height if height is None else height)
    for _ in write_steps(writer, app.state.export() if rows is None else rows):
        pass
    return writer.finish(market.root)


def restore(app: ExchangeApplication, source: SnapshotFile, app_hash: bytes) -> OfferVerdict | ChunkVerdict:
    info = source.info
    offered = app.offer_snapshot(info, app_hash)
    verdict: OfferVerdict | ChunkVerdict = offered
    if offered == OfferVerdict.ACCEPT:
        for index in range(info.chunks):
            verdict = app.apply_snapshot_chunk(index, source.chunk(index))
    return verdict


def test_restored_replica__goes_on_with_the_same_roots_and_survives_a_reopening(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", 4_096)
    source = snapshot(market)
    assert source.info.chunks > 3
    app = fresh(market)
    assert restore(app, source, market.root) == ChunkVerdict.ACCEPT
    assert app.info() == market.solo.app.info()
    assert app.fingerprint() == market.solo.app.fingerprint()
    solo = market.solo
    for order in (PlaceOrder(market.future(), BUY, 120_100, 2), PlaceOrder(market.future(), SELL, 119_000, 5)):
        solo.time_ms += 60_000
        request = solo.make_request(market.sign(3, order))
        for one in (solo.app, app):
            assert one.process_proposal(request)
        assert solo.app.finalize_block(request) == app.finalize_block(request)
        solo.app.commit()
        app.commit()
    assert app.fingerprint() == solo.app.fingerprint()
    assert ExchangeApplication(app._store._disk, solo.report).info() == app.info()


def altered(rows: Rows) -> Rows:
    key, value = rows[5]
    return [*rows[:5], (key, value[:-1] + bytes([value[-1] ^ 1])), *rows[6:]]


HOSTILE: dict[str, Callable[[Rows], Rows]] = {
    "altered": altered,
    "one_row_missing": lambda rows: rows[1:],
    "none_at_all": lambda _: [],
    "twice_the_same": lambda rows: [rows[0], *rows],
    "out_of_order": lambda rows: [rows[1], rows[0], *rows[2:]],
    "short_key": lambda rows: [(rows[0][0][:-1], rows[0][1]), *rows[1:]],
    "long_key": lambda rows: [*rows, (rows[-1][0] + b"\x00", rows[-1][1])],
    "empty_key": lambda rows: [(b"", b"\x00"), *rows],
    "unknown_table": lambda rows: [*rows, (b"\xff" + bytes(8), b"\x00")],
    "value_of_another_kind": lambda rows: [(rows[0][0], b"\x90"), *rows[1:]],
    "value_not_canonical": lambda rows: [(rows[0][0], b"\xcc\x01"), *rows[1:]],
    "empty_value": lambda rows: [(rows[0][0], b""), *rows[1:]],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_rows__are_rejected_and_nothing_of_them_is_kept(market: Market, name: str) -> None:
    app = fresh(market)
    source = snapshot(market, HOSTILE[name](list(market.solo.app.state.export())))
    assert restore(app, source, market.root) == ChunkVerdict.REJECT_SNAPSHOT
    assert app.info().height == 0
    assert restore(app, snapshot(market), market.root) == ChunkVerdict.ACCEPT


def test_right_rows__under_a_wrong_height__are_rejected(market: Market) -> None:
    app = fresh(market)
    assert restore(app, snapshot(market, height=9_999), market.root) == ChunkVerdict.REJECT_SNAPSHOT


def test_right_rows__for_another_trusted_hash__are_rejected(market: Market) -> None:
    assert restore(fresh(market), snapshot(market), bytes(32)) == ChunkVerdict.REJECT_SNAPSHOT


def test_chunks__wrong_or_out_of_turn__are_asked_for_again(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", 4_096)
    source = snapshot(market)
    info = source.info
    app = fresh(market)
    assert app.apply_snapshot_chunk(0, b"") == ChunkVerdict.ABORT
    assert app.offer_snapshot(info, market.root) == OfferVerdict.ACCEPT
    first = source.chunk(0)
    assert app.apply_snapshot_chunk(1, source.chunk(1)) == ChunkVerdict.RETRY
    assert app.apply_snapshot_chunk(0, first[:-1]) == ChunkVerdict.RETRY
    assert app.apply_snapshot_chunk(0, first + b"\x00") == ChunkVerdict.RETRY
    assert app.apply_snapshot_chunk(0, first) == ChunkVerdict.ACCEPT
    assert app.apply_snapshot_chunk(0, first) == ChunkVerdict.RETRY


def test_chunk__beyond_every_bound__ends_the_snapshot(market: Market) -> None:
    huge = bytes(1024 * 1024)
    metadata = codec.encode(Metadata((sha256(huge),)))
    app = fresh(market)
    assert (
        app.offer_snapshot(SnapshotInfo(5, FORMAT, 1, sha256(metadata), metadata), market.root) == OfferVerdict.ACCEPT
    )
    assert app.apply_snapshot_chunk(0, huge) == ChunkVerdict.REJECT_SNAPSHOT


def test_chunk__of_other_bytes_than_rows__is_rejected(market: Market) -> None:
    for chunk in (b"", b"\xc1", codec.encode([1, 2, 3]), codec.encode(Chunk(())) + b"\x00"):
        metadata = codec.encode(Metadata((sha256(chunk),)))
        app = fresh(market)
        app.offer_snapshot(SnapshotInfo(5, FORMAT, 1, sha256(metadata), metadata), market.root)
        assert app.apply_snapshot_chunk(0, chunk) == ChunkVerdict.REJECT_SNAPSHOT


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"format": 2}, OfferVerdict.REJECT_FORMAT),
        ({"chunks": 0}, OfferVerdict.REJECT),
        ({"chunks": 2**31}, OfferVerdict.REJECT),
        ({"hash": bytes(32)}, OfferVerdict.REJECT),
        ({"metadata": b""}, OfferVerdict.REJECT),
        ({"metadata": b"\x91\x90\x00"}, OfferVerdict.REJECT),
        ({"metadata": bytes(10**6)}, OfferVerdict.REJECT),
    ],
)
def test_offer__of_a_wrong_form__is_turned_down(
    market: Market, change: dict[str, int | bytes], verdict: OfferVerdict
) -> None:
    info = SnapshotInfo(**{**snapshot(market).info._asdict(), **change})
    assert fresh(market).offer_snapshot(info, market.root) == verdict


def test_snapshots__are_taken_in_their_rhythm_and_only_the_newest_are_kept() -> None:
    market = Market()
    market.solo.app._snapshot_every = 3
    market.run(13)
    assert [info.height for info in market.solo.app.list_snapshots()] == [12, 15]
    assert market.solo.app.load_snapshot_chunk(12, FORMAT, 99) == b""
    assert market.solo.app.load_snapshot_chunk(3, FORMAT, 0) == b""
