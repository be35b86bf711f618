"""What is stored of each underlying's past and its range."""

from typing import Annotated, Final

from msgspec import Meta

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64, Amount
from holdfast.protocol.ranges.params import ANNOUNCE_EPOCHS_MAX, HISTORY_MAX
from holdfast.state.table import Table


class Schedule(Record):
    """A figure in force, and what it will be in the epochs to come, the next one first."""

    in_force_ppm: U64
    announced_ppm: Annotated[tuple[U64, ...], Meta(max_length=ANNOUNCE_EPOCHS_MAX)]


class Range(Record):
    """One underlying: its last sample, its past, its range, and what open interest makes of its charges.

    `epoch` counts whole epochs since 1970. `return_e9` is the last return, over `epochs` of them, scaled to one.
    `residuals_ppm` are the sizes of past returns, each over the volatility of its time, the newest last.
    """

    epoch: U64
    price_e8: U64  # 0 before the first sample
    return_e9: Amount
    epochs: U64
    variance_e18: U64
    residuals_ppm: Annotated[tuple[U64, ...], Meta(max_length=HISTORY_MAX)]
    schedule: Schedule
    charge_scale_ppm: U64


class Correlation(Record):
    """How the underlyings move together, and the weight of their opposed scenarios.

    Both move by the same decay from the same returns: the covariance of an epoch x 1e18, and the two variances.
    """

    epoch: U64
    covariance_e18: Amount
    variances_e18: tuple[U64, U64]
    schedule: Schedule


RANGES: Final = Table[int, Range]("ranges", ["u64"], Range, tag=132)
CORRELATIONS: Final = Table[int, Correlation]("correlations", ["u64"], Correlation, tag=133)
