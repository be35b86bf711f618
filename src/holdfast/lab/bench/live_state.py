"""A large state: blocks with and without a snapshot of it being written, and a validator that lost its disk.

A process of its own runs the devnet's validators and market, without the API, on a state with ballast: rows of the risk
table for instruments that nobody will list, put in with the genesis. One run never takes a snapshot; the next takes one
after the other. Then a validator is stopped, its store deleted, and it fetches all from its peers.
"""

import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from holdfast.lab.bench.live_load import quantile
from holdfast.lab.bench.live_server import LiveBenchError, last_words, read_facts
from holdfast.lab.bench.live_steps import Say
from holdfast.lab.devnet.run import Devnet
from holdfast.lab.devnet.settings import DevnetSettings
from holdfast.node.validator import CommitEvent
from holdfast.primitives.codec import Record
from holdfast.primitives.crypto import sha256
from holdfast.protocol import genesis
from holdfast.protocol.surface.state import RISK_ROWS
from holdfast.state.draft import Draft

ROW_BYTES: Final = 256
_FIRST_ID: Final = 2**48
_MIB: Final = 1024 * 1024
_READY_S: Final = 300.0
_SETTLE_S: Final = 3.0
_LOOK_S: Final = 0.02
_DOWN_S: Final = 1.0
_CATCH_UP_MAX_S: Final = 120.0
_LIMIT_S: Final = 1_800.0
_NEVER: Final = 2**40
_OFTEN_MS: Final = 5_000
_CHILD: Final = "from holdfast.lab.bench.live_state import main; main()"


class StatePlan(msgspec.Struct, frozen=True):
    """What the process is to do. `seconds` is how long each of the two runs is measured."""

    data: str
    validators: int
    block_interval_ms: int
    megabytes: float
    seconds: float


class Blocks(msgspec.Struct, frozen=True):
    """How long blocks took, in milliseconds from the boundary at which each may begin to its first commit."""

    count: int
    p50_ms: float
    p99_ms: float
    busy_share: float  # of the commits, with a snapshot being written somewhere


class StateFigures(msgspec.Struct, frozen=True):
    """What the process found."""

    without: Blocks
    with_snapshots: Blocks
    snapshot_bytes: int
    catch_up_s: float
    caught_up: bool
    peak_bytes: int


@dataclass(frozen=True, kw_only=True)
class _Settings(DevnetSettings):
    """A devnet that takes its snapshots as often as is said here."""

    every: int = _NEVER

    @property
    def snapshot_every(self) -> int:
        """Return how many blocks lie between two snapshots."""
        return self.every


class _Watch:
    """Notes when each height is first committed, and whether a snapshot is being written then."""

    def __init__(self, devnet: Devnet) -> None:
        self._devnet = devnet
        self.commits: list[tuple[float, bool]] = []
        devnet.cluster.on_commit(self._note)

    def _note(self, _event: CommitEvent) -> None:
        self.commits.append((self._devnet.time_base.now_ms(), self._is_writing()))

    def _is_writing(self) -> bool:
        apps = [validator.app for validator in self._devnet.cluster.validators]
        # The store's own business; only whoever measures it wants to know.
        return any(app is not None and app._store._jobs.is_busy for app in apps)  # noqa: SLF001

    def summarise(self) -> Blocks:
        """Return how long the blocks so far took, and begin anew."""
        commits, self.commits = self.commits, []
        about = self._devnet.ground.about
        took: list[float] = []
        for (before_ms, _), (at_ms, _) in pairwise(commits):
            passed_ms = before_ms - about.genesis_time_ms
            began_ms = before_ms + about.block_interval_ms - passed_ms % about.block_interval_ms
            took.append(max(0.0, at_ms - began_ms))
        took.sort()
        busy = sum(is_busy for _, is_busy in commits) / max(1, len(commits))
        return Blocks(len(took), median(took) if took else 0.0, quantile(took, 0.99), busy)


