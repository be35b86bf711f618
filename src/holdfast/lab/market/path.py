"""Price paths that can be asked for at any moment: jump-diffusions of BTC and ETH, and two stable coins near par.

A path is a function of its seed, its start and the time. Brownian motion is laid out in spans of 4,096 s, and inside a
span by midpoints down to 250 ms (Levy's construction), each midpoint a draw of its own place. So a clock may stand,
creep or jump, forward by minutes or back for one validator: the variance between two moments is that of the time
between them, and everybody who asks for a moment gets the same price.

An operator's moves come on top. They are ramps of the logarithm, kept until they lie behind everybody.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from threading import Lock
from typing import Final, NamedTuple

from holdfast.lab.draws import draw, draw_bell, draw_slow
from holdfast.lab.history import STABLES
from holdfast.primitives.check import ensure
from holdfast.primitives.units import DAY_MS, E8, HOUR_MS, PPM, SECOND_MS, YEAR_MS
from holdfast.protocol.limits import PRICE_E8_MAX

START_PRICES_E8: Final = {"USDC": E8, "BTC": 120_000 * E8, "ETH": 4_400 * E8, "USDT": E8}
STEP_MS: Final = 250

_E12: Final = 10**12
_LEVELS: Final = 14
_STEPS: Final = 1 << _LEVELS
_SPAN_MS: Final = _STEPS * STEP_MS
# Motion is counted in billionths of the deviation of one second. Half the root of an interval's seconds is the
# deviation of its middle around the mean of its ends (Levy 1948); the last entry is a whole span's.
_UNIT: Final = 10**9
_SPAN_DEVIATION: Final = _UNIT * math.isqrt(_SPAN_MS // SECOND_MS)
_MIDDLE_DEVIATIONS: Final = tuple(math.isqrt(_UNIT**2 * (_SPAN_MS >> level) // (4 * SECOND_MS)) for level in range(14))
_REMEMBERED_MAX: Final = 65_536
# Beyond it a clock is wrong, and the path stands still.
_SPANS_MAX: Final = 1_000_000

_JUMPS_A_DAY: Final = 2
_JUMP_PPM: Final = _JUMPS_A_DAY * _SPAN_MS * PPM // DAY_MS
_STABLE_PPM: Final = {"USDC": 60, "USDT": 120}
_PRICE_MIN_E8: Final = 100
# Readers look back no further than this, so a move that ended before it can become part of the level.
_MOVE_MEMORY_MS: Final = HOUR_MS
_LOG_MAX_E12: Final = 30 * _E12


class FeedPath(NamedTuple):
    """One feed's volatility: a year's diffusion, its share in the common motion, and the deviation of a jump."""

    diffusion_ppm: int
    common_ppm: int
    jump_ppm: int


# Jumps included, about 45 % and 60 % a year, correlated by about 0.8.
PATHS: Final = {"BTC": FeedPath(400_000, PPM, 8_000), "ETH": FeedPath(530_000, 800_000, 10_000)}


class Move(NamedTuple):
    """An operator's move of one feed: so much of the logarithm, begun at a time, done over a time."""

    feed: str
    from_ms: int
    over_ms: int
    log_e12: int

    def reached_e12(self, now_ms: int) -> int:
        """Return how much of the move is done. Rounds: down."""
        passed_ms = now_ms - self.from_ms
        if passed_ms < 0:
            return 0
        return self.log_e12 if passed_ms >= self.over_ms else self.log_e12 * passed_ms // self.over_ms


