"""The operator's page names what the code has: figures, log events, files, and lines that a failure really prints."""

import re
from pathlib import Path
from typing import Final

import pytest
from prometheus_client import CollectorRegistry

from holdfast.gateway.metrics import Metrics
from holdfast.node import blockstore, home, replica_permit, replica_restore, snapshots, store, version, wal
from tests.support.gateway import open_market

REPOSITORY: Final = Path(__file__).parents[2]
PAGE: Final = (REPOSITORY / "docs" / "operating.md").read_text(encoding="utf-8")
CODE: Final = "\n".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "src").rglob("*.py"))
FIGURES: Final = re.compile(r"`((?:holdfast|process)_[a-z_]+)(?:\{[^`]*\})?`")


def _section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def _registered(registry: CollectorRegistry) -> set[str]:
    return {name for metric in registry.collect() for name in (metric.name, f"{metric.name}_total")}


def test_page__every_figure__is_one_of_the_metrics() -> None:
    known = _registered(Metrics(open_market(1, 0)).registry)
    named = set(FIGURES.findall(PAGE))
    assert len(named) > 12
    assert named <= known


def test_page__every_log_event__is_written_by_the_code() -> None:
    events = [
        name
        for row in re.findall(r"^\| (?:error|warning|info) \| ([^|]+) \|", _section("Logs"), re.MULTILINE)
        for name in re.findall(r"`([a-z_]+)`", row)
    ]
    assert len(events) > 15
    assert [event for event in events if f'"{event}"' not in CODE] == []


@pytest.mark.parametrize(
    "name",
    [
        home.ABOUT_FILE,
        home.GENESIS_FILE,
        home.INDEX_FILE,
        version.FILE,
        f"{blockstore.PREFIX}H",
        f"{snapshots.PREFIX}H",
        f"{store.LOG_PREFIX}H",
        f"{wal.PREFIX}H",
        replica_permit.FILE,
        replica_restore.FILE,
        "checkpoints",
        "lock",
        "unfinished",
    ],
)
def test_page__every_file_of_a_data_directory__is_explained(name: str) -> None:
    assert f"| `{name}`" in PAGE


@pytest.mark.parametrize(
    "words",
    [
        "is in use",
        "in use by process",
        "already signs with validator key",
        "holds files, and none is",
        "so others may read the key",
        "is damaged",
        "no more than two thirds of the power runs",
        "no block has come for",
    ],
)
def test_page__what_an_operator_sees__is_what_the_code_says(words: str) -> None:
    assert words in _section("When something is wrong")
    assert words in CODE
