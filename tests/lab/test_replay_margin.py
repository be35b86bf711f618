"""What a replay knows of margin: the past that its chain begins with, calls, ranges, two runs side by side."""

import json
from pathlib import Path
from typing import Final

import pytest

from holdfast.lab import compare
from holdfast.lab.history import load_history
from holdfast.lab.replay import run_replay
from holdfast.lab.replay_margin import Look, MarginTally
from holdfast.lab.replay_past import read_past
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


def test_past__of_an_underlying_whose_history_begins_later__is_shorter_or_none(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "alder_BTCUSD_1m.csv").write_bytes((folder / "alder_BTCUSD_1m.csv").read_bytes())
    head, *rows = (folder / "alder_ETHUSD_1m.csv").read_text().splitlines()
    (tmp_path / "alder_ETHUSD_1m.csv").write_text("\n".join([head, *rows[45:]]) + "\n")
    past = past_at(tmp_path, 62)
    assert (len(past[BTC]), past[ETH]) == (4, ())


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
    tally.look(market.draft, 1)
    assert tally.calls == 0
    market.solo.prices[BTC] = market.solo.prices[BTC] * 92 // 100
    market.run(3)
    need = market.need(0)
    assert need.equity_atoms < need.initial_atoms
    for time_ms in (2, 3):
        tally.look(market.draft, time_ms)
    figures = tally.figures(Genesis("c", 1, (), bytes(32)))
    assert (figures.margin_calls, figures.accounts_called) == (1, 1)
    assert figures.ranges_first_ppm == figures.ranges_last_ppm == {"BTC": 160_000, "ETH": 180_000}


def look(time_ms: int, price: int, *, locked: int, interest: int, **changes: object) -> Look:
    fields: dict[str, object] = {
        "time_ms": time_ms,
        "prices_e8": {"BTC": price},
        "ranges_ppm": {"BTC": locked},
        "interest_usd": interest,
        "locked_atoms": locked,
        "short_accounts": 0,
        "under_accounts": 0,
        "under_equity_atoms": 0,
        "under_locked_atoms": 0,
        "owed_atoms": 0,
        "fund_atoms": 400,
        **changes,
    }
    return Look(**fields)  # type: ignore[arg-type]


def test_margin_figures__of_a_crash__tell_of_before_within_and_after_it() -> None:
    hour = 60 * MINUTE_MS
    tally = MarginTally()
    tally.looks = [
        look(0, 0, locked=900, interest=1_000),
        look(hour, 100, locked=200, interest=1_000),
        look(2 * hour, 90, locked=300, interest=1_000, under_equity_atoms=60, under_locked_atoms=100),
        look(3 * hour, 95, locked=250, interest=500, under_equity_atoms=-20, under_locked_atoms=80, owed_atoms=40),
    ]
    figures = tally.figures(Genesis("c", 1, (), bytes(32)))
    assert (figures.before, figures.crash, figures.after) == tuple(tally.looks[1:])
    assert (figures.interest_peak_usd, figures.owed_most_atoms, figures.owed_most_of_fund_ppm) == (1_000, 40, 100_000)
    assert figures.under_equity_least_ppm == -250_000
    # Half of the open interest is locked at the end, a fifth of it before the crash.
    assert figures.locked_rise_ppm == 2_500_000
    assert (figures.ranges_lowest_ppm, figures.ranges_highest_ppm) == ({"BTC": 200}, {"BTC": 900})


def test_look__of_a_market__adds_up_open_interest_and_what_is_locked() -> None:
    market = Market(2, cash=40_000 * USD)
    market.trade(0, 1, market.future(), 150)
    market.block()
    found = MarginTally().look(market.draft, 5)
    needs = [market.need(place) for place in (0, 1)]
    assert found.locked_atoms == sum(need.maintenance_atoms for need in needs)
    assert (found.interest_usd, found.prices_e8["BTC"]) == (180_000, 120_000 * 10**8)
    assert (found.under_accounts, found.owed_atoms) == (0, 0)
    market.solo.prices[BTC] = market.solo.prices[BTC] * 75 // 100
    market.run(3)
    fallen, long = MarginTally().look(market.draft, 6), market.need(0)
    assert long.equity_atoms < 0
    assert fallen.owed_atoms == -long.equity_atoms
    assert (fallen.under_accounts, fallen.under_equity_atoms) == (1, long.equity_atoms)


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


def test_replay__of_a_crash__liquidates_speculators_and_covers_every_deficit() -> None:
    example = Path(__file__).parents[2] / "examples" / "crash_hour"
    settings = ReplaySettings(
        path=example, validators=1, agents=40, seed=7, is_small=True, stretch_ppm=1_500_000, is_adaptive=False
    )
    verdict = run_replay(settings).verdict
    margin = verdict.margin
    assert verdict.failures == ()
    assert verdict.liquidated_kinds["speculator"] >= 3
    assert verdict.auctions > 0
    assert sum(verdict.liquidated_kinds.values()) == verdict.liquidated_accounts
    assert verdict.deficits > 0
    assert verdict.deficit_atoms <= verdict.insurance_used_atoms + verdict.haircut_atoms
    assert margin.interest_peak_usd > 1_000_000
    assert margin.before is not None
    assert margin.crash is not None
    assert margin.crash.prices_e8["BTC"] < margin.before.prices_e8["BTC"] * 9 // 10
    assert verdict.undercollateralised_at_end == 0
