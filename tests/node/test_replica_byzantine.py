"""What peers can send: lies about votes, heights, blocks and snapshots, and bytes that mean nothing."""

import hashlib
from collections.abc import Callable
from dataclasses import replace as replace_chain

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from holdfast.consensus.messages import (
    NIL,
    Proposal,
    Vote,
    VoteKind,
    decode_block,
    header_hash,
    make_sign_domains,
    proposal_sign_bytes,
    vote_sign_bytes,
)
from holdfast.node.application import ChunkVerdict, CommitResponse, OfferVerdict, SnapshotInfo
from holdfast.node.ports import Disk, Network
from holdfast.node.replica_env import ReplicaConfig
from holdfast.node.replica_wire import (
    BlockResponse,
    BlocksRequest,
    ChunkRequest,
    ChunkResponse,
    CommitNotice,
    Message,
    ProposalMessage,
    SnapshotRecord,
    SnapshotsRequest,
    SnapshotsResponse,
    StatusMessage,
    TxsMessage,
    decode_message,
    encode_message,
)
from holdfast.primitives.codec import encode
from tests.support.replica_network import CHAIN, ReplicaNetwork, SeedSigner
from tests.support.toy_application import ToyApplication, ToyState

DOMAINS = make_sign_domains(CHAIN.chain_id, hashlib.sha256(CHAIN.genesis).digest())
Lie = Callable[[int, Message], Message | None]


class LyingNetwork:
    """A network port that rewrites what its owner says to each peer."""

    def __init__(self, inner: Network, size: int, owner: int, lie: Lie) -> None:
        self.inner, self.size, self.owner, self.lie = inner, size, owner, lie

    def send(self, peer: int, message: bytes) -> None:
        told = self.lie(peer, decode_message(message))
        if told is not None:
            self.inner.send(peer, encode_message(told))

    def broadcast(self, message: bytes) -> None:
        for peer in range(self.size):
            if peer != self.owner:
                self.send(peer, message)


def network_with_liar(liar: int, lie: Lie, **options: object) -> ReplicaNetwork:
    def wrap(index: int, network: Network) -> Network:
        return LyingNetwork(network, 4, index, lie) if index == liar else network

    return ReplicaNetwork(wrap_network=wrap, liars=(liar,), **options)  # type: ignore[arg-type]


def signed(vote: Vote) -> Vote:
    return replace(vote, signature=SeedSigner(vote.validator_index).sign(vote_sign_bytes(DOMAINS, vote)))


def equivocate(kind: VoteKind) -> Lie:
    def lie(peer: int, message: Message) -> Message:
        if isinstance(message, Vote) and message.kind == kind and peer % 2 and message.block_hash != NIL:
            return signed(replace(message, block_hash=NIL, extension=b"", extension_signature=b""))
        return message

    return lie


@pytest.mark.parametrize("kind", list(VoteKind))
def test_equivocator__prevotes_or_precommits__is_named_in_blocks_once_a_height(kind: VoteKind) -> None:
    network = network_with_liar(2, equivocate(kind))
    network.run_to(20)
    assert {fields["by"] for fields in network.events("equivocation_found")} == {2}
    guilty = {key: count for key, count in network.toy(0).state.counts.items() if key.startswith(b"guilty")}
    assert len(guilty) >= 10
    assert {key[:8] for key in guilty} == {b"guilty 2"}
    assert set(guilty.values()) == {1}


def test_liar_about_height__claims_far_ahead__costs_nothing_but_requests() -> None:
    def lie(_peer: int, message: Message) -> Message:
        if isinstance(message, StatusMessage | CommitNotice):
            return replace(message, height=10**9)
        return message

    network = network_with_liar(1, lie)
    network.run_to(10)
    network.world.crash(3)
    network.run_to(15)
    network.world.start(3)
    network.run_to(30)
    assert network.events("peer_silent")


