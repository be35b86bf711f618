"""The store: what was acknowledged comes back, a torn end is cut off, damage is reported and never used."""

from contextlib import suppress

import pytest

from holdfast.lab.disk import PowerLoss, SimulatedDisk
from holdfast.lab.world import derive_random
from holdfast.node.exchange import ExchangeApplication
from holdfast.node.store import BASE_EVERY, BASE_FILE, LOG_FILE, StateStore, StoreError
from holdfast.protocol.trading.messages import PlaceOrder
from tests.support.exchange import BUY, Market

Rows = tuple[tuple[bytes, bytes | None], ...]


def disk() -> SimulatedDisk:
    return SimulatedDisk(derive_random(1, "disk"))


def row(key: int, value: bytes | None) -> Rows:
    return ((bytes([1, key]), value),)


def filled(blocks: int = 3) -> SimulatedDisk:
    """A disk with a base of height 1 and a record for each block after it."""
    medium = disk()
    store = StateStore(medium)
    store.save_base(1, b"root 1", row(1, b"one"))
    for height in range(2, 2 + blocks):
        store.save_block(height, b"root %d" % height, row(height, b"value %d" % height))
    return medium


def test_load__nothing_saved__is_none() -> None:
    assert StateStore(disk()).load() is None


def test_load__base_and_blocks__gives_the_last_height_and_every_row() -> None:
    medium = filled()
    StateStore(medium).load()
    store = StateStore(medium)
    loaded = store.load()
    assert loaded is not None
    assert (loaded.height, loaded.app_hash) == (4, b"root 4")
    assert loaded.rows == {
        b"\x01\x01": b"one",
        b"\x01\x02": b"value 2",
        b"\x01\x03": b"value 3",
        b"\x01\x04": b"value 4",
    }
    store.save_block(5, b"root 5", row(2, None))
    again = StateStore(medium).load()
    assert again is not None
    assert b"\x01\x02" not in again.rows


@pytest.mark.parametrize("lost", range(1, 60))
def test_load__torn_end__keeps_the_whole_records_and_what_is_appended_after(lost: int) -> None:
    medium = filled()
    log = medium.read(LOG_FILE)
    medium.replace(LOG_FILE, log[:-lost])
    store = StateStore(medium)
    loaded = store.load()
    assert loaded is not None
    assert loaded.height == 3 if lost <= len(log) // 3 else loaded.height in (2, 3)
    store.save_block(loaded.height + 1, b"again", row(9, b"nine"))
    after = StateStore(medium).load()
    assert after is not None
    assert (after.height, after.app_hash) == (loaded.height + 1, b"again")


def test_load__zeros_at_the_end__are_a_torn_write() -> None:
    medium = filled()
    medium.append(LOG_FILE, bytes(100))
    loaded = StateStore(medium).load()
    assert loaded is not None
    assert loaded.height == 4


@pytest.mark.parametrize("name", [BASE_FILE, LOG_FILE])
def test_load__any_flipped_bit__is_reported_or_costs_the_unacknowledged_end_alone(name: str) -> None:
    size = len(filled().read(name))
    record = len(filled(1).read(LOG_FILE))
    for bit in range(0, size * 8, 5):
        medium = filled()
        medium.flip_bit(name, bit)
        try:
            loaded = StateStore(medium).load()
        except StoreError:
            continue
        assert name == LOG_FILE
        assert bit // 8 >= size - record
        assert loaded is not None
        assert loaded.height == 3


def test_load__a_missing_record_in_the_middle__is_reported() -> None:
    medium = filled()
    log = medium.read(LOG_FILE)
    third = len(log) // 3
    medium.replace(LOG_FILE, log[:third] + log[2 * third :])
    with pytest.raises(StoreError, match=LOG_FILE):
        StateStore(medium).load()


def test_load__crash_between_a_new_base_and_the_removal_of_its_log__skips_what_the_base_holds() -> None:
    medium = filled()
    log = medium.read(LOG_FILE)
    StateStore(medium).save_base(4, b"root 4", row(7, b"whole"))
    medium.replace(LOG_FILE, log)
    loaded = StateStore(medium).load()
    assert loaded is not None
    assert (loaded.height, loaded.rows) == (4, {b"\x01\x07": b"whole"})


def test_base__is_written_again_after_some_blocks__so_that_the_log_stays_short() -> None:
    store = StateStore(disk())
    assert store.needs_base()
    store.save_base(1, b"", ())
    for height in range(2, BASE_EVERY + 1):
        assert not store.needs_base()
        store.save_block(height, b"", ())
    assert store.needs_base()


def test_application__power_lost_at_every_operation_of_a_commit__reopens_before_or_after_it() -> None:
    for operations in range(4):
        market = Market(2)
        app, medium = market.solo.app, market.solo.disk
        before = app.info()
        market.solo.propose(market.sign(0, PlaceOrder(market.future(), BUY, 100_000, 1)))
        medium.fail_after(operations)
        with suppress(PowerLoss):
            app.commit()
        medium.crash()
        reopened = ExchangeApplication(medium, market.solo.report)
        assert reopened.info() in (before, app.info())
        market.solo.app = reopened
        assert market.solo.block().app_hash == reopened.info().app_hash


def test_application__store_of_other_rows_than_its_root__is_refused() -> None:
    market = Market(2)
    loaded = StateStore(market.solo.disk).load()
    assert loaded is not None
    other = disk()
    rows = tuple(sorted(loaded.rows.items()))
    StateStore(other).save_base(loaded.height, loaded.app_hash, rows[1:])
    with pytest.raises(StoreError):
        ExchangeApplication(other, market.solo.report)
