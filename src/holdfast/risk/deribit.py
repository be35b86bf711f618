"""Deribit's margin requirements: standard, and portfolio margin by its risk matrix.

Sources: protocols 2.5; the venue's example of `private/pme/simulate` and an answer of it, both reproduced; its pages on
portfolio margin and on linear perpetuals. Plain floats.

Rounds: as the venue, the worst case and the initial portfolio margin to nine digits, half to even.

Inverse contracts (`BTC-...`) are margined in their coin, linear ones (`BTC_USDC-...`) in USD. Each coin and kind is a
pool of its own, as in the venue's segregated accounts. One pool is told in its currency, several in USD.

What the venue does not write down, and what is taken here:

- Extended table: profit or loss x factor x range/|move|, and for inverse contracts x (1 + move)/(1 +- range), which is
  its worth at the edge of the range. On a future this is the profit or loss at the edge, as in the example's vectors.
- Dampener: (|move|/range - 1) of it, in USD at the edge, is taken off a gain or a loss, at most all of it. The unit is
  inferred: the answers show rows of zeros, which both units give, but nobody's damping is worth 100,000 BTC.
- Gains count for `pnl_offset` of themselves, at most `max_offsetable_pnl` (60 % in the answer for ETH).
- Roll shock: for each expiry |net delta| x max(min_annualised_move, annualised_move_risk x years), none of it in years
  for a perpetual. The rule in time is inferred (protocols 2.5); example and answer use the floor.
- Delta shock: net delta, which long options may offset but not raise, x min(max_delta_shock, m_inc x coins above the
  threshold). Inferred; example and answer are below the threshold, where it is zero.
- How the margins for market-maker protection and for open orders come about is not published. They are given with the
  underlying, as the venue tells them, and enter the initial margin alone.

Cross-collateral margin, with its haircuts and the correlation contingency, is not covered.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from holdfast.risk.black import DAY_S, YEAR_S, compute_delta, compute_price
from holdfast.risk.deribit_parameters import EXTENDED_MOVES, RiskMatrix, Standard, read_risk_matrix, read_standard
from holdfast.risk.portfolio import Expiry, FuturePosition, OptionPosition, Portfolio, Underlying
from holdfast.risk.result import Figure, MarginResult, name_worst
from holdfast.risk.rows import InputError

PORTFOLIO_MODEL: Final = "deribit-pm"
STANDARD_MODEL: Final = "deribit-standard"

_MONTH_S: Final = 30 * DAY_S
_VOLS: Final = ("up", "same", "down")
# The venue's example and answer come out to the last digit when these two are rounded.
_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class Pool:
    """The positions of one coin and kind, margined together; money is in `currency`."""

    underlying: Underlying
    is_inverse: bool
    options: tuple[tuple[OptionPosition, Expiry], ...]
    futures: tuple[FuturePosition, ...]

    @property
    def currency(self) -> str:
        return self.underlying.name if self.is_inverse else "USD"

    @property
    def label(self) -> str:
        return f"{self.underlying.name} {'inverse' if self.is_inverse else 'linear'}"

    @property
    def usd_per_unit(self) -> float:
        return self.underlying.spot if self.is_inverse else 1.0

    def value(self, option: OptionPosition, expiry: Expiry, *, move: float = 0.0, vol: float | None = None) -> float:
        """Return what an option position is worth after a move of the price."""
        forward = expiry.shocked(1 + move)
        price = compute_price(option.terms, forward, option.vol if vol is None else vol)
        return option.amount * (price / forward if self.is_inverse else price)

    def profit(self, future: FuturePosition, move: float) -> float:
        """Return what a future makes by a move: of its dollars if linear, of its fixed number of dollars if inverse."""
        return future.amount * move / (1 + move) if self.is_inverse else future.amount * future.mark * move


@dataclass(frozen=True, slots=True)
class PoolMargin:
    """One pool's requirement, with what it is made of."""

    pool: Pool
    initial: float
    maintenance: float
    mark_to_market: float
    scenarios: Mapping[str, float]
    figures: Mapping[str, Figure]


