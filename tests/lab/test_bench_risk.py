"""What the risk bench tells, and that it catches what it should. Nothing here is timed."""

import json
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli.main import app
from holdfast.lab.bench.risk import child, exchange, peers, run
from holdfast.lab.bench.risk.child import GROWTH, Answer, Task, measure
from holdfast.lab.bench.risk.duel import (
    Checked,
    Contender,
    Duel,
    Growth,
    Outcome,
    PeerMissingError,
    Taken,
    Times,
    WrongResultError,
    ensure_equal,
    fight,
    timed,
)
from holdfast.lab.bench.risk.rows import QUICK, Kind, Row, Size
from holdfast.lab.bench.risk.told import Figures, Told, write_page

MIB = 2**20


def make_row(kind: Kind, bound: float | None) -> Row:
    return Row("key", "this / that", kind, bound, "ns a thing", 1e9, "nowhere:nothing")


def make_outcome(own_s: float, peer_s: float | None, *, is_met: bool = True) -> Outcome:
    own = Times("own", own_s, own_s, 5 * MIB)
    if peer_s is None:
        return Outcome(own, None, 0.0, "that is not installed: make bench-peers", is_met=True)
    return Outcome(own, Times("peer", peer_s, peer_s, 7 * MIB), peer_s / own_s, "all equal", is_met=is_met)


def make_duel(own: int, peer: int, *, is_installed: bool = True) -> Duel[int, int]:
    def load_peer() -> Contender[int]:
        if not is_installed:
            raise PeerMissingError("that is not installed: make bench-peers")
        return Contender("peer", lambda: Taken(peer, 6.0))

    def compare(ours: int, theirs: int) -> Checked:
        ensure_equal(f"{ours} is not {theirs}", condition=ours == theirs)
        return Checked("all equal")

    return Duel(Contender("own", lambda: Taken(own, 2.0)), load_peer, compare)


@pytest.mark.parametrize(
    ("kind", "bound", "own_s", "peer_s", "verdict", "reached"),
    [
        (Kind.SPEED, 7, 1e-9, 8e-9, "reached", True),
        (Kind.SPEED, 7, 1e-9, 6e-9, "NOT reached", False),
        (Kind.COST, 1.5, 3e-9, 2e-9, "reached", True),
        (Kind.COST, 1.5, 4e-9, 2e-9, "NOT reached", False),
        (Kind.FIGURE, 50, 49e-9, 2e-6, "reached", True),
        (Kind.FIGURE, 50, 51e-9, 2e-6, "NOT reached", False),
        (Kind.FIGURE, 50, 49e-9, None, "reached", True),
        (Kind.SPEED, 7, 1e-9, None, "no peer", None),
        (Kind.SPEED, None, 1e-9, 2e-9, "no limit", None),
    ],
)
def test_told__measured__says_what_is_reached(
    kind: Kind, bound: float | None, own_s: float, peer_s: float | None, verdict: str, reached: bool | None
) -> None:
    told = Told(make_row(kind, bound), make_outcome(own_s, peer_s))
    assert told.verdict == verdict
    assert told.is_reached is reached
    assert told.list_cells()[5] == verdict


def test_told__the_bound_on_the_results_does_not_hold__is_not_reached() -> None:
    assert Told(make_row(Kind.SPEED, 2.5), make_outcome(1e-9, 9e-9, is_met=False)).verdict == "NOT reached"


def test_told__no_outcome__says_why() -> None:
    told = Told(make_row(Kind.SPEED, 7), None, "WRONG", "margins differ")
    assert told.verdict == "WRONG"
    assert told.is_reached is None
    assert told.list_cells() == ["key", "", "", "", "at least 7x", "WRONG", "", ""]


def test_figures__told__have_peak_memory_ratio_and_limit_beside_each_figure() -> None:
    rows = (
        Told(make_row(Kind.SPEED, 7), make_outcome(2e-9, 8e-9), words="all equal"),
        Told(make_row(Kind.SPEED, 7), make_outcome(2e-9, None), words="that is not installed: make bench-peers"),
        Told(make_row(Kind.SPEED, 3), None, "FAILED", "no memory"),
    )
    figures = Figures(QUICK, rows, (Growth(1_000, 0.002, 30e-9, 9 * MIB),), ("a note",), 3.0)
    told = json.loads(figures.to_json())
    assert told["rows"][0] == {
        "row": "key",
        "what": "this / that",
        "unit": "ns a thing",
        "figure": {"name": "own", "median": 2.0, "best": 2.0, "peak_memory_bytes": 5 * MIB},
        "peer": {"name": "peer", "median": 8.0, "best": 8.0, "peak_memory_bytes": 7 * MIB},
        "ratio": 4.0,
        "limit": 7,
        "limit_is": "at least",
        "verdict": "NOT reached",
        "reached": False,
        "words": "all equal",
    }
    assert told["rows"][1]["peer"] is None
    assert told["rows"][2]["figure"] is None
    assert told["not_reached"] == ["key"]
    assert told["growth"] == [{"accounts": 1_000, "margin_s": 0.002, "fill_s": 30e-9, "peak_bytes": 9 * MIB}]
    lines = "\n".join(figures.to_lines())
    assert "key  2 ns a thing  8     4x     at least 7x  NOT reached  5         7" in lines
    assert "key: this / that; peer; all equal" in lines
    assert "key: this / that; that is not installed: make bench-peers" in lines
    assert "NOT reached: key" in lines
    assert not figures.is_sound


