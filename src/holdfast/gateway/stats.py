"""The last day's trades of each instrument, as sums a minute: what a ticker shows beside the book."""

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec import Struct

from holdfast.gateway.rows import TradeRow
from holdfast.primitives.units import DAY_MS, MINUTE_MS

MINUTES: Final = DAY_MS // MINUTE_MS


class _Minute(Struct):
    minute: int
    first_ticks: int
    high_ticks: int
    low_ticks: int
    lots: int
    turnover_ticks: int


class DayStats(NamedTuple):
    """An instrument's last 24 hours, in ticks and lots; no prices where nothing has traded."""

    first_ticks: int | None
    high_ticks: int | None
    low_ticks: int | None
    lots: int
    turnover_ticks: int


class Stats:
    """All instruments' last trades."""

    def __init__(self) -> None:
        """Start empty."""
        self._minutes: dict[int, deque[_Minute]] = {}
        self.last: dict[int, TradeRow] = {}
        self.is_begun = False  # whether it knows of what was before it heard of the first block

    def begin(self, trades: Iterable[TradeRow]) -> None:
        """Start anew with what the index holds of all that has been told so far, the oldest first."""
        self._minutes.clear()
        self.last.clear()
        self.note(trades)
        self.is_begun = True

    def note(self, trades: Iterable[TradeRow]) -> None:
        """Take trades, the oldest first."""
        for trade in trades:
            self.last[trade.instrument_id] = trade
            minutes = self._minutes.setdefault(trade.instrument_id, deque(maxlen=MINUTES))
            minute, price = trade.time_ms // MINUTE_MS, trade.price_ticks
            if not minutes or minutes[-1].minute != minute:
                minutes.append(_Minute(minute, price, price, price, 0, 0))
            here = minutes[-1]
            here.high_ticks, here.low_ticks = max(here.high_ticks, price), min(here.low_ticks, price)
            here.lots += trade.lots
            here.turnover_ticks += trade.lots * price

    def forget(self, instrument_id: int) -> None:
        """Drop an instrument that is no more."""
        self._minutes.pop(instrument_id, None)
        self.last.pop(instrument_id, None)

    def day(self, instrument_id: int, now_ms: int) -> DayStats:
        """Return an instrument's last 24 hours."""
        minutes = self._minutes.get(instrument_id)
        oldest = now_ms // MINUTE_MS - MINUTES
        while minutes and minutes[0].minute <= oldest:
            minutes.popleft()
        if not minutes:
            return DayStats(None, None, None, 0, 0)
        return DayStats(
            minutes[0].first_ticks,
            max(minute.high_ticks for minute in minutes),
            min(minute.low_ticks for minute in minutes),
            sum(minute.lots for minute in minutes),
            sum(minute.turnover_ticks for minute in minutes),
        )
