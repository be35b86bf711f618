"""Least squares of a few parameters, by Levenberg and Marquardt's damping; deterministic, and NumPy alone.

Source: Moré 1978, The Levenberg-Marquardt algorithm, section 2, with the damping rule of Marquardt 1963.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Residuals = Callable[[Floats], Floats]
Differentiate = Callable[[Floats], Floats]

DIFFERENCE: Final = 1e-6
_STEP_MAX: Final = 0.7  # in one go; parameters are scaled to be of the order of one
_DAMPING_FIRST: Final = 1e-2
_DAMPING_MAX: Final = 1e8
_GAIN_MIN: Final = 1e-5  # relative; below it a step is not worth another


class Solution(NamedTuple):
    """Where the sum of squares is least, and what it is there."""

    parameters: Floats
    cost: float


def minimise(
    residuals: Residuals, start: Floats, *, iterations: int, differentiate: Differentiate | None = None
) -> Solution:
    """Return parameters of a least sum of squared residuals near a start.

    `differentiate` gives the residuals' derivatives (rows: residuals, columns: parameters) where the caller knows which
    of them depend on what; without it each parameter is moved in turn.
    """
    point, damping = start.astype(np.float64), _DAMPING_FIRST
    value = residuals(point)
    cost = float(value @ value)
    for _ in range(iterations):
        jacobian = _differentiate(residuals, point, value) if differentiate is None else differentiate(point)
        gradient, normal = jacobian.T @ value, jacobian.T @ jacobian
        diagonal = np.maximum(np.diag(normal), 1e-12)
        gain = 0.0
        while damping < _DAMPING_MAX:
            step = np.linalg.solve(normal + damping * np.diag(diagonal), gradient)
            trial = point - np.clip(step, -_STEP_MAX, _STEP_MAX)
            trial_value = residuals(trial)
            trial_cost = float(trial_value @ trial_value)
            if trial_cost < cost:
                gain = (cost - trial_cost) / cost
                point, value, cost = trial, trial_value, trial_cost
                damping = max(damping / 5, 1e-12)
                break
            damping *= 4
        if gain < _GAIN_MIN:
            break
    return Solution(point, cost)


def _differentiate(residuals: Residuals, point: Floats, value: Floats) -> Floats:
    columns = []
    for place in range(point.shape[0]):
        moved = point.copy()
        moved[place] += DIFFERENCE
        columns.append((residuals(moved) - value) / DIFFERENCE)
    return np.stack(columns, axis=1)
