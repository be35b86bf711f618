"""Trades that have not been sent: what they would make of a portfolio."""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple

from holdfast.risk.black import Terms, compute_price
from holdfast.risk.holdfast.surfaces import Key, choose_slices
from holdfast.risk.names import Instrument, parse_instrument
from holdfast.risk.portfolio import FuturePosition, OptionPosition, Portfolio, SurfaceSlice
from holdfast.risk.rows import AMOUNT_MAX, PRICE_MAX, InputError, Row, brief
from holdfast.risk.ssvi import surface_vol

_FORM: Final = re.compile(r"\s*(?P<amount>[+-]?\S+)\s+(?P<instrument>[^\s@]+)(?:\s*@\s*(?P<price>\S+))?\s*")
_E12: Final = 1e12
_PPM: Final = 1e6
_ZERO: Final = 1e-12


class Trade(NamedTuple):
    """Coins bought (or sold, below zero) of an instrument at a price in USD; without a price, at the mark."""

    row: str
    instrument: Instrument
    amount: float
    price: float | None


def parse_trade(text: str) -> Trade:
    """Return a trade written as `+5 BTC_USDC-27MAR26-90000-P @ 1200`; without `@ price` it is at the mark.

    Refuses: another form, an unknown or inverse instrument, nothing to trade, a price not above zero.
    """
    row = f"trade {text.strip()[:60]!r}"
    found = _FORM.fullmatch(text)
    if found is None:
        raise InputError(row, "", "a trade is written as '+5 BTC_USDC-27MAR26-90000-P @ 1200'")
    given = Row(row, {name: value for name, value in found.groupdict().items() if value is not None})
    instrument = parse_instrument(given.text("instrument"))
    if instrument is None or (instrument.strike is not None and instrument.strike <= 0):
        raise given.refuse("instrument", f"{brief(found['instrument'])} is an unknown instrument")
    if instrument.is_inverse:
        raise given.refuse("instrument", f"{instrument.name} is paid in coin; trades here are in the _USDC books")
    amount = given.number("amount", least=-AMOUNT_MAX, most=AMOUNT_MAX)
    if amount == 0:
        raise given.refuse("amount", "buys above zero, or sells below it")
    price = given.positive("price", most=PRICE_MAX) if given.has("price") else None
    return Trade(row, instrument, amount, price)


def apply_trades(portfolio: Portfolio, trades: Iterable[Trade]) -> Portfolio:
    """Return a portfolio after trades, each paid for; no surface moves by it.

    Refuses: an expired instrument, or one that the market data does not price.
    """
    trades = tuple(trades)
    keys = [find_key(portfolio, trade) for trade in trades]
    portfolio = fix_surfaces(
        portfolio, [key for key, trade in zip(keys, trades, strict=True) if key and trade.instrument.strike]
    )
    for trade, key in zip(trades, keys, strict=True):
        portfolio = (
            _trade_future(portfolio, trade, key)
            if trade.instrument.strike is None
            else _trade_option(portfolio, trade, key)
        )
    return portfolio


def fix_surfaces(portfolio: Portfolio, wanted: Iterable[Key]) -> Portfolio:
    """Return a portfolio whose surfaces are given, so that what is added to it changes none of them."""
    held = [(option.underlying, option.seconds) for option in portfolio.options]
    ordered = [(order.underlying, order.seconds) for order in portfolio.orders if order.strike is not None]
    slices = choose_slices(portfolio, [*held, *ordered, *wanted])
    surfaces = {
        key: SurfaceSlice(part.row, part.smile.theta_e12 / _E12, *(value / _PPM for value in part.smile[1:]))
        for key, part in slices.items()
    }
    return replace(portfolio, surfaces=surfaces)


def find_key(portfolio: Portfolio, trade: Trade) -> Key | None:
    """Return an instrument's expiry; a perpetual has none.

    Refuses: what has expired, and what the market data does not price.
    """
    instrument = trade.instrument
    if instrument.underlying not in portfolio.underlyings:
        raise InputError(trade.row, "instrument", f"{instrument.underlying} is in no row of underlyings")
    if instrument.expiry is None:
        if portfolio.underlyings[instrument.underlying].perpetual is None:
            raise InputError(trade.row, "instrument", "its underlying's row has no field perpetual")
        return None
    if portfolio.moment is None:
        raise InputError(trade.row, "instrument", "the portfolio has no valuation time, so that no date can be found")
    seconds = (instrument.expiry - portfolio.moment).total_seconds()
    if seconds <= 0:
        raise InputError(trade.row, "instrument", f"{instrument.name} has expired at the valuation time")
    if (instrument.underlying, seconds) not in portfolio.expiries:
        raise InputError(trade.row, "instrument", f"no row of expiries gives the forward of {instrument.name}")
    return instrument.underlying, seconds


def _trade_option(portfolio: Portfolio, trade: Trade, key: Key | None) -> Portfolio:
    instrument = trade.instrument
    if key is None or instrument.strike is None:
        raise InputError(trade.row, "instrument", f"{instrument.name} is no option")
    expiry = portfolio.expiries[key]
    smile = portfolio.smiles.get(key, {})
    terms = Terms(instrument.strike, key[1], instrument.is_call)
    vol = smile.get((terms.strike, terms.is_call)) or surface_vol(portfolio.surfaces[key], terms.strike, expiry)
    price = compute_price(terms, expiry.forward, vol) if trade.price is None else trade.price
    added = OptionPosition(trade.row, key[0], key[1], terms.strike, terms.is_call, trade.amount, vol)
    kept: list[OptionPosition] = []
    for option in portfolio.options:
        if (option.underlying, option.terms, option.is_inverse) == (key[0], terms, False):
            added = replace(option, amount=option.amount + trade.amount)
        else:
            kept.append(option)
    options = (*kept, added) if abs(added.amount) > _ZERO else tuple(kept)
    return replace(portfolio, options=options, cash=portfolio.cash - trade.amount * price)


def _trade_future(portfolio: Portfolio, trade: Trade, key: Key | None) -> Portfolio:
    name = trade.instrument.underlying
    mark = portfolio.expiries[key].forward if key else portfolio.underlyings[name].perpetual or 0.0
    profit = 0.0 if trade.price is None else trade.amount * (mark - trade.price)
    added = FuturePosition(trade.row, name, trade.amount, mark, key[1] if key else None, profit)
    kept: list[FuturePosition] = []
    for future in portfolio.futures:
        if (future.underlying, future.seconds, future.is_inverse) == (name, added.seconds, False):
            added = replace(future, amount=future.amount + trade.amount, profit=future.profit + profit, entry=None)
        else:
            kept.append(future)
    if abs(added.amount) > _ZERO:
        return replace(portfolio, futures=(*kept, added))
    return replace(portfolio, futures=tuple(kept), cash=portfolio.cash + added.profit + added.funding)
