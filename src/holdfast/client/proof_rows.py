"""Rows of the state as people read them: which table, which key, what is there, in a sentence."""

from decimal import Decimal
from typing import Final, NamedTuple

from msgspec.structs import fields

from holdfast.primitives.codec import Record
from holdfast.primitives.reject import Malformed
from holdfast.protocol.accounts.state import ACCOUNTS
from holdfast.protocol.ledger.state import ASSET_ATOMS, ASSET_NAMES, BALANCES
from holdfast.protocol.portfolio.state import POSITIONS, Position
from holdfast.protocol.schema import TABLES

_BY_TAG: Final = {table.tag: table for table in TABLES if table.tag is not None}


class Row(NamedTuple):
    """A row for people. `key` and `value` are plain JSON values; bytes are hex."""

    table: str
    key: object
    value: object
    words: str


def read_row(key: bytes, value: bytes | None) -> Row:
    """Return what the bytes of a row say; what this version cannot read stays bytes."""
    table = _BY_TAG.get(key[0]) if key else None
    if table is None or len(key) != table.key_bytes:
        shown = None if value is None else value.hex()
        there = "holds nothing" if value is None else f"holds {len(value)} bytes"
        return Row("", key.hex(), shown, f"the state {there} at key {key.hex()}")
    read_key: object = table.decode_key(key)
    try:
        read_value: object = None if value is None else table.decode_value(value)
    except Malformed:
        read_value = value
    name = table.name.replace(" ", "_")
    return Row(name, to_plain(read_key), to_plain(read_value), _sentence(table.name, read_key, read_value))


def to_plain(value: object) -> object:
    """Return a stored value as JSON has it: records by field names, bytes in hex."""
    if isinstance(value, Record):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | list):
        return [to_plain(part) for part in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return value


def _sentence(table: str, key: object, value: object) -> str:
    match table, key, value:
        case BALANCES.name, (int(account_id), int(asset_id)), int() | None:
            return f"account {account_id} holds {_amount(asset_id, value)}"
        case POSITIONS.name, (int(account_id), int(instrument_id)), Position(lots=lots, cost_atoms=cost_atoms):
            side = "long" if lots > 0 else "short"
            return (
                f"account {account_id} is {side} {abs(lots)} lots of instrument {instrument_id},"
                f" at a cost of {_amount(0, cost_atoms)}"
            )
        case POSITIONS.name, (int(account_id), int(instrument_id)), None:
            return f"account {account_id} has no position in instrument {instrument_id}"
        case ACCOUNTS.name, int(account_id), None:
            return f"there is no account {account_id}"
    where = f"row {_text(to_plain(key))} of table {table.replace(' ', '_')}"
    return f"{where} does not exist" if value is None else f"{where} is {_text(to_plain(value))}"


def _amount(asset_id: int, atoms: int | None) -> str:
    if asset_id >= len(ASSET_NAMES):
        return f"{atoms or 0} atoms of asset {asset_id}"
    name = ASSET_NAMES[asset_id]
    if atoms is None:
        return f"no {name}"
    return f"{Decimal(atoms) / ASSET_ATOMS[asset_id]:f} {name} ({atoms} atoms)"


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    if isinstance(value, list):
        return "(" + ", ".join(map(_text, value)) + ")"
    return str(value)
