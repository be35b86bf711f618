"""A client's journal and answers against what the chain holds: each command in exactly one class, and nothing false.

committed    in one block, with the height and the result that the client was told
rejected     in no block
resolved     the client never learnt its end, and now it is known
unresolved   nobody can tell: never
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import msgspec

from holdfast.client.journal import Entry
from holdfast.lab.chaos.evidence import ChainLog
from holdfast.lab.chaos.load import ANSWERS_FILE, JOURNAL_FILE, Answer


class Tail:
    """A journal that is being written: how many of its commands are under way."""

    def __init__(self, path: Path) -> None:
        """Begin at its start."""
        self._path = path
        self._read = 0
        self._open: dict[str, int] = {}

    def count_open(self, since_ms: int) -> int:
        """Return how many commands were begun since a time and have no end yet."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                data = file.read()
            whole = data.rfind(b"\n") + 1
            self._read += whole
            for line in data[:whole].splitlines():
                self._take(line)
        return sum(1 for time_ms in self._open.values() if time_ms >= since_ms)

    def _take(self, line: bytes) -> None:
        if not line:
            return
        entry = msgspec.json.decode(line, type=Entry)
        if entry.state:
            self._open.pop(entry.tx_hash, None)
        else:
            self._open[entry.tx_hash] = entry.time_ms


class Judged(NamedTuple):
    """How many commands are in each class, and what is false."""

    classes: dict[str, int]
    kinds: dict[str, int]
    violations: list[str]


def read_journal(folder: Path) -> dict[str, Entry]:
    """Return a client's commands by hash, each with the first end that was noted."""
    entries: dict[str, Entry] = {}
    for line in (folder / JOURNAL_FILE).read_bytes().splitlines():
        if not line:
            continue
        entry = msgspec.json.decode(line, type=Entry)
        known = entries.get(entry.tx_hash)
        if known is None:
            entries[entry.tx_hash] = entry
        elif not known.state:
            end = {"state": entry.state, "height": entry.height, "code": entry.code}
            entries[entry.tx_hash] = msgspec.structs.replace(known, **end)
    return entries


def read_answers(folder: Path) -> list[Answer]:
    """Return all that a client was told, in order."""
    decoder = msgspec.json.Decoder(Answer)
    return [decoder.decode(line) for line in (folder / ANSWERS_FILE).read_bytes().splitlines() if line]


def judge(folder: Path, chain: ChainLog) -> Judged:
    """Hold a client's journal and answers against the blocks."""
    entries = read_journal(folder)
    answers = read_answers(folder)
    violations = [f"{tx_hash} is in {len(found)} blocks" for tx_hash, found in chain.txs.items() if len(found) > 1]
    classes: Counter[str] = Counter()
    nonces = {
        (one[0].envelope.account_id, one[0].envelope.signer.hex(), one[0].envelope.nonce) for one in chain.txs.values()
    }
    if len(nonces) != len(chain.txs):
        violations.append(f"{len(chain.txs) - len(nonces)} nonces were used more than once")
    for entry in entries.values():
        is_gone = (entry.account_id, entry.signer, entry.nonce) in nonces
        name, violation = _classify(entry, chain, is_gone=is_gone)
        classes[name] += 1
        if violation:
            violations.append(violation)
    for answer in answers:
        violations.extend(_check_answer(answer, chain))
    kinds = Counter(answer.kind for answer in answers)
    return Judged(dict(sorted(classes.items())), dict(sorted(kinds.items())), violations)


def _classify(entry: Entry, chain: ChainLog, *, is_gone: bool) -> tuple[str, str]:
    found = chain.txs.get(entry.tx_hash, [])
    match entry.state:
        case "committed":
            if not found:
                return "committed", f"{entry.tx_hash} was acknowledged at height {entry.height} and is in no block"
            if (found[0].height, found[0].code) != (entry.height, entry.code):
                return "committed", (
                    f"{entry.tx_hash} was acknowledged as {entry.code} at {entry.height},"
                    f" and is {found[0].code} at {found[0].height}"
                )
            return "committed", ""
        case "rejected":
            return "rejected", f"{entry.tx_hash} was rejected and is at height {found[0].height}" if found else ""
    if found:
        return "resolved: committed", ""
    if is_gone:
        return "resolved: rejected", ""
    return "unresolved", f"{entry.tx_hash} is in no block, and its nonce {entry.nonce} may still be used"


def _check_answer(answer: Answer, chain: ChainLog) -> list[str]:
    found = chain.txs.get(answer.tx_hash, [])
    if answer.state == "committed" and [(one.height, one.code) for one in found] != [(answer.height, answer.code)]:
        where = [(one.height, one.code) for one in found]
        return [f"{answer.tx_hash} was answered with {answer.code} at {answer.height}, the blocks say {where}"]
    if answer.state == "rejected" and found:
        return [f"{answer.tx_hash} was answered with a rejection and is at height {found[0].height}"]
    return []