def measure_state(plan: StatePlan, log: Path, say: Say) -> StateFigures:
    """Run the process and return what it found. Refuses: LiveBenchError."""
    shutil.rmtree(plan.data, ignore_errors=True)
    with log.open("ab") as errors:
        process = subprocess.Popen(  # noqa: S603 -- a fixed command of this program
            [sys.executable, "-c", _CHILD, msgspec.json.encode(plan).decode()],
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,  # a line that is read ahead would be out of select's sight
        )
    try:
        deadline_s = time.monotonic() + _LIMIT_S
        while process.stdout is not None and time.monotonic() < deadline_s:
            if not select.select([process.stdout], [], [], max(0.0, deadline_s - time.monotonic()))[0]:
                break
            line = process.stdout.readline()
            if line.startswith(b"{"):
                return msgspec.json.decode(line, type=StateFigures)
            if not line:
                break
            say(line.decode().strip())
        raise LiveBenchError(f"the process with the large state gave no figures: {last_words(log)}")
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def add_ballast(draft: Draft, megabytes: float) -> None:
    """Put so many bytes of rows into a genesis."""
    for number in range(round(megabytes * _MIB / ROW_BYTES)):
        draft[RISK_ROWS].put(_FIRST_ID + number, sha256(b"ballast %d" % number) * (ROW_BYTES // 32))


def main() -> None:
    """Run the process: its plan is the first argument."""
    plan = msgspec.json.decode(sys.argv[1], type=StatePlan)
    build = genesis.build

    def build_large(draft: Draft, genesis_bytes: bytes) -> tuple[Record, ...]:
        events = build(draft, genesis_bytes)
        add_ballast(draft, plan.megabytes)
        return events

    # The state is the genesis's and the ballast: every validator of this process builds the same.
    genesis.build = build_large
    without = _run_without(plan)
    figures = _run_with(plan, without)
    sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
    sys.stdout.flush()
    # Nothing is left to be told: what runs yet may end with the process.
    os._exit(0)


def _run_without(plan: StatePlan) -> Blocks:
    devnet = _start(plan, _NEVER)
    try:
        watch = _Watch(devnet)
        time.sleep(plan.seconds)
        return watch.summarise()
    finally:
        devnet.stop()


def _run_with(plan: StatePlan, without: Blocks) -> StateFigures:
    devnet = _start(plan, max(2, _OFTEN_MS // plan.block_interval_ms))
    watch = _Watch(devnet)
    time.sleep(plan.seconds)
    blocks = watch.summarise()
    _tell("a validator loses its disk")
    # A snapshot must be there to be fetched.
    found = _wait(lambda: snapshot_bytes(plan.data) > 0, _CATCH_UP_MAX_S)
    last = plan.validators - 1
    devnet.controls.fault(f"wipe:validator={last},for={_DOWN_S:.0f}s")
    time.sleep(_DOWN_S)
    began_s = time.monotonic()
    caught_up = found and _wait(lambda: _is_back(devnet, last), _CATCH_UP_MAX_S)
    return StateFigures(
        without,
        blocks,
        snapshot_bytes(plan.data),
        time.monotonic() - began_s,
        caught_up,
        read_facts(os.getpid()).peak_bytes,
    )


def _is_back(devnet: Devnet, index: int) -> bool:
    validators = devnet.cluster.validators
    return validators[index].status == "running" and validators[index].height >= devnet.cluster.height - 1


def _start(plan: StatePlan, every: int) -> Devnet:
    settings = _Settings(
        validators=plan.validators, block_interval_ms=plan.block_interval_ms, data=Path(plan.data), every=every
    )
    devnet = Devnet(settings, _log)
    devnet.start()
    began_s = time.monotonic()
    if not devnet.wait_until_ready(_READY_S):
        raise LiveBenchError("the devnet with the large state did not become ready")
    _tell(f"ready after {time.monotonic() - began_s:.1f} s, snapshots every {every:,} blocks")
    time.sleep(_SETTLE_S)
    return devnet


def _wait(is_so: Callable[[], bool], most_s: float) -> bool:
    deadline_s = time.monotonic() + most_s
    while time.monotonic() < deadline_s:
        if is_so():
            return True
        time.sleep(_LOOK_S)
    return False


def snapshot_bytes(data: str) -> int:
    """Return the size of the largest snapshot below a data directory."""
    sizes = [0]
    for path in Path(data).glob("validator-*/store/snapshot-*"):
        try:
            sizes.append(path.stat().st_size)
        except OSError:
            continue
    return max(sizes)


def _log(event: str, fields: dict[str, int | str]) -> None:
    if event in {"halted", "validator_failed", "validator_left_down"}:
        sys.stderr.write(f"{event} {fields}\n")


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