def test_liar_in_catchup__sends_blocks_with_other_contents__others_are_asked() -> None:
    def lie(_peer: int, message: Message) -> Message:
        if isinstance(message, BlockResponse):
            block = decode_block(message.block)
            return replace(message, block=encode(replace(block, txs=(*block.txs, b"stolen"))))
        return message

    network = network_with_liar(0, lie)
    network.run_to(3)
    network.world.crash(3)
    network.run_to(20)
    network.world.start(3)
    network.run_to(30)
    assert network.events("block_refused")
    assert network.events("block_caught_up")


def test_liar_in_catchup__forges_a_block_with_its_own_votes__is_refused() -> None:
    def lie(_peer: int, message: Message) -> Message:
        if not isinstance(message, BlockResponse):
            return message
        block = decode_block(message.block)
        forged = replace(block, header=replace(block.header, time_ms=block.header.time_ms + 1))
        block_hash = header_hash(forged.header)
        votes = tuple(
            replace(vote, block_hash=block_hash, signature=SeedSigner(0).sign(vote_sign_bytes(DOMAINS, vote)))
            for vote in message.votes
        )
        return replace(message, block=encode(forged), votes=votes)

    network = network_with_liar(0, lie)
    network.run_to(3)
    network.world.crash(3)
    network.run_to(20)
    network.world.start(3)
    network.run_to(30)
    assert network.events("block_refused")


@pytest.mark.parametrize(
    "field", ["app_hash", "last_results_hash", "validators_hash", "last_block_hash", "time_ms", "height"]
)
def test_lying_proposer__wrong_header_field__block_is_not_decided(field: str) -> None:
    def lie(_peer: int, message: Message) -> Message:
        if not isinstance(message, ProposalMessage):
            return message
        block = decode_block(message.block)
        value = getattr(block.header, field)
        wrong = value + 1 if isinstance(value, int) else bytes(32)
        if wrong == value:
            wrong = b"\x01" * 32
        forged = replace(block, header=replace(block.header, **{field: wrong}))
        proposal = replace(message.proposal, block_hash=header_hash(forged.header))
        signature = SeedSigner(1).sign(proposal_sign_bytes(DOMAINS, proposal))
        return ProposalMessage(replace(proposal, signature=signature), encode(forged), message.polka)

    network = network_with_liar(1, lie)
    network.run_to(9)
    assert network.events("proposal_invalid")
    assert all(node.status == "running" for _, node in network.world.nodes())


def test_lying_proposer__right_header_with_other_txs__does_not_poison_the_right_block() -> None:
    def lie(peer: int, message: Message) -> Message:
        if isinstance(message, ProposalMessage) and peer == 3:
            block = decode_block(message.block)
            return replace(message, block=encode(replace(block, txs=(*block.txs, b"x"))))
        return message

    network = network_with_liar(1, lie)
    network.run_to(9)
    assert network.events("proposal_refused")
    assert all(node.status == "running" for _, node in network.world.nodes())


def test_bad_extension_signature__precommit_is_dropped__others_decide() -> None:
    def lie(_peer: int, message: Message) -> Message:
        if isinstance(message, Vote) and message.extension_signature:
            return replace(message, extension=b"\xff" * 8)
        return message

    network = network_with_liar(2, lie)
    network.run_to(10)
    assert network.events("vote_refused")


def recorded_messages() -> list[bytes]:
    """Genuine messages of every kind: of this chain so far, and of another chain with the same keys.

    A second history of this very chain would be a fork by all validators, which no replica can withstand.
    """
    seen: list[bytes] = []

    class Recording:
        def __init__(self, inner: Network) -> None:
            self.inner = inner

        def send(self, peer: int, message: bytes) -> None:
            seen.append(message)
            self.inner.send(peer, message)

        def broadcast(self, message: bytes) -> None:
            seen.append(message)
            self.inner.broadcast(message)

    ReplicaNetwork(wrap_network=lambda _, inner: Recording(inner)).run_to(5)
    other = replace_chain(CHAIN, chain_id="toy-2")
    network = ReplicaNetwork(chain=other, wrap_network=lambda _, inner: Recording(inner))
    network.run_to(4)
    network.world.crash(1)
    network.run_to(8)
    network.world.start(1)
    network.run_to(10)
    return seen


