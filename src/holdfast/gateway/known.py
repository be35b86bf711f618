"""What is known already of a transaction: from the index, and from the blocks that are kept.

What the index holds is said at once, for every row of it is checked. What it does not hold is said of it only while it
is whole; and where the block log can be asked, the two must agree, or the index is built again.
"""

import time
from typing import Final

from holdfast.gateway.answers import Ended, Result, list_order_numbers, refused
from holdfast.gateway.backend import Backend
from holdfast.gateway.errors import is_retryable, name_of
from holdfast.gateway.follow import Follower, fetch_commit
from holdfast.gateway.history import History
from holdfast.gateway.instruments import Instruments
from holdfast.gateway.orders import show_order, show_own_trade
from holdfast.gateway.rows import TxRow, list_decoded, show_event
from holdfast.gateway.sealed import IndexDamagedError
from holdfast.node.embedded import NoValidatorError
from holdfast.primitives.reject import Code
from holdfast.protocol.messages import Envelope
from holdfast.protocol.trading.messages import OrderPlaced, Traded

# A contradiction that a new index does not end shall not make another one at once.
_DOUBTED_EVERY_S: Final = 600.0
BUILDING: Final = "the index is being checked or built from the blocks; ask again soon"


class Known:
    """Looks transactions up."""

    def __init__(self, backend: Backend, history: History, follower: Follower, instruments: Instruments) -> None:
        """Keep where to look."""
        self._backend = backend
        self._history = history
        self._follower = follower
        self._instruments = instruments
        self._doubted_s = -_DOUBTED_EVERY_S

    def find(self, tx_hash: bytes) -> Result | None:
        """Return a committed transaction's result, None where the index has none, or cannot tell."""
        try:
            return self._find(tx_hash)
        except IndexDamagedError:
            return None

    def _find(self, tx_hash: bytes) -> Result | None:
        row = self._history.find_tx(tx_hash)
        if row is None:
            return None
        try:
            commit = fetch_commit(self._backend, row.height)
        except NoValidatorError:
            commit = None
        if commit is None:
            return self._show_row(row)
        decoded = next((one for one in list_decoded(commit) if one.tx_hash == tx_hash), None)
        if decoded is None:
            raise self._contradict(f"block {row.height} does not hold transaction {row.tx_hash}")
        account_id = decoded.envelope.account_id if decoded.envelope else 0
        order_ids = list_order_numbers(decoded.receipt.events, account_id)
        trades = [row for row in self._history.list_block_trades(row.height) if row.tx_hash == tx_hash.hex()]
        orders = self._history.list_orders(order_ids)
        events = decoded.receipt.events
        placed = {event.order_id for event in events if isinstance(event, OrderPlaced)}
        traded = sum(isinstance(event, Traded) for event in events)
        if len(trades) != traded or not placed.intersection(order_ids) <= orders.keys():
            raise self._contradict(f"transaction {row.tx_hash} has other orders or trades in its block")
        return self.show(Ended(commit.height, commit.time_ms, commit.app_hash, decoded, trades, orders))

    def _contradict(self, reason: str) -> IndexDamagedError:
        """Return the refusal of what contradicts the blocks or itself.

        Why: what is in memory is pruned between two looks, and nothing flips its bits.
        """
        return IndexDamagedError(reason) if self._history.is_in_memory else self._history.fail(reason)

    def _show_row(self, row: TxRow) -> Result:
        """Return what the index alone knows, where the block itself is kept no more."""
        block = self._history.find_block(row.height)
        if block is None:
            raise self._contradict(f"block {row.height} is not there, and a transaction of it is")
        return {
            "state": "committed",
            "tx_hash": row.tx_hash,
            "height": row.height,
            "time_ms": block.time_ms,
            "app_hash": block.app_hash,
            "code": row.code,
            "code_name": name_of(row.code),
            "message": row.detail,
            "retryable": is_retryable(row.code),
            "account_id": row.account_id,
            "events": [],
            "order": None,
            "orders": [],
            "trades": [],
        }

    def find_hash(self, account_id: int, signer: bytes, nonce: int) -> bytes | None:
        """Return the hash of what used a nonce, None where the index has none, or cannot tell."""
        try:
            row = self._history.find_tx_by_nonce(account_id, signer, nonce)
        except IndexDamagedError:
            return None
        return None if row is None else bytes.fromhex(row.tx_hash)

    def explain_used(self, tx_hash: bytes, envelope: Envelope, code: int, height: int) -> Result | str:
        """Return whether these bytes have used their nonce, or others; a word where nobody can tell.

        `height` is that of the state in which the nonce is used up. It is never said of absence alone that a nonce was
        used by others, unless the index is whole and holds all blocks up to that height.
        """
        history, clears, was_whole = self._history, self._history.clears, self._follower.is_whole
        try:
            known = self._find(tx_hash)
            if known is not None:
                return known
            other = history.find_tx_by_nonce(envelope.account_id, envelope.signer, envelope.nonce)
            if other is not None and self._is_contradicted(other, tx_hash):
                raise self._contradict(f"block {other.height} does not hold transaction {other.tx_hash}")
            # It may have been cleared between two looks.
            is_whole = was_whole and self._follower.is_whole and clears == history.clears and history.height >= height
            if not is_whole:
                return BUILDING
            has_all = history.first_height <= 1
            # Nonce 0 counts as used from the start; every other one was used by somebody.
            if other is None and has_all and code == Code.NONCE_USED and envelope.nonce:
                return self._doubt(f"nonce {envelope.nonce} of account {envelope.account_id} is used by nobody")
        except IndexDamagedError:
            return BUILDING
        if other is None and not has_all:
            return "its nonce was used before the blocks that this node keeps; look at the account"
        used_by = "" if other is None else f"; transaction {other.tx_hash} used it"
        return refused(tx_hash, code, f"{name_of(code)}: nonce {envelope.nonce} is used{used_by}")

    def _doubt(self, reason: str) -> str:
        """Have the index built again that the state contradicts; return the word for it."""
        now_s = time.monotonic()
        if now_s - self._doubted_s >= _DOUBTED_EVERY_S:
            self._doubted_s = now_s
            self._contradict(reason)
        return BUILDING

    def _is_contradicted(self, row: TxRow, tx_hash: bytes) -> bool:
        """Return whether the block log says otherwise than the index of who used a nonce, where it keeps that block."""
        try:
            commit = fetch_commit(self._backend, row.height)
        except NoValidatorError:
            commit = None
        if commit is None:
            return False
        hashes = {decoded.tx_hash for decoded in list_decoded(commit)}
        return bytes.fromhex(row.tx_hash) not in hashes or tx_hash in hashes

    def show(self, ended: Ended) -> Result:
        """Return a committed transaction's result."""
        decoded = ended.decoded
        receipt, envelope = decoded.receipt, decoded.envelope
        account_id = envelope.account_id if envelope else 0
        orders, trades = self._show_effects(ended, account_id)
        return {
            "state": "committed",
            "tx_hash": decoded.tx_hash.hex(),
            "height": ended.written_height,
            "time_ms": ended.time_ms,
            "app_hash": ended.app_hash.hex(),
            "code": int(receipt.code),
            "code_name": receipt.code.name,
            "message": receipt.detail,
            "retryable": is_retryable(receipt.code),
            "account_id": account_id,
            "events": [show_event(event) for event in receipt.events],
            "order": orders[0] if orders else None,
            "orders": orders,
            "trades": trades,
        }

    def _show_effects(self, ended: Ended, account_id: int) -> tuple[list[Result], list[Result]]:
        numbers = list_order_numbers(ended.decoded.receipt.events, account_id)
        rows = [ended.orders[number] for number in numbers if number in ended.orders]
        if not rows and not ended.trades:
            return [], []
        wanted = {row.instrument_id for row in rows} | {row.instrument_id for row in ended.trades}
        known = {number: one for number in wanted if (one := self._instruments.peek(number)) is not None}
        if len(known) < len(wanted):
            try:
                with self._backend.reading() as view:
                    found = {number: self._instruments.get(view.draft, number) for number in wanted}
            except NoValidatorError:
                return [], []
            known = {number: one for number, one in found.items() if one is not None}
        orders = [show_order(row, known[row.instrument_id]) for row in rows if row.instrument_id in known]
        trades = [
            show_own_trade(row, known[row.instrument_id], account_id, ended.orders.get(row.taker_order_id))
            for row in ended.trades
            if row.instrument_id in known
        ]
        return orders, trades
