"""The views of `holdfast query` on accounts. The state is public, so none of them needs a key's passphrase."""

from typing import Annotated

import typer

from holdfast.cli.options import URL, AccountName, AnyAccountId, Json, KeystoreFolder, Url
from holdfast.cli.reader import connect, find_account
from holdfast.cli.show import brief, coin, print_facts, print_json, print_state, print_table, show_time, told, usdc


def account(
    account_name: AccountName = None,
    account_id: AnyAccountId = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    as_json: Json = False,
) -> None:
    """Show an account: its owner, balances, sessions and subaccounts.

    Example: holdfast query account --account demo-1
    """
    with told("query account", as_json=as_json), connect(url) as exchange:
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


def positions(
    account_name: AccountName = None,
    account_id: AnyAccountId = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    as_json: Json = False,
) -> None:
    """Show an account's positions.

    Example: holdfast query positions --account demo-1
    """
    with told("query positions", as_json=as_json), connect(url) as exchange:
        found = exchange.positions(find_account(exchange, account_name, account_id, keystore))
        if as_json:
            print_json(found, height=found.height, app_hash=found.app_hash)
            return
        rows = [
            (
                one.instrument_name,
                one.size,
                brief(one.average_price),
                brief(one.mark_price),
                one.floating_profit_loss,
                one.delta,
            )
            for one in found
        ]
        columns = ["instrument", "size", "average", "mark", "profit", "delta"]
        print_table(columns, rows, right="size average mark profit delta")
        print_state(
            found.height, found.app_hash, "size and delta in coin; average, mark and profit in USDC" * bool(rows)
        )


def margin(
    account_name: AccountName = None,
    account_id: AnyAccountId = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    as_json: Json = False,
) -> None:
    """Show an account's equity and what margin asks of it, in USDC.

    Example: holdfast query margin --account demo-1
    """
    with told("query margin", as_json=as_json), connect(url) as exchange:
        found = exchange.margin(find_account(exchange, account_name, account_id, keystore))
        if as_json:
            print_json(found)
            return
        print_facts(
            {
                "account id": found.account_id,
                "equity": usdc(found.equity),
                "cash": usdc(found.balance),
                "initial margin": usdc(found.initial_margin),
                "maintenance margin": usdc(found.maintenance_margin),
                "available": usdc(found.available),
                "withdrawable": usdc(found.available_withdrawal_funds),
            }
        )
        print_state(found.height, found.app_hash)


def orders(
    account_name: AccountName = None,
    account_id: AnyAccountId = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    as_json: Json = False,
) -> None:
    """Show an account's open orders.

    Example: holdfast query orders --account demo-1
    """
    with told("query orders", as_json=as_json), connect(url) as exchange:
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
        units = "price in USDC; amount and filled in coin" if rows else ""
        print_state(found.height, found.app_hash, units)


def order(
    order_id: Annotated[str, typer.Argument(help="The order's id.", metavar="ORDER_ID")],
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Show one order, open or not.

    Example: holdfast query order 1234
    """
    with told("query order", as_json=as_json), connect(url) as exchange:
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
                "price": "the market" if found.order_type == "market" or found.price is None else usdc(found.price),
                "amount": coin(found.amount, found.instrument_name),
                "filled": coin(found.filled_amount, found.instrument_name),
                "average price": usdc(found.average_price or None),
                "placed": show_time(found.creation_timestamp),
                "changed": show_time(found.last_update_timestamp),
                "cancel reason": found.cancel_reason,
            }
        )
