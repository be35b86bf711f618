"""Flipped bits in the files of a stopped node: each is detected, repaired or harmless, and none is served.

detected   it does not start, with one line that says why; or it says that it has not what it cannot read
repaired   it does without the damaged part and comes to the same state, or to an earlier one that peers complete
harmless   everything that it serves is what it was
unclear    it fails without a word that an operator could use
served     something differs from the undisturbed node: never
"""

import random
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import Struct

from holdfast.client.signing import SigningKey
from holdfast.gateway.history import History
from holdfast.gateway.rows import OrderRow, TradeRow, TxRow
from holdfast.gateway.sealed import IndexDamagedError
from holdfast.lab.chaos.observing import NONE, Observe, Observed
from holdfast.lab.chaos.stepped import StoppedError
from holdfast.node.frames import DamagedFileError
from holdfast.node.home import INDEX_FILE, Home, HomeError
from holdfast.node.ports import DiskError
from holdfast.node.replica_env import HaltError
from holdfast.node.store import StoreError
from holdfast.node.version import VersionError
from holdfast.protocol.genesis import DECODER

VERDICTS: Final = ("detected", "repaired", "harmless", "unclear", "served")
BAD: Final = frozenset({"unclear", "served"})
_CLEAR: Final = (StoppedError, StoreError, DamagedFileError, DiskError, HaltError, VersionError, HomeError)


class Flip(NamedTuple):
    """One bit of one file, counted from the first byte's lowest."""

    path: str
    bit: int


class Trial(NamedTuple):
    """A flip and what came of it."""

    flip: Flip
    verdict: str
    reason: str


class Report(NamedTuple):
    """All of a run."""

    seed: int
    trials: list[Trial]
    took_s: float

    @property
    def violations(self) -> list[str]:
        """Return what went wrong, a line each."""
        return [
            f"{trial.verdict}: bit {trial.flip.bit} of {trial.flip.path}: {trial.reason}"
            for trial in self.trials
            if trial.verdict in BAD
        ]

    def tally(self) -> dict[str, int]:
        """Return how many trials had each verdict."""
        found = Counter(trial.verdict for trial in self.trials)
        return {verdict: found[verdict] for verdict in VERDICTS}

    def tally_files(self) -> dict[str, dict[str, int]]:
        """Return the same for each kind of file."""
        kinds: dict[str, Counter[str]] = {}
        for trial in self.trials:
            kinds.setdefault(kind_of(trial.flip.path), Counter())[trial.verdict] += 1
        return {kind: dict(found) for kind, found in sorted(kinds.items())}


def kind_of(path: str) -> str:
    """Return what a file is, without its number."""
    name = path.rsplit("/", 1)[-1]
    return name.rstrip("0123456789").rstrip("-") or name


def draw(files: dict[str, int], rng: random.Random) -> Flip:
    """Return a bit: of any file alike, or of any byte alike, so that neither small nor large files are passed over."""
    names = sorted(name for name, size in files.items() if size)
    sizes = [files[name] for name in names]
    name = rng.choice(names) if rng.random() < 0.5 else rng.choices(names, sizes)[0]  # noqa: PLR2004 -- a half
    return Flip(name, rng.randrange(8 * files[name]))


def list_files(folder: Path) -> dict[str, int]:
    """Return the files below a folder with their sizes."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}


def flip_bit(folder: Path, flip: Flip) -> None:
    """Flip it."""
    path = folder / flip.path
    with path.open("r+b") as file:
        file.seek(flip.bit // 8)
        byte = file.read(1)[0]
        file.seek(flip.bit // 8)
        file.write(bytes([byte ^ (1 << (flip.bit % 8))]))


def run_store(
    store: Path,
    observe: Observe,
    work: Path,
    *,
    seed: int,
    flips: int,
    on_trial: Callable[[Trial], None] = lambda _: None,
    within: Path | None = None,
) -> Report:
    """Flip bits in one validator's store, one at a time, each in a fresh copy; names are told as below `within`."""
    started_s = time.monotonic()
    rng = random.Random(seed)
    files = list_files(store)
    reference = observe(_copy(store, work))
    trials: list[Trial] = []
    for _ in range(flips):
        flip = draw(files, rng)
        copy = _copy(store, work)
        flip_bit(copy, flip)
        verdict, reason = _judge_store(copy, observe, reference)
        told = flip if within is None else Flip(str((store / flip.path).relative_to(within)), flip.bit)
        trials.append(Trial(told, verdict, reason))
        on_trial(trials[-1])
    shutil.rmtree(work, ignore_errors=True)
    return Report(seed, trials, time.monotonic() - started_s)


