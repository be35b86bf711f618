"""Journals held against blocks: every planted lie is found."""

from pathlib import Path

import msgspec
import pytest

from holdfast.client.journal import Entry
from holdfast.lab.chaos.evidence import ChainLog, Committed
from holdfast.lab.chaos.journals import Tail, judge
from holdfast.lab.chaos.load import ANSWERS_FILE, JOURNAL_FILE, Answer
from holdfast.protocol.custody.messages import Withdraw
from holdfast.protocol.messages import Envelope

SIGNER = bytes(range(32))


def begun(name: str, nonce: int, time_ms: int = 5) -> Entry:
    return Entry(tx_hash=name, tx="00", account_id=7, signer=SIGNER.hex(), nonce=nonce, time_ms=time_ms)


def ended(name: str, state: str, height: int = 0, code: int = 0) -> Entry:
    return Entry(tx_hash=name, state=state, height=height, code=code)


def make_chain(**txs: tuple[int, int, int]) -> ChainLog:
    chain = ChainLog()
    for name, (height, code, nonce) in txs.items():
        chain.txs[name] = [Committed(height, code, Envelope(7, SIGNER, nonce, Withdraw(0, 1)))]
    return chain


def write(folder: Path, entries: list[Entry], answers: list[Answer]) -> Path:
    (folder / JOURNAL_FILE).write_bytes(b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries))
    (folder / ANSWERS_FILE).write_bytes(b"".join(msgspec.json.encode(answer) + b"\n" for answer in answers))
    return folder


def test_judge__true_journal__has_each_command_in_one_class_and_no_violation(tmp_path: Path) -> None:
    entries = [begun(name, nonce) for nonce, name in enumerate(("a", "b", "c", "d"), 1)]
    ends = [ended("a", "committed", 3, 0), ended("b", "rejected", 0, 1004)]
    chain = make_chain(a=(3, 0, 1), c=(4, 6012, 3), e=(5, 0, 4), f=(5, 0, 2))
    judged = judge(write(tmp_path, [*entries, *ends], [Answer("a", "place", "committed", 3)]), chain)
    assert judged.violations == []
    assert judged.classes == {"committed": 1, "rejected": 1, "resolved: committed": 1, "resolved: rejected": 1}


@pytest.mark.parametrize(
    ("end", "chain", "words"),
    [
        (ended("a", "committed", 3, 0), make_chain(), "is in no block"),
        (ended("a", "committed", 3, 0), make_chain(a=(4, 0, 1)), "was acknowledged as 0 at 3, and is 0 at 4"),
        (ended("a", "committed", 3, 0), make_chain(a=(3, 6012, 1)), "and is 6012 at 3"),
        (ended("a", "rejected", 0, 1004), make_chain(a=(3, 0, 1)), "was rejected and is at height 3"),
        (ended("a", "", 0, 0), make_chain(), "its nonce 1 may still be used"),
        (ended("a", "committed", 3, 0), make_chain(a=(3, 0, 1), b=(3, 0, 1)), "1 nonces were used more than once"),
    ],
)
def test_judge__planted_lie__is_found(tmp_path: Path, end: Entry, chain: ChainLog, words: str) -> None:
    judged = judge(write(tmp_path, [begun("a", 1), end], []), chain)
    assert [words in violation for violation in judged.violations] == [True]


def test_judge__command_in_two_blocks__is_found(tmp_path: Path) -> None:
    chain = make_chain(a=(3, 0, 1))
    chain.txs["a"] *= 2
    assert judge(write(tmp_path, [], []), chain).violations == ["a is in 2 blocks"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer("a", "place", "committed", 9, 0), "the blocks say [(3, 0)]"),
        (Answer("a", "place", "rejected"), "was answered with a rejection and is at height 3"),
    ],
)
def test_judge__another_answer_than_the_blocks__is_found(tmp_path: Path, answer: Answer, words: str) -> None:
    violations = judge(write(tmp_path, [], [answer]), make_chain(a=(3, 0, 1))).violations
    assert [words in violation for violation in violations] == [True]


def test_tail__of_a_growing_journal__counts_what_has_no_end_since_a_time(tmp_path: Path) -> None:
    tail = Tail(tmp_path / JOURNAL_FILE)
    assert tail.count_open(0) == 0
    write(tmp_path, [begun("a", 1, 5), begun("b", 2, 9)], [])
    assert (tail.count_open(0), tail.count_open(6)) == (2, 1)
    with (tmp_path / JOURNAL_FILE).open("ab") as file:
        file.write(msgspec.json.encode(ended("b", "committed", 3)) + b"\n" + b'{"tx_hash": "torn')
    assert tail.count_open(0) == 1
