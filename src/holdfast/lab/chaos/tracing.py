"""A child process under `strace`: which system calls it makes on its files, and one of them made to fail or to kill.

The child is forked from this process, so that it starts at once, and waits until the tracer has it. Counting is by
path and call, so that neither the interpreter's own files nor another thread shifts a number.
"""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

WRITING: Final = ("write", "pwrite64", "fsync", "fdatasync", "rename", "unlink", "openat", "ftruncate", "mkdir")
READING: Final = ("read", "pread64", "getdents64", "newfstatat")
KILL: Final = "SIGKILL"
_WAIT_S: Final = 60.0
_LINE: Final = re.compile(r"^(?P<pid>[0-9]+) +(?P<call>[a-z0-9_]+)\((?P<rest>.*)$")
_NAMED: Final = re.compile(r'"(/[^"]*)"|<(/[^<>]*)>')


class ToolAbsentError(Exception):
    """A tool that this needs is not installed: which, and the mend."""


class Point(NamedTuple):
    """The n-th time that a call is made on a path; the folder itself is `.`."""

    call: str
    path: str
    number: int

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.call} {self.number} of {self.path}"


class Ended(NamedTuple):
    """How a child ended, and what it had said by then."""

    status: int  # as `waitpid` gives it: negative for a signal
    lines: tuple[str, ...]


def check_tracer() -> str:
    """Return where `strace` is.

    Refuses: ToolAbsentError.
    """
    found = shutil.which("strace")
    if found is None:
        raise ToolAbsentError("strace is not installed, so no system call can be made to fail; install it, then again")
    return found


def fork(work: Callable[[Callable[[str], None]], int], options: list[str] | None = None) -> Ended:
    """Run some work in a child, under the tracer where options for it are given, and return what it said.

    The work gets a function that says a line, and returns the exit code.
    """
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    pid = os.fork()
    if pid == 0:
        _be_child(here, there, work)
    there.close()
    with here:
        tracer = None
        try:
            tracer = None if options is None else _attach(pid, options)
            here.sendall(b"go")
            lines = _read_lines(here)
        finally:
            _, status = os.waitpid(pid, 0)
            if tracer is not None:
                tracer.wait(_WAIT_S)
                if tracer.stderr is not None:
                    tracer.stderr.close()
    return Ended(os.waitstatus_to_exitcode(status), lines)


def trace_options(trace: Path) -> list[str]:
    """Return the options that write down every call on files."""
    calls = ",".join((*WRITING, *READING))
    return ["-y", "-s", "0", "-o", str(trace), "-e", f"trace={calls}", "-e", "signal=none"]


def fault_options(folder: Path, point: Point, fault: str) -> list[str]:
    """Return the options that make one call fail or kill."""
    path = str(folder if point.path == "." else folder / point.path)
    effect = f"signal={fault}" if fault == KILL else f"error={fault}"
    inject = f"inject={point.call}:{effect}:when={point.number}"
    return ["-o", "/dev/null", "-e", f"trace={point.call}", "-P", path, "-e", inject]


def list_points(trace: Path, folder: Path) -> list[Point]:
    """Return the points of a trace that lie in a folder, in the order of their first occurrence."""
    counts: dict[tuple[str, str, str], int] = {}
    points: dict[Point, None] = {}
    for line in trace.read_text("utf-8", "replace").splitlines():
        match = _LINE.match(line)
        if match is None or match["call"] == "resumed":
            continue
        path = _place_of(match["rest"], folder)
        if path is None:
            continue
        key = (match["pid"], match["call"], path)
        counts[key] = counts.get(key, 0) + 1
        points[Point(match["call"], path, counts[key])] = None
    return list(points)


def _place_of(rest: str, folder: Path) -> str | None:
    for quoted, opened in _NAMED.findall(rest):
        name: str = quoted or opened
        if name == str(folder):
            return "."
        if name.startswith(f"{folder}/"):
            return name[len(str(folder)) + 1 :]
    return None


def _be_child(here: socket.socket, there: socket.socket, work: Callable[[Callable[[str], None]], int]) -> None:
    code = 70
    try:
        here.close()
        there.recv(2)
        code = work(lambda line: there.sendall(line.encode() + b"\n"))
    except BaseException as error:  # noqa: BLE001 -- a forked child must never run its parent's code
        there.sendall(f"X {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def _attach(pid: int, options: list[str]) -> "subprocess.Popen[bytes]":
    command = [check_tracer(), "-f", *options, "-p", str(pid)]
    tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # noqa: S603
    said = b"" if tracer.stderr is None else tracer.stderr.readline()
    if b"attached" not in said:
        tracer.kill()
        tracer.wait()
        reason = said.decode("utf-8", "replace").strip()
        raise ToolAbsentError(f"strace may not trace here ({reason}); allow it to trace child processes, then again")
    return tracer


def _read_lines(source: socket.socket) -> tuple[str, ...]:
    data = b""
    while piece := source.recv(65_536):
        data += piece
    return tuple(data.decode("utf-8", "replace").splitlines())
