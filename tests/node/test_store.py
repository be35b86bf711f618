"""The store: what was acknowledged comes back, a torn end is passed over, damage costs a replay and is never used."""

import errno
from contextlib import suppress
from pathlib import Path

import pytest

from holdfast.lab.disk import PowerLoss, SimulatedDisk
from holdfast.lab.world import derive_random
from holdfast.node import store as store_module
from holdfast.node.disk import FileDisk
from holdfast.node.exchange import ExchangeApplication
from holdfast.node.frames import DamagedFileError, frame
from holdfast.node.jobs import BackgroundJobs
from holdfast.node.ports import DiskError
from holdfast.node.store import Change, StateStore, StoreError
from holdfast.node.version import VersionError
from holdfast.protocol.trading.messages import PlaceOrder
from tests.support.exchange import BUY, Market

LOG = "state-log-0000000000000000"


def disk(seed: int = 1) -> SimulatedDisk:
    return SimulatedDisk(derive_random(seed, "disk"))


def row(key: int, value: bytes | None) -> tuple[Change, ...]:
    return ((bytes([1, key]), value),)


def root(height: int) -> bytes:
    return b"root %d" % height


def open_store(medium: SimulatedDisk) -> tuple[StateStore, int]:
    store = StateStore(medium)
    loaded = store.load()
    return store, 0 if loaded is None else loaded.height


class Kept:
    """Every state that was ever committed, to compare with what a store gives back."""

    def __init__(self) -> None:
        self.states: dict[int, dict[bytes, bytes]] = {0: {}}

    def changes(self, height: int) -> tuple[Change, ...]:
        """What a block changes: a row of its own, one that all change, and one that it removes."""
        own = bytes([1, height % 256])
        gone = bytes([1, (height - 5) % 256])
        state = dict(self.states[height - 1])
        changes: dict[bytes, bytes | None] = {own: b"value %d" % height, b"\x02": b"last %d" % height}
        if gone in state:
            changes[gone] = None
        for key, value in changes.items():
            if value is None:
                del state[key]
            else:
                state[key] = value
        self.states[height] = state
        return tuple(sorted(changes.items()))

    def check(self, medium: SimulatedDisk) -> int:
        loaded = StateStore(medium).load()
        if loaded is None:
            return 0
        assert loaded.app_hash == root(loaded.height)
        assert loaded.rows == sorted(self.states[loaded.height].items())
        return loaded.height


def commit(store: StateStore, kept: Kept, height: int, snapshot_every: int = 10) -> None:
    store.save_block(height, root(height), kept.changes(height))
    if height % snapshot_every == 0:
        store.start_snapshot(height, root(height), sorted(kept.states[height].items()))
    store.settle()


def filled(heights: int, snapshot_every: int = 10) -> tuple[SimulatedDisk, Kept]:
    medium, kept = disk(), Kept()
    store, _ = open_store(medium)
    for height in range(1, heights + 1):
        commit(store, kept, height, snapshot_every)
    return medium, kept


def copied(medium: SimulatedDisk) -> SimulatedDisk:
    copy = disk()
    for name in medium.names():
        copy.replace(name, medium.read(name))
    return copy


def test_load__nothing_saved__is_none() -> None:
    store, height = open_store(disk())
    assert height == 0
    assert store.is_empty


@pytest.mark.parametrize("heights", [1, 9, 10, 11, 20, 25, 47])
def test_load__blocks_and_snapshots__give_the_last_height_and_every_row(heights: int) -> None:
    medium, kept = filled(heights)
    assert kept.check(medium) == heights
    store, height = open_store(medium)
    for _ in range(15):
        height += 1
        commit(store, kept, height)
        assert kept.check(medium) == height


def test_commit__of_a_block__is_one_append_and_one_sync() -> None:
    medium, kept = filled(30)
    store, height = open_store(medium)
    commit(store, kept, height + 1)
    before = medium.operations
    for number in range(2, 9):
        commit(store, kept, height + number)
    assert medium.operations == before + 2 * 7


def test_files__of_a_long_chain__stay_few() -> None:
    medium, kept = disk(), Kept()
    store, _ = open_store(medium)
    sizes = set()
    for height in range(1, 200):
        commit(store, kept, height)
        sizes.add(len(medium.names()))
    assert max(sizes) <= 7
    assert [info.height for info in store.list_snapshots()] == [180, 190]


@pytest.mark.parametrize("lost", range(1, 200, 3))
def test_torn_end__keeps_the_whole_records_and_what_is_appended_after(lost: int) -> None:
    medium, kept = filled(3)
    medium.replace(LOG, medium.read(LOG)[:-lost])
    reached = kept.check(medium)
    assert reached == 2 if lost < 50 else reached in (0, 1, 2)
    store, height = open_store(medium)
    assert height == reached
    for _ in range(30):
        height += 1
        commit(store, kept, height)
        assert kept.check(medium) == height


