"""The margin models, the exchange's own and the published ones, by name, and how to ask one of them.

    portfolio = load_portfolio(Path("portfolio.json"))
    result = compute_margin(portfolio)
    print(result.initial, result.worst_scenario, result.to_json())

Every model takes the same `Portfolio` and gives the same `MarginResult`; what a model does not have it refuses.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from holdfast.risk import deribit, derive_pm2, derive_standard, holdfast
from holdfast.risk.portfolio import Portfolio, net_positions
from holdfast.risk.result import MarginResult
from holdfast.risk.rows import InputError


@dataclass(frozen=True, slots=True)
class Model:
    """A margin model: its name, whose it is, and the function that computes it."""

    name: str
    title: str
    compute: Callable[[Portfolio], MarginResult]


MODELS: Final[Mapping[str, Model]] = {
    model.name: model
    for model in (
        Model(holdfast.MODEL, "Holdfast, the exchange's own margin", holdfast.compute_margin),
        Model("derive-pm2", "Derive, PM2 portfolio margin", derive_pm2.compute_margin),
        Model("derive-standard", "Derive, standard manager", derive_standard.compute_margin),
        Model("deribit-pm", "Deribit, portfolio margin", deribit.compute_portfolio_margin),
        Model("deribit-standard", "Deribit, standard margin", deribit.compute_standard_margin),
    )
}
DEFAULT_MODEL: Final = holdfast.MODEL


def find_model(name: str) -> Model:
    """Return a model by its name.

    Refuses: a name that is none of them.
    """
    if name not in MODELS:
        raise InputError("", "model", f"{name!r} is none of {', '.join(MODELS)}")
    return MODELS[name]


def compute_margin(portfolio: Portfolio, model: str = DEFAULT_MODEL) -> MarginResult:
    """Margin a portfolio under one model, by its name; what it holds of one instrument counts together.

    Refuses: what the model does not have, and figures that no double holds.
    """
    chosen = find_model(model)
    try:
        result = chosen.compute(net_positions(portfolio))
    except OverflowError:
        raise _too_large(model) from None
    if not result.is_finite():
        raise _too_large(model)
    return result


def compare_models(portfolio: Portfolio) -> dict[str, MarginResult | InputError]:
    """Margin a portfolio under every model; where one refuses it, why."""
    answers: dict[str, MarginResult | InputError] = {}
    for name in MODELS:
        try:
            answers[name] = compute_margin(portfolio, name)
        except InputError as error:
            answers[name] = error
    return answers


def _too_large(model: str) -> InputError:
    return InputError("", "", f"{model}: amounts and parameters together make figures that no double holds")
