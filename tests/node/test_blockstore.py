"""The block log: what was acknowledged comes back, a torn end is passed over, damage is never given out."""

from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from holdfast.consensus.messages import Vote, VoteKind
from holdfast.consensus.validators import Validator, ValidatorSet
from holdfast.lab.disk import PowerLoss, SimulatedDisk
from holdfast.lab.world import derive_random
from holdfast.node.application import TxResult
from holdfast.node.blockstore import BlockStore, Outcome, StoredBlock
from holdfast.node.disk import FileDisk
from holdfast.node.replica_tip import Tip, genesis_tip
from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.crypto import sha256

GENESIS = genesis_tip(ValidatorSet([Validator(bytes([index]) * 32, 10) for index in range(4)]), 1_760_000_000_000)
FIRST = "blocks-0000000000000001"


def disk(seed: int = 1) -> SimulatedDisk:
    return SimulatedDisk(derive_random(seed, "disk"))


def block(height: int, size: int = 100) -> StoredBlock:
    vote = Vote(VoteKind.PRECOMMIT, height, 0, b"h" * 32, 1, 5, bytes(64), b"extension", bytes(64))
    return StoredBlock(b"block %d " % height + bytes(size), (vote,))


def tip(height: int) -> Tip:
    return GENESIS._replace(height=height, time_ms=height, block_hash=sha256(b"b%d" % height), app_hash=bytes(32))


def results(height: int) -> tuple[TxResult, ...]:
    return (TxResult(0, b"ok"), TxResult(7, b"", f"refused at {height}, \u2013 see there"))


def save(store: BlockStore, height: int, size: int = 100) -> None:
    store.save(block(height, size), tip(height), results(height), b"events %d" % height)


def filled(heights: int = 6, *, segment_bytes: int = 2_000) -> SimulatedDisk:
    medium = disk()
    store = BlockStore(medium, segment_bytes=segment_bytes)
    for height in range(1, heights + 1):
        save(store, height)
    return medium


def copied(medium: SimulatedDisk) -> SimulatedDisk:
    copy = disk()
    for name in medium.names():
        copy.replace(name, medium.read(name))
    return copy


def test_empty__has_no_tip_and_no_block() -> None:
    store = BlockStore(disk())
    assert (store.first, store.last, store.tip, store.load(1), store.outcome(1)) == (0, 0, None, None, None)


def test_reopened__gives_tip_blocks_and_outcomes_of_every_segment() -> None:
    medium = filled(40)
    assert len(medium.names()) > 5
    store = BlockStore(medium, segment_bytes=2_000)
    assert (store.first, store.last) == (1, 40)
    assert store.tip is not None
    assert store.tip.height == 40
    for height in range(1, 41):
        assert store.load(height) == block(height)
        known = tip(height)
        expected = Outcome(
            height, known.time_ms, known.app_hash, known.block_hash, results(height), b"events %d" % height
        )
        assert store.outcome(height) == expected
    assert (store.load(0), store.load(41), store.load(-3), store.damaged) == (None, None, None, 0)


def test_one_height__costs_one_append_and_one_sync() -> None:
    medium = disk()
    store = BlockStore(medium)
    save(store, 1)
    before = medium.operations
    for height in range(2, 10):
        save(store, height)
    assert medium.operations == before + 2 * 8


def test_gap__is_refused() -> None:
    store = BlockStore(filled())
    with pytest.raises(BrokenInvariantError):
        save(store, 9)


def test_prune__drops_one_segment_at_a_time_and_never_the_last() -> None:
    medium = filled(40)
    store = BlockStore(medium, segment_bytes=2_000)
    files = len(medium.names())
    store.prune(1)
    assert len(medium.names()) == files
    for dropped in range(1, files + 5):
        store.prune(1_000)
        assert len(medium.names()) == max(1, files - dropped)
    assert store.first > 30
    assert store.load(store.first - 1) is None
    assert store.load(40) == block(40)
    assert BlockStore(medium).first == store.first
    assert store.damaged == 0


