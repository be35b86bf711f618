"""What the index keeps of a block, as a pure function of the block and what the index held before.

Everything here follows from decided blocks and their outcomes alone, so an index that is deleted is built anew with the
same rows.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import fields

from holdfast.primitives.codec import Record
from holdfast.primitives.crypto import sha256
from holdfast.primitives.reject import Code, Malformed
from holdfast.protocol.accounts.state import is_margined
from holdfast.protocol.instruments.messages import InstrumentListed, InstrumentRetired
from holdfast.protocol.machine import Receipt
from holdfast.protocol.messages import ENVELOPE_DECODER, TX_DECODER, Bundle, Command, Envelope
from holdfast.protocol.oracle.messages import FeedUpdated
from holdfast.protocol.settlement.messages import InstrumentSettled
from holdfast.protocol.trading.messages import (
    Cancelled,
    OrderAmended,
    OrderCancelled,
    OrderPlaced,
    PlaceOrder,
    Quoted,
    TimeInForce,
    Traded,
)

POST_ONLY: Final = 1
REDUCE_ONLY: Final = 2
MARKET: Final = 4
LIQUIDATION: Final = 8
# Trades of a block are numbered within it; together with its height that makes a number below 2**53.
TRADES_PER_BLOCK_BITS: Final = 22

_DROPPED: Final = (Cancelled.IMMEDIATE, Cancelled.FILL_LIMIT)
_OWNERS: Final = frozenset("account_id from_account_id to_account_id taker_id maker_id bidder_id parent_id".split())


class Commit(NamedTuple):
    """A committed block: `txs[0]` is the oracle's, `receipts` has an entry for each."""

    height: int
    time_ms: int
    app_hash: bytes
    txs: tuple[bytes, ...]
    receipts: tuple[Receipt, ...]
    events: tuple[Record, ...]


class TxRow(Struct, array_like=True, frozen=True):
    """One transaction in a block."""

    tx_hash: str
    height: int
    position: int
    account_id: int
    signer: str
    nonce: int
    code: int
    detail: str
    command: str


class TradeRow(Struct, array_like=True, frozen=True):
    """One fill."""

    trade_id: int
    height: int
    time_ms: int
    tx_hash: str
    instrument_id: int
    price_ticks: int
    lots: int
    taker_side: int
    taker_id: int
    maker_id: int
    taker_order_id: int
    maker_order_id: int
    taker_fee_atoms: int
    maker_fee_atoms: int
    trade_seq: int
    is_liquidation: bool


class OrderRow(Struct, array_like=True):
    """An order's last state. `lots` is its size, of which `open_lots` rests; `cost_ticks` adds lots times price."""

    order_id: int
    account_id: int
    instrument_id: int
    side: int
    price_ticks: int
    lots: int
    filled_lots: int
    open_lots: int
    cost_ticks: int
    state: str
    reason: int
    time_in_force: int
    flags: int
    client_id: int
    created_ms: int
    created_height: int
    updated_ms: int
    updated_height: int
    tx_hash: str

    @property
    def closed_height(self) -> int:
        """Return when it ended, 0 while it is open."""
        return 0 if self.state == "open" else self.updated_height


class InstrumentRow(Struct, array_like=True):
    """An instrument that was listed, and what became of it."""

    instrument_id: int
    name: str
    listed_height: int
    listed_ms: int
    retired_height: int = 0
    settled_e8: int = 0


class Decoded(NamedTuple):
    """A transaction of a block, decoded; what does not decode has no envelope."""

    tx_hash: bytes
    envelope: Envelope | None
    receipt: Receipt
    position: int


class Rows(NamedTuple):
    """All that one block adds to the index."""

    commit: Commit
    decoded: list[Decoded]
    txs: list[TxRow]
    trades: list[TradeRow]
    orders: dict[int, OrderRow]  # by id, those that the block has changed
    instruments: dict[int, InstrumentRow]
    accounts: dict[int, list[dict[str, object]]]  # account -> its events


def decode_tx(tx: bytes) -> tuple[bytes, Envelope | None]:
    """Return a transaction's hash, which is its payload's, and its envelope."""
    try:
        payload = TX_DECODER.decode(tx).payload
    except Malformed:
        return sha256(tx), None
    try:
        return sha256(payload), ENVELOPE_DECODER.decode(payload)
    except Malformed:
        return sha256(payload), None


