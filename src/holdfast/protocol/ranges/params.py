"""Parameters of the adaptive margin, and their hard bounds."""

from typing import Annotated, Final

from msgspec import Meta

from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.primitives.units import DAY_MS, HOUR_MS, MINUTE_MS, PPM
from holdfast.protocol.ledger.state import BTC, ETH
from holdfast.protocol.limits import U64
from holdfast.state.table import Table

# Ranges and weights move in whole grains, so that a change is worth its announcement; four of a grid's steps fit in it.
GRAIN_PPM: Final = 100
RANGE_MIN_PPM: Final = 50_000
RANGE_MAX_PPM: Final = 500_000
STEP_DOWN_MIN_PPM: Final = 2_000
ANNOUNCE_EPOCHS_MAX: Final = 24
HISTORY_MAX: Final = 1_000
VARIANCE_MAX_E18: Final = 10**18
# The normal law's 99.5 % of sizes: no tail is taken to be thinner.
RESIDUAL_NORMAL_PPM: Final = 2_807_000
# Beyond it a return says that the volatility before it was none, not how fat the tail is.
RESIDUAL_MAX_PPM: Final = 20_000_000


class RangeParams(Record):
    """How ranges follow the market; nothing moves unless `is_adaptive`.

    A price is sampled once in `epoch_ms`. The variance is a moving mean that keeps `decay_ppm` of itself; the last
    `history_epochs` returns, each over the volatility of its time, give the tail at `quantile_ppm`, in the place of
    `tail_start_ppm` as far as they are known; a range covers `horizon_epochs`. `model_weight_ppm` of a range comes from
    that model and the rest from the stressed move. The range in force rests while it is between that mix and
    `buffer_ppm` more. In an epoch it rises by at most `step_up_ppm` and falls by at most `step_down_ppm` of itself,
    each announced `announce_epochs` ahead; what it would lack by more than `lag_ppm` it takes at once, by at most
    `emergency_ppm` of itself. Correlation is doubted by `correlation_doubt_ppm`; the weight of opposed scenarios stays
    between `weight_min_ppm` and `weight_max_ppm`. At full open interest concentration and short charges are multiplied
    by `interest_scale_ppm`.
    """

    is_adaptive: bool = True
    epoch_ms: U64 = HOUR_MS
    decay_ppm: U64 = 990_000
    history_epochs: U64 = 720
    quantile_ppm: U64 = 995_000
    tail_start_ppm: U64 = 3_500_000
    horizon_epochs: U64 = 24
    model_weight_ppm: U64 = 750_000
    buffer_ppm: U64 = 250_000
    step_up_ppm: U64 = 100_000
    step_down_ppm: U64 = 2_000
    announce_epochs: U64 = 1
    lag_ppm: U64 = 100_000
    emergency_ppm: U64 = 250_000
    correlation_start_ppm: U64 = 750_000
    correlation_doubt_ppm: U64 = 250_000
    weight_min_ppm: U64 = 400_000
    weight_max_ppm: U64 = 1_000_000
    interest_scale_ppm: U64 = 3_000_000


class RangeLimits(Record):
    """One underlying's bounds: its range begins at `start_ppm` and stays between floor and ceiling.

    `stress_ppm` is the stressed move over the horizon; `variance_start_e18` the squared return of an epoch, x 1e18,
    before any is known. Charges grow with the open interest between `interest_lower_usd` and `interest_upper_usd`.
    """

    underlying: U64
    start_ppm: U64
    floor_ppm: U64
    ceiling_ppm: U64
    stress_ppm: U64
    variance_start_e18: U64
    interest_lower_usd: U64
    interest_upper_usd: U64


class RangeHistory(Record):
    """An underlying's returns before the first block, oldest first, one an epoch, x 1e9: what a chain begins with."""

    underlying: U64
    returns_e9: Annotated[tuple[Annotated[int, Meta(ge=-(10**9), le=10**9)], ...], Meta(max_length=HISTORY_MAX)]


