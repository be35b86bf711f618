"""`holdfast up`: an exchange on this machine, with validators, a market and an API, in one process."""

import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.kernel import DEFAULT_KERNEL, KernelName, choose_kernel
from holdfast.cli.show import stop
from holdfast.client.errors import EXIT_USAGE

_INTERVAL = re.compile(r"([0-9]{1,6})(ms|s)")
_DURATION = re.compile(r"([0-9]{1,6})(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3_600}


class Margin(StrEnum):
    """How far prices are assumed to move on a devnet."""

    ADAPTIVE = "adaptive"
    FIXED = "fixed"


def up(
    context: typer.Context,
    validators: Annotated[int, typer.Option(help="How many validators.")] = 4,
    block_interval: Annotated[str, typer.Option(help="Time between blocks, such as 250ms or 1s.")] = "250ms",
    seed: Annotated[int, typer.Option(help="Seed of the market's prices and traders.")] = 1,
    data: Annotated[
        Path | None,
        typer.Option(help="Data directory; a second start continues its chain.", show_default="holdfast-data"),
    ] = None,
    in_memory: Annotated[bool, typer.Option("--in-memory", help="Keep nothing: the chain is lost at the end.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the API; 0 takes a free one.")] = 8080,
    for_: Annotated[str | None, typer.Option("--for", help="Stop after a time, such as 30s, 10m or 1h.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line when ready, then nothing.")] = False,
    no_market: Annotated[bool, typer.Option("--no-market", help="No traders; prices still move.")] = False,
    margin: Annotated[
        Margin, typer.Option(help="Whether ranges of a new chain follow the market, or keep their start.")
    ] = Margin.ADAPTIVE,
    extra_accounts: Annotated[
        int, typer.Option(help="Accounts to add to a new chain's genesis, to try a large state.", min=0, max=99_000)
    ] = 0,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "warning",
    log_format: Annotated[str, typer.Option(help="console or json.")] = "console",
    kernel: KernelName = DEFAULT_KERNEL,
) -> None:
    """Start an exchange: validators, a market with makers and takers, and the API.

    Ctrl-C stops it cleanly; a second start continues. Trade from a second terminal, see the example that it prints.

    Example: holdfast up --validators 4 --port 8080
    """
    choose_kernel("up", kernel)
    from holdfast.lab.devnet.serve import Options, run
    from holdfast.lab.devnet.settings import DevnetSettings, SettingsError

    try:
        asked = frozenset(
            name.replace("_", "-")
            for name in ("validators", "block_interval", "margin")
            if (source := context.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
        )
        settings = DevnetSettings(
            validators=validators,
            block_interval_ms=_interval_ms(block_interval),
            seed=seed,
            data=_place(data, in_memory=in_memory),
            host=host,
            port=port,
            extra_accounts=extra_accounts,
            has_market=not no_market,
            is_adaptive=margin is Margin.ADAPTIVE,
        )
        options = Options(
            stop_after_s=None if for_ is None else _duration_s(for_),
            as_json=as_json,
            log_level=log_level,
            log_format=log_format,
            asked=asked,
        )
        code = run(settings, options)
    except SettingsError as error:
        stop("up", str(error), EXIT_USAGE)
    sys.exit(code)


def _place(data: Path | None, *, in_memory: bool) -> Path | None:
    from holdfast.lab.devnet.settings import SettingsError

    if in_memory and data is not None:
        raise SettingsError("--in-memory, --data: give one of them")
    return None if in_memory else data or Path("holdfast-data")


def _interval_ms(text: str) -> int:
    from holdfast.lab.devnet.settings import SettingsError

    match = _INTERVAL.fullmatch(text)
    if match is None:
        raise SettingsError(f"--block-interval {text}: write a time such as 250ms or 1s")
    return int(match[1]) * (1 if match[2] == "ms" else 1_000)


def _duration_s(text: str) -> int:
    from holdfast.lab.devnet.settings import SettingsError

    match = _DURATION.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise SettingsError(f"--for {text}: write a time such as 30s, 10m or 1h")
    return int(match[1]) * _SECONDS[match[2]]