def list_decoded(commit: Commit) -> list[Decoded]:
    """Return a block's commands; the first transaction is the oracle's and none of them."""
    return [
        Decoded(*decode_tx(tx), receipt, position)
        for position, (tx, receipt) in enumerate(zip(commit.txs, commit.receipts, strict=True))
        if position
    ]


def show_event(event: Record) -> dict[str, object]:
    """Return an event as JSON's values, with its name under `type`; bytes are hexadecimal."""
    shown: dict[str, object] = {"type": type(event).__name__}
    for field in event.__struct_fields__:
        value: object = getattr(event, field)
        shown[field] = value.hex() if isinstance(value, bytes) else value
    # Most quotes stand; only where one does not is the list worth its length.
    if isinstance(event, Quoted) and not any(event.codes):
        del shown["codes"]
    return shown


def _owner_fields(kind: type[Record]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name in _OWNERS)


_OWNER_FIELDS: dict[type[Record], tuple[str, ...]] = {}


def list_owners(event: Record) -> list[int]:
    """Return the accounts that an event is about."""
    kind = type(event)
    names = _OWNER_FIELDS.get(kind)
    if names is None:
        names = _OWNER_FIELDS[kind] = _owner_fields(kind)
    found = [int(getattr(event, name)) for name in names]
    return [account_id for account_id in dict.fromkeys(found) if is_margined(account_id)]


def list_order_ids(commit: Commit) -> list[int]:
    """Return the orders that a block speaks of; what the index held of them is needed to go on."""
    ids: dict[int, None] = {}
    for events in (*(receipt.events for receipt in commit.receipts), commit.events):
        for event in events:
            if isinstance(event, Traded):
                ids[event.maker_order_id] = ids[event.taker_order_id] = None
            elif isinstance(event, OrderAmended | OrderCancelled):
                ids[event.order_id] = None
    return list(ids)


