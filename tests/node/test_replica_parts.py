"""The parts of a replica one by one: mempool, evidence pool, tip, restart rules, validator changes."""

import hashlib

import pytest
from msgspec.structs import replace

from holdfast.consensus.messages import NIL, Vote, VoteKind, decode_block
from holdfast.consensus.validators import Validator, ValidatorSet
from holdfast.node.application import BlockRequest, FinalizeResponse, InfoResponse, ValidatorInfo
from holdfast.node.blockstore import BlockStore
from holdfast.node.evidence_pool import EvidencePool
from holdfast.node.mempool import Mempool
from holdfast.node.ports import Disk
from holdfast.node.replica_tip import Tip, genesis_tip, read_tip, record_of, sets_after
from holdfast.primitives.reject import Code
from tests.support.replica_network import GENESIS_MS, ReplicaNetwork, SeedSigner
from tests.support.toy_application import ToyApplication, ToyState


def digest(tx: bytes) -> bytes:
    return hashlib.sha256(tx).digest()


def pool(*txs: bytes, **limits: int) -> Mempool:
    bounds = {"count_max": 10, "bytes_max": 100_000, "age_heights_max": 5, **limits}
    made = Mempool(**bounds)
    for tx in txs:
        assert made.has_room(tx)
        made.add(digest(tx), tx, 1)
    return made


# Mempool


def test_mempool__count_bytes_and_size__are_bounded() -> None:
    assert not pool(b"a", b"b", count_max=2).has_room(b"c")
    assert not pool(b"aaa", bytes_max=5).has_room(b"bbb")
    assert not pool().has_room(bytes(16 * 1024 + 1))
    assert pool().has_room(bytes(16 * 1024))
    assert not pool().has_room(b"")


def test_mempool__included_txs__leave_and_are_remembered_for_a_while() -> None:
    made = pool(b"a", b"b")
    made.committed(2, (b"a", b"elsewhere"))
    assert made.reap(100) == (b"b",)
    assert made.bytes == 1
    assert made.was_included(digest(b"elsewhere"))
    for height in range(3, 19):
        made.committed(height, ())
    assert not made.was_included(digest(b"elsewhere"))


def test_mempool__old_txs__expire() -> None:
    made = pool(b"a")
    made.add(digest(b"b"), b"b", 4)
    made.committed(7, ())
    assert made.reap(100) == (b"b",)


def test_mempool__reap__keeps_order_and_size() -> None:
    assert pool(b"ccc", b"aa", b"b").reap(5) == (b"ccc", b"aa")


def test_submit__known_waiting_or_included__is_answered() -> None:
    network = ReplicaNetwork()
    network.run_to(2)
    assert network.replica(0).submit(b"key").code == Code.OK
    assert network.replica(0).submit(b"key").code == Code.OK
    network.run_to(6)
    assert network.replica(0).submit(b"key").code == Code.NONCE_USED
    assert network.replica(0).submit(bytes(70)).code == 2
    assert network.replica(0).submit(bytes(20_000)).code == Code.MEMPOOL_FULL


# Evidence


def vote(height: int, index: int, block_hash: bytes) -> Vote:
    return Vote(VoteKind.PREVOTE, height, 0, block_hash, index, 1, bytes(64))


def test_evidence_pool__one_proof_a_validator_and_height__oldest_first() -> None:
    made = EvidencePool()
    assert made.add(vote(5, 1, NIL), vote(5, 1, b"a" * 32))
    assert not made.add(vote(5, 1, NIL), vote(5, 1, b"b" * 32))
    assert made.add(vote(4, 2, NIL), vote(4, 2, b"a" * 32))
    assert made.add(vote(6, 0, NIL), vote(6, 0, b"a" * 32))
    assert [proof.first.height for proof in made.reap(6)] == [4, 5]
    made.drop({(5, 1)}, 5)
    assert [proof.first.height for proof in made.reap(9)] == [6]


def test_evidence_pool__flood__is_bounded() -> None:
    made = EvidencePool()
    for height in range(1_000):
        made.add(vote(height, 1, NIL), vote(height, 1, b"a" * 32))
    assert len(made) == 256
    assert len(made.reap(10_000)) == 16


# The tip


VALIDATORS = ValidatorSet([Validator(bytes([index]) * 32, 10) for index in range(4)])


def test_tip__as_a_record_and_back__is_the_same() -> None:
    tip = genesis_tip(VALIDATORS, GENESIS_MS)._replace(height=7, proven=frozenset({(3, 1), (5, 0)}))
    loaded = read_tip(record_of(tip))
    assert loaded._replace(sets=()) == tip._replace(sets=())
    assert loaded.validators.hash == VALIDATORS.hash


