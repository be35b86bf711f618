"""Whether this process lives, and whether it can serve."""

from typing import Final

from holdfast.gateway.backend import Backend
from holdfast.gateway.follow import Follower
from holdfast.gateway.metrics import Metrics

Shown = dict[str, object]

BEHIND_MAX: Final = 64


def show_health() -> Shown:
    """Return that the process lives: who reads this has the proof."""
    return {"status": "alive"}


def list_reasons(backend: Backend, follower: Follower, metrics: Metrics) -> list[str]:
    """Return why this gateway is not ready to serve; none where it is."""
    statuses = backend.statuses()
    reasons: list[str] = []
    running = [status for status in statuses if status.status in ("running", "catching-up")]
    power = sum(status.power for status in running)
    total = sum(status.power for status in statuses)
    if 3 * power <= 2 * total:
        down = ", ".join(f"{status.name} is {status.status}" for status in statuses if status not in running)
        reasons.append(f"no more than two thirds of the power runs: {down}")
    if not any(status.height for status in statuses):
        reasons.append("no block has been committed yet")
    elif metrics.is_stalled():
        reasons.append(f"no block has come for {metrics.silent_s():.0f} s")
    if follower.failure:
        reasons.append(f"the index does not follow: {follower.failure}")
    elif not follower.is_caught_up:
        reasons.append("the index is being built from the blocks")
    elif not follower.is_whole:
        reasons.append("the index is being checked")
    elif follower.behind > BEHIND_MAX:
        reasons.append(f"the index is {follower.behind} blocks behind")
    return reasons


def show_ready(backend: Backend, follower: Follower, metrics: Metrics) -> tuple[bool, Shown]:
    """Return whether this gateway is ready, with the reasons where it is not."""
    reasons = list_reasons(backend, follower, metrics)
    heights = [status.height for status in backend.statuses()]
    return not reasons, {
        "ready": not reasons,
        "reasons": reasons,
        "height": max(heights, default=0),
        "validators": [
            {"name": status.name, "status": status.status, "height": status.height} for status in backend.statuses()
        ],
    }
