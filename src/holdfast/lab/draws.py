"""Seeded draws without state: the same seed and words give the same number on every machine and in every order."""

import hashlib
from typing import Final

from holdfast.primitives.units import HOUR_MS

_WORD_BITS: Final = 16
_WORDS: Final = 4
# Four uniform 16-bit words sum to a bell of this deviation (sqrt(4 (2^32 - 1) / 12)) around this mean.
_BELL_MEAN: Final = _WORDS * (2**_WORD_BITS - 1) // 2
_BELL_DEVIATION: Final = 37_837


def draw(*words: str | int) -> int:
    """Return a number in [0, 2^64) fixed by the words."""
    return int.from_bytes(hashlib.sha256("\x1f".join(map(str, words)).encode()).digest()[:8], "big")


def draw_between(low: int, high: int, *words: str | int) -> int:
    """Return a number in [low, high] fixed by the words."""
    return low + draw(*words) % (high - low + 1)


def draw_bell(deviation: int, *words: str | int) -> int:
    """Return a number around zero with a standard deviation, at most 3.5 of them away.

    Rounds: down, which no statistic here can see.
    """
    bits = draw(*words)
    total = sum((bits >> (_WORD_BITS * word)) & (2**_WORD_BITS - 1) for word in range(_WORDS))
    return (total - _BELL_MEAN) * deviation // _BELL_DEVIATION


def draw_slow(deviation: int, now_ms: int, *words: str | int) -> int:
    """Return a number around zero that drifts: a bell's draw an hour, joined linearly. Rounds: down."""
    hour, into_ms = divmod(now_ms, HOUR_MS)
    here, there = (draw_bell(deviation, *words, hour), draw_bell(deviation, *words, hour + 1))
    return here + (there - here) * into_ms // HOUR_MS
