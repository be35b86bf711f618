"""The same input gives the same roots, however the process that computes them is set up."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.primitives.pricing import list_kernels

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "crash_hour"
RUN = """
import json, sys
from pathlib import Path
from holdfast.lab.replay import run_replay
from holdfast.lab.replay_settings import ReplaySettings
from holdfast.primitives import pricing

asked = json.loads(sys.argv[1])
pricing.choose_kernel(asked.pop("kernel"))
settings = ReplaySettings(
    path=Path(asked.pop("path")), seed=7, agents=30, blocks=56, snapshot_every=10, is_small=True, **asked
)
verdict = run_replay(settings).verdict
print(json.dumps({
    "root": verdict.root_log_sha256,
    "good": verdict.is_good,
    "fills": verdict.fills,
    "settled": verdict.settled_instruments,
    "reads": verdict.reads,
    "restored": verdict.restored_from_snapshot_at,
    "heights": [validator["height"] for validator in verdict.validators],
}))
"""
# What NumPy dispatches to by default beyond its baseline, as this build names it; disabling needs exact names.
WIDER = [
    name
    for name in ("X86_V3", "X86_V4", "AVX512_ICL", "AVX512_SPR")
    if name in __import__("numpy._core._multiarray_umath", fromlist=["x"]).__cpu_dispatch__
    and __import__("numpy._core._multiarray_umath", fromlist=["x"]).__cpu_features__.get(name)
]


def run(
    environment: dict[str, str] | None = None, flags: tuple[str, ...] = (), kernel: str = "native", **asked: int
) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, *flags, "-c", RUN, json.dumps({"path": str(EXAMPLE), "kernel": kernel, **asked})],
        env={**os.environ, "PYTHONHASHSEED": "0", **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, object] = json.loads(done.stdout)
    assert result["good"]
    return result


@pytest.fixture(scope="module")
def plain() -> dict[str, object]:
    result = run()
    assert result["fills"], "the run must trade, or equal roots would say little"
    assert result["settled"], "the run must settle, or equal roots would say little"
    return result


def test_roots__under_another_hash_seed__are_the_same(plain: dict[str, object]) -> None:
    assert run({"PYTHONHASHSEED": "4242"})["root"] == plain["root"]


@pytest.mark.skipif(not WIDER, reason="this NumPy build dispatches to nothing beyond its baseline on this machine")
def test_roots__with_cpu_dispatch_disabled__are_the_same(plain: dict[str, object]) -> None:
    assert run({"NPY_DISABLE_CPU_FEATURES": " ".join(WIDER)}, kernel="numpy")["root"] == plain["root"]


# The plain run has the widest native path.
@pytest.mark.parametrize("kernel", list_kernels()[1:])
def test_roots__with_another_pricing_kernel__are_the_same(plain: dict[str, object], kernel: str) -> None:
    assert run(kernel=kernel)["root"] == plain["root"]


def test_roots__under_optimisation__are_the_same(plain: dict[str, object]) -> None:
    assert run(flags=("-O",))["root"] == plain["root"]


def test_roots__with_readers_querying_throughout__are_the_same(plain: dict[str, object]) -> None:
    result = run(readers=3)
    assert result["reads"], "the readers must have read"
    assert result["root"] == plain["root"]


def test_roots__with_a_replica_restored_midway__are_the_same(plain: dict[str, object]) -> None:
    result = run(restore_at=10)
    assert result["restored"] == 10
    assert result["root"] == plain["root"]
