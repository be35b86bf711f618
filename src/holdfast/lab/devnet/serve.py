"""From `holdfast up` to its end: the devnet, the gateway in front of it, the banner, and a clean stop."""

import asyncio
import gc
import json
import resource
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass

import structlog
from rich.console import Console

from holdfast.gateway import Gateway, serve
from holdfast.gateway.errors import ServeError
from holdfast.gateway.logs import clean, set_up_logs
from holdfast.lab.devnet.banner import describe, show_banner
from holdfast.lab.devnet.chain import check_agreement
from holdfast.lab.devnet.run import Devnet
from holdfast.lab.devnet.settings import DevnetSettings, SettingsError
from holdfast.node.home import INDEX_FILE, HomeError
from holdfast.node.keyguard import KeyInUseError
from holdfast.node.ports import DiskError
from holdfast.node.store import StoreError
from holdfast.primitives import pricing

READY_WITHIN_S = 60.0
# Five threads share the interpreter; the default slice of 5 ms would be felt in every hop of a vote.
_SWITCH_S = 0.001
_OPEN_FILES = 16_384


@dataclass(frozen=True, kw_only=True)
class Options:
    """How `up` behaves on the terminal. `asked` are the options that were given, not defaulted."""

    stop_after_s: int | None
    as_json: bool
    log_level: str
    log_format: str
    asked: frozenset[str]


def run(settings: DevnetSettings, options: Options) -> int:
    """Run until stopped; return the exit code.

    Refuses: SettingsError.
    """
    try:
        set_up_logs(level=options.log_level, style=options.log_format)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    sys.setswitchinterval(_SWITCH_S)
    _raise_open_files()
    try:
        devnet = Devnet(settings, _log)
    except (HomeError, KeyInUseError, DiskError, StoreError) as error:
        return _fail(str(error))
    try:
        if settings.data is not None and not devnet.ground.is_new:
            check_agreement(settings, devnet.ground, options.asked)
        return asyncio.run(_serve(devnet, options))
    finally:
        devnet.stop()


async def _serve(devnet: Devnet, options: Options) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    try:
        gateway = await _open_gateway(devnet)
    except ServeError as error:
        return _fail(str(error))
    try:
        devnet.start()
        ready = asyncio.create_task(asyncio.to_thread(devnet.wait_until_ready, READY_WITHIN_S))
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait({ready, stop}, return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            return 0
        if not await ready:
            return _fail(f"no block within {READY_WITHIN_S:.0f} s; {_complaints(devnet)}")
        # What is loaded stays; the collector need not look at it again.
        gc.collect()
        gc.freeze()
        place: dict[str, int | str] = {"port": gateway.port, "data": devnet.persistence}
        _log("ready", {"height": devnet.cluster.height, **place, "kernel": pricing.ensure_kernel()})
        _announce(devnet, gateway.port, as_json=options.as_json)
        await _wait(stop, options.stop_after_s)
        _log("stopping", {"height": devnet.cluster.height})
        return 0
    finally:
        await gateway.close()


async def _open_gateway(devnet: Devnet) -> Gateway:
    settings, home = devnet.settings, devnet.ground.home
    return await serve(
        devnet.cluster,
        settings.host,
        settings.port,
        dev=devnet.controls,
        index=None if home is None else home.root / INDEX_FILE,
        data=None if home is None else home.root,
        persistence=devnet.persistence,
        genesis=devnet.ground.genesis,
    )


async def _wait(stop: "asyncio.Task[bool]", stop_after_s: int | None) -> None:
    await asyncio.wait({stop}, timeout=stop_after_s)
    stop.cancel()


def _announce(devnet: Devnet, port: int, *, as_json: bool) -> None:
    about = describe(devnet, port)
    if as_json:
        sys.stdout.write(json.dumps(about) + "\n")
        sys.stdout.flush()
        return
    show_banner(about, Console())


def _raise_open_files() -> None:
    """Ask for as many open files as we may have: connections, and the files of all validators."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _complaints(devnet: Devnet) -> str:
    return "; ".join(f"{one.name} is {one.status}" for one in devnet.cluster.statuses())


def _fail(message: str) -> int:
    sys.stderr.write(f"holdfast up: {clean(message)}\n")
    return 1


def _log(event: str, fields: dict[str, int | str]) -> None:
    log = structlog.get_logger()
    (log.warning if event in _LOUD else log.info)(event, **fields)


_LOUD = frozenset(
    {
        "halted",
        "market_failed",
        "store_set_aside",
        "validator_failed",
        "validator_left_down",
        "validator_restarted",
        "mempool_full",
    }
)
