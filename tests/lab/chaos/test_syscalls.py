"""Faults at system calls: a seeded sample holds, and a planted mistake is found."""

import shutil
from pathlib import Path

import pytest

from holdfast.lab.chaos import syscalls
from holdfast.lab.chaos.syscalls import STAGES
from holdfast.lab.chaos.tracing import KILL, Point, ToolAbsentError, check_tracer, fork, list_points
from holdfast.node.disk import FileDisk
from holdfast.node.ports import DiskError

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
HEAVY = STAGES[1:2]


def run_or_skip(work: Path, limit: int) -> syscalls.Report:
    try:
        return syscalls.run(work / "trials", seed=3, limit=limit, stages=HEAVY)
    except ToolAbsentError as error:
        pytest.skip(str(error))


def test_trace__lines_of_two_threads__are_points_counted_by_path_and_thread(tmp_path: Path) -> None:
    store, trace = tmp_path / "store", tmp_path / "trace"
    trace.write_text(
        f'7 openat(AT_FDCWD</x>, "{store}/log", O_WRONLY) = 4<{store}/log>\n'
        f"7 write(4<{store}/log>, ..., 3) = 3\n"
        f"8 write(5<{store}/log>, ..., 3) = 3\n"
        f"7 write(4<{store}/log>, ..., 3) = 3\n"
        f"7 write(1</dev/null>, ..., 3) = 3\n"
        f"7 fsync(6<{store}>) = 0\n"
        f"8 +++ exited with 0 +++\n"
    )
    assert list_points(trace, store) == [
        Point("openat", "log", 1),
        Point("write", "log", 1),
        Point("write", "log", 2),
        Point("fsync", ".", 1),
    ]


def test_tracer__absent__is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolAbsentError, match="strace is not installed"):
        check_tracer()


def test_fork__work_that_raises__says_so_and_never_runs_on_here() -> None:
    def work(_say: object) -> int:
        raise LookupError("no")

    assert fork(work) == (70, ("X LookupError: no",))


@pytest.mark.slow
@needs_strace
def test_syscalls__sample_of_a_heavy_block__lose_nothing(tmp_path: Path) -> None:
    report = run_or_skip(tmp_path, 10)
    assert report.violations == []
    assert report.points["heavy"] > 40
    outcomes = {outcome for ends in report.tally().values() for outcome in ends}
    assert outcomes <= {"killed", "stopped", "went on"}


@pytest.mark.slow
@needs_strace
def test_syscalls__disk_that_passes_over_errors__is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append = FileDisk.append

    def careless(disk: FileDisk, name: str, data: bytes) -> None:
        try:
            append(disk, name, data)
        except DiskError:
            disk._failed.clear()

    monkeypatch.setattr(FileDisk, "append", careless)
    monkeypatch.setattr(syscalls, "FAULTS", ("EIO",))
    monkeypatch.setattr(
        syscalls, "_enumerate", lambda *_: [Point("write", "blocks-0000000000000001", number) for number in (1, 2)]
    )
    report = run_or_skip(tmp_path, 0)
    assert {trial.fault for trial in report.trials} == {"EIO"}
    assert KILL not in {trial.fault for trial in report.trials}
    assert report.violations
