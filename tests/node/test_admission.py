"""What may stand in a block: bytes that are no command, sizes, signatures, domains, nonces, order, time, oracles."""

import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.client.commands import sign_command
from holdfast.client.signing import SigningKey
from holdfast.lab.solo import Solo, make_key
from holdfast.node import admission
from holdfast.node.application import PrepareRequest
from holdfast.primitives import codec
from holdfast.primitives.crypto import sha256
from holdfast.primitives.reject import Code
from holdfast.protocol.accounts.messages import CreateSubaccount, GrantSession, RevokeSession, RotateOwner
from holdfast.protocol.accounts.state import NONCES
from holdfast.protocol.custody.messages import Deposit, Transfer, Withdraw
from holdfast.protocol.limits import BLOCK_BYTES_MAX, BLOCK_TXS_MAX, ID_MAX, TX_BYTES_MAX
from holdfast.protocol.liquidation.messages import BidAuction
from holdfast.protocol.messages import MAGIC, Bundle, Command, Domain, Envelope, SignedTx
from holdfast.protocol.oracle.messages import OracleCommit, OracleVote, decode_oracle_commit, encode_oracle_commit
from holdfast.protocol.trading.messages import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    MassQuote,
    PlaceOrder,
    Quote,
    SetProtection,
)
from tests.support.exchange import Market

KEY = bytes(range(32))
COMMANDS: list[Command] = [
    CreateSubaccount(),
    GrantSession(KEY, 3, 2**41),
    RevokeSession(KEY),
    RotateOwner(KEY),
    Deposit(KEY, 1, 300),
    Withdraw(0, 70_000),
    Transfer(1_001, 0, 5),
    PlaceOrder(7, 1, 120_000, 5, 1, False, True, 2, 99),
    AmendOrder(5, 6, 7),
    CancelOrder(2**40),
    CancelAll(0),
    MassQuote(1, (Quote(1, 2, 3, 4, 5), Quote(6, 7, 8, 9, 10))),
    SetProtection(1, 100, 60_000),
    BidAuction(1_000, 500_000, 0),
    Bundle((CancelOrder(1), PlaceOrder(1, 0, 2, 3))),
]


@pytest.fixture(scope="module")
def market() -> Market:
    return Market()


def golden(market: Market, command: Command) -> bytes:
    return sign_command(market.solo.keys[0], market.solo.domain, market.id(0), 1, command)


def verdict(market: Market, tx: bytes) -> int:
    return market.solo.app.check_tx(tx).code


def mutations(tx: bytes) -> Iterator[bytes]:
    """Every byte with each of its bits flipped and at both ends of its range, every prefix, and one byte more."""
    for place, byte in enumerate(tx):
        for other in {*(byte ^ 1 << bit for bit in range(8)), 0, 255} - {byte}:
            yield tx[:place] + bytes([other]) + tx[place + 1 :]
        yield tx[:place]
    for more in (0, 0x90, 0xC0, 255):
        yield tx + bytes([more])
        yield bytes([more]) + tx


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_bytes__of_every_command_with_any_one_mutation__are_refused_with_a_code(
    market: Market, command: Command
) -> None:
    tx = golden(market, command)
    codes = {verdict(market, mutated) for mutated in mutations(tx)}
    assert codes == {Code.BAD_ENCODING, Code.BAD_SIGNATURE}


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_bytes__at_random__are_bad_encoding(market: Market, data: bytes) -> None:
    assert verdict(market, data) == Code.BAD_ENCODING


def wrap(market: Market, payload: bytes) -> bytes:
    key = market.solo.keys[0]
    return codec.encode(SignedTx(payload, key.sign(market.solo.domain + payload)))


