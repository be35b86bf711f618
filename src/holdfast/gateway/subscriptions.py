"""Channels and who follows them. A message is encoded once, whoever hears it; a slow reader delays nobody.

After each block: trades, blocks and accounts are told block by block, without a gap; tickers and books as they are
after the last block, since only that counts.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

from holdfast.gateway import envelope
from holdfast.gateway.accounts import show_balances
from holdfast.gateway.api import Api
from holdfast.gateway.backend import View
from holdfast.gateway.books import BookState, list_changes, read_book, show_snapshot
from holdfast.gateway.channels import Channel, parse_channel
from holdfast.gateway.history import Written
from holdfast.gateway.numbers import usd
from holdfast.gateway.objects import (
    Shown,
    base_of,
    kind_of,
    show_book,
    show_ticker,
)
from holdfast.gateway.orders import show_order, show_own_trade, show_trade
from holdfast.gateway.rows import TradeRow
from holdfast.gateway.sealed import AccountUpdate, IndexDamagedError
from holdfast.node.embedded import NoValidatorError
from holdfast.protocol.accounts.state import ACCOUNTS
from holdfast.protocol.oracle.state import FEEDS

RESEND_S: Final = 1.0
TOPICS_AT_ONCE: Final = 16
TOPICS_MAX: Final = 20_000
_BUSY_S: Final = 0.01
_BUILDING_S: Final = 0.1


class Listener(Protocol):
    """Who follows channels."""

    @property
    def is_busy(self) -> bool:
        """Return whether so much waits to be sent that more had better wait."""

    def send(self, frame: bytes) -> None:
        """Send a frame that must not be left out."""

    def send_latest(self, channel: str, frame: bytes, whole: bytes) -> None:
        """Send a frame of a channel that tells the present; `whole` replaces one that still waits."""


class Topic:
    """One channel with its followers, and what it said last. Who joins hears how things are, then what changes."""

    __slots__ = ("book", "channel", "instrument_id", "joining", "last", "last_frame", "listeners", "said_s")

    def __init__(self, channel: Channel, instrument_id: int) -> None:
        self.channel = channel
        self.instrument_id = instrument_id
        self.joining: dict[Listener, None] = {}
        self.listeners: dict[Listener, None] = {}
        self.last: object = None
        self.last_frame = b""
        self.book: BookState | None = None
        self.said_s = 0.0


class Hub:
    """All channels."""

    def __init__(self, api: Api) -> None:
        """Start with nobody listening."""
        self._api = api
        self._topics: dict[str, Topic] = {}
        self._is_dirty = asyncio.Event()
        self._last_block = b""
        self._tasks: list[asyncio.Task[None]] = []
        self._greetings: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to tell."""
        self._tasks = [asyncio.create_task(self._refresh()), asyncio.create_task(self._resend())]

    async def close(self) -> None:
        """Tell no more."""
        tasks = [*self._tasks, *self._greetings]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Who follows what

    def subscribe(self, listener: Listener, names: Iterable[str]) -> list[str]:
        """Add a listener to channels; return those that there are."""
        accepted: list[str] = []
        for name in names:
            topic = self._topics.get(name) or self._open(name)
            if topic is None:
                continue
            # Trades have no present state to begin with.
            joins_at_once = topic.channel.kind in ("trades", "trades_of")
            (topic.listeners if joins_at_once else topic.joining)[listener] = None
            accepted.append(name)
        # The answer to the request goes first.
        task = asyncio.create_task(self._greet(listener, accepted))
        self._greetings.add(task)
        task.add_done_callback(self._greetings.discard)
        return accepted

    def unsubscribe(self, listener: Listener, names: Iterable[str]) -> list[str]:
        """Take a listener off channels; return those that it was on."""
        dropped: list[str] = []
        for name in names:
            topic = self._topics.get(name)
            if topic is not None and (listener in topic.listeners or listener in topic.joining):
                topic.listeners.pop(listener, None)
                topic.joining.pop(listener, None)
                dropped.append(name)
                if not topic.listeners and not topic.joining:
                    del self._topics[name]
        return dropped

    def _open(self, name: str) -> Topic | None:
        channel = parse_channel(name)
        if channel is None or len(self._topics) >= TOPICS_MAX:
            return None
        instrument_id = 0
        if channel.kind in ("ticker", "quote", "book", "depth", "trades", "account"):
            try:
                with self._api.backend.reading() as view:
                    if channel.kind == "account":
                        if channel.number not in view.draft[ACCOUNTS]:
                            return None
                    else:
                        found = self._api.instruments.find(view.draft, channel.subject)
                        if found is None:
                            return None
                        instrument_id = found
            except NoValidatorError:
                return None
        topic = self._topics[name] = Topic(channel, instrument_id)
        return topic

    async def _greet(self, listener: Listener, names: Sequence[str]) -> None:
        """Tell a new listener how things are, no faster than it reads."""
        for name in names:
            topic = self._topics.get(name)
            frame: bytes | None = None
            while topic is not None and listener in topic.joining and frame is None:
                if listener.is_busy:
                    # What is sent is not worth an event a connection.
                    await asyncio.sleep(_BUSY_S)
                    continue
                try:
                    with self._api.backend.reading() as view:
                        frame = self._current(topic, view)
                except NoValidatorError:
                    frame = b""
                except IndexDamagedError:
                    # Its last number is known when the index is whole again.
                    await asyncio.sleep(_BUILDING_S)
            if topic is None or frame is None or listener not in topic.joining:
                continue
            del topic.joining[listener]
            topic.listeners[listener] = None
            if frame:
                listener.send_latest(name, frame, frame)

    def _current(self, topic: Topic, view: View) -> bytes:
        channel = topic.channel
        if channel.kind in ("trades", "trades_of"):
            return b""  # events only
        if channel.kind == "blocks":
            return self._last_block
        if channel.kind == "account":
            if not self._api.follower.is_whole:
                raise IndexDamagedError("the index is not whole yet")
            seq = self._api.history.last_seq(channel.number)
            update = AccountUpdate(channel.number, seq, self._api.history.height, [])
            return _frame(channel.name, {**self._show_account(update, None, view), "type": "snapshot"})
        if channel.kind == "book":
            if topic.book is None:
                topic.book = self._read_book(topic, view)
            return b"" if topic.book is None else _frame(channel.name, show_snapshot(topic.book))
        if not topic.last_frame:
            self._look(topic, view)
        return topic.last_frame

    def caught_up(self) -> None:
        """Take the last block from the index, where that was built before anything was told of."""
        block = self._api.history.last_block()
        if block is not None:
            trades = len(self._api.history.list_block_trades(block.height))
            shown = _show_block(block.height, block.time_ms, block.app_hash, block.txs, trades)
            self._last_block = _frame("blocks", shown)

    # After each block

    def written(self, written: Written) -> None:
        """Tell what a block has brought."""
        rows = written.rows
        commit = rows.commit
        block = (commit.height, commit.time_ms, commit.app_hash.hex(), len(rows.txs))
        self._last_block = _frame("blocks", _show_block(*block, len(rows.trades)))
        self._is_dirty.set()
        if not self._topics:
            return
        self._say("blocks", self._last_block)
        wanted = {number: f"account.{number}" for number in written.updates if f"account.{number}" in self._topics}
        if not wanted and not rows.trades:
            return
        try:
            with self._api.backend.reading() as view:
                for number, name in wanted.items():
                    self._say(name, _frame(name, self._show_account(written.updates[number], written, view)))
                self._tell_trades(rows.trades, view)
        except NoValidatorError:
            return

    def _show_account(self, update: AccountUpdate, written: Written | None, view: View) -> Shown:
        number = update.account_id
        shown: Shown = {
            "account_id": number,
            "seq": update.seq,
            "height": update.height,
            "events": update.events,
            "balances": show_balances(view.draft, number),
            "balances_height": view.height,
        }
        if written is None:
            return shown
        rows, known = written.rows, self._api.instruments
        orders = [(row, known.get(view.draft, row.instrument_id)) for row in rows.orders.values()]
        trades = [row for row in rows.trades if number in (row.taker_id, row.maker_id)]
        fills = [(row, known.get(view.draft, row.instrument_id)) for row in trades]
        return shown | {
            "time_ms": rows.commit.time_ms,
            "app_hash": rows.commit.app_hash.hex(),
            "orders": [show_order(row, one) for row, one in orders if one is not None and row.account_id == number],
            "trades": [
                show_own_trade(
                    row,
                    one,
                    number,
                    rows.orders.get(row.taker_order_id if row.taker_id == number else row.maker_order_id),
                )
                for row, one in fills
                if one is not None
            ],
        }

    def _tell_trades(self, trades: Sequence[TradeRow], view: View) -> None:
        told: dict[str, list[Shown]] = {}
        followed = [topic for topic in self._topics.values() if topic.channel.kind in ("trades", "trades_of")]
        if not followed:
            return
        for row in trades:
            instrument = self._api.instruments.get(view.draft, row.instrument_id)
            if instrument is None:
                continue
            shown = show_trade(row, instrument)
            currencies = ("ANY", "USDC", base_of(instrument))
            for topic in followed:
                channel = topic.channel
                is_meant = (
                    topic.instrument_id == row.instrument_id
                    if channel.kind == "trades"
                    else channel.subject in currencies and channel.instrument_kind in ("any", kind_of(instrument))
                )
                if is_meant:
                    told.setdefault(channel.name, []).append(shown)
        for name, data in told.items():
            self._say(name, _frame(name, data))

    def _say(self, name: str, frame: bytes) -> None:
        topic = self._topics.get(name)
        for listener in list(topic.listeners) if topic else ():
            listener.send(frame)
            self._api.metrics.notifications.inc()

    def _say_latest(self, topic: Topic, frame: bytes, whole: bytes) -> None:
        topic.said_s = asyncio.get_running_loop().time()
        for listener in list(topic.listeners):
            listener.send_latest(topic.channel.name, frame, whole)
            self._api.metrics.notifications.inc()

    # What tells the present

    async def _refresh(self) -> None:
        while True:
            await self._is_dirty.wait()
            self._is_dirty.clear()
            for topics in _chunks([topic for topic in self._topics.values() if topic.channel.has_state]):
                try:
                    with self._api.backend.reading() as view:
                        for topic in topics:
                            self._look(topic, view)
                except NoValidatorError:
                    break
                # Others wait too, and this state's validator for its lock.
                await asyncio.sleep(0)

    async def _resend(self) -> None:
        """Repeat tickers of a silent market: who waits for the next message must not wait for ever."""
        while True:
            await asyncio.sleep(RESEND_S / 2)
            now_s = asyncio.get_running_loop().time()
            for topic in list(self._topics.values()):
                is_due = topic.channel.kind in ("ticker", "quote", "index") and now_s - topic.said_s >= RESEND_S
                if is_due and topic.last_frame:
                    self._say_latest(topic, topic.last_frame, topic.last_frame)

    def _look(self, topic: Topic, view: View) -> None:
        """Tell a topic's followers what has changed since it last said something."""
        if topic.channel.kind == "book":
            self._look_at_book(topic, view)
            return
        data = self._show(topic, view)
        if data is None:
            return
        unstamped = {name: value for name, value in data.items() if name not in ("timestamp", "change_id")}
        if unstamped != topic.last:
            topic.last = unstamped
            topic.last_frame = _frame(topic.channel.name, data)
            self._say_latest(topic, topic.last_frame, topic.last_frame)

    def _show(self, topic: Topic, view: View) -> Shown | None:
        channel, draft = topic.channel, view.draft
        if channel.kind == "index":
            feed = draft[FEEDS].get(channel.number)
            if feed is None:
                return None
            return {"timestamp": view.time_ms, "price": usd(feed.price_e8), "index_name": channel.subject}
        instrument = self._api.instruments.get(draft, topic.instrument_id)
        if instrument is None:
            return None
        if channel.kind == "depth":
            args = (draft, topic.instrument_id, instrument, self._api.stats, view.time_ms, view.height, channel.number)
            book = show_book(*args)
            return {name: book[name] for name in ("timestamp", "instrument_name", "change_id", "bids", "asks")}
        ticker = show_ticker(draft, topic.instrument_id, instrument, self._api.stats, view.time_ms)
        if channel.kind == "ticker":
            return ticker
        prices = {name: ticker[name] or 0.0 for name in ticker if name.startswith("best_")}
        return {"timestamp": view.time_ms, "instrument_name": instrument.name, **prices}

    def _read_book(self, topic: Topic, view: View) -> BookState | None:
        instrument = self._api.instruments.get(view.draft, topic.instrument_id)
        if instrument is None:
            return None
        return read_book(view.draft, topic.instrument_id, instrument, view.time_ms, view.height)

    def _look_at_book(self, topic: Topic, view: View) -> None:
        before, after = topic.book, self._read_book(topic, view)
        if after is None or before is None or after.height <= before.height:
            topic.book = before or after
            return
        changes = list_changes(before, after)
        if changes is not None:
            topic.book = after
            name = topic.channel.name
            self._say_latest(topic, _frame(name, changes), _frame(name, show_snapshot(after)))


def _chunks(topics: list[Topic]) -> Iterator[list[Topic]]:
    for first in range(0, len(topics), TOPICS_AT_ONCE):
        yield topics[first : first + TOPICS_AT_ONCE]


def _show_block(height: int, time_ms: int, app_hash: str, transactions: int, trades: int) -> Shown:
    return {
        "height": height,
        "time_ms": time_ms,
        "app_hash": app_hash,
        "transactions": transactions,
        "trades": trades,
    }


def _frame(name: str, data: object) -> bytes:
    notification = {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": name, "data": data}}
    return envelope.encode(notification)
