"""Models of the range that a price may move in one margin period: what each announces, epoch by epoch.

A model is told an epoch's price and answers with the range, in millionths of the price, that holds from then on; it
sees nothing of what comes after. `adaptive` and `fixed` are the exchange's own, `ewma` and `historical` baselines.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace

from holdfast.primitives.units import DAY_MS, E8, PPM
from holdfast.protocol.ledger.state import BTC, ETH
from holdfast.protocol.ranges import rules
from holdfast.protocol.ranges.params import DEFAULT_LIMITS, RangeParams
from holdfast.protocol.surface.params import RANGES_PPM

ASSETS: Final = {"BTC": BTC, "ETH": ETH}
EWMA_DAILY_DECAY: Final = 0.94
HISTORICAL_EPOCHS: Final = 500
BASELINE_EPOCHS_MIN: Final = 10


@dataclass(frozen=True, slots=True)
class Settings:
    """What a model needs to know: the underlying, an epoch's length, the margin period, and its confidence."""

    underlying: str
    epoch_ms: int
    horizon_ms: int
    confidence: float

    @property
    def horizon_epochs(self) -> int:
        return self.horizon_ms // self.epoch_ms


class Epoch(NamedTuple):
    """What a model is told: `follows` the epoch just before in time; `is_fresh`, quoted since then."""

    time_ms: int
    price: float
    follows: bool
    is_fresh: bool


class RangeModel(Protocol):
    """A model of the range, with what it has seen so far."""

    def announce(self, epoch: Epoch) -> int | None:
        """Take an epoch; return the range in force from its end on, or None while too little is known."""


class FixedRange:
    """The exchange's constant range of an underlying."""

    def __init__(self, settings: Settings) -> None:
        self._range_ppm = RANGES_PPM[ASSETS[settings.underlying]]

    def announce(self, epoch: Epoch) -> int | None:
        del epoch
        return self._range_ppm


class AdaptiveRange:
    """The exchange's own adaptive range: the rules and parameters of its state machine, from its stated start.

    It is sampled at its own epochs whatever those of the backtest are, and only where something was quoted. It covers
    its own horizon (`RangeParams.horizon_epochs`). Open interest moves charges, not the range, and is left out.
    """

    def __init__(self, settings: Settings) -> None:
        self._params = RangeParams()
        self._limits = DEFAULT_LIMITS[ASSETS[settings.underlying]]
        self._state = rules.start_range(self._params, self._limits, ())

    def announce(self, epoch: Epoch) -> int | None:
        if not epoch.follows:
            # A first sample gives no return, so none spans a gap; what was learnt stays.
            self._state = replace(self._state, price_e8=0)
        number = epoch.time_ms // self._params.epoch_ms
        if epoch.is_fresh and number > self._state.epoch:
            price_e8 = round(epoch.price * E8)
            self._state = rules.follow(self._params, self._limits, self._state, number, price_e8, 0)
        return self._state.schedule.in_force_ppm


class EwmaRange:
    """The normal quantile of an exponentially weighted volatility, scaled by the root of time.

    RiskMetrics Technical Document (1996), section 5.2: zero mean, decay 0.94 a day, here spread over its epochs; begun
    with the mean square of the first returns.
    """

    def __init__(self, settings: Settings) -> None:
        self._decay = EWMA_DAILY_DECAY ** (settings.epoch_ms / DAY_MS)
        self._scale = NormalDist().inv_cdf((1.0 + settings.confidence) / 2.0) * math.sqrt(settings.horizon_epochs)
        self._seen = 0
        self._variance = 0.0
        self._price = 0.0

    def announce(self, epoch: Epoch) -> int | None:
        if epoch.follows:
            self._seen += 1
            weight = 1.0 / self._seen if self._seen <= BASELINE_EPOCHS_MIN else 1.0 - self._decay
            self._variance += weight * (math.log(epoch.price / self._price) ** 2 - self._variance)
        self._price = epoch.price
        return _to_ppm(self._scale * math.sqrt(self._variance)) if self._seen >= BASELINE_EPOCHS_MIN else None


class HistoricalRange:
    """The quantile of the absolute moves over past margin periods: plain historical simulation.

    The last 500 periods count, one beginning in each epoch, so they overlap where a period is longer than an epoch.
    """

    def __init__(self, settings: Settings) -> None:
        self._confidence = settings.confidence
        self._prices: deque[float] = deque(maxlen=settings.horizon_epochs + 1)
        self._moves: deque[float] = deque(maxlen=HISTORICAL_EPOCHS)

    def announce(self, epoch: Epoch) -> int | None:
        if not epoch.follows:
            self._prices.clear()
        self._prices.append(epoch.price)
        if len(self._prices) == self._prices.maxlen:
            self._moves.append(abs(epoch.price / self._prices[0] - 1.0))
        if len(self._moves) < BASELINE_EPOCHS_MIN:
            return None
        return _to_ppm(sorted(self._moves)[math.ceil(self._confidence * len(self._moves)) - 1])


def _to_ppm(share: float) -> int:
    return math.ceil(share * PPM)


MODELS: Final[Mapping[str, Callable[[Settings], RangeModel]]] = {
    "adaptive": AdaptiveRange,
    "fixed": FixedRange,
    "ewma": EwmaRange,
    "historical": HistoricalRange,
}
OWN_MODELS: Final = ("adaptive", "fixed")