RECORDED = recorded_messages()


@pytest.fixture(scope="module")
def victim() -> ReplicaNetwork:
    network = ReplicaNetwork()
    network.run_to(5)
    return network


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_message__any_byte__never_raises(victim: ReplicaNetwork, data: st.DataObject) -> None:
    message = bytearray(data.draw(st.sampled_from(RECORDED)))
    for _ in range(data.draw(st.integers(0, 3))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(message)))
    replica = victim.replica(0)
    replica.on_message(data.draw(st.integers(0, 3)), bytes(message[:cut] if data.draw(st.booleans()) else message))
    assert replica.status != "halted", replica.halt_reason


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=st.binary(max_size=64))
def test_random_bytes__never_raise__are_counted(victim: ReplicaNetwork, message: bytes) -> None:
    replica = victim.replica(1)
    before = replica.counters["message_malformed"]
    replica.on_message(0, b"\x00" + message)
    assert replica.counters["message_malformed"] == before + 1


class SnapshotToy(ToyApplication):
    """A toy with a snapshot of every fourth height, in pieces of 40 bytes."""

    def __init__(self, disk: Disk, *, index: int = 0) -> None:
        super().__init__(disk, index=index)
        self.kept: dict[int, bytes] = {}
        self.chunks: list[bytes] = []

    def commit(self) -> CommitResponse:
        answer = super().commit()
        if self.state.height % 4 == 0:
            self.kept[self.state.height] = self.state.encode()
        return answer

    def list_snapshots(self) -> tuple[SnapshotInfo, ...]:
        return tuple(
            SnapshotInfo(height, 1, -(-len(data) // 40), hashlib.sha256(data).digest(), b"")
            for height, data in self.kept.items()
        )

    def load_snapshot_chunk(self, height: int, format: int, chunk: int) -> bytes:  # noqa: A002 -- ABCI's name
        data = self.kept.get(height, b"")
        return data[40 * chunk : 40 * chunk + 40]

    def offer_snapshot(self, snapshot: SnapshotInfo, app_hash: bytes) -> OfferVerdict:
        self.offered, self.trusted, self.chunks = snapshot, app_hash, []
        return OfferVerdict.ACCEPT

    def apply_snapshot_chunk(self, index: int, chunk: bytes) -> ChunkVerdict:
        self.chunks.append(chunk)
        if len(self.chunks) < self.offered.chunks:
            return ChunkVerdict.ACCEPT
        try:
            state = ToyState.decode(b"".join(self.chunks))
        except (ValueError, IndexError):
            return ChunkVerdict.RETRY_SNAPSHOT
        if state.app_hash != self.trusted:
            return ChunkVerdict.RETRY_SNAPSHOT
        self.state = state
        self.disk.replace("toy-state", state.encode())
        return ChunkVerdict.ACCEPT


def run_snapshot(lie: Lie) -> ReplicaNetwork:
    network = network_with_liar(0, lie, make_application=lambda disk, index: SnapshotToy(disk, index=index))
    for number in range(12):
        network.run_to(number + 1)
        network.replica(number % 4).submit(b"key %d" % number)
    network.run_to(14)
    network.world.crash(2)
    network.world.wipe(2)
    network.configs[2] = ReplicaConfig(state_sync=True, state_sync_wait_ms=200)
    network.world.start(2)
    network.run_to(40)
    return network


def test_wiped_replica__state_sync__restores_a_snapshot_and_follows() -> None:
    network = run_snapshot(lambda _peer, message: message)
    restored = network.events("snapshot_restored")
    assert len(restored) == 1
    assert int(restored[0]["height"]) >= 12
    assert network.toy(2).executed < 40


def test_state_sync__one_peer_serves_poisoned_chunks__another_is_asked() -> None:
    def lie(_peer: int, message: Message) -> Message:
        return replace(message, data=message.data[::-1]) if isinstance(message, ChunkResponse) else message

    network = run_snapshot(lie)
    assert network.events("chunk_refused")
    assert len(network.events("snapshot_restored")) == 1


def test_state_sync__one_peer_is_silent__another_is_asked() -> None:
    network = run_snapshot(lambda _peer, message: None if isinstance(message, ChunkResponse) else message)
    assert network.events("peer_silent")
    assert len(network.events("snapshot_restored")) == 1


def test_state_sync__crash_at_each_disk_operation_of_the_restore__comes_back() -> None:
    for operations in range(1, 9):
        network = ReplicaNetwork(make_application=lambda disk, index: SnapshotToy(disk, index=index))
        network.run_to(10)
        network.world.crash(2)
        network.world.wipe(2)
        network.configs[2] = ReplicaConfig(state_sync=True, state_sync_wait_ms=200)
        network.world.start(2)
        network.world.disk(2).fail_after(operations)
        network.world.run_while(lambda: network.world.node(2) is not None, network.world.now_ms + 10_000)  # noqa: B023
        network.world.start(2)
        network.run_to(network.replica(0).height + 10)


def any_vote() -> st.SearchStrategy[Vote]:
    """Votes of any shape that decodes, unsigned."""
    return st.builds(
        Vote,
        kind=st.sampled_from(VoteKind),
        height=st.one_of(st.integers(0, 8), st.integers(0, 2**53)),
        round=st.one_of(st.integers(0, 3), st.integers(0, 2**31)),
        block_hash=st.sampled_from([NIL, bytes(32), b"\xff" * 32]),
        validator_index=st.integers(0, 127),
        timestamp_ms=st.integers(0, 2**53),
        signature=st.just(bytes(64)),
    )


def any_message() -> st.SearchStrategy[Message]:
    """Well-formed messages with hostile contents."""
    heights = st.one_of(st.integers(0, 8), st.integers(0, 2**53))
    votes = st.lists(any_vote(), max_size=6).map(tuple)
    blocks = [message.block for message in map(decode_message, RECORDED) if isinstance(message, BlockResponse)]
    snapshots = st.builds(
        SnapshotRecord,
        heights,
        st.integers(0, 255),
        st.integers(1, 4_096),
        st.binary(max_size=32),
        st.binary(max_size=9),
    )
    proposals = st.builds(
        Proposal,
        heights,
        st.integers(0, 2**31),
        st.integers(-1, 2**31),
        st.just(bytes(32)),
        st.integers(0, 127),
        st.just(bytes(64)),
    )
    return st.one_of(
        any_vote(),
        st.builds(StatusMessage, heights, heights, st.booleans()),
        st.builds(CommitNotice, heights, votes),
        st.builds(BlocksRequest, heights, heights),
        st.builds(BlockResponse, heights, st.sampled_from([b"", b"\x94", *blocks]), votes),
        st.builds(ProposalMessage, proposals, st.sampled_from([b"", *blocks]), votes),
        st.builds(SnapshotsRequest, heights),
        st.builds(SnapshotsResponse, st.lists(snapshots, max_size=3).map(tuple)),
        st.builds(ChunkRequest, heights, st.integers(0, 255), st.integers(0, 4_095)),
        st.builds(ChunkResponse, heights, st.integers(0, 255), st.integers(0, 4_095), st.binary(max_size=99)),
        st.builds(TxsMessage, st.lists(st.binary(min_size=1, max_size=99), max_size=9).map(tuple)),
    )


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sender=st.integers(0, 9), message=any_message())
def test_hostile_message__any_well_formed_contents__never_raises(
    victim: ReplicaNetwork, sender: int, message: Message
) -> None:
    replica = victim.replica(2)
    replica.on_message(sender, encode_message(message))
    assert replica.status != "halted", replica.halt_reason


def test_victim_of_all_that__goes_on(victim: ReplicaNetwork) -> None:
    victim.run_to(max(victim.heights()) + 10)
