"""A validator's key in two places, and a validator that has forgotten: neither may sign against what was signed before.

A copy of a running node's directory is refused while the original runs. A validator whose files are those of an earlier
day comes back among peers that went on, and signs only where it cannot contradict itself.
"""

import random
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from holdfast.lab.chaos.evidence import Signatures
from holdfast.lab.chaos.kills import Client, Report, judge, list_stores
from holdfast.lab.chaos.running import ExchangeDownError, Running, run_to_end

_LEVEL_WITHIN_S: Final = 40.0
_TRADE_S: Final = 3.0
_SIGN_FROM_FILE: Final = "sign-from"


@dataclass
class Guarded:
    """What the refusals said, and what the signatures say."""

    seed: int
    refusals: dict[str, str] = field(default_factory=dict)
    rolled_back: list[str] = field(default_factory=list)
    books: Report = field(default_factory=lambda: Report(0))

    @property
    def violations(self) -> list[str]:
        """Return what went wrong, a line each."""
        return self.books.violations


def run(
    work: Path,
    *,
    seed: int,
    rounds: int = 3,
    options: tuple[str, ...] = ("--block-interval", "100ms", "--no-market"),
) -> Guarded:
    """Try second instances, then restore one validator's older files so many times. The folder must be empty or absent.

    Refuses: ExchangeDownError, where the exchange does not come up in the first place.
    """
    started_s = time.monotonic()
    rng = random.Random(seed)
    found = Guarded(seed, books=Report(seed))
    signatures = Signatures()
    work.mkdir(parents=True, exist_ok=True)
    exchange = Running(work / "data", work / "log", *options)
    exchange.start()
    exchange.wait_ready()
    client = Client(exchange.url, work / "client", seed=seed, rate=20.0)
    try:
        client.wait_trading()
        _try_second_instances(exchange, work, found)
        for number in range(rounds):
            _roll_back(exchange, work, rng.randrange(4), signatures, found, cleanly=number % 2 == 0)
        found.books.violations += client.finish()
        exchange.stop()
    except ExchangeDownError as error:
        found.books.violations.append(str(error))
    finally:
        client.kill()
        exchange.kill()
    judge(exchange, client.folder, signatures, found.books)
    found.books.took_s = time.monotonic() - started_s
    return found


def _try_second_instances(exchange: Running, work: Path, found: Guarded) -> None:
    copy = work / "copy"
    shutil.copytree(exchange.data, copy, ignore=shutil.ignore_patterns("lock"))
    _expect_refusal("the same directory", exchange.data, "in use by process", found)
    _expect_refusal("a copy of the directory", copy, "already signs with validator key", found)
    backup, restored = work / "backup", work / "restored"
    code, words = run_to_end("backup", str(exchange.data), str(backup))
    if code:
        found.refusals["backup of a running node"] = words.splitlines()[-1] if words else f"ended with {code}"
    else:
        code, words = run_to_end("restore", str(backup), str(restored))
        if code:
            found.books.violations.append(f"a backup is not restored: {words}")
        else:
            _expect_refusal("a restored backup", restored, "already signs with validator key", found)
    shutil.rmtree(copy)


def _expect_refusal(what: str, data: Path, words: str, found: Guarded) -> None:
    code, said = run_to_end("up", "--data", str(data), "--port", "0", "--json", "--for", "2s", "--no-market")
    found.refusals[what] = said.splitlines()[-1] if said else ""
    if code != 1 or words not in said or "Traceback" in said:
        found.books.violations.append(f"{what}: a second instance is not refused but ends with {code}: {said[-300:]}")


def _roll_back(
    exchange: Running, work: Path, victim: int, signatures: Signatures, found: Guarded, *, cleanly: bool
) -> None:
    """Keep a validator's files, trade on, put them back, and see it come level without contradicting itself."""
    kept, store = work / "kept", exchange.data / f"validator-{victim}" / "store"
    exchange.fault(f"crash:validator={victim},for=500ms")
    time.sleep(0.2)
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(store, kept)
    amiss = exchange.wait_level(_LEVEL_WITHIN_S)
    if amiss:
        found.books.violations.append(f"not level after a crash: {amiss}")
    time.sleep(_TRADE_S)
    if cleanly:
        exchange.stop()
    else:
        exchange.kill()
    for path in list_stores(exchange.data):
        signatures.add_sign_log(path)
    shutil.rmtree(store)
    shutil.copytree(kept, store)
    # What a restore does, so that the validator knows that it may have forgotten.
    (store / _SIGN_FROM_FILE).unlink(missing_ok=True)
    signatures.forget(store)
    exchange.start()
    exchange.wait_ready()
    amiss = exchange.wait_level(_LEVEL_WITHIN_S)
    time.sleep(1.0)
    for path in list_stores(exchange.data):
        signatures.add_sign_log(path)
    rows = {str(row["name"]): row for row in exchange.validators()}
    height = rows[f"validator-{victim}"]["height"]
    found.rolled_back.append(f"validator-{victim} {'stopped' if cleanly else 'killed'}, level at {height}")
    if amiss:
        found.books.violations.append(f"validator-{victim} does not come back from older files: {amiss}")