@pytest.mark.parametrize(
    "fields",
    [
        [1_000, KEY, 1],
        [1_000, KEY, 1, [22, 1], 0],
        [1_000, KEY[:31], 1, [22, 1]],
        [-1, KEY, 1, [22, 1]],
        [1_000, KEY, ID_MAX + 1, [22, 1]],
        [1_000, KEY, 1, [22, -1]],
        [1_000, KEY, 1, [22, ID_MAX + 1]],
        [1_000, KEY, 1, [22, 2**64 - 1]],
        [1_000, KEY, 1, [22, "1"]],
        [1_000, KEY, 1, [22, 1.0]],
        [1_000, KEY, 1, [22, None]],
        [1_000, KEY, 1, [22, True]],
        [1_000, KEY, 1, {"22": 1}],
        [1_000, KEY, 1, [99, 1]],
        [1_000, KEY, 1, [20, 1, 2, 1, 1]],
        [1_000, KEY, 1, [20, 1, 0, 1, 1, 3]],
        [1_000, KEY, 1, [20, 1, 0, 1, 1, 0, 1]],
        [1_000, KEY, 1, [24, 1, [[1, 1, 1, 1, 1]] * 257]],
        [1_000, KEY, 1, [60, [[60, [[22, 1]]]]]],
        [1_000, KEY, 1, [60, [[11, 0, 1]]]],
        [1_000, KEY, 1, [60, [[22, 1]] * 65]],
        [1_000, KEY, 1, [24, 1, [[[[[[[[[1]]]]]]]]]]],
    ],
)
def test_payload__well_signed_but_no_command__is_bad_encoding(market: Market, fields: list[object]) -> None:
    assert verdict(market, wrap(market, codec.encode(fields))) == Code.BAD_ENCODING


@pytest.mark.parametrize("size", [TX_BYTES_MAX - 1, TX_BYTES_MAX, TX_BYTES_MAX + 1])
def test_size__around_the_limit__is_judged_by_length_before_anything_else(market: Market, size: int) -> None:
    payload = bytes(size - 3 - 67)
    tx = codec.encode(SignedTx(payload, bytes(64)))
    tx = tx + bytes(size - len(tx))
    assert len(tx) == size
    assert verdict(market, tx) == (Code.TX_TOO_LARGE if size > TX_BYTES_MAX else Code.BAD_ENCODING)


def domain(kind: str = "command", version: int = 1, chain: str = "solo", genesis: bytes | None = None) -> bytes:
    return sha256(MAGIC + codec.encode(Domain(kind, version, chain, genesis or bytes(32))))


@pytest.mark.parametrize("swapped", ["kind", "version", "chain", "genesis", "magic", "none"])
def test_signature__under_any_other_domain__is_refused(market: Market, swapped: str) -> None:
    genesis = sha256(market.solo.genesis)
    domains = {
        "kind": domain("vote", genesis=genesis),
        "version": domain(version=2, genesis=genesis),
        "chain": domain(chain="solo2", genesis=genesis),
        "genesis": domain(genesis=bytes(32)),
        "magic": sha256(b"Holdfast" + codec.encode(Domain("command", 1, "solo", genesis))),
        "none": b"",
    }
    assert domain(genesis=genesis) == market.solo.domain
    tx = sign_command(market.solo.keys[0], domains[swapped], market.id(0), 1, CancelOrder(1))
    assert verdict(market, tx) == Code.BAD_SIGNATURE


def test_transaction__of_another_chain_with_the_same_keys__is_refused(market: Market) -> None:
    other = Solo(5)
    assert verdict(market, other.sign(0, CancelOrder(1))) == Code.BAD_SIGNATURE


@pytest.mark.parametrize("kind", ["vote", "proposal", "extension"])
def test_signature__of_another_kind_of_message__fits_no_command(market: Market, kind: str) -> None:
    envelope = codec.encode(Envelope(market.id(0), market.solo.keys[0].public_key, 1, CancelOrder(1)))
    signed = domain(kind, genesis=sha256(market.solo.genesis)) + envelope
    tx = codec.encode(SignedTx(envelope, market.solo.keys[0].sign(signed)))
    assert verdict(market, tx) == Code.BAD_SIGNATURE


def test_signature__with_s_plus_the_group_order__is_refused(market: Market) -> None:
    tx = golden(market, CancelOrder(1))
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(tx[-32:], "little") + order
    assert verdict(market, tx[:-32] + s.to_bytes(32, "little")) == Code.BAD_SIGNATURE


def test_keys__small_order_or_not_canonical__cannot_own_nor_act() -> None:
    market = Market()
    points = ["00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f", "ed" + "ff" * 30 + "7f", "ee" + "ff" * 31]
    for point in map(bytes.fromhex, points):
        for command in (RotateOwner(point), GrantSession(point, 1, market.solo.time_ms + 10**6)):
            assert market.do(0, command).code == Code.KEY_NOT_ACCEPTABLE
        (receipt,) = market.block(market.sign(-1, Deposit(point, 0, 1)))
        assert receipt.code == Code.KEY_NOT_ACCEPTABLE


