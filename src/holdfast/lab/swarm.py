"""Fault plans drawn from a seed, so that many short runs together meet what nobody thought of.

Every draw stays inside what the exchange must survive: at any time at most one validator is crashed, cut off, slow or
lying, and at most one venue; the last third of a run is quiet, so that liveness after healing can be judged. Kinds are
dealt out in turn over neighbouring seeds, so that no kind is met by luck only.
"""

from collections.abc import Sequence
from random import Random
from typing import Final

from holdfast.lab.faults import KINDS, PPM, Fault
from holdfast.lab.world import derive_random

KINDS_MIN: Final = 3
KINDS_MAX: Final = 5
_FACTORS_PPM: Final = (PPM // 10, PPM // 2, 9 * PPM // 10, 11 * PPM // 10, 2 * PPM, 10 * PPM)
_DELAYS_MS: Final = (50, 400, 2_000, 10_000)
_QUIET_THIRDS: Final = 3


def draw_faults(
    seed: int, *, validators: int, venues: Sequence[str], origin_ms: int, interval_ms: int, blocks: int
) -> tuple[Fault, ...]:
    """Return three to five faults of different kinds for a run of so many block intervals."""
    random = derive_random(seed, "swarm")
    kinds = _deal(seed, random.randint(KINDS_MIN, KINDS_MAX), with_venues=bool(venues))
    busy = max(1, (blocks - blocks // _QUIET_THIRDS) // len(kinds))
    faults = []
    for slot, kind in enumerate(kinds):
        first = slot * busy + random.randrange(max(1, busy // 2))
        last = first + random.randint(1, max(1, (slot + 1) * busy - first))
        from_ms = origin_ms + first * interval_ms + random.randrange(interval_ms)
        to_ms = min(origin_ms + last * interval_ms, origin_ms + (slot + 1) * busy * interval_ms)
        faults.append(_draw(random, kind, from_ms, max(to_ms, from_ms + interval_ms), validators, venues))
    return tuple(faults)


def _deal(seed: int, count: int, *, with_venues: bool) -> list[str]:
    kinds = [kind for kind, keys in KINDS.items() if with_venues or "venue" not in keys]
    return [kinds[(seed + 3 * turn) % len(kinds)] for turn in range(min(count, len(kinds)))]


def _draw(random: Random, kind: str, from_ms: int, to_ms: int, validators: int, venues: Sequence[str]) -> Fault:
    keys = KINDS[kind]
    return Fault(
        kind,
        from_ms,
        to_ms,
        validator=random.randrange(validators) if "validator" in keys else None,
        venue=random.choice(venues) if "venue" in keys else None,
        factor_ppm=random.choice(_FACTORS_PPM) if "factor" in keys else None,
        delay_ms=random.choice(_DELAYS_MS) if "ms" in keys else None,
    )
