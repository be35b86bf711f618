"""One liar of four: under every lie the honest three agree, go on, accuse nobody else, and keep the contract."""

import pytest

from holdfast.lab.byzantine import LIES
from holdfast.lab.faults import Fault, FaultPlan
from tests.support.toy_world import GENESIS_MS, ToyWorld

LIAR = 2
# Lies that change nothing in a message, only whether and how often it is sent.
WITHOUT_CHANGE = {"withhold-votes", "withhold-proposals", "favour-one", "flood"}
# Lies by which the liar contradicts itself under its own signature.
PROVABLE = {"equivocate", "split-locks", "vote-nil", "vote-unknown-block"}
INTERVALS = 30


def accused(toy: ToyWorld) -> set[int]:
    index, _ = toy.honest()[0]
    keys = [key for key in toy.apps[index].state.counts if key.startswith(b"guilty ")]
    return {int(key.split()[1]) for key in keys}


def test_lies__table__holds_at_least_eight() -> None:
    assert len(LIES) >= 8
    assert set(LIES).issuperset(PROVABLE | WITHOUT_CHANGE)
    assert all(lie.__doc__ for lie in LIES.values())


@pytest.mark.parametrize("name", LIES)
def test_n4_f1_liar__honest_three__agree_and_go_on(name: str) -> None:
    toy = ToyWorld(lies={LIAR: name}).start().run(INTERVALS)
    toy.assert_agreement()
    assert min(toy.heights()) >= INTERVALS // 2
    assert accused(toy) <= {LIAR}
    assert (toy.liars[LIAR].lies > 0) == (name not in WITHOUT_CHANGE)


@pytest.mark.parametrize("name", sorted(PROVABLE))
def test_n4_f1_contradiction__is_proven_on_chain(name: str) -> None:
    toy = ToyWorld(lies={LIAR: name}).start().run(20)
    assert accused(toy) == {LIAR}


@pytest.mark.parametrize("name", LIES)
def test_n4_f1_liar_and_a_crash__chain_resumes_when_the_crashed_returns(name: str) -> None:
    toy = ToyWorld(lies={LIAR: name})
    FaultPlan([Fault("crash", GENESIS_MS + 5_000, GENESIS_MS + 10_000, validator=0)]).schedule(toy.world)
    toy.start().run(11)
    reached = max(toy.heights())
    toy.run(25)
    toy.assert_agreement()
    toy.assert_level()
    assert max(toy.heights()) >= reached + 10
    assert accused(toy) <= {LIAR}


def test_n4_f1_fault_of_a_plan__lies_inside_its_window_only() -> None:
    plan = FaultPlan([Fault("equivocate", GENESIS_MS + 5_000, GENESIS_MS + 10_000, validator=LIAR)])
    toy = ToyWorld(
        lies={LIAR: "equivocate"},
        is_lying=lambda index, now_ms: plan.is_active("equivocate", now_ms, validator=index),
    )
    toy.start().run(4)
    assert toy.liars[LIAR].lies == 0
    toy.run(7)
    told = toy.liars[LIAR].lies
    assert told > 0
    assert plan.fired["equivocate"] == 1
    toy.run(10)
    assert toy.liars[LIAR].lies == told
    toy.assert_agreement()
    assert accused(toy) == {LIAR}
    proven = [key for key in toy.apps[0].state.counts if key.startswith(b"guilty ")]
    assert {int(key.split()[3]) for key in proven} <= set(range(4, 12))


def test_n7_f1_equivocator__honest_six__agree_and_go_on() -> None:
    toy = ToyWorld(size=7, lies={1: "equivocate"}).start().run(25)
    toy.assert_agreement()
    assert min(toy.heights()) >= 15


def test_n7_f2_liars__honest_five__agree_and_go_on() -> None:
    toy = ToyWorld(size=7, lies={1: "equivocate", 4: "forge-votes"}).start().run(25)
    toy.assert_agreement()
    assert min(toy.heights()) >= 15
    assert accused(toy) <= {1}
