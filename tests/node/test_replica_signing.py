"""A validator never signs against itself: across crashes at every disk operation, torn tails, rot and lost disks."""

import pytest

from holdfast.consensus.messages import NIL, Vote, VoteKind
from holdfast.lab.disk import SimulatedDisk
from holdfast.lab.network import LinkQuality
from holdfast.lab.world import derive_random
from holdfast.node.frames import DamagedFileError, frame, read_frames
from holdfast.node.ports import Network
from holdfast.node.replica_wire import decode_message
from holdfast.node.wal import Signed, SignLog
from tests.support.replica_network import GENESIS_MS, ReplicaNetwork
from tests.support.witness import Heard, Witness

VICTIM = 1


def witnessed(seed: int = 1, **options: object) -> tuple[ReplicaNetwork, Witness]:
    witness = Witness()

    def wrap(index: int, network: Network) -> Network:
        return Heard(network, witness) if index == VICTIM else network

    return ReplicaNetwork(seed=seed, wrap_network=wrap, **options), witness  # type: ignore[arg-type]


@pytest.mark.parametrize("operations", range(40))
def test_crash_at_each_disk_operation__restart__signs_nothing_twice(operations: int) -> None:
    network, witness = witnessed(seed=operations)
    network.run_to(2)
    network.world.disk(VICTIM).fail_after(operations)
    assert network.world.run_while(lambda: network.world.node(VICTIM) is not None, network.world.now_ms + 60_000)
    network.world.start(VICTIM)
    network.run_to(network.replica(0).height + 4)
    assert witness.conflicts() == []
    assert network.events("equivocation_found") == []
    assert network.replica(VICTIM).status == "running"


@pytest.mark.parametrize("seed", range(12))
def test_all_crash_again_and_again__in_the_middle_of_heights__lock_is_kept(seed: int) -> None:
    quality = LinkQuality(base_ms=30, jitter_ms=120, loss_ppm=150_000)
    network, witness = witnessed(seed=seed, quality=quality)
    random = derive_random(seed, "crashes")
    network.run_to(1)
    for _ in range(25):
        network.run_for(random.randrange(50, 900))
        index = random.randrange(4)
        if random.randrange(2):
            network.world.crash(index)
        else:
            for each in range(4):
                network.world.crash(each)
        network.run_for(random.randrange(1, 300))
        network.world.start_all()
    network.run_to(max(network.heights()) + 5, within_ms=600_000)
    assert witness.conflicts() == []
    assert network.events("equivocation_found") == []


def signed_at(disk: SimulatedDisk, height: int) -> Signed:
    log = SignLog(disk)
    log.begin(height)
    return log.signed


class Muffled:
    """A network port that loses precommits while its flag is up."""

    def __init__(self, inner: Network, flag: list[bool]) -> None:
        self.inner, self.flag = inner, flag

    def is_lost(self, data: bytes) -> bool:
        message = decode_message(data)
        return self.flag[0] and isinstance(message, Vote) and message.kind == VoteKind.PRECOMMIT

    def send(self, peer: int, message: bytes) -> None:
        if not self.is_lost(message):
            self.inner.send(peer, message)

    def broadcast(self, message: bytes) -> None:
        if not self.is_lost(message):
            self.inner.broadcast(message)


@pytest.mark.parametrize("absent", [None, 0, 1, 2, 3])
def test_all_locked_then_crashed__restart_even_without_one__locked_block_is_decided(absent: int | None) -> None:
    flag = [False]
    network = ReplicaNetwork(wrap_network=lambda _, inner: Muffled(inner, flag))
    network.run_to(3)
    flag[0] = True
    height = max(network.heights()) + 1
    network.run_for(250)
    logs = [signed_at(network.world.disk(index), height) for index in range(4)]
    locked = {vote.block_hash for log in logs for vote in log.votes if vote.kind == VoteKind.PRECOMMIT}
    assert len(locked) == 1
    assert NIL not in locked
    for index in range(4):
        network.world.crash(index)
    flag[0] = False
    for index in range(4):
        if index != absent:
            network.world.start(index)
    network.run_to(height + 4)
    assert len(network.events("height_resumed")) == 4 - (absent is not None)
    assert network.replica(3 if absent != 3 else 0).block_hash_at(height) in locked


