"""The journal: bytes on the disk before they leave, ends when they are known, and nothing made up after a crash."""

import multiprocessing
import os
from pathlib import Path

import pytest

from holdfast.client import journal as journal_module
from holdfast.client.journal import Entry, Journal, JournalError

GENESIS = "cd" * 32


def entry(number: int, *, nonce: int | None = None, genesis: str = GENESIS) -> Entry:
    return Entry(
        tx_hash=f"{number:064x}",
        tx="00" * 40,
        account_id=1_000,
        signer="ab" * 32,
        nonce=number if nonce is None else nonce,
        chain_id="solo",
        genesis_hash=genesis,
        time_ms=1,
    )


def open_hashes(journal: Journal) -> list[int]:
    return [int(one.tx_hash, 16) for one in journal.list_open(GENESIS)]


def test_journal__an_entry__is_on_the_disk_when_begin_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    journal = Journal(tmp_path / "journal")
    journal.begin(entry(1))
    assert len(synced) == 1
    assert Journal(tmp_path / "journal").read() == [entry(1)]


def test_journal__opened_again__knows_what_is_open_and_the_highest_nonce(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    for number in (1, 2, 3):
        journal.begin(entry(number))
    journal.end(entry(2).tx_hash, "committed", 17, 0)
    journal.begin(entry(9, genesis="ee" * 32))
    journal.close()
    again = Journal(tmp_path / "journal")
    assert open_hashes(again) == [1, 3]
    assert again.get_highest_nonce(GENESIS, 1_000, "ab" * 32) == 3
    assert again.get_highest_nonce(GENESIS, 1_001, "ab" * 32) == 0
    ended = next(one for one in again.read() if one.tx_hash == entry(2).tx_hash)
    assert (ended.state, ended.height, ended.code, ended.tx) == ("committed", 17, 0, "00" * 40)


def test_end__told_twice_or_of_an_unknown_entry__changes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.begin(entry(1))
    journal.end(entry(1).tx_hash, "committed", 5, 0)
    size = (tmp_path / "journal").stat().st_size
    journal.end(entry(1).tx_hash, "rejected", 0, 7)
    journal.end(entry(2).tx_hash, "rejected", 0, 7)
    assert (tmp_path / "journal").stat().st_size == size
    assert journal.read()[0].state == "committed"


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_journal__a_line_torn_by_a_crash__is_dropped_and_hides_none_after_it(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.begin(entry(1))
    whole = path.stat().st_size
    journal.begin(entry(2))
    journal.close()
    os.truncate(path, whole + cut)
    again = Journal(path)
    assert open_hashes(again) == [1]
    again.begin(entry(3))
    assert open_hashes(Journal(path)) == [1, 3]


def test_begin__a_disk_that_fails__is_told_and_nothing_counts_as_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "journal")

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(JournalError, match=r"No space left on device; .* nothing was sent"):
        journal.begin(entry(1))
    assert open_hashes(journal) == []


def test_journal__a_long_file__is_shortened_to_what_still_matters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    for number in range(1, 51):
        journal.begin(entry(number))
        if number % 10:
            journal.end(entry(number).tx_hash, "committed", number, 0)
    monkeypatch.setattr(journal_module, "_BYTES_MAX", 100)
    shorter = Journal(path)
    assert open_hashes(shorter) == [10, 20, 30, 40, 50]
    assert shorter.get_highest_nonce(GENESIS, 1_000, "ab" * 32) == 50
    assert len(shorter.read()) == 5
    # Whoever had the longer file open goes on in the shorter one.
    journal.begin(entry(51))
    assert open_hashes(Journal(path)) == [10, 20, 30, 40, 50, 51]


def _write_many(path: str, first: int) -> None:
    journal = Journal(Path(path))
    for number in range(first, first + 40):
        journal.begin(entry(number))


def test_journal__two_programs_that_share_it__lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(str(path), first)) for first in (100, 200)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
        assert writer.exitcode == 0
    assert sorted(open_hashes(Journal(path))) == [*range(100, 140), *range(200, 240)]
