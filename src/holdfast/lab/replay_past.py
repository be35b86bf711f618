"""The past that a replay's chain begins with: returns between the epochs of a history before its start."""

from itertools import pairwise

from holdfast.lab.history import History
from holdfast.lab.venues import Venues
from holdfast.primitives.units import div_ceil, div_floor
from holdfast.protocol.instruments.params import UNDERLYINGS
from holdfast.protocol.ledger.state import ASSET_NAMES
from holdfast.protocol.ranges.params import HISTORY_MAX, RangeHistory, RangeParams
from holdfast.protocol.ranges.rules import compute_return_e9


def read_past(history: History, venues: Venues, start_ms: int, params: RangeParams) -> tuple[RangeHistory, ...]:
    """Return each underlying's returns between the epochs of its own history before a replay's start, oldest first.

    The price at an epoch's beginning is the median of the real venues that are fresh then; an epoch without one joins
    the next. An underlying with fewer than two prices begins at its stated start; where all do, there is no past.
    """
    past = tuple(
        RangeHistory(underlying, _read_returns(history, venues, ASSET_NAMES[underlying], start_ms, params.epoch_ms))
        for underlying in UNDERLYINGS
    )
    return past if any(one.returns_e9 for one in past) else ()


def _read_returns(history: History, venues: Venues, feed: str, start_ms: int, epoch_ms: int) -> tuple[int, ...]:
    firsts_ms = [source.times_ms[0] for source in history.sources_of(feed)]
    if not firsts_ms:
        return ()
    epochs = range(div_ceil(min(firsts_ms), epoch_ms), div_floor(start_ms, epoch_ms) + 1)[-HISTORY_MAX - 1 :]
    told = [(epoch, venues.true_price_e8(feed, epoch * epoch_ms)) for epoch in epochs]
    prices = [(epoch, price) for epoch, price in told if price is not None]
    return tuple(
        compute_return_e9(before, after, later - earlier) for (earlier, before), (later, after) in pairwise(prices)
    )
