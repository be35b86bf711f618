"""Rows under a digest each: what is read from the index is what was written to it, or it is not served.

A row is stored as one JSON text beside the columns that it is found by, and its digest covers both. A table's seal adds
the digests of all its rows up, so that rows which are missing show too.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec import Struct

from holdfast.gateway.rows import InstrumentRow, OrderRow, TradeRow, TxRow
from holdfast.primitives.crypto import sha256

Key = int | str
Seal = tuple[int, int]  # how many rows, and the sum of their digests
UNSEALED: Final[Seal] = (0, 0)

_DIGEST_BYTES: Final = 8
_SUM_MASK: Final = (1 << 64) - 1
_LOW_BITS: Final = 32
_LOW_MASK: Final = (1 << _LOW_BITS) - 1
_SUMS: Final = msgspec.json.Decoder(tuple[int, int, int])
_STORED: Final = msgspec.json.Decoder(list[tuple[str, str, int]])

R = TypeVar("R", bound=Struct)


class IndexDamagedError(Exception):
    """The index file does not hold what it should. It is derived: delete it, or let the gateway do so."""


class BlockRow(Struct, array_like=True, frozen=True):
    """One block."""

    height: int
    time_ms: int
    app_hash: str
    txs: int


class AccountUpdate(Struct, array_like=True, frozen=True):
    """What one block did to one account; `seq` counts an account's updates without a gap."""

    account_id: int
    seq: int
    height: int
    events: list[dict[str, object]]


class Head(Struct, array_like=True):
    """What the index says of itself: whose it is, how far it goes, and each table's seal."""

    number: int
    chain_id: str
    genesis_hash: str
    first_height: int
    height: int
    seals: dict[str, Seal]


class Sealed(NamedTuple):
    """Rows as a statement takes them, and their digests."""

    text: str
    digests: list[int]


class AnyTable(Protocol):
    """A table, whatever its rows are."""

    name: str
    unique: tuple[str, ...]
    all_rows: str
    seal_sql: str

    def select_sql(self, where: str) -> str:
        """Return the statement that reads rows as one text."""

    def read(self, text: str) -> tuple[Sequence[Struct], list[int]]:
        """Return the rows of a text with their digests. Refuses: IndexDamagedError."""


class Table(Generic[R]):
    """How rows of one kind are written and read. The first `unique` of the key columns tell a row from all others."""

    def __init__(self, name: str, kind: type[R], keys: Sequence[str], *, unique: int = 1) -> None:
        """Lay the statements out."""
        self.name = name
        self.unique = tuple(keys[:unique])
        # SQLite's integers have 64 bits, and no sum of its own may pass that.
        low, high = f"sum(digest & {_LOW_MASK})", f"sum(digest >> {_LOW_BITS})"
        self.seal_sql = f"SELECT json_array(count(*), ifnull({low}, 0), ifnull({high}, 0)) FROM {name}"  # noqa: S608
        self.all_rows = f"1 ORDER BY {', '.join(self.unique)}"
        self._decoder = msgspec.json.Decoder(list[kind])  # type: ignore[valid-type]
        self._get_keys = _getter(keys)
        head = "'' || " + " || ',' || ".join(keys)
        columns = ", ".join(f"value->>{number}" for number in range(len(keys) + 2))
        self._select = f"SELECT {head} AS head, row, digest FROM {name} WHERE"  # noqa: S608 -- words of ours
        self._insert = f"INTO {name} SELECT {columns} FROM json_each(?)"  # noqa: S608

    def select_sql(self, where: str) -> str:
        """Return the statement that reads rows as one text."""
        return f"SELECT json_group_array(json_array(head, row, digest)) FROM ({self._select} {where})"  # noqa: S608

    def insert_sql(self, how: str) -> str:
        """Return the statement that writes rows from one text."""
        return f"{how} {self._insert}"

    def seal(self, rows: Iterable[R]) -> Sealed:
        """Return rows as they are stored."""
        stored: list[tuple[Key, ...]] = []
        digests: list[int] = []
        for row in rows:
            text = msgspec.json.encode(row).decode()
            keys = self._get_keys(row)
            digest = compute_digest(self.name, ",".join(map(str, keys)), text)
            stored.append((*keys, digest, text))
            digests.append(digest)
        return Sealed(msgspec.json.encode(stored).decode(), digests)

    def read(self, text: str) -> tuple[list[R], list[int]]:
        """Return the rows of a text with their digests. Refuses: IndexDamagedError."""
        try:
            stored = _STORED.decode(text)
            for head, row, digest in stored:
                if compute_digest(self.name, head, row) != digest:
                    message = f"a row of {self.name} is not what was written"
                    raise IndexDamagedError(message)
            return self._decoder.decode(f"[{','.join([row for _, row, _ in stored])}]"), [one[2] for one in stored]
        except msgspec.DecodeError as error:
            message = f"a row of {self.name} cannot be read: {error}"
            raise IndexDamagedError(message) from None