def test_sets__update_at_a_height__signs_two_heights_later() -> None:
    tip = genesis_tip(VALIDATORS, GENESIS_MS)._replace(height=9)
    changed = tip._replace(height=10, sets=sets_after(tip, (ValidatorInfo(bytes([3]) * 32, 0),)))
    assert changed.validators_at(11).total_power == 40
    assert changed.validators_at(12).total_power == 30
    assert (changed.validators.total_power, changed.next_validators.total_power) == (40, 30)
    assert sets_after(tip, ()) is tip.sets


# Restart


class Forgetful(ToyApplication):
    """Keeps every third height only, as an application that persists now and then."""

    def __init__(self, disk: Disk, *, index: int = 0) -> None:
        super().__init__(disk, index=index, persist_every=3)


def test_restart__application_behind_its_chain__is_brought_up_by_replay() -> None:
    network = ReplicaNetwork(make_application=lambda disk, index: Forgetful(disk, index=index))
    for _ in range(4):
        network.run_to(max(network.heights()) + 5)
        for index in range(4):
            network.world.crash(index)
        network.world.start_all()
        network.check_agreement()
    assert network.events("block_replayed")


def test_restart__application_lost_its_state__replays_from_genesis() -> None:
    network = ReplicaNetwork()
    network.run_to(8)
    network.world.crash(1)
    network.world.disk(1).delete("toy-state")
    network.world.start(1)
    assert len([fields for fields in network.events("block_replayed") if fields["validator"] == 1]) >= 8
    network.run_to(14)


class Impostor(ToyApplication):
    """Says that it stands where it does not."""

    def info(self) -> InfoResponse:
        return super().info()._replace(height=99)


class Rewritten(ToyApplication):
    """Came back with another state than it had."""

    def info(self) -> InfoResponse:
        answer = super().info()
        return answer._replace(app_hash=bytes(32)) if answer.height else answer


@pytest.mark.parametrize(("kind", "reason"), [(Impostor, "ahead of the chain"), (Rewritten, "app hash")])
def test_restart__application_contradicts_the_chain__halts_with_the_reason(
    kind: type[ToyApplication], reason: str
) -> None:
    network = ReplicaNetwork()
    network.run_to(5)
    network.world.crash(2)
    network.make_application = lambda disk, index: kind(disk, index=index)
    network.world.start(2)
    assert network.replica(2).status == "halted"
    assert reason in network.replica(2).halt_reason
    network.run_to(10, who=(0, 1, 3))


# Validator changes


class Changing(ToyApplication):
    """Removes validator 3 at height 5 and takes it back, heavier, at height 12."""

    def execute(self, request: BlockRequest) -> tuple[ToyState, FinalizeResponse]:
        state, response = super().execute(request)
        power = {5: 0, 12: 15}.get(request.height)
        if power is None:
            return state, response
        updates = (ValidatorInfo(SeedSigner(3).public_key, power),)
        return state, response._replace(validator_updates=updates)


def test_validator_updates__removal_and_return__take_effect_two_heights_later() -> None:
    network = ReplicaNetwork(make_application=lambda disk, index: Changing(disk, index=index))
    network.run_to(30)
    store = BlockStore(network.world.disk(0))
    stored = [store.load(height) for height in range(1, 31)]
    blocks = [decode_block(block.data) for block in stored if block is not None]
    proposers = [block.header.proposer_index for block in blocks]
    assert 3 in proposers[:6]
    assert 3 not in proposers[6:13]
    assert 3 in proposers[13:]
    voters = [{entry.validator_index for entry in block.last_commit.signatures} for block in blocks]
    assert all(3 not in each for each in voters[7:14])
    network.world.crash(0)
    network.world.start(0)
    network.run_to(36)


class Ruinous(ToyApplication):
    """Removes everybody at height 4."""

    def execute(self, request: BlockRequest) -> tuple[ToyState, FinalizeResponse]:
        state, response = super().execute(request)
        updates = tuple(ValidatorInfo(SeedSigner(index).public_key, 0) for index in range(4))
        return state, response._replace(validator_updates=updates if request.height == 4 else ())


def test_validator_updates__that_leave_nobody__halt_with_a_reason() -> None:
    network = ReplicaNetwork(make_application=lambda disk, index: Ruinous(disk, index=index))
    network.run_for(10_000)
    assert {node.status for _, node in network.world.nodes()} == {"halted"}
    assert "no valid set" in network.replica(0).halt_reason
    assert network.heights() == [3] * 4


def test_tip__type__is_immutable() -> None:
    tip = genesis_tip(VALIDATORS, GENESIS_MS)
    assert isinstance(tip, Tip)
    with pytest.raises(AttributeError):
        tip.height = 5  # type: ignore[misc]
    with pytest.raises(AttributeError):
        replace(vote(1, 1, NIL)).height = 5  # type: ignore[misc]
