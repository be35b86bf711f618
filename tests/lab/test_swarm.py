"""Drawn fault plans: inside what must be survived, every kind often; and the runs they drive find planted bugs."""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from holdfast.consensus import step, votes
from holdfast.consensus.events import NO_ROUND, Step
from holdfast.consensus.messages import VoteKind
from holdfast.consensus.validators import ValidatorSet
from holdfast.lab.faults import FOREVER_MS, Fault, FaultPlan
from holdfast.lab.network import LinkQuality
from holdfast.lab.swarm import KINDS_MIN, SWARM_KINDS, draw_faults
from holdfast.lab.world import NodeFailedError
from holdfast.node import replica_catchup, replica_rounds
from holdfast.node.wal import SignLog
from tests.support.toy_world import GENESIS_MS, ToyWorld

BLOCKS = 40
INTERVAL_MS = 1_000
HEALING_S = 20
PLANTED_SEEDS = 20
VENUES = ("a", "b", "c", "d", "e")


def draw(seed: int, venues: tuple[str, ...] = ()) -> tuple[Fault, ...]:
    return draw_faults(seed, validators=4, venues=venues, origin_ms=GENESIS_MS, interval_ms=INTERVAL_MS, blocks=BLOCKS)


def test_draw__200_seeds__meet_every_kind_often_and_three_kinds_each() -> None:
    drawn = [draw(seed, VENUES) for seed in range(200)]
    assert all(len({fault.kind for fault in faults}) >= KINDS_MIN for faults in drawn)
    counts = Counter(fault.kind for faults in drawn for fault in faults)
    assert set(counts) == set(SWARM_KINDS)
    assert min(counts.values()) >= 20