def _getter(keys: Sequence[str]) -> Callable[[Struct], tuple[Key, ...]]:
    if len(keys) == 1:
        get = attrgetter(keys[0])
        return lambda row: (get(row),)
    return attrgetter(*keys)


def compute_digest(table: str, head: str, row: str) -> int:
    """Return a stored row's digest, as a number that fits a column."""
    digest = sha256(f"{table},{head},{row}".encode())
    return int.from_bytes(digest[:_DIGEST_BYTES], "big", signed=True)


def add(seal: Seal, digests: Sequence[int]) -> Seal:
    """Return a seal with rows added."""
    return seal[0] + len(digests), (seal[1] + sum(digests)) & _SUM_MASK


def read_seal(text: str) -> Seal:
    """Return the seal of what a table holds, from what its `seal_sql` gives."""
    count, low, high = _SUMS.decode(text)
    return count, (low + (high << _LOW_BITS)) & _SUM_MASK


def take(seal: Seal, digests: Sequence[int]) -> Seal:
    """Return a seal with rows taken away."""
    return seal[0] - len(digests), (seal[1] - sum(digests)) & _SUM_MASK


HEADS: Final = Table("heads", Head, ("number",))
BLOCKS: Final = Table("blocks", BlockRow, ("height",))
TXS: Final = Table("txs", TxRow, ("tx_hash", "height", "account_id", "signer", "nonce"))
TRADES: Final = Table("trades", TradeRow, ("trade_id", "instrument_id", "taker_id", "maker_id"))
ORDERS: Final = Table("orders", OrderRow, ("order_id", "account_id", "closed_height"))
INSTRUMENTS: Final = Table("instruments", InstrumentRow, ("instrument_id",))
ACCOUNTS: Final = Table("accounts", AccountUpdate, ("account_id", "seq", "height"), unique=2)
TABLES: Final[tuple[AnyTable, ...]] = (BLOCKS, TXS, TRADES, ORDERS, INSTRUMENTS, ACCOUNTS)

SCHEMA: Final = """
CREATE TABLE heads(number INTEGER PRIMARY KEY, digest INTEGER, row TEXT);
CREATE TABLE blocks(height INTEGER PRIMARY KEY, digest INTEGER, row TEXT);
CREATE TABLE txs(tx_hash TEXT PRIMARY KEY, height INTEGER, account_id INTEGER, signer TEXT, nonce INTEGER,
 digest INTEGER, row TEXT) WITHOUT ROWID;
CREATE INDEX txs_by_height ON txs(height);
CREATE INDEX txs_by_nonce ON txs(account_id, signer, nonce);
CREATE TABLE trades(trade_id INTEGER PRIMARY KEY, instrument_id INTEGER, taker_id INTEGER, maker_id INTEGER,
 digest INTEGER, row TEXT);
CREATE INDEX trades_by_instrument ON trades(instrument_id, trade_id);
CREATE INDEX trades_by_taker ON trades(taker_id, trade_id);
CREATE INDEX trades_by_maker ON trades(maker_id, trade_id);
CREATE TABLE orders(order_id INTEGER PRIMARY KEY, account_id INTEGER, closed_height INTEGER, digest INTEGER, row TEXT);
CREATE INDEX orders_by_account ON orders(account_id, order_id);
CREATE TABLE instruments(instrument_id INTEGER PRIMARY KEY, digest INTEGER, row TEXT);
CREATE TABLE accounts(account_id INTEGER, seq INTEGER, height INTEGER, digest INTEGER, row TEXT,
 PRIMARY KEY(account_id, seq)) WITHOUT ROWID;
CREATE INDEX accounts_by_height ON accounts(height);
"""
