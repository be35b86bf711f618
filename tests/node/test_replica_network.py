"""Replicas with toy applications in the simulated world: agreement always, progress whenever two thirds can talk."""

import pytest

from holdfast.consensus.events import Timeouts
from holdfast.lab.network import LinkQuality
from holdfast.node.application import BlockRequest, FinalizeResponse
from holdfast.node.replica_env import ReplicaConfig
from tests.support.replica_network import CHAIN, GENESIS_MS, ReplicaNetwork
from tests.support.toy_application import ToyApplication, ToyState


def test_four_replicas__no_fault__twenty_heights_agree() -> None:
    network = ReplicaNetwork()
    network.run_to(20)
    assert {node.status for _, node in network.world.nodes()} == {"running"}
    assert not network.events("message_malformed")
    assert not network.events("proposal_invalid")


def test_same_seed__two_runs__same_trace() -> None:
    first, second = ReplicaNetwork(seed=9), ReplicaNetwork(seed=9)
    first.run_to(8)
    second.run_to(8)
    assert first.world.trace_hash == second.world.trace_hash


def test_submitted_txs__any_replica__are_included_once() -> None:
    network = ReplicaNetwork()
    for number in range(40):
        network.submit_at(GENESIS_MS + 20 * number, number % 4, b"key %d" % number)
    network.run_for(4_000)
    state = network.toy(0).state
    assert [state.counts.get(b"key %d" % number) for number in range(40)] == [1] * 40
    assert all(node.mempool_size == 0 for _, node in network.world.nodes())


def test_block_interval__one_second__heights_start_on_its_multiples() -> None:
    chain = CHAIN.__class__(chain_id="toy-1", genesis=b"g", genesis_time_ms=GENESIS_MS, block_interval_ms=1_000)
    network = ReplicaNetwork(chain=chain)
    network.run_to(5)
    elapsed = network.world.now_ms - GENESIS_MS
    assert 4_000 < elapsed < 4_500
    assert network.replica(0).time_ms < GENESIS_MS + 4_000


def test_one_of_four_crashed__others_go_on_and_it_catches_up() -> None:
    network = ReplicaNetwork()
    network.run_to(3)
    network.world.crash(2)
    network.run_to(20)
    network.world.start(2)
    network.run_to(40)
    assert network.events("block_caught_up")


def test_two_of_four_crashed__no_progress__and_resume_without_conflict() -> None:
    network = ReplicaNetwork()
    network.run_to(3)
    network.world.crash(1)
    network.world.crash(2)
    network.run_for(2_000)
    stalled = max(network.heights())
    network.run_for(30_000)
    assert max(network.heights()) == stalled
    network.world.start(1)
    network.run_to(stalled + 5)
    network.world.start(2)
    network.run_to(stalled + 10)


def test_all_crashed__restart__chain_goes_on() -> None:
    network = ReplicaNetwork()
    network.run_to(5)
    for index in range(4):
        network.world.crash(index)
    network.run_for(5_000)
    network.world.start_all()
    network.run_to(12)


def test_partition_two_and_two__heals__chain_goes_on() -> None:
    network = ReplicaNetwork()
    network.run_to(3)
    cut = network.world.mesh.partition({0, 1}, {2, 3})
    network.run_for(20_000)
    stalled = max(network.heights())
    assert stalled <= 5
    network.world.mesh.heal(cut)
    network.run_to(stalled + 10)


def test_partition_three_and_one__majority_goes_on__minority_follows_after() -> None:
    network = ReplicaNetwork()
    network.run_to(3)
    cut = network.world.mesh.partition({3})
    network.run_to(15, who=(0, 1, 2))
    assert network.replica(3).height <= 5
    network.world.mesh.heal(cut)
    network.run_to(25)


@pytest.mark.parametrize("seed", range(6))
def test_bad_links__loss_duplication_reordering__still_live(seed: int) -> None:
    quality = LinkQuality(base_ms=20, jitter_ms=80, loss_ppm=100_000, duplicate_ppm=100_000, reorder_ppm=200_000)
    network = ReplicaNetwork(seed=seed, quality=quality)
    network.run_to(15, within_ms=600_000)


@pytest.mark.parametrize("seed", range(4))
def test_slow_links__longer_than_timeouts__rounds_grow_until_live(seed: int) -> None:
    quality = LinkQuality(base_ms=900, jitter_ms=400)
    timeouts = Timeouts(300, 200, 200, 200, 200, 200)
    network = ReplicaNetwork(seed=seed, quality=quality, config=ReplicaConfig(timeouts=timeouts))
    network.run_to(6, within_ms=600_000)


def test_seven_weighted_replicas__two_crashed__live() -> None:
    network = ReplicaNetwork(7, powers=(5, 4, 3, 3, 3, 2, 2))
    network.run_to(4)
    network.world.crash(1)
    network.world.crash(3)
    network.run_to(14)


def test_wiped_replica__comes_back_by_blocks__and_signs_again_later() -> None:
    network = ReplicaNetwork()
    network.run_to(10)
    network.world.crash(1)
    network.world.wipe(1)
    network.world.start(1)
    network.run_to(30)
    settled = [fields for fields in network.events("signing_settled") if fields["validator"] == 1]
    assert settled[0]["from_height"] == 1
    assert int(settled[1]["from_height"]) > 11
    assert not network.events("equivocation_found")
    network.world.crash(0)
    network.run_to(40)


def test_genesis_with_one_absent__three_start() -> None:
    network = ReplicaNetwork(start=False)
    for index in (0, 1, 3):
        network.world.start(index)
    network.run_to(6)
    network.world.start(2)
    network.run_to(15)
    network.world.crash(0)
    network.run_to(22)


class DivergingApplication(ToyApplication):
    """Computes something of its own at height 5."""

    def execute(self, request: BlockRequest) -> tuple[ToyState, FinalizeResponse]:
        state, response = super().execute(request)
        if request.height == 5:
            state.counts[b"divergence"] = 1
            response = response._replace(app_hash=state.app_hash)
        return state, response


def test_diverging_application__halts_alone() -> None:
    network = ReplicaNetwork(
        make_application=lambda disk, index: (DivergingApplication if index == 3 else ToyApplication)(disk, index=index)
    )
    network.run_to(5, who=(0, 1, 2))
    assert network.world.run_while(lambda: network.replica(3).status != "halted", network.world.now_ms + 20_000)
    halted = network.replica(3)
    assert halted.status == "halted"
    assert "app_hash" in halted.halt_reason
    assert halted.height == 5
    reached = network.replica(0).height
    network.world.run_while(lambda: network.replica(0).height < reached + 5, network.world.now_ms + 60_000)
    assert [network.replica(index).status for index in (0, 1, 2)] == ["running"] * 3
    assert network.replica(0).height >= reached + 5
