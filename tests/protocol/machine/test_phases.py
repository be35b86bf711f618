"""The order of a block's phases, seen from outside: what a command meets in the block of an expiry, a gap, a fault."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.primitives.reject import Code
from holdfast.protocol import machine
from holdfast.protocol.custody.messages import Withdraw
from holdfast.protocol.instruments.state import INSTRUMENTS
from holdfast.protocol.liquidation.state import LIQUIDATIONS
from holdfast.protocol.machine import Block, apply_block, is_ordered
from holdfast.protocol.messages import Envelope
from holdfast.protocol.oracle.messages import OracleCommit, OracleVote, decode_oracle_commit, encode_oracle_commit
from holdfast.protocol.oracle.state import FEEDS, Status
from holdfast.protocol.portfolio.state import POSITIONS
from holdfast.protocol.settlement.messages import InstrumentSettled, PositionSettled
from holdfast.protocol.staking.messages import MisbehaviorRecorded
from holdfast.protocol.staking.state import MISBEHAVIORS
from holdfast.protocol.trading.messages import (
    AmendOrder,
    CancelAll,
    Cancelled,
    CancelOrder,
    OrderCancelled,
    PlaceOrder,
    TimeInForce,
)
from tests.support.exchange import BTC, BUY, SELL, USD, Market

MINUTE_MS = 60_000


def at_expiry() -> tuple[Market, int, int, int]:
    """A market one block before the first expiry, with a position and a resting order in the future that expires."""
    market = Market()
    future = market.future()
    expiry_ms = market.draft[INSTRUMENTS][future].expiry_ms
    market.trade(0, 1, future, 5)
    market.do(2, PlaceOrder(future, SELL, 130_000, 3))
    (order_id,) = market.orders()
    market.block(time_ms=expiry_ms - 31 * MINUTE_MS)
    market.run(30)
    assert market.solo.time_ms == expiry_ms - MINUTE_MS
    return market, future, order_id, expiry_ms


def test_block_before_the_expiry__still_trades() -> None:
    market, future, _, expiry_ms = at_expiry()
    tx = market.sign(3, PlaceOrder(future, BUY, 130_000, 3, TimeInForce.FILL_OR_KILL))
    assert market.apply(tx, time_ms=expiry_ms - 1).receipts[-1].code == Code.OK


def test_expiry_block__any_order_of_its_commands__settles_once_and_refuses_what_is_late() -> None:
    market, future, order_id, expiry_ms = at_expiry()
    commands = {
        "place": market.sign(3, PlaceOrder(future, BUY, 130_000, 1)),
        "amend": market.sign(2, AmendOrder(order_id, 129_000, 3)),
        "cancel": market.sign(2, CancelOrder(order_id)),
        "withdraw": market.sign(0, Withdraw(0, USD)),
    }
    roots = set()
    for names in permutations(commands):
        applied = market.apply(*(commands[name] for name in names), time_ms=expiry_ms)
        codes = dict(zip(names, (receipt.code for receipt in applied.receipts[1:]), strict=True))
        assert codes == {
            "place": Code.INSTRUMENT_EXPIRED,
            "amend": Code.ORDER_UNKNOWN,
            "cancel": Code.ORDER_UNKNOWN,
            "withdraw": Code.OK,
        }
        settled = [event for event in applied.events if isinstance(event, PositionSettled)]
        assert sorted((event.account_id, event.lots) for event in settled) == [(market.id(0), 5), (market.id(1), -5)]
        assert [e.instrument_id for e in applied.events if isinstance(e, InstrumentSettled)].count(future) == 1
        gone = [e for e in applied.events if isinstance(e, OrderCancelled)]
        assert [(e.order_id, e.reason) for e in gone] == [(order_id, Cancelled.EXPIRED)]
        roots.add(applied.app_hash)
    # The order among strangers' refused commands changes nothing; each has used its nonce.
    assert len(roots) == 1
    market.block(time_ms=expiry_ms)
    assert not any(key[1] == future for key, _ in market.draft[POSITIONS].items())
    assert future not in market.draft[INSTRUMENTS]
    assert not any(isinstance(event, PositionSettled) for event in market.run(3))


def test_gap__account_under_maintenance_at_the_new_marks__trades_no_more_in_that_block() -> None:
    market = Market(3, deposits={0: ((0, 80_000 * USD),), 1: ((0, 10**13),), 2: ((0, 10**13),)})
    future = market.future(place=3)
    market.trade(0, 1, future, 400)
    market.solo.prices[BTC] = 105_000 * 10**8
    codes = []
    while market.id(0) not in market.draft[LIQUIDATIONS]:
        codes.append(market.apply(market.sign(0, PlaceOrder(future, SELL, 100_000, 1))).receipts[-1].code)
        assert market.do(0, CancelAll(0)).code == Code.OK
    assert codes[-1] == Code.ACCOUNT_IN_LIQUIDATION


def test_misbehavior__proven__is_recorded_once_and_of_known_validators_alone() -> None:
    market = Market()
    solo = market.solo
    txs = solo.make_request(prepare=False).txs
    block = Block(solo.height + 1, solo.time_ms + 1, 0, txs, ((2, 1), (2, 1), (9, 1)))
    applied = apply_block(solo.app.state, block)
    assert [event for event in applied.events if isinstance(event, MisbehaviorRecorded)] == [MisbehaviorRecorded(2, 1)]
    solo.app.state.commit(applied.sealed)
    assert list(market.draft[MISBEHAVIORS].keys()) == [(2, 1)]


@pytest.mark.parametrize("extension", [b"", b"\xff", bytes(8_000)])
@pytest.mark.parametrize(("broken", "is_new"), [(1, True), (2, False)])
def test_reports__that_do_not_decode__count_as_not_given(extension: bytes, broken: int, is_new: bool) -> None:
    market = Market()
    solo = market.solo
    commit = decode_oracle_commit(solo.make_request(prepare=False).txs[0])
    mixed = tuple(
        OracleVote(vote.validator_index, extension if place < broken else vote.extension, vote.signature)
        for place, vote in enumerate(commit.votes)
    )
    tx = encode_oracle_commit(OracleCommit(commit.round, mixed))
    applied = apply_block(solo.app.state, Block(solo.height + 1, solo.time_ms + MINUTE_MS, 0, (tx,)))
    solo.app.state.commit(applied.sealed)
    feed = market.draft[FEEDS][BTC]
    # Three of four are a quorum, in doubt; two are none, and the last price stands as it stood.
    assert feed.status == (Status.DEGRADED if is_new else Status.LIVE)
    assert (feed.updated_height == solo.height + 1) == is_new


signers = st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=8)


@settings(max_examples=300, deadline=None)
@given(signers)
def test_order_of_a_block__what_an_honest_proposer_makes__is_accepted(commands: list[tuple[int, bool]]) -> None:
    envelopes = [
        Envelope(1, bytes([who] * 32), place, CancelOrder(1) if cancels else PlaceOrder(1, 0, 1, 1))
        for place, (who, cancels) in enumerate(commands)
    ]
    front, rest, seen = [], [], set()
    for envelope in envelopes:
        if machine.is_cancel(envelope) and envelope.signer not in seen:
            front.append(envelope)
        else:
            rest.append(envelope)
            seen.add(envelope.signer)
    assert is_ordered([*front, *rest])
    late = [
        e for place, e in enumerate(rest) if machine.is_cancel(e) and e.signer not in {o.signer for o in rest[:place]}
    ]
    assert not late


BUSY = Market()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=60), st.integers(0, 5)), max_size=6))
def test_block__of_any_bytes_in_any_place__gives_receipts_and_never_halts(pieces: list[bytes | int]) -> None:
    solo = BUSY.solo
    good = [solo.make_request(prepare=False).txs[0]]
    good += [solo.sign(who, CancelAll(0), nonce=1) for who in (0, 1)]
    good += [solo.sign(2, PlaceOrder(1, 0, 1, 1), nonce=nonce) for nonce in (1, 1, 2)]
    txs = tuple(piece if isinstance(piece, bytes) else good[piece] for piece in pieces)
    applied = apply_block(solo.app.state, Block(solo.height + 1, solo.time_ms + MINUTE_MS, 0, txs))
    assert len(applied.receipts) == max(1, len(txs))
    known = {Code.OK, Code.BAD_ENCODING, Code.NONCE_USED, Code.INSTRUMENT_HALTED, Code.ORACLE_FORBIDS_RISK}
    assert {receipt.code for receipt in applied.receipts} <= known
