"""The exchange as an application: what its methods promise an engine."""

from threading import Thread

import pytest

from holdfast.lab.disk import SimulatedDisk
from holdfast.lab.solo import PRICES, Solo
from holdfast.lab.world import derive_random
from holdfast.node.exchange import ExchangeApplication
from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.codec import Decoder
from holdfast.primitives.reject import Code, Malformed
from holdfast.protocol import machine
from holdfast.protocol.chain import CLOCK
from holdfast.protocol.instruments.state import INSTRUMENTS
from holdfast.protocol.ledger.state import BALANCES
from holdfast.protocol.limits import EXTENSION_BYTES_MAX
from holdfast.protocol.margin.state import RISK_MATRIX
from holdfast.protocol.trading.messages import CancelOrder, PlaceOrder
from holdfast.state.proof import PROOF_DECODER, check_proof
from tests.support.exchange import BUY, SELL, Market


def test_first_blocks__list_instruments_match_orders_and_move_the_root() -> None:
    solo = Solo(2)
    roots = [solo.block().app_hash for _ in range(3)]
    assert len(set(roots)) == 3
    draft = solo.draft()
    names = {one.name: instrument_id for instrument_id, one in draft[INSTRUMENTS].items()}
    assert len(names) > 200
    future = names["BTC_USDC-26DEC25"]
    price = PRICES[1] // 10**8
    response = solo.block(
        solo.sign(0, PlaceOrder(future, SELL, price, 3)), solo.sign(1, PlaceOrder(future, BUY, price, 3))
    )
    assert [result.code for result in response.tx_results] == [Code.OK] * 3
    assert response.app_hash == solo.app.state.root not in roots
    assert solo.app.info().height == 4


def test_first_block__at_the_genesis_time_itself__is_made() -> None:
    solo = Solo(1)
    solo.time_ms -= solo.interval_ms
    assert solo.block().app_hash == solo.app.info().app_hash


def test_before_commit__no_method_changes_anything() -> None:
    market = Market()
    app, solo = market.solo.app, market.solo
    before, info, files = app.fingerprint(), app.info(), solo.disk.size_bytes()
    tx = market.sign(0, PlaceOrder(market.future(), BUY, 100_000, 1))
    app.check_tx(tx)
    solo.time_ms += 1
    request = solo.make_request(tx)
    app.process_proposal(request)
    first = app.finalize_block(request)
    app.extend_vote(app.height + 1, request.hash)
    assert (app.fingerprint(), app.info(), solo.disk.size_bytes()) == (before, info, files)
    app.drop_caches()
    assert app.finalize_block(request) == first
    other = request._replace(time_ms=request.time_ms + 5, hash=b"another")
    assert app.finalize_block(other).app_hash != first.app_hash
    assert app.finalize_block(request) == first
    app.commit()
    assert app.info().app_hash == first.app_hash
    with pytest.raises(BrokenInvariantError):
        app.commit()


def test_finalize__after_process__looks_the_block_up(monkeypatch: pytest.MonkeyPatch) -> None:
    market = Market()
    market.solo.time_ms += 1
    request = market.solo.make_request()
    assert market.solo.app.process_proposal(request)
    monkeypatch.setattr(machine, "apply_block", None)
    assert market.solo.app.finalize_block(request).app_hash


def test_init_chain__twice_before_the_first_commit__gives_the_same_and_never_after() -> None:
    solo = Solo(2)
    first = solo.app.info()
    assert solo.app.init_chain(solo.genesis) == first
    solo.block()
    with pytest.raises(BrokenInvariantError):
        solo.app.init_chain(solo.genesis)


def test_genesis__that_is_malformed__is_refused() -> None:
    app = ExchangeApplication(SimulatedDisk(derive_random(1, "none")), lambda _height, _draft: b"")
    for genesis in (b"", b"\xc0", Solo(1).genesis + b"\x00", Solo(1).genesis[:-1]):
        with pytest.raises(Malformed):
            app.init_chain(genesis)


def test_crash__before_the_first_commit__leaves_nothing() -> None:
    solo = Solo(1)
    solo.propose()
    solo.disk.crash()
    assert ExchangeApplication(solo.disk, solo.report).info().height == 0


def test_reopened__has_the_same_margin_as_before_without_a_new_block() -> None:
    market = Market()
    market.trade(0, 1, market.future(), 7)
    need = market.need(0)
    market.solo.app = ExchangeApplication(market.solo.disk, market.solo.report)
    assert market.need(0) == need
    assert market.draft[RISK_MATRIX].get(0) is not None


@pytest.mark.parametrize("size", [EXTENSION_BYTES_MAX, EXTENSION_BYTES_MAX + 1])
def test_extension__too_long_or_malformed__is_refused(size: int) -> None:
    market = Market()
    app = market.solo.app
    good = market.solo.report(app.height, market.draft)
    assert app.verify_vote_extension(app.height + 1, 0, good)
    assert not app.verify_vote_extension(app.height + 1, 0, b"")
    assert not app.verify_vote_extension(app.height + 1, 0, bytes(size))
    assert not app.verify_vote_extension(app.height + 1, 0, good + b"\x00")
    assert not app.verify_vote_extension(app.height + 1, 0, good[:-1])


def test_query__gives_rows_with_proofs_of_presence_and_absence() -> None:
    market = Market()
    app = market.solo.app
    present = BALANCES.encode_key((market.id(0), 0))
    absent = BALANCES.encode_key((77_777, 0))
    for key in (present, absent):
        answer = app.query("row", key)
        proof = PROOF_DECODER.decode(answer.proof)
        value = answer.value if key == present else None
        assert check_proof(answer.app_hash, key, value, proof)
        assert not check_proof(bytes(32), key, value, proof)
    for odd in (b"", b"\x00", b"\xff" * 9, present + b"\x00", present[:-1]):
        assert app.query("row", odd).value == b""


def test_readers__beside_commits__see_whole_blocks_of_one_height() -> None:
    market = Market()
    app = market.solo.app
    seen: list[tuple[int, int]] = []
    is_over = False

    def read() -> None:
        while not is_over:
            with app.reading() as draft:
                seen.append((app.height, draft[CLOCK][0].height))

    reader = Thread(target=read)
    reader.start()
    for _ in range(20):
        market.run(1)
    is_over = True
    reader.join()
    assert all(height == clock for height, clock in seen)
    assert [height for height, _ in seen] == sorted(height for height, _ in seen)


def test_check_tx__judges_by_the_committed_state_alone() -> None:
    market = Market()
    tx = market.sign(0, CancelOrder(1))
    assert market.solo.app.check_tx(tx).code == Code.OK
    market.solo.propose(tx)
    assert market.solo.app.check_tx(tx).code == Code.OK
    market.solo.app.commit()
    assert market.solo.app.check_tx(tx).code == Code.NONCE_USED


def test_events__of_a_block__are_bytes_that_decode() -> None:
    market = Market()
    response = market.solo.block(market.sign(0, PlaceOrder(market.future(), BUY, 100_000, 1)))
    block, txs = Decoder(tuple[list[list[object]], list[list[list[object]]]], max_bytes=2**24, max_items=2**20).decode(
        response.events
    )
    assert block
    assert txs[0] == []
    assert txs[1][0][0] == 120


def test_report_source__that_gives_nothing__leaves_the_feeds_without_prices() -> None:
    solo = Solo(1)
    solo.prices = {}
    for _ in range(3):
        solo.block()
    assert list(solo.draft()[INSTRUMENTS].items()) == []
