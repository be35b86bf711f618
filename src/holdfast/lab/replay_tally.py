"""What a replay counts, from each decided block's own transactions, receipts and events.

Nothing comes from totals that the exchange keeps of itself. Where two validators hold one height, their app hashes are
compared here.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from holdfast.lab.replay_margin import MarginTally
from holdfast.lab.replay_oracle import Reported, ReportLog
from holdfast.primitives.codec import Record
from holdfast.primitives.crypto import sha256
from holdfast.primitives.reject import Code, Malformed
from holdfast.protocol.custody.messages import Deposited, Withdrawn
from holdfast.protocol.instruments.messages import InstrumentListed
from holdfast.protocol.ledger.state import ASSET_NAMES
from holdfast.protocol.liquidation.messages import (
    AuctionStarted,
    DeficitCovered,
    FundDebtChanged,
    Haircut,
    LiquidationStarted,
    SliceSold,
)
from holdfast.protocol.machine import Applied, Receipt
from holdfast.protocol.messages import ENVELOPE_DECODER, TX_DECODER, Bundle
from holdfast.protocol.oracle.messages import FeedStatusChanged, FeedUpdated, decode_oracle_commit
from holdfast.protocol.ranges.messages import RangeChanged
from holdfast.protocol.settlement.messages import InstrumentSettled
from holdfast.protocol.trading.messages import MassQuote, PlaceOrder, Quoted, TimeInForce, Traded

_HEIGHT_BYTES: Final = 8


@dataclass
class FeedTally:
    """What became of one feed."""

    updates: int = 0
    outliers_rejected: int = 0
    status_changes: int = 0
    lies_included: int = 0
    outside_honest_range: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the counts by name."""
        return dict(vars(self))