def test_fight__same_results__tells_the_ratio_of_times() -> None:
    outcome = fight(make_duel(1, 1), 3)
    assert (outcome.own.median, outcome.speed, outcome.words) == (2.0, 3.0, "all equal")
    assert outcome.peer is not None
    assert outcome.own.peak_bytes > 0


def test_fight__planted_wrong_result__is_caught_before_it_is_timed() -> None:
    with pytest.raises(WrongResultError, match="1 is not 2"):
        fight(make_duel(1, 2), 3)


def test_fight__peer_missing__leaves_the_own_figure_and_says_so() -> None:
    outcome = fight(make_duel(1, 1, is_installed=False), 3)
    assert (outcome.own.median, outcome.peer, outcome.speed) == (2.0, None, 0.0)
    assert outcome.words == "that is not installed: make bench-peers"


def test_timed__short_call__is_told_a_unit() -> None:
    calls: list[int] = []
    taken = timed("append", lambda: calls.append(1), 4).take_turn()
    assert len(calls) > 1
    assert 0 < taken.figure < 1


@pytest.mark.parametrize(
    ("load", "module", "package"),
    [
        (peers.load_quantlib, "QuantLib", "QuantLib"),
        (peers.load_vollib, "vollib.black", "py_vollib"),
        (peers.load_sparse, "scipy.sparse", "scipy"),
    ],
)
def test_peers__not_installed__say_how_to_install_them(
    load: object, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PeerMissingError, match=f"{package} is not installed: make bench-peers"):
        load()  # type: ignore[operator]


def test_inexact__no_compiler__is_a_missing_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(PeerMissingError, match="no C compiler"):
        peers.compile_inexact()


def test_measure__planted_wrong_result__is_told_as_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "step", lambda _size: make_duel(1, 2))
    answer = measure(Task("step", QUICK))
    assert (answer.outcome, answer.failure, answer.words) == (None, child.WRONG, "1 is not 2")


def test_ask__child_fails__tells_its_last_line() -> None:
    answer = run.ask(Task("step", Size(turns=1, step_accounts=-3)))
    assert answer.failure == "FAILED"
    assert "Error" in answer.words


def test_ask__child_hangs__is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_CHILD", "import time; time.sleep(60)")
    monkeypatch.setattr(run, "_TIMEOUT_S", 0.2)
    assert run.ask(Task("step", QUICK)).words == "no answer within 0.2 s"


def test_page__growth_measured__shows_the_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    growth = tuple(Growth(10**power, 1e-8 * 10**power, 30e-9, 10**power + 40 * MIB) for power in (3, 4, 5))
    page = write_page(Figures(QUICK, (), growth, (), 1.0), tmp_path)
    assert 'src="growth.png"' in page.read_text(encoding="utf-8")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_page__no_growth__says_so(tmp_path: Path) -> None:
    page = write_page(Figures(QUICK, (), (), (), 1.0), tmp_path)
    assert "the growth was not measured" in page.read_text(encoding="utf-8")


def test_command__unknown_row__one_line_and_exit_2() -> None:
    result = CliRunner().invoke(app, ["bench", "risk", "--rows", "quantlib,nothing"])
    assert result.exit_code == 2
    assert "holdfast bench risk: --rows nothing: no such row; choose of quantlib," in result.output


def test_command__a_row_is_wrong__exits_1_and_tells_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "ask", lambda task: Answer(failure=child.WRONG, words=f"{task.key} differs"))
    result = CliRunner().invoke(app, ["bench", "risk", "--rows", f"scipy,{GROWTH}", "--quick", "--json"])
    assert result.exit_code == 1
    told = json.loads(result.output[result.output.index("{") :])
    assert [(row["row"], row["verdict"], row["words"]) for row in told["rows"]] == [("scipy", "WRONG", "scipy differs")]
    assert told["notes"][0] == "growth: growth differs"


def test_peers__pinned__are_the_extras_and_agree_with_the_core() -> None:
    repository = Path(__file__).parents[2]
    extras = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    pinned = _read_pins(repository / "benches" / "peers.txt")
    core = _read_pins(repository / "requirements.txt")
    assert {_normalise(name) for name in extras["peers"]} <= pinned
    names = {pin.partition("==")[0] for pin in pinned}
    assert {pin for pin in core if pin.partition("==")[0] in names} <= pinned
    assert not {"quantlib", "py-vollib", "vollib", "scipy"} & {pin.partition("==")[0] for pin in core}


def _read_pins(path: Path) -> set[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {_normalise(line.split()[0]) for line in lines if "==" in line and not line.startswith((" ", "#"))}


def _normalise(pin: str) -> str:
    return pin.lower().replace("_", "-")
