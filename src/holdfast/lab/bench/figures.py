"""What the bench measures, its goals, and how both are told."""

import json
import os
import platform
import resource
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final, NamedTuple

from holdfast.lab.bench.paths import BLOCK_FEW, BLOCK_MANY, Bench, Run, Sizes
from holdfast.lab.bench.replays import ReplayFigures, measure_replay
from holdfast.lab.bench.stages import INVARIANTS, ROOT, StageTimes

REPETITIONS: Final = 3
_SIGNED_FEW: Final = "signed_to_verify_in_small_blocks"
_MACHINE_FEW: Final = "machine_to_book_in_small_blocks"
_REBUILD_ORDERS_MAX: Final = 2_000
_KIB: Final = 1_024
_MIB: Final = 1_024 * _KIB

# (what is being measured, steps done, steps in all)
OnStep = Callable[[str, int, int], None]


class Goal(NamedTuple):
    """A bound on a figure, and the better one that is aimed at; `is_most` where less is better."""

    key: str
    words: str
    goal: float
    aim: float | None = None
    is_most: bool = False


GOALS: Final = (
    Goal("signed_to_verify", "signed orders / bare verifications", 0.4, 0.8),
    Goal("bundles_to_verify", "orders in bundles of 32 / bare verifications", 2.0),
    Goal("machine_to_book", "state machine / bare Python book", 0.015, 0.05),
    Goal("last_over_first_tenth", "last over first tenth, block time, same book", 1.2, is_most=True),
    Goal("replay_blocks_a_second", "replay, blocks a second (1,440 in 5 minutes)", 4.8),
    Goal("replay_peak_mib", "replay, peak memory in MiB", 1_536.0, is_most=True),
)


class Told(NamedTuple):
    """A goal and what was measured."""

    goal: Goal
    value: float

    def meets(self, bound: float) -> bool:
        """Return whether the value is on the right side of a bound."""
        return self.value <= bound if self.goal.is_most else self.value >= bound

    def to_words(self) -> str:
        """Return one line that says what was reached."""
        verdict = "reached" if self.meets(self.goal.goal) else "NOT REACHED"
        aim = ""
        if self.goal.aim is not None:
            aim = f"; aim {self.goal.aim:g} {'reached' if self.meets(self.goal.aim) else 'not reached'}"
        bound = f"at {'most' if self.goal.is_most else 'least'} {self.goal.goal:g}"
        return f"  {self.goal.words:<48} {self.value:>9.4g}   {bound}: {verdict}{aim}"


class Figures(NamedTuple):
    """One run of the bench."""

    sizes: Sizes
    repetitions: int
    rates: dict[str, float]
    ratios: dict[str, float]
    stages: dict[str, dict[str, float]]
    invariants_with_rebuilds_us: float
    root_share: float
    refused: int
    peak_bytes: int
    replay: ReplayFigures | None
    seconds: float

    def list_told(self) -> list[Told]:
        """Return every goal that this run speaks of."""
        values = dict(self.ratios)
        if self.replay is not None:
            values["replay_blocks_a_second"] = self.replay.blocks / self.replay.seconds
            values["replay_peak_mib"] = self.replay.peak_bytes / _MIB
        return [Told(goal, values[goal.key]) for goal in GOALS if goal.key in values]

    def to_json(self) -> str:
        """Return the figures as one JSON object."""
        return json.dumps(
            {
                "machine": describe_machine(),
                **self.sizes._asdict(),
                "repetitions": self.repetitions,
                "rates": self.rates,
                "ratios": self.ratios,
                "stages_us": self.stages,
                "invariants_with_rebuilds_us": self.invariants_with_rebuilds_us,
                "root_share": self.root_share,
                "refused": self.refused,
                "peak_memory_bytes": self.peak_bytes,
                "replay": None if self.replay is None else self.replay._asdict(),
                "goals": [
                    {
                        "name": told.goal.key,
                        "value": told.value,
                        "goal": told.goal.goal,
                        "aim": told.goal.aim,
                        "reached": told.meets(told.goal.goal),
                        "aim_reached": None if told.goal.aim is None else told.meets(told.goal.aim),
                    }
                    for told in self.list_told()
                ],
                "seconds": self.seconds,
            },
            indent=1,
        )

    def to_words(self) -> str:
        """Return the figures for people."""
        sizes = self.sizes
        lines = [
            f"{sizes.orders:,} orders of {sizes.accounts} accounts in one instrument, about {sizes.resting} resting",
            f"medians of {self.repetitions} on {describe_machine()}",
            "processor time of one thread, the collector of cyclic garbage at rest, as under timeit",
            "",
            "rate, a second",
            *(f"  {name:<48} {rate:>11,.0f}" for name, rate in self.rates.items()),
            "",
            "goals",
            *(told.to_words() for told in self.list_told()),
            "",
            *_stage_table(self.stages),
            "",
            f"invariants with the rebuilds of tests and replays   {self.invariants_with_rebuilds_us:.2f} us an order",
            f"the state root's share of the state machine         {self.root_share:.1%}",
            f"peak memory                                         {self.peak_bytes / _MIB:,.0f} MiB",
            f"orders refused                                      {self.refused}",
            f"in blocks of {BLOCK_FEW}, signed / verifications         {self.ratios[_SIGNED_FEW]:.4f}",
            f"in blocks of {BLOCK_FEW}, state machine / bare book      {self.ratios[_MACHINE_FEW]:.4f}",
        ]
        if self.replay is not None:
            lines += ["", self.replay.to_words()]
        return "\n".join([*lines, "", f"{self.seconds:.0f} s in all"])


