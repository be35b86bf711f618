"""The settlement average, payoffs, and fees. Integers only."""

from collections.abc import Sequence

from holdfast.primitives.units import MINUTE_MS, PPM, div_ceil, div_floor, share_ceil, value_per_lot_atoms
from holdfast.protocol.block import BlockContext
from holdfast.protocol.instruments.state import SERIES, Instrument, Kind
from holdfast.protocol.settlement.params import SETTLEMENT_PARAMS, SettlementParams
from holdfast.protocol.settlement.state import SETTLEMENTS, WINDOW_MINUTES, WINDOWS, Minute, Window
from holdfast.state.draft import Draft

WINDOW_MS = WINDOW_MINUTES * MINUTE_MS


def compute_median_floor(prices_e8: Sequence[int]) -> int:
    """Return the median of at least one price. Rounds: the mean of the two middle ones down."""
    ordered = sorted(prices_e8)
    return div_floor(ordered[div_floor(len(ordered) - 1, 2)] + ordered[div_floor(len(ordered), 2)], 2)


def compute_rolled(window: Window, minute: int) -> Window:
    """Return a window with every minute before a given one closed; a minute with no price is not a good one."""
    if window.minute >= minute:
        return window
    good = window.good
    if window.prices_e8:
        good = (*good, Minute(window.minute, compute_median_floor(window.prices_e8)))[-WINDOW_MINUTES:]
    return Window(minute, (), good)


def compute_average(params: SettlementParams, window: Window, expiry_ms: int) -> tuple[int, int] | None:
    """Return (price, good minutes) of an expiry whose time has come, or None while too few minutes are good.

    The first thirty minutes that have enough good ones count, beginning with those before the expiry and sliding on by
    minutes. When sliding is over, the last good ones count, wherever they lie; while there are fewer even of these, the
    expiry waits for them. Rounds: down.
    """
    expiry_minute = div_floor(expiry_ms, MINUTE_MS)
    if window.minute < expiry_minute or not window.good:
        return None
    # A window has just become good enough only where its last minute is good, or it is the first of all.
    end = max(expiry_minute, window.good[-1].minute + 1)
    if end <= expiry_minute + params.slide_minutes_max:
        inside = [good.price_e8 for good in window.good if end - WINDOW_MINUTES <= good.minute < end]
        if len(inside) >= params.minutes_min:
            return div_floor(sum(inside), len(inside)), len(inside)
    if window.minute >= expiry_minute + params.slide_minutes_max and len(window.good) >= params.minutes_min:
        last = [good.price_e8 for good in window.good[-params.minutes_min :]]
        return div_floor(sum(last), len(last)), len(last)
    return None


def get_fixing(draft: Draft, underlying: int, expiry_ms: int, now_ms: int) -> tuple[int, int]:
    """Return what a settlement average has fixed, already weighted, and the share of it that is still open.

    Outside a window nothing is fixed and all is open; once the price is written, the reverse. The minute that runs is
    open. The two weights sum to one, so that a flat price gives a flat mark. Rounds: the open share up.
    """
    settlement = draft[SETTLEMENTS].get((underlying, expiry_ms))
    if settlement is not None:
        return settlement.price_e8, 0
    window = draft[WINDOWS].get((underlying, expiry_ms))
    if window is None:
        return 0, PPM
    minute, expiry_minute = div_floor(now_ms, MINUTE_MS), div_floor(expiry_ms, MINUTE_MS)
    first = max(minute, expiry_minute) - WINDOW_MINUTES
    done = [good.price_e8 for good in window.good if first <= good.minute < minute]
    if not done:
        return 0, PPM
    minutes_min = draft[SETTLEMENT_PARAMS][0].minutes_min
    left = expiry_minute - minute if minute < expiry_minute else max(1, minutes_min - len(done))
    variable_ppm = div_ceil(left * PPM, left + len(done))
    return div_floor(sum(done) * (PPM - variable_ppm), len(done) * PPM), variable_ppm


def get_fixings(draft: Draft, block: BlockContext) -> dict[tuple[int, int], tuple[int, int]]:
    """Return the fixing of every series that is inside its window or past its expiry."""
    return {
        (underlying, expiry_ms): get_fixing(draft, underlying, expiry_ms, block.time_ms)
        for underlying, expiry_ms in draft[SERIES].keys()  # noqa: SIM118 -- a table, not a dict
        if expiry_ms - WINDOW_MS <= block.time_ms
    }


def compute_payoff_atoms(instrument: Instrument, price_e8: int) -> int:
    """Return what one lot pays at a settlement price: one number for longs and shorts."""
    if instrument.kind == Kind.FUTURE:
        worth = price_e8
    elif instrument.kind == Kind.CALL:
        worth = max(0, price_e8 - instrument.strike_e8)
    else:
        worth = max(0, instrument.strike_e8 - price_e8)
    return value_per_lot_atoms(worth, instrument.lot_e8)


def compute_delivery_fee_atoms(
    params: SettlementParams, instrument: Instrument, lots: int, payoff_atoms: int, price_e8: int
) -> int:
    """Return what a long option in the money pays for delivery; all others pay nothing. Rounds: up, within its cap."""
    if instrument.kind == Kind.FUTURE or lots <= 0 or payoff_atoms == 0:
        return 0
    fee = share_ceil(lots * value_per_lot_atoms(price_e8, instrument.lot_e8), params.delivery_ppm)
    return min(fee, share_ceil(lots * payoff_atoms, params.delivery_cap_ppm))
