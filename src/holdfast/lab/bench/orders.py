"""The order flow that both the state machine and the bare book are given: seeded, and the same for both."""

from random import Random
from typing import NamedTuple


class Step(NamedTuple):
    """Place an order (`lots` above zero), or cancel the order of an earlier step."""

    account: int
    side: int
    price_ticks: int
    lots: int
    cancels: int  # the step whose order goes; -1 where this step places


def make_flow(steps: int, accounts: int, mid_ticks: int, seed: int) -> list[Step]:
    """Return a flow of about 45 % cancels around a mid price that walks by single ticks."""
    rng = Random(seed)
    flow: list[Step] = []
    open_steps: list[int] = []
    mid = mid_ticks
    for number in range(steps):
        mid = max(100, mid + rng.randint(-1, 1))
        if open_steps and rng.random() < 0.45:
            at = rng.randrange(len(open_steps))
            open_steps[at], open_steps[-1] = open_steps[-1], open_steps[at]
            cancelled = open_steps.pop()
            flow.append(Step(flow[cancelled].account, 0, 0, 0, cancelled))
            continue
        side = rng.randint(0, 1)
        away = rng.randint(-2, 30)
        price = mid - away if side == 0 else mid + away
        flow.append(Step(rng.randrange(accounts), side, price, rng.randint(1, 3), -1))
        open_steps.append(number)
    return flow
