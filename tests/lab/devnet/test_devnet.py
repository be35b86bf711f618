"""The whole devnet but its gateway: real threads, clocks and files."""

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from holdfast.lab.devnet.banner import describe
from holdfast.lab.devnet.chain import check_agreement
from holdfast.lab.devnet.run import Devnet
from holdfast.lab.devnet.settings import DevnetSettings, SettingsError
from holdfast.node.home import HomeError
from holdfast.primitives.units import MINUTE_MS
from holdfast.protocol.ranges.params import RANGE_PARAMS
from holdfast.protocol.ranges.state import RANGES
from holdfast.protocol.staking.state import MISBEHAVIORS

WAIT_S = 20.0


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, int | str]]] = []

    def __call__(self, event: str, fields: dict[str, int | str]) -> None:
        self.lines.append((event, fields))

    def events(self) -> set[str]:
        return {event for event, _ in self.lines}


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def make_devnet(data: Path | None, log: Log | None = None, *, has_market: bool = False) -> Devnet:
    settings = DevnetSettings(data=data, block_interval_ms=50, seed=5, has_market=has_market)
    return Devnet(settings, log or Log())


def run_to(devnet: Devnet, height: int) -> None:
    wait(lambda: devnet.cluster.height >= height)


def all_agree(devnet: Devnet) -> bool:
    """Tell whether everybody runs and stands at the same height with the same root."""
    statuses = devnet.cluster.statuses()
    return (
        all(one.status == "running" for one in statuses) and len({(one.height, one.app_hash) for one in statuses}) == 1
    )


@pytest.fixture
def devnet(tmp_path: Path) -> Iterator[Devnet]:
    made = make_devnet(tmp_path / "data")
    made.start()
    assert made.wait_until_ready(WAIT_S)
    yield made
    made.stop()


def test_devnet__stopped_and_started_again__goes_on_with_the_same_chain(tmp_path: Path) -> None:
    first = make_devnet(tmp_path / "data", has_market=True)
    first.start()
    assert first.wait_until_ready(WAIT_S)
    run_to(first, 10)
    first.stop()
    again = make_devnet(tmp_path / "data", has_market=True)
    assert again.ground.about == first.ground.about
    again.start()
    assert again.wait_until_ready(WAIT_S)
    run_to(again, 15)
    for height in range(1, 10):
        assert again.cluster.outcome_at(height) is not None
    again.stop()


@pytest.mark.parametrize("kind", ["crash", "wipe", "pause", "partition"])
def test_devnet__one_of_four_is_gone_for_a_while__the_chain_goes_on_and_it_comes_back(
    devnet: Devnet, kind: str
) -> None:
    devnet.controls.fault(f"{kind}:validator=3")
    wait(lambda: devnet.cluster.validators[3].status in {"down", "paused"} or kind == "partition")
    gone_at = devnet.cluster.height
    run_to(devnet, gone_at + 5)
    assert devnet.cluster.validators[3].height <= gone_at + 1
    devnet.controls.heal()
    wait(lambda: all_agree(devnet))


def test_devnet__two_of_four_cut_off__nothing_commits_until_they_are_back(devnet: Devnet) -> None:
    devnet.controls.fault("partition:validator=2")
    devnet.controls.fault("partition:validator=3")
    time.sleep(0.2)
    height = devnet.cluster.height
    time.sleep(1.0)
    assert devnet.cluster.height == height
    devnet.controls.heal()
    run_to(devnet, height + 3)
    wait(lambda: all_agree(devnet))


def test_devnet__clock_ten_minutes_off__changes_nothing(devnet: Devnet) -> None:
    devnet.controls.fault("clock:validator=1,ms=600000")
    run_to(devnet, devnet.cluster.height + 8)
    with devnet.cluster.reading() as view:
        assert abs(view.time_ms - devnet.cluster.now_ms()) < 5_000
    wait(lambda: all_agree(devnet))


