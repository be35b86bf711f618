"""What a replay is asked for, and what that means for the history that it finds: range, blocks, venues, faults.

Everything that a user can get wrong is found here, before the run, and refused in one line.
"""

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from holdfast.lab.agents.population import AGENTS_MAX, AGENTS_MIN
from holdfast.lab.fault_specs import parse_fault
from holdfast.lab.faults import Fault, FaultPlan
from holdfast.lab.history import History, load_history, stretch
from holdfast.lab.swarm import draw_faults
from holdfast.lab.venues import Venues
from holdfast.primitives.units import DAY_MS, HOUR_MS, MINUTE_MS, PPM, SECOND_MS, div_ceil

VALIDATORS_MAX: Final = 16
BLOCKS_MAX: Final = 1_000_000
SEED_MAX: Final = 2**63 - 1
INTERVAL_MIN_MS: Final = SECOND_MS
INTERVAL_MAX_MS: Final = HOUR_MS
READERS_MAX: Final = 16
STRETCH_MAX: Final = 5
_INTERVAL: Final = re.compile(r"(\d{1,6})(ms|s|m|h)?", re.ASCII)
_UNIT_MS: Final = {"ms": 1, "s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, None: SECOND_MS}
_HEIGHT: Final = re.compile(r"\d{1,9}", re.ASCII)
_TIME_OF_DAY: Final = re.compile(r"\d{2}:\d{2}(:\d{2})?", re.ASCII)
_DATED: Final = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?)?", re.ASCII)


class ReplayInputError(Exception):
    """What was asked for cannot be replayed; its one line names the input and the mend."""


@dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """A replay as a user asks for it."""

    path: Path
    validators: int = 4
    seed: int = 1
    agents: int = 200
    start: str | None = None
    end: str | None = None
    blocks: int | None = None
    interval_ms: int = MINUTE_MS
    faults: tuple[str, ...] = ()
    readers: int = 0
    restore_at: int | None = None
    snapshot_every: int = 100
    wants_series: bool = False
    stretch_ppm: int = PPM  # what the underlyings' moves since the start count
    is_adaptive: bool = True  # ranges follow the market; otherwise they keep their stated start
    keep: Path | None = None  # an empty directory for the chain, to be audited
    draws_faults: bool = False  # add a swarm of faults drawn from the seed
    is_small: bool = False  # list a handful of instruments, so that many runs are cheap


@dataclass(frozen=True, kw_only=True)
class ReplayPlan:
    """A replay as it will be run."""

    settings: ReplaySettings
    history: History
    start_ms: int
    blocks: int
    faults: tuple[Fault, ...]
    plan: FaultPlan
    venues: Venues

    @property
    def end_ms(self) -> int:
        """Return the moment at which the last block's interval ends."""
        return self.start_ms + self.blocks * self.settings.interval_ms


def parse_interval_ms(text: str) -> int:
    """Return a block interval such as 60s, 500ms or 5m in milliseconds; a bare number counts seconds.

    Refuses: ReplayInputError.
    """
    match = _INTERVAL.fullmatch(text.strip())
    interval_ms = int(match[1]) * _UNIT_MS[match[2]] if match else 0
    if not INTERVAL_MIN_MS <= interval_ms <= INTERVAL_MAX_MS:
        raise ReplayInputError(f"--block-interval {text}: give a time from 1s to 1h, such as 60s")
    return interval_ms


def parse_stretch_ppm(stretch: float) -> int:
    """Return by how much moves are stretched, x 1e6. Rounds: to the nearest. Refuses: ReplayInputError."""
    if not 1 <= stretch <= STRETCH_MAX:
        raise ReplayInputError(f"--stretch {stretch:g}: give a number from 1 to {STRETCH_MAX}")
    return round(stretch * PPM)


