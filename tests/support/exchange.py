"""A small market for tests of the protocol: one application with live prices, and short words for its parts."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from holdfast.lab.solo import Solo
from holdfast.primitives.codec import Record
from holdfast.protocol import machine
from holdfast.protocol.accounts.state import NONCES
from holdfast.protocol.book.state import ORDERS, Side
from holdfast.protocol.instruments.state import INSTRUMENTS, Kind
from holdfast.protocol.ledger.handlers import get_balance
from holdfast.protocol.machine import Applied, Block, Receipt
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.state import Requirement
from holdfast.protocol.messages import Command
from holdfast.protocol.portfolio.handlers import get_lots
from holdfast.protocol.surface.state import RISK_ARRAY
from holdfast.protocol.trading.messages import PlaceOrder, TimeInForce
from holdfast.state.draft import Draft

E = TypeVar("E", bound=Record)

BUY, SELL = Side.BUY, Side.SELL
BTC, ETH, USDT = 1, 2, 3
USD = 10**6  # atoms


class Market:
    """A chain with live prices and every instrument listed."""

    def __init__(
        self,
        accounts: int = 4,
        *,
        cash: int = 1_000_000 * USD,
        deposits: Mapping[int, Sequence[tuple[int, int]]] | None = None,
        genesis: Mapping[str, object] | None = None,
        interval_ms: int = 60_000,
        blocks: int = 2,
    ) -> None:
        self.solo = Solo(accounts, cash_atoms=cash, deposits=deposits, genesis_changes=genesis, interval_ms=interval_ms)
        self.solo.run(blocks)
        self.events: list[Record] = []

    @property
    def draft(self) -> Draft:
        return self.solo.draft()

    @property
    def root(self) -> bytes:
        return self.solo.app.state.root

    def id(self, index: int) -> int:
        return self.solo.account_id(index)

    def sign(self, index: int, command: Command, account_id: int | None = None) -> bytes:
        return self.solo.sign(index, command, account_id=account_id)

    def block(self, *txs: bytes, time_ms: int | None = None) -> tuple[Receipt, ...]:
        """Make a block; return the receipts of its commands, and keep all of its events."""
        self.solo.block(*txs, time_ms=time_ms)
        applied = self.solo.app.last_applied
        assert applied is not None
        receipts = applied.receipts[1:]
        assert len(receipts) == len(txs), "every transaction was admitted"
        self.events = [*applied.events, *(event for receipt in receipts for event in receipt.events)]
        return receipts

    def do(self, index: int, command: Command, account_id: int | None = None) -> Receipt:
        """Run one command in a block of its own."""
        (receipt,) = self.block(self.sign(index, command, account_id))
        return receipt

    def apply(self, *txs: bytes, time_ms: int | None = None) -> Applied:
        """Apply a block of transactions as they are, without admission and without committing."""
        solo = self.solo
        now = solo.time_ms + solo.interval_ms if time_ms is None else time_ms
        keep, solo.time_ms = solo.time_ms, now
        request = solo.make_request(*txs, prepare=False)
        solo.time_ms = keep
        return machine.apply_block(solo.app.state, Block(request.height, now, 0, request.txs))

    def run(self, blocks: int) -> list[Record]:
        """Make empty blocks; return all of their events."""
        events: list[Record] = []
        for _ in range(blocks):
            self.block()
            events.extend(self.events)
        return events

    def found(self, kind: type[E]) -> list[E]:
        """Return the last block's events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def future(self, underlying: int = BTC, place: int = 0) -> int:
        """Return a future, the nearest expiry first."""
        return self._list(underlying, Kind.FUTURE)[place][1]

    def option(self, underlying: int = BTC, kind: Kind = Kind.CALL, strike: int = 0, place: int = 2) -> int:
        """Return an option of the expiry at a place: of a strike in USD, or the one nearest to the money."""
        expiries = sorted({expiry for expiry, _, _ in self._list(underlying, kind, strikes=True)})
        wanted = strike * 10**8 or self.solo.prices[underlying]
        members = [entry for entry in self._list(underlying, kind, strikes=True) if entry[0] == expiries[place]]
        best = min(members, key=lambda entry: abs(entry[1] - wanted))
        assert not strike or best[1] == wanted, f"strike {strike} is listed"
        return best[2]

    def _list(self, underlying: int, kind: Kind, *, strikes: bool = False) -> list[tuple[int, ...]]:
        members = [
            (one.expiry_ms, one.strike_e8, instrument_id) if strikes else (one.expiry_ms, instrument_id)
            for instrument_id, one in self.draft[INSTRUMENTS].items()
            if one.underlying == underlying and one.kind == kind
        ]
        return sorted(members)

    def mark_atoms(self, instrument_id: int) -> int:
        value: int = self.draft[RISK_ARRAY][0].lines[instrument_id].value_atoms
        return value

    def mark_ticks(self, instrument_id: int) -> int:
        """Return the mark in ticks, rounded to the nearest and never zero."""
        tick = self.draft[INSTRUMENTS][instrument_id].tick_value_atoms
        ticks: int = (2 * self.mark_atoms(instrument_id) + tick) // (2 * tick)
        return max(1, ticks)

    def trade(self, buyer: int, seller: int, instrument_id: int, lots: int, ticks: int = 0) -> None:
        """Let two accounts trade with each other, at the mark unless a price is given."""
        price = ticks or self.mark_ticks(instrument_id)
        rested, taken = self.block(
            self.sign(seller, PlaceOrder(instrument_id, SELL, price, lots)),
            self.sign(buyer, PlaceOrder(instrument_id, BUY, price, lots, TimeInForce.FILL_OR_KILL)),
        )
        assert (rested.code, taken.code) == (0, 0), (str(rested), str(taken))

    def lots(self, index: int, instrument_id: int) -> int:
        return get_lots(self.draft, self.id(index), instrument_id)

    def cash(self, index: int) -> int:
        return get_balance(self.draft, self.id(index), 0)

    def need(self, index: int) -> Requirement:
        return margin.get_requirement(self.draft, self.id(index))

    def orders(self) -> dict[int, tuple[int, int, int, int]]:
        """Return every resting order as id -> (account, side, ticks, lots)."""
        return {
            order_id: (order.account_id, order.side, order.price_ticks, order.lots)
            for order_id, order in self.draft[ORDERS].items()
        }


class Difference(NamedTuple):
    """What a block changed, nonce rows apart, and the nonce rows that it changed."""

    rows: dict[bytes, bytes | None]
    nonces: dict[bytes, bytes | None]


def changes_of(applied: Applied) -> Difference:
    rows = dict(applied.sealed.changes)
    nonces = {key: value for key, value in rows.items() if key[0] == NONCES.tag}
    return Difference({key: value for key, value in rows.items() if key not in nonces}, nonces)
