"""The market data of a document: coins, expiries, marks and surfaces, and what an instrument's name means there."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Final, TypeVar

from holdfast.primitives.smiles import ETA_MAX_PPM, SHIFT_MAX_PPM, THETA_MAX_E12, WIDTH_MAX_PPM
from holdfast.primitives.units import PPM
from holdfast.risk.black import YEAR_S, Terms
from holdfast.risk.documents import Document
from holdfast.risk.market_checks import Mark, check_quote, check_smiles
from holdfast.risk.names import Instrument, parse_instrument, parse_moment
from holdfast.risk.portfolio import Expiry, SurfaceSlice, Underlying, split_forward
from holdfast.risk.rows import PRICE_MAX, SECONDS_MAX, Row, brief
from holdfast.risk.ssvi import surface_vol

VOL_MAX: Final = 100.0
_RATE_MAX: Final = 10.0
_VARIANCE_MAX: Final = 100.0
_SHIFT_MAX: Final = SHIFT_MAX_PPM / PPM
_WIDTH_MAX: Final = WIDTH_MAX_PPM / PPM
_ETA_MAX: Final = ETA_MAX_PPM / PPM
_E12: Final = 1e12
_INTEGERS: Final = ("rho_ppm", "eta_ppm", "shift_ppm", "width_ppm")
_SMILE_MAX: Final = 1e9

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Market:
    """What prices a position: coins, expiries and surfaces by coin and seconds, marks by instrument."""

    now: dt.datetime
    underlyings: dict[str, Underlying] = field(default_factory=dict)
    expiries: dict[tuple[str, float], Expiry] = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)
    surfaces: dict[tuple[str, float], SurfaceSlice] = field(default_factory=dict)

    def smiles(self) -> dict[tuple[str, float], dict[tuple[float, bool], float]]:
        """Return every expiry's marked volatility by strike and kind; a linear book's before an inverse one's."""
        smiles: dict[tuple[str, float], dict[tuple[float, bool], float]] = {}
        for mark in sorted(self.marks.values(), key=lambda mark: mark.is_inverse):
            smile = smiles.setdefault((mark.expiry.underlying, mark.expiry.seconds), {})
            smile.setdefault((mark.terms.strike, mark.terms.is_call), mark.vol)
        return smiles


def add_once(table: dict[Key, Value], key: Key, value: Value, row: Row, name: str) -> None:
    """Enter a value under a key that no row before has had.

    Refuses: a key that is there, as the second row's.
    """
    if key in table:
        raise row.refuse(name, "is given twice")
    table[key] = value


def read_market(document: Document) -> Market:
    """Return the market data of a document.

    Refuses: volatility not above zero, what has expired, crossed quotes, arbitrage between marks, a row given twice.
    """
    market = Market(read_moment(document.account, "valuation_time"))
    for row in document.sections["underlyings"]:
        underlying = _read_underlying(row)
        add_once(market.underlyings, underlying.name, underlying, row, "underlying")
    for row in document.sections["expiries"]:
        expiry = _read_expiry(row, market)
        add_once(market.expiries, (expiry.underlying, expiry.seconds), expiry, row, "expiry")
    for row in document.sections["marks"]:
        mark = _read_mark(row, market)
        add_once(market.marks, read_instrument(row).name, mark, row, "instrument")
        check_quote(mark)
    check_smiles(market.marks.values())
    for row in document.sections["surfaces"]:
        underlying_name, seconds = _read_expiry_key(row, market)
        if (underlying_name, seconds) not in market.expiries:
            raise row.refuse("expiry", f"{row.text('expiry')} is in no row of expiries of {underlying_name}")
        add_once(market.surfaces, (underlying_name, seconds), _read_surface(row, seconds), row, "expiry")
    return market


def read_instrument(row: Row) -> Instrument:
    """Return what a row's instrument is.

    Refuses: a name that is none, a strike of zero.
    """
    name = row.text("instrument")
    instrument = parse_instrument(name)
    if instrument is None:
        form = "BTC_USDC-27MAR26-100000-C, BTC-27MAR26 or BTC-PERPETUAL"
        raise row.refuse("instrument", f"{brief(name)} is an unknown instrument; names are such as {form}")
    if instrument.strike is not None and instrument.strike <= 0:
        raise row.refuse("instrument", f"{name!r} has a strike of zero")
    return instrument


def find_expiry(instrument: Instrument, market: Market, row: Row) -> Expiry:
    """Return the market data of an instrument's expiry.

    Refuses: a perpetual, what has expired, an expiry without a row.
    """
    if instrument.expiry is None:
        raise row.refuse("instrument", f"{instrument.name} has no expiry")
    seconds = _count_seconds(instrument.expiry, market, row, "instrument")
    expiry = market.expiries.get((instrument.underlying, seconds))
    if expiry is None:
        raise row.refuse("instrument", f"{instrument.name} is unknown: no row of expiries gives its forward")
    return expiry


def find_vol(instrument: Instrument, market: Market, expiry: Expiry, row: Row) -> float:
    """Return an option's volatility: its mark's, or the surface's where it has none.

    Refuses: an option that neither gives.
    """
    mark = market.marks.get(instrument.name)
    if mark is not None:
        return mark.vol
    surface = market.surfaces.get((instrument.underlying, expiry.seconds))
    if surface is None or instrument.strike is None:
        raise row.refuse("instrument", f"{instrument.name} is unknown: no row of marks gives its vol")
    return surface_vol(surface, instrument.strike, expiry)


