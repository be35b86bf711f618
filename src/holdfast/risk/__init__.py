"""The risk engine for people: what a portfolio needs under the exchange's own rules and under published models.

`load_portfolio` reads a file, `compute_margin` margins it under one of `MODELS`, `compare_models` under all of them.
The model `holdfast` asks the exchange's real functions and equals them to the atom; the published ones are readable
calculators in plain floats. Nothing of consensus imports them. What cannot be margined is an `InputError` that names
the row and the field.
"""

from holdfast.risk.inputs import Cases, load_cases, load_portfolio, parse_cases
from holdfast.risk.models import DEFAULT_MODEL, MODELS, Model, compare_models, compute_margin
from holdfast.risk.portfolio import (
    Collateral,
    Expiry,
    FuturePosition,
    OpenOrder,
    OptionPosition,
    Portfolio,
    Protection,
    SurfaceSlice,
    Underlying,
)
from holdfast.risk.result import MarginResult
from holdfast.risk.rows import InputError

__all__ = [
    "DEFAULT_MODEL",
    "MODELS",
    "Cases",
    "Collateral",
    "Expiry",
    "FuturePosition",
    "InputError",
    "MarginResult",
    "Model",
    "OpenOrder",
    "OptionPosition",
    "Portfolio",
    "Protection",
    "SurfaceSlice",
    "Underlying",
    "compare_models",
    "compute_margin",
    "load_cases",
    "load_portfolio",
    "parse_cases",
]
