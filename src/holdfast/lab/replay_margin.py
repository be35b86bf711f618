"""What a replay's margin does: its calls, its ranges, and how much of it is locked before, in and after a crash."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from holdfast.primitives.units import HOUR_MS, PPM
from holdfast.protocol.accounts.state import INSURANCE_FUND
from holdfast.protocol.genesis import Genesis
from holdfast.protocol.instruments.params import UNDERLYINGS
from holdfast.protocol.ledger.handlers import get_cash
from holdfast.protocol.ledger.state import ASSET_NAMES
from holdfast.protocol.margin.state import RISK_MATRIX, RiskMatrix
from holdfast.protocol.oracle.state import FEEDS
from holdfast.protocol.ranges.handlers import compute_interests_usd
from holdfast.protocol.ranges.messages import RangeChanged
from holdfast.protocol.surface.params import ROW_TAIL_FIRST, SURFACE_PARAMS
from holdfast.state.draft import Draft

_BEFORE_MS: Final = HOUR_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at a committed state finds; prices and ranges by underlying."""

    time_ms: int
    prices_e8: dict[str, int]  # 0 without a price
    ranges_ppm: dict[str, int]
    interest_usd: int  # what all open contracts are worth at the index
    locked_atoms: int  # maintenance margin of all positions
    short_accounts: int  # that lack initial margin, quotes counted in full
    under_accounts: int  # under maintenance margin
    under_equity_atoms: int  # the equity of these
    under_locked_atoms: int  # their maintenance margin
    owed_atoms: int  # what accounts owe beyond all that they have
    fund_atoms: int


@dataclass(frozen=True, kw_only=True)
class MarginFigures:
    """How margin followed the market in one run; ranges by underlying, in ppm of the price.

    The crash is the look at which the first priced underlying was lowest; before is an hour earlier, after the last.
    """

    is_adaptive: bool
    past_epochs: int  # returns that the chain began with
    margin_calls: int  # times that an account newly lacked initial margin
    accounts_called: int
    range_changes: int
    range_emergencies: int  # changes beyond what was announced
    ranges_first_ppm: dict[str, int]
    ranges_lowest_ppm: dict[str, int]
    ranges_highest_ppm: dict[str, int]
    ranges_last_ppm: dict[str, int]
    interest_peak_usd: int
    under_equity_least_ppm: int | None  # of maintenance, over all accounts under it at once; None: nobody ever was
    owed_most_atoms: int  # by all accounts at once, beyond what they have
    owed_most_of_fund_ppm: int  # as a share of the fund at that time
    locked_rise_ppm: int  # the most margin per open interest from before the crash on, over that before it
    before: Look | None
    crash: Look | None
    after: Look | None


