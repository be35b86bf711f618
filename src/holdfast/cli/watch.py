"""`holdfast watch`: follow the exchange as it commits."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.options import EXIT_CODES, URL, AccountName, AnyAccountId, Json, KeystoreFolder, Url
from holdfast.cli.show import note, print_json, show_value, told

if TYPE_CHECKING:
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
    from holdfast.client.blocking import Exchange

    with told(f"watch {command}", as_json=as_json), Exchange(url) as exchange:
        for number, notification in enumerate(exchange.watch([channel]), 1):
            if notification.missed:
                note(f"note: {notification.missed} messages of {channel} could not be had")
            if as_json:
                print_json(notification)
            else:
                _print(command, notification)
            if number == count:
                return


def _print(command: str, notification: "Notification") -> None:
    """Print one message as one line or a few."""
    data = notification.data
    for entry in data if isinstance(data, list) else [data]:
        if not isinstance(entry, dict):
            continue
        if command == "book":
            levels = [f"{side} {level[1]}: {level[2]}" for side in ("bids", "asks") for level in entry.get(side, ())]
            typer.echo(f"{entry.get('change_id')} {entry.get('type')}  {'  '.join(levels)}")
        elif command == "account":
            for event in entry.get("events", ()):
                words = " ".join(f"{name} {show_value(value)}" for name, value in event.items() if name != "type")
                typer.echo(f"{entry.get('seq')} height {entry.get('height')} {event.get('type')} {words}")
        else:
            wanted = _FIELDS[command]
            typer.echo("  ".join(f"{name.replace('_', ' ')} {show_value(entry.get(name))}" for name in wanted))


_FIELDS = {
    "ticker": ("best_bid_price", "best_bid_amount", "best_ask_price", "best_ask_amount", "mark_price", "index_price"),
    "trades": ("trade_id", "direction", "amount", "price", "mark_price"),
    "blocks": ("height", "time_ms", "transactions", "app_hash"),
}
