"""An option chain as people read it: calls, strikes, puts."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import typer

from holdfast.cli.show import print_table
from holdfast.client.errors import InputError
from holdfast.client.results import Instrument, Summary


def print_chain(currency: str, listed: Sequence[Instrument], lines: Sequence[Summary], expiry: str | None) -> None:
    """Print the futures, the expiries that there are, and the options of one. Refuses: InputError."""
    by_name = {line.instrument_name: line for line in lines}
    futures = [one for one in listed if one.kind == "future"]
    options = [one for one in listed if one.kind == "option"]
    rows = [(one.instrument_name, *_prices(by_name.get(one.instrument_name))) for one in futures]
    print_table(["future", "bid", "ask", "mark"], rows, right="bid ask mark")
    expiries = {_name_expiry(one): one.expiration_timestamp for one in options}
    names = sorted(expiries, key=lambda name: expiries[name])
    if not names:
        typer.echo(f"no options on {currency} are listed")
        return
    chosen = names[0] if expiry is None else expiry.upper()
    if chosen not in expiries:
        raise InputError(f"no options on {currency} expire on {expiry!r}; choose one of {', '.join(names)}")
    typer.echo(f"expiries: {' '.join(names)}")
    strikes: dict[Decimal, dict[str, Summary | None]] = {}
    for one in options:
        if _name_expiry(one) == chosen and one.strike is not None:
            strikes.setdefault(one.strike, {})[one.option_type] = by_name.get(one.instrument_name)
    table = [
        (*_prices(sides.get("call")), _iv(sides), strike, *_prices(sides.get("put")))
        for strike, sides in sorted(strikes.items())
    ]
    columns = ["call bid", "call ask", "call mark", "iv", "strike", "put bid", "put ask", "put mark"]
    print_table(columns, table, title=f"{currency} {chosen}", numbers=columns)


def _prices(line: Summary | None) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    return (None, None, None) if line is None else (line.bid_price, line.ask_price, line.mark_price)


def _iv(sides: dict[str, Summary | None]) -> Decimal | None:
    lines = [line for line in sides.values() if line is not None and line.mark_iv is not None]
    return lines[0].mark_iv if lines else None


def _name_expiry(instrument: Instrument) -> str:
    day = datetime.fromtimestamp(instrument.expiration_timestamp / 1000, UTC)
    return f"{day.day}{day:%b%y}".upper()
