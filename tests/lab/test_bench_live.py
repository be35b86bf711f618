"""What the live bench tells, and a run of it that is as short as can be. Nothing here is held against a limit."""

import csv
import json
import os
import threading
import time
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from holdfast.cli.main import app
from holdfast.lab.bench.live import LiveSettings, measure_live, show_profile
from holdfast.lab.bench.live_load import Tally, quantile
from holdfast.lab.bench.live_orders import (
    CANCEL,
    IN_FLIGHT_MAX,
    REST,
    TAKE,
    Listed,
    OrderFlow,
    Trader,
    trader_key,
)
from holdfast.lab.bench.live_profile import Profile, Sampler
from holdfast.lab.bench.live_server import folder_bytes, read_facts
from holdfast.lab.bench.live_soak import MIB, Sample, fit_slope, no_window, summarise
from holdfast.lab.bench.live_state import ROW_BYTES, StatePlan, add_ballast, measure_state
from holdfast.lab.bench.live_steps import Search, find_highest, is_held
from holdfast.lab.bench.live_told import P99, Bound, Told
from holdfast.protocol.messages import ENVELOPE_DECODER, TX_DECODER, Envelope
from holdfast.protocol.schema import TABLES
from holdfast.protocol.surface.state import RISK_ROWS
from holdfast.state.store import State


def read_envelope(tx: bytes) -> Envelope:
    return ENVELOPE_DECODER.decode(TX_DECODER.decode(tx).payload)


def make_flow(accounts: int, seed: int = 1) -> OrderFlow:
    traders = [Trader(trader_key(number), 1_000 + number, 1) for number in range(accounts)]
    flow = OrderFlow(traders, [Listed(7, "A", 5.0), Listed(9, "B", 5.0)], bytes(32), seed)
    flow.marks = {7: 100, 9: 4_000}
    return flow


def test_flow__answered_at_once__rests_takes_and_cancels_with_dense_nonces() -> None:
    flow, placed = make_flow(3), 0
    kinds: list[str] = []
    nonces: dict[int, int] = {}
    for _ in range(600):
        sent = flow.next()
        assert sent is not None
        envelope = read_envelope(sent.tx)
        assert envelope.nonce == nonces.get(envelope.account_id, 0) + 1
        nonces[envelope.account_id] = envelope.nonce
        sent.trader.in_flight -= 1
        if sent.kind == REST:
            placed += 1
            sent.trader.resting.append(placed)
        kinds.append(sent.kind)
    shares = {kind: kinds.count(kind) / len(kinds) for kind in (REST, TAKE, CANCEL)}
    assert 0.35 < shares[REST] < 0.6
    assert 0.1 < shares[TAKE] < 0.3
    assert 0.2 < shares[CANCEL] < 0.5


def test_flow__nothing_answered__stops_within_the_nonce_window() -> None:
    flow = make_flow(2)
    sent = [flow.next() for _ in range(2 * IN_FLIGHT_MAX)]
    assert None not in sent
    assert flow.next() is None


def test_flow__same_seed__is_the_same() -> None:
    one, other = make_flow(3, seed=5), make_flow(3, seed=5)
    for _ in range(20):
        first, second = one.next(), other.next()
        assert first is not None
        assert second is not None
        assert first.tx == second.tx


def test_quantile__of_a_hundred__is_the_value_below_which_the_share_lies() -> None:
    values = [float(value) for value in range(100)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1.0)) == (50.0, 99.0, 99.0)
    assert quantile([], 0.99) == 0.0


@pytest.mark.parametrize(
    ("committed", "p99_ms", "unresolved", "held"),
    [(1_000, 100.0, 0, True), (960, 100.0, 0, False), (1_000, 2_500.0, 0, False), (1_000, 100.0, 1, False)],
)
def test_is_held__falls_behind_or_is_slow__is_not(committed: int, p99_ms: float, unresolved: int, held: bool) -> None:
    window = msgspec.structs.replace(
        no_window(), seconds=10.0, committed=committed, p99_ms=p99_ms, unresolved=unresolved
    )
    assert is_held(window, 100.0) is held


