"""The risk engine's published margin models: readable calculators over one form of input, apart from the exchange.

`load_portfolio` reads a file, `compute_margin` margins it under one of `MODELS`, `compare_models` under all of them.
They are here to hold the exchange's own margin against what real venues publish; nothing of consensus imports them, and
they compute in plain floats. What cannot be margined is an `InputError` that names the row and the field.
"""

from holdfast.risk.inputs import Cases, load_cases, load_portfolio, parse_cases
from holdfast.risk.models import MODELS, Model, compare_models, compute_margin
from holdfast.risk.portfolio import (
    Collateral,
    Expiry,
    FuturePosition,
    OptionPosition,
    Portfolio,
    Underlying,
)
from holdfast.risk.result import MarginResult
from holdfast.risk.rows import InputError

__all__ = [
    "MODELS",
    "Cases",
    "Collateral",
    "Expiry",
    "FuturePosition",
    "InputError",
    "MarginResult",
    "Model",
    "OptionPosition",
    "Portfolio",
    "Underlying",
    "compare_models",
    "compute_margin",
    "load_cases",
    "load_portfolio",
    "parse_cases",
]
