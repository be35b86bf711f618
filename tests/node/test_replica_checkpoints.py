"""Checkpoints: certified at every height, never contradicted, made again after a restart, worth nothing when forged."""

import hashlib

import pytest
from msgspec.structs import replace

from holdfast.consensus.commit import Fault, check_checkpoint_certificate
from holdfast.consensus.messages import (
    Checkpoint,
    CheckpointCertificate,
    checkpoint_sign_bytes,
    make_sign_domains,
)
from holdfast.consensus.validators import Validator, ValidatorSet
from holdfast.node import replica_checkpoints
from holdfast.node.application import BlockRequest, FinalizeResponse
from holdfast.node.ports import Network
from holdfast.node.replica import Replica
from holdfast.node.replica_wire import Message, decode_message, encode_message
from tests.support.replica_network import CHAIN, ReplicaNetwork, SeedSigner, validators
from tests.support.toy_application import ToyApplication, ToyState
from tests.support.witness import Heard, Witness

GENESIS_HASH = hashlib.sha256(CHAIN.genesis).digest()
DOMAINS = make_sign_domains(CHAIN.chain_id, GENESIS_HASH)
SET = ValidatorSet([Validator(info.public_key, info.power) for info in validators(4)])
FILE = "checkpoints"


def certificate(replica: Replica, height: int) -> CheckpointCertificate:
    found = replica.checkpoint_at(height)
    assert found is not None, f"no certificate of height {height}"
    return found


def signed(index: int, height: int, time_ms: int, app_hash: bytes, *, by: int | None = None) -> Checkpoint:
    signer = SeedSigner(index if by is None else by)
    signature = signer.sign(checkpoint_sign_bytes(DOMAINS, height, time_ms, app_hash))
    return Checkpoint(height, time_ms, app_hash, index, signature)


def genuine(replica: Replica, index: int, height: int) -> Checkpoint:
    held = certificate(replica, height)
    return signed(index, height, held.time_ms, held.app_hash)


def count(replica: Replica, event: str) -> int:
    return replica.counters[event]


# Certificates


def test_checkpoints__every_height__are_certified_everywhere_for_the_chains_state() -> None:
    network = ReplicaNetwork()
    network.run_to(12)
    network.run_for(15)
    for _, replica in network.world.nodes():
        for height in range(1, 12):
            held = certificate(replica, height)
            assert held.app_hash == network.replica(0).app_hash_at(height)
            assert check_checkpoint_certificate(SET, DOMAINS, held) is None
        latest = replica.latest_checkpoint()
        assert latest is not None
        assert replica.height - latest.height <= 1
        assert count(replica, "checkpoint_refused") == count(replica, "checkpoint_conflict") == 0
    assert len(certificate(network.replica(0), 5).signatures) == 4


def test_checkpoints__one_validator_down__three_of_four_certify() -> None:
    network = ReplicaNetwork()
    network.world.crash(3)
    network.run_to(6)
    assert [entry.validator_index for entry in certificate(network.replica(0), 5).signatures] == [0, 1, 2]


def test_checkpoints__two_of_four_down__are_made_once_they_are_back() -> None:
    network = ReplicaNetwork()
    network.run_to(4)
    network.world.crash(2)
    network.world.crash(3)
    network.run_for(5_000)
    reached = max(network.heights())
    network.world.start_all()
    network.run_to(reached + 3)
    for height in range(1, reached + 2):
        assert {network.replica(index).checkpoint_at(height) for index in (0, 1)} != {None}


def test_certificate__signature_dropped_moved_or_of_another_state__is_judged() -> None:
    network = ReplicaNetwork()
    network.run_to(4)
    held = certificate(network.replica(0), 2)
    one, two, three, *rest = held.signatures
    judged = [
        (held, None),
        (replace(held, signatures=(one, two, three)), None),
        (replace(held, signatures=(one, two)), Fault.POWER_SHORT),
        (replace(held, signatures=(two, one, three)), Fault.MALFORMED),
        (replace(held, signatures=(one, one, two, three)), Fault.MALFORMED),
        (replace(held, signatures=(one, two, replace(three, validator_index=7))), Fault.FOREIGN_VALIDATOR),
        (replace(held, signatures=(one, two, replace(three, signature=bytes(64)))), Fault.BAD_SIGNATURE),
        (replace(held, height=3), Fault.BAD_SIGNATURE),
        (replace(held, time_ms=held.time_ms + 1), Fault.BAD_SIGNATURE),
        (replace(held, app_hash=bytes(32)), Fault.BAD_SIGNATURE),
    ]
    assert [check_checkpoint_certificate(SET, DOMAINS, altered) for altered, _ in judged] == [
        fault for _, fault in judged
    ]
    elsewhere = make_sign_domains("toy-2", GENESIS_HASH)
    assert check_checkpoint_certificate(SET, elsewhere, held) == Fault.BAD_SIGNATURE
    assert rest


