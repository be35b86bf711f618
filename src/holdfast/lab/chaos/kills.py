"""SIGKILL at seeded times under load: nothing that was acknowledged may be lost, doubled or changed.

The exchange is a process that is killed as a whole and started again; some of its validators crash on the way. The
client is another process, which goes on. At the end the blocks on the disk, the signatures of all validators and the
client's journal are held against each other.
"""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from holdfast.lab.chaos import journals
from holdfast.lab.chaos.evidence import ChainLog, Signatures
from holdfast.lab.chaos.load import JOURNAL_FILE, READY_FILE
from holdfast.lab.chaos.running import ExchangeDownError, Running
from holdfast.node.disk import ReadOnlyDisk
from holdfast.node.exchange import ExchangeApplication
from holdfast.protocol.genesis import DECODER
from holdfast.protocol.ledger.handlers import get_vault
from holdfast.protocol.ledger.state import ASSET_NAMES, BALANCES, USDC
from holdfast.state.draft import Draft

_STARTING_SHARE: Final = 0.15
_CRASH_SHARE: Final = 0.35
_SERVING_S: Final = (0.3, 2.0)
_STARTING_S: Final = (0.2, 1.5)
_LOAD_READY_S: Final = 90.0
_LOAD_ENDS_S: Final = 150.0
_LEVEL_WITHIN_S: Final = 30.0
_ASKED_MAX: Final = 500


class Kill(NamedTuple):
    """One kill."""

    number: int
    while_starting: bool
    crashed: int  # a validator that had been crashed before, or -1
    in_flight: int
    ready_s: float
    lived_s: float


@dataclass
class Report:
    """All of a run."""

    seed: int
    kills: list[Kill] = field(default_factory=list)
    classes: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    heights: int = 0
    votes: int = 0
    slots_signed_again: int = 0
    took_s: float = 0.0

    @property
    def with_commands(self) -> int:
        """Return how many kills came while commands were under way."""
        return sum(1 for kill in self.kills if kill.in_flight)


class Client:
    """The load in its own process."""

    def __init__(self, url: str, folder: Path, *, seed: int, rate: float) -> None:
        """Start it; `wait_trading` waits until it trades."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.tail = journals.Tail(folder / JOURNAL_FILE)
        self._log = folder / "log"
        command = [sys.executable, "-m", "holdfast.lab.chaos.load", url, str(folder), str(seed), str(rate)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- our own program
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait_trading(self) -> None:
        """Wait until it trades.

        Refuses: ExchangeDownError, where it does not.
        """
        deadline_s = time.monotonic() + _LOAD_READY_S
        while not (self.folder / READY_FILE).exists():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                raise ExchangeDownError(f"the client does not trade: {self._last_words()}")
            time.sleep(0.05)

    def finish(self) -> list[str]:
        """Let it find out about everything and end; return what is amiss."""
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(_LOAD_ENDS_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return [f"the client did not come to an end within {_LOAD_ENDS_S:.0f} s: {self._last_words()}"]
        return [] if code == 0 else [f"the client ended with {code}: {self._last_words()}"]

    def kill(self) -> None:
        """End it at once."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "nothing was said"


def run(
    work: Path,
    *,
    seed: int,
    runs: int,
    rate: float = 40.0,
    options: tuple[str, ...] = ("--block-interval", "100ms", "--no-market"),
    on_kill: Callable[[Kill], None] = lambda _: None,
) -> Report:
    """Kill so many times, then look at everything. The folder must be empty or absent.

    Refuses: ExchangeDownError, where the exchange does not come up in the first place.
    """
    started_s = time.monotonic()
    rng = random.Random(seed)
    report = Report(seed)
    signatures = Signatures()
    work.mkdir(parents=True, exist_ok=True)
    exchange = Running(work / "data", work / "log", *options)
    exchange.start()
    exchange.wait_ready()
    client = Client(exchange.url, work / "client", seed=seed, rate=rate)
    try:
        client.wait_trading()
        for number in range(runs):
            kill = _kill_once(exchange, client, rng, number)
            report.kills.append(kill)
            on_kill(kill)
            _gather(exchange, signatures)
        _end(exchange, client, report)
    except ExchangeDownError as error:
        report.violations.append(str(error))
    finally:
        client.kill()
        exchange.kill()
    _gather(exchange, signatures)
    judge(exchange, client.folder, signatures, report)
    report.took_s = time.monotonic() - started_s
    return report


def _kill_once(exchange: Running, client: Client, rng: random.Random, number: int) -> Kill:
    starting = rng.random() < _STARTING_SHARE
    crashes = rng.random() < _CRASH_SHARE
    serving_s, starting_s = rng.uniform(*_SERVING_S), rng.uniform(*_STARTING_S)
    crashed, share = rng.randrange(4), rng.random()
    if not exchange.is_alive:
        exchange.start()
    if starting and number:
        time.sleep(max(0.0, exchange.started_s + starting_s - time.monotonic()))
        exchange.kill()
        return Kill(number, while_starting=True, crashed=-1, in_flight=0, ready_s=0.0, lived_s=starting_s)
    exchange.wait_ready()
    # Of the commands that an earlier life has left, none counts.
    ready_ms = time.time_ns() // 1_000_000
    ready_s = exchange.ready_s - exchange.started_s
    time.sleep(serving_s * share if crashes else serving_s)
    if crashes:
        exchange.fault(f"crash:validator={crashed},for={rng.choice((300, 1_000, 3_000))}ms")
        time.sleep(serving_s * (1 - share))
    in_flight = client.tail.count_open(ready_ms)
    exchange.kill()
    return Kill(
        number,
        while_starting=False,
        crashed=crashed if crashes else -1,
        in_flight=in_flight,
        ready_s=ready_s,
        lived_s=serving_s,
    )


