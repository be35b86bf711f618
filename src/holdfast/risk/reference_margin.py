"""What reference portfolios need at a range, by the exchange's own scenario grid, pricing kernel and margin rules.

The portfolios are struck anew at every epoch, at the price of the day, thirty days to expiry and a volatility that
never changes: what moves their margin is the range alone, so one figure a range answers for all epochs that have it.
Concentration, the oracle's doubt, and other underlyings do not enter.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

import numpy as np

from holdfast.primitives import pricing
from holdfast.primitives.pricing import Grid, Options, Slices
from holdfast.primitives.units import DAY_MS, E8, PPM, YEAR_MS, div_ceil, div_nearest, value_per_lot_atoms
from holdfast.protocol.instruments.params import CONTRACT_SPECS, DEFAULT_SPECS
from holdfast.protocol.limits import SCENARIOS
from holdfast.protocol.margin import rules
from holdfast.protocol.margin.params import MARGIN_PARAMS, UNIVERSE_INDEX, UNIVERSES, MarginParams
from holdfast.protocol.margin.state import CHARGES, Int64Array
from holdfast.protocol.oracle.state import FEEDS, Feed, Status
from holdfast.protocol.ranges.params import RANGE_MAX_PPM, RANGE_MIN_PPM
from holdfast.protocol.schema import TABLES
from holdfast.protocol.surface.handlers import build_array
from holdfast.protocol.surface.params import make_grid
from holdfast.risk.range_models import ASSETS
from holdfast.state.draft import Draft
from holdfast.state.store import State

# Lots of an at-the-money call, a put of the same strike, and the future of their expiry. The hedged call holds what its
# delta asks for, at this volatility and time.
LOTS: Final = 1_000
PORTFOLIOS: Final = ("short straddle", "long future", "short call, delta-hedged")
_EXPIRY_MS: Final = 30 * DAY_MS
_VOL_PPM: Final = 600_000
_RHO_PPM: Final = -200_000
_ETA_PPM: Final = 1_000_000
_SHIFT_PPM: Final = 0
_WIDTH_PPM: Final = PPM
_PRICE_E8: Final = {"BTC": 100_000 * E8, "ETH": 4_000 * E8}
_STEPS: Final = 4  # of a grid, from flat to its edge
_INSTRUMENTS: Final = 3  # call, put, future


def compute_margins_ppm(underlying: str, ranges_ppm: Sequence[int]) -> dict[str, dict[int, int]]:
    """Return, by portfolio and range, the initial margin as a share of the value of its lots, in millionths.

    Rounds: to the nearest. Ranges are rounded up to whole steps of the grid.
    """
    wanted = sorted(set(ranges_ppm))
    rows, delta_ppm = _price(underlying, wanted)
    held = _hold(delta_ppm)
    draft = _make_draft(underlying)
    notional = LOTS * value_per_lot_atoms(_PRICE_E8[underlying], DEFAULT_SPECS[ASSETS[underlying]].lot_e8)
    return {
        name: {
            range_ppm: div_nearest(_margin(draft, underlying, lots, rows[place]) * PPM, notional)
            for place, range_ppm in enumerate(wanted)
        }
        for name, lots in held.items()
    }


def is_admitted(range_ppm: int) -> bool:
    """Tell whether a range lies inside the bounds in which the exchange keeps it."""
    return RANGE_MIN_PPM <= range_ppm <= RANGE_MAX_PPM


def _to_step(range_ppm: int) -> int:
    return div_ceil(range_ppm, _STEPS) * _STEPS


def _hold(delta_ppm: int) -> Mapping[str, tuple[int, int, int]]:
    return {
        PORTFOLIOS[0]: (-LOTS, -LOTS, 0),
        PORTFOLIOS[1]: (0, 0, LOTS),
        PORTFOLIOS[2]: (-LOTS, 0, div_nearest(LOTS * delta_ppm, PPM)),
    }


def _price(underlying: str, ranges_ppm: Sequence[int]) -> tuple[Int64Array, int]:
    """Return rows of shape (ranges, instruments, scenarios), in atoms a lot, and the call's delta."""
    count = len(ranges_ppm)
    grids = [make_grid(_to_step(range_ppm)) for range_ppm in ranges_ppm]
    grid = Grid(
        np.array([one.spot_ppm for one in grids], dtype=np.int64),
        np.array([one.vol_ppm for one in grids], dtype=np.int64),
        np.array([one.rho_shift_ppm for one in grids], dtype=np.int64),
        np.array([one.dampen_ppm for one in grids], dtype=np.int64),
    )
    price_e8, lot_e8 = _PRICE_E8[underlying], DEFAULT_SPECS[ASSETS[underlying]].lot_e8
    theta_e12 = _VOL_PPM**2 * _EXPIRY_MS // YEAR_MS
    one_slice = (price_e8, theta_e12, _RHO_PPM, _ETA_PPM, 0, PPM, _EXPIRY_MS, 0, _SHIFT_PPM, _WIDTH_PPM)
    slices = Slices(*(np.full(count, value, dtype=np.int64) for value in one_slice))
    slices = slices._replace(grid_index=np.arange(count, dtype=np.int64))
    options = Options(
        np.repeat(np.arange(count, dtype=np.int64), _INSTRUMENTS),
        np.tile(np.array([price_e8, price_e8, 0], dtype=np.int64), count),
        np.tile(np.array([1, 0, 1], dtype=np.int64), count),
        np.full(count * _INSTRUMENTS, lot_e8, dtype=np.int64),
    )
    marks = pricing.compute_marks(slices, options)
    rows = pricing.compute_rows(slices, options, grid, marks.mark_e8)
    return rows.reshape(count, _INSTRUMENTS, SCENARIOS), int(marks.delta_ppm[0])


@cache
def _make_draft(underlying: str) -> Draft:
    """Return a state with the exchange's default parameters, one certain price, and that price's charges."""
    asset, price_e8 = ASSETS[underlying], _PRICE_E8[underlying]
    draft = State(TABLES).draft()
    draft[MARGIN_PARAMS].put(0, MarginParams())
    draft[CONTRACT_SPECS].put(asset, DEFAULT_SPECS[asset])
    draft[FEEDS].put(asset, Feed(price_e8, 0, Status.LIVE, 1, 0, 0, 0, 0, 0, None, is_flagged=False))
    draft[CHARGES].put(0, rules.compute_charges(MarginParams(), build_array(draft), {}, {}))
    return draft


def _margin(draft: Draft, underlying: str, lots: tuple[int, int, int], rows: Int64Array) -> int:
    """Return a portfolio's initial margin by the exchange's rules, in atoms."""
    index = UNIVERSE_INDEX[ASSETS[underlying]]
    stress = np.zeros((len(UNIVERSES), SCENARIOS), dtype=np.int64)
    stress[index] = np.array(lots, dtype=np.int64) @ rows
    call, put, future = lots
    risk = rules.EMPTY_RISK._replace(
        stress=stress,
        short_lots=_alone(index, max(0, -call - put)),
        gross_lots=_alone(index, sum(map(abs, lots))),
        future_lots=_alone(index, abs(future)),
    )
    return rules.compute_initial_atoms(draft, 0, risk)


def _alone(index: int, lots: int) -> tuple[int, int, int]:
    btc, eth, usdt = (lots if place == index else 0 for place in range(len(UNIVERSES)))
    return btc, eth, usdt
