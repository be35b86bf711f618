"""`holdfast watch`: follow the exchange as it commits."""

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.options import EXIT_CODES, URL, AccountName, AnyAccountId, Json, KeystoreFolder, Url
from holdfast.cli.show import brief, note, print_json, show_time, show_value, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from holdfast.cli.events import Words
    from holdfast.client.watching import Notification

watch = typer.Typer(
    name="watch",
    help=f"Follow the exchange; a lost connection is made again. Ctrl-C ends it.\n\n{EXIT_CODES}",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Instrument = Annotated[str, typer.Argument(help="Its name.", metavar="INSTRUMENT")]
Count = Annotated[int, typer.Option(help="End after so many messages; 0 goes on for ever.", min=0)]


@watch.command()
def book(instrument: Instrument, count: Count = 0, url: Url = URL, as_json: Json = False) -> None:
    """Follow an order book: a snapshot, then each change.

    Example: holdfast watch book BTC_USDC-27MAR26
    """
    _follow("book", f"book.{instrument.upper()}.100ms", count, url, as_json=as_json)


@watch.command()
def ticker(instrument: Instrument, count: Count = 0, url: Url = URL, as_json: Json = False) -> None:
    """Follow an instrument's prices.

    Example: holdfast watch ticker BTC_USDC-27MAR26
    """
    _follow("ticker", f"ticker.{instrument.upper()}.100ms", count, url, as_json=as_json)


@watch.command()
def trades(instrument: Instrument, count: Count = 0, url: Url = URL, as_json: Json = False) -> None:
    """Follow an instrument's trades.

    Example: holdfast watch trades BTC_USDC-27MAR26
    """
    _follow("trades", f"trades.{instrument.upper()}.100ms", count, url, as_json=as_json)


@watch.command()
def blocks(count: Count = 0, url: Url = URL, as_json: Json = False) -> None:
    """Follow the blocks, without a gap.

    Example: holdfast watch blocks --count 10
    """
    _follow("blocks", "blocks", count, url, as_json=as_json)


@watch.command()
def account(
    account_name: AccountName = None,
    account_id: AnyAccountId = None,
    count: Count = 0,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    as_json: Json = False,
) -> None:
    """Follow what happens to an account: orders, fills, money; numbered, without a gap.

    Example: holdfast watch account --account demo-1
    """
    chosen = account_id
    if chosen is None:
        chosen = _find(url, account_name, keystore, as_json=as_json)
    _follow("account", f"account.{chosen}", count, url, as_json=as_json)


def _find(url: str, name: str | None, keystore: Path | None, *, as_json: bool) -> int:
    from holdfast.cli.reader import find_account
    from holdfast.client.blocking import Exchange

    with told("watch account", as_json=as_json), Exchange(url) as exchange:
        return find_account(exchange, name, None, keystore)


def _follow(command: str, channel: str, count: int, url: str, *, as_json: bool) -> None:
    from holdfast.cli.events import Words
    from holdfast.client.blocking import Exchange

    with told(f"watch {command}", as_json=as_json), Exchange(url) as exchange:
        words = Words(exchange) if command == "account" and not as_json else None
        for number, notification in enumerate(exchange.watch([channel]), 1):
            if notification.missed:
                note(f"note: {notification.missed} messages of {channel} could not be had")
            if as_json:
                print_json(notification)
            else:
                _print(command, notification, words)
            if number == count:
                return


def _print(command: str, notification: "Notification", words: "Words | None") -> None:
    """Print one message as one line or a few."""
    data = notification.data
    for entry in data if isinstance(data, list) else [data]:
        if not isinstance(entry, dict):
            continue
        if command == "book":
            typer.echo(f"height {entry.get('change_id')}  {entry.get('type')}  {'  '.join(_show_levels(entry))}")
        elif words is not None:
            for event in entry.get("events", ()):
                typer.echo(f"{entry.get('seq')}  height {entry.get('height')}  {words.show(event)}")
        else:
            typer.echo("  ".join(_show_fields(command, entry)))


def _show_levels(entry: "Mapping[str, object]") -> "Iterator[str]":
    for name in ("bids", "asks"):
        levels = entry.get(name)
        for what, price, amount in levels if isinstance(levels, list) else ():
            size = "gone" if what == "delete" else show_value(amount)
            yield f"{name.removesuffix('s')} {show_value(price)}: {size}"


def _show_fields(command: str, entry: "Mapping[str, object]") -> "Iterator[str]":
    for name in _FIELDS[command]:
        value = entry.get(name)
        is_time = name in {"timestamp", "time_ms"} and isinstance(value, int)
        label = "time" if is_time else _LABELS.get(name, name.replace("_", " "))
        if name in {"mark_price", "index_price"} and value is not None:
            value = brief(Decimal(str(value)))
        yield f"{label} {show_time(value) if is_time and isinstance(value, int) else show_value(value)}"


_FIELDS = {
    "ticker": (
        "timestamp",
        "best_bid_price",
        "best_bid_amount",
        "best_ask_price",
        "best_ask_amount",
        "mark_price",
        "index_price",
    ),
    "trades": ("timestamp", "trade_id", "direction", "amount", "price", "block_height"),
    "blocks": ("height", "time_ms", "transactions", "app_hash"),
}
_LABELS = {
    "best_bid_price": "bid",
    "best_bid_amount": "for",
    "best_ask_price": "ask",
    "best_ask_amount": "for",
    "mark_price": "mark",
    "index_price": "index",
    "trade_id": "trade",
    "direction": "side",
    "block_height": "height",
}
