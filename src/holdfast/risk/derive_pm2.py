"""Derive's PM2 portfolio margin: what is left of an account after its worst scenario, in USD.

Sources: protocols 2.3 (the rules of `PMRMLib_2.sol`, derivexyz/v2-core at 7736900) and the published cases, reproduced
with every scenario's profit or loss. Plain floats, no rounding; the contract truncates at 1e-18.

Where the words leave a choice, the cases and the contract decide:

- The collateral's confidence is the lower of its own and the spot's; the perpetual's enters only what the perpetual and
  the options are charged for (cases 32 and 33).
- Naked shorts net the call with the put of the same strike, since what counts is the strike's net amount.
- Cash is never marked down: the stable price scales collateral and the initial factor alone (case 11).
- The perpetual's notional is charged at the spot, and shocked at its own price.
- A skew scenario does not move the options' forward. The contract refuses one with another spot; the one published case
  that has it (67) caps its linear multiplier by the parameters of the absolute one, and so does this.
- The basis is the worst only where it lies below every scenario.

Refuses: dated futures and a second underlying, which PM2 does not have, and collateral without haircuts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.risk.derive_pm2_account import MODEL, Account, Slice, arrange, compute_value
from holdfast.risk.derive_pm2_parameters import Pm2Parameters, Scenario, VolShocks, read_parameters
from holdfast.risk.portfolio import Portfolio
from holdfast.risk.result import Figure, MarginResult, name_worst
from holdfast.risk.rows import InputError

BASIS: Final = "basis"


@dataclass(frozen=True, slots=True)
class Charges:
    """Charges beside the scenarios, each at least zero; the initial ones come on top of the maintenance ones."""

    perpetual_maintenance: float
    perpetual_initial: float
    option_maintenance: float
    option_initial: float
    collateral_maintenance: float
    collateral_initial: float
    oracle: float

    @property
    def maintenance(self) -> float:
        return self.perpetual_maintenance + self.option_maintenance + self.collateral_maintenance

    @property
    def initial(self) -> float:
        return self.perpetual_initial + self.option_initial + self.collateral_initial + self.oracle


def compute_margin(portfolio: Portfolio) -> MarginResult:
    """Margin a portfolio; initial and maintenance are what is left, below zero where it is too little."""
    parameters = read_parameters(portfolio.parameters.get(MODEL))
    account = arrange(portfolio, parameters)
    charges = _compute_charges(portfolio, account, parameters)
    losses = dict(_name_scenarios(parameters.scenarios, account, parameters.vol))
    basis = sum(part.basis for part in account.slices)
    scenarios = {**losses, BASIS: basis}
    worst = min(scenarios.values())
    depeg = max(0.0, parameters.other.peg_threshold - portfolio.stable_price) * parameters.other.peg_factor
    initial_factor = parameters.margin.initial_factor + depeg
    maintenance = account.mark_to_market + worst * parameters.margin.maintenance_factor - charges.maintenance
    initial = account.mark_to_market + worst * initial_factor - charges.maintenance - charges.initial
    return MarginResult(
        model=MODEL,
        currency="USD",
        convention="net",
        initial=initial,
        maintenance=maintenance,
        mark_to_market=account.mark_to_market,
        worst_scenario=name_worst(scenarios),
        scenarios=scenarios,
        figures={
            **_tell_worst(parameters.scenarios, list(losses.values())),
            "basis_contingency": basis,
            "maintenance_loss_factor": parameters.margin.maintenance_factor,
            "initial_loss_factor": initial_factor,
            **_tell_values(account),
            **_tell_charges(charges),
            "expiries": [_tell_slice(part) for part in account.slices],
            "options": _tell_options(portfolio, account, parameters.vol),
        },
    )


def _compute_vols(part: Slice, scenario: Scenario, shocks: VolShocks) -> list[float]:
    match scenario.vol:
        case "Up":
            return [max(shocks.up_vol_min, option.vol * part.vol_up) for option in part.options]
        case "Down":
            return [option.vol * part.vol_down for option in part.options]
        case "None":
            return [option.vol for option in part.options]
        case "LINEAR" | "ABS":
            pairs = zip(part.options, part.skews, strict=True)
            return [option.vol * skew.multiplier(scenario) for option, skew in pairs]


def _compute_loss(scenario: Scenario, account: Account, shocks: VolShocks) -> float:
    """Return a scenario's profit or loss against the mark to market."""
    move = (scenario.spot - 1) * scenario.dampening
    total = (account.perpetual_amount * account.perpetual_mark + account.risk_cancelling_value) * move
    spot = 1.0 if scenario.is_skew else scenario.spot
    for part in account.slices:
        vols = _compute_vols(part, scenario, shocks)
        value = compute_value(part.expiry, part.options, vols, part.discount, spot=spot)
        change = (value * part.static_factor(value) - part.mark_to_market) * scenario.dampening
        # The skew may as well turn the other way at each expiry, so that a gain counts as a loss.
        total += -abs(change) if scenario.is_skew else change
    return total


