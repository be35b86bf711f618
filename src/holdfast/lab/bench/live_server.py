"""The exchange under measurement: `holdfast up` in a process of its own, and what the system knows of that process."""

import os
import select
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, Self

import msgspec

from holdfast.client.blocking import Exchange
from holdfast.client.errors import ClientError
from holdfast.lab.devnet.banner import About

READY_MAX_S: Final = 120.0
_HOST: Final = "127.0.0.1"
_STOP_S: Final = 30.0
_POLL_S: Final = 0.02
_KIB: Final = 1_024
_LOG_SHOWN: Final = 3
_PROC: Final = Path("/proc")
_UP: Final = "from holdfast.cli.main import main; main()"
_PROFILED_UP: Final = (
    "from holdfast.lab.bench.live_profile import profiled; from holdfast.cli.main import main; profiled(main)"
)


class LiveBenchError(Exception):
    """The bench cannot go on; the message is one line that says why and what mends it."""


class Facts(NamedTuple):
    """What the system tells of a process at one moment; zeros where it does not tell."""

    rss_bytes: int
    peak_bytes: int
    cpu_s: float
    open_files: int
    threads: int


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How to start an exchange. `data` is None for one in memory."""

    data: Path | None
    log: Path
    validators: int = 4
    block_interval_ms: int = 250
    extra_accounts: int = 0
    has_market: bool = True
    profile: Path | None = None
    port: int = field(default_factory=free_port)

    def command(self) -> list[str]:
        """Return the command line."""
        program = [sys.executable, "-c", _UP]
        if self.profile is not None:
            program = [sys.executable, "-c", _PROFILED_UP, str(self.profile)]
        options = ["up", "--json", "--host", _HOST, "--port", str(self.port)]
        options += ["--validators", str(self.validators), "--block-interval", f"{self.block_interval_ms}ms"]
        options += ["--in-memory"] if self.data is None else ["--data", str(self.data)]
        options += ["--extra-accounts", str(self.extra_accounts)] if self.extra_accounts else []
        options += [] if self.has_market else ["--no-market"]
        return program + options


class Server:
    """A running exchange. Leaving the context stops it."""

    def __init__(self, launch: Launch) -> None:
        """Start the process; `wait_until_ready` tells when it serves."""
        self.launch = launch
        self.about: About | None = None
        self.ready_s = 0.0
        self._began_s = time.monotonic()
        with launch.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- a fixed command of this program
                launch.command(), stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, bufsize=0
            )

    def __enter__(self) -> Self:
        """Return the server."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    @property
    def url(self) -> str:
        """Return where it serves."""
        return f"http://{_HOST}:{self.launch.port}"

    @property
    def pid(self) -> int:
        """Return the process's id."""
        return self._process.pid

    def wait_until_ready(self) -> About:
        """Wait for the line that `up --json` prints when it is ready, and note how long it took.

        Refuses: LiveBenchError, where the process ends or says nothing.
        """
        line = self._read_line(self._began_s + READY_MAX_S)
        self.ready_s = time.monotonic() - self._began_s
        if not line:
            self.kill()
            raise LiveBenchError(f"`holdfast up` did not become ready: {last_words(self.launch.log)}")
        self.about = msgspec.json.decode(line, type=About)
        return self.about

    def wait_until_advancing(self) -> float:
        """Return the seconds from the start of the process until it has answered with two heights.

        Refuses: LiveBenchError, where it does not.
        """
        first = 0
        with Exchange(self.url) as exchange:
            while time.monotonic() - self._began_s < READY_MAX_S and self._process.poll() is None:
                try:
                    height = exchange.status().height
                except ClientError:
                    height = 0
                first = first or height
                if height > first:
                    return time.monotonic() - self._began_s
                time.sleep(_POLL_S)
        raise LiveBenchError(f"the exchange's height does not advance: {last_words(self.launch.log)}")

    def stop(self) -> None:
        """Stop it as Ctrl-C does."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._close()

    def kill(self) -> None:
        """End it as SIGKILL does."""
        self._process.kill()
        self._close()

    @property
    def is_alive(self) -> bool:
        """Tell whether the process runs."""
        return self._process.poll() is None

    def facts(self) -> Facts:
        """Return what the system tells of the process now."""
        return read_facts(self.pid)

    def _close(self) -> None:
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read_line(self, deadline_s: float) -> bytes:
        stdout = self._process.stdout
        left_s = deadline_s - time.monotonic()
        if stdout is None or not select.select([stdout], [], [], max(0.0, left_s))[0]:
            return b""
        return stdout.readline()


def read_facts(pid: int) -> Facts:
    """Return what the system tells of a process; only Linux tells."""
    place = _PROC / str(pid)
    try:
        lines = (place / "status").read_text().splitlines()
        values = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
        # Behind the name, which may hold anything, the fields have fixed places: 12 and 13 are the processor's ticks.
        ticks = (place / "stat").read_text().rpartition(")")[2].split()
        return Facts(
            rss_bytes=int(values["VmRSS"][0]) * _KIB,
            peak_bytes=int(values["VmHWM"][0]) * _KIB,
            cpu_s=(int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK"),
            open_files=sum(1 for _ in (place / "fd").iterdir()),
            threads=int(values["Threads"][0]),
        )
    except (OSError, KeyError, IndexError):
        return Facts(0, 0, 0.0, 0, 0)


def folder_bytes(folder: Path | None) -> int:
    """Return the bytes of all files below a folder; what goes away meanwhile does not count."""
    if folder is None:
        return 0
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total


def last_words(log: Path) -> str:
    """Return the end of a process's log on one line."""
    try:
        lines = log.read_text(errors="replace").strip().splitlines()[-_LOG_SHOWN:]
    except OSError:
        lines = []
    return " | ".join(line.strip() for line in lines) or "it said nothing"