class FakeLoad:
    """A load against an exchange that holds up to some rate, and less over a long time."""

    def __init__(self, short: float, long: float) -> None:
        self.short, self.long = short, long
        self.rates: list[float] = []

    def run(self, rate: float, seconds: float) -> object:
        self.rates.append(rate)
        bound = self.long if seconds > 50 else self.short
        committed = round(min(rate, bound) * seconds)
        return msgspec.structs.replace(no_window(), seconds=seconds, committed=committed)


def search(load: FakeLoad) -> Search:
    return find_highest(load, first=100, most=10_000, step_s=10, hold_s=100, say=lambda _: None)  # type: ignore[arg-type]


def test_search__holds_for_long__finds_the_rate_within_an_eighth_of_the_gap() -> None:
    found = search(FakeLoad(1_150, 1_150))
    assert found.held is not None
    assert 1_000 <= found.rate <= 1_150 / 0.97


def test_search__holds_only_for_short__goes_back() -> None:
    load = FakeLoad(1_150, 900)
    found = search(load)
    assert found.held is not None
    assert found.rate <= 900 / 0.97
    assert load.rates[-1] == found.rate


def test_search__holds_nothing__says_so() -> None:
    found = search(FakeLoad(10, 10))
    assert (found.rate, found.held) == (0.0, None)


@pytest.mark.parametrize(("value", "is_least", "met"), [(4.0, False, True), (4.1, False, False), (3.9, True, False)])
def test_told__beside_its_limit__says_met_or_not(value: float, is_least: bool, met: bool) -> None:
    told = Told(Bound("key", "words", 4.0, "s", is_least=is_least), value, 3 * MIB, "why")
    assert told.is_met is met
    line = told.to_words()
    assert ("NOT MET" in line) is not met
    assert "peak 3 MiB" in line
    assert "(why)" in line


def make_sample(seconds: float, rss_mib: float, p99_ms: float) -> Sample:
    return Sample(
        seconds, 100.0, 1.0, p99_ms, 0, round(rss_mib * MIB), 20, 9, 0.5, round(seconds) * 1_000, round(seconds), 0.1, 1
    )


def test_soak__grows_evenly__tells_slope_and_drift_behind_the_warm_up(tmp_path: Path) -> None:
    # In the first fifth memory jumps; behind it, it grows by 7 MiB an hour and the p99 by half.
    samples = [
        make_sample(at, 500.0 if at < 600 else 100.0 + 7.0 * at / 3_600, 100.0 + at / 36) for at in range(0, 3_600, 5)
    ]
    soak = summarise(samples, None, tmp_path / "samples.csv")
    assert soak.rss_slope_mib_h == pytest.approx(7.0, rel=0.35)
    assert soak.is_long
    assert 1.5 < soak.p99_last_to_first < 1.9
    assert soak.disk_bytes_an_order == pytest.approx(1_000.0)
    assert fit_slope([1.0, 1.0], [1.0, 2.0]) == 0.0


def test_sampler__a_busy_thread__is_charged_with_its_time() -> None:
    may_burn = threading.Event()
    may_end: list[bool] = []

    def burn_for_the_test() -> None:
        may_burn.wait()
        while not may_end:
            sum(range(1_000))

    thread = threading.Thread(target=burn_for_the_test, name="validator-7", daemon=True)
    thread.start()
    sampler = Sampler()
    sampler.look()
    may_burn.set()
    clock = time.pthread_getcpuclockid(thread.ident or 0)
    while time.clock_gettime(clock) < 0.2:
        time.sleep(0.01)
    sampler.look()
    may_end.append(True)
    profile = sampler.stop()
    thread.join()
    assert profile.threads["validator-7"] > 0.05
    place = max(profile.places, key=lambda one: one.own_s if one.thread == "validator" else 0.0)
    assert "burn_for_the_test" in place.place
    assert msgspec.json.decode(msgspec.json.encode(profile), type=Profile) == profile
    assert any("burn_for_the_test" in line for line in show_profile(profile))


