"""The load's orders: accounts that rest, take and cancel around the marks of a few instruments.

About nine of twenty orders rest away from the mark, four of twenty take at once, and the others take back what rests.
Each account keeps its positions small: it sells what it has rather than buy more, and the other way round.
"""

from random import Random
from typing import Final, NamedTuple

from holdfast.client.commands import sign_command
from holdfast.client.signing import SigningKey
from holdfast.primitives.crypto import sha256
from holdfast.protocol.messages import Command
from holdfast.protocol.trading.messages import CancelOrder, PlaceOrder, TimeInForce

REST: Final = "rest"
TAKE: Final = "take"
CANCEL: Final = "cancel"

# A key's nonces lie in a window of 64; what is in flight may arrive in any order.
IN_FLIGHT_MAX: Final = 48
_CANCEL_SHARE: Final = 0.35
_TAKE_SHARE: Final = 0.2
_RESTING_MAX: Final = 12
_POSITION_MAX: Final = 3
_AWAY: Final = (0.02, 0.15)
_TAKE_BEYOND: Final = 0.08


def trader_key(number: int) -> SigningKey:
    """Return the key of the load's so-manieth account; it protects nothing."""
    return SigningKey(sha256(b"holdfast bench trader %d" % number))


class Listed(NamedTuple):
    """An instrument to trade."""

    instrument_id: int
    name: str
    tick_size: float


class Trader:
    """One account of the load."""

    __slots__ = ("account_id", "in_flight", "key", "lots", "nonce", "resting")

    def __init__(self, key: SigningKey, account_id: int, next_nonce: int) -> None:
        self.key = key
        self.account_id = account_id
        self.nonce = next_nonce - 1
        self.in_flight = 0
        self.resting: list[int] = []
        self.lots: dict[int, int] = {}


class Sent(NamedTuple):
    """One order on its way."""

    trader: Trader
    kind: str
    tx: bytes
    instrument_id: int
    side: int


class OrderFlow:
    """Draws what is sent next. The same seed and answers give the same flow."""

    def __init__(self, traders: list[Trader], instruments: list[Listed], domain: bytes, seed: int) -> None:
        """Start with nothing resting; `marks` are to be set before the first order."""
        self._traders = traders
        self._instruments = instruments
        self._domain = domain
        self._random = Random(seed)
        self.marks: dict[int, int] = {}  # instrument -> ticks

    def next(self) -> Sent | None:
        """Return the next order, signed; None where every account has all in flight that its nonces allow."""
        trader = self._pick()
        if trader is None:
            return None
        draw = self._random.random()
        if trader.resting and (draw < _CANCEL_SHARE or len(trader.resting) >= _RESTING_MAX):
            return self._sign(trader, CANCEL, CancelOrder(trader.resting.pop(0)), 0, 0)
        listed = self._random.choice(self._instruments)
        mark = self.marks[listed.instrument_id]
        side = self._random.randint(0, 1)
        if self._random.random() < _TAKE_SHARE / (1 - _CANCEL_SHARE):
            held = trader.lots.get(listed.instrument_id, 0)
            if abs(held) >= _POSITION_MAX:
                side = int(held > 0)
            price = max(1, _move(mark, _TAKE_BEYOND, up=side == 0))
            command = PlaceOrder(listed.instrument_id, side, price, 1, TimeInForce.IMMEDIATE_OR_CANCEL)
            return self._sign(trader, TAKE, command, listed.instrument_id, side)
        price = max(1, _move(mark, self._random.uniform(*_AWAY), up=side == 1))
        return self._sign(trader, REST, PlaceOrder(listed.instrument_id, side, price, 1), listed.instrument_id, side)

    def _pick(self) -> Trader | None:
        for _ in range(4):
            trader = self._random.choice(self._traders)
            if trader.in_flight < IN_FLIGHT_MAX:
                return trader
        return min(
            (one for one in self._traders if one.in_flight < IN_FLIGHT_MAX), key=lambda one: one.in_flight, default=None
        )

    def _sign(self, trader: Trader, kind: str, command: Command, instrument_id: int, side: int) -> Sent:
        trader.nonce += 1
        trader.in_flight += 1
        tx = sign_command(trader.key, self._domain, trader.account_id, trader.nonce, command)
        return Sent(trader, kind, tx, instrument_id, side)


def _move(mark: int, share: float, *, up: bool) -> int:
    """Return a price at least a tick away from a mark, by a share of it."""
    ticks = max(1, round(mark * share))
    return mark + ticks if up else mark - ticks
