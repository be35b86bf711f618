"""The simulated disk: what survives a crash, and that the seed alone decides the rest."""

from random import Random

import pytest

from holdfast.lab.disk import PowerLoss, SimulatedDisk


def make_disk(seed: int = 1) -> SimulatedDisk:
    return SimulatedDisk(Random(seed))


def crash_outcomes(seeds: int, synced: bytes, *unsynced: bytes) -> list[bytes]:
    outcomes = []
    for seed in range(seeds):
        disk = make_disk(seed)
        disk.append("log", synced)
        disk.sync("log")
        for chunk in unsynced:
            disk.append("log", chunk)
        disk.crash()
        outcomes.append(disk.read("log"))
    return outcomes


def test_append__read_back__joins_the_chunks() -> None:
    disk = make_disk()
    disk.append("log", b"ab")
    disk.append("log", b"cd")
    assert disk.read("log") == b"abcd"
    assert disk.names() == ["log"]
    assert disk.size_bytes() == 4


def test_read__absent_file__is_empty() -> None:
    disk = make_disk()
    assert disk.read("nothing") == b""
    assert disk.names() == []
    disk.delete("nothing")


def test_crash__synced_bytes__always_survive_and_the_rest_is_a_prefix() -> None:
    outcomes = crash_outcomes(200, b"safe", b"first", b"second")
    assert all((b"safefirstsecond").startswith(outcome) and outcome.startswith(b"safe") for outcome in outcomes)


def test_crash__many_seeds__drops_keeps_and_tears() -> None:
    outcomes = set(crash_outcomes(200, b"safe", b"first", b"second"))
    assert {b"safe", b"safefirstsecond"} <= outcomes
    torn = outcomes - {b"safe", b"safefirst", b"safefirstsecond"}
    assert torn, "some record must have been cut in its middle"


def test_crash__same_seed__leaves_the_same() -> None:
    assert crash_outcomes(20, b"s", b"abc", b"def") == crash_outcomes(20, b"s", b"abc", b"def")


def test_crash__what_survived_once__survives_the_next_crash_too() -> None:
    for seed in range(50):
        disk = make_disk(seed)
        disk.append("log", b"abcdef")
        disk.crash()
        survived = disk.read("log")
        disk.crash()
        assert disk.read("log") == survived


def test_crash__file_never_synced_and_dropped__is_gone() -> None:
    names = set()
    for seed in range(50):
        disk = make_disk(seed)
        disk.append("log", b"x")
        disk.crash()
        names.add(tuple(disk.names()))
    assert names == {(), ("log",)}


def test_sync__empty_file__keeps_its_name_through_a_crash() -> None:
    disk = make_disk()
    disk.sync("log")
    disk.crash()
    assert disk.names() == ["log"]


def test_replace__crash_after_it__keeps_the_new_content() -> None:
    for seed in range(20):
        disk = make_disk(seed)
        disk.replace("state", b"old")
        disk.replace("state", b"new")
        disk.crash()
        assert disk.read("state") == b"new"


def test_replace__power_fails_inside_it__keeps_the_old_content() -> None:
    disk = make_disk()
    disk.replace("state", b"old")
    disk.fail_after(0)
    with pytest.raises(PowerLoss):
        disk.replace("state", b"new")
    disk.crash()
    assert disk.read("state") == b"old"


def test_sync__power_fails_inside_it__promises_nothing() -> None:
    disk = make_disk()
    disk.append("log", b"x")
    disk.fail_after(0)
    with pytest.raises(PowerLoss):
        disk.sync("log")
    disk.crash()
    assert disk.read("log") in (b"", b"x")


def test_fail_after__counts_operations__and_fails_once() -> None:
    disk = make_disk()
    disk.fail_after(2)
    disk.append("log", b"a")
    disk.sync("log")
    with pytest.raises(PowerLoss):
        disk.append("log", b"b")
    disk.sync("log")
    assert disk.operations == 4


def test_delete__then_crash__stays_deleted() -> None:
    disk = make_disk()
    disk.replace("state", b"old")
    disk.delete("state")
    disk.crash()
    assert disk.names() == []


def test_wipe__whole_store__is_gone() -> None:
    disk = make_disk()
    disk.replace("a", b"1")
    disk.append("b", b"2")
    disk.wipe()
    assert disk.names() == []


def test_flip_bit__one_bit__differs_there_only() -> None:
    disk = make_disk()
    disk.replace("a", b"\x00\x00")
    disk.flip_bit("a", 9)
    assert disk.read("a") == b"\x00\x02"


def test_append__not_bytes__is_refused() -> None:
    with pytest.raises(TypeError, match="bytes, not bytearray"):
        make_disk().append("log", bytearray(b"x"))  # type: ignore[arg-type]


def test_append__shared_bytes__are_held_once() -> None:
    block = b"x" * 1000
    disk = make_disk()
    disk.append("log", block)
    disk.sync("log")
    assert disk.read("log") is block or disk.size_bytes() == 1000