def compute_portfolio_margin(portfolio: Portfolio) -> MarginResult:
    """Margin a portfolio by the risk matrix; initial and maintenance are requirements, at least zero."""
    given = portfolio.parameters.get(PORTFOLIO_MODEL)
    margins = []
    for pool in _make_pools(portfolio):
        parameters, base = read_risk_matrix(given, pool.underlying.name)
        margins.append(_margin_by_matrix(pool, parameters, base))
    return _tell(PORTFOLIO_MODEL, portfolio, margins)


def compute_standard_margin(portfolio: Portfolio) -> MarginResult:
    """Margin a portfolio position by position; initial and maintenance are requirements, at least zero."""
    given = portfolio.parameters.get(STANDARD_MODEL)
    margins = []
    for pool in _make_pools(portfolio):
        parameters, base = read_standard(given, pool.underlying.name)
        margins.append(_margin_by_position(pool, parameters, base))
    return _tell(STANDARD_MODEL, portfolio, margins)


def _make_pools(portfolio: Portfolio) -> Iterator[Pool]:
    for option in portfolio.options:
        if option.seconds <= 0:
            raise InputError(option.row, "expiry", "expired; Deribit margins no settled option")
    for underlying in portfolio.underlyings.values():
        pools = [_make_pool(portfolio, underlying, is_inverse=is_inverse) for is_inverse in (True, False)]
        held = [pool for pool in pools if pool.options or pool.futures]
        if not held and underlying.beside_margin:
            held = pools[:1]
        # The margins beside the positions count once: in the coin, wherever a contract settles in it.
        yield from held[:1]
        yield from (replace(pool, underlying=underlying.without_margins()) for pool in held[1:])


def _make_pool(portfolio: Portfolio, underlying: Underlying, *, is_inverse: bool) -> Pool:
    kind = (underlying.name, is_inverse)
    options = (option for option in portfolio.options if (option.underlying, option.is_inverse) == kind)
    futures = (future for future in portfolio.futures if (future.underlying, future.is_inverse) == kind)
    return Pool(
        underlying, is_inverse, tuple((option, portfolio.expiry_of(option)) for option in options), tuple(futures)
    )


def _margin_by_matrix(pool: Pool, parameters: RiskMatrix, base: str) -> PoolMargin:
    standard = dict(_name_standard(pool, parameters))
    extended = dict(_name_extended(pool, parameters))
    scenarios = {
        **{name: _offset(profit, pool, parameters) for name, profit in standard.items()},
        **{
            name: _offset(_damp(profit, move, pool, parameters), pool, parameters)
            for (name, profit), move in zip(extended.items(), EXTENDED_MOVES, strict=True)
        },
    }
    worst_case = max(0.0, -min(scenarios.values()))
    roll = _compute_roll_shock(pool, parameters)
    delta = _compute_delta_shock(pool, parameters)
    matrix = round(worst_case, _DIGITS) + roll + delta
    return PoolMargin(
        pool=pool,
        initial=round(matrix + pool.underlying.beside_margin, _DIGITS),
        maintenance=parameters.mm_factor * matrix,
        mark_to_market=_mark(pool),
        scenarios=scenarios,
        figures={
            "parameters_of": base,
            "worst_case": worst_case,
            "roll_shock": roll,
            "delta_shock": delta,
            "risk_matrix_margin": matrix,
            **_tell_beside(pool.underlying),
            "standard": standard,
            "extended": extended,
        },
    )


def _name_standard(pool: Pool, parameters: RiskMatrix) -> Iterator[tuple[str, float]]:
    """Yield the risk matrix: price moves from the lowest, each with volatility up, unchanged and down."""
    buckets = parameters.buckets_count
    for bucket in range(-buckets, buckets + 1):
        move = parameters.price_range * bucket / buckets
        for vol in _VOLS:
            yield f"price{move * 100:+.4g}% vol-{vol}", _compute_profit(pool, parameters, move, vol)


