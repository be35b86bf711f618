"""What a replay knows of margin: the past that its chain begins with, calls, ranges, two runs side by side."""

import json
from pathlib import Path
from typing import Final

import pytest

from holdfast.lab import compare
from holdfast.lab.history import load_history
from holdfast.lab.replay import run_replay
from holdfast.lab.replay_margin import MarginTally, read_past
from holdfast.lab.replay_settings import ReplaySettings
from holdfast.lab.venues import Venues
from holdfast.lab.verdict import Verdict
from holdfast.primitives.units import MINUTE_MS
from holdfast.protocol.genesis import Genesis
from holdfast.protocol.ranges.messages import RangeChanged
from holdfast.protocol.ranges.params import RangeParams
from tests.support.exchange import BTC, ETH, USD, Market

T0_S: Final = 1_760_054_400
QUARTERS: Final = RangeParams(epoch_ms=15 * MINUTE_MS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return minutes of BTC, which gains a percent a quarter of an hour, and of ETH, which is silent in one of them."""
    made = tmp_path_factory.mktemp("history")
    for pair, first, gap in (("BTCUSD", 100_000, range(0)), ("ETHUSD", 4_000, range(25, 40))):
        rows = [
            f"{T0_S + 60 * minute},{first * 101 ** (minute // 15) / 100 ** (minute // 15):.2f}"
            for minute in range(-1, 100)
            if minute not in gap
        ]
        (made / f"alder_{pair}_1m.csv").write_text("unix_s,close\n" + "\n".join(rows) + "\n")
    return made


def past_at(folder: Path, minute: int) -> dict[int, tuple[int, ...]]:
    history = load_history(folder)
    venues = Venues(history, 1, MINUTE_MS)
    found = read_past(history, venues, (T0_S + 60 * minute) * 1_000, QUARTERS)
    return {past.underlying: past.returns_e9 for past in found}


def test_past__before_a_start_within_a_history__is_the_returns_between_its_epochs(folder: Path) -> None:
    past = past_at(folder, 62)
    assert past[BTC] == pytest.approx([10_000_000] * 4, rel=2e-3)


def test_past__with_an_epoch_that_nobody_priced__spreads_its_return_over_both(folder: Path) -> None:
    past = past_at(folder, 62)
    # Two percents in two epochs count as 2 % over the root of two.
    assert past[ETH] == pytest.approx([10_000_000, 20_100_000 / 2**0.5, 10_000_000], rel=2e-3)


def test_past__at_the_beginning_of_a_history__is_none(folder: Path) -> None:
    assert past_at(folder, 0) == {}
    assert past_at(folder, 14) == {}


def test_margin_calls__counted_when_an_account_newly_lacks_initial_margin() -> None:
    market = Market(2, cash=40_000 * USD)
    tally = MarginTally()
    market.trade(0, 1, market.future(), 150)
    market.block()
    tally.look(market.draft)
    assert tally.calls == 0
    market.solo.prices[BTC] = market.solo.prices[BTC] * 92 // 100
    market.run(3)
    need = market.need(0)
    assert need.equity_atoms < need.initial_atoms
    for _ in range(2):
        tally.look(market.draft)
    figures = tally.figures(Genesis("c", 1, (), bytes(32)))
    assert (figures.margin_calls, figures.accounts_called) == (1, 1)
    assert figures.ranges_first_ppm == figures.ranges_last_ppm == {"BTC": 160_000, "ETH": 180_000}


def test_margin_tally__of_changes__counts_those_beyond_what_was_announced() -> None:
    tally = MarginTally()
    tally.note_event(RangeChanged(BTC, 160_000, 170_000, is_emergency=False))
    tally.note_event(RangeChanged(BTC, 170_000, 200_000, is_emergency=True))
    figures = tally.figures(Genesis("c", 1, (), bytes(32), range_params=RangeParams(is_adaptive=False)))
    assert (figures.range_changes, figures.range_emergencies, figures.is_adaptive) == (2, 1, False)


@pytest.fixture(scope="module")
def verdicts(folder: Path) -> list[tuple[str, Verdict]]:
    """Return the same quarter of an hour with both margins."""
    return [
        (
            name,
            run_replay(
                ReplaySettings(
                    path=folder,
                    agents=24,
                    blocks=12,
                    start="01:12",
                    is_small=True,
                    seed=3,
                    is_adaptive=name == "adaptive",
                )
            ).verdict,
        )
        for name in ("fixed", "adaptive")
    ]


def test_replay__fixed__keeps_its_start_and_adaptive_begins_with_its_past(
    verdicts: list[tuple[str, Verdict]],
) -> None:
    (_, fixed), (_, adaptive) = verdicts
    assert fixed.is_good
    assert adaptive.is_good
    assert fixed.margin.ranges_first_ppm == fixed.margin.ranges_last_ppm == {"BTC": 160_000, "ETH": 180_000}
    assert adaptive.margin.past_epochs == 1
    assert adaptive.margin.ranges_first_ppm != fixed.margin.ranges_first_ppm


def test_compare__two_verdicts__name_the_same_figures_side_by_side(verdicts: list[tuple[str, Verdict]]) -> None:
    head, *rows = compare.to_words(verdicts).splitlines()
    assert head.split() == ["margin", "fixed", "adaptive"]
    assert len({len(row) for row in rows}) == 1
    told = json.loads(compare.to_json(verdicts))
    assert told["fixed"]["insurance_used_atoms"] == verdicts[0][1].insurance_used_atoms
