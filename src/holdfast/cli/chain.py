"""An underlying's futures and options as people read them: calls, strikes, puts."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

import typer

from holdfast.cli.show import brief, print_table
from holdfast.client.errors import InputError
from holdfast.client.results import Instrument, Summary


class Chain(NamedTuple):
    """What is listed on an underlying: futures, the options' expiries, and the options of one or of all."""

    currency: str
    futures: list[Summary]
    expiries: list[str]
    options: list[Summary]


def make_chain(currency: str, listed: Sequence[Instrument], lines: Sequence[Summary], expiry: str | None) -> Chain:
    """Return a chain; with an expiry, only its options. Refuses: InputError for one that there is not."""
    by_name = {line.instrument_name: line for line in lines}
    by_time = sorted(listed, key=lambda one: (one.expiration_timestamp, one.strike or 0, one.option_type))
    known = [one for one in by_time if one.instrument_name in by_name]
    futures = [by_name[one.instrument_name] for one in known if one.kind == "future"]
    options = [one for one in known if one.kind == "option"]
    expiries = list(dict.fromkeys(name_expiry(one) for one in options))
    if expiry is not None and expiry.upper() not in expiries:
        raise InputError(
            f"no options on {currency} expire on {expiry!r}; choose one of {', '.join(expiries) or 'none'}"
        )
    wanted = [one for one in options if expiry is None or name_expiry(one) == expiry.upper()]
    return Chain(currency, futures, expiries, [by_name[one.instrument_name] for one in wanted])


def list_names(chain: Chain) -> list[str]:
    """Return the names: what is quoted first, of that futures before options, the nearest expiry first."""
    lines = [*chain.futures, *chain.options]
    return [
        line.instrument_name
        for line in sorted(lines, key=lambda line: line.bid_price is None and line.ask_price is None)
    ]


def print_chain(chain: Chain, listed: Sequence[Instrument], expiry: str | None) -> None:
    """Print the futures, the expiries that there are, and the options of one: the nearest, unless one is named."""
    rows = [(one.instrument_name, *_prices(one)) for one in chain.futures]
    print_table(["future", "bid", "ask", "mark"], rows, right="bid ask mark")
    if not chain.expiries:
        typer.echo(f"no options on {chain.currency} are listed")
        return
    chosen = expiry.upper() if expiry else chain.expiries[0]
    typer.echo(f"expiries: {' '.join(chain.expiries)}")
    by_name = {line.instrument_name: line for line in chain.options}
    strikes: dict[Decimal, dict[str, Summary | None]] = {}
    for one in listed:
        if one.kind == "option" and one.strike is not None and name_expiry(one) == chosen:
            strikes.setdefault(one.strike, {})[one.option_type] = by_name.get(one.instrument_name)
    table = [
        (*_prices(sides.get("call")), _iv(sides), strike, *_prices(sides.get("put")))
        for strike, sides in sorted(strikes.items())
    ]
    columns = ["call bid", "call ask", "call mark", "iv", "strike", "put bid", "put ask", "put mark"]
    print_table(columns, table, title=f"{chain.currency} {chosen}", numbers=columns)


def name_expiry(instrument: Instrument) -> str:
    """Return an expiry as names have it: 27MAR26."""
    day = datetime.fromtimestamp(instrument.expiration_timestamp / 1000, UTC)
    return f"{day.day}{day:%b%y}".upper()


def _prices(line: Summary | None) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    return (None, None, None) if line is None else (line.bid_price, line.ask_price, brief(line.mark_price))


def _iv(sides: dict[str, Summary | None]) -> Decimal | None:
    lines = [line for line in sides.values() if line is not None and line.mark_iv is not None]
    return brief(lines[0].mark_iv) if lines else None
