"""A book as its channel tells it: whole once, then what has changed."""

from typing import Final, NamedTuple

from holdfast.gateway.numbers import amount_of, price_of
from holdfast.gateway.objects import Shown, list_levels
from holdfast.protocol.book.state import Side
from holdfast.protocol.instruments.state import Instrument
from holdfast.state.draft import Draft

LEVELS_MAX: Final = 1_000

Levels = dict[int, int]  # ticks -> lots


class BookState(NamedTuple):
    """A book at a height."""

    instrument: Instrument
    time_ms: int
    height: int
    bids: Levels
    asks: Levels


def read_book(draft: Draft, instrument_id: int, instrument: Instrument, time_ms: int, height: int) -> BookState:
    """Return a book as it stands."""
    bids, asks = (dict(list_levels(draft, instrument_id, side, LEVELS_MAX)) for side in (Side.BUY, Side.SELL))
    return BookState(instrument, time_ms, height, bids, asks)


def show_snapshot(book: BookState) -> Shown:
    """Return a whole book; that `prev_change_id` is absent tells it from a change."""
    return {
        "type": "snapshot",
        "timestamp": book.time_ms,
        "instrument_name": book.instrument.name,
        "change_id": book.height,
        "bids": [["new", *_show(book, ticks, lots)] for ticks, lots in book.bids.items()],
        "asks": [["new", *_show(book, ticks, lots)] for ticks, lots in book.asks.items()],
    }


def list_changes(before: BookState, after: BookState) -> Shown | None:
    """Return what has changed between two heights, None where nothing has."""
    bids, asks = _list_side(before.bids, after.bids, after), _list_side(before.asks, after.asks, after)
    if not bids and not asks:
        return None
    return {
        "type": "change",
        "timestamp": after.time_ms,
        "instrument_name": after.instrument.name,
        "prev_change_id": before.height,
        "change_id": after.height,
        "bids": bids,
        "asks": asks,
    }


def _list_side(before: Levels, after: Levels, book: BookState) -> list[list[object]]:
    changes: list[list[object]] = []
    for ticks, lots in after.items():
        if before.get(ticks) != lots:
            changes.append(["change" if ticks in before else "new", *_show(book, ticks, lots)])
    changes.extend(["delete", *_show(book, ticks, 0)] for ticks in before if ticks not in after)
    return changes


def _show(book: BookState, ticks: int, lots: int) -> tuple[float, float]:
    return price_of(ticks, book.instrument), amount_of(lots, book.instrument)
