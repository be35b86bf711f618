"""Four real replicas over the toy application: under every fault kind agreement, and liveness after healing."""

from collections.abc import Callable

import pytest

from holdfast.lab.faults import FOREVER_MS, Fault, FaultPlan
from holdfast.lab.network import LinkQuality
from tests.support.toy_world import GENESIS_MS, ToyWorld

INTERVAL_MS = 1_000
LOSSY = LinkQuality(loss_ppm=100_000, duplicate_ppm=50_000, reorder_ppm=100_000)


def fault(kind: str, validator: int, first: int, last: int | None, delay_ms: int | None = None) -> Fault:
    to_ms = FOREVER_MS if last is None else GENESIS_MS + last * INTERVAL_MS
    return Fault(kind, GENESIS_MS + first * INTERVAL_MS, to_ms, validator=validator, delay_ms=delay_ms)


# Faults, then the heights reached at least by interval 40: what the outage may cost, and no more.
CASES: dict[str, tuple[list[Fault], int]] = {
    "none": ([], 40),
    "crash": ([fault("crash", 1, 10, 20)], 36),
    "crash_to_the_end": ([fault("crash", 1, 10, None)], 30),
    "two_crash": ([fault("crash", 1, 10, 20), fault("crash", 2, 12, 20)], 28),
    "wipe": ([fault("wipe", 1, 10, 20)], 36),
    "partition": ([fault("partition", 0, 10, 20)], 36),
    "partition_of_half": ([fault("partition", 0, 10, 20), fault("partition", 1, 10, 20)], 28),
    "delay": ([fault("delay", 0, 10, 20, 400)], 38),
    "delay_beyond_every_timeout": ([fault("delay", 0, 10, 20, 5_000)], 34),
    "delay_of_half": ([fault("delay", 0, 10, 20, 5_000), fault("delay", 1, 10, 20, 5_000)], 28),
    "rolling": ([fault("crash", index, 8 + 6 * index, 12 + 6 * index) for index in range(4)], 32),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", [1, 2])
def test_n4__fault__agrees_and_is_level_after_healing(name: str, seed: int) -> None:
    faults, height_min = CASES[name]
    toy = ToyWorld(seed=seed)
    plan = FaultPlan(faults)
    plan.schedule(toy.world)
    toy.start().run(40)
    toy.assert_agreement()
    assert max(toy.heights()) >= height_min
    for index in range(toy.size):
        toy.world.start(index)
    toy.run(5)
    toy.assert_agreement()
    toy.assert_level()
    assert max(toy.heights()) >= height_min + 4
    assert sum(plan.fired.values()) == len(faults)


@pytest.mark.parametrize("seed", range(4))
def test_n4_lossy_links__agree_go_on_and_are_fast_once_healed(seed: int) -> None:
    toy = ToyWorld(seed=seed, quality=LOSSY).start().run(40)
    toy.assert_agreement()
    assert max(toy.heights()) >= 20
    reached = max(toy.heights())
    toy.world.mesh.heal_all()
    # The height in progress may be in a late round, whose timeouts are long; the next ones are fast.
    toy.run(6)
    assert max(toy.heights()) > reached
    reached = max(toy.heights())
    toy.run(10)
    toy.assert_agreement()
    toy.assert_level()
    assert max(toy.heights()) >= reached + 9


def test_n4_two_crashed__no_block_commits_and_it_resumes() -> None:
    toy = ToyWorld().start().run(10)
    toy.world.crash(1)
    toy.world.crash(2)
    toy.run(1)
    stalled = max(toy.heights())
    toy.run(20)
    assert max(toy.heights()) == stalled
    toy.world.start(1)
    toy.world.start(2)
    toy.run(10)
    toy.assert_agreement()
    toy.assert_level()
    assert max(toy.heights()) >= stalled + 8


def test_n4_one_way_partition__agrees_and_heals() -> None:
    toy = ToyWorld().start().run(5)
    cut = toy.world.mesh.block([0], [1, 2, 3])
    toy.run(15)
    assert max(toy.heights()) >= 14
    toy.world.mesh.heal(cut)
    toy.run(5)
    toy.assert_agreement()
    toy.assert_level()


def test_n4_clock_skew__below_the_interval__agrees_and_goes_on() -> None:
    toy = ToyWorld()
    for index, offset_ms in enumerate([0, 300, -300, 100]):
        toy.world.set_clock_offset(index, offset_ms)
    toy.start().run(20)
    toy.assert_agreement()
    toy.assert_level()
    assert max(toy.heights()) >= 18


def test_n7_f2_crashed__agrees_and_goes_on() -> None:
    toy = ToyWorld(size=7)
    FaultPlan([fault("crash", 1, 5, 15), fault("crash", 5, 6, 15)]).schedule(toy.world)
    toy.start().run(20)
    toy.assert_agreement()
    toy.assert_level()
    assert max(toy.heights()) >= 15


def test_n4_application_that_persists_rarely__is_replayed_after_a_crash() -> None:
    toy = ToyWorld(persist_every=7)
    FaultPlan([fault("crash", 1, 10, 14)]).schedule(toy.world)
    toy.start().run(20)
    toy.assert_agreement()
    toy.assert_level()
    assert toy.count("block_replayed") >= 1


def test_n4_all_killed_at_once__again_and_again__agrees_and_goes_on() -> None:
    toy = ToyWorld().start()
    for _ in range(10):
        toy.run(2)
        for index in range(4):
            toy.world.crash(index)
        toy.world.start_all()
    toy.run(5)
    toy.assert_agreement()
    toy.assert_level()
    assert max(toy.heights()) >= 15


@pytest.mark.parametrize("operations", range(45))
def test_n4_power_lost_at_any_disk_operation__comes_back_and_contradicts_nothing(operations: int) -> None:
    # An application that persists at every third height only has blocks to be replayed, too.
    toy = ToyWorld(seed=operations, persist_every=1 + 2 * (operations % 2))
    toy.world.disk(1).fail_after(operations)
    toy.start().run(7)
    assert toy.world.node(1) is None, "the power must have failed by now"
    toy.world.start(1)
    toy.run(4)
    toy.assert_agreement()
    toy.assert_level()
    assert toy.count("equivocation_found") == 0


def test_n4_trace__same_seed_same_faults__is_the_same() -> None:
    def trace(seed: int) -> tuple[bytes, bytes]:
        toy = ToyWorld(seed=seed, quality=LOSSY)
        FaultPlan([fault("crash", 1, 3, 6), fault("wipe", 2, 8, 10)]).schedule(toy.world)
        toy.start().run(15)
        return toy.world.trace_hash, toy.ledger.app_hashes[max(toy.ledger.app_hashes)]

    assert trace(5) == trace(5)
    assert trace(5)[0] != trace(6)[0]


def test_n4_store_deleted_midway__comes_back_by_catch_up_and_agrees() -> None:
    toy = ToyWorld()
    FaultPlan([fault("wipe", 3, 10, 12)]).schedule(toy.world)
    toy.start().run(20)
    toy.assert_agreement()
    toy.assert_level()
    returned = toy.world.node(3)
    assert returned is not None
    assert returned.counters["block_caught_up"] >= 10


def every_submitted_key_is_counted_once(toy: ToyWorld) -> bool:
    counts = toy.apps[0].state.counts
    return all(count == 1 for key, count in counts.items() if key.startswith(b"key "))


@pytest.mark.parametrize("check", [every_submitted_key_is_counted_once])
def test_n4_transactions__through_faults__are_executed_at_most_once(check: Callable[[ToyWorld], bool]) -> None:
    toy = ToyWorld(quality=LOSSY)
    FaultPlan([fault("crash", 1, 5, 8), fault("partition", 2, 10, 14)]).schedule(toy.world)
    toy.start().run(30)
    assert check(toy)
    assert len(toy.apps[0].state.counts) > 60
