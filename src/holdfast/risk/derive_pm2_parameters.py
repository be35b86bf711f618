"""Parameters of Derive's PM2 portfolio margin, under the names of the published cases.

The defaults are those of the published cases, where a case does not vary them. They are not the main network's: its
configuration swaps the two static discounts (protocols 2.3), which would favour the account.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast, get_args

from holdfast.risk.rows import Row

VolShock = Literal["Up", "None", "Down", "LINEAR", "ABS"]
Kind = Literal["regular", "tail", "skew"]

# Derive's own limit is 40 scenarios; more are margined all the same, in proportion.
SCENARIOS_MAX: Final = 1_000
_FACTOR_MAX: Final = 1_000.0
_SHOCK_MAX: Final = 1_000.0

# Beyond this a scenario is one of the tails; only the listing of the worst of each kind depends on it.
_TAIL_MOVE: Final = 0.2

_SPOTS: Final = (1.135, 1.09, 1.045, 1.0, 0.955, 0.91, 0.865)
# Far moves are damped in proportion to their distance, so that each tail counts as much as a move of 3.6 %.
_TAILS: Final = {0.34: 0.036 / 0.66, 0.67: 0.036 / 0.33, 1.5: 0.072, 2.0: 0.036, 3.0: 0.018, 4.0: 0.012}


_VOLS: Final[tuple[VolShock, ...]] = ("Down", "None", "Up")

GROUPS: Final[Mapping[str, Mapping[str, float]]] = {
    "SkewShock": {
        "LINEAR_SCALE_CAP": 0.15,
        "LINEAR_CBASE": -0.05,
        "ABS_SCALE_CAP": 0.15,
        "ABS_CBASE": -0.05,
        "MIN_K_STAR": 0.01,
        "MIN_WIDTH_SCALE": 4.0,
        "VOL_PARAM_STATIC": 0.6,
        "VOL_PARAM_SCALE": -0.1,
    },
    "VolShock": {
        "VOLRANGEUP": 0.5,
        "MIN_VOL_EVAL_SHOCKED": 0.45,
        "VOLRANGEDOWN": 0.275,
        "SHORTTERMPOWER": 0.3,
        "LONGTERMPOWER": 0.13,
        "DTE_FLOOR": 1.0,
    },
    "Margin": {
        "MM_LOSS_FACTOR": 0.8,
        "IM_LOSS_FACTOR": 1.0,
        "SHORT_RATE_MULTSCALE": 0.5,
        "LONG_RATE_MULTSCALE": 1.0,
        "SHORT_RATE_ADDSCALE": 0.08,
        "LONG_RATE_ADDSCALE": 0.08,
        "BASE_STATIC_DISCOUNT": 0.95,
        "BASE_STATIC_DISCOUNT_NEG": 1.04,
    },
    "BasisContingency": {
        "SCENARIO_SPOT_UP": 1.045,
        "SCENARIO_SPOT_DOWN": 0.955,
        "BASIS_CONT_ADD_FACTOR": 0.5,
        "BASIS_CONT_MULT_FACTOR": 2.0,
    },
    "OtherContingency": {
        "PEG_LOSS_THRESHOLD": 0.98,
        "PEG_LOSS_FACTOR": 2.0,
        "CONF_THRESHOLD": 0.55,
        "CONF_MARGIN": 1.0,
        "MM_PERP_PERCENT": 0.015,
        "IM_PERP_PERCENT": 0.005,
        "MM_OPTION_PERCENT": 0.003,
        "IM_OPTION_PERCENT": 0.002,
    },
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A shock: the spot's factor, what becomes of volatility, and the share of the profit or loss that counts."""

    spot: float
    vol: VolShock
    dampening: float = 1.0

    @property
    def is_skew(self) -> bool:
        return self.vol in {"LINEAR", "ABS"}

    @property
    def kind(self) -> Kind:
        """Return what the venue lists it among."""
        return "skew" if self.is_skew else "tail" if abs(self.spot - 1) > _TAIL_MOVE else "regular"


SCENARIOS: Final = (
    Scenario(1.18, "Up"),
    *(Scenario(spot, vol) for spot in _SPOTS for vol in _VOLS),
    Scenario(0.82, "Up"),
    *(Scenario(spot, "Up", dampening) for spot, dampening in _TAILS.items()),
    Scenario(1.0, "LINEAR"),
    Scenario(1.0, "ABS"),
)