def run_home(
    root: Path, work: Path, *, seed: int, flips: int, on_trial: Callable[[Trial], None] = lambda _: None
) -> Report:
    """Flip bits in what a data directory holds besides the stores: description, genesis, keys, index."""
    started_s = time.monotonic()
    rng = random.Random(seed)
    files = {path: size for path, size in list_files(root).items() if "/store" not in path and path != "lock"}
    reference = _read_home(root)
    expected = _read_index(root)
    trials: list[Trial] = []
    for _ in range(flips):
        flip = draw(files, rng)
        shutil.rmtree(work, ignore_errors=True)
        for path in files:
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / path, work / path)
        flip_bit(work, flip)
        if flip.path.startswith(INDEX_FILE):
            verdict, reason = _judge_index(work, expected)
        else:
            verdict, reason = _judge_home(work, reference)
        trials.append(Trial(flip, verdict, reason))
        on_trial(trials[-1])
    shutil.rmtree(work, ignore_errors=True)
    return Report(seed, trials, time.monotonic() - started_s)


def _copy(store: Path, work: Path) -> Path:
    shutil.rmtree(work, ignore_errors=True)
    return Path(shutil.copytree(store, work))


def _judge_store(copy: Path, observe: Observe, reference: Observed) -> tuple[str, str]:
    try:
        found = observe(copy)
    except _CLEAR as error:
        return "detected", str(error)
    except Exception as error:  # noqa: BLE001 -- whatever else comes is what is looked for
        return "unclear", f"{type(error).__name__}: {error}"
    served = _find_difference(found, reference)
    if served:
        return "served", served
    if found.height < reference.height:
        return "repaired", f"it goes on from height {found.height}, and its peers have the rest"
    lost = [height for height, digest in found.blocks.items() if digest == NONE]
    if lost:
        return "detected", f"it has no block {lost[0]}"
    if found.damage or found.snapshots != reference.snapshots:
        return "repaired", "; ".join(found.damage) or "a snapshot is left out"
    if found.checkpoint != reference.checkpoint:
        return "repaired", "its newest checkpoint is left out; the validators sign the next one"
    return "harmless", ""


def _find_difference(found: Observed, reference: Observed) -> str:
    """Return the first thing that is served and differs."""
    if found.height and found.app_hash != reference.app_hashes.get(found.height):
        return f"another app hash at height {found.height}"
    if found.height == reference.height and found.rows != reference.rows:
        return "other rows under the same height"
    for height, digest in found.blocks.items():
        if digest not in (NONE, reference.blocks[height]):
            return f"another block or outcome at height {height}"
    for height, chunks in found.snapshots.items():
        known = reference.snapshots.get(height, ())
        if any(chunk not in (NONE, *known[number : number + 1]) for number, chunk in enumerate(chunks)):
            return f"another snapshot of height {height}"
    height, app_hash = found.checkpoint
    if height and app_hash != reference.app_hashes.get(height):
        return f"another checkpoint of height {height}"
    for slot, vote in reference.votes.items():
        if slot.height > found.height and found.votes.get(slot, vote) != vote:
            return f"another vote at height {slot.height}"
        if slot.height > found.height and slot not in found.votes:
            return f"a vote at height {slot.height} is forgotten"
    return ""


class IndexRead(NamedTuple):
    """Everything that an index answers."""

    height: int
    rows: dict[str, list[Struct]]
    txs: dict[str, TxRow | None]
    nonces: dict[tuple[int, bytes, int], TxRow | None]
    orders: dict[int, OrderRow | None]
    accounts: dict[int, tuple[list[OrderRow], int]]
    fills: dict[int, list[TradeRow]]
    trades: list[TradeRow]


