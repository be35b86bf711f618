"""Option chains for the fit: invented ones from known smiles, and the real ones where they lie beside this checkout."""

import csv
import datetime as dt
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from holdfast.risk.implied import compute_premium
from holdfast.risk.smile import Shape, compute_variance

CHAINS: Final = sorted(
    (Path(__file__).parents[2].parent / "shared" / "data" / "deribit_chain").glob("deribit_options_*.csv")
)
EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "risk" / "chain.csv"
TIME: Final = dt.datetime(2026, 1, 15, 12, 0, tzinfo=dt.UTC)
HEADER: Final = ("instrument", "time", "bid", "ask", "forward", "mark_vol")
DAYS: Final = (2, 9, 37, 72)
FORWARD: Final = 96_000.0

needs_chains: Final = pytest.mark.skipif(
    not CHAINS, reason="the real option chains (shared/data/deribit_chain) are not beside this checkout"
)

SHAPES: Final = (
    Shape(0.0012, -0.25, 1.3, 0.2, 4.0),
    Shape(0.0052, -0.22, 1.2, 0.1, 3.5),
    Shape(0.0190, -0.20, 1.1, 0.0, 2.5),
    Shape(0.0370, -0.18, 1.0, -0.1, 2.0),
)

Line = list[str]


def make_lines(shapes: Sequence[Shape] = SHAPES, *, coin: str = "BTC", half_spread: float = 1e-9) -> list[Line]:
    """Return a generic chain's lines, quoted in coin around what smiles say, strikes over four deviations a side."""
    lines = []
    for days, shape in zip(DAYS, shapes, strict=False):
        expiry = (TIME + dt.timedelta(days=days)).replace(hour=8)
        seconds = (expiry - TIME).total_seconds()
        for step in np.linspace(-3.0, 3.0, 21):
            strike = round(FORWARD * np.exp(step * np.sqrt(shape.theta)), -2)
            moneyness = np.array([np.log(strike / FORWARD)])
            variance = compute_variance(shape, moneyness) * (seconds - 1200) / seconds
            price = float(compute_premium(moneyness, np.sqrt(variance))[0])
            side = "C" if strike >= FORWARD else "P"
            name = f"{coin}-{expiry:%d%b%y}-{strike:.0f}-{side}".upper()
            low, high = max(price - half_spread, price / 2), price + half_spread
            lines.append([name, TIME.isoformat(), f"{low:.12f}", f"{high:.12f}", f"{FORWARD}", ""])
    return lines


def to_csv(lines: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([header, *lines])
    return text.getvalue()