class PricePath:
    """The true price of every feed at every moment from a start on; a moment before it has the start's prices."""

    def __init__(self, seed: int, start_ms: int, prices_e8: Mapping[str, int] | None = None) -> None:
        """Begin at a time, at given prices or at the usual ones."""
        self.feeds = tuple(START_PRICES_E8)
        self._start_ms = start_ms
        self._start_e8 = {**START_PRICES_E8, **(prices_e8 or {})}
        self._common = _Motion(seed, "common", start_ms)
        self._own = {feed: _Motion(seed, feed, start_ms) for feed in PATHS}
        self._jumps = _Jumps(seed, start_ms)
        self._seed = seed
        self._moves: dict[str, tuple[Move, ...]] = dict.fromkeys(self.feeds, ())
        self._level_e12 = dict.fromkeys(self.feeds, 0)
        self._lock = Lock()
        self._at_start_e12 = {feed: self._log_e12(feed, start_ms) for feed in self.feeds}

    def price_e8(self, feed: str, now_ms: int) -> int:
        """Return a feed's true price. Rounds: to the nearest of the double behind it."""
        now_ms = max(now_ms, self._start_ms)
        log_e12 = self._log_e12(feed, now_ms) - self._at_start_e12[feed] + self._moved_e12(feed, now_ms)
        log_e12 = max(-_LOG_MAX_E12, min(_LOG_MAX_E12, log_e12))
        price_e8 = round(self._start_e8[feed] * math.exp(log_e12 / _E12))
        return max(_PRICE_MIN_E8, min(price_e8, PRICE_E8_MAX))

    def move(self, feed: str, factor_ppm: int, now_ms: int, over_ms: int = 0) -> Move:
        """Move a feed by a factor, at once or over a time; what the path does meanwhile comes on top."""
        ensure(factor_ppm > 0 and over_ms >= 0, "a move has a positive factor and no negative time")
        return self._add(Move(feed, now_ms, over_ms, round(math.log(factor_ppm / PPM) * _E12)))

    def move_to(self, feed: str, price_e8: int, now_ms: int, over_ms: int = 0) -> Move:
        """Move a feed to a price as seen from now."""
        ensure(price_e8 > 0, "a price is positive")
        return self._add(Move(feed, now_ms, over_ms, round(math.log(price_e8 / self.price_e8(feed, now_ms)) * _E12)))

    def take_back(self, move: Move, now_ms: int) -> None:
        """Undo at once what a move has done so far, and stop the rest of it."""
        reached_e12 = move.reached_e12(now_ms)
        self._add(Move(move.feed, now_ms, 0, -reached_e12))
        left_ms = move.from_ms + move.over_ms - now_ms
        if left_ms > 0:
            self._add(Move(move.feed, max(now_ms, move.from_ms), left_ms, reached_e12 - move.log_e12))

    def _add(self, move: Move) -> Move:
        ensure(move.feed in self._moves, "a move is of a feed of the path")
        with self._lock:
            kept = []
            for one in (*self._moves[move.feed], move):
                if one.from_ms + one.over_ms < move.from_ms - _MOVE_MEMORY_MS:
                    self._level_e12[move.feed] += one.log_e12
                else:
                    kept.append(one)
            self._moves[move.feed] = tuple(kept)
        return move

    def _moved_e12(self, feed: str, now_ms: int) -> int:
        with self._lock:
            level_e12, moves = self._level_e12[feed], self._moves[feed]
        return level_e12 + sum(move.reached_e12(now_ms) for move in moves)

    def _log_e12(self, feed: str, now_ms: int) -> int:
        """Return the logarithm of a feed's path relative to a level of its own. Rounds: down."""
        if feed in STABLES:
            return draw_slow(_STABLE_PPM[feed], now_ms, self._seed, feed, "par") * PPM
        path = PATHS[feed]
        step = now_ms // STEP_MS
        own_ppm = math.isqrt(PPM**2 - path.common_ppm**2)
        motion = self._common.at(step) * path.common_ppm
        if own_ppm:
            motion += self._own[feed].at(step) * own_ppm
        second_e12 = path.diffusion_ppm * _E12 // (PPM * math.isqrt(YEAR_MS // SECOND_MS))
        # Half the variance is taken off, so that the expected price stays where it is.
        drift_e12 = path.diffusion_ppm**2 * (now_ms - self._start_ms) // (2 * YEAR_MS)
        return motion * second_e12 // (PPM * _UNIT) + self._jumps.at(step) * path.jump_ppm // _UNIT * PPM - drift_e12


class _Spans(ABC):
    """Sums over spans from a start on, extended on demand."""

    def __init__(self, start_ms: int) -> None:
        self._first = start_ms // _SPAN_MS
        self._sums = [0]
        self._lock = Lock()

    @abstractmethod
    def _change(self, span: int) -> int:
        """Return what one span adds."""

    def _before(self, span: int) -> int:
        """Return the sum of all spans before one."""
        place = min(max(span - self._first, 0), _SPANS_MAX)
        with self._lock:
            while len(self._sums) <= place:
                self._sums.append(self._sums[-1] + self._change(self._first + len(self._sums) - 1))
            return self._sums[place]


class _Motion(_Spans):
    """Brownian motion on steps of 250 ms, in billionths of the deviation of one second."""

    def __init__(self, seed: int, name: str, start_ms: int) -> None:
        super().__init__(start_ms)
        self._key = (seed, "motion", name)
        self._middles: dict[int, int] = {}

    def at(self, step: int) -> int:
        span, offset = divmod(step, _STEPS)
        low, high = 0, _STEPS
        at_low, at_high = self._before(span), self._before(span + 1)
        for deviation in _MIDDLE_DEVIATIONS:
            if offset == low:
                break
            middle = (low + high) // 2
            at_middle = (at_low + at_high) // 2 + self._middle(span * _STEPS + middle, deviation)
            if offset >= middle:
                low, at_low = middle, at_middle
            else:
                high, at_high = middle, at_middle
        return at_low

    def _middle(self, step: int, deviation: int) -> int:
        # Several threads may draw one place; they draw the same.
        try:
            return self._middles[step]
        except KeyError:
            if len(self._middles) >= _REMEMBERED_MAX:
                self._middles.clear()
            found = self._middles[step] = draw_bell(deviation, *self._key, "middle", step)
            return found

    def _change(self, span: int) -> int:
        return draw_bell(_SPAN_DEVIATION, *self._key, "span", span)


class _Jumps(_Spans):
    """Rare jumps that every underlying takes part in, at most one a span, in billionths of a feed's deviation."""

    def __init__(self, seed: int, start_ms: int) -> None:
        super().__init__(start_ms)
        self._key = (seed, "jump")

    def at(self, step: int) -> int:
        span, offset = divmod(step, _STEPS)
        jumped = self._change(span) if offset >= draw(*self._key, "step", span) % _STEPS else 0
        return self._before(span) + jumped

    def _change(self, span: int) -> int:
        if draw(*self._key, "comes", span) % PPM >= _JUMP_PPM:
            return 0
        return draw_bell(_UNIT, *self._key, "size", span)
