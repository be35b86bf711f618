"""Settlement averages: the prices that go into them, what they come to, and what of them is already fixed."""

from fractions import Fraction
from math import ceil, floor
from typing import Final

from holdfast.lab.reference import oracle
from holdfast.lab.reference.rounding import PPM, down
from holdfast.lab.reference.world import World
from holdfast.protocol.settlement.state import Minute, Window

_MINUTE_MS: Final = 60_000
_MINUTES: Final = 30
_SAMPLES_MAX: Final = 1_200


def sample(world: World) -> None:
    """Take the block's price into every open average; a minute that is over becomes its prices' median."""
    minute = down(world.now_ms, _MINUTE_MS)
    for key in world.series():
        underlying, expiry_ms = key
        if world.now_ms < expiry_ms - _MINUTES * _MINUTE_MS or key in world.settlements:
            continue
        window = world.windows.get(key, Window(minute, (), ()))
        if window.minute < minute:
            good = list(window.good)
            if window.prices_e8:
                ordered = sorted(window.prices_e8)
                middle = ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]
                good.append(Minute(window.minute, down(middle, 2)))
            window = Window(minute, (), tuple(good[-_MINUTES:]))
        if oracle.allows(world, underlying, oracle.SAMPLE) and len(window.prices_e8) < _SAMPLES_MAX:
            window = Window(window.minute, (*window.prices_e8, world.feeds[underlying].price_e8), window.good)
        world.windows[key] = window


def compute_average(world: World, window: Window, expiry_ms: int) -> tuple[int, int] | None:
    """Return (price, minutes): of the first thirty minutes with enough good ones, sliding on from the expiry.

    When sliding is over, the last good ones count.
    """
    params = world.settlement_params[0]
    expiry = expiry_ms // _MINUTE_MS
    if window.minute < expiry or not window.good:
        return None
    end = max(expiry, window.good[-1].minute + 1)
    if end <= expiry + params.slide_minutes_max:
        inside = [good.price_e8 for good in window.good if end - _MINUTES <= good.minute < end]
        if len(inside) >= params.minutes_min:
            return down(sum(inside), len(inside)), len(inside)
    if window.minute >= expiry + params.slide_minutes_max and len(window.good) >= params.minutes_min:
        last = [good.price_e8 for good in window.good[-params.minutes_min :]]
        return down(sum(last), len(last)), len(last)
    return None


def fixing(world: World, key: tuple[int, int]) -> tuple[int, int]:
    """Return what an expiry's average has fixed, weighted, and the share of it that is open in millionths.

    A written price is all fixed; before its window, all is open. The minute that runs is open.
    """
    underlying, expiry_ms = key
    if expiry_ms - _MINUTES * _MINUTE_MS > world.now_ms:
        return 0, PPM
    settlement = world.settlements.get(key)
    if settlement is not None:
        return settlement.price_e8, 0
    window = world.windows.get((underlying, expiry_ms))
    if window is None:
        return 0, PPM
    minute, expiry = world.now_ms // _MINUTE_MS, expiry_ms // _MINUTE_MS
    first = max(minute, expiry) - _MINUTES
    done = [good.price_e8 for good in window.good if first <= good.minute < minute]
    if not done:
        return 0, PPM
    left = expiry - minute if minute < expiry else max(1, world.settlement_params[0].minutes_min - len(done))
    open_ppm = ceil(Fraction(left * PPM, left + len(done)))
    mean = Fraction(sum(done), len(done))
    return floor(mean * Fraction(PPM - open_ppm, PPM)), open_ppm
