"""Planted bugs: the small simulator must break each promise that a mutant breaks, and none without a mutant."""

from collections.abc import Callable

import pytest

from holdfast.consensus import step as step_module
from holdfast.consensus import votes as votes_module
from holdfast.consensus.messages import NIL, VoteKind
from holdfast.consensus.step import SeenProposal, State
from holdfast.consensus.validators import ValidatorSet
from holdfast.consensus.votes import HeightVotes, Tally
from tests.support.step_world import StepWorld

SOUND_SEEDS = 150
MUTANT_SEEDS = 400

Plant = Callable[[pytest.MonkeyPatch], None]


def half_is_a_quorum(patch: pytest.MonkeyPatch) -> None:
    def has_quorum(self: ValidatorSet, power: int) -> bool:
        return 2 * power >= self.total_power

    patch.setattr(ValidatorSet, "has_quorum", has_quorum)


def lock_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    def allows(_state: State, _seen: SeenProposal) -> bool:
        return True

    patch.setattr(step_module, "lock_allows_fresh", allows)
    patch.setattr(step_module, "lock_allows_polka", allows)


def any_precommits_decide(patch: pytest.MonkeyPatch) -> None:
    def decided_hash(state: State, round_number: int) -> bytes:
        seen = state.proposals.get(round_number)
        enough = state.votes.has_any_quorum(VoteKind.PRECOMMIT, round_number)
        return seen.block_hash if seen is not None and enough else NIL

    patch.setattr(step_module, "decided_hash", decided_hash)


def votes_count_twice(patch: pytest.MonkeyPatch) -> None:
    def is_counted(_tally: Tally, _validator_index: int) -> bool:
        return False

    patch.setattr(votes_module, "is_counted", is_counted)


def claimed_polka_is_believed(patch: pytest.MonkeyPatch) -> None:
    genuine = step_module.has_polka

    def has_polka(state: State, round_number: int, block_hash: bytes) -> bool:
        return round_number < state.round or genuine(state, round_number, block_hash)

    patch.setattr(step_module, "has_polka", has_polka)


def lock_never_opens(patch: pytest.MonkeyPatch) -> None:
    def allows(state: State, seen: SeenProposal) -> bool:
        return state.locked_hash in (NIL, seen.block_hash)

    patch.setattr(step_module, "lock_allows_polka", allows)


def disagreement_sets_no_timer(patch: pytest.MonkeyPatch) -> None:
    def has_any_quorum(_self: HeightVotes, _kind: VoteKind, _round_number: int) -> bool:
        return False

    patch.setattr(HeightVotes, "has_any_quorum", has_any_quorum)


PLANTED: list[tuple[Plant, int | None, str]] = [
    (half_is_a_quorum, None, "agreement"),
    (lock_is_forgotten, 1, "agreement"),
    (any_precommits_decide, None, "agreement"),
    (votes_count_twice, None, "agreement"),
    (claimed_polka_is_believed, 1, "agreement"),
    (disagreement_sets_no_timer, None, "termination"),
    (lock_never_opens, 2, "termination"),
]


@pytest.mark.parametrize("liar", [None, 0, 1, 2])
def test_sound_rules__hostile_network__break_no_promise(liar: int | None) -> None:
    broken = {seed: StepWorld(seed, liar=liar).run() for seed in range(SOUND_SEEDS)}
    assert {seed: promise for seed, promise in broken.items() if promise} == {}


def test_sound_rules__seven_validators_one_liar__break_no_promise() -> None:
    broken = {seed: StepWorld(seed, size=7, liar=3).run() for seed in range(30)}
    assert {seed: promise for seed, promise in broken.items() if promise} == {}


@pytest.mark.parametrize(("plant", "liar", "promise"), PLANTED, ids=[plant.__name__ for plant, _, _ in PLANTED])
def test_planted_bug__within_bounded_seeds__is_found(
    plant: Plant, liar: int | None, promise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    found = next((seed for seed in range(MUTANT_SEEDS) if StepWorld(seed, liar=liar).run() == promise), None)
    assert found is not None, f"{MUTANT_SEEDS} seeds do not show it"
