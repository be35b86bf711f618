"""Validators paused, killed, cut off and emptied, one of four and two of four, while clients trade.

With one of four gone, trading goes on and the one comes back to the others' state. With two gone, nothing is
acknowledged, whoever asks is told so, and trading resumes with the third. A clock that is ten minutes off is harmless.
"""

import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from holdfast.lab.chaos import journals
from holdfast.lab.chaos.evidence import Signatures
from holdfast.lab.chaos.kills import Client, Report, ask_again, judge
from holdfast.lab.chaos.load import Answer
from holdfast.lab.chaos.running import ExchangeDownError, Running

WINDOW_S: Final = 6.0
# What was under way when the last third of power went may still commit.
_SETTLES_S: Final = 1.5
_UNREADY_WITHIN_S: Final = 20.0
_BACK_WITHIN_S: Final = 30.0
_SHARE_MIN: Final = 0.25
_POLL_S: Final = 0.1
_CLOCK_MS: Final = 600_000
_HTTP_UNREADY: Final = 503


class Scenario(NamedTuple):
    """What happens to whom. `kind` is a fault's name, or `delete`: the files vanish while the validator is down."""

    name: str
    kind: str
    victims: int
    detail: str = ""

    @property
    def stalls(self) -> bool:
        """Tell whether too few are left to go on."""
        return self.victims > 1


SCENARIOS: Final = (
    Scenario("one paused", "pause", 1),
    Scenario("one killed", "crash", 1),
    Scenario("one cut off", "partition", 1),
    Scenario("one wiped", "wipe", 1),
    Scenario("one's store deleted", "delete", 1),
    Scenario("one's clock 10 min ahead", "clock", 1, f",ms={_CLOCK_MS}"),
    Scenario("one's clock 10 min behind", "clock", 1, f",ms=-{_CLOCK_MS}"),
    Scenario("two paused", "pause", 2),
    Scenario("two killed", "crash", 2),
    Scenario("two cut off", "partition", 2),
)


class Latency(NamedTuple):
    """How commands fared that began in a window."""

    committed: int
    per_s: float
    p50_ms: int
    p99_ms: int


@dataclass
class Row:
    """One scenario and what came of it."""

    scenario: Scenario
    victims: tuple[int, ...]
    before: Latency
    during: Latency
    after: Latency
    pending: int
    unready_s: float
    back_s: float
    height: int
    violations: list[str] = field(default_factory=list)


@dataclass
class Outcome:
    """All of a run: the scenarios, and what the files and the journal say afterwards."""

    seed: int
    rows: list[Row] = field(default_factory=list)
    books: Report = field(default_factory=lambda: Report(0))

    @property
    def violations(self) -> list[str]:
        """Return what went wrong, a line each."""
        return [f"{row.scenario.name}: {text}" for row in self.rows for text in row.violations] + self.books.violations


def run(
    work: Path,
    *,
    seed: int,
    scenarios: Sequence[Scenario] = SCENARIOS,
    window_s: float = WINDOW_S,
    rate: float = 30.0,
    options: tuple[str, ...] = ("--block-interval", "200ms", "--no-market"),
    on_row: Callable[[Row], None] = lambda _: None,
) -> Outcome:
    """Run scenarios one after the other on one exchange. The folder must be empty or absent.

    Refuses: ExchangeDownError, where the exchange does not come up in the first place.
    """
    started_s = time.monotonic()
    rng = random.Random(seed)
    outcome = Outcome(seed)
    outcome.books = Report(seed)
    work.mkdir(parents=True, exist_ok=True)
    exchange = Running(work / "data", work / "log", *options)
    exchange.start()
    exchange.wait_ready()
    client = Client(exchange.url, work / "client", seed=seed, rate=rate)
    try:
        client.wait_trading()
        for scenario in scenarios:
            victims = tuple(sorted(rng.sample(range(4), scenario.victims)))
            row = _play(exchange, client, scenario, victims, window_s)
            outcome.rows.append(row)
            on_row(row)
        outcome.books.violations += client.finish()
        outcome.books.violations += ask_again(exchange, client.folder, rng)
        if exchange.stop():
            outcome.books.violations.append(f"a clean stop ends with {exchange.exit_code}")
    except ExchangeDownError as error:
        outcome.books.violations.append(str(error))
    finally:
        client.kill()
        exchange.kill()
    judge(exchange, client.folder, Signatures(), outcome.books)
    outcome.books.took_s = time.monotonic() - started_s
    return outcome


class _Times(NamedTuple):
    """When a scenario's parts began, in milliseconds of UTC."""

    before: int
    fault: int
    heal: int
    level: int
    end: int


