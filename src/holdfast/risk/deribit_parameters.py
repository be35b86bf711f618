"""Deribit's margin parameters, under the names of `model_params` in its `private/pme/simulate`.

Portfolio margin: BTC as in the venue's published example of that call, ETH as in an answer of it from 15 February 2026.
Standard margin: protocols 2.5, and the venue's page on linear perpetuals for BTC's futures (2 % and 1 %, growing by
0.005 % a coin). A coin without parameters here is margined under BTC's, and the result's figures say so.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from holdfast.risk.rows import MONEY_MAX, Row

# Moves of the extended table, as shares of the price.
EXTENDED_MOVES: Final = (-0.66, -0.33, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0)

_BUCKETS_MAX: Final = 100
_FACTOR_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class RiskMatrix:
    """One coin's portfolio margin. Dampener, threshold and greatest offset are in USD, `m_inc` is a share per coin."""

    price_range: float = 0.16
    buckets_count: int = 4
    volatility_range_up: float = 0.5
    volatility_range_down: float = 0.25
    short_term_vega_power: float = 0.3
    long_term_vega_power: float = 0.13
    min_volatility_for_shock_up: float = 0.5
    extended_table_factor: float = 1.0
    extended_dampener: float = 100_000.0
    annualised_move_risk: float = 0.075
    min_annualised_move: float = 0.01
    delta_total_liq_shock_threshold: float = 20_000_000.0
    max_delta_shock: float = 0.1
    m_inc: float = 0.00005
    pnl_offset: float = 0.0
    max_offsetable_pnl: float = 0.0
    mm_factor: float = 0.8


@dataclass(frozen=True, slots=True)
class Standard:
    """One coin's standard margin: shares of the underlying, and how a future's share grows with each coin held."""

    future_initial: float = 0.02
    future_maintenance: float = 0.01
    future_slope: float = 0.00005
    option_initial_max: float = 0.15
    option_initial_min: float = 0.1
    option_maintenance: float = 0.075
    put_mark_maintenance: float = 0.075


RISK_MATRICES: Final[Mapping[str, RiskMatrix]] = {
    "BTC": RiskMatrix(),
    "ETH": RiskMatrix(
        price_range=0.18,
        volatility_range_up=0.4,
        extended_dampener=200_000.0,
        annualised_move_risk=0.05,
        min_annualised_move=0.005,
        m_inc=0.000004,
        pnl_offset=0.6,
        max_offsetable_pnl=20_000_000.0,
    ),
}
STANDARDS: Final[Mapping[str, Standard]] = {"BTC": Standard()}

# Everything else is a share, a power or a factor.
_MONEY: Final = frozenset(("extended_dampener", "delta_total_liq_shock_threshold", "max_offsetable_pnl"))


def read_risk_matrix(given: Row | None, name: str) -> tuple[RiskMatrix, str]:
    """Return one coin's parameters with what was given in their place, and the coin whose defaults they are.

    Refuses: names of no parameter, a price range that leaves no price, a part of a bucket.
    """
    base = name if name in RISK_MATRICES else "BTC"
    row = _row_of(given, name)
    defaults: dict[str, float] = asdict(RISK_MATRICES[base])
    row.refuse_others(frozenset(defaults))
    buckets = row.number("buckets_count", least=1, most=_BUCKETS_MAX, default=defaults.pop("buckets_count"))
    if buckets != int(buckets):
        raise row.refuse("buckets_count", f"{buckets:g} is not a whole number")
    values = {
        field: row.number(field, least=0.0, most=MONEY_MAX if field in _MONEY else _FACTOR_MAX, default=default)
        for field, default in defaults.items()
    }
    if not 0 < values["price_range"] < 1:
        raise row.refuse("price_range", f"{values['price_range']:g} is not between 0 and 1")
    return RiskMatrix(buckets_count=int(buckets), **values), base


def read_standard(given: Row | None, name: str) -> tuple[Standard, str]:
    """Return one coin's parameters with what was given in their place, and the coin whose defaults they are."""
    base = name if name in STANDARDS else "BTC"
    row = _row_of(given, name)
    defaults: dict[str, float] = asdict(STANDARDS[base])
    row.refuse_others(frozenset(defaults))
    return Standard(**{field: row.share(field, default=default) for field, default in defaults.items()}), base


def _row_of(given: Row | None, name: str) -> Row:
    if given is None or not given.has(name):
        return Row(f"parameters.{name}", {})
    return given.row(name)