def test_draw__any_seed__leaves_one_faulty_at_a_time_and_a_quiet_end() -> None:
    for seed in range(200):
        faults = draw(seed, VENUES)
        assert all(earlier.to_ms <= later.from_ms for earlier, later in pairwise(faults)), seed
        assert faults[-1].to_ms <= GENESIS_MS + (BLOCKS * 2 // 3 + 1) * INTERVAL_MS, seed
        assert len({fault.validator for fault in faults if fault.kind in ("equivocate", "wipe", "oracle-lies")}) <= 1
        assert all(fault.from_ms < fault.to_ms for fault in faults)


def test_draw__same_seed__is_the_same() -> None:
    assert draw(7) == draw(7)


# Runs


def broken_promise(seed: int) -> str:
    """Run one drawn plan, with lossy links on some seeds and an equivocator on others; name what broke."""
    faults = draw(seed)
    plan = FaultPlan(faults)
    lie = ("equivocate", "split-locks")[seed % 2]
    liars = {fault.validator: lie for fault in faults if fault.kind == "equivocate"}
    toy = ToyWorld(
        seed=seed,
        lies={index: lie for index, lie in liars.items() if index is not None},
        is_lying=lambda index, now_ms: plan.is_active("equivocate", now_ms, validator=index),
        quality=LinkQuality(loss_ppm=150_000 * (seed % 2), duplicate_ppm=50_000, reorder_ppm=50_000),
    )
    plan.schedule(toy.world)
    try:
        toy.start().run(BLOCKS)
        toy.world.mesh.heal_all()
        reached = max(toy.heights())
        toy.run(HEALING_S)
    except NodeFailedError as error:
        return f"contract or code: {error}"
    if toy.ledger.disagreements:
        return "agreement"
    if any(node.halt_reason for _, node in toy.honest()):
        return "a halt without reason"
    if min(toy.heights()) < reached + HEALING_S // 2:
        return "liveness after healing"
    return "accusation of the innocent" if accused(toy) - set(toy.lies) else ""


def accused(toy: ToyWorld) -> set[int]:
    index, _ = toy.honest()[0]
    return {int(key.split()[1]) for key in toy.apps[index].state.counts if key.startswith(b"guilty ")}


@pytest.mark.parametrize("seed", range(16))
def test_swarm__sound_code__keeps_every_promise(seed: int) -> None:
    assert broken_promise(seed) == ""


# Planted bugs: each must be found within a few seeds.


def quorum_of_half(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ValidatorSet, "has_quorum", lambda self, power: 2 * power >= self.total_power)


def lock_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(step, "lock_allows_fresh", lambda _state, _seen: True)
    patch.setattr(step, "lock_allows_polka", lambda _state, _seen: True)
    patch.setattr(step, "start_round", start_round_without_valid_value(step.start_round))


def start_round_without_valid_value(
    start_round: Callable[[step.State, int], step.Transition],
) -> Callable[[step.State, int], step.Transition]:
    def wrapped(state: step.State, round_number: int) -> step.Transition:
        return start_round(state._replace(valid_round=NO_ROUND), round_number)

    return wrapped


def votes_counted_twice(patch: pytest.MonkeyPatch) -> None:
    def get(_self: votes.HeightVotes, _kind: VoteKind, _round: int, _index: int) -> None:
        return None

    patch.setattr(votes, "is_counted", lambda _tally, _index: False)
    patch.setattr(votes.HeightVotes, "get", get)


def sign_log_forgotten(patch: pytest.MonkeyPatch) -> None:
    def forget(self: SignLog, _entries: object) -> None:
        self.signed = self.signed._replace(votes=(), proposals=())

    patch.setattr(SignLog, "_write", forget)


def rule_of_line_28_missing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(step, "RULES", tuple(rule for rule in step.RULES if rule is not step.prevote_with_polka))


def round_skip_missing(patch: pytest.MonkeyPatch) -> None:
    rules = tuple(rule for rule in step.RULES if rule not in (step.skip_round, step.wait_for_precommits))
    patch.setattr(step, "RULES", rules)


def signatures_unchecked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(replica_rounds, "check_vote", lambda *_: None)


def certificates_unchecked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(replica_catchup, "check_commit", lambda *_: None)
    patch.setattr(replica_catchup, "is_certificate", lambda *_: True)


def forgery(seed: int) -> str:
    """Let one validator vote in everybody's name."""
    toy = ToyWorld(seed=seed, lies={2: "forge-votes"}).start().run(BLOCKS)
    if toy.ledger.disagreements or toy.count("equivocation_found"):
        return "accusation of the innocent"
    return "" if min(toy.heights()) >= BLOCKS // 2 else "liveness"


def split_locks(seed: int) -> str:
    """Let one validator lock two others on a block whose polka the third does not see."""
    toy = ToyWorld(seed=seed, lies={2: "split-locks"}).start().run(BLOCKS // 2)
    return "" if min(toy.heights()) >= BLOCKS // 4 else "liveness"


def poisoned_catch_up(seed: int) -> str:
    """Let an empty replica catch up beside one that serves blocks which were never decided."""
    toy = ToyWorld(seed=seed, lies={1: "lie-to-who-is-behind"})
    FaultPlan([Fault("wipe", GENESIS_MS + 8_500, GENESIS_MS + 10_500, validator=0)]).schedule(toy.world)
    toy.start().run(BLOCKS // 2)
    halted = any(replica.halt_reason for _, replica in toy.honest())
    return "agreement" if halted or toy.ledger.disagreements else ""


def hidden_decision(seed: int) -> str:
    """Let one replica alone see a decision, cut it off, and free another: the locks must keep the decision."""
    toy = ToyWorld(seed=seed, quality=LinkQuality(base_ms=50, jitter_ms=1)).start().run(4)
    height = toy.heights()[0] + 1
    mesh = toy.world.mesh
    freed = mesh.partition([3])
    knows, *others = [replica for index, replica in toy.world.nodes() if index != 3]
    trio = [knows, *others]
    # Latency is longer than the spread of their precommits, so none has arrived when all three have left.
    toy.world.run_while(lambda: any(replica._rounds.state.step != Step.PRECOMMIT for replica in trio), FOREVER_MS)
    deaf = mesh.block([0, 1, 2], [1, 2])
    toy.world.run_while(lambda: knows.height < height, FOREVER_MS)
    alone = mesh.partition([0])
    mesh.heal(deaf)
    mesh.heal(freed)
    toy.run(20)
    mesh.heal(alone)
    toy.run(10)
    if any(replica.halt_reason for _, replica in toy.honest()) or toy.ledger.disagreements:
        return "agreement"
    return "" if min(toy.heights()) > height + 10 else "liveness after healing"


@pytest.mark.parametrize("seed", range(4))
def test_locks__decision_that_only_a_cut_off_replica_has_seen__is_kept(seed: int) -> None:
    assert hidden_decision(seed) == ""


PLANTED: list[tuple[Callable[[pytest.MonkeyPatch], None], Callable[[int], str]]] = [
    (quorum_of_half, broken_promise),
    (votes_counted_twice, broken_promise),
    (sign_log_forgotten, broken_promise),
    (rule_of_line_28_missing, split_locks),
    (round_skip_missing, broken_promise),
    (signatures_unchecked, forgery),
    (certificates_unchecked, poisoned_catch_up),
    (lock_forgotten, hidden_decision),
]


@pytest.mark.parametrize(("plant", "run"), PLANTED)
def test_lab__planted_bug__is_found(
    plant: Callable[[pytest.MonkeyPatch], None], run: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(0) == "", "the run is sound without the bug"
    plant(monkeypatch)
    assert any(run(seed) for seed in range(PLANTED_SEEDS))