@pytest.mark.parametrize("lost", range(1, 700, 7))
def test_torn_end__is_passed_over_and_the_next_height_has_a_segment_of_its_own(lost: int) -> None:
    medium = filled(3, segment_bytes=10**6)
    data = medium.read(FIRST)
    medium.replace(FIRST, data[:-lost])
    store = BlockStore(medium)
    assert store.last == 3 - -(-lost * 3 // len(data))
    assert (store.tip.height if store.tip else 0) == store.last
    reached = store.last
    save(store, reached + 1, size=300)
    again = BlockStore(medium)
    assert again.last == reached + 1
    assert again.load(again.last) == block(again.last, 300)
    assert [again.load(height) for height in range(1, again.last)] == [block(height) for height in range(1, again.last)]


def test_zeros_at_the_end__are_a_torn_write() -> None:
    medium = filled(3, segment_bytes=10**6)
    medium.append(FIRST, bytes(500))
    store = BlockStore(medium)
    assert store.last == 3
    save(store, 4)
    assert BlockStore(medium).last == 4


@pytest.mark.parametrize("seed", range(40))
def test_crash__between_append_and_sync__leaves_the_height_or_not(seed: int) -> None:
    medium = disk(seed)
    store = BlockStore(medium, segment_bytes=1_500)
    height = 0
    for _ in range(12):
        medium.fail_after(seed % 4)
        with suppress(PowerLoss):
            save(store, height + 1)
            height += 1
        medium.crash()
        store = BlockStore(medium, segment_bytes=1_500)
        assert store.last in (height, height + 1)
        height = store.last
        assert all(store.load(each) == block(each) for each in range(1, height + 1))


def test_any_flipped_bit__is_never_given_out() -> None:
    whole = filled(5, segment_bytes=1_000)
    for name in whole.names():
        for bit in range(0, 8 * whole.size(name), 11):
            medium = copied(whole)
            medium.flip_bit(name, bit)
            store = BlockStore(medium)
            kept = 0
            for height in range(1, 6):
                found, outcome = store.load(height), store.outcome(height)
                assert found in (None, block(height))
                assert outcome is None or outcome.events == b"events %d" % height
                kept += found is not None and outcome is not None
            assert kept < 5
            assert store.damaged or store.last < 5 or store.cut or kept < 5


def test_damage_in_the_middle__costs_that_height_alone() -> None:
    medium = filled(5, segment_bytes=10**6)
    store = BlockStore(medium)
    medium.flip_bit(FIRST, 8 * (medium.size(FIRST) // 5 * 2 + 100))
    assert [store.load(height) is not None and store.outcome(height) is not None for height in range(1, 6)] == [
        True,
        True,
        False,
        True,
        True,
    ]
    assert store.damaged == 1
    assert BlockStore(medium).last == 5


def test_restart__from_a_restored_height__forgets_what_was_before() -> None:
    medium = filled(10)
    store = BlockStore(medium)
    store.restart(block(50), tip(50))
    for each in (store, BlockStore(medium)):
        assert (each.first, each.last) == (50, 50)
        assert each.load(50) == block(50)
        assert each.load(3) is None
        assert each.outcome(50) is None
        restored = each.tip_at(50)
        assert restored is not None
        assert restored.block_hash == tip(50).block_hash
    save(store, 51)
    assert BlockStore(medium).outcome(51) is not None


def test_reader_of_another_thread__beside_the_writer__sees_whole_blocks_only(tmp_path: Path) -> None:
    store = BlockStore(FileDisk(tmp_path), segment_bytes=3_000)
    seen: list[int] = []
    is_over = False

    def read() -> None:
        while not is_over:
            height = store.last
            found, outcome = store.load(height), store.outcome(height)
            if height and found != block(height):
                seen.append(-height)
            if outcome is not None:
                seen.append(outcome.height)

    reader = Thread(target=read)
    reader.start()
    for height in range(1, 400):
        save(store, height)
    is_over = True
    reader.join()
    assert min(seen) > 0
    assert seen == sorted(seen)
