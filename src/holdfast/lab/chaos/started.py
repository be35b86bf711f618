"""Flipped bits once more, through the front door: a copy of a stopped node is damaged, started with `up`, and asked."""

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from holdfast.lab.chaos.evidence import ChainLog, Signatures
from holdfast.lab.chaos.flips import Flip, Report, Trial, draw, flip_bit, list_files, run_home, run_store
from holdfast.lab.chaos.kills import Client, list_stores
from holdfast.lab.chaos.observing import observe_home, observe_stepped
from holdfast.lab.chaos.running import ExchangeDownError, Running
from holdfast.lab.chaos.syscalls import Stage, rehearse

_READY_WITHIN_S: Final = 30.0
_LEVEL_WITHIN_S: Final = 25.0
_HEIGHTS_ASKED: Final = 12
_TXS_ASKED: Final = 12
_TRADED_S: Final = 15.0
_REHEARSED_HEIGHT: Final = 42
_BUILT_WITHIN_S: Final = 30.0
_ASKED_EVERY_S: Final = 0.2
_MENDED: Final = ("store_set_aside", "index_cleared", "damage")


class _Known(NamedTuple):
    """What the undisturbed node answers, a sample of it."""

    app_hashes: dict[int, str]
    txs: dict[str, tuple[int, int]]


def run(
    root: Path,
    work: Path,
    *,
    seed: int,
    flips: int,
    options: tuple[str, ...] = ("--no-market",),
    on_trial: Callable[[Trial], None] = lambda _: None,
) -> Report:
    """Flip bits anywhere in a stopped node's data directory, one at a time, and start `up` on each copy."""
    started_s = time.monotonic()
    rng = random.Random(seed)
    files = {path: size for path, size in list_files(root).items() if path != "lock" and ".damaged-" not in path}
    known = _read(root, rng)
    trials: list[Trial] = []
    work.mkdir(parents=True, exist_ok=True)
    for number in range(flips):
        flip = draw(files, rng)
        verdict, reason = _try(root, work, number, flip, known, options)
        trials.append(Trial(flip, verdict, reason))
        on_trial(trials[-1])
    shutil.rmtree(work, ignore_errors=True)
    return Report(seed, trials, time.monotonic() - started_s)


def _read(root: Path, rng: random.Random) -> _Known:
    chain = ChainLog()
    for index, store in enumerate(list_stores(root)):
        chain.add_store(index, store, Signatures())
    heights = rng.sample(sorted(chain.hashes), min(_HEIGHTS_ASKED, len(chain.hashes)))
    hashes = rng.sample(sorted(chain.txs), min(_TXS_ASKED, len(chain.txs)))
    return _Known(
        {height: chain.hashes[height][1].hex() for height in heights},
        {tx_hash: (chain.txs[tx_hash][0].height, chain.txs[tx_hash][0].code) for tx_hash in hashes},
    )


def _try(root: Path, work: Path, number: int, flip: Flip, known: _Known, options: tuple[str, ...]) -> tuple[str, str]:
    data, log = work / f"data-{number}", work / f"log-{number}"
    shutil.copytree(root, data)
    flip_bit(data, flip)
    exchange = Running(data, log, *options)
    exchange.start()
    try:
        exchange.wait_ready(_READY_WITHIN_S)
        verdict, reason = _ask(exchange, known)
        exchange.stop()
    except ExchangeDownError as error:
        code = exchange.exit_code
        exchange.kill()
        words = log.read_text("utf-8", "replace") if log.exists() else ""
        is_clear = code is not None and code > 0 and "holdfast up:" in words and "Traceback" not in words
        return ("detected" if is_clear else "unclear"), str(error)
    finally:
        exchange.kill()
        shutil.rmtree(data, ignore_errors=True)
    if verdict == "harmless" and any(word in log.read_text("utf-8", "replace") for word in _MENDED):
        return "repaired", exchange.last_words()
    return verdict, reason