def filled_disk() -> tuple[SimulatedDisk, str, int]:
    network = ReplicaNetwork()
    network.run_to(3)
    network.world.run_until(network.world.now_ms + 40)
    disk = network.world.disk(VICTIM)
    name = next(name for name in disk.names() if name.startswith("signed-"))
    assert disk.read(name)
    return disk, name, network.replica(VICTIM).height + 1


def test_sign_log__every_truncation__opens_with_a_prefix() -> None:
    disk, name, height = filled_disk()
    data = disk.read(name)
    whole = signed_at(disk, height)
    lengths = set()
    for length in range(0, len(data), 7):
        copy = SimulatedDisk(derive_random(1, "copy"))
        copy.replace(name, data[:length])
        signed = signed_at(copy, height)
        assert whole.votes[: len(signed.votes)] == signed.votes
        assert signed_at(copy, height) == signed
        lengths.add(len(signed.votes))
    assert len(lengths) > 1


def test_sign_log__any_flipped_bit__refuses_to_open() -> None:
    disk, name, height = filled_disk()
    data = disk.read(name)
    for bit in range(0, 8 * len(data), 5):
        copy = SimulatedDisk(derive_random(1, "copy"))
        copy.replace(name, data)
        copy.flip_bit(name, bit)
        with pytest.raises(DamagedFileError):
            signed_at(copy, height)


def test_replica__rotten_sign_log__halts_with_the_file_named() -> None:
    network = ReplicaNetwork()
    network.run_to(3)
    network.world.run_until(network.world.now_ms + 40)
    name = next(name for name in network.world.disk(VICTIM).names() if name.startswith("signed-"))
    network.world.crash(VICTIM)
    network.world.disk(VICTIM).flip_bit(name, 99)
    network.world.start(VICTIM)
    assert network.replica(VICTIM).status == "halted"
    assert name in network.replica(VICTIM).halt_reason
    network.run_to(network.replica(0).height + 5, who=(0, 2, 3))


def test_frames__payloads__round_trip_and_cut_tail_is_left_out() -> None:
    data = frame(b"one") + frame(b"") + frame(b"three")
    assert read_frames("f", data).payloads == (b"one", b"", b"three")
    assert read_frames("f", data[:-1]).payloads == (b"one", b"")


def test_sign_log__many_heights__keeps_few_segments_and_what_is_still_to_come() -> None:
    disk = SimulatedDisk(derive_random(1, "log"))
    log = SignLog(disk, segment_bytes=1_000)
    for height in range(1, 40):
        log.begin(height)
        log.keep_vote(Vote(VoteKind.PREVOTE, height, 0, NIL, 1, 5, bytes(64)))
        names = [name for name in disk.names() if name.startswith("signed-")]
        assert len(names) <= 2
    assert disk.size_bytes() < 2_500
    assert [vote.height for vote in signed_at(disk, 39).votes] == [39]
    assert signed_at(disk, 40).votes == ()
    assert "signed-0000000000000001" not in disk.names()


def test_sign_log__one_signature__costs_one_append_and_one_sync() -> None:
    disk = SimulatedDisk(derive_random(1, "log"))
    log = SignLog(disk)
    log.begin(1)
    for round_number in range(5):
        before = disk.operations
        log.keep_vote(Vote(VoteKind.PRECOMMIT, 1, round_number, b"h" * 32, 1, 5, bytes(64)), b"block", ())
        assert disk.operations == before + 2


def test_sign_log__opened_at_a_lower_height_than_it_knows__forgets_nothing_of_the_higher() -> None:
    disk = SimulatedDisk(derive_random(1, "log"))
    log = SignLog(disk)
    for height in (7, 8):
        log.begin(height)
        log.keep_vote(Vote(VoteKind.PREVOTE, height, 0, NIL, 1, 5, bytes(64)))
    again = SignLog(disk)
    for height in (6, 7, 8):
        again.begin(height)
        assert [vote.height for vote in again.signed.votes] == ([height] if height > 6 else [])


def test_disk_that_signed_before_genesis_quorum__clock_before_genesis__waits() -> None:
    network, witness = witnessed()
    network.world.run_until(GENESIS_MS - 1)
    assert witness.signed == {}
    network.run_to(2)
    assert all(NIL not in hashes for hashes in witness.signed.values())
