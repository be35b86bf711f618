"""Kills under load, on real processes: a few of them, and what the files and the journal say afterwards."""

import re
from pathlib import Path

import pytest

from holdfast.lab.chaos import journals, kills
from holdfast.lab.chaos.evidence import ChainLog, Signatures
from holdfast.lab.chaos.load import JOURNAL_FILE
from holdfast.lab.chaos.running import ExchangeDownError, Running


@pytest.mark.slow
def test_kills__under_load__lose_nothing(tmp_path: Path) -> None:
    report = kills.run(tmp_path, seed=6, runs=1, rate=20.0)
    assert report.violations == []
    assert report.with_commands == 1
    assert report.classes["committed"] > 20
    assert report.heights > 10
    assert report.votes > 4 * report.heights
    # What the run was judged by sees a lie: an acknowledgement that is moved by one block.
    journal = tmp_path / "client" / JOURNAL_FILE
    journal.write_bytes(re.sub(rb'"height":([0-9]+)', rb'"height":1\1', journal.read_bytes(), count=1))
    chain, signatures = ChainLog(), Signatures()
    for index, store in enumerate(kills.list_stores(tmp_path / "data")):
        chain.add_store(index, store, signatures)
    assert journals.judge(tmp_path / "client", chain).violations
    # A validator that stood a block behind the others when all ended cannot tell.
    stores = kills.list_stores(tmp_path / "data")
    assert [text for store in stores for text in kills.check_money(tmp_path / "data", store, chain)] == []
    chain.deposited_atoms[0] += 1
    found = [text for store in stores for text in kills.check_money(tmp_path / "data", store, chain)]
    assert {text.startswith("USDC: the blocks tell of") for text in found} == {True}


def test_exchange__that_cannot_come_up__is_told_in_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "letter.txt").write_text("dear reader")
    exchange = Running(tmp_path / "data", tmp_path / "log")
    exchange.start()
    with pytest.raises(ExchangeDownError, match="not a Holdfast data directory"):
        exchange.wait_ready(20.0)
    assert exchange.exit_code == 1
