"""Connections of the commands that sign: the right chain, the right account, the user's journal."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import typer

from holdfast.cli.keys import Holder, find_holder, unlock
from holdfast.cli.show import coin, note, print_facts, print_json, print_table, show_time, show_value, usdc
from holdfast.client.blocking import Exchange
from holdfast.client.errors import EXIT_FAILURE, EXIT_STALLED, EXIT_UNREACHABLE, KeystoreError
from holdfast.client.home import find_home
from holdfast.client.journal import Journal
from holdfast.client.results import TxResult
from holdfast.client.submission import COMMITTED, PENDING, UNKNOWN, Trust, show_trust


class Login(NamedTuple):
    """What the options of a signing command say."""

    url: str
    account: str | None
    account_id: int | None
    keystore: Path | None
    passphrase_file: Path | None
    timeout_s: float


@contextmanager
def sign_in(login: Login, *, is_dry: bool = False, asks_first: bool = True) -> Iterator[Exchange]:
    """Connect with a key; a dry run has none. What an earlier command left open is asked for first.

    Refuses: InputError, KeystoreError, Unreachable, and a chain that the key does not know.
    """
    if is_dry:
        with Exchange(login.url) as reader:
            yield reader
        return
    holder = find_holder(login.account, login.keystore)
    with Exchange(login.url) as reader:
        trust = reader.trust()
    account_id = find_account_id(holder, trust, login)
    key = unlock(holder, login.keystore, login.passphrase_file)
    with (
        closing(Journal(find_home(os.environ) / "journal.jsonl")) as journal,
        Exchange(
            login.url, key=key, account_id=account_id, trust=trust, journal=journal, deadline_s=login.timeout_s
        ) as exchange,
    ):
        for left in exchange.recover(abandons=False) if asks_first else ():
            where = f"in block {left.height}" if left.state == COMMITTED else "end it with: holdfast order recover"
            note(f"note: an earlier command is {left.state} ({left.tx_hash[:16]}): {where}")
        yield exchange


def find_account_id(holder: Holder, trust: Trust, login: Login) -> int | None:
    """Return the account that a command is for. Refuses: KeystoreError for a chain on which the key has none."""
    if login.account_id is not None or holder.is_demo:
        return login.account_id
    known = (trust.chain_id, trust.genesis_hash.hex())
    for account in holder.accounts:
        if (account.chain_id, account.genesis_hash) == known:
            return account.account_id
    mend = f"open one with: holdfast account deposit 10000 --account {holder.name}"
    raise KeystoreError(f"key {holder.name!r} has no account on {show_trust(trust)} at {login.url}; {mend}")


def end_with(result: TxResult, *, as_json: bool, title: str = "") -> None:
    """Print how a command ended. One that is pending ends the program with the exit code of what holds it up."""
    if as_json:
        print_json(result)
    else:
        _print_result(result, title)
    if result.state == PENDING:
        raise typer.Exit(EXIT_UNREACHABLE if result.code_name == "UNREACHABLE" else EXIT_STALLED)
    if result.state == UNKNOWN:
        raise typer.Exit(EXIT_FAILURE)


def _print_result(result: TxResult, title: str) -> None:
    facts: dict[str, object] = {"state": result.state}
    if title:
        facts["command"] = title
    order = result.order
    if order is not None:
        facts["order id"] = order.order_id
        price = "the market" if order.order_type == "market" or order.price is None else usdc(order.price)
        words = f"{order.direction} {show_value(order.amount)} {order.instrument_name} at {price}"
        facts["order"] = f"{order.order_state}: {words}"
        facts["filled"] = f"{show_value(order.filled_amount)} of {coin(order.amount, order.instrument_name)}"
        if order.filled_amount and order.average_price:
            facts["average price"] = usdc(order.average_price)
    if result.state in (PENDING, UNKNOWN):
        facts |= {"why": result.message, "tx hash": result.tx_hash}
        if result.state == PENDING:
            facts["next"] = f"holdfast query tx {result.tx_hash}"
    else:
        facts |= {"height": result.height, "app hash": result.app_hash, "tx hash": result.tx_hash}
        facts["time"] = show_time(result.time_ms)
    print_facts(facts)
    if result.trades:
        rows = [
            (fill.trade_id, fill.direction, coin(fill.amount, fill.instrument_name), usdc(fill.price), usdc(fill.fee))
            for fill in result.trades
        ]
        print_table(["fill", "side", "amount", "price", "fee"], rows, right="amount price fee")
