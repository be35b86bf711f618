"""PM2's account: its expiries with what all scenarios share, and its sums. See `holdfast.risk.derive_pm2`."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.risk.black import DAY_S, YEAR_S, compute_price
from holdfast.risk.derive_pm2_parameters import Pm2Parameters, Scenario, VolShocks
from holdfast.risk.portfolio import Expiry, OptionPosition, Portfolio, Underlying
from holdfast.risk.rows import InputError

MODEL: Final = "derive-pm2"

_MONTH_S: Final = 30 * DAY_S


@dataclass(frozen=True, slots=True)
class Skew:
    """An option's two multipliers of volatility, and what they are made of; k is the log of strike over forward."""

    k: float
    k_star: float
    linear_cap: float
    abs_cap: float
    linear: float
    absolute: float
    # The linear multiplier under the absolute cap, for a skew scenario that moves the spot.
    linear_in_abs_cap: float

    def multiplier(self, scenario: Scenario) -> float:
        """Return what the volatility is multiplied by, at least zero."""
        if scenario.vol == "ABS":
            return max(self.absolute, 0.0)
        return max(self.linear if scenario.spot == 1 else self.linear_in_abs_cap, 0.0)


@dataclass(frozen=True, slots=True)
class Slice:
    """An expiry's options, with what all scenarios share."""

    expiry: Expiry
    options: tuple[OptionPosition, ...]
    skews: tuple[Skew, ...]
    discount: float
    vol_up: float
    vol_down: float
    # What a shocked value is multiplied by, by its sign.
    long_factor: float
    short_factor: float
    mark_to_market: float
    basis: float
    naked_shorts: float
    gross: float

    def static_factor(self, value: float) -> float:
        return self.long_factor if value >= 0 else self.short_factor


@dataclass(frozen=True, slots=True)
class Account:
    """A portfolio of one underlying, summed up."""

    underlying: Underlying
    slices: tuple[Slice, ...]
    perpetual_amount: float
    perpetual_mark: float
    perpetual_value: float
    cash: float
    collateral_value: float
    risk_cancelling_value: float

    @property
    def option_value(self) -> float:
        return sum(part.mark_to_market for part in self.slices)

    @property
    def mark_to_market(self) -> float:
        return self.cash + self.perpetual_value + self.option_value + self.collateral_value


def arrange(portfolio: Portfolio, parameters: Pm2Parameters) -> Account:
    """Sum a portfolio up.

    Refuses: a second underlying, dated futures.
    """
    held = portfolio.held_underlyings
    names = held or list(portfolio.underlyings)
    if not names:
        raise InputError("underlyings", "", "no underlying is given, so nothing tells the spot")
    for position in portfolio.positions:
        if position.underlying != names[0]:
            raise InputError(position.row, "instrument", f"PM2 margins one underlying, and {names[0]} is here too")
    for future in portfolio.futures:
        if future.seconds is not None:
            raise InputError(future.row, "instrument", "PM2 has no dated futures; leave it out or take another model")
    perpetuals = portfolio.futures
    values = [coin.amount * coin.price / portfolio.stable_price for coin in portfolio.collaterals]
    return Account(
        underlying=portfolio.underlyings[names[0]],
        slices=tuple(_make_slices(portfolio, parameters)),
        perpetual_amount=sum(position.amount for position in perpetuals),
        perpetual_mark=perpetuals[0].mark if perpetuals else 0.0,
        perpetual_value=sum(position.profit + position.funding for position in perpetuals),
        cash=portfolio.cash,
        collateral_value=sum(values),
        risk_cancelling_value=sum(
            value for value, coin in zip(values, portfolio.collaterals, strict=True) if coin.is_risk_cancelling
        ),
    )


def _make_slices(portfolio: Portfolio, parameters: Pm2Parameters) -> Iterator[Slice]:
    by_expiry: dict[float, list[OptionPosition]] = {}
    for option in portfolio.options:
        by_expiry.setdefault(option.seconds, []).append(option)
    for options in by_expiry.values():
        yield _make_slice(portfolio.expiry_of(options[0]), tuple(options), parameters)


