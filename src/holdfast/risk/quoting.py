"""What it costs a market maker to quote a whole chain on both sides under the exchange's market-maker protection.

    quoting_cost(make_chain(), underlying="BTC", amount=1.0, protection=5.0).share

An order reserves nothing by itself, but each counts, scenario by scenario, where its fill would lose; under protection
quotes count as far as they can fill before all of them go. So the cost is that of the protection, not of the chain.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from holdfast.primitives.units import E8
from holdfast.protocol.instruments.params import DEFAULT_SPECS
from holdfast.protocol.limits import ORDERS_PER_ACCOUNT_MAX
from holdfast.protocol.surface.state import MARKS
from holdfast.risk.black import DAY_S, YEAR_S
from holdfast.risk.holdfast import compute_margin
from holdfast.risk.holdfast.amounts import UNDERLYINGS
from holdfast.risk.holdfast.market import Contract, open_market
from holdfast.risk.portfolio import Expiry, OpenOrder, Portfolio, Protection, SurfaceSlice, Underlying, split_forward
from holdfast.risk.rows import InputError

_ROW: Final = "quotes"
_DAYS: Final = (1, 2, 8, 15, 43, 71, 162, 253)
_MOMENT: Final = dt.datetime(2026, 1, 15, 8, tzinfo=dt.UTC)


class QuotingCost(NamedTuple):
    """What quoting costs, in USD: initial margin with protection and without, and their shares of what is quoted."""

    instruments: int
    quotes: int
    notional: float  # both sides, at the index
    protected_notional: float  # of what may fill before the quotes go
    initial: float
    initial_unprotected: float

    @property
    def share(self) -> float:
        return self.initial / self.notional

    @property
    def share_unprotected(self) -> float:
        return self.initial_unprotected / self.notional


def quoting_cost(
    portfolio: Portfolio,
    *,
    underlying: str = "BTC",
    amount: float = 1.0,
    protection: float = 5.0,
    half_spread: float = 0.02,
    instruments_max: int = ORDERS_PER_ACCOUNT_MAX // 2,
) -> QuotingCost:
    """Return what quoting `amount` coins on both sides of every marked option costs beside a portfolio's own margin.

    Bids are `half_spread` of the mark below it and offers above, each a tick at least and on the tick. `protection` is
    the coins of quotes that may fill before all of them go.

    Refuses: nothing to quote, amounts that are no lots, and what the exchange refuses.
    """
    contracts = _list_contracts(portfolio, underlying)[:instruments_max]
    if not contracts:
        raise InputError(
            "marks", "instrument", f"no option of {underlying} is marked, so that there is nothing to quote"
        )
    if not (0 < half_spread < 1 and amount > 0 and protection > 0):
        raise InputError(_ROW, "", "amount and protection are above zero, the half spread between 0 and 1")
    quotes = tuple(_quote(portfolio, contracts, amount, half_spread))
    bare = replace(portfolio, orders=(), protections={})
    before = compute_margin(bare).initial
    quoting = replace(bare, orders=quotes, protections={underlying: Protection(_ROW, protection)})
    # A protection beyond all that is quoted never scales anything.
    whole = replace(quoting, protections={underlying: Protection(_ROW, 2 * amount * len(contracts))})
    spot = portfolio.underlyings[underlying].spot
    return QuotingCost(
        instruments=len(contracts),
        quotes=len(quotes),
        notional=sum(abs(quote.amount) for quote in quotes) * spot,
        protected_notional=min(protection, 2 * amount * len(contracts)) * spot,
        initial=compute_margin(quoting).initial - before,
        initial_unprotected=compute_margin(whole).initial - before,
    )


def make_chain(
    *, spot: float = 96_000.0, vol: float = 0.45, strikes_each_side: int = 16, step: float = 0.025
) -> Portfolio:
    """Return an empty account before a chain of BTC options: eight expiries, calls and puts, strikes a step apart."""
    expiries, surfaces, smiles = {}, {}, {}
    strikes = [
        round(spot * (1 + step * place) / 500) * 500.0 for place in range(1 - strikes_each_side, strikes_each_side + 1)
    ]
    for days in _DAYS:
        key = ("BTC", days * DAY_S)
        variable, fixed = split_forward(spot, key[1])
        expiries[key] = Expiry(*key, variable, fixed, row=f"expiries in {days} days")
        surfaces[key] = SurfaceSlice(f"surfaces in {days} days", vol * vol * key[1] / YEAR_S, -0.15, 0.8)
        smiles[key] = {(strike, is_call): vol for strike in strikes for is_call in (True, False)}
    return Portfolio(
        cash=0.0,
        underlyings={"BTC": Underlying("BTC", spot, row="underlyings")},
        expiries=expiries,
        surfaces=surfaces,
        smiles=smiles,
        moment=_MOMENT,
    )


def _list_contracts(portfolio: Portfolio, underlying: str) -> list[Contract]:
    return sorted(
        Contract(underlying, seconds, strike, is_call)
        for (name, seconds), smile in portfolio.smiles.items()
        if name == underlying
        for strike, is_call in smile
    )


def _quote(portfolio: Portfolio, contracts: list[Contract], amount: float, half_spread: float) -> Iterator[OpenOrder]:
    """Yield a bid and an offer of each contract around the exchange's own mark."""
    market = open_market(portfolio, dict.fromkeys(contracts, _ROW))
    tick = DEFAULT_SPECS[UNDERLYINGS[contracts[0].underlying]].tick_e8 / E8
    for contract, number in market.ids.items():
        ticks = market.draft[MARKS][number].mark_e8 / E8 / tick
        away = max(1.0, ticks * half_spread)
        for sign in (1, -1):
            price = max(1, int(ticks - away) if sign > 0 else int(ticks + away) + 1) * tick
            yield OpenOrder(_ROW, *contract, sign * amount, price, is_quote=True)