def test_ballast__some_megabytes__is_rows_of_the_state() -> None:
    state = State(TABLES)
    draft = state.draft()
    add_ballast(draft, 0.25)
    state.commit(state.seal(draft))
    rows = list(state.export())
    assert len(rows) == 1_024
    assert {len(value) for _, value in rows} == {ROW_BYTES}
    assert {key[0] for key, _ in rows} == {RISK_ROWS.tag}


def test_facts__of_this_process__are_there_and_of_none_are_zeros(tmp_path: Path) -> None:
    facts = read_facts(os.getpid())
    assert facts.rss_bytes > MIB
    assert facts.peak_bytes >= facts.rss_bytes // 2
    assert facts.open_files > 2
    assert read_facts(2**22 + 1) == (0, 0, 0.0, 0, 0)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"123")
    assert folder_bytes(tmp_path) == 3
    assert folder_bytes(None) == 0


def test_tally__closed__counts_what_was_due() -> None:
    tally = Tally()
    tally.times_ms = [3.0, 1.0, 2.0]
    tally.committed = 3
    window = tally.close(2.0, in_flight=1, is_last=True)
    assert (window.p50_ms, window.max_ms, window.rate, window.in_flight) == (2.0, 3.0, 1.5, 1)


def test_command__no_such_part__exits_with_one_line() -> None:
    outcome = CliRunner().invoke(app, ["bench", "live", "speed"])
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("holdfast bench live: speed: no such part; choose of ready, ")
    outcome = CliRunner().invoke(app, ["bench", "live", "ready", "--hold", "soon"])
    assert outcome.exit_code == 2
    assert "--hold soon: write a time" in outcome.stderr


def test_bench_live__two_validators_for_seconds__tells_latency_and_draws_the_soak(tmp_path: Path) -> None:
    settings = LiveSettings(
        parts=("latency", "soak"),
        folder=tmp_path,
        validators=2,
        accounts=4,
        rate=20.0,
        seconds=1.5,
        warm_s=0.5,
        soak_s=2.0,
        sample_s=0.5,
        with_profile=True,
    )
    said: list[str] = []
    figures = measure_live(settings, said.append)
    told = json.loads(figures.to_json())
    names = [figure["name"] for figure in told["figures"]]
    assert names == ["commit_p50", "commit_p99", "rss_slope", "p99_drift"]
    latency = told["detail"]["latency"]
    assert latency["committed"] == 30
    assert latency["unresolved"] == 0
    assert 0 < latency["p50_ms"] <= latency["p99_ms"]
    assert all(figure["peak_memory_bytes"] > MIB for figure in told["figures"])
    with (tmp_path / "soak" / "samples.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 3
    assert all(int(row["rss_bytes"]) > MIB for row in rows)
    assert int(rows[-1]["disk_bytes"]) > 0
    assert "latency.png" in (tmp_path / "soak" / "index.html").read_text()
    assert any(line.startswith("processor time by thread") for line in figures.to_lines())
    assert said[0] == "latency"
    assert not list(tmp_path.glob("data-*"))
    assert P99.words in "\n".join(figures.to_lines())


@pytest.mark.slow
def test_bench_live__a_small_large_state__tells_blocks_and_brings_the_wiped_validator_back(tmp_path: Path) -> None:
    plan = StatePlan(str(tmp_path / "data"), 4, 100, 1.0, 2.0)
    figures = measure_state(plan, tmp_path / "log", lambda _: None)
    assert figures.caught_up
    assert figures.snapshot_bytes > MIB
    assert figures.without.count > 5
    assert figures.without.busy_share == 0.0
