"""What a replay's margin does: the history that its chain begins with, its margin calls, and its ranges."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from holdfast.lab.history import History
from holdfast.lab.venues import Venues
from holdfast.protocol.genesis import Genesis
from holdfast.protocol.instruments.params import UNDERLYINGS
from holdfast.protocol.ledger.state import ASSET_NAMES
from holdfast.protocol.margin.state import RISK_MATRIX
from holdfast.protocol.ranges.messages import RangeChanged
from holdfast.protocol.ranges.params import HISTORY_MAX, RangeHistory, RangeParams
from holdfast.protocol.ranges.rules import compute_return_e9
from holdfast.protocol.surface.params import ROW_TAIL_FIRST, SURFACE_PARAMS
from holdfast.state.draft import Draft


def read_past(history: History, venues: Venues, start_ms: int, params: RangeParams) -> tuple[RangeHistory, ...]:
    """Return each underlying's returns between the epochs of a history before a replay's start, oldest first.

    The price at an epoch's beginning is the median of the real venues that are fresh then; an epoch without one joins
    the next. Without two prices of every underlying there is no past, and a chain begins at its stated start.
    """
    first = -(-history.start_ms // params.epoch_ms)
    epochs = range(first, start_ms // params.epoch_ms + 1)[-HISTORY_MAX - 1 :]
    past: list[RangeHistory] = []
    for underlying in UNDERLYINGS:
        feed = ASSET_NAMES[underlying]
        told = [(epoch, venues.true_price_e8(feed, epoch * params.epoch_ms)) for epoch in epochs]
        prices = [(epoch, price) for epoch, price in told if price is not None]
        returns = tuple(
            compute_return_e9(before, after, later - earlier) for (earlier, before), (later, after) in pairwise(prices)
        )
        if not returns:
            return ()
        past.append(RangeHistory(underlying, returns))
    return tuple(past)


@dataclass(frozen=True, kw_only=True)
class MarginFigures:
    """How margin followed the market in one run; ranges by underlying, in ppm of the price."""

    is_adaptive: bool
    past_epochs: int  # returns that the chain began with
    margin_calls: int  # times that an account newly lacked initial margin
    accounts_called: int
    range_changes: int
    range_emergencies: int  # changes beyond what was announced
    ranges_first_ppm: dict[str, int]
    ranges_highest_ppm: dict[str, int]
    ranges_last_ppm: dict[str, int]


@dataclass
class MarginTally:
    """Counts margin calls and ranges, looking once an interval."""

    calls: int = 0
    changes: int = 0
    emergencies: int = 0
    first_ppm: dict[str, int] = field(default_factory=dict)
    highest_ppm: dict[str, int] = field(default_factory=dict)
    last_ppm: dict[str, int] = field(default_factory=dict)
    _called: set[int] = field(default_factory=set)
    _short: set[int] = field(default_factory=set)

    def note_event(self, event: RangeChanged) -> None:
        """Count a range's change."""
        self.changes += 1
        self.emergencies += event.is_emergency

    def look(self, draft: Draft) -> None:
        """Look at a committed state: who newly lacks initial margin, quotes counted in full, is called."""
        for underlying in UNDERLYINGS:
            name, range_ppm = ASSET_NAMES[underlying], max(draft[SURFACE_PARAMS][underlying].spot_ppm[:ROW_TAIL_FIRST])
            self.first_ppm.setdefault(name, range_ppm)
            self.highest_ppm[name] = max(range_ppm, self.highest_ppm.get(name, 0))
            self.last_ppm[name] = range_ppm
        matrix = draft[RISK_MATRIX].get(0)
        if matrix is None:
            return
        cash = matrix.equity_atoms - matrix.marks_atoms - matrix.collateral_atoms
        short = set(matrix.account_ids[cash < np.asarray(matrix.need_atoms)].tolist())
        self.calls += len(short - self._short)
        self._called |= short
        self._short = short

    def figures(self, genesis: Genesis) -> MarginFigures:
        """Return the figures of a run that is over, of a chain with this genesis."""
        return MarginFigures(
            is_adaptive=genesis.range_params.is_adaptive,
            past_epochs=max((len(past.returns_e9) for past in genesis.range_history), default=0),
            margin_calls=self.calls,
            accounts_called=len(self._called),
            range_changes=self.changes,
            range_emergencies=self.emergencies,
            ranges_first_ppm=self.first_ppm,
            ranges_highest_ppm=self.highest_ppm,
            ranges_last_ppm=self.last_ppm,
        )
