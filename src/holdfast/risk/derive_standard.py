"""Derive's standard manager: what is left of an account whose positions are margined one by one, in USD.

Sources: protocols 2.1 (the rules of `StandardManager.sol`, derivexyz/v2-core at 7736900) and the published cases, all
reproduced. Plain floats, no rounding. Options are marked without discounting, as the contract does.

An expiry costs the lesser of two: its short options one by one, or the worst that its payoffs together can come to,
where naked calls are charged a multiple of the forward. A long option has no margin, and offsets nothing in the first.

Where the words leave a choice, the contract decides: the perpetual's penalty is on the spot, its margin on its own
price; a coin's margin is not scaled by the stable price, its mark to market is; a coin without margin has no penalty.

Refuses: dated futures, which Derive does not have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Final

from holdfast.risk.black import compute_price
from holdfast.risk.portfolio import Collateral, Expiry, FuturePosition, OptionPosition, Portfolio, Underlying
from holdfast.risk.result import Figure, MarginResult, name_worst
from holdfast.risk.rows import InputError, Row

MODEL: Final = "derive-standard"

_FACTOR_MAX: Final = 1_000.0


@dataclass(frozen=True, slots=True)
class StandardParameters:
    """Shares of notional, thresholds and factors; the defaults are those of the published cases, for every coin."""

    perpetual_maintenance: float = 0.05
    perpetual_initial: float = 0.065
    option_spot_max: float = 0.15
    option_spot_min: float = 0.10
    call_maintenance: float = 0.075
    put_maintenance: float = 0.075
    put_mark_maintenance: float = 0.075
    unpaired_initial: float = 1.2
    unpaired_maintenance: float = 1.1
    put_offset: float = 1.05
    perpetual_confidence: float = 0.4
    option_confidence: float = 0.4
    coin_confidence: float = 0.4
    confidence_factor: float = 0.4
    depeg_threshold: float = 0.98
    depeg_factor: float = 1.2
    coin_margin: float = 0.1
    coin_initial_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Pair:
    """A maintenance and an initial figure, below zero where it is a charge."""

    maintenance: float = 0.0
    initial: float = 0.0

    def __add__(self, other: "Pair") -> "Pair":
        return Pair(self.maintenance + other.maintenance, self.initial + other.initial)


@dataclass(frozen=True, slots=True)
class ExpiryMargin:
    """One expiry: its options one by one, its worst payoff, the margin that follows, and the penalty for weak feeds."""

    isolated: Pair
    bounded: Pair
    margin: Pair
    mark_to_market: float
    shorts: float
    oracle: float
    payoffs: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class MarketMargin:
    """One coin's positions."""

    options: Pair
    perpetual: Pair
    profit: float
    funding: float
    oracle: float
    depeg: float
    option_mark_to_market: float
    expiries: Mapping[float, ExpiryMargin]

    @property
    def margin(self) -> Pair:
        realised = self.profit + self.funding
        return self.options + self.perpetual + Pair(realised, realised + self.oracle + self.depeg)


def read_parameters(given: Row | None) -> StandardParameters:
    """Return the defaults, with what was given in their place."""
    if given is None:
        return StandardParameters()
    defaults = asdict(StandardParameters())
    given.refuse_others(frozenset(defaults))
    return StandardParameters(
        **{name: given.number(name, least=0.0, most=_FACTOR_MAX, default=default) for name, default in defaults.items()}
    )


def compute_margin(portfolio: Portfolio) -> MarginResult:
    """Margin a portfolio; initial and maintenance are what is left, below zero where it is too little."""
    parameters = read_parameters(portfolio.parameters.get(MODEL))
    for future in portfolio.futures:
        if future.seconds is not None:
            raise InputError(
                future.row, "instrument", "Derive has no dated futures; leave it out or take another model"
            )
    markets = {name: _margin_market(portfolio, name, parameters) for name in portfolio.held_underlyings}
    coins = [_margin_coin(coin, parameters) for coin in portfolio.collaterals]
    coin_values = [coin.amount * coin.price / portfolio.stable_price for coin in portfolio.collaterals]
    total = Pair(portfolio.cash, portfolio.cash)
    for margin in (*(market.margin for market in markets.values()), *coins):
        total += margin
    payoffs = {
        f"{name} {seconds:.0f}s {place}": payoff
        for name, market in markets.items()
        for seconds, expiry in market.expiries.items()
        for place, payoff in expiry.payoffs.items()
    }
    values = [market.option_mark_to_market + market.profit + market.funding for market in markets.values()]
    return MarginResult(
        model=MODEL,
        currency="USD",
        convention="net",
        initial=total.initial,
        maintenance=total.maintenance,
        mark_to_market=portfolio.cash + sum(values) + sum(coin_values),
        worst_scenario=name_worst(payoffs),
        scenarios=payoffs,
        figures={
            "cash": portfolio.cash,
            "collateral_margin_maintenance": sum(coin.maintenance for coin in coins),
            "collateral_margin_initial": sum(coin.initial for coin in coins),
            "collateral_mark_to_market": sum(coin_values),
            "markets": {name: _tell_market(market) for name, market in markets.items()},
        },
    )


