"""What every margin model answers: two margins, the mark to market, the scenarios, and the model's own figures."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Figure: TypeAlias = "float | int | str | bool | Sequence[Figure] | Mapping[str, Figure] | None"

Convention = Literal["net", "requirement"]

# What doubles lose on the way through a scenario, as a share of the largest figure.
_DUST: Final = 1e-12


@dataclass(frozen=True, slots=True)
class MarginResult:
    """One portfolio under one model, in units of `currency`.

    `initial` and `maintenance` are what the venue itself publishes. Derive publishes what is left (`net`): the mark to
    market less the requirement, so that below zero is too little. Deribit publishes the requirement itself. To compare,
    `initial_requirement` and `maintenance_requirement` are requirements under both.

    `scenarios` is each scenario's profit or loss against the mark to market, `worst_scenario` the name of the lowest,
    absent where the model has none. `figures` are the model's own figures on the way. `usd_per_unit` turns into USD.
    """

    model: str
    currency: str
    convention: Convention
    initial: float
    maintenance: float
    mark_to_market: float
    worst_scenario: str | None = None
    scenarios: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    usd_per_unit: float = 1.0

    @property
    def initial_requirement(self) -> float:
        return self.mark_to_market - self.initial if self.convention == "net" else self.initial

    @property
    def maintenance_requirement(self) -> float:
        return self.mark_to_market - self.maintenance if self.convention == "net" else self.maintenance

    def is_finite(self) -> bool:
        margins = (self.initial, self.maintenance, self.mark_to_market)
        return all(map(math.isfinite, (*margins, *self.scenarios.values())))

    def to_dict(self) -> dict[str, Figure]:
        """Return all of it as plain values, the common ones first."""
        return {
            "model": self.model,
            "currency": self.currency,
            "convention": self.convention,
            "initial": self.initial,
            "maintenance": self.maintenance,
            "mark_to_market": self.mark_to_market,
            "initial_requirement": self.initial_requirement,
            "maintenance_requirement": self.maintenance_requirement,
            "usd_per_unit": self.usd_per_unit,
            "worst_scenario": self.worst_scenario,
            "scenarios": dict(self.scenarios),
            "figures": dict(self.figures),
        }

    def to_columns(self) -> dict[str, list[float] | list[str]]:
        """Return the scenarios as columns: names, profit or loss in `currency`."""
        return {"scenario": list(self.scenarios), "pnl": list(map(float, self.scenarios.values()))}

    def to_json(self) -> str:
        """Return one line of JSON; numbers are written so that reading them gives the same doubles."""
        return json.dumps(self.to_dict(), allow_nan=False)


def name_worst(scenarios: Mapping[str, float]) -> str | None:
    """Return the name of the lowest; of those that differ by no more than roundings, the first."""
    if not scenarios:
        return None
    lowest = min(scenarios.values())
    dust = _DUST * max(1.0, *map(abs, scenarios.values()))
    return next(name for name, value in scenarios.items() if value <= lowest + dust)