def test_nonces__of_one_key_in_one_block__are_counted_as_they_come() -> None:
    market = Market()
    sign = market.solo.sign
    txs = [sign(0, CreateSubaccount(), nonce=nonce) for nonce in (3, 1, 2, 2, 3)]
    assert len(market.solo.app.prepare_proposal(prepare(market, txs))) == 1 + 3
    market.solo.time_ms += 1
    assert not market.solo.app.process_proposal(market.solo.make_request(*txs, prepare=False))
    assert market.solo.app.process_proposal(market.solo.make_request(*txs[:3], prepare=False))


def prepare(market: Market, txs: list[bytes], max_tx_bytes: int = BLOCK_BYTES_MAX) -> PrepareRequest:
    solo = market.solo
    commit = solo._extended_commit(solo.height)
    return PrepareRequest(solo.height + 1, solo.time_ms + 1, 0, max_tx_bytes, tuple(txs), commit, ())


def test_prepare__a_small_block__takes_what_fits_and_leaves_the_rest() -> None:
    market = Market()
    txs = [market.sign(0, CancelOrder(number)) for number in range(1, 50)]
    whole = market.solo.app.prepare_proposal(prepare(market, txs))
    assert len(whole) == 50
    bound = len(whole[0]) + 3 * len(txs[0])
    chosen = market.solo.app.prepare_proposal(prepare(market, txs, bound))
    assert sum(map(len, chosen)) <= bound
    assert len(chosen) >= 4


def test_order__cancels_come_first_but_not_past_an_earlier_command_of_their_signer() -> None:
    market = Market()
    order, cancel = PlaceOrder(market.future(), 0, 1, 1), CancelAll(0)
    a1, a2 = market.sign(0, order), market.sign(0, cancel)
    b1, b2 = market.sign(1, cancel), market.sign(1, order)
    app, solo = market.solo.app, market.solo
    solo.time_ms += 1
    chosen = solo.make_request(a1, a2, b1, b2).txs[1:]
    assert chosen == (b1, a1, a2, b2)
    assert app.process_proposal(solo.make_request(*chosen, prepare=False))
    app.drop_caches()
    for wrong in ((a1, b1, a2, b2), (a1, a2, b1, b2), (a1, b1)):
        assert not app.process_proposal(solo.make_request(*wrong, prepare=False)), wrong
    for right in ((b1, a1, a2), (a2, b1, a1), (b1, a2, a1, b2)):
        assert app.process_proposal(solo.make_request(*right, prepare=False)), right


def test_proposal__at_a_wrong_time_or_height__is_refused_and_never_halts() -> None:
    market = Market()
    solo = market.solo
    for time_ms in (0, solo.time_ms - 1, solo.time_ms):
        request = solo.make_request(prepare=False)
        assert not solo.app.process_proposal(request._replace(time_ms=time_ms, hash=b"%d" % time_ms))
    request = solo.make_request(prepare=False)._replace(time_ms=solo.time_ms + 1)
    for height in (0, solo.height, solo.height + 2):
        assert not solo.app.process_proposal(request._replace(height=height, hash=b"h%d" % height))
    assert solo.app.process_proposal(request)


def test_proposal__without_an_oracle_commit_or_with_too_many_txs__is_refused() -> None:
    solo = Market().solo
    solo.time_ms += 1
    request = solo.make_request(prepare=False)
    assert not solo.app.process_proposal(request._replace(txs=()))
    assert not solo.app.process_proposal(request._replace(txs=(b"",)))
    assert not solo.app.process_proposal(request._replace(txs=request.txs * (BLOCK_TXS_MAX + 1)))
    assert not solo.app.process_proposal(request._replace(txs=(*request.txs, request.txs[0])))