def _ask_tx(exchange: Running, tx_hash: str) -> dict[str, object]:
    """Return what became of a transaction; an index that is being built again says for a while that it cannot tell."""
    deadline_s = time.monotonic() + _BUILT_WITHIN_S
    while True:
        now = exchange.ask("public/get_tx", {"tx_hash": tx_hash})
        if now.get("state") != "unknown" or time.monotonic() > deadline_s:
            return now
        time.sleep(_ASKED_EVERY_S)


def _ask(exchange: Running, known: _Known) -> tuple[str, str]:
    amiss = exchange.wait_level(_LEVEL_WITHIN_S)
    for height, app_hash in known.app_hashes.items():
        try:
            found = exchange.ask("public/get_block", {"height": height}).get("block_app_hash")
        except ExchangeDownError as error:
            amiss = amiss or str(error)
            continue
        if found != app_hash:
            return "served", f"block {height} has app hash {found}, it was {app_hash}"
    for tx_hash, (height, code) in known.txs.items():
        now = _ask_tx(exchange, tx_hash)
        if (now.get("state"), now.get("height"), now.get("code")) != ("committed", height, code):
            return "served", f"{tx_hash} was {code} at {height}, now {now}"
    if not amiss:
        return "harmless", ""
    # One validator that stays down and says why is what the operator is to see; the others serve.
    return ("detected", amiss) if "halted: " in amiss or "not kept" in amiss else ("unclear", amiss)


def run_everywhere(
    work: Path,
    data: Path | None,
    *,
    seed: int,
    flips: int,
    starts: int,
    on_trial: Callable[[Trial], None] = lambda _: None,
) -> Report:
    """Flip bits in every kind of file: stores opened directly, the other files read directly, and copies started whole.

    Without a data directory of a stopped node, one is made by trading for a while.
    Refuses: ExchangeDownError, where that fails.
    """
    started_s = time.monotonic()
    if data is None:
        data = make_data(work / "made", seed=seed)
    at_home = flips // 5
    alone = (flips - at_home) * 3 // 4
    rehearsed = rehearse(work / "rehearsed", [Stage("flips", _REHEARSED_HEIGHT, _REHEARSED_HEIGHT)])
    # Memory, where the machine lends it: thousands of copies are made.
    fast = Path("/dev/shm")  # noqa: S108 -- a name of our own below it
    scratch = (fast if fast.is_dir() else work) / f"holdfast-chaos-{os.getpid()}"
    store, observe = rehearsed.bases["flips"], observe_stepped(rehearsed.script)
    trials = list(run_store(store, observe, scratch, seed=seed, flips=alone, on_trial=on_trial).trials)
    stores = list_stores(data)
    left = flips - at_home - alone
    for index, path in enumerate(stores):
        share = left // len(stores) + (index < left % len(stores))
        report = run_store(
            path, observe_home(data, index), scratch, seed=seed + index, flips=share, on_trial=on_trial, within=data
        )
        trials.extend(report.trials)
    trials.extend(run_home(data, scratch, seed=seed, flips=at_home, on_trial=on_trial).trials)
    trials.extend(run(data, work / "starts", seed=seed, flips=starts, on_trial=on_trial).trials)
    return Report(seed, trials, time.monotonic() - started_s)


def make_data(work: Path, *, seed: int) -> Path:
    """Trade for a while, stop, and return the data directory.

    Refuses: ExchangeDownError.
    """
    work.mkdir(parents=True, exist_ok=True)
    exchange = Running(work / "data", work / "log", "--block-interval", "200ms", "--no-market")
    exchange.start()
    exchange.wait_ready()
    client = Client(exchange.url, work / "client", seed=seed, rate=40.0)
    try:
        client.wait_trading()
        time.sleep(_TRADED_S)
        client.finish()
        exchange.stop()
    finally:
        client.kill()
        exchange.kill()
    return exchange.data
