"""What every agent is: a key and an account, its own stream of draws, a rhythm, and money to begin with."""

from abc import ABC, abstractmethod
from random import Random
from typing import ClassVar

from holdfast.client.commands import sign_command
from holdfast.client.signing import SigningKey
from holdfast.lab.agents.market import Contract, Market
from holdfast.primitives.crypto import sha256
from holdfast.primitives.units import E8, HOUR_MS, PPM, USDC_ATOMS
from holdfast.protocol.accounts.state import FIRST_USER_ACCOUNT
from holdfast.protocol.book.state import Side
from holdfast.protocol.instruments.state import Kind
from holdfast.protocol.ledger.state import BTC, ETH, USDC, USDT
from holdfast.protocol.messages import Command
from holdfast.protocol.portfolio import handlers as portfolio
from holdfast.protocol.trading.messages import PlaceOrder, TimeInForce

BUY, SELL = int(Side.BUY), int(Side.SELL)
IOC = int(TimeInForce.IMMEDIATE_OR_CANCEL)
FOK = int(TimeInForce.FILL_OR_KILL)
# Nobody sells an option that expires sooner; so many expiries are looked at.
LIFE_MIN_MS = 2 * HOUR_MS
EXPIRIES_TRIED = 3

Deposits = tuple[tuple[int, int], ...]


def usdc(dollars: int) -> tuple[int, int]:
    """Return a starting deposit in USDC."""
    return USDC, dollars * USDC_ATOMS


def usdt(dollars: int) -> tuple[int, int]:
    """Return a starting deposit in USDT."""
    return USDT, dollars * USDC_ATOMS


def btc(hundredths: int) -> tuple[int, int]:
    """Return a starting deposit in hundredths of a BTC."""
    return BTC, hundredths * E8 // 100


def eth(tenths: int) -> tuple[int, int]:
    """Return a starting deposit in tenths of an ETH."""
    return ETH, tenths * E8 // 10


class Agent(ABC):
    """One trader. A kind says what it owns at the start and what it does when its turn comes."""

    kind: ClassVar[str] = "agent"
    # How many agents of the kind act in one block, on average.
    acts_per_block: ClassVar[int] = 1

    def __init__(self, seed: int, index: int, rank: int) -> None:
        """Take a place in the population (`index`) and in its kind (`rank`)."""
        self.index = index
        self.rank = rank
        self.account_id = FIRST_USER_ACCOUNT + index
        self.key = SigningKey(sha256(b"holdfast replay agent %d %d" % (seed, index)))
        self.random = Random(int.from_bytes(sha256(b"holdfast replay draws %d %d" % (seed, index))))
        self.nonce = 0
        self.deposits = self.fund()

    @abstractmethod
    def fund(self) -> Deposits:
        """Return what the agent begins with, as (asset, atoms)."""

    @abstractmethod
    def decide(self, market: Market) -> list[Command]:
        """Return this turn's commands."""

    def sign(self, domain: bytes, command: Command) -> bytes:
        """Return a command as a transaction under the agent's next nonce."""
        self.nonce += 1
        return sign_command(self.key, domain, self.account_id, self.nonce, command)

    # What most kinds need

    def between(self, low: int, high: int) -> int:
        """Draw a number in [low, high]."""
        return self.random.randrange(low, high + 1)

    def lots_held(self, market: Market, contract: Contract) -> int:
        """Return the signed lots that the agent holds of a contract."""
        return portfolio.get_lots(market.draft, self.account_id, contract.id)

    def holdings(self, market: Market) -> list[Contract]:
        """Return the live contracts that the agent holds."""
        held = portfolio.get_holdings(market.draft, self.account_id)
        return [market.chain.contracts[one] for one in held if one in market.lines and one in market.chain.contracts]

    def lots_for(self, market: Market, contract: Contract, dollars: int) -> int:
        """Return how many lots a notional in dollars is worth, at least one."""
        return max(1, dollars * USDC_ATOMS // max(1, market.index_atoms(contract.underlying)))

    def choose_option(self, market: Market, underlying: int, kind: Kind, series: int, away_ppm: int) -> Contract | None:
        """Return the option nearest to a distance out of the money, of the first expiry with life left."""
        for step in range(EXPIRIES_TRIED):
            option = market.options_away(underlying, series + step, kind, away_ppm)
            if option is not None and option.expiry_ms - market.time_ms >= LIFE_MIN_MS:
                return option
        return None

    def take(
        self, market: Market, contract: Contract, side: int, lots: int, *, reduce_only: bool = False
    ) -> Command | None:
        """Return an order that takes from the best price of the other side and never rests, None where nobody is."""
        best = market.best(contract, 1 - side)
        if best is None or lots <= 0:
            return None
        return PlaceOrder(contract.id, side, best[0], min(lots, best[1]), time_in_force=IOC, reduce_only=reduce_only)

    def reduce(self, market: Market, contract: Contract, share_ppm: int) -> Command | None:
        """Return an order that closes a share of a position, at least a lot of it."""
        held = self.lots_held(market, contract)
        if held == 0:
            return None
        lots = max(1, abs(held) * share_ppm // PPM)
        return self.take(market, contract, SELL if held > 0 else BUY, lots, reduce_only=True)