def measure(sizes: Sizes, replay: Path | None, repetitions: int, on_step: OnStep) -> Figures:
    """Run the bench."""
    began = perf_counter()
    total = 7 * repetitions + 4
    steps = iter(range(total))

    def step(what: str) -> None:
        on_step(what, next(steps), total)

    step("signing orders")
    bench = Bench(sizes)
    rounds = [_measure_round(bench, step) for _ in range(repetitions)]
    stages = {}
    step("stages")
    for name, path, orders in (
        ("signed", bench.run_signed, BLOCK_MANY),
        (f"signed, {BLOCK_FEW}", bench.run_signed, BLOCK_FEW),
        ("machine", bench.run_machine, BLOCK_MANY),
    ):
        stages[name] = path(bench.singles, orders, StageTimes()).stages
    step("invariants with rebuilds")
    few = Bench(sizes._replace(orders=min(sizes.orders, _REBUILD_ORDERS_MAX)))
    rebuilt = few.run_machine(few.singles, BLOCK_FEW, StageTimes(), rebuilds=True).stages[INVARIANTS]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else _KIB)
    step("replay")
    replayed = None if replay is None else measure_replay(replay)
    machine = stages["machine"]
    return Figures(
        sizes,
        repetitions,
        {name: median(round_.rates[name] for round_ in rounds) for name in rounds[0].rates},
        {name: median(round_.ratios[name] for round_ in rounds) for name in rounds[0].ratios},
        stages,
        rebuilt,
        machine[ROOT] / sum(machine.values()),
        max(round_.refused for round_ in rounds),
        peak,
        replayed,
        perf_counter() - began,
    )


class _Round(NamedTuple):
    """One repetition: peer and limit are taken beside what is held against them."""

    rates: dict[str, float]
    ratios: dict[str, float]
    refused: int


def _measure_round(bench: Bench, step: Callable[[str], None]) -> _Round:
    step("bare verifier")
    verify = bench.verify_bare()
    step("signed orders")
    signed = bench.run_signed(bench.singles, BLOCK_MANY)
    step("signed orders in small blocks")
    signed_few = bench.run_signed(bench.singles, BLOCK_FEW)
    step("bundles")
    bundles = bench.run_signed(bench.bundles, BLOCK_MANY)
    step("bare book")
    book = bench.match_bare()
    step("state machine")
    machine = bench.run_machine(bench.singles, BLOCK_MANY)
    step("state machine in small blocks")
    machine_few = bench.run_machine(bench.singles, BLOCK_FEW)
    return _Round(
        {
            "bare verifier, one by one": verify,
            f"signed orders, one replica, blocks of {BLOCK_MANY:,}": signed.rate,
            f"signed orders, one replica, blocks of {BLOCK_FEW:,}": signed_few.rate,
            f"orders in bundles, blocks of {BLOCK_MANY:,}": bundles.rate,
            "bare Python book": book,
            f"state machine alone, blocks of {BLOCK_MANY:,}": machine.rate,
            f"state machine alone, blocks of {BLOCK_FEW:,}": machine_few.rate,
        },
        {
            "signed_to_verify": signed.rate / verify,
            _SIGNED_FEW: signed_few.rate / verify,
            "bundles_to_verify": bundles.rate / verify,
            "machine_to_book": machine.rate / book,
            _MACHINE_FEW: machine_few.rate / book,
            "last_over_first_tenth": median(run.last_over_first for run in (signed_few, machine_few)),
        },
        _count_refused(signed, signed_few, bundles, machine, machine_few),
    )


def _count_refused(*runs: Run) -> int:
    return sum(run.refused for run in runs)


def _stage_table(stages: dict[str, dict[str, float]]) -> Iterable[str]:
    yield f"{'time of each stage, us an order':<34}" + "".join(f"{name:>12}" for name in stages)
    names = dict.fromkeys(name for each in stages.values() for name in each)
    for name in names:
        yield f"  {name:<32}" + "".join(f"{each.get(name, 0.0):>12.2f}" for each in stages.values())
    yield f"  {'sum':<32}" + "".join(f"{sum(each.values()):>12.2f}" for each in stages.values())


def describe_machine() -> str:
    """Return what the figures were taken on."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
