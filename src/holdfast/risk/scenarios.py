"""A portfolio's scenarios as people look at them: a grid of spot and volatility, and beside it what margin lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from holdfast.risk.grids import FloatArray, scenario_grid
from holdfast.risk.holdfast import MODEL
from holdfast.risk.holdfast.account import open_account
from holdfast.risk.holdfast.model import list_tails
from holdfast.risk.models import DEFAULT_MODEL, compute_margin
from holdfast.risk.portfolio import Portfolio
from holdfast.risk.result import Figure

LISTED_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class ScenarioTable:
    """Profit or loss in USD, shape (spots, vols), and the listed scenarios beside the grid, by name."""

    model: str
    spots: FloatArray
    vols: FloatArray
    pnl: FloatArray
    listed: Mapping[str, float]

    @property
    def worst(self) -> tuple[str, float]:
        """Return where the grid is lowest, and how low; of equal cells the first."""
        place = int(self.pnl.argmin())
        row, column = divmod(place, len(self.vols))
        name = f"spot {self.spots[row] * 100:+g}% vol {self.vols[column] * 100:+g}%"
        return name, float(self.pnl[row, column])

    def to_dict(self) -> dict[str, Figure]:
        place, loss = self.worst
        return {
            "model": self.model,
            "spots": self.spots.tolist(),
            "vols": self.vols.tolist(),
            "pnl": self.pnl.tolist(),
            "listed": dict(self.listed),
            "worst": {"scenario": place, "pnl": loss},
        }

    def to_columns(self) -> dict[str, list[float]]:
        """Return the grid as columns, one row a cell."""
        spots, vols = np.meshgrid(self.spots, self.vols, indexing="ij")
        return {"spot": spots.ravel().tolist(), "vol": vols.ravel().tolist(), "pnl": self.pnl.ravel().tolist()}


def make_table(portfolio: Portfolio, spots: ArrayLike, vols: ArrayLike, model: str = DEFAULT_MODEL) -> ScenarioTable:
    """Return the grid of a portfolio, with the exchange's tails and skew or another model's worst scenarios.

    Refuses: what `scenario_grid` and the model refuse.
    """
    pnl = scenario_grid(portfolio, spots, vols, model)
    moves, changes = (np.asarray(axis, dtype=np.float64) for axis in (spots, vols))
    return ScenarioTable(model, moves, changes, pnl, _list(portfolio, model))


def _list(portfolio: Portfolio, model: str) -> Mapping[str, float]:
    if model == MODEL:
        return list_tails(open_account(portfolio))
    result = compute_margin(portfolio, model)
    worst: Sequence[tuple[str, float]] = sorted(result.scenarios.items(), key=lambda scenario: scenario[1])
    return {name: value * result.usd_per_unit for name, value in worst[:LISTED_MAX]}