@dataclass
class Tally:
    """The counts of one run."""

    reports: ReportLog
    app_hashes: list[bytes] = field(default_factory=list)
    disagreements: list[tuple[int, int]] = field(default_factory=list)
    orders: int = 0
    orders_accepted: int = 0
    fills: int = 0
    instruments_listed: int = 0
    settled_instruments: int = 0
    auctions: int = 0
    haircut_atoms: int = 0
    insurance_used_atoms: int = 0
    deficits: int = 0
    deficit_atoms: int = 0
    commands: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    refused_types: Counter[str] = field(default_factory=Counter)
    liquidated: dict[int, int] = field(default_factory=dict)
    deposited: Counter[str] = field(default_factory=Counter)
    withdrawn: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    _checked_at: dict[int, set[str]] = field(default_factory=dict)
    margin: MarginTally = field(default_factory=MarginTally)
    feeds: dict[str, FeedTally] = field(default_factory=lambda: {name: FeedTally() for name in ASSET_NAMES})

    @property
    def height(self) -> int:
        """Return the highest height that any validator has committed."""
        return len(self.app_hashes)

    @property
    def root_log(self) -> bytes:
        """Return the SHA-256 over every height, as 8 bytes, with its app hash."""
        entries = (
            height.to_bytes(_HEIGHT_BYTES, "big") + app_hash for height, app_hash in enumerate(self.app_hashes, 1)
        )
        return sha256(b"".join(entries))

    def note_genesis(self, events: tuple[Record, ...]) -> None:
        """Count what was put in before the first block."""
        for event in events:
            self._note_event(event)

    def note_commit(
        self, validator: int, height: int, app_hash: bytes, txs: tuple[bytes, ...], applied: Applied
    ) -> bool:
        """Take one validator's commit; return whether it was the first of its height, which is then counted."""
        self._note_checked(height, applied.checked)
        if height <= self.height:
            if self.app_hashes[height - 1] != app_hash:
                self.disagreements.append((validator, height))
            return False
        self.app_hashes.append(app_hash)
        for event in applied.events:
            self._note_event(event)
        for tx, receipt in zip(txs[1:], applied.receipts[1:], strict=True):
            self._note_receipt(tx, receipt)
        self._note_oracle(txs[0], applied.events)
        return True

    def _note_checked(self, height: int, names: tuple[str, ...]) -> None:
        """Count a promise once a height, whichever validators have checked it there."""
        seen = self._checked_at.setdefault(height, set())
        self.checked.update(name for name in names if name not in seen)
        seen.update(names)

    def _note_receipt(self, tx: bytes, receipt: Receipt) -> None:
        self.commands += 1
        if receipt.code != Code.OK:
            self.rejected[receipt.code.name] += 1
        for event in receipt.events:
            self._note_event(event)
        try:
            command = ENVELOPE_DECODER.decode(TX_DECODER.decode(tx).payload).command
        except Malformed:
            return
        for action in command.actions if isinstance(command, Bundle) else (command,):
            if isinstance(action, PlaceOrder):
                self._note_order(action, receipt)
            elif isinstance(action, MassQuote):
                self._note_quotes(action, receipt)

    def _note_order(self, order: PlaceOrder, receipt: Receipt) -> None:
        self.orders += 1
        if receipt.code == Code.OK:
            self.orders_accepted += 1
        else:
            self.refused_types[_order_type(order)] += 1

    def _note_quotes(self, command: MassQuote, receipt: Receipt) -> None:
        """Count each level that a mass quote wants to place; a level's own code tells whether it stands."""
        levels = [lots for quote in command.quotes for lots in (quote.bid_lots, quote.ask_lots)]
        placed = sum(lots > 0 for lots in levels)
        self.orders += placed
        quoted = next((event for event in receipt.events if isinstance(event, Quoted)), None)
        if quoted is None:
            self.refused_types["mass_quote"] += placed
            return
        self.orders_accepted += quoted.rested
        for code in quoted.codes:
            if code:
                self.rejected[Code(code).name] += 1
                self.refused_types["mass_quote"] += 1

    def _note_event(self, event: Record) -> None:
        match event:
            case Traded():
                self.fills += 1
            case Deposited():
                self.deposited[ASSET_NAMES[event.asset_id]] += event.amount_atoms
            case Withdrawn():
                self.withdrawn[ASSET_NAMES[event.asset_id]] += event.amount_atoms
            case InstrumentListed():
                self.instruments_listed += 1
            case InstrumentSettled():
                self.settled_instruments += 1
            case FeedStatusChanged():
                self.feeds[ASSET_NAMES[event.feed]].status_changes += 1
            case _:
                self._note_risk(event)

    def _note_risk(self, event: Record) -> None:
        match event:
            case LiquidationStarted():
                self.liquidated[event.account_id] = self.liquidated.get(event.account_id, 0) + 1
            case AuctionStarted():
                self.auctions += 1
            case DeficitCovered():
                self.insurance_used_atoms += event.fund_atoms
                self.deficit_atoms += event.fund_atoms + event.haircut_atoms
                self.deficits += 1
            case FundDebtChanged():
                self.insurance_used_atoms += max(0, -event.change_atoms)
            case SliceSold():
                self.insurance_used_atoms += event.from_fund_atoms
            case RangeChanged():
                self.margin.note_event(event)
            case Haircut():
                self.haircut_atoms += event.amount_atoms
            case _:
                pass

    def _note_oracle(self, first_tx: bytes, events: tuple[Record, ...]) -> None:
        """Compare each new price with what the honest reports behind it said."""
        included: list[Reported] = []
        for vote in decode_oracle_commit(first_tx).votes:
            known = self.reports.find(vote.validator_index, vote.extension)
            if known is not None:
                included.append(known)
        for feed_id, name in enumerate(ASSET_NAMES):
            tally = self.feeds[name]
            for reported in included:
                tally.outliers_rejected += reported.rejected.get(feed_id, 0)
                tally.lies_included += reported.venue_lies.get(feed_id, 0)
                tally.lies_included += reported.is_lie and feed_id in reported.prices_e8
        for event in events:
            if isinstance(event, FeedUpdated):
                tally = self.feeds[ASSET_NAMES[event.feed]]
                tally.updates += 1
                honest = [
                    one.prices_e8[event.feed] for one in included if not one.is_lie and event.feed in one.prices_e8
                ]
                if not honest or not min(honest) <= event.price_e8 <= max(honest):
                    tally.outside_honest_range += 1


def _order_type(order: PlaceOrder) -> str:
    if order.post_only:
        return "post_only"
    if order.reduce_only:
        return "reduce_only"
    if order.time_in_force == TimeInForce.FILL_OR_KILL:
        return "fill_or_kill"
    if order.price_ticks == 0:
        return "market"
    return "immediate_or_cancel" if order.time_in_force == TimeInForce.IMMEDIATE_OR_CANCEL else "limit"