def _margin_market(portfolio: Portfolio, name: str, parameters: StandardParameters) -> MarketMargin:
    underlying = portfolio.underlyings[name]
    by_expiry: dict[float, list[OptionPosition]] = {}
    for option in portfolio.options:
        if option.underlying == name:
            by_expiry.setdefault(option.seconds, []).append(option)
    expiries = {
        seconds: _margin_expiry(portfolio.expiries[name, seconds], options, underlying, parameters)
        for seconds, options in by_expiry.items()
    }
    perpetuals = [future for future in portfolio.futures if future.underlying == name]
    perpetual, penalty = _margin_perpetual(perpetuals, underlying, parameters)
    exposed = sum(abs(future.amount) for future in perpetuals) + sum(expiry.shorts for expiry in expiries.values())
    depeg = max(0.0, parameters.depeg_threshold - portfolio.stable_price) * parameters.depeg_factor
    options = Pair()
    for expiry in expiries.values():
        options += expiry.margin
    return MarketMargin(
        options=options,
        perpetual=perpetual,
        profit=sum(future.profit for future in perpetuals),
        funding=sum(future.funding for future in perpetuals),
        oracle=penalty + sum(expiry.oracle for expiry in expiries.values()),
        depeg=-exposed * depeg * underlying.spot,
        option_mark_to_market=sum(expiry.mark_to_market for expiry in expiries.values()),
        expiries=expiries,
    )


def _margin_perpetual(
    perpetuals: Sequence[FuturePosition], underlying: Underlying, parameters: StandardParameters
) -> tuple[Pair, float]:
    """Return the margin of the perpetual, and the penalty that weak feeds add to the initial one."""
    notional = sum(abs(future.amount) * future.mark for future in perpetuals)
    confidence = min(underlying.spot_confidence, underlying.perpetual_confidence)
    penalty = 0.0
    if confidence < parameters.perpetual_confidence:
        amount = sum(abs(future.amount) for future in perpetuals)
        penalty = -(1 - confidence) * parameters.confidence_factor * underlying.spot * amount
    return Pair(-notional * parameters.perpetual_maintenance, -notional * parameters.perpetual_initial), penalty


def _margin_expiry(
    expiry: Expiry, options: Sequence[OptionPosition], underlying: Underlying, parameters: StandardParameters
) -> ExpiryMargin:
    isolated, value = Pair(), 0.0
    for option in options:
        mark = option.amount * compute_price(option.terms, expiry.forward, option.vol)
        value += mark
        isolated += _margin_option(option, mark, underlying.spot, parameters)
    payoffs = {f"at {price:g}": _compute_payoff(options, price) for price in (0.0, *sorted(_strikes(options)))}
    least = min(payoffs.values())
    calls = min(sum(option.amount for option in options if option.is_call), 0.0) * expiry.forward
    unpaired = Pair(parameters.unpaired_maintenance * calls, parameters.unpaired_initial * calls)
    worst = Pair(min(least, 0.0), min(least, 0.0)) + unpaired
    shorts = -sum(min(option.amount, 0.0) for option in options)
    confidence = min(underlying.spot_confidence, expiry.forward_confidence, expiry.vol_confidence)
    oracle = 0.0
    if confidence < parameters.option_confidence:
        oracle = -(1 - confidence) * parameters.confidence_factor * underlying.spot * shorts
    return ExpiryMargin(
        isolated=isolated,
        bounded=Pair(least, least) + unpaired,
        margin=Pair(max(isolated.maintenance, worst.maintenance), max(isolated.initial, worst.initial)),
        mark_to_market=value,
        shorts=shorts,
        oracle=oracle,
        payoffs=payoffs,
    )


def _margin_option(option: OptionPosition, mark: float, spot: float, parameters: StandardParameters) -> Pair:
    """Return a short option's margin in isolation; `mark` is its mark to market, below zero."""
    if option.amount >= 0:
        return Pair()
    outside = option.strike - spot if option.is_call else spot - option.strike
    share = max(parameters.option_spot_max - max(outside, 0.0) / spot, parameters.option_spot_min)
    initial = mark + share * spot * option.amount
    if option.is_call:
        return Pair(mark + parameters.call_maintenance * spot * option.amount, initial)
    maintenance = mark + min(parameters.put_maintenance * spot * option.amount, parameters.put_mark_maintenance * mark)
    return Pair(maintenance, min(initial, parameters.put_offset * maintenance))


def _strikes(options: Sequence[OptionPosition]) -> set[float]:
    return {option.strike for option in options}


def _compute_payoff(options: Sequence[OptionPosition], price: float) -> float:
    """Return what an expiry pays at a settlement price."""
    return sum(
        option.amount * max(price - option.strike if option.is_call else option.strike - price, 0.0)
        for option in options
    )


def _margin_coin(coin: Collateral, parameters: StandardParameters) -> Pair:
    notional = coin.amount * coin.price
    maintenance = notional * parameters.coin_margin
    initial = maintenance * parameters.coin_initial_scale
    if initial and coin.confidence < parameters.coin_confidence:
        initial -= (1 - coin.confidence) * parameters.confidence_factor * notional
    return Pair(maintenance, initial)


def _tell_market(market: MarketMargin) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for name in ("options", "perpetual"):
        figures |= _tell_pair(name, getattr(market, name))
    for field in fields(market):
        value = getattr(market, field.name)
        if isinstance(value, float):
            figures[field.name] = value
    figures["expiries"] = [
        {
            "seconds_to_expiry": seconds,
            **_tell_pair("isolated", expiry.isolated),
            **_tell_pair("bounded", expiry.bounded),
            **_tell_pair("margin", expiry.margin),
            "mark_to_market": expiry.mark_to_market,
            "oracle_initial": expiry.oracle,
        }
        for seconds, expiry in market.expiries.items()
    ]
    return figures


def _tell_pair(name: str, pair: Pair) -> dict[str, Figure]:
    return {f"{name}_maintenance": pair.maintenance, f"{name}_initial": pair.initial}