def _name_extended(pool: Pool, parameters: RiskMatrix) -> Iterator[tuple[str, float]]:
    """Yield the extended table, before its dampener: far moves with volatility up, of which a share counts."""
    for move in EXTENDED_MOVES:
        share = parameters.extended_table_factor * parameters.price_range / abs(move)
        if pool.is_inverse:
            share *= (1 + move) / _edge(move, parameters)
        yield f"extended{move * 100:+.4g}% vol-up", _compute_profit(pool, parameters, move, "up") * share


def _edge(move: float, parameters: RiskMatrix) -> float:
    return 1 + math.copysign(parameters.price_range, move)


def _compute_profit(pool: Pool, parameters: RiskMatrix, move: float, vol: str) -> float:
    options = sum(
        pool.value(option, expiry, move=move, vol=_shock_vol(option, parameters, vol)) - pool.value(option, expiry)
        for option, expiry in pool.options
    )
    return options + sum(pool.profit(future, move) for future in pool.futures)


def _shock_vol(option: OptionPosition, parameters: RiskMatrix, vol: str) -> float:
    if vol == "same":
        return option.vol
    power = parameters.short_term_vega_power if option.seconds <= _MONTH_S else parameters.long_term_vega_power
    scale: float = (_MONTH_S / option.seconds) ** power
    if vol == "up":
        return max(option.vol * (1 + parameters.volatility_range_up * scale), parameters.min_volatility_for_shock_up)
    return max(option.vol * (1 - parameters.volatility_range_down * scale), 0.0)


def _damp(profit: float, move: float, pool: Pool, parameters: RiskMatrix) -> float:
    """Take the dampener off a gain or a loss."""
    usd = max(abs(move) / parameters.price_range - 1, 0.0) * parameters.extended_dampener
    damping = usd / (_edge(move, parameters) * pool.underlying.spot) if pool.is_inverse else usd
    return max(profit - damping, 0.0) if profit > 0 else min(profit + damping, 0.0)


def _offset(profit: float, pool: Pool, parameters: RiskMatrix) -> float:
    if profit <= 0:
        return profit
    return min(profit * parameters.pnl_offset, parameters.max_offsetable_pnl / pool.usd_per_unit)


def _compute_roll_shock(pool: Pool, parameters: RiskMatrix) -> float:
    by_expiry: dict[float, float] = {}
    for future in pool.futures:
        seconds = future.seconds or 0.0
        by_expiry[seconds] = by_expiry.get(seconds, 0.0) + future.amount
    for option, expiry in pool.options:
        by_expiry[option.seconds] = by_expiry.get(option.seconds, 0.0) + _compute_position_delta(pool, option, expiry)
    coins = sum(
        abs(delta) * max(parameters.min_annualised_move, parameters.annualised_move_risk * seconds / YEAR_S)
        for seconds, delta in by_expiry.items()
    )
    return _in_currency(coins, pool)


def _compute_delta_shock(pool: Pool, parameters: RiskMatrix) -> float:
    deltas = [_compute_position_delta(pool, option, expiry) for option, expiry in pool.options]
    longs = sum(delta for delta, (option, _) in zip(deltas, pool.options, strict=True) if option.amount > 0)
    rest = sum(deltas) - longs + sum(future.amount for future in pool.futures)
    net = min(max(longs + rest, rest), 0.0) if rest < 0 else max(min(longs + rest, rest), 0.0)
    excess = max(abs(net) - parameters.delta_total_liq_shock_threshold / pool.underlying.spot, 0.0)
    return _in_currency(abs(net) * min(parameters.max_delta_shock, parameters.m_inc * excess), pool)


def _compute_position_delta(pool: Pool, option: OptionPosition, expiry: Expiry) -> float:
    """Return an option position's delta in coin; that of an inverse option is less its own price."""
    delta = option.amount * compute_delta(option.terms, expiry.forward, option.vol)
    return delta - pool.value(option, expiry) if pool.is_inverse else delta


