"""The live bench: a whole exchange in a process of its own, orders from another, and the limits that both are held to.

live_server   the exchange's process
live_load     the load's process; live_orders draws what it sends
live_steps    orders at a rate, and the highest that is held
live_starts   from the command to the first answer
live_state    a large state: snapshots, and a validator that lost its disk
live_soak     an hour under load; live_plots draws it
live_profile  where the exchange's processor time goes
live_told     limits and figures
"""

import os
import shutil
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Final

import msgspec

from holdfast.lab.bench.live_load import Plan, Window
from holdfast.lab.bench.live_profile import Profile
from holdfast.lab.bench.live_server import Launch, Server, free_port, read_facts
from holdfast.lab.bench.live_soak import Soak, run_soak
from holdfast.lab.bench.live_starts import measure_starts
from holdfast.lab.bench.live_state import StatePlan, measure_state
from holdfast.lab.bench.live_steps import LoadProcess, Say, find_highest
from holdfast.lab.bench.live_told import (
    CATCH_UP,
    DURABLE,
    HIGHEST,
    P50,
    P99,
    P99_DRIFT,
    READY_EXISTING,
    READY_FRESH,
    READY_LARGE,
    RSS_SLOPE,
    SERVING_AFTER_KILL,
    SERVING_LARGE,
    SNAPSHOT_P99,
    Figures,
    Told,
    show_refusals,
    summarise_met,
)
from holdfast.lab.bench.store import measure_store

PARTS: Final = ("ready", "large", "latency", "rate", "store", "snapshot", "soak")
DEFAULT_PARTS: Final = PARTS[:-1]
_LARGE_ACCOUNTS: Final = 99_000
# From here on the load's own process may be what limits, and the figure says so.
_CLIENT_BUSY_SHARE: Final = 0.8
_CLIENT_LATE_INTERVALS: Final = 0.5
# A snapshot should be under way at so many of the blocks that are called its.
_BUSY_SHARE: Final = 0.5
_PLACES_SHOWN: Final = 25
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class LiveSettings:
    """What is measured, and how."""

    parts: tuple[str, ...] = DEFAULT_PARTS
    folder: Path = Path("out/bench-live")
    validators: int = 4
    block_interval_ms: int = 250
    accounts: int = 100
    rate: float = 200.0
    seconds: float = 60.0
    step_s: float = 10.0
    hold_s: float = 300.0
    rate_max: float = 4_000.0
    large_accounts: int = _LARGE_ACCOUNTS
    soak_s: float = 3_600.0
    sample_s: float = 5.0
    warm_s: float = 3.0
    store_commits: int = 200
    state_mb: float = 100.0
    state_s: float = 60.0
    with_profile: bool = False


