"""Fault specs: every form that means something, every form that does not, and what a plan does to a world."""

import pytest

from holdfast.lab.fault_specs import FaultSpecError, describe_kinds, parse_fault
from holdfast.lab.faults import FOREVER_MS, KINDS, PPM, REPLAY_KINDS, Fault, FaultPlan
from holdfast.lab.network import LinkQuality
from holdfast.lab.world import Ports, World

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
# 2025-10-10T00:00Z, the day of the crash.
ORIGIN_MS = 1_760_054_400_000
END_MS = ORIGIN_MS + DAY_MS


def parse(text: str, *, end_ms: int = END_MS) -> Fault:
    return parse_fault(
        text,
        validators=4,
        venues=("binance", "Coinbase"),
        origin_ms=ORIGIN_MS,
        interval_ms=MINUTE_MS,
        end_ms=end_ms,
    )


AT_21 = ORIGIN_MS + 21 * HOUR_MS

GOOD: list[tuple[str, Fault]] = [
    ("crash:validator=1,from=21:00,to=22:00", Fault("crash", AT_21, AT_21 + HOUR_MS, validator=1)),
    ("crash:validator=1,from=21:00", Fault("crash", AT_21, FOREVER_MS, validator=1)),
    ("wipe:validator=2,at=21:00", Fault("wipe", AT_21, AT_21 + MINUTE_MS, validator=2)),
    ("partition:validator=0,from=21:00:30,to=22:00", Fault("partition", AT_21 + 30_000, AT_21 + HOUR_MS, validator=0)),
    (
        "delay:validator=3,ms=2500,from=60,to=120",
        Fault("delay", ORIGIN_MS + HOUR_MS, ORIGIN_MS + 2 * HOUR_MS, 3, None, None, 2500),
    ),
    (
        "equivocate:validator=3,from=2025-10-10T21:00,to=2025-10-10T22:00Z",
        Fault("equivocate", AT_21, AT_21 + HOUR_MS, 3),
    ),
    ("equivocate:validator=3,from=2025-10-09,to=2025-10-10 21:00:00", Fault("equivocate", ORIGIN_MS, AT_21, 3)),
    ("oracle-lies:validator=0,factor=10,from=21:00", Fault("oracle-lies", AT_21, FOREVER_MS, 0, None, 10 * PPM)),
    (
        "venue-lies:venue=BINANCE,factor=0.97,from=0",
        Fault("venue-lies", ORIGIN_MS, FOREVER_MS, None, "binance", 970_000),
    ),
    ("pause:validator=1,from=21:00,to=22:00", Fault("pause", AT_21, AT_21 + HOUR_MS, validator=1)),
    ("clock:validator=1,ms=-600000,from=21:00", Fault("clock", AT_21, FOREVER_MS, validator=1, offset_ms=-600_000)),
    ("venue-silent:venue=coinbase,at=21:00", Fault("venue-silent", AT_21, AT_21 + MINUTE_MS, None, "Coinbase")),
    (
        "  crash : validator=1".replace(" : ", ":") + " , at=5 ",
        Fault("crash", ORIGIN_MS + 5 * MINUTE_MS, ORIGIN_MS + 6 * MINUTE_MS, 1),
    ),
]


@pytest.mark.parametrize(("text", "fault"), GOOD, ids=[text for text, _ in GOOD])
def test_parse_fault__right_spec__means_this(text: str, fault: Fault) -> None:
    assert parse(text) == fault