def test_oracle_commit__forged_in_any_part__is_refused() -> None:
    solo = Market().solo
    solo.time_ms += 1
    request = solo.make_request(prepare=False)
    commit = decode_oracle_commit(request.txs[0])
    vote = commit.votes[0]
    stranger = SigningKey(hashlib.sha256(b"stranger").digest())
    forgeries = [
        commit.votes[1:] + commit.votes[:1],
        (vote, *commit.votes),
        (OracleVote(1, vote.extension, vote.signature), *commit.votes[2:]),
        (OracleVote(9, vote.extension, vote.signature),),
        (OracleVote(0, vote.extension + b"\x00", vote.signature), *commit.votes[1:]),
        (OracleVote(0, vote.extension, stranger.sign(b"x")), *commit.votes[1:]),
        (OracleVote(0, b"", vote.signature), *commit.votes[1:]),
    ]
    for votes in forgeries:
        tx = codec.encode(OracleCommit(commit.round, votes))
        assert not solo.app.process_proposal(request._replace(txs=(tx,), hash=sha256(tx)))
    tx = encode_oracle_commit(OracleCommit(commit.round + 1, commit.votes))
    assert not solo.app.process_proposal(request._replace(txs=(tx,), hash=sha256(tx)))
    for count, is_quorum in ((0, False), (2, False), (3, True)):
        fewer = encode_oracle_commit(OracleCommit(commit.round, commit.votes[:count]))
        assert solo.app.process_proposal(request._replace(txs=(fewer,), hash=sha256(fewer))) is is_quorum


def test_oracle_commit__of_the_last_height__is_not_good_for_the_next() -> None:
    market = Market()
    solo = market.solo
    solo.time_ms += 1
    old = solo.make_request(prepare=False)
    market.run(1)
    solo.time_ms += 1
    request = solo.make_request(prepare=False)
    assert not solo.app.process_proposal(request._replace(txs=old.txs, hash=b"old"))


def test_deposit__of_anyone_but_the_custodian__stores_no_nonce() -> None:
    market = Market()
    stranger = make_key("stranger")
    tx = sign_command(stranger, market.solo.domain, 123_456_789, 1, Deposit(KEY, 0, 1))
    applied = market.apply(tx)
    assert applied.receipts[-1].code == Code.NOT_CUSTODIAN
    assert not any(key[0] == NONCES.tag for key, _ in applied.sealed.changes)


def test_cache__answers_the_same_twice_and_never_lets_one_verdict_stand_for_another(market: Market) -> None:
    tx = golden(market, CancelOrder(1))
    bad = tx[:-1] + bytes([tx[-1] ^ 1])
    assert [verdict(market, one) for one in (tx, bad, tx, bad)] == [0, Code.BAD_SIGNATURE, 0, Code.BAD_SIGNATURE]


def test_admit_many__known_new_forged_too_large_and_twice__is_what_each_alone_is(market: Market) -> None:
    known, new = golden(market, CancelOrder(1)), golden(market, CancelOrder(2))
    txs = (known, new, new[:-1] + bytes([new[-1] ^ 1]), bytes(TX_BYTES_MAX + 1), b"no command", known)
    together, alone = admission.Cache(market.draft), admission.Cache(market.draft)
    together.admit(known)
    assert together.admit_many(txs) == [alone.admit(tx) for tx in txs]
    assert [one.code for one in alone.admit_many(txs)[:3]] == [Code.OK, Code.OK, Code.BAD_SIGNATURE]


def test_admit_many__more_than_are_remembered__answers_for_all(monkeypatch: pytest.MonkeyPatch, market: Market) -> None:
    txs = [golden(market, CancelOrder(number)) for number in range(1, 9)]
    monkeypatch.setattr(admission, "_CACHE_MAX", 3)
    cache = admission.Cache(market.draft)
    assert [one.code for one in cache.admit_many(txs)] == [Code.OK] * 8
    assert len(cache._known) == 3


def test_cache__flooded_by_large_transactions__stays_within_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_CACHE_BYTES_MAX", 10_000)
    market = Market()
    cache = admission.Cache(market.draft)
    first = golden(market, CancelOrder(1))
    assert cache.admit(first).code == Code.OK
    for number in range(100):
        cache.admit(number.to_bytes(4, "big") + bytes(1_000))
    assert cache._bytes == sum(map(len, cache._known)) <= 10_000
    assert cache.admit(first).code == Code.OK


def test_cache__committed_transactions__are_forgotten_with_their_bytes() -> None:
    solo = Solo(2)
    solo.run(2)
    cache = admission.Cache(solo.draft())
    txs = tuple(solo.sign(index, CancelAll(0)) for index in (0, 1))
    assert all(cache.admit(tx).envelope is not None for tx in txs)
    cache.forget((txs[0], b"never seen"))
    assert [tx in cache._known for tx in txs] == [False, True]
    assert cache._bytes == len(txs[1])
