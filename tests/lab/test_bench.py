"""What the bench tells, and that the exchange and its peer do the same work. Nothing here is timed."""

import json
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli.main import app
from holdfast.lab.bench import figures
from holdfast.lab.bench.bare_book import BareBook
from holdfast.lab.bench.figures import GOALS, Goal, Told, measure
from holdfast.lab.bench.flow import make_flow
from holdfast.lab.bench.paths import Bench, Sizes
from holdfast.lab.bench.replays import ReplayFigures
from holdfast.lab.bench.stages import STAGES, StageTimes
from holdfast.lab.solo import Solo
from holdfast.protocol.trading.messages import CancelAll

SMALL = Sizes(orders=192, accounts=8, resting=32, bundle=8)


@pytest.mark.parametrize("run", [1, 8])
def test_flow__cancels__only_what_rests(run: int) -> None:
    flow = make_flow(1_000, 10, 5_000, resting=50, run=run, seed=3)
    book = BareBook()
    for number, step in enumerate(flow.steps):
        if step.cancels < 0:
            book.place(number, step.side, step.price_ticks, step.lots)
        else:
            assert step.cancels in book.orders
            assert flow.steps[step.cancels].account == step.account
            book.cancel(step.cancels)
    assert 20 <= len(book.orders) <= 120
    assert 0.2 <= sum(step.cancels >= 0 for step in flow.steps[flow.warm :]) / 1_000 <= 0.5
    assert all(len({step.account for step in flow.steps[at : at + run]}) == 1 for at in range(0, 1_000, run))


def test_flow__same_seed__is_the_same() -> None:
    assert make_flow(300, 5, 900, resting=20, seed=4) == make_flow(300, 5, 900, resting=20, seed=4)
    assert make_flow(300, 5, 900, resting=20, seed=4) != make_flow(300, 5, 900, resting=20, seed=5)


def test_machine_and_book__same_flow__fill_the_same() -> None:
    bench = Bench(SMALL)
    for work in (bench.singles, bench.bundles):
        book = BareBook()
        warm_fills = 0
        for number, step in enumerate(work.flow.steps):
            if number == work.flow.warm:
                warm_fills = book.fills
            if step.cancels < 0:
                book.place(number, step.side, step.price_ticks, step.lots)
            else:
                book.cancel(step.cancels)
        run = bench.run_machine(work, 64, rebuilds=True)
        assert run.refused == 0
        assert run.fills == book.fills - warm_fills > 0


def test_stages__watched__put_every_function_back() -> None:
    before = [getattr(stage.owner, stage.function) for stage in STAGES]
    times = StageTimes()
    run = Bench(SMALL).run_signed(Bench(SMALL).singles, 64, times)
    assert [getattr(stage.owner, stage.function) for stage in STAGES] == before
    assert {"verify", "admission", "execute", "root", "commit", "store", "rest"} <= set(run.stages)
    assert abs(sum(run.stages.values()) * run.rate - 1_000_000) < 1


def test_measure__small_run__tells_every_figure() -> None:
    steps: list[tuple[str, int, int]] = []
    result = measure(SMALL, None, 2, lambda *step: steps.append(step))
    assert [done for _, done, _ in steps] == list(range(steps[0][2]))
    told = json.loads(result.to_json())
    assert len(told["rates"]) == 7
    assert [goal["name"] for goal in told["goals"]] == [goal.key for goal in GOALS if not goal.key.startswith("replay")]
    assert told["refused"] == 0
    assert told["replay"] is None
    assert set(told["stages_us"]) == {"signed", "signed, 500", "machine"}
    assert 0 < told["root_share"] < 1
    words = result.to_words()
    assert words.count("reached") + words.count("REACHED") >= len(told["goals"])


@pytest.mark.parametrize(
    ("goal", "value", "words"),
    [
        (Goal("x", "x", 0.4, 0.8), 0.5, "at least 0.4: reached; aim 0.8 not reached"),
        (Goal("x", "x", 0.4, 0.8), 0.3, "at least 0.4: NOT REACHED; aim 0.8 not reached"),
        (Goal("x", "x", 0.4, 0.8), 0.9, "at least 0.4: reached; aim 0.8 reached"),
        (Goal("x", "x", 1.2, is_most=True), 1.1, "at most 1.2: reached"),
        (Goal("x", "x", 1.2, is_most=True), 1.3, "at most 1.2: NOT REACHED"),
    ],
)
def test_goal__measured__says_what_is_reached(goal: Goal, value: float, words: str) -> None:
    assert Told(goal, value).to_words().endswith(words)


def test_replay_figures__told__count_among_the_goals(monkeypatch: pytest.MonkeyPatch) -> None:
    replayed = ReplayFigures("history", 1_440, 20_000, 100.0, 1.5, 2**29)
    monkeypatch.setattr(figures, "measure_replay", lambda _path: replayed)
    result = measure(SMALL, Path("history"), 1, lambda *_: None)
    told = {goal["name"]: goal for goal in json.loads(result.to_json())["goals"]}
    assert told["replay_blocks_a_second"]["reached"]
    assert told["replay_peak_mib"]["value"] == 512
    assert "1,440 blocks" in result.to_words()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--orders", "5"], "holdfast bench: --orders 5: too few to measure; give at least 100"),
        (["--repetitions", "0"], "holdfast bench: --repetitions 0: nothing would be measured; give at least 1"),
        (["--replay", "nowhere"], "holdfast bench: --replay nowhere: no such file or folder"),
    ],
)
def test_bench__bad_input__one_line_and_exit_2(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["bench", *arguments])
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_stages__called_from_another_thread__are_not_counted() -> None:
    solo = Solo(1)
    tx = solo.sign(0, CancelAll(0))
    times = StageTimes()
    times.watch()
    try:
        thread = threading.Thread(target=solo.block, args=(tx,))
        thread.start()
        thread.join()
    finally:
        times.unwatch()
    assert solo.height == 1
    assert set(times.seconds.values()) == {0.0}
