"""Market makers: protected two-sided quotes around the mark, on the part of the chain that needs it most.

Their depth thins as the market swings. In Binance's book of BTCUSDT on 10 October 2025, within 5 % of the mid, bids
went from 4,900 BTC at 20:30 to 100 at 21:20 and back to 850 at 22:00, asks from 4,300 to 1,500 and 2,500. With x the
largest fall of the last two hours in twentieths, asks of 1 / (1 + x) of it and bids of the square of that are within a
factor of two of 27 of the 30 means of ten minutes until 23:00, and more than the real ones in the worst. In a rise the
sides are changed over.
"""

from typing import ClassVar

from holdfast.lab.agents.agent import BUY, SELL, Agent, Deposits, usdc
from holdfast.lab.agents.market import UNDERLYINGS, Contract, Market
from holdfast.primitives.units import MINUTE_MS, PPM
from holdfast.protocol.instruments.state import Kind
from holdfast.protocol.ledger.state import BTC
from holdfast.protocol.margin.state import PROTECTIONS
from holdfast.protocol.messages import Command
from holdfast.protocol.trading.messages import CancelAll, MassQuote, Quote, SetProtection

SERIES_QUOTED = 4
STRIKES_EACH_SIDE = 3
QUOTES_PER_TURN = 4
# What has never been quoted is put up faster, so that a market stands within a few blocks.
OPENINGS_PER_TURN = 16
PROTECTION_WINDOW_MS = 5 * MINUTE_MS
CALM_MOVE_PPM = 3_000
WIDENING_MAX = 8
# A move over the last blocks beyond which all quotes are taken back and put up anew.
FLIGHT_MOVE_PPM = 20_000
HEDGE_EVERY = 7
AGE_SCORE_PPM = 50_000
# A swing that halves the depth of the side that it runs away from.
DEPTH_SWING_PPM = 50_000
NEVER_QUOTED_PPM = 10**12