@dataclass(frozen=True, slots=True)
class SkewShock:
    """How far the wings of a surface move; the multiplier's cap and width are `_compute_skew`'s."""

    linear_cap: float
    linear_cap_slope: float
    abs_cap: float
    abs_cap_slope: float
    k_star_min: float
    width_scale: float
    vol_static: float
    vol_scale: float


@dataclass(frozen=True, slots=True)
class VolShocks:
    """How far volatility moves at 30 days, its powers below and above, and the floors of shocked vol and of days."""

    up: float
    up_vol_min: float
    down: float
    power_short: float
    power_long: float
    days_min: float


@dataclass(frozen=True, slots=True)
class Margins:
    """What the worst loss is multiplied by, and the discounts of an expiry's shocked value by its sign."""

    maintenance_factor: float
    initial_factor: float
    short_rate_scale: float
    long_rate_scale: float
    short_rate_add: float
    long_rate_add: float
    long_discount: float
    short_discount: float


@dataclass(frozen=True, slots=True)
class Basis:
    """The two spot shocks of the basis contingency, and its factor: a constant and a part that grows with time."""

    spot_up: float
    spot_down: float
    factor_add: float
    factor_per_year: float


@dataclass(frozen=True, slots=True)
class Contingencies:
    """Charges beside the scenarios, as shares of notional; those of initial margin come on top of maintenance."""

    peg_threshold: float
    peg_factor: float
    confidence_threshold: float
    confidence_factor: float
    perpetual_maintenance: float
    perpetual_initial: float
    option_maintenance: float
    option_initial: float


@dataclass(frozen=True, slots=True)
class Pm2Parameters:
    """All parameters of one PM2 manager."""

    scenarios: tuple[Scenario, ...]
    skew: SkewShock
    vol: VolShocks
    margin: Margins
    basis: Basis
    other: Contingencies


def check_complete(given: Row) -> None:
    """Refuse a published case that leaves a parameter out, since it would be margined under another's."""
    given.rows("Scenarios")
    for group, fields in GROUPS.items():
        row = given.row(group)
        for field in fields:
            if not row.has(field):
                raise row.refuse(field, "is missing")


def check_known(given: Row) -> None:
    """Refuse a name that is no parameter's, since what was meant by it would be passed over in silence."""
    given.refuse_others(frozenset((*GROUPS, "Scenarios")))
    for group in GROUPS:
        if given.has(group):
            given.row(group).refuse_others(frozenset(GROUPS[group]))


def read_parameters(given: Row | None) -> Pm2Parameters:
    """Return the defaults, with what was given in their place.

    Refuses: what is not a number, a scenario without a spot, a direction that is none of the five.
    """
    given = given or Row("parameters", {})
    scenarios = tuple(map(_read_scenario, given.rows("Scenarios"))) if given.has("Scenarios") else SCENARIOS
    if not 0 < len(scenarios) <= SCENARIOS_MAX:
        raise given.refuse("Scenarios", f"{len(scenarios)} scenarios; from 1 to {SCENARIOS_MAX} can be margined")
    return Pm2Parameters(
        scenarios=scenarios,
        skew=SkewShock(*_read_group(given, "SkewShock")),
        vol=VolShocks(*_read_group(given, "VolShock")),
        margin=Margins(*_read_group(given, "Margin")),
        basis=Basis(*_read_group(given, "BasisContingency")),
        other=Contingencies(*_read_group(given, "OtherContingency")),
    )


# The published parameters are differences of others, so that a zero may be a little below.
_ZERO: Final = -1e-9
# What may be below zero: the slopes of the caps over time, and how the width of the surface changes with it.
_SIGNED: Final = frozenset(("LINEAR_CBASE", "ABS_CBASE", "VOL_PARAM_SCALE"))


def _read_group(given: Row, group: str) -> tuple[float, ...]:
    """Return a group in the order of its defaults, which is that of its record's fields."""
    row = given.row(group) if given.has(group) else Row(given.below(group), {})
    return tuple(
        row.number(field, least=-_FACTOR_MAX if field in _SIGNED else _ZERO, most=_FACTOR_MAX, default=default)
        for field, default in GROUPS[group].items()
    )


def _read_scenario(row: Row) -> Scenario:
    vol = row.text("VolShockDirection")
    if vol not in get_args(VolShock):
        raise row.refuse("VolShockDirection", f"{vol!r} is none of {', '.join(get_args(VolShock))}")
    return Scenario(
        spot=row.number("SpotShock", least=0.0, most=_SHOCK_MAX),
        vol=cast("VolShock", vol),
        dampening=row.number("DampeningFactor", least=0.0, most=_SHOCK_MAX),
    )
