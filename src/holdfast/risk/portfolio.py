"""A portfolio with its market data, as every published model reads it.

Amounts are in coin, positive when long, for options, futures and perpetuals alike. Prices, cash and profits are in USD,
volatilities, rates and confidences are fractions (0.5 is 50 %), times are seconds. All of it is finite and within the
bounds of `holdfast.risk.rows`: the readers refuse the rest.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from holdfast.risk.black import Terms
from holdfast.risk.rows import Row

# Inside the last half hour the settlement price is an average, of which this much is known already.
SETTLEMENT_S: Final = 1_800.0


@dataclass(frozen=True, slots=True)
class OptionPosition:
    """An option held or sold; `row` is what an error calls it, `is_inverse` says that it is settled in the coin."""

    row: str
    underlying: str
    seconds: float
    strike: float
    is_call: bool
    amount: float
    vol: float
    is_inverse: bool = False

    @property
    def terms(self) -> Terms:
        return Terms(self.strike, self.seconds, self.is_call)


@dataclass(frozen=True, slots=True)
class FuturePosition:
    """A dated future, or a perpetual where `seconds` is absent; its profit since entry and its funding are in USD.

    `entry` is the price it was entered at, where that and not the profit was given.
    """

    row: str
    underlying: str
    amount: float
    mark: float
    seconds: float | None = None
    profit: float = 0.0
    funding: float = 0.0
    is_inverse: bool = False
    entry: float | None = None


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that rests, above zero to buy; a future's has no strike. A quote is under market-maker protection."""

    row: str
    underlying: str
    seconds: float
    strike: float | None
    is_call: bool
    amount: float
    price: float
    is_quote: bool = False


@dataclass(frozen=True, slots=True)
class Protection:
    """Market-maker protection in one underlying: no more coins of its quotes than this fill within a window."""

    row: str
    amount: float


@dataclass(frozen=True, slots=True)
class SurfaceSlice:
    """One expiry's smile: total variance at the money, and its shape; SSVI where shift and width are not given."""

    row: str
    total_variance: float
    rho: float
    eta: float
    shift: float = 0.0
    width: float = 1.0


@dataclass(frozen=True, slots=True)
class Collateral:
    """A coin that counts; haircuts are shares of its value, the initial one on top of the maintenance one."""

    row: str
    asset: str
    amount: float
    price: float
    confidence: float = 1.0
    haircut_maintenance: float | None = None
    haircut_initial: float | None = None
    is_risk_cancelling: bool = False


@dataclass(frozen=True, slots=True)
class Underlying:
    """A coin's index and its perpetual; the margins beside them are Deribit's, in the currency that it margins in.

    Of Derive's feeds a confidence is a share, 1 for certain. `oracle_confidence` is Holdfast's: the USD by which the
    index may be off; `is_degraded` says that few validators report it.
    """

    name: str
    spot: float
    spot_confidence: float = 1.0
    perpetual: float | None = None
    perpetual_confidence: float = 1.0
    spot_margin: float = 0.0
    mmp_margin: float = 0.0
    open_orders_margin: float = 0.0
    oracle_confidence: float = 0.0
    is_degraded: bool = False
    row: str = field(default="", compare=False)

    @property
    def beside_margin(self) -> float:
        return self.spot_margin + self.mmp_margin + self.open_orders_margin

    def without_margins(self) -> "Underlying":
        return replace(self, spot_margin=0.0, mmp_margin=0.0, open_orders_margin=0.0)


@dataclass(frozen=True, slots=True)
class Expiry:
    """One expiry of one underlying. A shock of the spot moves the variable part of the forward only."""

    underlying: str
    seconds: float
    forward_variable: float
    forward_fixed: float = 0.0
    forward_confidence: float = 1.0
    rate: float = 0.0
    rate_confidence: float = 1.0
    vol_confidence: float = 1.0
    row: str = field(default="", compare=False)

    @property
    def forward(self) -> float:
        return self.forward_variable + self.forward_fixed

    def shocked(self, factor: float) -> float:
        return self.forward_variable * factor + self.forward_fixed


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Everything that a model needs; `parameters` holds what was given beside a model's defaults, by model.

    Expiries, surfaces and smiles are by underlying and seconds to expiry; a smile holds the marked volatility of each
    strike and kind, `(strike, is_call)`. `moment` is the time of the market data, where it is known.
    """

    cash: float
    options: tuple[OptionPosition, ...] = ()
    futures: tuple[FuturePosition, ...] = ()
    collaterals: tuple[Collateral, ...] = ()
    underlyings: Mapping[str, Underlying] = field(default_factory=dict)
    expiries: Mapping[tuple[str, float], Expiry] = field(default_factory=dict)
    stable_price: float = 1.0
    parameters: Mapping[str, Row] = field(default_factory=dict)
    orders: tuple[OpenOrder, ...] = ()
    protections: Mapping[str, Protection] = field(default_factory=dict)
    surfaces: Mapping[tuple[str, float], SurfaceSlice] = field(default_factory=dict)
    smiles: Mapping[tuple[str, float], Mapping[tuple[float, bool], float]] = field(default_factory=dict)
    moment: dt.datetime | None = None

    def expiry_of(self, option: OptionPosition) -> Expiry:
        return self.expiries[option.underlying, option.seconds]

    @property
    def positions(self) -> "tuple[OptionPosition | FuturePosition, ...]":
        return (*self.options, *self.futures)

    @property
    def held_underlyings(self) -> list[str]:
        """The underlyings of its positions, in the order of the market data."""
        held = {position.underlying for position in self.positions}
        return [name for name in self.underlyings if name in held]


def net_positions(portfolio: Portfolio) -> Portfolio:
    """Return a portfolio with one position in each instrument, as every venue holds it; the first row names it."""
    options: dict[object, OptionPosition] = {}
    for option in portfolio.options:
        instrument = (option.underlying, option.terms, option.is_inverse, option.vol)
        held = options.get(instrument)
        options[instrument] = option if held is None else replace(held, amount=held.amount + option.amount)
    futures: dict[object, FuturePosition] = {}
    for future in portfolio.futures:
        contract = (future.underlying, future.seconds, future.is_inverse, future.mark)
        first = futures.get(contract)
        futures[contract] = future if first is None else _add_futures(first, future)
    return replace(portfolio, options=tuple(options.values()), futures=tuple(futures.values()))


def _add_futures(first: FuturePosition, second: FuturePosition) -> FuturePosition:
    return replace(
        first,
        amount=first.amount + second.amount,
        profit=first.profit + second.profit,
        funding=first.funding + second.funding,
        entry=first.entry if first.entry == second.entry else None,
    )


def split_forward(forward: float, seconds: float) -> tuple[float, float]:
    """Return the variable and the fixed part of a forward.

    Source: Derive's forward feed (protocols 1c, settlement): inside the averaging window of 30 minutes the fixed part
    grows evenly, so that an option's delta decays to zero.
    """
    if seconds >= SETTLEMENT_S:
        return forward, 0.0
    return forward * seconds / SETTLEMENT_S, forward * (SETTLEMENT_S - seconds) / SETTLEMENT_S
