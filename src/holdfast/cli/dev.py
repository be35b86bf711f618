"""`holdfast dev`: what an operator does to a running devnet: faults, prices, time."""

import re
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Final, NoReturn

import typer

from holdfast.cli.options import URL, Json, Url
from holdfast.cli.show import print_facts, print_json, print_table, show_time, show_value, stop, told

dev = typer.Typer(
    help="Faults, prices and time on a devnet that `holdfast up` runs. Refused elsewhere.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

For = Annotated[str | None, typer.Option("--for", help="How long, such as 30s or 10m; else until healed.")]
Validator = Annotated[int, typer.Argument(help="Which validator, from 0.")]

_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DAY_MS = 86_400_000
_POLL_S = 0.5
_TIMES: Final = {"time_ms": "time", "now_ms": "now", "from_ms": "from", "target_ms": "target"}


@dev.command()
def crash(validator: Validator, for_: For = None, url: Url = URL, as_json: Json = False) -> None:
    """Kill a validator: its memory is gone, its files stay. It comes back when the fault ends.

    Example: holdfast dev crash 3 --for 20s
    """
    _fault(f"crash:validator={validator}", for_, url, as_json)


@dev.command()
def wipe(validator: Validator, for_: For = None, url: Url = URL, as_json: Json = False) -> None:
    """Kill a validator and delete its store; it comes back by a peer's snapshot.

    Example: holdfast dev wipe 2 --for 10s
    """
    _fault(f"wipe:validator={validator}", for_, url, as_json)


@dev.command()
def pause(validator: Validator, for_: For = None, url: Url = URL, as_json: Json = False) -> None:
    """Let a validator stand still, as a stopped process does.

    Example: holdfast dev pause 1 --for 30s
    """
    _fault(f"pause:validator={validator}", for_, url, as_json)


@dev.command()
def partition(validator: Validator, for_: For = None, url: Url = URL, as_json: Json = False) -> None:
    """Cut a validator off from all others.

    Example: holdfast dev partition 0 --for 1m
    """
    _fault(f"partition:validator={validator}", for_, url, as_json)


@dev.command()
def delay(
    validator: Validator,
    ms: Annotated[int, typer.Argument(help="Milliseconds.")],
    for_: For = None,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Slow all that a validator sends or receives.

    Example: holdfast dev delay 2 400 --for 1m
    """
    _fault(f"delay:validator={validator},ms={ms}", for_, url, as_json)


@dev.command(context_settings={"ignore_unknown_options": True})
def clock(
    validator: Validator,
    ms: Annotated[int, typer.Argument(help="Milliseconds ahead; negative: behind.")],
    for_: For = None,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Set a validator's clock wrong.

    Example: holdfast dev clock 1 600000 --for 2m
    """
    _fault(f"clock:validator={validator},ms={ms}", for_, url, as_json)


@dev.command()
def equivocate(validator: Validator, for_: For = None, url: Url = URL, as_json: Json = False) -> None:
    """Let a validator tell its peers different stories; this proves misbehaviour against it.

    Example: holdfast dev equivocate 3 --for 10s
    """
    _fault(f"equivocate:validator={validator}", for_, url, as_json)


@dev.command("oracle-lies")
def oracle_lies(
    validator: Validator,
    factor: Annotated[float, typer.Argument(help="Its prices are off by this factor.")],
    for_: For = None,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Let a validator report wrong prices.

    Example: holdfast dev oracle-lies 2 10 --for 1m
    """
    _fault(f"oracle-lies:validator={validator},factor={factor:.6f}", for_, url, as_json)


@dev.command()
def fault(
    spec: Annotated[str, typer.Argument(help="As `replay` takes it, without from= and to=.")],
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Inject any fault, by its spec.

    Example: holdfast dev fault venue-lies:venue=dune,factor=1.5,for=30s
    """
    _fault(spec, None, url, as_json)


@dev.command(context_settings={"ignore_unknown_options": True})
def price(
    asset: Annotated[str, typer.Argument(help="BTC, ETH, USDC or USDT.")],
    move: Annotated[str, typer.Argument(help="A price such as 90000, or a change such as -20%.")],
    over: Annotated[str | None, typer.Option(help="Over how long, such as 10s; else at once.")] = None,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Move the price of an asset on all venues; `dev heal` takes it back.

    Example: holdfast dev price BTC -20%
    """
    asset = asset.upper()
    change = re.fullmatch(r"([+-]?[0-9]{1,6}(\.[0-9]{1,6})?)%", move)
    if change is None and not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,8})?", move):
        _fail(f"move {move}: write a price such as 90000, or a change such as -20%", 2)
    if change is None and over is not None:
        _fail("--over: only for a change such as -20%", 2)
    if change is None:
        _show(_call(url, "dev/price", {"asset": asset, "price": float(move)}), as_json)
        return
    factor = 1 + float(change[1]) / 100
    spec = f"price:asset={asset},factor={factor:.6f}" + ("" if over is None else f",over={over}")
    _fault(spec, None, url, as_json)


@dev.command()
def resume(validator: Validator, url: Url = URL, as_json: Json = False) -> None:
    """End all faults of one validator.

    Example: holdfast dev resume 1
    """
    ended = 0
    for one in _faults(url):
        if one.get("validator") == validator:
            _call(url, "dev/heal", {"number": one["number"]})
            ended += 1
    if not ended:
        _fail(f"validator {validator}: has no fault; `holdfast dev status` lists those that are on", 1)
    _show({"ended": ended}, as_json)


@dev.command()
def heal(url: Url = URL, as_json: Json = False) -> None:
    """End every fault.

    Example: holdfast dev heal
    """
    _show(_call(url, "dev/heal", {}), as_json)


@dev.command()
def advance(
    target: Annotated[str, typer.Argument(help="A time of day (UTC) such as 08:05, or a duration such as 36h.")],
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Let time pass quickly: blocks a minute apart, with venue prices, up to the target. It never jumps.

    Example: holdfast dev advance 08:05
    """
    by_ms = _read_target(target, url)
    state = _call(url, "dev/advance", {"by_ms": by_ms})
    with typer.progressbar(length=by_ms, label="advancing") as bar:  # its own line on a terminal, silent elsewhere
        done = 0
        while state.get("state") == "advancing":
            time.sleep(_POLL_S)
            answer = _call(url, "dev/status", {}).get("advance")
            state = answer if isinstance(answer, dict) else {}
            passed = min(by_ms, int(str(state.get("now_ms", 0))) - int(str(state.get("from_ms", 0))))
            bar.update(passed - done)
            done = passed
    if state.get("state") != "done":
        _fail(f"advance: {state.get('state')}", 1)
    _show(state, as_json)


@dev.command()
def status(url: Url = URL, as_json: Json = False) -> None:
    """Show the faults that are on, and how far an advance is.

    Example: holdfast dev status
    """
    _show(_call(url, "dev/status", {}), as_json)


def _faults(url: str) -> list[dict[str, object]]:
    faults = _call(url, "dev/status", {}).get("faults")
    return [one for one in faults if isinstance(one, dict)] if isinstance(faults, list) else []


def _fault(spec: str, for_: str | None, url: str, as_json: bool) -> None:
    _show(_call(url, "dev/fault", {"spec": spec if for_ is None else f"{spec},for={for_}"}), as_json)


def _read_target(target: str, url: str) -> int:
    duration = _DURATION.fullmatch(target)
    if duration is not None and int(duration[1]):
        return int(duration[1]) * _UNIT_MS[duration[2]]
    clock_time = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", target)
    if clock_time is None:
        _fail(f"target {target}: write a time of day such as 08:05, or a duration such as 36h", 2)
    now_ms = int(str(_call(url, "dev/status", {}).get("time_ms", 0)))
    wanted_ms = (int(clock_time[1]) * 60 + int(clock_time[2])) * 60_000
    return (wanted_ms - now_ms % _DAY_MS) % _DAY_MS or _DAY_MS


def _call(url: str, method: str, params: dict[str, object]) -> dict[str, object]:
    import asyncio

    from holdfast.client import AsyncExchange

    async def ask() -> dict[str, object]:
        async with AsyncExchange(url) as exchange:
            return (await exchange.ask(method, dict[str, object], **params)).result

    with told("dev"):
        return asyncio.run(ask())


def _show(answer: Mapping[str, object], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    tables = {name: value for name, value in answer.items() if isinstance(value, list)}
    facts = {name: value for name, value in answer.items() if value is not None and name not in tables}
    print_facts(dict(_tidy(facts)))
    for name, value in tables.items():
        rows = [dict(_tidy(row)) for row in value if isinstance(row, dict)]
        columns = list(dict.fromkeys(column for row in rows for column in row))
        print_table(columns, [[row.get(column) for column in columns] for row in rows], title=name)


def _tidy(facts: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield what a devnet answers in the units of the commands: seconds, factors, times of day."""
    for name, value in facts.items():
        if isinstance(value, dict):
            words = (f"{label} {show_value(inner)}" for label, inner in _tidy(value))
            yield name, ", ".join(words)
        elif not isinstance(value, int) or isinstance(value, bool):
            yield name.removesuffix("_ms").replace("_", " "), "until healed" if value is None else value
        elif name in _TIMES:
            yield _TIMES[name], f"{show_time(value)} UTC"
        elif name == "factor_ppm":
            yield "factor", Decimal(value) / 1_000_000
        elif name.endswith("_ms"):
            yield name.removesuffix("_ms").replace("_", " "), f"{Decimal(value) / 1_000} s"
        else:
            yield name.replace("_", " "), value


def _fail(message: str, code: int) -> NoReturn:
    stop("dev", message, code)
