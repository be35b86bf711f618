"""`holdfast query`: read the committed state of one node."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.options import EXIT_CODES, URL, AccountName, Json, KeystoreFolder, Url
from holdfast.cli.show import note, print_facts, print_json, print_state, print_table, show_time, show_value, told

if TYPE_CHECKING:
    from decimal import Decimal

    from holdfast.client.blocking import Exchange

query = typer.Typer(
    name="query",
    help=f"Read the exchange. Every answer names the height and the app hash that it is of.\n\n{EXIT_CODES}",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Instrument = Annotated[str, typer.Argument(help="Its name.", metavar="INSTRUMENT")]
Count = Annotated[int, typer.Option(help="How many, the newest first.", min=1, max=1000)]
AccountId = Annotated[
    int | None, typer.Option("--account-id", help="An account by its id; anybody may read it.", min=1, metavar="ID")
]


@query.command()
def status(url: Url = URL, as_json: Json = False) -> None:
    """Show which chain the node is of, and where it stands.

    Example: holdfast query status
    """
    with told("query status", as_json=as_json), _connect(url) as exchange:
        found = exchange.status()
        if as_json:
            print_json(found)
            return
        print_facts(
            {
                "chain id": found.chain_id,
                "genesis hash": found.genesis_hash,
                "height": found.height,
                "app hash": found.app_hash,
                "time": show_time(found.time_ms),
                "block interval": f"{found.block_interval_ms} ms",
                "persistence": found.persistence,
            }
        )


@query.command()
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

    with told("query book", as_json=as_json), _connect(url) as exchange:
        found = exchange.book(exchange.instrument(instrument).instrument_name, depth)
        if as_json:
            print_json(found)
            return
        levels = zip_longest(found.bids, found.asks, fillvalue=(None, None))
        rows = [(bid[1], bid[0], ask[0], ask[1]) for bid, ask in levels]
        print_table(["amount", "bid", "ask", "amount "], rows, title=found.instrument_name, right="amount bid ask")
        print_facts({"mark": found.mark_price, "index": found.index_price})
        print_state(found.height, found.app_hash)


@query.command()
def chain(
    currency: Annotated[str, typer.Argument(help="BTC or ETH.", metavar="CURRENCY")] = "BTC",
    expiry: Annotated[
        str | None, typer.Option(help="One expiry, as 27MAR26; the nearest without one.", show_default=False)
    ] = None,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Show an underlying's futures, and one expiry's options: calls, strikes, puts.

    Example: holdfast query chain BTC --expiry 27MAR26
    """
    from holdfast.cli.chain import print_chain

    with told("query chain", as_json=as_json), _connect(url) as exchange:
        listed = exchange.instruments(currency.upper())
        lines = exchange.summaries(currency.upper())
        if as_json:
            print_json(lines, height=lines.height, app_hash=lines.app_hash)
            return
        print_chain(currency.upper(), listed, lines, expiry)
        print_state(lines.height, lines.app_hash)


@query.command()
def ticker(instrument: Instrument, url: Url = URL, as_json: Json = False) -> None:
    """Show an instrument's prices.

    Example: holdfast query ticker BTC_USDC-27MAR26
    """
    with told("query ticker", as_json=as_json), _connect(url) as exchange:
        found = exchange.ticker(exchange.instrument(instrument).instrument_name)
        if as_json:
            print_json(found)
            return
        greeks = found.greeks
        print_facts(
            {
                "instrument": found.instrument_name,
                "state": found.state,
                "bid": _level(found.best_bid_price, found.best_bid_amount),
                "ask": _level(found.best_ask_price, found.best_ask_amount),
                "mark": found.mark_price,
                "index": found.index_price,
                "last": found.last_price,
                "mark iv": found.mark_iv,
                "delta": greeks and greeks.delta,
                "gamma": greeks and greeks.gamma,
                "vega": greeks and greeks.vega,
                "theta": greeks and greeks.theta,
                "open interest": found.open_interest,
            }
        )
        print_state(found.height, found.app_hash)


@query.command()
def account(
    account_name: AccountName = None,
    account_id: AccountId = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    as_json: Json = False,
) -> None:
    """Show an account: its owner, balances, sessions and subaccounts.

    Example: holdfast query account --account demo-1
    """
    with told("query account", as_json=as_json), _connect(url) as exchange:
        found = exchange.account(find_account(exchange, account_name, account_id, keystore))
        if as_json:
            print_json(found)
            return
        subaccounts = ", ".join(map(str, found.subaccounts)) if isinstance(found.subaccounts, tuple) else ""
        print_facts(
            {
                "account id": found.account_id,
                "owner key": found.owner_key,
                "parent": found.parent_id or None,
                "subaccounts": subaccounts,
            }
        )
        print_table(["asset", "amount"], [(one.asset, one.amount) for one in found.balances], right="amount")
        if found.sessions:
            rows = [(one.key, ",".join(one.scopes).lower(), show_time(one.expires_ms)) for one in found.sessions]
            print_table(["session key", "scopes", "expires"], rows)
        print_state(found.height, found.app_hash)


