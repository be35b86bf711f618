"""The order flow that both the state machine and the bare book are given: seeded, and the same for both.

Traders place around a mid price that walks by single ticks, and take back about as much as does not fill: more while
over `resting` orders stand, less while fewer do, so that the book keeps its size. Nobody meets an order of his own, and
nobody takes back what is gone, so that a peer that knows neither accounts nor refusals does the same work.
"""

from random import Random
from typing import Final, NamedTuple

from holdfast.lab.bench.bare_book import BareBook

_CANCEL_SHARES: Final = (0.35, 0.5)  # in a book below and above the size that it is to keep
_AWAY_TICKS: Final = (-2, 30)
_LOTS: Final = (1, 3)
_MID_TICKS_MIN: Final = 100


class Step(NamedTuple):
    """Place an order, or take back the order of an earlier step."""

    account: int
    side: int
    price_ticks: int
    lots: int
    cancels: int  # the step whose order goes; -1 where this step places


class Flow(NamedTuple):
    """The steps, and where the warm-up that fills the book ends."""

    steps: tuple[Step, ...]
    warm: int


class _Trader:
    """What one account has open: step -> (side, price)."""

    def __init__(self) -> None:
        self.open: dict[int, tuple[int, int]] = {}

    def drop_filled(self, book: BareBook) -> None:
        """Forget what has filled."""
        for number in [number for number in self.open if number not in book.orders]:
            del self.open[number]

    def clear_of_own(self, side: int, price: int) -> int:
        """Return a price that meets none of the trader's own orders."""
        others = [other for other_side, other in self.open.values() if other_side != side]
        if not others:
            return price
        return min(price, min(others) - 1) if side == 0 else max(price, max(others) + 1)


def make_flow(steps: int, accounts: int, mid_ticks: int, *, resting: int, run: int = 1, seed: int = 1) -> Flow:
    """Return a warm-up that rests so many orders and the steps after it; each account acts `run` steps at a time."""
    rng = Random(seed)
    book = BareBook()
    traders = [_Trader() for _ in range(accounts)]
    flow: list[Step] = []
    mid, warm, account = mid_ticks, 0, 0
    while warm == 0 or len(flow) < warm + steps:
        if len(flow) % run == 0:
            account = rng.randrange(accounts)
            if warm == 0 and len(book.orders) >= resting:
                warm = len(flow)
        trader = traders[account]
        trader.drop_filled(book)
        mid = max(_MID_TICKS_MIN, mid + rng.randint(-1, 1))
        wants_out = warm > 0 and rng.random() < _CANCEL_SHARES[len(book.orders) >= resting]
        number = len(flow)
        if wants_out and trader.open:
            cancelled = rng.choice(list(trader.open))
            del trader.open[cancelled]
            book.cancel(cancelled)
            flow.append(Step(account, 0, 0, 0, cancelled))
            continue
        side = rng.randint(0, 1)
        away = rng.randint(*_AWAY_TICKS)
        price = trader.clear_of_own(side, mid - away if side == 0 else mid + away)
        flow.append(Step(account, side, price, rng.randint(*_LOTS), -1))
        book.place(number, side, price, flow[number].lots)
        if number in book.orders:
            trader.open[number] = (side, price)
    return Flow(tuple(flow), warm or len(flow))