def test_zeros_at_the_end__are_a_torn_write() -> None:
    medium, kept = filled(4)
    medium.append(LOG, bytes(100))
    assert kept.check(medium) == 4
    store, _ = open_store(medium)
    assert store.damage == []


@pytest.mark.parametrize("heights", [4, 14, 24])
def test_any_flipped_bit__costs_a_replay_or_is_reported_and_never_changes_a_row(heights: int) -> None:
    whole, kept = filled(heights)
    outcomes = {"refused": 0, "whole": 0, "behind": 0}
    for name in whole.names():
        for bit in range(0, 8 * whole.size(name), 7):
            medium = copied(whole)
            medium.flip_bit(name, bit)
            try:
                reached = kept.check(medium)
            except (StoreError, DamagedFileError):
                outcomes["refused"] += 1
                continue
            outcomes["whole" if reached == heights else "behind"] += 1
            # What is behind goes on from there, as it does after a replay.
            store, height = open_store(medium)
            for _ in range(2):
                height += 1
                commit(store, kept, height)
            assert kept.check(medium) == height
    assert outcomes["behind"] > 0
    assert outcomes["refused"] > 0


def test_damaged_newest_snapshot__falls_back_to_the_older_and_its_logs() -> None:
    medium, kept = filled(47)
    medium.flip_bit("snapshot-0000000000000040", 50)
    store = StateStore(medium)
    loaded = store.load()
    assert loaded is not None
    assert (loaded.height, loaded.rows) == (47, sorted(kept.states[47].items()))
    assert "snapshot-0000000000000040" in store.damage[0]


def test_both_snapshots_damaged__is_refused_with_the_mend() -> None:
    medium, _ = filled(47)
    for height in (30, 40):
        medium.flip_bit(f"snapshot-{height:016d}", 50)
    before = medium.names()
    with pytest.raises(StoreError, match=r"snapshot-0000000000000040.*let it resync"):
        StateStore(medium).load()
    assert medium.names() == before


def test_record_missing_in_the_middle__stops_there() -> None:
    medium, kept = filled(6)
    records = [frame_of(kept, height) for height in range(1, 7)]
    medium.replace(LOG, b"".join(records[:3] + records[4:]))
    assert kept.check(medium) == 3


def frame_of(kept: Kept, height: int) -> bytes:
    single = disk()
    store, _ = open_store(single)
    store.save_block(height, root(height), kept.changes(height))
    (name,) = [name for name in single.names() if name.startswith("state-log")]
    return single.read(name)


@pytest.mark.parametrize("heights", [3, 9, 19, 20])
def test_power_lost__at_every_operation_of_commits_and_snapshots__loses_nothing_acknowledged(heights: int) -> None:
    for operations in range(40):
        medium, kept = filled(heights)
        store, _ = open_store(medium)
        medium.fail_after(operations)
        acknowledged = heights
        with suppress(PowerLoss):
            for height in range(heights + 1, heights + 14):
                commit(store, kept, height)
                acknowledged = height
        medium.crash()
        reached = kept.check(medium)
        assert reached in (acknowledged, acknowledged + 1)
        store, height = open_store(medium)
        for _ in range(25):
            height += 1
            commit(store, kept, height)
        assert kept.check(medium) == height


@pytest.mark.parametrize("seed", range(30))
def test_power_lost__again_and_again__loses_nothing_acknowledged(seed: int) -> None:
    random = derive_random(seed, "crashes")
    medium, kept = disk(seed), Kept()
    acknowledged = 0
    for _ in range(30):
        medium.fail_after(random.randrange(60))
        with suppress(PowerLoss):
            store, height = open_store(medium)
            assert height in (acknowledged, acknowledged + 1)
            for _ in range(30):
                height += 1
                commit(store, kept, height, snapshot_every=4)
                acknowledged = height
        medium.crash()
        reached = kept.check(medium)
        assert reached in (acknowledged, acknowledged + 1)
        acknowledged = reached


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_disk_error__at_every_operation__stops_and_loses_nothing_acknowledged(number: int) -> None:
    for operations in range(36):
        medium, kept = filled(17)
        store, _ = open_store(medium)
        medium.fail_after(operations, error=number)
        acknowledged = 17
        failed = False
        while not failed:
            try:
                commit(store, kept, acknowledged + 1)
                acknowledged += 1
            except DiskError:
                failed = True
        medium.crash()
        assert kept.check(medium) in (acknowledged, acknowledged + 1)