# Volatilities of 45 % and 50 % a year; stress: what BTC and ETH lost within a day in March 2020.
DEFAULT_LIMITS: Final = {
    BTC: RangeLimits(BTC, 160_000, 130_000, RANGE_MAX_PPM, 370_000, 23_100_000_000_000, 100_000_000, 1_000_000_000),
    ETH: RangeLimits(ETH, 180_000, 150_000, RANGE_MAX_PPM, 440_000, 28_500_000_000_000, 50_000_000, 500_000_000),
}
LIMITS: Final = (DEFAULT_LIMITS[BTC], DEFAULT_LIMITS[ETH])

RANGE_PARAMS: Final = Table[int, RangeParams]("range params", ["u64"], RangeParams, tag=130)
RANGE_LIMITS: Final = Table[int, RangeLimits]("range limits", ["u64"], RangeLimits, tag=131)

ensure(RANGE_MIN_PPM * STEP_DOWN_MIN_PPM >= GRAIN_PPM * PPM, "the smallest step down is a grain")


def check(params: RangeParams) -> None:
    """Check the parameters against their hard bounds and each other."""
    ensure(MINUTE_MS <= params.epoch_ms <= DAY_MS, "an epoch is a minute to a day")
    ensure(900_000 <= params.decay_ppm <= 999_900, "the variance has a memory, and an end of it")
    ensure(100 <= params.history_epochs <= HISTORY_MAX, "the history stays in bounds")
    ensure(950_000 <= params.quantile_ppm <= 999_900, "the tail is one")
    ensure(RESIDUAL_NORMAL_PPM <= params.tail_start_ppm <= RESIDUAL_MAX_PPM, "the first tail is one")
    ensure(1 <= params.horizon_epochs <= 1_440, "the horizon stays in bounds")
    ensure(500_000 <= params.model_weight_ppm <= 750_000, "stressed moves weigh at least a quarter")
    ensure(params.buffer_ppm <= PPM, "the buffer stays in bounds")
    ensure(10_000 <= params.step_up_ppm <= 500_000, "a range rises visibly, never by more than half")
    ensure(STEP_DOWN_MIN_PPM <= params.step_down_ppm <= params.step_up_ppm, "a range falls no faster than it rises")
    ensure(params.step_down_ppm <= 50_000, "a range falls slowly")
    ensure(1 <= params.announce_epochs <= ANNOUNCE_EPOCHS_MAX, "a change is announced")
    ensure(params.lag_ppm <= 500_000, "the range in force never lacks more than half")
    ensure(params.step_up_ppm <= params.emergency_ppm <= PPM, "an emergency rises no slower than a step")
    ensure(params.correlation_start_ppm <= PPM, "a correlation is at most one")
    ensure(100_000 <= params.correlation_doubt_ppm <= PPM, "a correlation is doubted")
    ensure(300_000 <= params.weight_min_ppm <= params.weight_max_ppm <= PPM, "opposed scenarios weigh something")
    ensure(
        all(weight % GRAIN_PPM == 0 for weight in (params.weight_min_ppm, params.weight_max_ppm)),
        "weights are whole grains",
    )
    ensure(PPM <= params.interest_scale_ppm <= 10 * PPM, "open interest never lowers a charge, nor without bound")


def check_limits(limits: RangeLimits) -> None:
    """Check one underlying's bounds."""
    ensure(RANGE_MIN_PPM <= limits.floor_ppm <= limits.start_ppm, "a range begins at or above its floor")
    ensure(limits.start_ppm <= limits.ceiling_ppm <= RANGE_MAX_PPM, "a range begins at or below its ceiling")
    ensure(
        all(bound % GRAIN_PPM == 0 for bound in (limits.start_ppm, limits.floor_ppm, limits.ceiling_ppm)),
        "ranges are whole grains",
    )
    ensure(limits.floor_ppm <= limits.stress_ppm <= PPM, "a stressed move is no smaller than the floor")
    ensure(0 < limits.variance_start_e18 <= VARIANCE_MAX_E18, "a variance is positive and at most one")
    ensure(0 < limits.interest_lower_usd < limits.interest_upper_usd <= 10**15, "open interest has two marks, in order")
