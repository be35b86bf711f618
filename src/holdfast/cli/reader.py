"""Connections of the commands that only read."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.client.blocking import Exchange


def connect(url: str) -> "Exchange":
    """Return a connection without a key."""
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
