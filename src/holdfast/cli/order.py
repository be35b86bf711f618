"""`holdfast order`: place, amend and cancel orders; quote."""

from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.options import (
    EXIT_CODES,
    URL,
    AccountId,
    AccountName,
    DryRun,
    Json,
    KeystoreFolder,
    PassphraseFile,
    Timeout,
    Url,
)
from holdfast.cli.show import note, print_json, print_table, told

if TYPE_CHECKING:
    from msgspec import Struct

    from holdfast.client.results import TxResult

order = typer.Typer(
    name="order",
    help=f"Orders. Amounts are in coin, prices in USDC.\n\n{EXIT_CODES}",
    no_args_is_help=True,
    rich_markup_mode=None,
)

OrderId = Annotated[str, typer.Argument(help="The order's id.", metavar="ORDER_ID")]
Price = Annotated[str | None, typer.Option(help="In USDC; without one, at the market.", show_default=False)]


@order.command()
def place(
    side: Annotated[str, typer.Argument(help="buy or sell.", metavar="SIDE")],
    amount: Annotated[str, typer.Argument(help="How much, in coin.", metavar="AMOUNT")],
    instrument: Annotated[str, typer.Argument(help="Its name.", metavar="INSTRUMENT")],
    price: Price = None,
    time_in_force: Annotated[
        str, typer.Option(help="gtc, ioc or fok; gtc with a price, ioc without.", show_default=False)
    ] = "",
    post_only: Annotated[bool, typer.Option("--post-only", help="Refuse rather than trade at once.")] = False,
    reduce_only: Annotated[bool, typer.Option("--reduce-only", help="Only make a position smaller.")] = False,
    self_trade: Annotated[
        str, typer.Option(help="Which order goes: cancel-resting, cancel-incoming, cancel-both.")
    ] = "cancel-resting",
    client_id: Annotated[int, typer.Option(help="A number of your own that the order carries.", min=0)] = 0,
    dry_run: DryRun = False,
    account_name: AccountName = None,
    account_id: AccountId = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    passphrase_file: PassphraseFile = None,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Buy or sell an amount of coin at a price, or at the market.

    Shows the order's id, its fills, and the block and app hash that hold them.

    Example: holdfast order place buy 0.1 BTC_USDC-27MAR26 --price 100000 --account demo-1
    """
    from holdfast.cli.connection import Login, end_with, sign_in
    from holdfast.client.orders import make_order

    login = Login(url, account_name, account_id, keystore, passphrase_file, timeout)
    with told("order place", as_json=as_json), sign_in(login, is_dry=dry_run) as exchange:
        command = make_order(
            exchange.instrument(instrument),
            side,
            amount,
            price,
            time_in_force=time_in_force,
            post_only=post_only,
            reduce_only=reduce_only,
            self_trade=self_trade,
            client_id=client_id,
        )
        title = f"{side} {amount} {instrument.upper()} {f'at {price}' if price else 'at the market'}"
        if dry_run:
            _print_command(command, title, as_json=as_json)
            return
        end_with(exchange.submit(command), as_json=as_json, title=title)


@order.command()
def amend(
    order_id: OrderId,
    amount: Annotated[str | None, typer.Option(help="What is to be left to fill, in coin.", show_default=False)] = None,
    price: Annotated[str | None, typer.Option(help="In USDC.", show_default=False)] = None,
    dry_run: DryRun = False,
    account_name: AccountName = None,
    account_id: AccountId = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    passphrase_file: PassphraseFile = None,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Change an open order's price, or the amount that is left to fill. It keeps its id.

    Example: holdfast order amend 1234 --price 99500 --account demo-1
    """
    from holdfast.cli.connection import Login, end_with, sign_in

    login = Login(url, account_name, account_id, keystore, passphrase_file, timeout)
    with told("order amend", as_json=as_json), sign_in(login, is_dry=dry_run) as exchange:
        command = exchange.make_amendment(order_id, amount, price)
        title = f"amend order {order_id}"
        if dry_run:
            _print_command(command, title, as_json=as_json)
            return
        end_with(exchange.submit(command), as_json=as_json, title=title)


@order.command()
def cancel(
    order_id: OrderId,
    dry_run: DryRun = False,
    account_name: AccountName = None,
    account_id: AccountId = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    passphrase_file: PassphraseFile = None,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Take an order back.

    Example: holdfast order cancel 1234 --account demo-1
    """
    from holdfast.cli.connection import Login, end_with, sign_in
    from holdfast.client.orders import make_cancel

    login = Login(url, account_name, account_id, keystore, passphrase_file, timeout)
    with told("order cancel", as_json=as_json), sign_in(login, is_dry=dry_run) as exchange:
        command, title = make_cancel(order_id), f"cancel order {order_id}"
        if dry_run:
            _print_command(command, title, as_json=as_json)
            return
        end_with(exchange.submit(command), as_json=as_json, title=title)


@order.command("cancel-all")
def cancel_all(
    instrument: Annotated[
        str | None, typer.Option(help="Only the orders of this one.", metavar="INSTRUMENT", show_default=False)
    ] = None,
    dry_run: DryRun = False,
    account_name: AccountName = None,
    account_id: AccountId = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    passphrase_file: PassphraseFile = None,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Take all orders and quotes back, or those of one instrument.

    Example: holdfast order cancel-all --account demo-1
    """
    from holdfast.cli.connection import Login, end_with, sign_in
    from holdfast.client.orders import make_cancel_all

    login = Login(url, account_name, account_id, keystore, passphrase_file, timeout)
    with told("order cancel-all", as_json=as_json), sign_in(login, is_dry=dry_run) as exchange:
        command = make_cancel_all(None if instrument is None else exchange.instrument(instrument))
        title = f"cancel all orders{f' of {instrument.upper()}' if instrument else ''}"
        if dry_run:
            _print_command(command, title, as_json=as_json)
            return
        result = exchange.submit(command)
        gone = sum(event.get("type") == "OrderCancelled" for event in result.events)
        end_with(result, as_json=as_json, title=f"{title}: {gone} taken back")


@order.command()
def quote(
    instrument: Annotated[str, typer.Argument(help="Its name.", metavar="INSTRUMENT")],
    bid: Annotated[str | None, typer.Option(help="Price to buy at; none takes the side back.")] = None,
    ask: Annotated[str | None, typer.Option(help="Price to sell at; none takes the side back.")] = None,
    amount: Annotated[str, typer.Option(help="Of each side, in coin.")] = "1",
    protection: Annotated[
        str | None,
        typer.Option(help="First bound what may fill within a minute, in coin; an account's first quote needs it."),
    ] = None,
    dry_run: DryRun = False,
    account_name: AccountName = None,
    account_id: AccountId = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    passphrase_file: PassphraseFile = None,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Put a two-sided quote in the place of the account's quote. Quotes never take, and need a protection.

    Example: holdfast order quote BTC_USDC-27MAR26 --bid 99000 --ask 101000 --protection 5 --account demo-2
    """
    from holdfast.cli.connection import Login, end_with, sign_in
    from holdfast.client.orders import make_quotes, to_lots

    login = Login(url, account_name, account_id, keystore, passphrase_file, timeout)
    with told("order quote", as_json=as_json), sign_in(login, is_dry=dry_run) as exchange:
        found = exchange.instrument(instrument)
        sides = tuple(None if price is None else (price, amount) for price in (bid, ask))
        command = make_quotes([(found, sides[0], sides[1])])
        title = f"quote {instrument.upper()} {bid or '-'} / {ask or '-'} for {amount}"
        if dry_run:
            _print_command(command, title, as_json=as_json)
            return
        if protection is not None:
            limit_lots = to_lots(found, protection, "protection")
            done = exchange.set_protection(found.base_currency, limit_lots, 60_000)
            note(f"protection of {protection} {found.base_currency} a minute {done.state} in block {done.height}")
        result = exchange.submit(command)
        for line in _list_refused(result):
            note(f"note: {line}; the quote that stood on this side still does")
        end_with(result, as_json=as_json, title=title)


@order.command()
def recover(
    account_name: AccountName = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    passphrase_file: PassphraseFile = None,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Find out what became of commands whose end this machine never heard; what no block holds is abandoned for good.

    Example: holdfast order recover --account demo-1
    """
    from holdfast.cli.connection import Login, sign_in

    login = Login(url, account_name, None, keystore, passphrase_file, timeout)
    with told("order recover", as_json=as_json), sign_in(login, asks_first=False) as exchange:
        results = exchange.recover()
        if as_json:
            print_json(results)
            return
        if not results:
            typer.echo("no command is open")
            return
        rows = [(one.tx_hash, one.state, one.height or None, one.code_name if one.code else None) for one in results]
        print_table(["tx hash", "state", "height", "refusal"], rows, right="height")


def _list_refused(result: "TxResult") -> list[str]:
    """Return which sides of a quote the exchange refused, each with why and the mend."""
    from holdfast.client.mends import mend_of
    from holdfast.primitives.reject import Code

    codes = next((event.get("codes") for event in result.events if event.get("type") == "Quoted"), None)
    sides = zip(("bid", "ask"), codes if isinstance(codes, list) else (), strict=False)
    return [f"{side} refused: {Code(code).name}; {mend_of(code)}" for side, code in sides if code]


def _print_command(command: "Struct", title: str, *, as_json: bool) -> None:
    """Print a command instead of sending it."""
    from msgspec.structs import asdict

    fields = asdict(command)
    if as_json:
        print_json({"command": type(command).__name__, **fields})
        return
    typer.echo(f"{title}: not sent\n{type(command).__name__}")
    for name, value in fields.items():
        typer.echo(f"  {name} {value}")
