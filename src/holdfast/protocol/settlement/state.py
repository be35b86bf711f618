"""Stored averages, settlement prices, and where the daily realisation stands."""

from typing import Annotated, Final

from msgspec import Meta

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64
from holdfast.state.table import Table

WINDOW_MINUTES: Final = 30
SAMPLES_MAX: Final = 1_200  # a block every 50 ms; further ones of the same minute do not count


class Minute(Record):
    """A good minute, counted since the epoch, and the median of its prices."""

    minute: U64
    price_e8: U64


class Window(Record):
    """The average of one expiry while it is taken: prices of the minute that runs, and the last good minutes before."""

    minute: U64
    prices_e8: Annotated[tuple[U64, ...], Meta(max_length=SAMPLES_MAX)]
    good: Annotated[tuple[Minute, ...], Meta(max_length=WINDOW_MINUTES)]


class Settlement(Record):
    """An expiry's price, the average of so many good minutes; complete when nobody holds any of its instruments."""

    price_e8: U64
    minutes: U64
    is_complete: bool


class DailyRun(Record):
    """How far the realisation of one day has come: through an account of an instrument, or to the end."""

    day: U64
    instrument_id: U64
    account_id: U64
    is_done: bool


WINDOWS: Final = Table[tuple[int, int], Window]("settlement windows", ["u64", "u64"], Window, tag=95)
# By (underlying, expiry). The price never changes once it is written.
SETTLEMENTS: Final = Table[tuple[int, int], Settlement]("settlements", ["u64", "u64"], Settlement, tag=96)
DAILY_RUN: Final = Table[int, DailyRun]("daily run", ["u64"], DailyRun, tag=97)