def _in_currency(coins: float, pool: Pool) -> float:
    return coins if pool.is_inverse else coins * pool.underlying.spot


def _margin_by_position(pool: Pool, parameters: Standard, base: str) -> PoolMargin:
    positions: dict[str, Figure] = {}
    initial, maintenance = pool.underlying.beside_margin, 0.0
    for future in pool.futures:
        size = abs(future.amount)
        growth = parameters.future_slope * size
        first = _in_currency(size * (parameters.future_initial + growth), pool)
        second = _in_currency(size * (parameters.future_maintenance + growth), pool)
        positions[future.row] = {"initial": first, "maintenance": second}
        initial, maintenance = initial + first, maintenance + second
    for option, expiry in pool.options:
        coins = _margin_short_option(option, expiry, parameters)
        scale = abs(option.amount) * (1.0 if pool.is_inverse else expiry.forward)
        first, second = (scale * share if option.amount < 0 else 0.0 for share in coins)
        positions[option.row] = {"initial": first, "maintenance": second}
        initial, maintenance = initial + first, maintenance + second
    return PoolMargin(
        pool=pool,
        initial=initial,
        maintenance=maintenance,
        mark_to_market=_mark(pool),
        scenarios={},
        figures={"parameters_of": base, **_tell_beside(pool.underlying), "positions": positions},
    )


def _margin_short_option(option: OptionPosition, expiry: Expiry, parameters: Standard) -> tuple[float, float]:
    """Return the initial and maintenance margin of one short option, in coin."""
    forward = expiry.forward
    mark = compute_price(option.terms, forward, option.vol) / forward
    outside = option.strike - forward if option.is_call else forward - option.strike
    initial = mark + max(parameters.option_initial_max - max(outside, 0.0) / forward, parameters.option_initial_min)
    if option.is_call:
        return initial, mark + parameters.option_maintenance
    maintenance = mark + max(parameters.option_maintenance, parameters.put_mark_maintenance * mark)
    return max(initial, maintenance), maintenance


def _mark(pool: Pool) -> float:
    """Return what the positions are worth: options at their marks, futures at their profit since entry."""
    usd = sum(future.profit + future.funding for future in pool.futures)
    return sum(pool.value(option, expiry) for option, expiry in pool.options) + usd / pool.usd_per_unit


def _tell_beside(underlying: Underlying) -> dict[str, Figure]:
    return {
        "spot_margin": underlying.spot_margin,
        "mmp_margin": underlying.mmp_margin,
        "open_orders_margin": underlying.open_orders_margin,
    }


def _tell(model: str, portfolio: Portfolio, margins: Sequence[PoolMargin]) -> MarginResult:
    """Add the pools up, and cash and coins at their prices to what the positions are worth."""
    alone = margins[0].pool if len(margins) == 1 else None
    unit = alone.usd_per_unit if alone else 1.0

    def in_unit(amount: float, pool: Pool) -> float:
        return amount if alone else amount * pool.usd_per_unit

    beside = portfolio.cash + sum(coin.amount * coin.price for coin in portfolio.collaterals)
    scenarios = {
        name if alone else f"{margin.pool.label} {name}": in_unit(profit, margin.pool)
        for margin in margins
        for name, profit in margin.scenarios.items()
    }
    return MarginResult(
        model=model,
        currency=alone.currency if alone else "USD",
        convention="requirement",
        initial=sum(in_unit(margin.initial, margin.pool) for margin in margins),
        maintenance=sum(in_unit(margin.maintenance, margin.pool) for margin in margins),
        mark_to_market=beside / unit + sum(in_unit(margin.mark_to_market, margin.pool) for margin in margins),
        worst_scenario=name_worst(scenarios),
        scenarios=scenarios,
        figures={margin.pool.label: {"currency": margin.pool.currency, **margin.figures} for margin in margins},
        usd_per_unit=unit,
    )