def test_checkpoints__many_heights__memory_and_file_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_checkpoints, "HEIGHTS_KEPT", 5)
    monkeypatch.setattr(replica_checkpoints, "_FILE_BYTES_MAX", 2_000)
    network = ReplicaNetwork()
    network.run_to(30)
    replica = network.replica(0)
    known = [height for height in range(31) if replica.checkpoint_at(height)]
    assert len(known) <= 6
    assert min(known) >= 25
    assert len(network.world.disk(0).read(FILE)) <= 2_000
    held = replica._checkpoints
    assert max(len(held._states), len(held._signatures)) <= 6
    assert sum(len(early) for early in held._early.values()) <= 3


# Restarts


def test_restart__all_at_once__have_the_last_certificate_at_once_and_make_the_tips_again() -> None:
    network = ReplicaNetwork()
    network.run_to(8)
    for index in range(4):
        network.world.crash(index)
    network.world.start_all()
    for _, replica in network.world.nodes():
        latest = replica.latest_checkpoint()
        if latest is not None:
            assert check_checkpoint_certificate(SET, DOMAINS, latest) is None
    assert {replica.latest_checkpoint() for _, replica in network.world.nodes()} != {None}
    tips = network.heights()
    network.run_to(max(tips) + 2)
    assert None not in {replica.checkpoint_at(max(tips)) for _, replica in network.world.nodes()}


def test_restart__files_lost_and_no_new_block__the_tip_is_signed_and_certified_again() -> None:
    chain = CHAIN.__class__(
        chain_id="toy-1", genesis=CHAIN.genesis, genesis_time_ms=CHAIN.genesis_time_ms, block_interval_ms=60_000
    )
    network = ReplicaNetwork(chain=chain)
    network.run_to(3, within_ms=300_000)
    network.run_for(1_000)
    for index in range(4):
        network.world.crash(index)
        network.world.disk(index).delete(FILE)
    # What is asked first is lost in part: it is asked again.
    network.world.mesh.quality = network.world.mesh.quality._replace(loss_ppm=300_000)
    network.world.start_all()
    assert [node.latest_checkpoint() for _, node in network.world.nodes()] == [None] * 4
    network.run_for(59_000)
    assert network.heights() == [3] * 4
    assert {node.checkpoint_at(3) for _, node in network.world.nodes()} != {None}
    network.run_for(4_000)
    assert None not in {node.latest_checkpoint() for _, node in network.world.nodes()}


@pytest.mark.parametrize("damage", ["torn", "bit", "foreign", "noise"])
def test_restart__file_damaged__is_dropped_and_made_again(damage: str) -> None:
    network = ReplicaNetwork()
    network.run_to(5)
    network.world.crash(1)
    disk = network.world.disk(1)
    data = disk.read(FILE)
    other = ReplicaNetwork(chain=CHAIN.__class__(chain_id="toy-2", genesis=b"g", genesis_time_ms=CHAIN.genesis_time_ms))
    other.run_to(4)
    flipped = bytes([data[0] ^ 1, *data[1:]])
    foreign = other.world.disk(1).read(FILE)
    disk.replace(FILE, {"torn": data[:-7], "bit": flipped, "foreign": foreign, "noise": b"\x00" * 99}[damage])
    network.world.start(1)
    replica = network.replica(1)
    latest = replica.latest_checkpoint()
    assert (latest is not None) == (damage == "torn")
    if latest is not None:
        assert check_checkpoint_certificate(SET, DOMAINS, latest) is None
    network.run_to(12)
    assert replica.status == "running"
    assert replica.checkpoint_at(11) is not None


def test_every_life_of_a_validator__one_state_a_height__is_signed() -> None:
    witness = Witness()
    network = ReplicaNetwork(
        wrap_network=lambda index, inner: Heard(inner, witness) if index == 1 else inner,
    )
    for number in range(10):
        network.run_to(max(network.heights()) + 2)
        network.run_for(9 * number)
        network.world.crash(1)
        if number == 5:
            network.world.wipe(1)
        network.run_for(40)
        network.world.start(1)
    network.run_to(max(network.heights()) + 12)
    assert len(witness.states) > 10
    assert all(len(states) == 1 for states in witness.states.values())
    for height, states in witness.states.items():
        assert {app_hash for _, app_hash in states} == {network.replica(0).app_hash_at(height)}