@query.command()
def positions(
    account_name: AccountName = None,
    account_id: AccountId = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    as_json: Json = False,
) -> None:
    """Show an account's positions.

    Example: holdfast query positions --account demo-1
    """
    with told("query positions", as_json=as_json), _connect(url) as exchange:
        found = exchange.positions(find_account(exchange, account_name, account_id, keystore))
        if as_json:
            print_json(found, height=found.height, app_hash=found.app_hash)
            return
        rows = [
            (one.instrument_name, one.size, one.average_price, one.mark_price, one.floating_profit_loss, one.delta)
            for one in found
        ]
        columns = ["instrument", "size", "average", "mark", "profit", "delta"]
        print_table(columns, rows, right="size average mark profit delta")
        print_state(found.height, found.app_hash)


@query.command()
def margin(
    account_name: AccountName = None,
    account_id: AccountId = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    as_json: Json = False,
) -> None:
    """Show an account's equity and what margin asks of it, in USDC.

    Example: holdfast query margin --account demo-1
    """
    with told("query margin", as_json=as_json), _connect(url) as exchange:
        found = exchange.margin(find_account(exchange, account_name, account_id, keystore))
        if as_json:
            print_json(found)
            return
        print_facts(
            {
                "account id": found.account_id,
                "equity": found.equity,
                "cash": found.balance,
                "initial margin": found.initial_margin,
                "maintenance margin": found.maintenance_margin,
                "available": found.available,
                "withdrawable": found.available_withdrawal_funds,
            }
        )
        print_state(found.height, found.app_hash)


@query.command()
def orders(
    account_name: AccountName = None,
    account_id: AccountId = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    as_json: Json = False,
) -> None:
    """Show an account's open orders.

    Example: holdfast query orders --account demo-1
    """
    with told("query orders", as_json=as_json), _connect(url) as exchange:
        found = exchange.orders(find_account(exchange, account_name, account_id, keystore))
        if as_json:
            print_json(found, height=found.height, app_hash=found.app_hash)
            return
        rows = [
            (
                one.order_id,
                one.instrument_name,
                one.direction,
                one.price,
                one.amount,
                one.filled_amount,
                one.order_state,
            )
            for one in found
        ]
        columns = ["order id", "instrument", "side", "price", "amount", "filled", "state"]
        print_table(columns, rows, right="price amount filled")
        print_state(found.height, found.app_hash)