def _play(exchange: Running, client: Client, scenario: Scenario, victims: tuple[int, ...], window_s: float) -> Row:
    violations: list[str] = []
    amiss = exchange.wait_level(_BACK_WITHIN_S)
    if amiss:
        violations.append(f"the validators were not level before: {amiss}")
    before_ms = _now_ms()
    time.sleep(window_s)
    fault_ms = _now_ms()
    _inject(exchange, scenario, victims)
    unready_s, stalled_height = 0.0, 0
    if scenario.stalls:
        stalled_height, unready_s = _watch_stall(exchange, window_s, violations)
    else:
        time.sleep(window_s)
    heal_ms = _now_ms()
    exchange.heal()
    healed_s = time.monotonic()
    _wait_above(exchange, stalled_height)
    amiss = exchange.wait_level(_BACK_WITHIN_S)
    if amiss:
        violations.append(f"not level within {_BACK_WITHIN_S:.0f} s: {amiss}")
    back_s = time.monotonic() - healed_s
    level_ms = _now_ms()
    time.sleep(window_s)
    times = _Times(before_ms, fault_ms, heal_ms, level_ms, _now_ms())
    answers = journals.read_answers(client.folder)
    row = Row(
        scenario=scenario,
        victims=victims,
        before=measure(answers, times.before, times.fault),
        during=measure(answers, times.fault, times.heal),
        after=measure(answers, times.level, times.end),
        pending=_count_pending(answers, times.fault, times.heal),
        unready_s=unready_s,
        back_s=back_s,
        height=int(str(exchange.ask("public/status").get("height", 0))),
        violations=violations,
    )
    _judge_row(row, answers, times, stalled_height)
    return row


def _inject(exchange: Running, scenario: Scenario, victims: tuple[int, ...]) -> None:
    for victim in victims:
        if scenario.kind != "delete":
            exchange.fault(f"{scenario.kind}:validator={victim}{scenario.detail}")
            continue
        exchange.fault(f"crash:validator={victim}")
        shutil.rmtree(exchange.data / f"validator-{victim}" / "store")


def _watch_stall(exchange: Running, window_s: float, violations: list[str]) -> tuple[int, float]:
    """Watch that nothing commits and that the exchange says so; return the last height and when it said so."""
    started_s = time.monotonic()
    time.sleep(_SETTLES_S)
    height = _height_of(exchange)
    unready_s = 0.0
    while time.monotonic() - started_s < window_s or not unready_s:
        status, text = exchange.get("/ready")
        if not unready_s and status == _HTTP_UNREADY and "reasons" in text:
            unready_s = time.monotonic() - started_s
        if time.monotonic() - started_s > _UNREADY_WITHIN_S:
            violations.append(
                f"/ready does not say within {_UNREADY_WITHIN_S:.0f} s that nothing commits: {text[:200]}"
            )
            break
        time.sleep(_POLL_S)
    found = _height_of(exchange)
    if found != height:
        violations.append(f"blocks came without two thirds of the power: {height} became {found}")
    return height, unready_s


def _wait_above(exchange: Running, height: int) -> None:
    """Wait for a block above a height; one that does not come shows in what was committed afterwards."""
    deadline_s = time.monotonic() + _BACK_WITHIN_S
    while _height_of(exchange) <= height and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)


def _height_of(exchange: Running) -> int:
    return max(int(str(row["height"])) for row in exchange.validators())


def _judge_row(row: Row, answers: list[Answer], times: _Times, stalled_height: int) -> None:
    if row.before.committed == 0 or row.after.committed == 0:
        row.violations.append(f"{row.before.committed} commands committed before, {row.after.committed} after")
    if not row.scenario.stalls:
        if row.during.per_s < _SHARE_MIN * row.before.per_s:
            row.violations.append(f"trading slowed from {row.before.per_s:.1f}/s to {row.during.per_s:.1f}/s")
        return
    false = [
        answer
        for answer in answers
        if answer.state == "committed"
        and answer.height > stalled_height
        and answer.began_ms
        and answer.began_ms + answer.took_ms < times.heal
    ]
    if false:
        row.violations.append(f"{len(false)} commands were acknowledged while nothing could commit: {false[0]}")
    if not row.pending:
        row.violations.append("no command was answered as pending while nothing could commit")


def measure(answers: Sequence[Answer], from_ms: int, to_ms: int) -> Latency:
    """Return how the commands that began in a window fared: those that were acknowledged in it."""
    took = sorted(
        answer.took_ms
        for answer in answers
        if answer.state == "committed" and from_ms <= answer.began_ms and answer.began_ms + answer.took_ms < to_ms
    )
    if not took:
        return Latency(0, 0.0, 0, 0)
    per_s = 1_000 * len(took) / (to_ms - from_ms)
    return Latency(len(took), per_s, took[len(took) // 2], took[min(len(took) - 1, len(took) * 99 // 100)])


def _count_pending(answers: Sequence[Answer], from_ms: int, to_ms: int) -> int:
    return sum(1 for answer in answers if answer.state == "pending" and from_ms <= answer.began_ms < to_ms)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