class LiveBench:
    """One run. Each part has an exchange of its own, on a fresh folder that is deleted afterwards."""

    def __init__(self, settings: LiveSettings, say: Say) -> None:
        """Take what is asked for."""
        self._settings = settings
        self._say = say
        self._told: list[Told] = []
        self._notes: list[str] = []
        self._detail: dict[str, object] = {}

    def run(self) -> Figures:
        """Measure every part that was asked for. Refuses: LiveBenchError."""
        began_s = perf_counter()
        parts = {
            "ready": self._ready,
            "large": self._large,
            "latency": self._latency,
            "rate": self._rate,
            "store": self._store,
            "snapshot": self._snapshot,
            "soak": self._soak,
        }
        self._settings.folder.mkdir(parents=True, exist_ok=True)
        for name in PARTS:
            if name in self._settings.parts:
                self._say(name)
                try:
                    parts[name]()
                    self._add_profile(name)
                finally:
                    shutil.rmtree(self._data(name), ignore_errors=True)
        shown: dict[str, object] = {name: _plain(value) for name, value in asdict(self._settings).items()}
        self._notes.append(summarise_met(self._told))
        return Figures(shown, tuple(self._told), tuple(self._notes), self._detail, perf_counter() - began_s)

    def _data(self, part: str) -> Path:
        return self._settings.folder / f"data-{part}"

    def _launch(self, part: str) -> Launch:
        settings = self._settings
        return Launch(
            data=self._data(part),
            log=settings.folder / f"{part}.log",
            validators=settings.validators,
            block_interval_ms=settings.block_interval_ms,
            profile=settings.folder / f"profile-{part}.json" if settings.with_profile else None,
        )

    def _open(self, part: str) -> Server:
        shutil.rmtree(self._data(part), ignore_errors=True)
        server = Server(replace(self._launch(part), port=free_port()))
        server.wait_until_ready()
        return server

    def _load(self, part: str, server: Server) -> LoadProcess:
        return LoadProcess(Plan(server.url, self._settings.accounts), self._settings.folder / f"{part}-load.log")

    # The parts

    def _ready(self) -> None:
        starts = measure_starts(self._launch("ready"), self._data("ready"), extra_accounts=0, say=self._say)
        self._told += [
            Told(READY_FRESH, starts.fresh_s, starts.peak_bytes),
            Told(READY_EXISTING, starts.existing_s, starts.peak_bytes),
            Told(SERVING_AFTER_KILL, starts.after_kill_s, starts.peak_bytes),
        ]
        self._detail["ready"] = starts._asdict()

    def _large(self) -> None:
        accounts = self._settings.large_accounts
        starts = measure_starts(self._launch("large"), self._data("large"), extra_accounts=accounts, say=self._say)
        self._told += [
            Told(READY_LARGE, starts.existing_s, starts.peak_bytes),
            Told(SERVING_LARGE, starts.after_kill_s, starts.peak_bytes),
        ]
        self._notes.append(f"large: {starts.fresh_s:.1f} s to the first block from a genesis of so many accounts")
        self._notes.append(f"large: the stores are {starts.store_bytes / _MIB:,.0f} MiB together")
        self._detail["large"] = starts._asdict()

    def _latency(self) -> None:
        settings = self._settings
        with self._open("latency") as server, self._load("latency", server) as load:
            load.run(settings.rate, settings.warm_s)
            window, cpu_share = self._watch(server, load, settings.rate, settings.seconds)
            peak_bytes, interval_ms = server.facts().peak_bytes, settings.block_interval_ms
        caveat = self._caveat(window)
        self._told += [
            Told(P50, window.p50_ms / interval_ms, peak_bytes, caveat),
            Told(P99, window.p99_ms / interval_ms, peak_bytes, caveat),
        ]
        self._note("latency", settings.rate, window, cpu_share)

    def _watch(self, server: Server, load: LoadProcess, rate: float, seconds: float) -> tuple[Window, float]:
        """Return a window and the exchange's share of a core in it."""
        before_s, cpu_s = perf_counter(), server.facts().cpu_s
        window = load.run(rate, seconds)
        return window, (server.facts().cpu_s - cpu_s) / (perf_counter() - before_s)

    def _rate(self) -> None:
        settings = self._settings
        with self._open("rate") as server, self._load("rate", server) as load:
            load.run(settings.rate, settings.warm_s)
            found = find_highest(
                load,
                first=settings.rate,
                most=settings.rate_max,
                step_s=settings.step_s,
                hold_s=settings.hold_s,
                say=self._say,
            )
            peak_bytes = server.facts().peak_bytes
        caveat = self._caveat(found.held) if found.held is not None else "no rate was held"
        if settings.hold_s < LiveSettings.hold_s:
            caveat = "; ".join(filter(None, (caveat, f"held for {settings.hold_s:.0f} s only")))
        self._told.append(Told(HIGHEST, found.rate, peak_bytes, caveat))
        if found.held is not None:
            self._note("rate", found.rate, found.held, 0.0)
        self._detail["rate_tried"] = [{"rate": rate, **_plain_window(window)} for rate, window in found.tried]

    def _store(self) -> None:
        figures = measure_store(self._data("store"), commits=self._settings.store_commits)
        self._told.append(
            Told(DURABLE, figures.ratio, read_facts(os.getpid()).peak_bytes, "peak of the bench's own process")
        )
        self._notes += [f"store: {line.strip()}" for line in figures.to_lines()]
        self._detail["store"] = {
            **figures._asdict(),
            "taken": {name: one._asdict() for name, one in figures.taken.items()},
        }

    def _snapshot(self) -> None:
        settings = self._settings
        data = self._data("snapshot")
        plan = StatePlan(
            str(data), settings.validators, settings.block_interval_ms, settings.state_mb, settings.state_s
        )
        found = measure_state(plan, settings.folder / "snapshot.log", self._say)
        without, busy = found.without, found.with_snapshots
        caveat = "" if busy.busy_share > _BUSY_SHARE else f"a snapshot in {busy.busy_share:.0%} of the blocks only"
        ratio = busy.p99_ms / without.p99_ms if without.p99_ms else 0.0
        back = "" if found.caught_up else "it was not back by then"
        self._told += [
            Told(SNAPSHOT_P99, ratio, found.peak_bytes, caveat),
            Told(CATCH_UP, found.catch_up_s, found.peak_bytes, back),
        ]
        self._notes.append(f"snapshot: {found.snapshot_bytes / _MIB:,.0f} MiB a snapshot")
        for words, blocks in (("without", without), ("with one being written", busy)):
            times = f"p50 {blocks.p50_ms:,.0f} ms, p99 {blocks.p99_ms:,.0f} ms"
            self._notes.append(f"snapshot: {blocks.count:,} blocks {words} took {times}")
        self._detail["snapshot"] = msgspec.to_builtins(found)

    def _soak(self) -> None:
        settings = self._settings
        with self._open("soak") as server, self._load("soak", server) as load:
            soak = run_soak(
                server,
                load,
                rate=settings.rate,
                seconds=settings.soak_s,
                every_s=settings.sample_s,
                folder=settings.folder / "soak",
                say=self._say,
            )
            peak_bytes = server.facts().peak_bytes
        caveat = "" if soak.is_long else "too short a run to judge"
        told = [
            Told(RSS_SLOPE, soak.rss_slope_mib_h, peak_bytes, caveat),
            Told(P99_DRIFT, soak.p99_last_to_first, peak_bytes, caveat),
        ]
        self._told += told
        self._note("soak", settings.rate, soak.whole, 0.0)
        disk = f"{soak.disk_bytes_an_order:,.0f} bytes on the disk an order, all validators and the index"
        self._notes.append(
            f"soak: open files {soak.files_slope_h:+.2f} an hour; {disk}; first {soak.warm_s:.0f} s left out"
        )
        self._draw(soak, told)

    def _draw(self, soak: Soak, told: list[Told]) -> None:
        if find_spec("matplotlib") is None:
            self._notes.append(f"soak: no plots, since matplotlib is not installed; the samples are in {soak.csv}")
            return
        from holdfast.lab.bench.live_plots import write_page  # noqa: PLC0415 -- only where it is installed

        settings = self._settings
        headline = f"{settings.rate:,.0f} orders a second for {settings.soak_s / 60:,.0f} minutes"
        page = write_page(soak, soak.csv.parent, headline, [one.to_words().strip() for one in told])
        self._notes.append(f"soak: plots in {page}")

    # What is told of them

    def _caveat(self, window: Window) -> str:
        late = window.late_p99_ms / self._settings.block_interval_ms
        if window.cpu_share > _CLIENT_BUSY_SHARE or late > _CLIENT_LATE_INTERVALS:
            return "limited by the load process too, see below"
        return ""

    def _note(self, part: str, rate: float, window: Window, cpu_share: float) -> None:
        exchange = f"; the exchange used {cpu_share:.0%} of a core" if cpu_share else ""
        due = f"{rate:,.0f}/s due, {window.rate:,.0f}/s committed"
        times = f"p50 {window.p50_ms:,.0f} ms, p99 {window.p99_ms:,.0f} ms, worst {window.max_ms:,.0f} ms"
        ends = f"{window.committed:,} in blocks, {window.effective:,} with effect, {window.filled:,} filled"
        refused = f"refused: {show_refusals(window.refused)}; unresolved: {window.unresolved:,}"
        late = f"was late by {window.late_p99_ms:,.0f} ms at its p99"
        self._notes.append(f"{part}: {due}, {times}")
        self._notes.append(f"{part}: {ends}; {refused}")
        self._notes.append(f"{part}: the load process used {window.cpu_share:.0%} of a core and {late}{exchange}")
        self._detail[part] = {"rate": rate, "cpu_share": cpu_share, **_plain_window(window)}

    def _add_profile(self, part: str) -> None:
        profile = self._settings.folder / f"profile-{part}.json"
        if self._settings.with_profile and profile.exists():
            self._notes.append(f"{part}: where the processor's time went")
            self._notes += show_profile(msgspec.json.decode(profile.read_bytes(), type=Profile))


def show_profile(profile: Profile) -> list[str]:
    """Return where an exchange's processor time went."""
    lines = [f"processor time by thread, of {profile.seconds:.0f} s"]
    lines += [f"  {name:<28} {used_s:>8.2f} s" for name, used_s in sorted(profile.threads.items(), key=lambda x: -x[1])]
    lines.append("places by their own time; the column behind it is with what they call")
    ranked = sorted(profile.places, key=lambda place: -place.own_s)[:_PLACES_SHOWN]
    lines += [f"  {one.own_s:>7.2f} {one.whole_s:>7.2f} s  {one.thread:<12} {one.place}" for one in ranked]
    return lines


def measure_live(settings: LiveSettings, say: Say) -> Figures:
    """Run the live bench. Refuses: LiveBenchError."""
    return LiveBench(settings, say).run()


def _plain_window(window: Window) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(window)
    return plain


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