def test_devnet__equivocation__is_proven_on_the_chain(devnet: Devnet) -> None:
    devnet.controls.fault("equivocate:validator=3")

    def is_recorded() -> bool:
        with devnet.cluster.reading() as view:
            return bool(view.draft[MISBEHAVIORS].keys())

    wait(is_recorded)
    devnet.controls.heal()
    run_to(devnet, devnet.cluster.height + 3)
    # The replica behind the lies is honest, and does not take them for a second instance.
    wait(lambda: all_agree(devnet))


def test_devnet__advanced__makes_blocks_a_minute_apart_up_to_the_target(devnet: Devnet) -> None:
    times: list[int] = []
    devnet.cluster.on_commit(lambda event: times.append(event.time_ms))
    started_ms = devnet.cluster.now_ms()
    devnet.controls.advance(10 * MINUTE_MS)
    wait(lambda: devnet.controls.status()["advance"]["state"] == "done")  # type: ignore[index]
    steps = [after - before for before, after in pairwise(times)]
    assert devnet.cluster.now_ms() - started_ms >= 10 * MINUTE_MS
    assert max(steps) <= MINUTE_MS + 5_000
    assert sum(step > MINUTE_MS // 2 for step in steps) >= 9


def test_devnet__damaged_store__is_set_aside_and_made_anew_from_the_others(tmp_path: Path) -> None:
    first = make_devnet(tmp_path / "data")
    first.start()
    assert first.wait_until_ready(WAIT_S)
    run_to(first, 10)
    first.stop()
    log = Log()
    again = make_devnet(tmp_path / "data", log)
    for path in again.ground.home.store(2).iterdir():  # type: ignore[union-attr]
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 16
        path.write_bytes(content)
    again.start()
    assert again.wait_until_ready(WAIT_S)
    wait(lambda: all_agree(again) and again.cluster.height > 15)
    again.stop()
    assert "store_set_aside" in log.events()
    assert (tmp_path / "data" / "validator-2" / "store.damaged-1").is_dir()


def test_devnet__directory_in_use__a_second_start_is_refused(devnet: Devnet, tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="in use by process"):
        make_devnet(tmp_path / "data")


def test_devnet__other_settings_than_the_chain_has__are_refused_only_where_they_were_asked_for(devnet: Devnet) -> None:
    asked = DevnetSettings(validators=7, block_interval_ms=50, is_adaptive=False)
    check_agreement(asked, devnet.ground, frozenset())
    with pytest.raises(SettingsError, match="--validators 7: the chain in this data directory has 4"):
        check_agreement(asked, devnet.ground, frozenset({"validators"}))
    with pytest.raises(SettingsError, match="--margin fixed: the chain in this data directory has adaptive"):
        check_agreement(asked, devnet.ground, frozenset({"margin"}))


@pytest.mark.parametrize("is_adaptive", [True, False])
def test_devnet__of_either_margin__has_ranges_that_follow_the_market_or_none(is_adaptive: bool) -> None:
    devnet = Devnet(
        DevnetSettings(validators=1, block_interval_ms=50, has_market=False, is_adaptive=is_adaptive), Log()
    )
    devnet.start()
    try:
        run_to(devnet, 1)
        with devnet.cluster.reading() as view:
            assert len(view.draft[RANGES].keys()) == (2 if is_adaptive else 0)
            assert view.draft[RANGE_PARAMS][0].is_adaptive == is_adaptive
        assert devnet.ground.margin == describe(devnet, 80)["margin"] == ("adaptive" if is_adaptive else "fixed")
    finally:
        devnet.stop()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"validators": 0}, "--validators 0"),
        ({"block_interval_ms": 1}, "--block-interval 1ms"),
        ({"seed": -1}, "--seed -1"),
        ({"port": 65_536}, "--port 65536: choose 0 to 65535"),
        ({"port": -1}, "--port -1"),
    ],
)
def test_settings__out_of_bounds__are_refused_by_name(changes: dict[str, int], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        DevnetSettings(**changes).check()  # type: ignore[arg-type]


def test_price__of_an_asset_that_there_is_not__is_refused_by_name(devnet: Devnet) -> None:
    with pytest.raises(ValueError, match="asset=DOGE: is not one of BTC, ETH, USDC, USDT"):
        devnet.controls.price("DOGE", factor=None, price=5.0)
