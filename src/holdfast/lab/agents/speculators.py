"""Speculators: futures and short options held near the most that initial margin allows at the time.

A cascade is made by positions that stand near their limit. Of the 19 billion dollars that venues were reported to have
liquidated on 10 October 2025, about seven parts in eight were long (CoinGlass). So five speculators in eight are long a
future, one is short one, and two sell options, puts alone or puts and calls. Each aims at its own share of what its
equity may carry, and counts with the margin in force when it acts: where margin is lower it holds more, and where
margin rises it cannot add. That is all by which one margin's traders differ from another's.

Money follows Zipf's law, as wealth and trades do (Gabaix, Power Laws in Economics and Finance, 2009): the largest sum
over a number from 1 to 100. One in three heeds a margin call, by closing down to its aim; the others ride it out, as
those must have whom venues closed by force. Aims and that share are assumptions, the same for every margin.
"""

from enum import Enum
from typing import ClassVar, Final

from holdfast.lab.agents.agent import BUY, SELL, Agent, Deposits, usdc
from holdfast.lab.agents.market import Contract, Market
from holdfast.primitives.units import PPM
from holdfast.protocol.instruments.state import Kind
from holdfast.protocol.ledger.state import BTC, ETH
from holdfast.protocol.messages import Command


class Style(Enum):
    """What a speculator holds."""

    LONG = "long futures"
    SHORT = "short futures"
    PUTS = "short puts"
    STRANGLES = "short puts and calls"


STYLES: Final = (
    Style.LONG,
    Style.PUTS,
    Style.LONG,
    Style.LONG,
    Style.SHORT,
    Style.LONG,
    Style.STRANGLES,
    Style.LONG,
)
LARGEST_DOLLARS: Final = 2_000_000
RANKS: Final = 100
# The aim, as a share of equity that initial margin takes: the higher of two draws, so that most stand near the limit.
AIM_MIN_PPM, AIM_MAX_PPM = 600_000, 980_000
# What is missing is left where it is less than this share of equity.
STEP_MIN_PPM: Final = 20_000
HEEDS_EVERY: Final = 3
AWAY_MIN_PPM, AWAY_MAX_PPM = 10_000, 80_000


class Speculator(Agent):
    """Adds while initial margin is under its aim; one in three cuts back to it once margin asks for all it has."""

    kind: ClassVar[str] = "speculator"
    acts_per_block: ClassVar[int] = 10

    def __init__(self, seed: int, index: int, rank: int) -> None:
        """Choose what to hold, the aim, and how far away options are sold."""
        super().__init__(seed, index, rank)
        self.style = STYLES[rank % len(STYLES)]
        self.underlying = ETH if rank // len(STYLES) % 2 else BTC
        self.aim_ppm = max(self.between(AIM_MIN_PPM, AIM_MAX_PPM), self.between(AIM_MIN_PPM, AIM_MAX_PPM))
        self.heeds_calls = rank % HEEDS_EVERY == 0
        self._away_ppm = self.between(AWAY_MIN_PPM, AWAY_MAX_PPM)
        self._series = self.between(0, 3)

    def fund(self) -> Deposits:
        """Return USDC."""
        return (usdc(LARGEST_DOLLARS // self.between(1, RANKS)),)

    def decide(self, market: Market) -> list[Command]:
        """Cut back on a call, add where there is room."""
        if market.is_frozen(self.account_id) or not market.index_atoms(self.underlying):
            return []
        need = market.requirement(self.account_id)
        if need.initial_atoms > need.equity_atoms:
            excess = need.initial_atoms - max(0, need.equity_atoms) * self.aim_ppm // PPM
            return self._cut(market, excess * PPM // need.initial_atoms) if self.heeds_calls else []
        room = need.equity_atoms * self.aim_ppm // PPM - need.initial_atoms
        return self._add(market, room) if room * PPM > need.equity_atoms * STEP_MIN_PPM else []

    def _cut(self, market: Market, share_ppm: int) -> list[Command]:
        orders = [self.reduce(market, contract, share_ppm) for contract in self.holdings(market)]
        return [order for order in orders if order is not None]

    def _add(self, market: Market, room_atoms: int) -> list[Command]:
        """Trade what the room carries of the next contract, as far as the best price goes."""
        contract = self._choose(market)
        if contract is None:
            return []
        side = BUY if self.style is Style.LONG else SELL
        order = self.take(market, contract, side, room_atoms // market.initial_need_atoms(contract, side))
        return [] if order is None else [order]

    def _choose(self, market: Market) -> Contract | None:
        if self.style in (Style.LONG, Style.SHORT):
            futures = market.futures(self.underlying)[:2]
            return futures[self.between(0, len(futures) - 1)] if futures else None
        is_put = self.style is Style.PUTS or self.between(0, 1) == 0
        kind = Kind.PUT if is_put else Kind.CALL
        return self.choose_option(market, self.underlying, kind, self._series, self._away_ppm)
