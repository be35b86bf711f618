"""The report: a page that needs nothing but itself, and a picture."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.lab.replay import Replay, run_replay
from holdfast.lab.replay_settings import ReplaySettings
from holdfast.lab.report import write_report

if TYPE_CHECKING:
    from collections.abc import Sized

EXAMPLE = Path(__file__).parents[2] / "examples" / "crash_hour"


@pytest.fixture(scope="module")
def result() -> Replay:
    return run_replay(
        ReplaySettings(
            path=EXAMPLE,
            agents=24,
            blocks=8,
            is_small=True,
            wants_series=True,
            faults=("crash:validator=1,from=3,to=5",),
        )
    )


def test_report__page__shows_plots_and_tables_and_loads_nothing(result: Replay, tmp_path: Path) -> None:
    page = write_report(result, tmp_path)
    text = page.read_text(encoding="utf-8")
    assert page.name == "index.html"
    assert text.count("<svg") >= 7
    for title in ("median", "equity", "Insurance fund", "Liquidations", "Validators", "Conservation", "Invariants"):
        assert title in text
    assert f"<td>BTC</td>{'<td>16.00 %</td>' * 4}" in text
    assert "margin calls" in text
    assert "every promise held" in text
    assert result.verdict.root_log_sha256 in text
    assert "crash:validator=1,from=3,to=5" in text
    for loader in ("<script", "<link", "src=", "@import"):
        assert loader not in text


def test_report__picture__is_a_png(result: Replay, tmp_path: Path) -> None:
    write_report(result, tmp_path)
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_series__every_list__has_one_entry_an_interval(result: Replay) -> None:
    series = result.series
    assert series is not None
    count = len(series.times_ms)
    assert count == 8
    assert series.elapsed == list(range(1, 9))
    lists: list[Sized] = [
        series.insurance_atoms,
        series.liquidated,
        series.in_liquidation,
        series.fills,
        series.looks,
        *series.medians.values(),
        *series.equity_ppm.values(),
        *series.heights.values(),
        *(prices for venues in series.venues.values() for prices in venues.values()),
    ]
    assert {len(one) for one in lists} == {count}
    assert None in series.heights["validator 1"]
    assert None not in series.heights["validator 0"]