class _HomeRead(NamedTuple):
    about: object
    keys: tuple[bytes, ...]


def _read_home(root: Path) -> _HomeRead:
    home = Home(root)
    about = home.open()
    try:
        if about is None:
            raise HomeError(f"{root}: is empty")
        genesis = home.read_genesis(about)
        keys = tuple(SigningKey(home.read_key(index).seed).public_key for index in range(about.validators))
        named = tuple(home.read_key(index).public_key for index in range(about.validators))
        DECODER.decode(genesis)
        return _HomeRead(about, (*keys, *named))
    finally:
        home.close()


def _judge_home(work: Path, reference: _HomeRead) -> tuple[str, str]:
    try:
        found = _read_home(work)
    except HomeError as error:
        return "detected", str(error)
    except Exception as error:  # noqa: BLE001 -- as above
        return "unclear", f"{type(error).__name__}: {error}"
    if found.keys != reference.keys:
        return "served", "another key is used"
    if found.about != reference.about:
        return "served", "the chain is described otherwise"
    return "harmless", ""


def _open_index(root: Path) -> History:
    about = Home(root).read_about()
    return History(root / INDEX_FILE, chain_id=about.chain_id, genesis_hash=bytes.fromhex(about.genesis_hash))


def _read_index(root: Path) -> IndexRead | None:
    if not (root / INDEX_FILE).exists():
        return None
    history = _open_index(root)
    try:
        return read_index(history)
    finally:
        history.close()


def read_index(history: History) -> IndexRead:
    """Ask an index for all that it holds. Refuses: IndexDamagedError."""
    rows = history.dump()
    txs = [row for row in rows["txs"] if isinstance(row, TxRow)]
    orders = [row for row in rows["orders"] if isinstance(row, OrderRow)]
    accounts = sorted({row.account_id for row in orders} | {row.account_id for row in txs})
    nonces = [(row.account_id, bytes.fromhex(row.signer), row.nonce) for row in txs]
    return IndexRead(
        history.height,
        rows,
        {row.tx_hash: history.find_tx(bytes.fromhex(row.tx_hash)) for row in txs},
        {nonce: history.find_tx_by_nonce(*nonce) for nonce in nonces},
        {row.order_id: history.find_order(row.order_id) for row in orders},
        {number: (history.list_account_orders(number, 10**6), history.last_seq(number)) for number in accounts},
        {number: history.list_user_trades(number, 10**6) for number in accounts},
        history.list_trades_since(0),
    )


def judge_index(history: History, expected: IndexRead) -> tuple[str, str]:
    """Return what an index answers that may be damaged, first before it is checked and then after.

    Before that it may not find what is there, for nobody takes that for an answer; what it finds must be so.
    """
    if history.rebuilt_because:
        return "repaired", f"the index is built again: {history.rebuilt_because}"
    for tx_hash, row in expected.txs.items():
        with suppress(IndexDamagedError):
            if history.find_tx(bytes.fromhex(tx_hash)) not in (row, None):
                return "served", f"transaction {tx_hash} is another before the check"
    for nonce, row in expected.nonces.items():
        with suppress(IndexDamagedError):
            if history.find_tx_by_nonce(*nonce) not in (row, None):
                return "served", f"nonce {nonce} is another's before the check"
    history.check(lambda: False)
    if history.damage:
        return "repaired", f"the index is built again: {history.damage}"
    if history.height < expected.height:
        return "repaired", f"the index goes on from height {history.height}, and the blocks hold the rest"
    try:
        is_same = read_index(history) == expected
    except IndexDamagedError as error:
        return "repaired", f"the index is built again: {error}"
    return ("harmless", "") if is_same else ("served", "the index answers otherwise")


def _judge_index(work: Path, expected: IndexRead | None) -> tuple[str, str]:
    try:
        history = _open_index(work)
        try:
            return ("harmless", "") if expected is None else judge_index(history, expected)
        finally:
            history.close()
    except (sqlite3.Error, OSError) as error:
        return "detected", str(error)
    except Exception as error:  # noqa: BLE001 -- as above
        return "unclear", f"{type(error).__name__}: {error}"