def test_parse_fault__time_of_day__is_the_next_one_even_past_midnight() -> None:
    fault = parse("crash:validator=0,from=23:30,to=00:30", end_ms=ORIGIN_MS + 2 * DAY_MS)
    assert (fault.from_ms, fault.to_ms) == (ORIGIN_MS + DAY_MS - HOUR_MS // 2, ORIGIN_MS + DAY_MS + HOUR_MS // 2)


WRONG: list[tuple[str, str]] = [
    ("", "it names no kind"),
    (":validator=1", "it names no kind"),
    ("quake:validator=1,from=21:00", "no kind is named 'quake'"),
    ("Crash:validator=1,from=21:00", "no kind is named 'Crash'"),
    ("crash", "crash needs validator="),
    ("crash:", "crash needs validator="),
    ("crash:from=21:00", "crash needs validator="),
    ("delay:from=21:00", "delay needs validator= and ms="),
    ("crash:validator=1", "it needs from= or at="),
    ("crash:validator=1,to=21:00", "it needs from= or at="),
    ("crash:validator=4,from=21:00", "validator=4 is not one of 0 to 3"),
    ("crash:validator=-1,from=21:00", "validator=-1 is not one of 0 to 3"),
    ("crash:validator=one,from=21:00", "validator=one is not one of 0 to 3"),
    ("crash:validator=\u0661,from=21:00", "is not one of 0 to 3"),
    ("crash:validator=1,validator=2,from=21:00", "validator= is given twice"),
    ("crash:validator,from=21:00", "'validator' is not key=value"),
    ("crash:validator=,from=21:00", "'validator=' is not key=value"),
    ("crash:validator=1,,from=21:00", "'' is not key=value"),
    ("crash:validator=1,when=21:00", "crash has no key 'when'"),
    ("crash:validator=1,factor=2,from=21:00", "crash has no key 'factor'"),
    ("crash:validator=1,at=21:00,to=22:00", "at= stands alone"),
    ("crash:validator=1,from=22:00,to=2025-10-10T21:00", "to=2025-10-10T21:00 is not after from=22:00"),
    ("crash:validator=1,from=10,to=10", "to=10 is not after from=10"),
    ("crash:validator=1,from=24:00", "from=24:00 is no UTC time"),
    ("crash:validator=1,from=9:00", "from=9:00 is no UTC time"),
    ("crash:validator=1,from=2025-13-01", "from=2025-13-01 is no UTC time"),
    ("crash:validator=1,from=2025-10-10T21:00+02:00", "is no UTC time"),
    ("crash:validator=1,from=noon", "from=noon is no UTC time"),
    ("crash:validator=1,from=-5", "from=-5 is no UTC time"),
    ("crash:validator=1,from=1440", "it lies outside the run, 2025-10-10T00:00 to 2025-10-11T00:00"),
    ("crash:validator=1,from=2025-10-01,to=2025-10-02", "it lies outside the run"),
    ("delay:validator=1,ms=0,from=21:00", "ms=0 is not a whole number from 1 to 3600000"),
    ("delay:validator=1,ms=1.5,from=21:00", "ms=1.5 is not a whole number"),
    ("delay:validator=1,ms=3600001,from=21:00", "ms=3600001 is not a whole number"),
    ("oracle-lies:validator=1,factor=0,from=21:00", "factor=0 is not between"),
    ("oracle-lies:validator=1,factor=-2,from=21:00", "factor=-2 is not a positive decimal"),
    ("oracle-lies:validator=1,factor=1e3,from=21:00", "factor=1e3 is not a positive decimal"),
    ("oracle-lies:validator=1,factor=nan,from=21:00", "factor=nan is not a positive decimal"),
    ("oracle-lies:validator=1,factor=1.0000001,from=21:00", "factor=1.0000001 is not between"),
    ("oracle-lies:validator=1,factor=1000001,from=21:00", "factor=1000001 is not between"),
    ("venue-lies:venue=nasdaq,factor=2,from=21:00", "venue=nasdaq is not one of binance, Coinbase"),
    ("clock:validator=1,ms=0,from=21:00", "ms=0 is not a whole number"),
    ("price:asset=BTC,factor=2,from=21:00", "price is for a net that runs; here the prices are history's"),
    ("venue-silent:validator=1,from=21:00", "venue-silent has no key 'validator'"),
]


@pytest.mark.parametrize(("text", "complaint"), WRONG, ids=[text or "empty" for text, _ in WRONG])
def test_parse_fault__wrong_spec__gets_one_line_that_names_it_and_how_it_is_written(text: str, complaint: str) -> None:
    with pytest.raises(FaultSpecError) as caught:
        parse(text)
    message = str(caught.value)
    assert complaint in message
    assert "\n" not in message
    kind = text.strip().partition(":")[0]
    assert describe_kinds((kind,) if kind in REPLAY_KINDS else REPLAY_KINDS) in message


def test_parse_fault__hostile_spec__stays_one_short_line() -> None:
    with pytest.raises(FaultSpecError) as caught:
        parse("crash\n\x1b[2J" + "A" * 100_000)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1_000


# Plans


class Idle:
    def __init__(self, index: int, ports: Ports) -> None:
        self.ports = ports
        self.heard: list[int] = []

    def start(self) -> None:
        self.ports.disk.replace("born", b"%d" % self.ports.clock.now_ms())
        self.ports.clock.set_timer(100, b"tick")

    def on_message(self, sender: int, message: bytes) -> None:
        self.heard.append(self.ports.clock.now_ms() - int(message))

    def on_timer(self, token: bytes) -> None:
        self.ports.network.broadcast(b"%d" % self.ports.clock.now_ms())
        self.ports.clock.set_timer(100, token)


def run_plan(*faults: Fault, until_ms: int = 10_000) -> tuple[World[Idle], FaultPlan]:
    world = World(seed=3, start_ms=0, size=4, make_node=Idle, quality=LinkQuality(base_ms=1, jitter_ms=0))
    world.start_all()
    plan = FaultPlan(faults)
    plan.schedule(world)
    world.run_until(until_ms)
    return world, plan


def test_plan__crash__is_down_inside_its_window_only() -> None:
    fault = Fault("crash", 1_000, 2_000, validator=1)
    assert run_plan(fault, until_ms=999)[0].node(1) is not None
    assert run_plan(fault, until_ms=1_500)[0].node(1) is None
    world, plan = run_plan(fault)
    assert world.node(1) is not None
    assert world.disk(1).read("born") == b"2000"
    assert plan.fired["crash"] == 1
    assert plan.healed_ms() == 2_000


def test_plan__overlapping_crashes__end_with_the_last() -> None:
    faults = [Fault("crash", 1_000, 3_000, validator=1), Fault("crash", 2_000, 4_000, validator=1)]
    assert run_plan(*faults, until_ms=3_500)[0].node(1) is None
    world, plan = run_plan(*faults)
    assert world.disk(1).read("born") == b"4000"
    assert plan.fired["crash"] == 2


def test_plan__crash_without_end__stays_down() -> None:
    world, plan = run_plan(Fault("crash", 1_000, FOREVER_MS, validator=1))
    assert world.node(1) is None
    assert plan.healed_ms() == 0


def test_plan__wipe__deletes_the_store_while_down() -> None:
    world, plan = run_plan(Fault("wipe", 1_000, 2_000, validator=1), until_ms=1_500)
    assert world.node(1) is None
    assert world.disk(1).names() == []
    assert plan.fired["wipe"] == 1


def test_plan__partition__isolates_and_heals() -> None:
    fault = Fault("partition", 1_050, 2_050, validator=0)
    world, _ = run_plan(fault, until_ms=2_000)
    isolated, other = world.node(0), world.node(1)
    assert isolated is not None
    assert other is not None
    assert len(isolated.heard) == 30
    assert len(other.heard) == 10 + 2 * 19
    world.run_until(2_150)
    assert len(isolated.heard) == 33


def test_plan__delay__slows_and_ends() -> None:
    world, plan = run_plan(Fault("delay", 1_050, 2_050, validator=0, delay_ms=40), until_ms=3_000)
    node = world.node(0)
    assert node is not None
    assert set(node.heard[:30]) == {1}
    assert set(node.heard[30:58]) == {41}
    assert set(node.heard[-20:]) == {1}
    assert plan.fired["delay"] == 1


def test_plan__pause__takes_all_that_waited_in_order() -> None:
    fault = Fault("pause", 1_050, 2_050, validator=0)
    world, plan = run_plan(fault, until_ms=2_040)
    paused, other = world.node(0), world.node(1)
    assert paused is not None
    assert other is not None
    # Ten rounds of three peers; a paused node sends nothing either.
    assert (len(paused.heard), len(other.heard)) == (30, 10 * 3 + 10 * 2)
    world.run_until(2_060)
    assert len(paused.heard) == 60
    assert paused.heard[30:33] == [950, 950, 950]
    assert paused.heard[-1] == 50
    world.run_until(3_060)
    assert len(other.heard) == 50 + 1 + 10 * 3
    assert plan.fired["pause"] == 1


def test_plan__pause_and_crash__a_new_incarnation_runs() -> None:
    faults = (Fault("pause", 1_050, 9_000, validator=0), Fault("crash", 2_050, 3_050, validator=0))
    world, _ = run_plan(*faults, until_ms=4_000)
    node = world.node(0)
    assert node is not None
    assert len(node.heard) > 20
    assert max(node.heard) == 1


def test_plan__overlapping_clocks__add_up_and_end() -> None:
    faults = (Fault("clock", 1_000, 3_000, 2, offset_ms=600_000), Fault("clock", 2_000, 4_000, 2, offset_ms=-1_000))
    offsets = [run_plan(*faults, until_ms=until_ms)[0] for until_ms in (1_500, 2_500, 3_500, 4_500)]
    assert [world.local_ms(2) - world.now_ms for world in offsets] == [600_000, 599_000, -1_000, 0]


def test_plan__questions__are_answered_for_who_is_meant_and_counted_once() -> None:
    plan = FaultPlan(
        [
            Fault("oracle-lies", 100, 200, validator=1, factor_ppm=10 * PPM),
            Fault("oracle-lies", 150, 200, validator=1, factor_ppm=PPM // 2),
            Fault("venue-lies", 100, 200, venue="binance", factor_ppm=2 * PPM),
            Fault("venue-silent", 100, 200, venue="binance"),
            Fault("equivocate", 100, 200, validator=3),
        ]
    )
    assert plan.factor_ppm("oracle-lies", 99, validator=1) == PPM
    assert sum(plan.fired.values()) == 0
    assert plan.factor_ppm("oracle-lies", 100, validator=1) == 10 * PPM
    assert plan.factor_ppm("oracle-lies", 160, validator=1) == 5 * PPM
    assert plan.factor_ppm("oracle-lies", 160, validator=2) == PPM
    assert plan.factor_ppm("oracle-lies", 200, validator=1) == PPM
    assert plan.factor_ppm("venue-lies", 100, venue="binance") == 2 * PPM
    assert plan.is_active("venue-silent", 199, venue="binance")
    assert not plan.is_active("venue-silent", 199, venue="coinbase")
    assert plan.is_active("equivocate", 100, validator=3)
    assert plan.is_active("equivocate", 101, validator=3)
    assert plan.fired == {
        **dict.fromkeys(KINDS, 0),
        "oracle-lies": 2,
        "venue-lies": 1,
        "venue-silent": 1,
        "equivocate": 1,
    }