@query.command()
def order(
    order_id: Annotated[str, typer.Argument(help="The order's id.", metavar="ORDER_ID")],
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Show one order, open or not.

    Example: holdfast query order 1234
    """
    with told("query order", as_json=as_json), _connect(url) as exchange:
        found = exchange.order(order_id)
        if as_json:
            print_json(found)
            return
        print_facts(
            {
                "order id": found.order_id,
                "state": found.order_state,
                "instrument": found.instrument_name,
                "side": found.direction,
                "price": found.price,
                "amount": found.amount,
                "filled": found.filled_amount,
                "average price": found.average_price,
                "placed": show_time(found.creation_timestamp),
                "changed": show_time(found.last_update_timestamp),
                "cancel reason": found.cancel_reason,
            }
        )


@query.command()
def trades(
    instrument: Annotated[
        str | None, typer.Argument(help="Its name; without one, the account's own.", metavar="[INSTRUMENT]")
    ] = None,
    count: Count = 20,
    account_name: AccountName = None,
    account_id: AccountId = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    as_json: Json = False,
) -> None:
    """Show the last trades of an instrument, or an account's own.

    Example: holdfast query trades BTC_USDC-27MAR26 --count 5
    """
    with told("query trades", as_json=as_json), _connect(url) as exchange:
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
        print_state(found.height, found.app_hash)


@query.command()
def validators(url: Url = URL, as_json: Json = False) -> None:
    """Show the validators: power, state, height, app hash.

    Example: holdfast query validators
    """
    with told("query validators", as_json=as_json), _connect(url) as exchange:
        found = exchange.validators()
        if as_json:
            print_json(found, height=found.height, app_hash=found.app_hash)
            return
        rows = [
            (one.index, one.public_key[:16], one.power, one.status, one.height, one.app_hash[:16], one.restarts)
            for one in found
        ]
        columns = ["validator", "public key", "power", "status", "height", "app hash", "restarts"]
        print_table(columns, rows, right="power height restarts")
        print_state(found.height, found.app_hash)


@query.command()
def block(
    height: Annotated[int | None, typer.Argument(help="The last one without.", min=1, metavar="[HEIGHT]")] = None,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Show a block: its time, hashes, transactions.

    Example: holdfast query block 100
    """
    with told("query block", as_json=as_json), _connect(url) as exchange:
        found = exchange.block(height)
        if as_json:
            print_json(found)
            return
        print_facts(
            {
                "block": found.get("block_height"),
                "time": show_time(_number(found.get("time_ms"))),
                "app hash": found.get("block_app_hash"),
                "app hash before": found.get("previous_app_hash"),
                "bytes": found.get("bytes"),
                "transactions": found.get("transactions"),
            }
        )
        txs = found.get("txs")
        shown = [one for one in txs if isinstance(one, dict)] if isinstance(txs, list) else []
        if shown:
            rows = [(one.get("tx_hash"), one.get("account_id"), one.get("command"), one.get("code")) for one in shown]
            print_table(["tx hash", "account", "command", "code"], rows, right="account code")


@query.command()
def tx(
    tx_hash: Annotated[str, typer.Argument(help="As the command that sent it told.", metavar="TX_HASH")],
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Show what became of a transaction: committed, rejected, or pending where nobody knows yet.

    Example: holdfast query tx 1f0c…
    """
    from holdfast.cli.connection import end_with

    with told("query tx", as_json=as_json), _connect(url) as exchange:
        result = exchange.resolve(tx_hash)
        if result.code and not as_json:
            note(f"refused: {result.code_name}: {result.message}")
        end_with(result, as_json=as_json)


@query.command()
def proof(
    table: Annotated[str | None, typer.Argument(help="A table, such as balances.", metavar="TABLE")] = None,
    key: Annotated[str | None, typer.Argument(help="The row's key, parts joined by commas.", metavar="KEY")] = None,
    path: Annotated[str | None, typer.Option(help="A row's key as bytes in hex, in the place of both.")] = None,
    account_name: AccountName = None,
    asset: Annotated[str, typer.Option(help="Of a balance, where --account is given.")] = "USDC",
    instrument: Annotated[
        str | None, typer.Option(help="Of a position, where --account is given.", metavar="INSTRUMENT")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write it.", metavar="FILE")] = Path("proof.json"),
    url: Url = URL,
    keystore: KeystoreFolder = None,
    as_json: Json = False,
) -> None:
    """Write a proof that a row is in the state, or is not; `holdfast verify-proof` checks it without any node.

    With --account the key of `accounts`, `balances` or `positions` need not be known.

    Example: holdfast query proof balances --account demo-1 --asset USDC -o proof.json
    """
    import msgspec

    from holdfast.client.amounts import get_asset_id
    from holdfast.client.errors import InputError

    with told("query proof", as_json=as_json), _connect(url) as exchange:
        if path is None and key is None and table in ("accounts", "balances", "positions"):
            key = str(find_account(exchange, account_name, None, keystore))
            if table == "balances":
                key = f"{key},{get_asset_id(asset)}"
            elif table == "positions":
                if instrument is None:
                    raise InputError("a position is of an instrument; give --instrument")
                key = f"{key},{exchange.instrument(instrument).instrument_id}"
        if (path is None) == (table is None or key is None):
            raise InputError("name a table and a key, as `balances 1000,0`, or a --path in hex")
        found = exchange.proof(table, key, path)
        try:
            out.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
        except OSError as error:
            raise InputError(f"--out {out}: {error.strerror}; name a file that can be written") from None
        about = {"file": str(out), "height": found.get("height"), "app_hash": found.get("app_hash")}
        if as_json:
            print_json({**about, "table": found.get("table"), "value": found.get("value")})
            return
        print_facts({"proof": str(out), "of": f"{table or 'path'} {key or path}", "value": found.get("value")})
        print_facts({"height": found.get("height"), "app hash": found.get("app_hash")})
        genesis_hash = found.get("genesis_hash")
        note(f"next, with the genesis that you trust: holdfast verify-proof {out} --genesis-hash {genesis_hash}")


def _level(price: "Decimal | None", amount: "Decimal") -> str:
    return f"{show_value(price)} for {show_value(amount)}" if price else "-"


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _connect(url: str) -> "Exchange":
    from holdfast.client.blocking import Exchange

    return Exchange(url)


def find_account(exchange: "Exchange", name: str | None, account_id: int | None, keystore: Path | None) -> int:
    """Return an account's id: as given, or that of a key on this chain."""
    from holdfast.cli.connection import Login, find_account_id
    from holdfast.cli.keys import find_holder

    if account_id is not None:
        return account_id
    holder = find_holder(name, keystore)
    login = Login(exchange.inner.url, name, None, keystore, None, 0.0)
    known = find_account_id(holder, exchange.trust(), login)
    return known if known is not None else exchange.account(owner_key=holder.public_key).account_id
