"""The views of `holdfast query` on the market: books, chains, tickers, trades."""

from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.options import URL, AccountName, AnyAccountId, Json, KeystoreFolder, Url
from holdfast.cli.reader import connect, find_account
from holdfast.cli.show import (
    brief,
    coin,
    print_facts,
    print_json,
    print_state,
    print_table,
    show_time,
    show_value,
    told,
    usdc,
)

if TYPE_CHECKING:
    from decimal import Decimal

    from holdfast.client.blocking import Exchange
    from holdfast.client.results import Instrument as InstrumentRow

Instrument = Annotated[str, typer.Argument(help="Its name.", metavar="INSTRUMENT")]
Count = Annotated[int, typer.Option(help="How many, the newest first.", min=1, max=1000)]


def book(
    instrument: Instrument,
    depth: Annotated[int, typer.Option(help="How many levels of each side.", min=1, max=1000)] = 10,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Show an instrument's order book.

    Example: holdfast query book BTC_USDC-27MAR26 --depth 5
    """
    from itertools import zip_longest

    with told("query book", as_json=as_json), connect(url) as exchange:
        found = exchange.book(exchange.instrument(instrument).instrument_name, depth)
        if as_json:
            print_json(found)
            return
        levels = zip_longest(found.bids, found.asks, fillvalue=(None, None))
        rows = [(bid[1], bid[0], ask[0], ask[1]) for bid, ask in levels]
        columns = ["amount", "bid", "ask", "amount "]
        print_table(columns, rows, title=found.instrument_name, numbers=columns)
        print_facts({"mark": usdc(brief(found.mark_price)), "index": usdc(brief(found.index_price))})
        units = "amount in coin; bid and ask in USDC" if rows else ""
        print_state(found.height, found.app_hash, units)


def chain(
    currency: Annotated[str, typer.Argument(help="BTC or ETH.", metavar="CURRENCY")] = "BTC",
    expiry: Annotated[
        str | None, typer.Option(help="One expiry, as 27MAR26; the nearest without one.", show_default=False)
    ] = None,
    names: Annotated[
        bool,
        typer.Option("--names", help="Print names alone, one a line: what is quoted first, futures before options."),
    ] = False,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Show an underlying's futures, and one expiry's options: calls, strikes, puts.

    Example: holdfast query chain BTC --expiry 27MAR26
    """
    from holdfast.cli.chain import list_names, make_chain, print_chain

    with told("query chain", as_json=as_json), connect(url) as exchange:
        listed = _list_on(exchange, currency.upper())
        lines = exchange.summaries(currency.upper())
        found = make_chain(currency.upper(), listed, lines, expiry)
        if as_json:
            shown = list_names(found) if names else found._asdict()
            print_json(shown, height=lines.height, app_hash=lines.app_hash)
            return
        if names:
            for name in list_names(found):
                typer.echo(name)
            return
        print_chain(found, listed, expiry)
        print_state(lines.height, lines.app_hash, "prices in USDC; iv in percent a year")


def ticker(instrument: Instrument, url: Url = URL, as_json: Json = False) -> None:
    """Show an instrument's prices.

    Example: holdfast query ticker BTC_USDC-27MAR26
    """
    with told("query ticker", as_json=as_json), connect(url) as exchange:
        found = exchange.ticker(exchange.instrument(instrument).instrument_name)
        if as_json:
            print_json(found)
            return
        greeks = found.greeks
        print_facts(
            {
                "instrument": found.instrument_name,
                "state": found.state,
                "bid": _level(found.best_bid_price, found.best_bid_amount, found.instrument_name),
                "ask": _level(found.best_ask_price, found.best_ask_amount, found.instrument_name),
                "mark": usdc(brief(found.mark_price)),
                "index": usdc(brief(found.index_price)),
                "last": usdc(found.last_price),
                "mark iv": None if found.mark_iv is None else f"{show_value(found.mark_iv)} %",
                "delta": greeks and greeks.delta,
                "gamma": greeks and greeks.gamma,
                "vega": greeks and greeks.vega,
                "theta": greeks and greeks.theta,
                "open interest": coin(found.open_interest, found.instrument_name),
            }
        )
        print_state(found.height, found.app_hash)


def ranges(url: Url = URL, as_json: Json = False) -> None:
    """Show how far prices are assumed to move for margin: in force, announced, and needed by the market's past.

    Example: holdfast query ranges
    """
    with told("query ranges", as_json=as_json), connect(url) as exchange:
        found = exchange.margin_ranges()
        if as_json:
            print_json(found, height=found.height, app_hash=found.app_hash)
            return
        rows = []
        for one in found:
            coming = one.announced[0] if one.announced else None
            changes = coming is not None and coming.range_ppm != one.range_ppm
            rows.append(
                (
                    one.currency,
                    _percent(one.range_ppm),
                    _percent(coming.range_ppm) if changes and coming else "-",
                    show_time(coming.from_ms) if changes and coming else "-",
                    f"{_percent(one.needed_ppm)} to {_percent(one.buffered_ppm)}" if one.is_adaptive else "fixed",
                    f"{_percent(one.floor_ppm)} to {_percent(one.ceiling_ppm)}",
                    _percent(one.volatility_ppm),
                    _percent(one.charge_scale_ppm),
                    _percent(one.cross_weight_ppm),
                )
            )
        columns = ["currency", "range", "announced", "from", "rests", "bounds", "volatility", "charges", "opposed"]
        print_table(columns, rows, right="range announced volatility charges opposed")
        print_state(found.height, found.app_hash, "in percent of the price; volatility a day; of charges and losses")


def trades(
    instrument: Annotated[
        str | None, typer.Argument(help="Its name; without one, the account's own.", metavar="[INSTRUMENT]")
    ] = None,
    count: Count = 20,
    account_name: AccountName = None,
    account_id: AnyAccountId = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    as_json: Json = False,
) -> None:
    """Show the last trades of an instrument, or an account's own.

    Example: holdfast query trades BTC_USDC-27MAR26 --count 5
    """
    with told("query trades", as_json=as_json), connect(url) as exchange:
        if instrument is not None:
            found = exchange.trades(exchange.instrument(instrument).instrument_name, count)
        else:
            found = exchange.user_trades(find_account(exchange, account_name, account_id, keystore), count)
        if as_json:
            print_json(found, height=found.height, app_hash=found.app_hash)
            return
        rows = [
            (one.trade_id, show_time(one.timestamp), one.instrument_name, one.direction, one.amount, one.price, one.fee)
            for one in found
        ]
        columns = ["trade id", "time", "instrument", "side", "amount", "price", "fee"]
        print_table(columns, rows, right="amount price fee")
        units = "amount in coin; price and fee in USDC" if rows else ""
        print_state(found.height, found.app_hash, units)


def _list_on(exchange: "Exchange", currency: str) -> "list[InstrumentRow]":
    """Return what is listed on an underlying. Refuses: InputError, naming the underlyings that there are."""
    from holdfast.client.errors import InputError

    listed = [one for one in exchange.instruments(currency) if one.base_currency == currency]
    if not listed:
        known = dict.fromkeys(one.base_currency for one in exchange.instruments())
        raise InputError(f"nothing is listed on {currency!r}; choose one of {', '.join(known) or 'none'}")
    return listed


def _percent(ppm: int | None) -> str:
    return "-" if ppm is None else f"{ppm / 10_000:.2f} %"


def _level(price: "Decimal | None", amount: "Decimal", name: str) -> str:
    return f"{usdc(price)} for {coin(amount, name)}" if price else "-"
