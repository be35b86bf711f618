"""What the live bench holds its figures against, and how they are told."""

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from holdfast.lab.bench.figures import describe_machine

_MIB: Final = 1024 * 1024


class Bound(NamedTuple):
    """A limit on a figure; `is_least` where more is better."""

    key: str
    words: str
    limit: float
    unit: str
    is_least: bool = False


class Told(NamedTuple):
    """A figure beside its limit. `caveat` says why it may not be the exchange's own, or what else it needs."""

    bound: Bound
    value: float
    peak_bytes: int = 0
    caveat: str = ""

    @property
    def is_met(self) -> bool:
        """Tell whether the figure is on the right side of its limit."""
        return self.value >= self.bound.limit if self.bound.is_least else self.value <= self.bound.limit

    def to_words(self) -> str:
        """Return one line."""
        bound = self.bound
        side = "at least" if bound.is_least else "at most"
        verdict = "met" if self.is_met else "NOT MET"
        peak = f"  peak {self.peak_bytes / _MIB:,.0f} MiB" if self.peak_bytes else ""
        caveat = f"  ({self.caveat})" if self.caveat else ""
        limit = f"{side} {bound.limit:g} {bound.unit}"
        return f"  {bound.words:<58} {self.value:>9.3f} {bound.unit:<16} {limit:<28} {verdict:<8}{peak}{caveat}"


class Figures(NamedTuple):
    """One run of the live bench."""

    settings: dict[str, object]
    told: tuple[Told, ...]
    notes: tuple[str, ...]
    detail: dict[str, object]
    seconds: float

    def to_json(self) -> str:
        """Return the figures as one JSON object."""
        return json.dumps(
            {
                "machine": describe_machine(),
                "settings": self.settings,
                "figures": [
                    {
                        "name": one.bound.key,
                        "value": one.value,
                        "unit": one.bound.unit,
                        "limit": one.bound.limit,
                        "is_least": one.bound.is_least,
                        "met": one.is_met,
                        "peak_memory_bytes": one.peak_bytes,
                        "caveat": one.caveat,
                    }
                    for one in self.told
                ],
                "notes": self.notes,
                "detail": self.detail,
                "seconds": self.seconds,
            },
            indent=1,
        )

    def to_lines(self) -> list[str]:
        """Return the figures for people."""
        lines = [f"on {describe_machine()}; peak memory is the exchange's process's", ""]
        lines += [one.to_words() for one in self.told]
        return [*lines, "", *self.notes, "", f"{self.seconds:.0f} s in all"]


def ready(key: str, words: str, limit_s: float) -> Bound:
    """Return a limit in seconds."""
    return Bound(key, words, limit_s, "s")


READY_FRESH: Final = ready("ready_fresh", "ready on an empty folder", 5.0)
READY_EXISTING: Final = ready("ready_existing", "ready on an existing store", 5.0)
SERVING_AFTER_KILL: Final = ready("serving_after_kill", "serving after SIGKILL", 5.0)
READY_LARGE: Final = ready("ready_large", "ready on a store of 100,000 accounts", 10.0)
SERVING_LARGE: Final = ready("serving_large_after_kill", "serving after SIGKILL at 100,000 accounts", 5.0)
P50: Final = Bound("commit_p50", "commit p50, due to answered", 1.5, "block intervals")
P99: Final = Bound("commit_p99", "commit p99, due to answered", 4.0, "block intervals")
HIGHEST: Final = Bound("highest_rate", "highest rate held, p99 under 2.5 s", 1_000.0, "orders/s", is_least=True)
DURABLE: Final = Bound("durable_commit", "durable commit of 1,000 keys / a batch write with one sync", 2.0, "times")
SNAPSHOT_P99: Final = Bound("snapshot_block_p99", "block p99 while a snapshot is taken / without", 1.1, "times")
CATCH_UP: Final = Bound("catch_up", "a deleted validator is back with the others", 30.0, "s")
RSS_SLOPE: Final = Bound("rss_slope", "memory's slope behind the warm-up", 1.0, "MiB/h")
P99_DRIFT: Final = Bound("p99_drift", "p99, last tenth of the run / first", 1.05, "times")


def show_refusals(refused: dict[str, int]) -> str:
    """Return how often each code was the answer."""
    return ", ".join(f"{name} {count:,}" for name, count in sorted(refused.items())) or "none"


def summarise_met(told: Sequence[Told]) -> str:
    """Return how many limits are met."""
    return f"{sum(one.is_met for one in told)} of {len(told)} limits met"
