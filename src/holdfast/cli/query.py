"""`holdfast query`: read the committed state of one node."""

from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.options import EXIT_CODES, URL, AccountName, Json, KeystoreFolder, Url
from holdfast.cli.query_account import account, margin, order, orders, positions
from holdfast.cli.query_market import book, chain, ranges, ticker, trades
from holdfast.cli.reader import connect, find_account
from holdfast.cli.show import note, one_line, print_facts, print_json, print_state, print_table, show_time, told

query = typer.Typer(
    name="query",
    help=f"Read the exchange. Every answer names the height and the app hash that it is of.\n\n{EXIT_CODES}",
    no_args_is_help=True,
    rich_markup_mode=None,
)
for view in (book, chain, ticker, ranges, trades, account, positions, margin, orders, order):
    query.command()(view)


@query.command()
def status(url: Url = URL, as_json: Json = False) -> None:
    """Show which chain the node is of, and where it stands.

    Example: holdfast query status
    """
    with told("query status", as_json=as_json), connect(url) as exchange:
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
def validators(url: Url = URL, as_json: Json = False) -> None:
    """Show the validators: power, state, height, app hash.

    Example: holdfast query validators
    """
    with told("query validators", as_json=as_json), connect(url) as exchange:
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
    with told("query block", as_json=as_json), connect(url) as exchange:
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

    with told("query tx", as_json=as_json), connect(url) as exchange:
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

    with told("query proof", as_json=as_json), connect(url) as exchange:
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
        about = {"file": one_line(str(out)), "height": found.get("height"), "app_hash": found.get("app_hash")}
        if as_json:
            print_json({**about, "table": found.get("table"), "value": found.get("value")})
            return
        print_facts({"proof": str(out), "of": f"{table or 'path'} {key or path}", "value": found.get("value")})
        print_facts({"height": found.get("height"), "app hash": found.get("app_hash")})
        genesis_hash = found.get("genesis_hash")
        name = one_line(str(out))
        note(f"next, with the genesis that you trust: holdfast verify-proof {name} --genesis-hash {genesis_hash}")


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