class Maker(Agent):
    """Quotes a few contracts a turn: those whose quotes are furthest from where they should be."""

    kind: ClassVar[str] = "maker"
    acts_per_block: ClassVar[int] = 3
    # Half a spread, as shares of the index and of the mark; both widen with the recent move of the index.
    half_index_ppm: ClassVar[int] = 350
    half_future_ppm: ClassVar[int] = 150
    half_mark_ppm: ClassVar[int] = 15_000
    thins: ClassVar[bool] = True

    def __init__(self, seed: int, index: int, rank: int) -> None:
        """Begin without quotes."""
        super().__init__(seed, index, rank)
        self._quoted: dict[int, tuple[int, int]] = {}  # contract -> (mark when quoted, height)
        self._fled_height = 0
        self._turns = rank
        self._size = {
            underlying: self.between(120, 270) if underlying == BTC else self.between(240, 540)
            for underlying in UNDERLYINGS
        }
        self._width_ppm = self.between(900_000, 1_500_000)

    def fund(self) -> Deposits:
        """Return USDC for a professional."""
        return (usdc(self.between(8_000, 15_000) * 1_000),)

    def decide(self, market: Market) -> list[Command]:
        """Set the protection, flee from a crash, hedge now and then, and quote what is stalest."""
        missing = [one for one in UNDERLYINGS if (self.account_id, one) not in market.draft[PROTECTIONS]]
        if missing:
            return [SetProtection(one, 20 * self._size[one], PROTECTION_WINDOW_MS) for one in missing]
        self._turns += 1
        underlying = market.underlyings[self._turns % len(market.underlyings)]
        commands: list[Command] = []
        if market.moves_ppm[underlying] > FLIGHT_MOVE_PPM and market.height > self._fled_height + 10:
            self._fled_height = market.height
            self._quoted.clear()
            commands.append(CancelAll(0))
        if self._turns % HEDGE_EVERY == 0:
            commands.extend(self._hedge(market, underlying))
        quotes = self._stalest(market, underlying)
        if quotes:
            commands.append(MassQuote(underlying, tuple(self._quote(market, contract) for contract in quotes)))
        return commands

    def _stalest(self, market: Market, underlying: int) -> list[Contract]:
        watched = market.options_near(underlying, SERIES_QUOTED, STRIKES_EACH_SIDE) + market.futures(underlying)[:2]
        scored = sorted((-self._staleness_ppm(market, contract), contract.id) for contract in watched)
        openings = sum(-score >= NEVER_QUOTED_PPM for score, _ in scored)
        count = max(QUOTES_PER_TURN, min(OPENINGS_PER_TURN, openings))
        return [market.chain.contracts[one] for _, one in scored[:count]]

    def _staleness_ppm(self, market: Market, contract: Contract) -> int:
        quoted = self._quoted.get(contract.id)
        if quoted is None:
            return NEVER_QUOTED_PPM
        drift = abs(market.mark_atoms(contract) - quoted[0])
        return drift * PPM // self._half_atoms(market, contract) + (market.height - quoted[1]) * AGE_SCORE_PPM

    def _half_atoms(self, market: Market, contract: Contract) -> int:
        share_ppm = self.half_future_ppm if contract.kind == Kind.FUTURE else self.half_index_ppm
        own = 0 if contract.kind == Kind.FUTURE else market.mark_atoms(contract) * self.half_mark_ppm // PPM
        half = market.index_atoms(contract.underlying) * share_ppm // PPM + own
        move_ppm = min(market.moves_ppm[contract.underlying], WIDENING_MAX * CALM_MOVE_PPM)
        widened = half + half * move_ppm // CALM_MOVE_PPM
        return max(contract.tick_atoms, widened * self._width_ppm // PPM)

    def _quote(self, market: Market, contract: Contract) -> Quote:
        """Return both sides, leaned against the inventory; a side that would add to too much of it stays away."""
        mark = market.mark_atoms(contract)
        half = self._half_atoms(market, contract)
        size = self._size[contract.underlying]
        held = self.lots_held(market, contract)
        lean = half * max(-5 * size, min(5 * size, held)) // (5 * size)
        bid = (mark - half - lean) // contract.tick_atoms
        ask = -(-(mark + half - lean) // contract.tick_atoms)
        # A quote never takes: where others' older quotes are in the way, it stops short of them.
        lowest, highest = (market.best_of_others(self.account_id, contract, side) for side in (SELL, BUY))
        bid = bid if lowest is None else min(bid, lowest - 1)
        ask = ask if highest is None else max(ask, highest + 1)
        self._quoted[contract.id] = (mark, market.height)
        bids, asks = self._depth_lots(market, contract)
        bid_lots = bids if bid > 0 and held < 12 * size else 0
        ask_lots = asks if held > -8 * size else 0
        return Quote(contract.id, max(0, bid), bid_lots, max(1, ask, bid + 1), ask_lots)

    def _depth_lots(self, market: Market, contract: Contract) -> tuple[int, int]:
        """Return the lots of a bid and an ask: the side that a swing runs into thins twice. Rounds: up."""
        fall, rise = market.swings_ppm(contract.underlying) if self.thins else (0, 0)
        size, whole = self._size[contract.underlying], DEPTH_SWING_PPM + max(fall, rise)
        kept = -(-size * DEPTH_SWING_PPM // whole)
        hit = -(-kept * DEPTH_SWING_PPM // whole)
        # Who fears a fall buys puts.
        hits_bids = (fall >= rise) != (contract.kind == Kind.PUT)
        return (hit, kept) if hits_bids else (kept, hit)

    def _hedge(self, market: Market, underlying: int) -> list[Command]:
        """Bring the delta down with the nearest future whose other side is there."""
        delta = market.delta_lots(self.account_id, underlying)
        size = self._size[underlying]
        if abs(delta) <= 2 * size:
            return []
        for future in market.futures(underlying)[:2]:
            order = self.take(market, future, SELL if delta > 0 else BUY, abs(delta) - size)
            if order is not None:
                return [order]
        return []
