"""What the files of stopped validators say, read without the node's own start: blocks, outcomes, signatures, money.

Nothing here changes a file, so it may look at what a crash has left. What a validator has signed is gathered over many
looks, because its log forgets heights that are committed.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from holdfast.consensus.messages import Block, Vote, VoteKind, decode_block, decode_vote
from holdfast.node.blockstore import BlockStore, Outcome
from holdfast.node.disk import ReadOnlyDisk
from holdfast.node.frames import read_prefix
from holdfast.node.wal import PREFIX as SIGNED_PREFIX
from holdfast.primitives.crypto import sha256
from holdfast.primitives.reject import Malformed
from holdfast.protocol.custody.messages import Deposited, Withdrawn
from holdfast.protocol.messages import BLOCK_EVENTS_DECODER, ENVELOPE_DECODER, TX_DECODER, Envelope

_ENTRY_HEAD_BYTES: Final = 9
_VOTE_ENTRY: Final = b"v"


class Slot(NamedTuple):
    """Where a validator may sign one thing only."""

    validator: int
    height: int
    round: int
    kind: VoteKind


class Signatures:
    """Every vote that was ever seen, in sign logs and in block logs."""

    def __init__(self) -> None:
        """Start with none."""
        self.votes: dict[Slot, tuple[bytes, bytes]] = {}
        self.conflicts: list[str] = []
        self.repeated = 0
        self._read: dict[Path, int] = {}

    def add(self, vote: Vote) -> None:
        """Note a vote, and a conflict where another was seen in its slot."""
        slot = Slot(vote.validator_index, vote.height, vote.round, vote.kind)
        seen = self.votes.setdefault(slot, (vote.block_hash, vote.signature))
        if seen[0] != vote.block_hash:
            names = " and ".join(sorted((part.hex()[:16] or "nil") for part in (seen[0], vote.block_hash)))
            self.conflicts.append(
                f"validator {slot.validator} voted twice at height {slot.height}, round {slot.round}: for {names}"
            )
        elif seen[1] != vote.signature:
            self.repeated += 1

    def add_sign_log(self, store: Path) -> None:
        """Note what a store's sign log holds that was not read before."""
        for path in sorted(store.glob(f"{SIGNED_PREFIX}*")):
            data = path.read_bytes()
            done = self._read.get(path, 0)
            if len(data) < done:
                done = 0
            frames = read_prefix(data[done:])
            for payload in frames.payloads:
                if payload[:1] == _VOTE_ENTRY:
                    self.add(decode_vote(payload[_ENTRY_HEAD_BYTES:]))
            self._read[path] = done + frames.sound_bytes

    def forget(self, store: Path) -> None:
        """Read a store's sign log from its start again: other files lie there now."""
        for path in [path for path in self._read if path.parent == store]:
            del self._read[path]

    def add_all(self, votes: Iterable[Vote]) -> None:
        """Note votes."""
        for vote in votes:
            self.add(vote)


class Committed(NamedTuple):
    """A client's command in a block: where, and with which result."""

    height: int
    code: int
    envelope: Envelope


class ChainLog:
    """The block logs of a chain's validators, laid over each other."""

    def __init__(self) -> None:
        """Start with none."""
        self.hashes: dict[int, tuple[bytes, bytes]] = {}  # height -> (block hash, app hash)
        self.times_ms: dict[int, int] = {}
        self.txs: dict[str, list[Committed]] = {}
        self.ranges: list[tuple[int, int]] = []
        self.deposited_atoms: dict[int, int] = {}
        self.withdrawn_atoms: dict[int, int] = {}
        self.proofs = 0
        self.failures: list[str] = []

    @property
    def top(self) -> int:
        """Return the highest height that any validator has."""
        return max((last for _, last in self.ranges), default=0)

    def missing(self) -> list[int]:
        """Return the heights that nobody has."""
        return [height for height in range(1, self.top + 1) if height not in self.hashes]

    def add_store(self, index: int, folder: Path, signatures: Signatures) -> None:
        """Read a validator's block log; what contradicts the others' is a failure."""
        store = BlockStore(ReadOnlyDisk(folder))
        first, last = store.first, store.last
        self.ranges.append((first, last))
        for height in range(max(1, first), last + 1):
            stored, outcome = store.load(height), store.outcome(height)
            tip = store.tip_at(height)
            if stored is None or tip is None:
                self.failures.append(f"validator {index}: height {height} of its block log cannot be read")
                continue
            signatures.add_all(stored.votes)
            hashes = (tip.block_hash, tip.app_hash)
            if self.hashes.get(height, hashes) != hashes:
                self.failures.append(f"validator {index}: height {height} differs from the others'")
            is_new = height not in self.hashes
            if outcome is not None and (is_new or height not in self.times_ms):
                self._take(decode_block(stored.data), outcome)
                self.times_ms[height] = outcome.time_ms
            self.hashes[height] = hashes

    def _take(self, block: Block, outcome: Outcome) -> None:
        self.proofs += len(block.evidence)
        for tx, result in zip(block.txs, outcome.results, strict=True):
            found = read_command(tx)
            if found is not None:
                tx_hash, envelope = found
                self.txs.setdefault(tx_hash, []).append(Committed(outcome.height, result.code, envelope))
        for moved in _list_money(outcome.events):
            totals = self.deposited_atoms if moved.comes_in else self.withdrawn_atoms
            totals[moved.asset_id] = totals.get(moved.asset_id, 0) + moved.atoms


class _Moved(NamedTuple):
    comes_in: bool
    asset_id: int
    atoms: int


def _list_money(events: bytes) -> Iterator[_Moved]:
    decoded = BLOCK_EVENTS_DECODER.decode(events)
    for event in (*decoded.block, *(event for tx in decoded.txs for event in tx)):
        if isinstance(event, Deposited | Withdrawn):
            yield _Moved(isinstance(event, Deposited), event.asset_id, event.amount_atoms)


def read_command(tx: bytes) -> tuple[str, Envelope] | None:
    """Return a client's command and its hash, None for what the proposer put into the block."""
    try:
        payload = TX_DECODER.decode(tx).payload
        return sha256(payload).hex(), ENVELOPE_DECODER.decode(payload)
    except Malformed:
        return None
