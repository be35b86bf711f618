"""The scenarios of the risk array, one grid an underlying.

Rows 0 to 26 are nine spot moves, from down to up, times three volatilities (down, flat, up): row = 3 x move +
volatility. Rows 27 to 30 are the tails, at volatility up, of which only a part of the profit or loss counts: as much as
leaves a position without convexity losing what it loses at the edge of the grid. Row 31 is the skew: puts dearer, calls
cheaper.
"""

from typing import Annotated, Final

from msgspec import Meta

from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.primitives.smiles import SKEW_PPM
from holdfast.primitives.units import PPM, div_exact, div_floor
from holdfast.protocol.ledger.state import BTC, ETH
from holdfast.protocol.limits import SCENARIOS, Amount
from holdfast.state.draft import Draft
from holdfast.state.table import Table

MOVES: Final = 9
VOLATILITIES: Final = 3
ROW_FLAT: Final = 13
ROW_TAIL_FIRST: Final = MOVES * VOLATILITIES
ROW_SKEW: Final = SCENARIOS - 1

RANGES_PPM: Final = {BTC: 160_000, ETH: 180_000}
VOL_DOWN_PPM: Final = -250_000
VOL_UP_PPM: Final = 500_000
TAILS_PPM: Final = (-500_000, -330_000, 500_000, 1_000_000)

Shocks = Annotated[tuple[Amount, ...], Meta(min_length=SCENARIOS, max_length=SCENARIOS)]


class ScenarioGrid(Record):
    """One underlying's shocks, row by row: spot and volatility relative, rho absolute, and the part that counts."""

    spot_ppm: Shocks
    vol_ppm: Shocks
    rho_shift_ppm: Shocks
    dampen_ppm: Shocks


def make_grid(range_ppm: int) -> ScenarioGrid:
    """Return the grid of a spot range, a multiple of four; no tail counts for more than itself."""
    edge = div_floor(MOVES, 2)
    moves = [div_exact(range_ppm * step, edge) for step in range(-edge, edge + 1)]
    inner = [(move, vol) for move in moves for vol in (VOL_DOWN_PPM, 0, VOL_UP_PPM)]
    return ScenarioGrid(
        spot_ppm=(*(move for move, _ in inner), *TAILS_PPM, 0),
        vol_ppm=(*(vol for _, vol in inner), *(VOL_UP_PPM for _ in TAILS_PPM), 0),
        rho_shift_ppm=(*(0 for _ in inner), *(0 for _ in TAILS_PPM), SKEW_PPM),
        dampen_ppm=(
            *(PPM for _ in inner),
            *(min(PPM, div_floor(range_ppm * PPM, abs(tail))) for tail in TAILS_PPM),
            PPM,
        ),
    )


SURFACE_PARAMS: Final = Table[int, ScenarioGrid]("scenario grids", ["u64"], ScenarioGrid, tag=53)
DEFAULT_GRIDS: Final = {underlying: make_grid(RANGES_PPM[underlying]) for underlying in (BTC, ETH)}

# A stablecoin's own shocks: it slips when the market falls hard, and most in the tails.
USDT_SHOCKS_PPM: Final = (
    *(-20_000,) * VOLATILITIES,
    *(-10_000,) * VOLATILITIES,
    *(0,) * (VOLATILITIES * (MOVES - 2)),
    *(-100_000, -50_000, 0, 0),
    0,
)


def compute_collateral_shocks(grid: ScenarioGrid) -> tuple[int, ...]:
    """Return what a coin of the underlying itself loses or gains, row by row. Rounds: down, against its owner."""
    return tuple(div_floor(spot * part, PPM) for spot, part in zip(grid.spot_ppm, grid.dampen_ppm, strict=True))


ensure(len(USDT_SHOCKS_PPM) == SCENARIOS, "every asset has all rows")


def check(grid: ScenarioGrid) -> None:
    """Check a grid against its hard bounds."""
    flat = (grid.spot_ppm[ROW_FLAT], grid.vol_ppm[ROW_FLAT], grid.rho_shift_ppm[ROW_FLAT])
    ensure(flat == (0, 0, 0), "the flat row shocks nothing")
    ensure(all(-900_000 <= spot <= 3 * PPM for spot in grid.spot_ppm), "spot shocks stay in bounds")
    ensure(all(-900_000 <= vol <= 3 * PPM for vol in grid.vol_ppm), "volatility shocks stay in bounds")
    ensure(
        all(SKEW_PPM <= shift <= 0 for shift in grid.rho_shift_ppm), "skew shocks stay in what smiles are judged for"
    )
    ensure(all(50_000 <= part <= PPM for part in grid.dampen_ppm), "every row counts for something")


def initialise(draft: Draft) -> None:
    """Write the default grids."""
    for underlying in (BTC, ETH):
        check(DEFAULT_GRIDS[underlying])
        draft[SURFACE_PARAMS].put(underlying, DEFAULT_GRIDS[underlying])
