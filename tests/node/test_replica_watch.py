"""Two instances with one key, and disks that have forgotten: nobody signs against itself, a second instance stops."""

import pytest

from holdfast.consensus.messages import Vote, VoteKind
from holdfast.lab.disk import SimulatedDisk
from holdfast.lab.world import Ports
from holdfast.node.ports import Network
from holdfast.node.replica import Replica
from holdfast.node.replica_permit import FILE
from holdfast.node.replica_wire import encode_message
from tests.support.replica_network import ReplicaNetwork, SeedSigner, validators
from tests.support.witness import Heard, Witness

OWNER = 1
CLONE = 4
ELSEWHERE = "another instance signs with this validator's key"


class TwinPort:
    """A network port in a world where slot 4 has validator 1's key: what is meant for validator 1 reaches both."""

    def __init__(self, inner: Network) -> None:
        self.inner = inner

    def send(self, peer: int, message: bytes) -> None:
        self.inner.send(peer, message)
        if peer == OWNER:
            self.inner.send(CLONE, message)

    def broadcast(self, message: bytes) -> None:
        self.inner.broadcast(message)


class Twin(Replica):
    """A replica that takes slot 4 for validator 1."""

    def on_message(self, sender: int, data: bytes) -> None:
        super().on_message(OWNER if sender == CLONE else sender, data)


class TwinNetwork(ReplicaNetwork):
    """Four validators, and a fifth slot for a second instance of one of them."""

    def __init__(self, *, seed: int = 1) -> None:
        self.witness = Witness()
        super().__init__(5, seed=seed, start=False)
        self.validators = validators(4)
        for index in range(4):
            self.world.start(index)

    def _make(self, index: int, ports: Ports) -> Replica:
        own = OWNER if index == CLONE else index
        self.applications[index] = self.make_application(ports.disk, own)
        port: Network = TwinPort(ports.network)
        return Twin(
            index=own,
            validators=self.validators,
            chain=self.chain,
            application=self.applications[index],
            clock=ports.clock,
            network=Heard(port, self.witness) if own == OWNER else port,
            disk=ports.disk,
            signer=SeedSigner(own),
            log=lambda event, fields: self.lines.append((event, {**fields, "slot": index})),
        )

    def settle_down(self, heights: int) -> None:
        self.run_to(self.replica(0).height + heights, who=(0, 2, 3))


def contents(disk: SimulatedDisk) -> dict[str, bytes]:
    return {name: disk.read(name) for name in disk.names()}


def put_back(disk: SimulatedDisk, files: dict[str, bytes], *, marker: bool) -> None:
    """Restore a disk; the restore command leaves a marker by removing the settled height."""
    disk.wipe()
    for name, data in files.items():
        if not marker or name != FILE:
            disk.replace(name, data)


# A second instance


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("lag", [None, 0, 1, 2, 8])
def test_second_instance__empty_or_older_copy_of_the_disk__stops_itself_before_it_signs(
    lag: int | None, seed: int
) -> None:
    network = TwinNetwork(seed=seed)
    network.run_to(5)
    files = contents(network.world.disk(OWNER)) if lag is not None else {}
    network.run_for(17)
    network.run_to(max(network.heights()) + (lag or 0))
    put_back(network.world.disk(CLONE), files, marker=False)
    network.world.start(CLONE)
    network.settle_down(12)
    clone = network.replica(CLONE)
    assert clone.status == "halted"
    assert ELSEWHERE in clone.halt_reason
    assert SeedSigner(OWNER).public_key.hex() in clone.halt_reason
    assert network.witness.conflicts() == []
    assert network.events("equivocation_found") == []
    if lag != 0:
        assert network.replica(OWNER).status == "running"


@pytest.mark.parametrize("seed", range(5))
def test_second_instance__started_together_with_the_first_from_one_disk__not_both_go_on(seed: int) -> None:
    network = TwinNetwork(seed=seed)
    network.run_to(6)
    network.run_for(seed * 7)
    network.world.crash(OWNER)
    put_back(network.world.disk(CLONE), contents(network.world.disk(OWNER)), marker=False)
    network.world.start(OWNER)
    network.world.start(CLONE)
    network.settle_down(5)
    stopped = [network.replica(index) for index in (OWNER, CLONE) if network.replica(index).status == "halted"]
    assert stopped
    assert all(ELSEWHERE in replica.halt_reason for replica in stopped)
    # What the two signed before either heard of the other stays, and nothing is added to it.
    evidence = len(network.events("equivocation_found"))
    conflicts = network.witness.conflicts()
    network.settle_down(20)
    assert len(network.events("equivocation_found")) == evidence
    assert network.witness.conflicts() == conflicts
    assert {fields["by"] for fields in network.events("equivocation_found")} <= {OWNER}


def test_own_votes_echoed_by_peers__after_every_restart__stop_nobody() -> None:
    network = ReplicaNetwork()
    for round_trip in range(12):
        network.run_to(max(network.heights()) + 1)
        network.run_for(7 * round_trip)
        for index in range(4):
            network.world.crash(index)
        network.world.start_all()
    network.run_to(max(network.heights()) + 10)
    assert network.events("own_key_signed_elsewhere") == []
    assert {node.status for _, node in network.world.nodes()} == {"running"}