def _end(exchange: Running, client: Client, report: Report) -> None:
    """Start a last time, let the client find out about everything, ask the exchange again, and stop cleanly."""
    if not exchange.is_alive:
        exchange.start()
        exchange.wait_ready()
    report.violations += client.finish()
    amiss = exchange.wait_level(_LEVEL_WITHIN_S)
    if amiss:
        report.violations.append(f"the validators do not come to one state: {amiss}")
    report.violations += ask_again(exchange, client.folder, random.Random(report.seed))
    code = exchange.stop()
    if code:
        report.violations.append(f"a clean stop ends with {code}: {exchange.last_words()}")


def ask_again(exchange: Running, folder: Path, rng: random.Random) -> list[str]:
    """Ask for what clients were told, a seeded sample of it; return what is answered otherwise now."""
    ended = [entry for entry in journals.read_journal(folder).values() if entry.state]
    found = []
    for entry in rng.sample(ended, min(_ASKED_MAX, len(ended))):
        now = exchange.ask("public/get_tx", {"tx_hash": entry.tx_hash})
        if entry.state == "committed":
            told = {"state": "committed", "height": entry.height, "code": entry.code}
            if any(now.get(name) != value for name, value in told.items()):
                found.append(f"{entry.tx_hash}: the client was told {told}, get_tx says {now}")
        elif now.get("state") == "committed":
            found.append(f"{entry.tx_hash}: the client was told {entry.state}, get_tx says committed")
    return found


def list_stores(data: Path) -> list[Path]:
    """Return the validators' stores of a data directory, those that were set aside left out."""
    return sorted(path for path in data.glob("validator-*/store") if path.is_dir())


def _gather(exchange: Running, signatures: Signatures) -> None:
    for store in list_stores(exchange.data):
        signatures.add_sign_log(store)


def judge(exchange: Running, client: Path | None, signatures: Signatures, report: Report) -> None:
    """Hold the files of the stopped validators and the client's journal against each other."""
    chain = ChainLog()
    for index, store in enumerate(list_stores(exchange.data)):
        chain.add_store(index, store, signatures)
    report.heights, report.votes = chain.top, len(signatures.votes)
    report.slots_signed_again = signatures.repeated
    report.violations += chain.failures + signatures.conflicts
    if chain.proofs:
        report.violations.append(f"{chain.proofs} proofs of a double signature are in the blocks")
    if chain.missing():
        report.violations.append(f"no validator has blocks {chain.missing()[:5]}")
    if client is not None and (client / JOURNAL_FILE).exists():
        judged = journals.judge(client, chain)
        report.classes, report.kinds = judged.classes, judged.kinds
        report.violations += judged.violations
    for index, store in enumerate(list_stores(exchange.data)):
        report.violations += [f"validator {index}: {text}" for text in check_money(exchange.data, store, chain)]


def check_money(data: Path, store: Path, chain: ChainLog) -> list[str]:
    """Hold a validator's balances against what has come in and gone out, as its vault and as the blocks tell it."""
    app = ExchangeApplication(ReadOnlyDisk(store), lambda _height, _draft: b"")
    draft = app.state.draft()
    known = chain.hashes.get(app.height)
    found = [] if known is None or known[1] == app.state.root else [f"another root than the blocks' at {app.height}"]
    genesis = DECODER.decode((data / "genesis").read_bytes())
    came = {USDC: genesis.insurance_atoms + genesis.backstop_atoms}
    for account in genesis.accounts:
        for asset_id, atoms in account.deposits:
            came[asset_id] = came.get(asset_id, 0) + atoms
    is_whole = app.height == chain.top and not chain.missing() and len(chain.times_ms) == chain.top
    for asset_id, name in enumerate(ASSET_NAMES):
        vault = get_vault(draft, asset_id)
        held = _sum_balances(draft, asset_id)
        if held != vault.deposited_atoms - vault.withdrawn_atoms:
            found.append(f"{name}: {held} atoms are held, {vault.deposited_atoms - vault.withdrawn_atoms} should be")
        deposited = came.get(asset_id, 0) + chain.deposited_atoms.get(asset_id, 0)
        told = (deposited, chain.withdrawn_atoms.get(asset_id, 0))
        if is_whole and told != (vault.deposited_atoms, vault.withdrawn_atoms):
            found.append(f"{name}: the blocks tell of {told}, the vault of other sums")
    return found


def _sum_balances(draft: Draft, asset_id: int) -> int:
    return sum(amount for (_, asset), amount in draft[BALANCES].items() if asset == asset_id)
