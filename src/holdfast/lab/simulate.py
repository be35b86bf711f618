"""Many short runs, each with its own seed: trades, at least three kinds of faults, then quiet, and what must hold.

Every run is a small replay of a piece of history through four replicas. In all of them the replicas agree, every
invariant holds, money is conserved, and after the last fault has healed blocks come again and everybody catches up. A
run that fails is repeated by its seed alone.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from holdfast.lab.history import load_history
from holdfast.lab.replay import run_replay
from holdfast.lab.replay_settings import ReplaySettings
from holdfast.lab.verdict import Verdict
from holdfast.primitives import pricing
from holdfast.primitives.units import MINUTE_MS

BLOCKS: Final = 42
AGENTS: Final = 24
KINDS_LEAST: Final = 3
# After the heal, a replica may still be one height behind the others when the run stops.
LAG_MAX: Final = 1


class SeedResult(NamedTuple):
    """What one seed came to; `failures` is empty where all held."""

    seed: int
    blocks: int
    fills: int
    orders: int
    halted_blocks: int
    kinds: tuple[str, ...]
    failures: tuple[str, ...]


def run_seed(path: Path, seed: int) -> SeedResult:
    """Run one seed over a piece of history that the seed chooses."""
    history = load_history(path)
    minutes = (history.end_ms - history.start_ms) // MINUTE_MS
    first = 1 + seed * 7 % max(1, minutes - BLOCKS - 1)
    settings = ReplaySettings(
        path=path,
        seed=seed,
        agents=AGENTS,
        start=str(first),
        blocks=BLOCKS,
        snapshot_every=10,
        draws_faults=True,
        is_small=True,
    )
    replay = run_replay(settings)
    fired = tuple(sorted(kind for kind, count in replay.verdict.faults_fired.items() if count))
    return SeedResult(
        seed,
        replay.verdict.blocks,
        replay.verdict.fills,
        replay.verdict.orders,
        replay.verdict.halted_blocks,
        fired,
        judge(replay.verdict, fired),
    )


def judge(verdict: Verdict, fired: tuple[str, ...]) -> tuple[str, ...]:
    """Return what did not hold."""
    failures = list(verdict.failures)
    heights = [int(validator["height"]) for validator in verdict.validators]
    if len(fired) < KINDS_LEAST:
        failures.append(f"only {len(fired)} kinds of faults fired")
    if verdict.fills == 0:
        failures.append("nothing traded")
    failures.extend(
        f"{validator['name']} is {validator['status']} at {validator['height']} of {max(heights)}"
        for validator in verdict.validators
        if int(validator["height"]) < max(heights) - LAG_MAX or validator["status"] not in ("running", "catching-up")
    )
    if verdict.blocks < BLOCKS // 2:
        failures.append(f"only {verdict.blocks} blocks in {BLOCKS} intervals")
    return tuple(failures)


def run_seeds(
    path: Path,
    seeds: Iterable[int],
    *,
    jobs: int = 1,
    kernel: str = pricing.DEFAULT_KERNEL,
    on_result: Callable[[SeedResult], None] | None = None,
) -> list[SeedResult]:
    """Run seeds, side by side in so many processes; results come in the order of the seeds.

    Each process chooses the pricing kernel for itself.
    """
    results: list[SeedResult] = []
    with ProcessPoolExecutor(jobs, initializer=pricing.choose_kernel, initargs=(kernel,)) as pool:
        for result in pool.map(partial(run_seed, path), seeds, chunksize=2):
            results.append(result)
            if on_result is not None:
                on_result(result)
    return results


def count_kinds(results: Iterable[SeedResult]) -> Counter[str]:
    """Return in how many runs each kind of fault fired."""
    return Counter(kind for result in results for kind in result.kinds)
