"""Which key a command signs with, and where its passphrase comes from."""

import os
import sys
from pathlib import Path
from typing import NamedTuple

import typer

from holdfast.cli.show import note
from holdfast.client.demo import DEMO_NAMES, WARNING, demo_key, is_demo
from holdfast.client.errors import InputError, KeystoreError
from holdfast.client.home import find_home
from holdfast.client.keystore import Keystore, KnownAccount
from holdfast.client.signing import SigningKey


class Holder(NamedTuple):
    """A key, and the accounts that it is known to act for; a demo key's are asked for."""

    name: str
    public_key: str
    accounts: tuple[KnownAccount, ...]
    is_demo: bool


def open_keystore(folder: Path | None) -> Keystore:
    """Return the keystore of an option, or the user's own."""
    return Keystore(folder if folder is not None else find_home(os.environ) / "keys")


def find_holder(name: str | None, folder: Path | None) -> Holder:
    """Return whose key a name is. Refuses: InputError, KeystoreError."""
    if name is None:
        known = ", ".join([*open_keystore(folder).names(), *DEMO_NAMES])
        raise InputError(f"no account is named; give --account NAME or set HOLDFAST_ACCOUNT (known: {known})")
    if is_demo(name):
        return Holder(name, demo_key(name).public_key.hex(), (), is_demo=True)
    file = open_keystore(folder).read(name)
    return Holder(name, file.public_key, file.accounts, is_demo=False)


def unlock(holder: Holder, folder: Path | None, passphrase_file: Path | None) -> SigningKey:
    """Return a holder's private key. Refuses: KeystoreError."""
    if holder.is_demo:
        note(f"warning: {holder.name} {WARNING}")
        return demo_key(holder.name)
    return open_keystore(folder).unlock(holder.name, read_passphrase(holder.name, passphrase_file))


def read_passphrase(name: str, passphrase_file: Path | None, *, is_new: bool = False) -> str:
    """Return a passphrase: from a file, the environment, or the terminal. Refuses: KeystoreError."""
    if passphrase_file is not None:
        try:
            return passphrase_file.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            message = f"--passphrase-file {passphrase_file}: {reason}; name a readable text file"
            raise KeystoreError(message) from None
    if (given := os.environ.get("HOLDFAST_PASSPHRASE")) is not None:
        return given
    if not sys.stdin.isatty():
        message = f"key {name!r} needs its passphrase and no terminal is there; set HOLDFAST_PASSPHRASE"
        raise KeystoreError(f"{message} or give --passphrase-file")
    prompt = f"Passphrase for {'the new key ' if is_new else ''}{name}"
    answer: str = typer.prompt(prompt, hide_input=True, confirmation_prompt=is_new, err=True)
    return answer
