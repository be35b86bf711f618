"""A long run under an even load: what is sampled every few seconds, and the lines through it."""

import csv
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from holdfast.lab.bench.live_load import Window
from holdfast.lab.bench.live_server import Server, folder_bytes
from holdfast.lab.bench.live_steps import LoadProcess, Say

HOUR_S: Final = 3_600.0
MIB: Final = 1024 * 1024
CSV_NAME: Final = "samples.csv"
# Until then caches fill and the first segments are written.
_WARM_SHARE: Final = 0.2
_WARM_MAX_S: Final = 600.0
_JUDGED_FROM_S: Final = 1_200.0
_TENTH: Final = 10
_SAY_EVERY_S: Final = 60.0


class Sample(NamedTuple):
    """The exchange at one moment of the run, and its load since the moment before."""

    seconds: float
    rate: float
    p50_ms: float
    p99_ms: float
    unresolved: int
    rss_bytes: int
    open_files: int
    threads: int
    cpu_share: float
    disk_bytes: int
    committed: int
    load_cpu_share: float
    load_rss_bytes: int


class Soak(NamedTuple):
    """The run."""

    samples: tuple[Sample, ...]
    whole: Window
    rss_slope_mib_h: float
    files_slope_h: float
    disk_bytes_an_order: float
    p99_last_to_first: float
    warm_s: float
    csv: Path

    @property
    def is_long(self) -> bool:
        """Tell whether the run is long enough for a slope to mean something."""
        return bool(self.samples) and self.samples[-1].seconds - self.warm_s >= _JUDGED_FROM_S


def run_soak(
    server: Server, load: LoadProcess, *, rate: float, seconds: float, every_s: float, folder: Path, say: Say
) -> Soak:
    """Send at an even rate, sample, and write each sample to a file as it is taken."""
    folder.mkdir(parents=True, exist_ok=True)
    began_s = time.monotonic()
    samples: list[Sample] = []
    whole: Window | None = None
    before_s, before_cpu_s, committed, said_s = began_s, server.facts().cpu_s, 0, began_s
    with (folder / CSV_NAME).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Sample._fields)
        for window in load.watch(rate, seconds, every_s):
            if window.is_last:
                whole = window
                break
            now_s, facts = time.monotonic(), server.facts()
            committed += window.committed
            sample = Sample(
                seconds=now_s - began_s,
                rate=window.rate,
                p50_ms=window.p50_ms,
                p99_ms=window.p99_ms,
                unresolved=window.unresolved,
                rss_bytes=facts.rss_bytes,
                open_files=facts.open_files,
                threads=facts.threads,
                cpu_share=(facts.cpu_s - before_cpu_s) / max(1e-9, now_s - before_s),
                disk_bytes=folder_bytes(server.launch.data),
                committed=committed,
                load_cpu_share=window.cpu_share,
                load_rss_bytes=window.rss_bytes,
            )
            before_s, before_cpu_s = now_s, facts.cpu_s
            samples.append(sample)
            writer.writerow(sample)
            file.flush()
            if now_s - said_s >= _SAY_EVERY_S:
                said_s = now_s
                mib = facts.rss_bytes / MIB
                say(f"{sample.seconds:,.0f} of {seconds:,.0f} s: p99 {window.p99_ms:,.0f} ms, {mib:,.0f} MiB")
    return summarise(samples, whole, folder / CSV_NAME)


def summarise(samples: Sequence[Sample], whole: Window | None, path: Path) -> Soak:
    """Return the lines through the samples behind the warm-up."""
    length_s = samples[-1].seconds if samples else 0.0
    warm_s = min(_WARM_MAX_S, _WARM_SHARE * length_s)
    warm = [sample for sample in samples if sample.seconds >= warm_s]
    hours = [sample.seconds / HOUR_S for sample in warm]
    committed = warm[-1].committed - warm[0].committed if warm else 0
    tenth = max(1, len(warm) // _TENTH)
    first = sum(sample.p99_ms for sample in warm[:tenth])
    last = sum(sample.p99_ms for sample in warm[-tenth:])
    return Soak(
        samples=tuple(samples),
        whole=whole or no_window(),
        rss_slope_mib_h=fit_slope(hours, [sample.rss_bytes / MIB for sample in warm]),
        files_slope_h=fit_slope(hours, [float(sample.open_files) for sample in warm]),
        disk_bytes_an_order=(warm[-1].disk_bytes - warm[0].disk_bytes) / committed if committed else 0.0,
        p99_last_to_first=last / first if first else 0.0,
        warm_s=warm_s,
        csv=path,
    )


def fit_slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the slope of the line of least squares, 0 where there is none."""
    count = len(xs)
    mean_x, mean_y = sum(xs) / max(1, count), sum(ys) / max(1, count)
    spread = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread if spread else 0.0


def no_window() -> Window:
    """Return a window in which nothing was sent."""
    return Window(
        is_last=True,
        seconds=0.0,
        sent=0,
        committed=0,
        effective=0,
        refused={},
        unresolved=0,
        filled=0,
        kinds={},
        p50_ms=0.0,
        p99_ms=0.0,
        max_ms=0.0,
        late_p99_ms=0.0,
        cpu_share=0.0,
        rss_bytes=0,
        in_flight=0,
    )