@dataclass
class MarginTally:
    """Counts margin calls and changes of ranges, and keeps one look an interval."""

    calls: int = 0
    changes: int = 0
    emergencies: int = 0
    looks: list[Look] = field(default_factory=list)
    _called: set[int] = field(default_factory=set)
    _short: set[int] = field(default_factory=set)

    def note_event(self, event: RangeChanged) -> None:
        """Count a range's change."""
        self.changes += 1
        self.emergencies += event.is_emergency

    def look(self, draft: Draft, time_ms: int) -> Look:
        """Look at a committed state: who newly lacks initial margin, quotes counted in full, is called."""
        matrix = draft[RISK_MATRIX].get(0)
        if matrix is not None:
            cash = matrix.equity_atoms - matrix.marks_atoms - matrix.collateral_atoms
            short = set(matrix.account_ids[cash < matrix.need_atoms].tolist())
            self.calls += len(short - self._short)
            self._called |= short
            self._short = short
        found = _look(draft, matrix, time_ms, len(self._short))
        self.looks.append(found)
        return found

    def figures(self, genesis: Genesis) -> MarginFigures:
        """Return the figures of a run that is over, of a chain with this genesis."""
        looks = self.looks
        under = [one.under_equity_atoms * PPM // one.under_locked_atoms for one in looks if one.under_locked_atoms]
        worst = max(looks, key=lambda one: one.owed_atoms, default=None)
        crash = _find_crash(looks)
        before = None if crash is None else _find_before(looks, crash)
        return MarginFigures(
            is_adaptive=genesis.range_params.is_adaptive,
            past_epochs=max((len(past.returns_e9) for past in genesis.range_history), default=0),
            margin_calls=self.calls,
            accounts_called=len(self._called),
            range_changes=self.changes,
            range_emergencies=self.emergencies,
            ranges_first_ppm=looks[0].ranges_ppm if looks else {},
            ranges_lowest_ppm=_by_name(looks, min),
            ranges_highest_ppm=_by_name(looks, max),
            ranges_last_ppm=looks[-1].ranges_ppm if looks else {},
            interest_peak_usd=max((one.interest_usd for one in looks), default=0),
            under_equity_least_ppm=min(under, default=None),
            owed_most_atoms=0 if worst is None else worst.owed_atoms,
            owed_most_of_fund_ppm=0 if worst is None else worst.owed_atoms * PPM // max(1, worst.fund_atoms),
            locked_rise_ppm=PPM if before is None else _compute_rise_ppm(looks, before),
            before=before,
            crash=crash,
            after=looks[-1] if looks else None,
        )


def _look(draft: Draft, matrix: RiskMatrix | None, time_ms: int, short_accounts: int) -> Look:
    feeds = {underlying: draft[FEEDS].get(underlying) for underlying in UNDERLYINGS}
    equity = np.zeros(0, np.int64) if matrix is None else matrix.equity_atoms
    locked = np.zeros(0, np.int64) if matrix is None else matrix.maintenance_atoms
    under = equity < locked
    return Look(
        time_ms=time_ms,
        prices_e8={ASSET_NAMES[one]: 0 if feed is None else feed.price_e8 for one, feed in feeds.items()},
        ranges_ppm={ASSET_NAMES[one]: _read_range_ppm(draft, one) for one in UNDERLYINGS},
        interest_usd=0 if matrix is None else sum(compute_interests_usd(draft).values()),
        locked_atoms=int(locked.sum()),
        short_accounts=short_accounts,
        under_accounts=int(under.sum()),
        under_equity_atoms=int(equity[under].sum()),
        under_locked_atoms=int(locked[under].sum()),
        owed_atoms=-int(np.minimum(0, equity).sum()),
        fund_atoms=get_cash(draft, INSURANCE_FUND),
    )


def _read_range_ppm(draft: Draft, underlying: int) -> int:
    return max(draft[SURFACE_PARAMS][underlying].spot_ppm[:ROW_TAIL_FIRST])


def _by_name(looks: list[Look], choose: Callable[[Iterable[int]], int]) -> dict[str, int]:
    return {name: choose(one.ranges_ppm[name] for one in looks) for name in (looks[0].ranges_ppm if looks else ())}


def _find_crash(looks: list[Look]) -> Look | None:
    priced = next((name for one in looks for name, price_e8 in one.prices_e8.items() if price_e8), None)
    found = [one for one in looks if priced is not None and one.prices_e8[priced]]
    return min(found, key=lambda one: one.prices_e8[priced or ""], default=None)


def _find_before(looks: list[Look], crash: Look) -> Look:
    return next(one for one in looks if one.time_ms >= crash.time_ms - _BEFORE_MS)


def _compute_rise_ppm(looks: list[Look], before: Look) -> int:
    """Return the most margin per open interest from a look on, over that look's; one whole without. Rounds: down."""
    rates = [one.locked_atoms * PPM // max(1, one.interest_usd) for one in looks if one.time_ms >= before.time_ms]
    return max(rates) * PPM // rates[0] if rates[0] else PPM