def _name_scenarios(scenarios: Sequence[Scenario], account: Account, shocks: VolShocks) -> Iterator[tuple[str, float]]:
    seen: dict[str, int] = {}
    for scenario in scenarios:
        name = _name_scenario(scenario)
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name} #{seen[name]}", _compute_loss(scenario, account, shocks)


def _name_scenario(scenario: Scenario) -> str:
    move = f"spot{(scenario.spot - 1) * 100:+.10g}%"
    vol = f"skew-{scenario.vol.lower()}" if scenario.is_skew else f"vol-{scenario.vol.lower()}"
    return f"{move} {vol}" if scenario.dampening == 1 else f"{move} {vol} x{scenario.dampening:.4g}"


def _compute_charges(portfolio: Portfolio, account: Account, parameters: Pm2Parameters) -> Charges:
    other = parameters.other
    underlying = account.underlying
    perpetual = abs(account.perpetual_amount) * underlying.spot
    shorts = sum(part.naked_shorts for part in account.slices) * underlying.spot
    confidence = underlying.spot_confidence
    if account.perpetual_amount:
        confidence = min(confidence, underlying.perpetual_confidence)

    def charge(confidence: float, notional: float) -> float:
        below = confidence < other.confidence_threshold
        return (1 - confidence) * other.confidence_factor * notional if below else 0.0

    oracle = charge(confidence, perpetual)
    for part in account.slices:
        feeds = part.expiry
        lowest = min(confidence, feeds.forward_confidence, feeds.rate_confidence, feeds.vol_confidence)
        oracle += charge(lowest, part.gross * underlying.spot)
    maintenance, initial = 0.0, 0.0
    for coin in portfolio.collaterals:
        if coin.haircut_maintenance is None or coin.haircut_initial is None:
            raise InputError(coin.row, "haircut_maintenance and haircut_initial", "PM2 needs both haircuts of a coin")
        value = coin.amount * coin.price / portfolio.stable_price
        maintenance += value * coin.haircut_maintenance
        initial += value * coin.haircut_initial
        oracle += charge(min(coin.confidence, underlying.spot_confidence), value)
    return Charges(
        perpetual_maintenance=perpetual * other.perpetual_maintenance,
        perpetual_initial=perpetual * other.perpetual_initial,
        option_maintenance=shorts * other.option_maintenance,
        option_initial=shorts * other.option_initial,
        collateral_maintenance=maintenance,
        collateral_initial=initial,
        oracle=oracle,
    )


def _tell_worst(scenarios: Sequence[Scenario], losses: Sequence[float]) -> dict[str, Figure]:
    kinds: dict[str, list[float]] = {"regular": [], "tail": [], "skew": []}
    for scenario, loss in zip(scenarios, losses, strict=True):
        kinds[scenario.kind].append(loss)
    return {f"worst_{kind}_loss": min(found, default=None) for kind, found in kinds.items()}


def _tell_values(account: Account) -> dict[str, Figure]:
    return {
        "cash": account.cash,
        "option_mark_to_market": account.option_value,
        "perpetual_profit_and_funding": account.perpetual_value,
        "collateral_mark_to_market": account.collateral_value,
    }


def _tell_charges(charges: Charges) -> dict[str, Figure]:
    """Return the charges as the cases write them, below zero."""
    return {
        "perpetual_contingency_maintenance": -charges.perpetual_maintenance,
        "perpetual_contingency_initial": -charges.perpetual_initial,
        "option_contingency_maintenance": -charges.option_maintenance,
        "option_contingency_initial": -charges.option_initial,
        "collateral_contingency_maintenance": -charges.collateral_maintenance,
        "collateral_contingency_initial": -charges.collateral_initial,
        "oracle_contingency_initial": -charges.oracle,
    }


def _tell_slice(part: Slice) -> dict[str, Figure]:
    return {
        "seconds_to_expiry": part.expiry.seconds,
        "discount": part.discount,
        "long_factor": part.long_factor,
        "short_factor": part.short_factor,
        "mark_to_market": part.mark_to_market,
        "mark_to_market_discounted": part.mark_to_market * part.static_factor(part.mark_to_market),
        "basis_contingency": part.basis,
        "naked_shorts": part.naked_shorts,
    }


def _tell_options(portfolio: Portfolio, account: Account, shocks: VolShocks) -> list[Figure]:
    """Return each option's figures, in the portfolio's order."""
    told: dict[str, Figure] = {}
    for part in account.slices:
        for option, skew in zip(part.options, part.skews, strict=True):
            told[option.row] = {
                "row": option.row,
                "k": skew.k,
                "k_star": skew.k_star,
                "linear_cap": skew.linear_cap,
                "abs_cap": skew.abs_cap,
                "linear_multiplier": skew.linear,
                "abs_multiplier": skew.absolute,
                "vol_up_multiplier": part.vol_up,
                "vol_down_multiplier": part.vol_down,
                "vol_up": max(shocks.up_vol_min, option.vol * part.vol_up),
                "vol_down": option.vol * part.vol_down,
            }
    return [told[option.row] for option in portfolio.options]
