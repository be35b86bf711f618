"""The disk on real files: what it promises, and how it fails."""

import errno
import os
from pathlib import Path
from typing import Never

import pytest

from holdfast.node.disk import OPEN_FILES_MAX, FileDisk
from holdfast.node.ports import DiskError


@pytest.fixture
def disk(tmp_path: Path) -> FileDisk:
    return FileDisk(tmp_path / "store")


def fail(monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    def raise_it(*_: object) -> Never:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, raise_it)


def write(disk: FileDisk, data: bytes) -> None:
    disk.append("log", data)
    disk.sync("log")


def test_append_and_sync__reopened__hold_everything(tmp_path: Path, disk: FileDisk) -> None:
    disk.append("log", b"one")
    disk.append("log", b"two")
    disk.sync("log")
    disk.close()
    again = FileDisk(tmp_path / "store")
    assert again.read("log") == b"onetwo"
    assert again.names() == ["log"]
    again.append("log", b"three")
    assert (again.size("log"), again.read_at("log", 3, 4)) == (11, b"twot")


def test_absent_file__reads_as_nothing(disk: FileDisk) -> None:
    assert (disk.read("no"), disk.read_at("no", 5, 5), disk.size("no")) == (b"", b"", 0)
    disk.delete("no")
    assert disk.names() == []


def test_read_at__beyond_the_end__gives_what_is_there(disk: FileDisk) -> None:
    disk.append("log", b"abc")
    assert disk.read_at("log", 2, 10) == b"c"
    assert disk.read_at("log", 9, 10) == b""


def test_replace__gives_the_new_bytes_and_appends_follow_them(disk: FileDisk) -> None:
    disk.append("file", b"old old")
    disk.replace("file", b"new")
    disk.append("file", b"er")
    assert disk.read("file") == b"newer"
    assert disk.names() == ["file"]


def test_interrupted_replace__is_swept_away_at_the_next_start(tmp_path: Path, disk: FileDisk) -> None:
    disk.replace("file", b"old")
    (tmp_path / "store" / "file.new").write_bytes(b"half")
    assert disk.names() == ["file"]
    assert FileDisk(tmp_path / "store").read("file") == b"old"
    assert not (tmp_path / "store" / "file.new").exists()


def test_many_files__few_descriptors_stay_open_and_nothing_is_missed(disk: FileDisk) -> None:
    for turn in range(2):
        for number in range(3 * OPEN_FILES_MAX):
            disk.append(f"f{number}", b"%d" % turn)
    assert len(disk._open) <= OPEN_FILES_MAX
    assert all(disk.read(f"f{number}") == b"01" for number in range(3 * OPEN_FILES_MAX))


def test_files__are_for_their_owner_alone(tmp_path: Path, disk: FileDisk) -> None:
    disk.append("log", b"x")
    disk.replace("file", b"x")
    for name in ("log", "file"):
        assert (tmp_path / "store" / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["", "../key", ".hidden", "file.new"])
def test_name__that_is_no_file_of_the_disk__is_refused(disk: FileDisk, name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a file"):
        disk.append(name, b"x")


@pytest.mark.parametrize(
    ("call", "number", "operation", "mend"),
    [
        ("write", errno.ENOSPC, "write", "free space"),
        ("write", errno.EIO, "write", "check the device"),
        ("fdatasync", errno.EIO, "sync", "check the device"),
        ("fdatasync", errno.EDQUOT, "sync", "free space"),
        ("open", errno.EROFS, "open", "mount the volume writable"),
        ("open", errno.EACCES, "open", "give this user the right"),
    ],
)
def test_error__of_the_system__names_file_operation_reason_and_mend(
    disk: FileDisk, monkeypatch: pytest.MonkeyPatch, call: str, number: int, operation: str, mend: str
) -> None:
    fail(monkeypatch, call, number)
    with pytest.raises(DiskError) as caught:
        write(disk, b"x")
    monkeypatch.undo()
    assert (caught.value.operation, caught.value.reason) == (operation, os.strerror(number))
    assert caught.value.name.endswith("store/log")
    assert mend in str(caught.value)


@pytest.mark.parametrize("call", ["write", "fdatasync"])
def test_failed_write_or_sync__is_never_tried_again_before_a_new_start(
    tmp_path: Path, disk: FileDisk, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    disk.append("log", b"x")
    disk.append("other", b"x")
    fail(monkeypatch, call, errno.EIO)
    with pytest.raises(DiskError):
        write(disk, b"y")
    monkeypatch.undo()
    with pytest.raises(DiskError):
        disk.sync("log")
    with pytest.raises(DiskError):
        disk.append("log", b"z")
    disk.sync("other")
    FileDisk(tmp_path / "store").sync("log")


def test_new_name__is_synced_with_its_folder_once(disk: FileDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    for _ in range(3):
        disk.append("log", b"x")
        disk.sync("log")
    assert len(synced) == 1
    disk.delete("log")
    assert len(synced) == 2


def test_short_write__is_finished(disk: FileDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, bytes(data[:3])))
    disk.append("log", b"0123456789")
    assert disk.read("log") == b"0123456789"


def test_closed_disk__takes_no_more_writes_and_holds_no_descriptor(disk: FileDisk) -> None:
    write(disk, b"x")
    held = disk._open["log"].descriptor
    disk.close()
    with pytest.raises(DiskError, match="closed"):
        disk.append("log", b"y")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(held)
    assert disk.read("log") == b"x"