def plan_replay(settings: ReplaySettings) -> ReplayPlan:
    """Load the history and settle what will be run.

    Refuses: ReplayInputError, HistoryError, FaultSpecError, each in one line.
    """
    _check_counts(settings)
    history = load_history(settings.path)
    interval_ms = settings.interval_ms
    first_ms, last_ms = history.start_ms, history.end_ms + MINUTE_MS
    start_ms = _read_moment("--from", settings.start, first_ms, first_ms, last_ms, interval_ms)
    end_ms = _read_moment("--to", settings.end, last_ms, start_ms + 1, last_ms, interval_ms, origin_ms=start_ms)
    blocks = div_ceil(end_ms - start_ms, interval_ms)
    if settings.blocks is not None:
        blocks = min(blocks, settings.blocks)
    if blocks > BLOCKS_MAX:
        raise ReplayInputError(f"{blocks} blocks are more than {BLOCKS_MAX}; give --blocks or a longer interval")
    if settings.stretch_ppm != PPM:
        history = stretch(history, start_ms, settings.stretch_ppm)
    # The venues ask the plan for every quote; the plan's faults need the venues' names first.
    names = Venues(history, settings.seed, interval_ms).all_names()
    faults = tuple(
        parse_fault(
            text,
            validators=settings.validators,
            venues=names,
            origin_ms=start_ms,
            interval_ms=interval_ms,
            end_ms=start_ms + blocks * interval_ms,
        )
        for text in settings.faults
    )
    drawn = _draw_swarm(settings, names, start_ms, blocks) if settings.draws_faults else ()
    plan = FaultPlan((*faults, *drawn))
    return ReplayPlan(
        settings=settings,
        history=history,
        start_ms=start_ms,
        blocks=blocks,
        faults=(*faults, *drawn),
        plan=plan,
        venues=Venues(history, settings.seed, interval_ms, plan.venue_fault),
    )


def _draw_swarm(settings: ReplaySettings, venues: Sequence[str], start_ms: int, blocks: int) -> tuple[Fault, ...]:
    return draw_faults(
        settings.seed,
        validators=settings.validators,
        venues=venues,
        origin_ms=start_ms,
        interval_ms=settings.interval_ms,
        blocks=blocks,
    )


def _check_counts(settings: ReplaySettings) -> None:
    bounds = (
        ("--validators", settings.validators, 1, VALIDATORS_MAX),
        ("--agents", settings.agents, AGENTS_MIN, AGENTS_MAX),
        ("--seed", settings.seed, 0, SEED_MAX),
        ("--blocks", settings.blocks, 1, BLOCKS_MAX),
        ("--readers", settings.readers, 0, READERS_MAX),
        ("--restore-at", settings.restore_at, 1, BLOCKS_MAX),
    )
    for name, value, low, high in bounds:
        if value is not None and not low <= value <= high:
            raise ReplayInputError(f"{name} {value}: give a number from {low} to {high}")
    if settings.restore_at is not None and settings.validators == 1:
        raise ReplayInputError("--restore-at needs a second validator to restore from; give --validators 2 or more")


def _read_moment(
    name: str,
    text: str | None,
    default_ms: int,
    low_ms: int,
    high_ms: int,
    interval_ms: int,
    *,
    origin_ms: int | None = None,
) -> int:
    """Return a UTC time or a height as data time. A time of day is the first such time of the range."""
    if text is None:
        return default_ms
    stamp = text.strip().removesuffix("Z")
    origin_ms = low_ms if origin_ms is None else origin_ms
    moment_ms = None
    try:
        if _HEIGHT.fullmatch(stamp):
            moment_ms = origin_ms + int(stamp) * interval_ms
        elif _TIME_OF_DAY.fullmatch(stamp):
            moment_ms = _next_time_of_day_ms(dt.time.fromisoformat(stamp), low_ms)
        elif _DATED.fullmatch(stamp):
            moment = dt.datetime.fromisoformat(stamp).replace(tzinfo=dt.UTC)
            moment_ms = (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)
    except ValueError:
        moment_ms = None
    if moment_ms is None:
        raise ReplayInputError(f"{name} {text[:40]}: not a UTC time such as 21:00 or 2025-10-10T21:00, and no height")
    if not low_ms <= moment_ms <= high_ms:
        raise ReplayInputError(f"{name} {text[:40]}: outside the range {show_time(low_ms)} to {show_time(high_ms)}")
    return moment_ms


def _next_time_of_day_ms(time: dt.time, earliest_ms: int) -> int:
    within_ms = ((time.hour * 60 + time.minute) * 60 + time.second) * SECOND_MS
    moment_ms = earliest_ms - earliest_ms % DAY_MS + within_ms
    return moment_ms if moment_ms >= earliest_ms else moment_ms + DAY_MS


def show_time(time_ms: int) -> str:
    """Return a data time for people."""
    return dt.datetime.fromtimestamp(time_ms // SECOND_MS, tz=dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