def test_wiped_validator__below_the_height_that_it_may_sign__signs_no_checkpoint() -> None:
    witness = Witness()
    network = ReplicaNetwork(
        wrap_network=lambda index, inner: Heard(inner, witness) if index == 1 else inner,
    )
    network.run_to(10)
    network.world.crash(1)
    network.world.wipe(1)
    witness.states.clear()
    network.world.start(1)
    network.run_to(35)
    settled = [fields for fields in network.events("signing_settled") if fields["validator"] == 1]
    assert min(witness.states) >= int(settled[-1]["from_height"])


class DivergingApplication(ToyApplication):
    """Computes something of its own at height 5."""

    def execute(self, request: BlockRequest) -> tuple[ToyState, FinalizeResponse]:
        state, response = super().execute(request)
        if request.height == 5:
            state.counts[b"divergence"] = 1
            response = response._replace(app_hash=state.app_hash)
        return state, response


def test_diverged_validator__signs_its_own_state__is_counted_and_certifies_nothing() -> None:
    network = ReplicaNetwork(
        make_application=lambda disk, index: (DivergingApplication if index == 3 else ToyApplication)(disk, index=index)
    )
    assert network.world.run_while(lambda: network.replica(0).height < 9, network.world.now_ms + 60_000)
    assert {fields["peer"] for fields in network.events("checkpoint_conflict") if fields["validator"] != 3} == {3}
    assert [entry.validator_index for entry in certificate(network.replica(0), 5).signatures] == [0, 1, 2]
    diverged = network.replica(3)
    assert diverged.status == "halted"
    assert diverged.checkpoint_at(5) is None
    # Back from its own disk, it says what it said before and nothing else.
    network.world.crash(3)
    network.world.start(3)
    network.world.run_until(network.world.now_ms + 3_000)
    said = {fields["signed"] for fields in network.events("checkpoint_conflict") if fields["validator"] != 3}
    assert len(said) == 1


# What peers can send


class Telling:
    """A network port that alters the checkpoints that its owner sends."""

    def __init__(self, inner: Network, alter: object) -> None:
        self.inner, self.alter = inner, alter

    def _told(self, data: bytes) -> list[bytes]:
        message = decode_message(data)
        if not isinstance(message, Checkpoint):
            return [data]
        return [encode_message(told) for told in self.alter(message)]  # type: ignore[operator]

    def send(self, peer: int, message: bytes) -> None:
        for told in self._told(message):
            self.inner.send(peer, told)

    def broadcast(self, message: bytes) -> None:
        for told in self._told(message):
            self.inner.broadcast(told)


def both(message: Checkpoint) -> list[Message]:
    return [message, signed(message.validator_index, message.height, message.time_ms, bytes(32))]


def in_anothers_name(message: Checkpoint) -> list[Message]:
    return [
        signed(0, message.height, message.time_ms, message.app_hash, by=2),
        signed(2, message.height, message.time_ms, message.app_hash, by=0),
    ]


def of_another_chain(message: Checkpoint) -> list[Message]:
    domains = make_sign_domains("toy-2", GENESIS_HASH)
    data = checkpoint_sign_bytes(domains, message.height, message.time_ms, message.app_hash)
    return [replace(message, signature=SeedSigner(2).sign(data))]


def far_ahead(message: Checkpoint) -> list[Message]:
    return [signed(2, message.height + ahead, message.time_ms, bytes(32)) for ahead in range(1, 60)]


@pytest.mark.parametrize(
    ("lie", "event"),
    [
        (both, "checkpoint_conflict"),
        (in_anothers_name, "checkpoint_refused"),
        (of_another_chain, "checkpoint_refused"),
        (far_ahead, "checkpoint_conflict"),
    ],
)
def test_liar_about_states__others__count_it_and_certify_without_it(lie: object, event: str) -> None:
    network = ReplicaNetwork(wrap_network=lambda index, inner: Telling(inner, lie) if index == 2 else inner, liars=(2,))
    network.run_to(14)
    assert {fields["peer"] for fields in network.events(event) if fields["validator"] != 2} == {2}
    for index in (0, 1, 3):
        replica = network.replica(index)
        held = certificate(replica, 12)
        assert check_checkpoint_certificate(SET, DOMAINS, held) is None
        assert {0, 1, 3} <= {entry.validator_index for entry in held.signatures}
        assert all(
            len(early) <= replica_checkpoints.HEIGHTS_EARLY_MAX for early in replica._checkpoints._early.values()
        )
    assert network.events("own_key_signed_elsewhere") == []


def test_known_word_repeated__costs_no_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    network = ReplicaNetwork()
    network.run_to(6)
    network.run_for(15)
    replica = network.replica(0)
    message = encode_message(genuine(replica, 2, 4))
    calls: list[object] = []
    monkeypatch.setattr(replica_checkpoints, "check_checkpoint", lambda *given: calls.append(given))
    for _ in range(50):
        replica.on_message(2, message)
    assert calls == []
