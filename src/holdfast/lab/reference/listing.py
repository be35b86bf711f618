"""Which instruments are listed: expiries by the calendar, strikes around the price."""

from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from math import ceil, floor
from typing import Final

from msgspec.structs import replace

from holdfast.lab.reference.rounding import down
from holdfast.lab.reference.world import UNDERLYINGS, World
from holdfast.primitives.check import ensure
from holdfast.protocol.instruments.params import ContractSpec, InstrumentParams
from holdfast.protocol.instruments.state import Instrument, Kind

_DAY_MS: Final = 86_400_000
_EIGHT_HOURS_MS: Final = 8 * 3_600_000
_FRIDAY: Final = 4
_EPOCH: Final = date(1970, 1, 1)
_NAMES: Final = {1: "BTC", 2: "ETH"}
_MONTHS: Final = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
_DAILY, _WEEKLY, _MONTHLY, _QUARTERLY = range(4)
_INSTRUMENTS_MAX: Final = 2_048
_EXPIRIES_MAX: Final = 16
_FORWARD_MAX_E8: Final = 2**52


def list_due(world: World) -> None:
    """List what the rule asks for, nearest expiries first, within the block's budget."""
    params = world.instrument_params[0]
    room = min(params.listings_per_block, _INSTRUMENTS_MAX - len(world.instruments))
    for expiry_ms, tenors in list_expiries(params, world.now_ms):
        for underlying in UNDERLYINGS:
            feed = world.feeds.get(underlying)
            if underlying not in world.surfaces or feed is None or feed.price_e8 > _FORWARD_MAX_E8:
                continue
            for kind, strike_e8 in _wanted(world, underlying, expiry_ms, tenors, feed.price_e8):
                if room <= 0:
                    return
                room -= 1
                _list(world, underlying, kind, expiry_ms, strike_e8)


def list_expiries(params: InstrumentParams, now_ms: int) -> list[tuple[int, list[int]]]:
    """Return the expiries that the rule lists, ascending, each with the tenors that it is due under."""
    first = _EPOCH + timedelta(days=ceil(Fraction(now_ms + params.lead_ms - _EIGHT_HOURS_MS, _DAY_MS)))
    due: dict[date, list[int]] = {}
    for tenor, number in (
        (_DAILY, params.dailies),
        (_WEEKLY, params.weeklies),
        (_MONTHLY, params.monthlies),
        (_QUARTERLY, params.quarterlies),
    ):
        days = _days_from(first, tenor)
        for _ in range(number):
            due.setdefault(next(days), []).append(tenor)
    return [((day - _EPOCH).days * _DAY_MS + _EIGHT_HOURS_MS, due[day]) for day in sorted(due)]


def _days_from(first: date, tenor: int) -> Iterator[date]:
    """Yield the days on which a tenor expires."""
    day = first
    while True:
        is_friday = day.weekday() == _FRIDAY
        is_last_friday = is_friday and (day + timedelta(days=7)).month != day.month
        is_due = {
            _DAILY: True,
            _WEEKLY: is_friday,
            _MONTHLY: is_last_friday,
            _QUARTERLY: is_last_friday and day.month in (3, 6, 9, 12),
        }
        if is_due[tenor]:
            yield day
        day += timedelta(days=1)


def _wanted(world: World, underlying: int, expiry_ms: int, tenors: list[int], price_e8: int) -> list[tuple[Kind, int]]:
    """Return what a series lacks: its future unless it is a daily only, then call and put of each strike."""
    mine = [one for one in world.instruments.values() if one.underlying == underlying]
    members = [one for one in mine if one.expiry_ms == expiry_ms]
    if not members and len({one.expiry_ms for one in mine}) >= _EXPIRIES_MAX:
        return []
    has = {(one.kind, one.strike_e8) for one in members}
    wanted: list[tuple[Kind, int]] = []
    if tenors != [_DAILY]:
        wanted.append((Kind.FUTURE, 0))
    spec, each_side = world.contract_specs[underlying], world.instrument_params[0].strikes_each_side
    step = (spec.daily_step_e8, spec.weekly_step_e8, spec.monthly_step_e8, spec.quarterly_step_e8)[tenors[0]]
    below = floor(Fraction(price_e8, step))
    for number in range(below - each_side + 1, below + each_side + 1):
        if number > 0:
            wanted += [(Kind.CALL, number * step), (Kind.PUT, number * step)]
    return [one for one in wanted if one not in has]


def _list(world: World, underlying: int, kind: Kind, expiry_ms: int, strike_e8: int) -> None:
    instrument_id = world.next_instrument.get(0, 1)
    world.next_instrument[0] = instrument_id + 1
    spec: ContractSpec = world.contract_specs[underlying]
    ensure(spec.tick_e8 * spec.lot_e8 % 10**10 == 0, "a tick of a lot is whole atoms")
    world.instruments[instrument_id] = Instrument(
        _name(underlying, kind, expiry_ms, strike_e8),
        kind,
        underlying,
        expiry_ms,
        strike_e8,
        spec.tick_e8,
        spec.tick_e8 * spec.lot_e8 // 10**10,
        spec.lot_e8,
        is_halted=False,
        listed_height=world.height,
    )


def _name(underlying: int, kind: Kind, expiry_ms: int, strike_e8: int) -> str:
    day = _EPOCH + timedelta(days=down(expiry_ms, _DAY_MS))
    series = f"{_NAMES[underlying]}_USDC-{day.day}{_MONTHS[day.month - 1]}{day.year % 100:02}"
    if kind == Kind.FUTURE:
        return series
    return f"{series}-{strike_e8 // 10**8}-{'C' if kind == Kind.CALL else 'P'}"


def set_halted(world: World, instrument_id: int, *, is_halted: bool) -> None:
    """Halt an instrument, or let it trade again."""
    world.instruments[instrument_id] = replace(world.instruments[instrument_id], is_halted=is_halted)


def retire(world: World, instrument_id: int) -> None:
    """Forget a settled instrument, its mark and its row."""
    del world.instruments[instrument_id]
    world.marks.pop(instrument_id, None)
    world.risk_rows.pop(instrument_id, None)
