"""Faults on a running net: begun now, added and ended by any thread, done to a target when their time comes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.lab.fault_effects import Effects
from holdfast.lab.fault_specs import FaultSpecError, describe_kinds, parse_live_fault
from holdfast.lab.faults import FOREVER_MS, KINDS, PPM, Fault, FaultPlan

NOW_MS = 1_763_700_000_000


class Net:
    """A target that writes down what is done to it."""

    def __init__(self) -> None:
        self.done: list[tuple[object, ...]] = []
        self.cuts = 0

    def crash(self, validator: int) -> None:
        self.done.append(("crash", validator))

    def wipe(self, validator: int) -> None:
        self.done.append(("wipe", validator))

    def start(self, validator: int) -> None:
        self.done.append(("start", validator))

    def pause(self, validator: int) -> None:
        self.done.append(("pause", validator))

    def resume(self, validator: int) -> None:
        self.done.append(("resume", validator))

    def partition(self, validator: int) -> int:
        self.cuts += 1
        self.done.append(("partition", validator, self.cuts))
        return self.cuts

    def heal(self, cut: int) -> None:
        self.done.append(("heal", cut))

    def add_delay(self, validator: int, delay_ms: int) -> None:
        self.done.append(("delay", validator, delay_ms))

    def set_clock_offset(self, validator: int, offset_ms: int) -> None:
        self.done.append(("clock", validator, offset_ms))

    def move_price(self, asset: str, factor_ppm: int, over_ms: int) -> Callable[[], None]:
        self.done.append(("price", asset, factor_ppm, over_ms))
        return lambda: self.done.append(("price back", asset))


def parse(text: str) -> Fault:
    return parse_live_fault(text, validators=4, venues=("aster", "dune"), now_ms=NOW_MS)


LIVE: list[tuple[str, Fault]] = [
    ("crash:validator=1", Fault("crash", NOW_MS, FOREVER_MS, 1)),
    ("pause:validator=3,for=30s", Fault("pause", NOW_MS, NOW_MS + 30_000, 3)),
    ("delay:validator=0,ms=300,for=2h", Fault("delay", NOW_MS, NOW_MS + 7_200_000, 0, delay_ms=300)),
    ("clock:validator=2,ms=600000", Fault("clock", NOW_MS, FOREVER_MS, 2, offset_ms=600_000)),
    ("price:asset=btc,factor=0.5", Fault("price", NOW_MS, FOREVER_MS, factor_ppm=PPM // 2, asset="BTC")),
    (
        "price:asset=USDC,factor=0.97,over=10m,for=1h",
        Fault("price", NOW_MS, NOW_MS + 3_600_000, factor_ppm=970_000, asset="USDC", over_ms=600_000),
    ),
    ("venue-silent:venue=DUNE,for=500ms", Fault("venue-silent", NOW_MS, NOW_MS + 500, venue="dune")),
]


@pytest.mark.parametrize(("text", "fault"), LIVE, ids=[text for text, _ in LIVE])
def test_parse_live_fault__right_spec__begins_now(text: str, fault: Fault) -> None:
    assert parse(text) == fault


WRONG: list[tuple[str, str]] = [
    ("quake", "no kind is named 'quake'"),
    ("crash:validator=9", "validator=9 is not one of 0 to 3"),
    ("crash:validator=1,from=21:00", "crash has no key 'from'"),
    ("crash:validator=1,for=30", "for=30 is not a time such as 500ms, 30s, 10m or 2h"),
    ("crash:validator=1,for=0s", "for=0 is no time"),
    ("crash:validator=1,over=10s", "crash has no key 'over'"),
    ("price:factor=2", "price needs asset="),
    ("price:asset=DOGE,factor=2", "asset=DOGE is not one of BTC, ETH, USDC, USDT"),
    ("price:asset=BTC,factor=0", "factor=0 is not between"),
    ("price:asset=BTC,factor=2,over=25h", "over=25h is not a time"),
    ("clock:validator=0,ms=soon", "ms=soon is not a whole number"),
]


@pytest.mark.parametrize(("text", "complaint"), WRONG, ids=[text for text, _ in WRONG])
def test_parse_live_fault__wrong_spec__gets_one_line_that_says_how_it_is_written(text: str, complaint: str) -> None:
    with pytest.raises(FaultSpecError) as caught:
        parse(text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
    kind = text.partition(":")[0]
    assert describe_kinds((kind,) if kind in KINDS else KINDS) in str(caught.value)


def test_run_due__every_kind_that_touches__begins_and_ends_in_time() -> None:
    net, plan = Net(), FaultPlan()
    effects = Effects(net)
    for text in (
        "wipe:validator=0,for=10s",
        "pause:validator=1,for=10s",
        "partition:validator=2,for=10s",
        "delay:validator=3,ms=50,for=10s",
        "clock:validator=3,ms=7,for=10s",
        "price:asset=BTC,factor=2,over=3s,for=10s",
        "venue-lies:venue=dune,factor=2,for=10s",
    ):
        plan.add(parse(text))
    plan.run_due(effects, NOW_MS - 1)
    assert net.done == []
    plan.run_due(effects, NOW_MS)
    plan.run_due(effects, NOW_MS + 9_999)
    begun: list[tuple[object, ...]] = [
        ("crash", 0), ("wipe", 0), ("pause", 1), ("partition", 2, 1), ("delay", 3, 50), ("clock", 3, 7),
        ("price", "BTC", 2 * PPM, 3_000),
    ]  # fmt: skip
    assert net.done == begun
    assert len(plan.list_active(NOW_MS + 9_999)) == 7
    plan.run_due(effects, NOW_MS + 10_000)
    plan.run_due(effects, NOW_MS + 20_000)
    assert net.done[len(begun) :] == [
        ("start", 0), ("resume", 1), ("heal", 1), ("delay", 3, -50), ("clock", 3, 0), ("price back", "BTC"),
    ]  # fmt: skip
    assert plan.list_active(NOW_MS + 10_000) == ()
    assert sum(plan.fired.values()) == 6


def test_end__one_and_all__take_effect_at_the_next_look() -> None:
    net, plan = Net(), FaultPlan()
    effects = Effects(net)
    crash, _pause = plan.add(parse("crash:validator=1")), plan.add(parse("pause:validator=2"))
    later = Fault("crash", NOW_MS + 60_000, FOREVER_MS, 3)
    plan.add(later)
    plan.run_due(effects, NOW_MS)
    assert plan.end(NOW_MS + 5, crash) == 1
    assert plan.end(NOW_MS + 5, 99) == 0
    plan.run_due(effects, NOW_MS + 5)
    assert net.done == [("crash", 1), ("pause", 2), ("start", 1)]
    assert plan.end(NOW_MS + 10) == 2
    plan.run_due(effects, NOW_MS + 70_000)
    assert net.done[3:] == [("resume", 2)]
    assert plan.end(NOW_MS + 70_000) == 0


def test_run_due__two_crashes_of_one_validator__only_the_last_end_starts_it() -> None:
    net, plan = Net(), FaultPlan()
    effects = Effects(net)
    plan.add(parse("crash:validator=1,for=10s"))
    plan.add(parse("crash:validator=1,for=20s"))
    for second in range(0, 25, 5):
        plan.run_due(effects, NOW_MS + second * 1_000)
    assert net.done == [("crash", 1), ("crash", 1), ("start", 1)]


def test_run_due__clock_jumps_over_a_fault__it_never_happens() -> None:
    net, plan = Net(), FaultPlan()
    plan.add(parse("crash:validator=1,for=10s"))
    plan.run_due(Effects(net), NOW_MS + 60_000)
    assert net.done == []


def test_plan__long_life__keeps_only_what_is_not_long_over() -> None:
    net, plan = Net(), FaultPlan()
    effects = Effects(net)
    for hour in range(50):
        now_ms = NOW_MS + hour * 3_600_000
        plan.add(Fault("pause", now_ms, now_ms + 1_000, 1))
        plan.add(Fault("venue-lies", now_ms, now_ms + 1_000, venue="dune", factor_ppm=2 * PPM))
        plan.run_due(effects, now_ms)
        assert plan.factor_ppm("venue-lies", now_ms, venue="dune") == 2 * PPM
        plan.run_due(effects, now_ms + 2_000)
    assert len(plan.faults) == 2
    assert len(plan._seen) == 2
    assert (plan.fired["pause"], plan.fired["venue-lies"]) == (50, 50)


def test_plan__many_threads__add_ask_and_end() -> None:
    net, plan = Net(), FaultPlan()
    effects = Effects(net)

    def work(number: int) -> bool:
        own = plan.add(parse(f"oracle-lies:validator={number % 4},factor=2"))
        seen = plan.factor_ppm("oracle-lies", NOW_MS, validator=number % 4) > PPM
        return seen and plan.end(NOW_MS + 1, own) == 1

    with ThreadPoolExecutor(8) as pool:
        results = pool.map(work, range(200))
        for _ in range(50):
            plan.run_due(effects, NOW_MS)
        assert all(results)
    assert plan.fired["oracle-lies"] == 200
    assert plan.list_active(NOW_MS + 1) == ()


def test_live_fault__known_kind_with_a_wrong_part__is_told_how_that_kind_is_written_and_no_other() -> None:
    with pytest.raises(FaultSpecError) as refusal:
        parse_live_fault("crash:validator=9", validators=4, venues=(), now_ms=NOW_MS)
    assert str(refusal.value).endswith("is not one of 0 to 3. Write crash:validator=; it may have for=30s")
    with pytest.raises(FaultSpecError, match="Kinds: crash:validator=; wipe:"):
        parse_live_fault("meteor:validator=1", validators=4, venues=(), now_ms=NOW_MS)