def test_version__of_another_program__is_refused_and_damage_is_told_apart() -> None:
    for version, age in ((b"0", "an older"), (b"2", "a newer")):
        medium, _ = filled(3)
        medium.replace("format", frame(b"holdfast store " + version))
        with pytest.raises(VersionError, match=f"written by {age} Holdfast.*open it with that"):
            StateStore(medium).load()
    medium, _ = filled(3)
    medium.flip_bit("format", 140)
    with pytest.raises(DamagedFileError, match="format"):
        StateStore(medium).load()
    medium.delete("format")
    with pytest.raises(VersionError, match="older"):
        StateStore(medium).load()


def test_stray_file__that_a_person_has_left__is_passed_over() -> None:
    medium, kept = filled(24)
    for name in ("snapshot-old", "state-log-0000000000000000.bak", "snapshot-000"):
        medium.replace(name, b"?")
    assert kept.check(medium) == 24


def test_background_snapshot__beside_commits__holds_its_own_height(tmp_path: Path) -> None:
    kept = Kept()
    medium = FileDisk(tmp_path)
    store = StateStore(medium, BackgroundJobs())
    store.load()
    for height in range(1, 60):
        commit(store, kept, height)
    while store._jobs.is_busy:
        pass
    commit(store, kept, 60)
    store.close()
    assert store.list_snapshots()
    loaded = StateStore(FileDisk(tmp_path)).load()
    assert loaded is not None
    assert (loaded.height, loaded.rows) == (60, sorted(kept.states[60].items()))


def test_background_snapshot__whose_disk_fails__is_told_at_the_next_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    medium = FileDisk(tmp_path)
    store = StateStore(medium, BackgroundJobs())
    store.load()
    store.save_block(1, root(1), row(1, b"x"))

    def fail(name: str, _data: bytes) -> None:
        raise DiskError(name, "write", "No space left on device", "free space")

    with monkeypatch.context() as patch:
        patch.setattr(medium, "append", fail)
        store.start_snapshot(1, root(1), [(b"\x01\x01", b"x")])
        store.close()
    with pytest.raises(DiskError, match="snapshot-0000000000000001"):
        store.settle()


# The application on top of it


def reopen(market: Market) -> ExchangeApplication:
    return ExchangeApplication(market.solo.disk, market.solo.report, snapshot_every=4)


def test_application__power_lost_at_every_operation_of_a_commit__reopens_before_or_after_it() -> None:
    for height in (2, 3):  # a plain block, and one with a snapshot
        for operations in range(12):
            market = Market(2, blocks=height)
            market.solo.app._snapshot_every = 4
            app, medium = market.solo.app, market.solo.disk
            before = app.info()
            proposed = market.solo.propose(market.sign(0, PlaceOrder(market.future(), BUY, 100_000, 1)))
            medium.fail_after(operations)
            acknowledged = False
            with suppress(PowerLoss):
                app.commit()
                acknowledged = True
            medium.crash()
            reopened = reopen(market)
            found = reopened.info()[:2]
            after = (height + 1, proposed.app_hash)
            assert found == after or (found == before[:2] and not acknowledged)
            market.solo.app = reopened
            assert market.solo.block().app_hash == reopened.info().app_hash


def test_application__store_of_other_rows_than_its_root__is_refused() -> None:
    market = Market(2)
    loaded = StateStore(market.solo.disk).load()
    assert loaded is not None
    first, *others = loaded.rows
    for reason, rows in (("root", others), ("version", [(first[0], b"\xcc\x01"), *others])):
        other = disk()
        store, _ = open_store(other)
        store.save_block(1, loaded.app_hash, tuple(rows))
        with pytest.raises(StoreError, match=reason):
            ExchangeApplication(other, market.solo.report)


def test_application__whose_log_grows_long__takes_a_snapshot_before_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "LOG_BYTES", 400_000)
    market = Market(2)
    for _ in range(12):
        market.run(1)
    heights = [info.height for info in market.solo.app.list_snapshots()]
    assert len(heights) == 2
    assert market.solo.disk.size_bytes() < 2_500_000
    assert reopen(market).info() == market.solo.app.info()


def test_application__that_keeps_few_blocks__asks_for_those_of_its_snapshots() -> None:
    market = Market(2)
    market.solo.app._keep_blocks = 3
    market.solo.app._snapshot_every = 5
    retained = []
    for _ in range(20):
        market.solo.propose()
        retained.append(market.solo.app.commit().retain_height)
    assert retained[0] == 0
    assert retained[-1] == 15
    assert retained == sorted(retained)
    assert market.solo.app.height == 22
