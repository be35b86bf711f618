"""Fault plans drawn from a seed, so that many short runs together meet what nobody thought of.

Every draw stays inside what four validators must survive: faults come one after the other, each of one validator or
venue; those that outlast their window (a lie under the own signature, a lost memory) fall on one and the same
validator, or two of them could meet at one height. The last third of a run is quiet, so that liveness after healing can
be judged. Kinds are dealt out in turn over neighbouring seeds, so that none is met by luck only.
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
SWARM_KINDS: Final = (
    "crash",
    "wipe",
    "partition",
    "delay",
    "equivocate",
    "oracle-lies",
    "venue-lies",
    "venue-silent",
)
# Kinds after which their validator may stay silent, or contradict itself, at the height in progress.
_LASTING: Final = ("equivocate", "wipe", "oracle-lies")


def draw_faults(
    seed: int, *, validators: int, venues: Sequence[str], origin_ms: int, interval_ms: int, blocks: int
) -> tuple[Fault, ...]:
    """Return three to five faults of different kinds for a run of so many block intervals."""
    random = derive_random(seed, "swarm")
    kinds = _deal(random, seed, with_venues=bool(venues))
    suspect = random.randrange(validators)
    slot_ms = (blocks - blocks // 3) * interval_ms // len(kinds)
    faults = []
    for slot, kind in enumerate(kinds):
        begin_ms = random.randrange(slot_ms // 2)
        # Long enough for a height to meet it.
        end_ms = random.randrange(begin_ms + min(interval_ms, slot_ms // 2), slot_ms)
        keys = KINDS[kind]
        faults.append(
            Fault(
                kind,
                origin_ms + slot * slot_ms + begin_ms,
                origin_ms + slot * slot_ms + end_ms,
                validator=_pick(random, kind, suspect, validators) if "validator" in keys else None,
                venue=random.choice(venues) if "venue" in keys else None,
                factor_ppm=random.choice(_FACTORS_PPM) if "factor" in keys else None,
                delay_ms=random.choice(_DELAYS_MS) if "ms" in keys else None,
            )
        )
    return tuple(faults)


def _deal(random: Random, seed: int, *, with_venues: bool) -> list[str]:
    kinds = [kind for kind in SWARM_KINDS if with_venues or "venue" not in KINDS[kind]]
    turn = kinds.pop(seed % len(kinds))
    dealt = [turn, *random.sample(kinds, random.randrange(KINDS_MIN, KINDS_MAX + 1) - 1)]
    random.shuffle(dealt)
    return dealt


def _pick(random: Random, kind: str, suspect: int, validators: int) -> int:
    return suspect if kind in _LASTING else random.randrange(validators)