def _make_slice(expiry: Expiry, options: tuple[OptionPosition, ...], parameters: Pm2Parameters) -> Slice:
    years = expiry.seconds / YEAR_S
    rate = max(expiry.rate, 0.0)
    discount = math.exp(-rate * years)
    margin = parameters.margin
    vol_up, vol_down = _compute_vol_multipliers(expiry.seconds, parameters.vol)
    marks = [option.vol for option in options]
    value = compute_value(expiry, options, marks, discount)
    up = compute_value(expiry, options, marks, discount, spot=parameters.basis.spot_up)
    down = compute_value(expiry, options, marks, discount, spot=parameters.basis.spot_down)
    basis_factor = parameters.basis.factor_add + parameters.basis.factor_per_year * years
    net: dict[float, float] = {}
    for option in options:
        net[option.strike] = net.get(option.strike, 0.0) + option.amount
    return Slice(
        expiry=expiry,
        options=options,
        skews=tuple(_compute_skew(option, expiry, parameters) for option in options),
        discount=discount,
        vol_up=vol_up,
        vol_down=vol_down,
        long_factor=margin.long_discount * math.exp(-years * (rate * margin.long_rate_scale + margin.long_rate_add)),
        # Capped by the growth to expiry, so that a short box never costs more than its face.
        short_factor=min(
            1 / discount,
            margin.short_discount * math.exp(years * (rate * margin.short_rate_scale + margin.short_rate_add)),
        ),
        mark_to_market=value,
        basis=min(up - value, down - value, 0.0) * basis_factor,
        naked_shorts=sum(max(-amount, 0.0) for amount in net.values()),
        gross=sum(abs(option.amount) for option in options),
    )


def _compute_vol_multipliers(seconds: float, shocks: VolShocks) -> tuple[float, float]:
    """Return what up and down multiply a volatility by: more for the near expiries, never below zero."""
    # A second is the least, since the contract has no answer for an expiry at hand without a floor of days.
    months = _MONTH_S / max(seconds, shocks.days_min * DAY_S, 1.0)
    power = shocks.power_short if seconds <= _MONTH_S else shocks.power_long
    return 1 + shocks.up * months**power, max(0.0, 1 - shocks.down * months**power)


def _compute_skew(option: OptionPosition, expiry: Expiry, parameters: Pm2Parameters) -> Skew:
    """Return an option's skew multipliers: linear in k, or in its size, up to a cap; flat from k* on."""
    shock = parameters.skew
    root = math.sqrt(expiry.seconds / YEAR_S)
    linear_cap = shock.linear_cap + shock.linear_cap_slope * root
    abs_cap = shock.abs_cap + shock.abs_cap_slope * root
    k_star = max(shock.k_star_min, root * shock.width_scale * (shock.vol_static + root * shock.vol_scale))
    k = math.log(option.strike / expiry.forward)
    return Skew(
        k=k,
        k_star=k_star,
        linear_cap=linear_cap,
        abs_cap=abs_cap,
        linear=_multiply(k, linear_cap, k_star),
        absolute=_multiply(abs(k), abs_cap, k_star),
        linear_in_abs_cap=_multiply(k, abs_cap, k_star),
    )


def _multiply(k: float, cap: float, k_star: float) -> float:
    # A width of zero, on which the contract divides by zero, is the limit: the cap at once.
    slope = k * cap / k_star if k_star > 0 else math.copysign(math.inf, k * cap) if k * cap else 0.0
    return 1 + (min(cap, slope) if k >= 0 else max(-cap, slope))


def compute_value(
    expiry: Expiry, options: Sequence[OptionPosition], vols: Sequence[float], discount: float, *, spot: float = 1.0
) -> float:
    """Return what options of one expiry are worth at these volatilities, once the spot has moved by a factor."""
    forward = expiry.shocked(spot)
    return sum(
        option.amount * compute_price(option.terms, forward, vol, discount)
        for option, vol in zip(options, vols, strict=True)
    )
