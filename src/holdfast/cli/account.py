"""`holdfast account`: keys, and the accounts that they own."""

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from holdfast.cli.options import (
    EXIT_CODES,
    URL,
    AccountId,
    AccountName,
    Json,
    KeystoreFolder,
    PassphraseFile,
    Timeout,
    Url,
)
from holdfast.cli.show import note, one_line, print_json, print_table, told

if TYPE_CHECKING:
    from holdfast.client.keystore import KnownAccount

_DAY_MS: Final = 86_400_000

account = typer.Typer(
    name="account",
    help=f"Keys and accounts: create, list, deposit, withdraw, session, rotate, transfer, subaccount.\n\n{EXIT_CODES}",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@account.command()
def create(
    name: Annotated[str, typer.Argument(help="The key's name.")],
    keystore: KeystoreFolder = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Make a key and keep it encrypted on this machine. Nothing is sent.

    The account itself opens with its first deposit. Keep a copy of the file: nobody can make a lost key again.

    Example: holdfast account create alice
    """
    from holdfast.cli.keys import open_keystore, read_passphrase
    from holdfast.client.demo import is_demo
    from holdfast.client.errors import InputError
    from holdfast.client.keystore import check_name

    with told("account create", as_json=as_json):
        check_name(name)
        if is_demo(name):
            raise InputError(f"{name} is the name of a public demo account; choose another")
        store = open_keystore(keystore)
        if name in store.names():
            raise InputError(f"key {name!r} exists in {store.folder}; choose another name")
        made = store.create(name, read_passphrase(name, passphrase_file, is_new=True))
        path = str(store.folder / f"{name}.json")
        if as_json:
            print_json({"name": name, "public_key": made.public_key, "file": path})
            return
        typer.echo(f"key {name}  public key {made.public_key}\nkept in {path}")
        note(f"next: holdfast account deposit 10000 --account {name}")


@account.command("list")
def list_keys(keystore: KeystoreFolder = None, as_json: Json = False) -> None:
    """List the keys of the keystore and the accounts that they act for. Needs no passphrase and no node.

    Example: holdfast account list
    """
    from holdfast.cli.keys import open_keystore
    from holdfast.client.demo import DEMO_NAMES, demo_key
    from holdfast.client.errors import KeystoreError

    with told("account list", as_json=as_json):
        store = open_keystore(keystore)
        files, unreadable = [], []
        for name in store.names():
            try:
                files.append(store.read(name))
            except KeystoreError as error:
                unreadable.append(error)
        demos = [{"name": name, "public_key": demo_key(name).public_key.hex()} for name in DEMO_NAMES]
        if as_json:
            if unreadable:
                raise unreadable[0]
            keys = [{"name": one.name, "public_key": one.public_key, "accounts": one.accounts} for one in files]
            print_json({"keystore": str(store.folder), "keys": keys, "demo": demos})
            return
        rows: list[tuple[object, ...]] = []
        for one in files:
            known = one.accounts or (None,)
            rows += [
                (
                    one.name,
                    one.public_key,
                    entry and entry.account_id,
                    entry and _name_chain(entry),
                    entry and entry.role,
                )
                for entry in known
            ]
        rows += [(demo["name"], demo["public_key"], None, "any devnet", "public") for demo in demos]
        print_table(["name", "public key", "account", "chain", "role"], rows, title=str(store.folder), right="account")
        for other in unreadable[1:]:
            note(f"note: {one_line(str(other))}")
        if unreadable:
            raise unreadable[0]


@account.command()
def deposit(
    amount: Annotated[str, typer.Argument(help="How much, in whole units of the asset.", metavar="AMOUNT")],
    asset: Annotated[str, typer.Option(help="USDC, BTC, ETH or USDT.")] = "USDC",
    account_name: AccountName = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Take money from a devnet's faucet; the first deposit opens the key's account.

    Example: holdfast account deposit 10000 --account alice
    """
    from holdfast.cli.connection import end_with
    from holdfast.cli.keys import find_holder, open_keystore
    from holdfast.client.blocking import Exchange
    from holdfast.client.keystore import KnownAccount

    with told("account deposit", as_json=as_json):
        holder = find_holder(account_name, keystore)
        with Exchange(url, deadline_s=timeout) as exchange:
            trust = exchange.trust()
            result = exchange.deposit(holder.public_key, amount, asset)
            if result.is_effective and not holder.is_demo:
                account_id = exchange.account(owner_key=holder.public_key).account_id
                known = KnownAccount(trust.chain_id, trust.genesis_hash.hex(), account_id)
                open_keystore(keystore).add_account(holder.name, known)
        end_with(result, as_json=as_json, title=f"deposit {amount} {asset.upper()} for {holder.name}")


@account.command()
def withdraw(
    amount: Annotated[str, typer.Argument(help="How much, in whole units of the asset.", metavar="AMOUNT")],
    asset: Annotated[str, typer.Option(help="USDC, BTC, ETH or USDT.")] = "USDC",
    account_name: AccountName = None,
    account_id: AccountId = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    passphrase_file: PassphraseFile = None,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Take money out of the exchange.

    Example: holdfast account withdraw 250 --account alice
    """
    from holdfast.cli.connection import Login, end_with, sign_in

    with (
        told("account withdraw", as_json=as_json),
        sign_in(Login(url, account_name, account_id, keystore, passphrase_file, timeout)) as exchange,
    ):
        result = exchange.withdraw(amount, asset)
        end_with(result, as_json=as_json, title=f"withdraw {amount} {asset.upper()}")


@account.command()
def transfer(
    to: Annotated[int, typer.Argument(help="The account that gets it, of the same owner.", metavar="TO_ID")],
    amount: Annotated[str, typer.Argument(help="How much, in whole units of the asset.", metavar="AMOUNT")],
    asset: Annotated[str, typer.Option(help="USDC, BTC, ETH or USDT.")] = "USDC",
    account_name: AccountName = None,
    account_id: AccountId = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    passphrase_file: PassphraseFile = None,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Move money to another account of the same owner.

    Example: holdfast account transfer 1005 250 --account alice
    """
    from holdfast.cli.connection import Login, end_with, sign_in

    with (
        told("account transfer", as_json=as_json),
        sign_in(Login(url, account_name, account_id, keystore, passphrase_file, timeout)) as exchange,
    ):
        result = exchange.transfer(to, amount, asset)
        end_with(result, as_json=as_json, title=f"transfer {amount} {asset.upper()} to account {to}")


@account.command()
def subaccount(
    account_name: AccountName = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    passphrase_file: PassphraseFile = None,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Open a subaccount, margined apart; commands name it with --account-id.

    Example: holdfast account subaccount --account alice
    """
    from holdfast.cli.connection import Login, end_with, sign_in

    with (
        told("account subaccount", as_json=as_json),
        sign_in(Login(url, account_name, None, keystore, passphrase_file, timeout)) as exchange,
    ):
        result = exchange.create_subaccount()
        opened = next((event.get("account_id") for event in result.events if event.get("type") == "AccountOpened"), "?")
        end_with(result, as_json=as_json, title=f"open subaccount {opened}")


@account.command()
def session(
    key: Annotated[str, typer.Argument(help="Another key of the keystore, or a public key in hex.", metavar="KEY")],
    scopes: Annotated[str, typer.Option(help="Of trade, cancel, transfer, liquidate.")] = "trade,cancel",
    days: Annotated[float, typer.Option(help="How long the key may act.", min=0.001, max=90)] = 7.0,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take the key's rights back.")] = False,
    account_name: AccountName = None,
    account_id: AccountId = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    passphrase_file: PassphraseFile = None,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Let another key act for an account within scopes, for a time; moving money out is never among them.

    Example: holdfast account session bot --scopes trade,cancel --days 7 --account alice
    """
    from holdfast.cli.connection import Login, end_with, sign_in
    from holdfast.cli.keys import open_keystore
    from holdfast.client.keystore import KnownAccount

    with told("account session", as_json=as_json):
        store = open_keystore(keystore)
        named = key in store.names()
        public_key = store.read(key).public_key if named else key
        with sign_in(Login(url, account_name, account_id, keystore, passphrase_file, timeout)) as exchange:
            identity, trust = exchange.identity(), exchange.trust()
            if revoke:
                result = exchange.revoke_session(public_key)
            else:
                now_ms = exchange.status().time_ms or time.time_ns() // 1_000_000
                result = exchange.grant_session(public_key, scopes, now_ms + int(days * _DAY_MS))
        known = KnownAccount(trust.chain_id, trust.genesis_hash.hex(), identity.account_id, "session")
        if named and revoke and result.is_effective:
            store.remove_account(key, known)
        elif named and not revoke:
            store.add_account(key, known)
        words = "revoked" if revoke else f"may {scopes} for {days:g} days"
        end_with(result, as_json=as_json, title=f"session of {key}: {words}")


@account.command()
def rotate(
    new: Annotated[str, typer.Argument(help="The key of the keystore that takes over.", metavar="NEW")],
    account_name: AccountName = None,
    url: Url = URL,
    keystore: KeystoreFolder = None,
    passphrase_file: PassphraseFile = None,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Put another owner key in the place of an account's present one, for the account and its subaccounts.

    Make the new key first: holdfast account create alice-2. From the next block on the old one has no rights.

    Example: holdfast account rotate alice-2 --account alice
    """
    from holdfast.cli.connection import Login, end_with, sign_in
    from holdfast.cli.keys import open_keystore
    from holdfast.client.errors import Rejected
    from holdfast.client.keystore import KnownAccount

    with told("account rotate", as_json=as_json):
        store = open_keystore(keystore)
        public_key = store.read(new).public_key
        with sign_in(Login(url, account_name, None, keystore, passphrase_file, timeout)) as exchange:
            identity, trust = exchange.identity(), exchange.trust()
            known = KnownAccount(trust.chain_id, trust.genesis_hash.hex(), identity.account_id)
            # Before it is sent: whatever comes of it, the key that may own the account then knows of it.
            store.add_account(new, known)
            try:
                result = exchange.rotate(public_key)
            except Rejected:
                store.remove_account(new, known)
                raise
        if result.is_effective and account_name in store.names():
            store.remove_account(str(account_name), known)
        end_with(result, as_json=as_json, title=f"account {identity.account_id} now belongs to {new}")


def _name_chain(known: "KnownAccount") -> str:
    """Return a chain's name; devnets of one seed have one id, so its genesis tells them apart."""
    return f"{known.chain_id} ({known.genesis_hash[:8]})"