def test_forged_votes_in_the_own_name__from_a_peer_or_a_link_of_ones_own__stop_nobody() -> None:
    network = ReplicaNetwork()
    network.run_to(3)
    replica = network.replica(OWNER)
    for height in range(1, 9):
        for kind in VoteKind:
            forged = encode_message(Vote(kind, height, 0, b"\x01" * 32, OWNER, 1, bytes(64)))
            replica.on_message(2, forged)
            replica.on_message(OWNER, forged)
    network.run_to(10)
    assert replica.status == "running"
    assert replica.counters["message_from_own_index"] == 16
    assert replica.counters["own_key_signed_elsewhere"] == 0


# A disk that has forgotten


def witnessed(seed: int) -> tuple[ReplicaNetwork, Witness]:
    witness = Witness()

    def wrap(index: int, network: Network) -> Network:
        return Heard(network, witness) if index == OWNER else network

    return ReplicaNetwork(seed=seed, wrap_network=wrap), witness


@pytest.mark.parametrize("marker", [True, False], ids=["marked", "unmarked"])
@pytest.mark.parametrize("lag", [0, 1, 2, 12])
@pytest.mark.parametrize("seed", range(2))
def test_old_backup_restored__chain_runs_on__signs_only_above_all_that_it_may_have_signed(
    lag: int, seed: int, marker: bool
) -> None:
    network, witness = witnessed(seed)
    network.run_to(6)
    network.run_for(seed * 13)
    files = contents(network.world.disk(OWNER))
    network.run_to(max(network.heights()) + lag)
    network.run_for(seed * 11 + 25)
    network.world.crash(OWNER)
    before = max(witness.heights())
    signed_before = {slot: set(hashes) for slot, hashes in witness.signed.items()}
    put_back(network.world.disk(OWNER), files, marker=marker)
    network.run_for(seed * 200)
    network.world.start(OWNER)
    network.run_to(max(network.heights()) + 14)
    assert witness.conflicts() == []
    assert network.events("equivocation_found") == []
    assert network.replica(OWNER).status == "running"
    # It takes part again, and until then it has said nothing new below.
    assert max(witness.heights()) > before + 2
    if marker:
        settled = [fields for fields in network.events("signing_settled") if fields["validator"] == OWNER]
        first = int(settled[-1]["from_height"])
        assert first > before
        news = [slot for slot in witness.signed if slot not in signed_before]
        assert min(int(str(slot[0])) for slot in news) >= first


def test_old_backup_without_a_marker__certificates_hold_own_signatures__is_treated_as_restored() -> None:
    network, witness = witnessed(1)
    network.run_to(6)
    files = contents(network.world.disk(OWNER))
    network.run_to(26)
    network.world.crash(OWNER)
    put_back(network.world.disk(OWNER), files, marker=False)
    network.world.start(OWNER)
    network.run_to(50)
    assert [fields["validator"] for fields in network.events("signing_unsettled")] == [OWNER]
    settled = [fields for fields in network.events("signing_settled") if fields["validator"] == OWNER]
    assert int(settled[-1]["from_height"]) > 27
    assert witness.conflicts() == []


@pytest.mark.parametrize("seed", range(3))
def test_wiped_in_mid_height__one_straggler_among_its_peers__does_not_sign_too_early(seed: int) -> None:
    """Two of three peers announce what the wiped validator hears first; the one that is far behind must not count."""
    network, witness = witnessed(seed)
    network.run_to(4)
    cut = network.world.mesh.partition({3})
    network.run_to(30, who=(0, 1, 2))
    network.run_for(seed * 9)
    network.world.crash(OWNER)
    network.world.wipe(OWNER)
    before = max(witness.heights())
    # The wiped one hears the straggler and one of the two that went on.
    network.world.mesh.heal(cut)
    network.world.crash(0)
    network.world.start(OWNER)
    network.run_for(3_000)
    network.world.start(0)
    network.run_to(45)
    assert witness.conflicts() == []
    settled = [fields for fields in network.events("signing_settled") if fields["validator"] == OWNER]
    assert int(settled[-1]["from_height"]) > before


def test_only_validator_restored__nobody_is_there_to_go_ahead__signs_the_next_height() -> None:
    network = ReplicaNetwork(1)
    network.run_to(6)
    network.world.crash(0)
    put_back(network.world.disk(0), contents(network.world.disk(0)), marker=True)
    network.world.start(0)
    network.run_to(12)


def test_lagging_validator_restarted__disk_is_its_own__signs_at_once_when_level() -> None:
    network = ReplicaNetwork()
    network.run_to(5)
    network.world.crash(2)
    network.run_to(25)
    network.world.start(2)
    network.run_to(30)
    assert [fields for fields in network.events("signing_settled") if fields["validator"] == 2] == [
        {"validator": 2, "from_height": 1}
    ]
    assert network.events("signing_unsettled") == []
    network.world.crash(0)
    network.run_to(40)