def read_moment(row: Row, name: str) -> dt.datetime:
    """Return a field that holds a time."""
    value = row.values.get(name)
    moment = parse_moment(str(value)) if isinstance(value, str | int | float) else None
    if moment is None:
        problem = "is missing" if value is None else f"{str(value)[:40]!r} is no time"
        raise row.refuse(name, f"{problem}: write 2026-01-15T08:00:00Z, 15JAN26, or seconds since 1970")
    return moment


def _read_underlying(row: Row) -> Underlying:
    return Underlying(
        name=row.text("underlying"),
        spot=row.positive("spot"),
        spot_confidence=row.share("spot_confidence", default=1.0),
        perpetual=row.positive("perpetual") if row.has("perpetual") else None,
        perpetual_confidence=row.share("perpetual_confidence", default=1.0),
        spot_margin=row.number("spot_margin", least=0.0, default=0.0),
        mmp_margin=row.number("mmp_margin", least=0.0, default=0.0),
        open_orders_margin=row.number("open_orders_margin", least=0.0, default=0.0),
        oracle_confidence=row.number("oracle_confidence", least=0.0, most=PRICE_MAX, default=0.0),
        is_degraded=row.flag("degraded", default=False),
        row=row.label,
    )


def _read_expiry_key(row: Row, market: Market) -> tuple[str, float]:
    underlying = row.text("underlying")
    if underlying not in market.underlyings:
        raise row.refuse("underlying", f"{underlying!r} is in no row of underlyings")
    return underlying, _count_seconds(read_moment(row, "expiry"), market, row, "expiry")


def _read_expiry(row: Row, market: Market) -> Expiry:
    underlying, seconds = _read_expiry_key(row, market)
    variable, fixed = split_forward(row.positive("forward"), seconds)
    return Expiry(
        underlying=underlying,
        seconds=seconds,
        forward_variable=variable,
        forward_fixed=fixed,
        forward_confidence=row.share("forward_confidence", default=1.0),
        rate=row.number("rate", least=-_RATE_MAX, most=_RATE_MAX, default=0.0),
        rate_confidence=row.share("rate_confidence", default=1.0),
        vol_confidence=row.share("vol_confidence", default=1.0),
        row=row.label,
    )


def _read_mark(row: Row, market: Market) -> Mark:
    instrument = read_instrument(row)
    if instrument.expiry is None or instrument.strike is None:
        raise row.refuse("instrument", f"{instrument.name} is no option; marks are of options")
    expiry = find_expiry(instrument, market, row)
    return Mark(
        row=row,
        terms=Terms(instrument.strike, expiry.seconds, instrument.is_call),
        vol=row.positive("vol", most=VOL_MAX),
        is_inverse=instrument.is_inverse,
        expiry=expiry,
    )


def _read_surface(row: Row, seconds: float) -> SurfaceSlice:
    if row.has("theta_e12"):
        return _read_integers(row)
    for name in _INTEGERS:
        if row.has(name):
            raise row.refuse(name, "goes with theta_e12 and the other integers, all five of them")
    if row.has("vol") == row.has("total_variance"):
        raise row.refuse("vol", "one of vol and total_variance has to be given, and not both")
    if row.has("vol"):
        variance = row.positive("vol", most=VOL_MAX) ** 2 * seconds / YEAR_S
        if variance > _VARIANCE_MAX:
            raise row.refuse("vol", f"a total variance of {variance:g} is above {_VARIANCE_MAX:g}, which is absurd")
    else:
        variance = row.positive("total_variance", most=_VARIANCE_MAX)
    return SurfaceSlice(
        row=row.label,
        total_variance=variance,
        rho=row.number("rho", least=-1.0, most=1.0),
        eta=row.positive("eta", most=_ETA_MAX),
        shift=row.number("shift", least=-_SHIFT_MAX, most=_SHIFT_MAX) if row.has("shift") else 0.0,
        width=row.positive("width", most=_WIDTH_MAX) if row.has("width") else 1.0,
    )


def _read_integers(row: Row) -> SurfaceSlice:
    """Read a smile as the exchange holds it, and as a fit tells it; a double holds these exactly."""
    for name in ("vol", "total_variance", "rho", "eta", "shift", "width"):
        if row.has(name):
            raise row.refuse(name, "is given beside theta_e12; give a smile in one way")
    theta = row.positive("theta_e12", most=THETA_MAX_E12)
    shape = [row.number(name, least=-_SMILE_MAX, most=_SMILE_MAX) for name in _INTEGERS]
    for name, number in zip(("theta_e12", *_INTEGERS), (theta, *shape), strict=True):
        if number != round(number):
            raise row.refuse(name, f"{number:g} is not a whole number")
    return SurfaceSlice(row.label, theta / _E12, *(number / PPM for number in shape))


def _count_seconds(moment: dt.datetime, market: Market, row: Row, name: str) -> float:
    seconds = (moment - market.now).total_seconds()
    if seconds <= 0:
        raise row.refuse(name, f"{row.text(name)} expired at {moment:%Y-%m-%d %H:%M} UTC, not after the valuation time")
    if seconds > SECONDS_MAX:
        raise row.refuse(name, f"{row.text(name)} is more than ten years away, which is absurd")
    return seconds
