"""What a file publishes of its portfolios beside what they are made of: the figures of a venue, or of an auditor.

Derive's cases tell them in `Result` and, of skews, in their options; a document in its section `published`. Figures are
numbers under the names that the file gives them, `reg_losses[3]`; ours are found under the same names. What only names
a scenario or repeats the input is no figure. Nothing is read before it is asked for, so that no margin depends on it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Final

from holdfast.risk.derive_pm2_account import MODEL as PM2
from holdfast.risk.derive_pm2_parameters import read_parameters
from holdfast.risk.derive_standard import MODEL as STANDARD
from holdfast.risk.result import MarginResult
from holdfast.risk.rows import Row
from holdfast.risk.vectors import MARKETS, SCALE, SETTLING_S

Figures = Mapping[str, float]

# Derive's integers are units of 1e-18.
_FIGURE_MAX: Final = 1e36

_NO_FIGURES: Final = frozenset(
    (
        *("worst_reg_scenario", "worst_tail_scenario", "worst_skew_scenario", "worst_all_scenarios"),
        *("UnrealisedPerpPNL", "UnrealisedFunding"),
    )
)
_LOSSES: Final = {"regular": "reg_losses", "tail": "tail_losses", "skew": "skew_losses"}
_INSTRUMENT: Final = ("Expiry", "Strike", "IsCall", "MarkVol")
_SKEWS: Final = ("k", "k_star", "linear_mult_cap", "abs_mult_cap", "linear_multiplier", "abs_multiplier")

# Where two of ours stand, theirs is the sum.
_PM2: Final[Mapping[str, Sequence[str]]] = {
    "IM": ("initial",),
    "IMHand": ("initial",),
    "MM": ("maintenance",),
    "MMHand": ("maintenance",),
    "PortfolioMTM": ("mark_to_market",),
    "worst_reg_loss": ("figures.worst_regular_loss",),
    "worst_tail_loss": ("figures.worst_tail_loss",),
    "worst_skew_loss": ("figures.worst_skew_loss",),
    "ForwardContingency": ("figures.basis_contingency",),
    "Cash": ("figures.cash",),
    "OptionMTM": ("figures.option_mark_to_market",),
    "CollateralMTM": ("figures.collateral_mark_to_market",),
    "PerpMTM with funding": ("figures.perpetual_profit_and_funding",),
    "MMLossFactor": ("figures.maintenance_loss_factor",),
    "IMLossFactor": ("figures.initial_loss_factor",),
    "im_loss_factor": ("figures.initial_loss_factor",),
    "MMPerpCont": ("figures.perpetual_contingency_maintenance",),
    "IMPerpCont": ("figures.perpetual_contingency_initial",),
    "IMPerpContNormal": ("figures.perpetual_contingency_maintenance", "figures.perpetual_contingency_initial"),
    "MMBaseCont": ("figures.collateral_contingency_maintenance",),
    "IMBaseCont": ("figures.collateral_contingency_initial",),
    "IMBaseContNormal": ("figures.collateral_contingency_maintenance", "figures.collateral_contingency_initial"),
    "MMOptionCont": ("figures.option_contingency_maintenance",),
    "IMOptionCont": ("figures.option_contingency_initial",),
    "IMOptionContNormal": ("figures.option_contingency_maintenance", "figures.option_contingency_initial"),
    "OracleCont": ("figures.oracle_contingency_initial",),
}
_PM2_EXPIRIES: Final = {
    "OptionMTMPerExpiry[{}]": "mark_to_market",
    "OptionMTMPerExpiryDiscounted[{}]": "mark_to_market_discounted",
}
# At its expiry the cases tell an option no volatility, and an expiry no discount; nothing depends on them.
_PM2_LIVE_EXPIRIES: Final = {
    "discount_factors[{}][0]": "long_factor",
    "discount_factors[{}][1]": "short_factor",
}
_PM2_LIVE_OPTIONS: Final = {
    "VolShockUpMultiplier[{}]": "vol_up_multiplier",
    "VolShockDownMultiplier[{}]": "vol_down_multiplier",
    "VolShockUpEvaluated[{}]": "vol_up",
    "VolShockDownEvaluated[{}]": "vol_down",
    "Options[{}].k": "k",
    "Options[{}].k_star": "k_star",
    "Options[{}].linear_mult_cap": "linear_cap",
    "Options[{}].abs_mult_cap": "abs_cap",
    "Options[{}].linear_multiplier": "linear_multiplier",
    "Options[{}].abs_multiplier": "abs_multiplier",
}
_STANDARD: Final = {
    "realIM": "initial",
    "HandIM": "initial",
    "realMM": "maintenance",
    "HandMM": "maintenance",
    "PortfolioMtM": "mark_to_market",
    "Cash": "figures.cash",
    "BaseMargin": "figures.collateral_margin_maintenance",
}
_STANDARD_MARKETS: Final = {
    "UnrealizedPNL": "profit",
    "UnsettledFunding": "funding",
    "PerpMargin": "perpetual_maintenance",
    "OracleConts": "oracle",
    "DepegIMs": "depeg",
}


@dataclass(frozen=True, slots=True)
class Published:
    """What a file publishes of one portfolio under one model: its figures, and ours under their names.

    Where the names are ours, one that we do not know is a slip; a venue may well tell what we do not.
    """

    model: str
    read: Callable[[], Figures]
    find_ours: Callable[[MarginResult], Figures]
    names_are_ours: bool = False


def publish_pm2(case: Row) -> Published:
    """Return what a PM2 case publishes."""
    return Published(PM2, lambda: _read_pm2(case), lambda result: _find_pm2(case, result))


def publish_standard(case: Row) -> Published:
    """Return what a case of the standard manager publishes."""
    return Published(STANDARD, lambda: _read_standard(case), _find_standard)


def publish_document(model: str, figures: Row) -> Published:
    """Return what a document publishes under a model, by the places of our own answer: `figures.cash`."""
    return Published(model, lambda: _read_figures(figures), _find_numbers, names_are_ours=True)


def _read_pm2(case: Row) -> Figures:
    told = case.row("Result")
    figures = {name: value for name, value in told.values.items() if name not in _NO_FIGURES}
    for name in _LOSSES.values():
        losses = figures.get(name)
        if isinstance(losses, list):
            # What a scenario is called comes first, its loss last.
            figures[name] = [loss[-1] if isinstance(loss, list) and loss else loss for loss in losses]
    if "PerpMTM" in figures:
        del figures["PerpMTM"]
        figures["PerpMTM with funding"] = told.number("PerpMTM") + told.number("UnrealisedFunding", default=0.0)
    options = case.row("Scenario").rows("Options")
    figures["Options"] = [{name: option.values.get(name) for name in _SKEWS} for option in options]
    return _read_figures(Row(told.label, figures))


def _find_pm2(case: Row, result: MarginResult) -> Figures:
    numbers = _find_numbers(result)
    ours = {
        theirs: sum(numbers[name] for name in names)
        for theirs, names in _PM2.items()
        if all(name in numbers for name in names)
    }
    losses: dict[str, list[float]] = {name: [] for name in _LOSSES.values()}
    # The basis comes last, and is no scenario.
    for scenario, loss in zip(
        read_parameters(case.row("Parameters")).scenarios, result.scenarios.values(), strict=False
    ):
        losses[_LOSSES[scenario.kind]].append(loss)
    ours |= {f"{name}[{place}]": loss for name, found in losses.items() for place, loss in enumerate(found)}
    for place, label in enumerate(_list_parts(numbers, "figures.expiries", "seconds_to_expiry")):
        names = _PM2_EXPIRIES | (_PM2_LIVE_EXPIRIES if numbers[f"{label}.seconds_to_expiry"] else {})
        ours |= {theirs.format(place): numbers[f"{label}.{name}"] for theirs, name in names.items()}
    instruments: dict[tuple[object, ...], int] = {}
    for place, option in enumerate(case.row("Scenario").rows("Options")):
        # Rows of one instrument are one position of ours.
        instrument = tuple(map(option.values.get, _INSTRUMENT))
        label = f"figures.options[{instruments.setdefault(instrument, len(instruments))}]"
        if option.number("Expiry"):
            ours |= {theirs.format(place): numbers[f"{label}.{name}"] for theirs, name in _PM2_LIVE_OPTIONS.items()}
    return ours


def _read_standard(case: Row) -> Figures:
    return {name: figure / SCALE for name, figure in _read_figures(case.row("Result")).items()}


def _find_standard(result: MarginResult) -> Figures:
    numbers = _find_numbers(result)
    ours = {theirs: numbers[name] for theirs, name in _STANDARD.items()}
    for theirs, name in _STANDARD_MARKETS.items():
        ours[theirs] = sum(numbers.get(f"figures.markets.{coin}.{name}", 0.0) for coin in MARKETS)
    # A coin's initial margin is its maintenance margin and the penalty for weak feeds.
    ours["OracleConts"] += numbers["figures.collateral_margin_initial"] - ours["BaseMargin"]
    for coin in MARKETS:
        market = f"figures.markets.{coin}"
        expiries = list(_list_parts(numbers, f"{market}.expiries", "seconds_to_expiry"))
        kinds = ["Isolated", "Bounded"]
        if any(numbers[f"{expiry}.seconds_to_expiry"] < SETTLING_S for expiry in expiries):
            # The cases tell this bound on the forward, and margin on the settlement's price.
            kinds.remove("Bounded")
        for suffix, term in (("MM", "maintenance"), ("IM", "initial")):
            ours[f"{coin}Option{suffix}"] = numbers.get(f"{market}.options_{term}", 0.0)
            for kind in kinds:
                found = (numbers[f"{expiry}.{kind.lower()}_{term}"] for expiry in expiries)
                ours[f"{coin}Option{kind}{suffix}"] = sum(found)
    return ours


def _list_parts(numbers: Figures, label: str, name: str) -> Iterator[str]:
    """Yield the places of a list's entries, each of which holds a number of this name."""
    return takewhile(lambda part: f"{part}.{name}" in numbers, (f"{label}[{place}]" for place in count()))


def _read_figures(row: Row) -> Figures:
    """Return the numbers of a row, and of the lists and rows in it.

    Refuses: what is not a finite number.
    """
    leaves = dict(_walk("", row.values))
    flat = Row(row.label, leaves)
    return {name: flat.number(name, least=-_FIGURE_MAX, most=_FIGURE_MAX) for name in leaves}


def _find_numbers(result: MarginResult) -> Figures:
    return {
        name: leaf
        for name, leaf in _walk("", result.to_dict())
        if isinstance(leaf, int | float) and not isinstance(leaf, bool)
    }


def _walk(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield every leaf by its place; what is absent is none."""
    if isinstance(value, Mapping):
        for field, inner in value.items():
            yield from _walk(f"{name}.{field}" if name else str(field), inner)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for place, inner in enumerate(value):
            yield from _walk(f"{name}[{place}]", inner)
    elif value is not None:
        yield name, value