class Builder:
    """Makes a block's rows; `orders` holds the rows before it of those that it changes."""

    def __init__(self, commit: Commit, orders: Mapping[int, OrderRow], sequences: dict[int, int]) -> None:
        """Begin a block. `sequences` counts every instrument's trades, and is carried on."""
        self._commit = commit
        self._known = orders
        self._sequences = sequences
        self.rows = Rows(commit, list_decoded(commit), [], [], {}, {}, {})

    def build(self) -> Rows:
        """Go through the block: listings, commands, then its own phases."""
        commit = self._commit
        for event in commit.events:
            self._note_instrument(event)
        for decoded in self.rows.decoded:
            self._take_command(decoded)
        for event in commit.events:
            self._take_event(event, "", None, is_liquidation=True)
            # Prices and surfaces belong to nobody.
            if not isinstance(event, FeedUpdated):
                self._tell(event, ())
        return self.rows

    def _note_instrument(self, event: Record) -> None:
        commit, instruments = self._commit, self.rows.instruments
        if isinstance(event, InstrumentListed):
            instruments[event.instrument_id] = InstrumentRow(
                event.instrument_id, event.name, commit.height, commit.time_ms
            )
        elif isinstance(event, InstrumentSettled | InstrumentRetired):
            row = instruments.setdefault(event.instrument_id, InstrumentRow(event.instrument_id, "", 0, 0))
            row.retired_height = commit.height
            if isinstance(event, InstrumentSettled):
                row.settled_e8 = event.price_e8

    def _take_command(self, decoded: Decoded) -> None:
        tx_hash, receipt, envelope = decoded.tx_hash.hex(), decoded.receipt, decoded.envelope
        account_id = envelope.account_id if envelope else 0
        row = TxRow(
            tx_hash,
            self._commit.height,
            decoded.position,
            account_id,
            envelope.signer.hex() if envelope else "",
            envelope.nonce if envelope else 0,
            int(receipt.code),
            receipt.detail,
            type(envelope.command).__name__ if envelope else "",
        )
        self.rows.txs.append(row)
        if receipt.code != Code.OK:
            refused = {"type": "CommandRefused", "tx_hash": tx_hash, "command": row.command, "code": row.code}
            self.rows.accounts.setdefault(account_id, []).append({**refused, "code_name": receipt.code.name})
            return
        placed = iter(list_placed(envelope.command) if envelope else ())
        for event in receipt.events:
            command = next(placed, None) if isinstance(event, OrderPlaced) else None
            self._take_event(event, tx_hash, command, is_liquidation=False)
            self._tell(event, (account_id,) if isinstance(event, OrderAmended) else (), tx_hash)

    def _tell(self, event: Record, more: Iterable[int], tx_hash: str = "") -> None:
        owners = [*list_owners(event), *more]
        if owners:
            shown = show_event(event)
            if tx_hash:
                shown["tx_hash"] = tx_hash
            for account_id in owners:
                self.rows.accounts.setdefault(account_id, []).append(shown)

    def _take_event(self, event: Record, tx_hash: str, command: PlaceOrder | None, *, is_liquidation: bool) -> None:
        match event:
            case OrderPlaced():
                self._place(event, tx_hash, command, is_liquidation=is_liquidation)
            case Traded():
                self._trade(event, tx_hash, is_liquidation=is_liquidation)
            case OrderAmended():
                self._amend(event)
            case OrderCancelled():
                self._cancel(event)
            case _:
                pass

    def _place(self, event: OrderPlaced, tx_hash: str, command: PlaceOrder | None, *, is_liquidation: bool) -> None:
        commit = self._commit
        flags = LIQUIDATION if is_liquidation else 0
        time_in_force = int(TimeInForce.IMMEDIATE_OR_CANCEL)
        if command is not None:
            time_in_force = command.time_in_force
            flags |= POST_ONLY * command.post_only | REDUCE_ONLY * command.reduce_only
            flags |= MARKET * (command.price_ticks == 0)
        self.rows.orders[event.order_id] = OrderRow(
            event.order_id,
            event.account_id,
            event.instrument_id,
            event.side,
            event.price_ticks,
            event.filled_lots + event.rested_lots,
            0,
            event.rested_lots,
            0,
            "open" if event.rested_lots else "filled",
            0,
            time_in_force,
            flags,
            event.client_id,
            commit.time_ms,
            commit.height,
            commit.time_ms,
            commit.height,
            tx_hash,
        )

    def _trade(self, event: Traded, tx_hash: str, *, is_liquidation: bool) -> None:
        commit, trades = self._commit, self.rows.trades
        sequence = self._sequences[event.instrument_id] = self._sequences.get(event.instrument_id, 0) + 1
        trades.append(
            TradeRow(
                commit.height << TRADES_PER_BLOCK_BITS | len(trades),
                commit.height,
                commit.time_ms,
                tx_hash,
                event.instrument_id,
                event.price_ticks,
                event.lots,
                event.taker_side,
                event.taker_id,
                event.maker_id,
                event.taker_order_id,
                event.maker_order_id,
                event.taker_fee_atoms,
                event.maker_fee_atoms,
                sequence,
                is_liquidation,
            )
        )
        for order_id, is_maker in ((event.taker_order_id, False), (event.maker_order_id, True)):
            row = self._get_order(order_id)
            if row is not None:
                row.filled_lots += event.lots
                row.cost_ticks += event.lots * event.price_ticks
                if is_maker:
                    row.open_lots -= event.lots
                    row.state = "open" if row.open_lots else "filled"

    def _amend(self, event: OrderAmended) -> None:
        row = self._get_order(event.order_id)
        if row is not None:
            row.price_ticks = event.price_ticks
            row.lots = row.filled_lots + event.filled_lots + event.rested_lots
            row.open_lots = event.rested_lots
            row.state = "open" if event.rested_lots else "filled"

    def _cancel(self, event: OrderCancelled) -> None:
        row = self._get_order(event.order_id)
        if row is not None:
            # What did not even rest is still part of what was asked for.
            if event.reason in _DROPPED:
                row.lots += event.lots
            row.open_lots = 0
            row.state, row.reason = "cancelled", event.reason

    def _get_order(self, order_id: int) -> OrderRow | None:
        """Return an order's row to change; quotes have none, nor what is older than the index."""
        row = self.rows.orders.get(order_id)
        if row is None:
            row = self._known.get(order_id)
            if row is None:
                return None
            self.rows.orders[order_id] = row
        row.updated_ms, row.updated_height = self._commit.time_ms, self._commit.height
        return row


def list_placed(command: Command) -> list[PlaceOrder]:
    """Return the orders that a command places, in the order of its events."""
    actions = command.actions if isinstance(command, Bundle) else (command,)
    return [action for action in actions if isinstance(action, PlaceOrder)]
