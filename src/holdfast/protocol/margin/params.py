"""Margin parameters, and the joint scenarios that they list."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.primitives.units import PPM
from holdfast.protocol.ledger.state import BTC, ETH, USDT
from holdfast.protocol.limits import JOINT_SCENARIOS_MAX, SCENARIOS, U64
from holdfast.protocol.surface.params import DEFAULT_GRIDS
from holdfast.state.table import Table

# The order in which an account's vectors stand: one universe of shocks an entry.
UNIVERSES: Final = (BTC, ETH, USDT)
UNIVERSE_INDEX: Final = {underlying: index for index, underlying in enumerate(UNIVERSES)}

SPOT_BUCKETS: Final = 9
VOL_COLUMNS: Final = 3
ROW_FLAT: Final = (SPOT_BUCKETS // 2) * VOL_COLUMNS + 1  # det-ok: a constant of the grid, not of the state
ROW_TAIL_FIRST: Final = SPOT_BUCKETS * VOL_COLUMNS


class MarginParams(Record):
    """Factors and charges; every charge is a share of the index value of the lots that it counts.

    The worst loss counts `loss_*`; net short options per expiry and strike `short_*`; dated futures `basis_*`; gross
    lots above `concentration_lots` in one underlying `concentration_*`; the oracle's confidence times the gross lots
    counts `confidence_im_ppm`, initially only. Below `depeg_e8` USDC/USD the initial margin is scaled by
    `depeg_im_ppm` and new risk is barred. A liquidation ends at `buffer_ppm` of the maintenance margin.
    """

    loss_im_ppm: U64 = 1_000_000
    loss_mm_ppm: U64 = 800_000
    short_im_ppm: U64 = 10_000
    short_mm_ppm: U64 = 7_500
    basis_im_ppm: U64 = 3_000
    basis_mm_ppm: U64 = 2_000
    concentration_lots: U64 = 200_000
    concentration_im_ppm: U64 = 20_000
    concentration_mm_ppm: U64 = 10_000
    confidence_im_ppm: U64 = 1_000_000
    degraded_confidence_ppm: U64 = 2_000_000
    depeg_e8: U64 = 99_000_000
    depeg_im_ppm: U64 = 1_250_000
    cross_weight_ppm: U64 = 500_000
    buffer_ppm: U64 = 1_100_000


# What a charge is at most of the index value, whatever open interest makes of it.
SHORT_MAX_PPM: Final = 100_000
CONCENTRATION_MAX_PPM: Final = 200_000

MARGIN_PARAMS: Final = Table[int, MarginParams]("margin params", ["u64"], MarginParams, tag=72)


def check(params: MarginParams) -> None:
    """Check the parameters against their hard bounds and each other."""
    ensure(2 * params.loss_mm_ppm >= PPM, "maintenance covers at least half of the worst loss")
    ensure(params.loss_mm_ppm <= params.loss_im_ppm <= 3 * PPM, "loss factors stay in bounds")
    ensure(params.short_mm_ppm <= params.short_im_ppm <= SHORT_MAX_PPM, "short charges stay in bounds")
    ensure(params.basis_mm_ppm <= params.basis_im_ppm <= 100_000, "basis charges stay in bounds")
    ensure(
        params.concentration_mm_ppm <= params.concentration_im_ppm <= CONCENTRATION_MAX_PPM,
        "concentration charges stay in bounds",
    )
    ensure(PPM <= params.degraded_confidence_ppm <= 20 * PPM, "a degraded feed never charges less, nor without bound")
    ensure(params.confidence_im_ppm <= 10 * PPM, "the oracle's doubt counts within bounds")
    ensure(PPM <= params.depeg_im_ppm <= 5 * PPM, "a depeg never lowers margin, nor raises it without bound")
    ensure(90_000_000 <= params.depeg_e8 < 100_000_000, "a depeg is a fall below one dollar")
    ensure(params.concentration_lots >= 1_000, "small positions are not crowded")
    ensure(params.cross_weight_ppm <= PPM, "an opposed scenario never weighs more than a joint one")
    ensure(PPM <= params.buffer_ppm <= 2 * PPM, "a liquidation ends at or above maintenance")


def _list_joint_scenarios() -> tuple[tuple[int, int, int], ...]:
    together = [(row, row, row) for row in range(SCENARIOS)]
    flat = ROW_FLAT
    alone = [(row, flat, flat) for row in range(SCENARIOS) if row != flat]
    alone += [(flat, row, flat) for row in range(SCENARIOS) if row != flat]
    alone += [(flat, flat, ROW_TAIL_FIRST), (flat, flat, ROW_TAIL_FIRST + 1)]
    return (*together, *alone)


def _list_opposed_scenarios() -> tuple[tuple[int, int, int], ...]:
    return tuple(
        (bucket * VOL_COLUMNS + vol, (SPOT_BUCKETS - 1 - bucket) * VOL_COLUMNS + vol, ROW_FLAT)
        for bucket in range(SPOT_BUCKETS)
        if 2 * bucket != SPOT_BUCKETS - 1
        for vol in range(VOL_COLUMNS)
    )


JOINT: Final = _list_joint_scenarios()
OPPOSED: Final = _list_opposed_scenarios()
ensure(len(JOINT) + len(OPPOSED) <= JOINT_SCENARIOS_MAX, "the listed scenarios fit")
for _, _grid in sorted(DEFAULT_GRIDS.items()):
    ensure(_grid.spot_ppm[ROW_FLAT] == 0 == _grid.vol_ppm[ROW_FLAT], "the flat row is where margin looks for it")
    ensure(
        all(
            _grid.spot_ppm[row] == _grid.spot_ppm[row - row % VOL_COLUMNS] for row in range(SPOT_BUCKETS * VOL_COLUMNS)
        ),
        "a spot move has one row a volatility column",
    )


def _flat_index(scenarios: tuple[tuple[int, int, int], ...]) -> NDArray[np.int64]:
    """Return, per universe and scenario, the place in an account's flattened vectors."""
    return np.array(
        [[universe * SCENARIOS + rows[universe] for rows in scenarios] for universe in range(len(UNIVERSES))],
        dtype=np.int64,
    )


JOINT_INDEX: Final = _flat_index(JOINT)
OPPOSED_INDEX: Final = _flat_index(OPPOSED)
JOINT_ROWS: Final = np.array(JOINT, dtype=np.int64)
OPPOSED_ROWS: Final = np.array(OPPOSED, dtype=np.int64)
