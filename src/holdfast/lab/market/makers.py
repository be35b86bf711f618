"""Market makers of a live exchange: two-sided quotes near the money, kept where the state shows that they stand.

A maker remembers nothing that it could not read: its quotes, inventory and margin are in the state, so that a new
process goes on where the last one ended. It never adds to what it could not carry: inventory bounds each contract, and
an account that uses half of its equity for margin only reduces. Delta is evened out between makers, never passed
around for fees.
"""

from typing import ClassVar, Final

from holdfast.lab.agents.agent import BUY, SELL
from holdfast.lab.agents.makers import Maker
from holdfast.lab.agents.market import UNDERLYINGS, Contract, Market
from holdfast.lab.market.accounts import PublicAccount
from holdfast.primitives.units import MINUTE_MS, PPM, SECOND_MS
from holdfast.protocol.accounts.state import FIRST_USER_ACCOUNT
from holdfast.protocol.book import handlers as book
from holdfast.protocol.book.state import FLAG_QUOTE, ORDERS, Order
from holdfast.protocol.instruments.state import Kind
from holdfast.protocol.margin.state import CHARGES, PROTECTIONS
from holdfast.protocol.messages import Command
from holdfast.protocol.oracle.rules import Action, is_action_allowed
from holdfast.protocol.trading.messages import MassQuote, Quote, SetProtection

SERIES_QUOTED: Final = 3
STRIKES_EACH_SIDE: Final = 3
# Quotes that stand a strike further out are kept, so that an index that hovers over a strike moves none.
STRIKES_KEPT: Final = 4
FUTURES_QUOTED: Final = 2
# Nothing is quoted in its last minutes.
LEFT_MIN_MS: Final = 3 * MINUTE_MS
# A protection's window, and so the longest that a maker who was hit stays away.
WINDOW_MS: Final = 10 * SECOND_MS
PROTECTED_SIZES: Final = 20
# A quote that is off by this share of half its spread is moved; so many at a turn, the worst first.
DRIFT_PPM: Final = 500_000
MOVED_MAX: Final = 12
HEDGE_EVERY: Final = 10

_URGENT_PPM: Final = 10**12


def may_trade(market: Market, underlying: int) -> bool:
    """Tell whether prices are fit for new risk in an underlying."""
    charges = market.draft[CHARGES].get(0)
    is_depegged = charges is not None and charges.is_depegged
    return not is_depegged and is_action_allowed(market.draft, underlying, Action.INCREASE_RISK)


def list_quoted(market: Market, underlying: int, each_side: int = STRIKES_EACH_SIDE) -> list[Contract]:
    """Return what makers quote: options near the money of the nearest expiries, and the nearest futures."""
    earliest_ms = market.time_ms + LEFT_MIN_MS
    center_e8 = market.array.prices_e8.get(underlying, 0)
    found: list[Contract] = []
    for series in [one for one in market.chain.series[underlying] if one.expiry_ms > earliest_ms][:SERIES_QUOTED]:
        strikes = sorted(dict.fromkeys(option.strike_e8 for option in series.options))
        below = [strike for strike in strikes if strike <= center_e8][-each_side:]
        above = [strike for strike in strikes if strike > center_e8][:each_side]
        found.extend(option for option in series.options if option.strike_e8 in (*below, *above))
    futures = [one for one in market.chain.futures[underlying] if one.expiry_ms > earliest_ms]
    found.extend(futures[:FUTURES_QUOTED])
    return [contract for contract in found if contract.id in market.lines]


class LiveMaker(Maker):
    """Quotes all that is near the money, at once where nothing stands, and then what has drifted most."""

    half_index_ppm: ClassVar[int] = 200
    half_future_ppm: ClassVar[int] = 60
    half_mark_ppm: ClassVar[int] = 10_000
    # Inventory and margin bound a live maker's depth; the market's swings leave it.
    thins: ClassVar[bool] = False

    def __init__(self, seed: int, account: PublicAccount, rank: int) -> None:
        """Take an account of genesis."""
        super().__init__(seed, account.account_id - FIRST_USER_ACCOUNT, rank)
        self.key = account.key
        self.deposits = account.deposits
        self.peers: tuple[int, ...] = ()

    def decide(self, market: Market) -> list[Command]:
        """Keep the quotes of every underlying, and now and then even the delta out."""
        if market.is_frozen(self.account_id):
            return []
        self._turns += 1
        commands: list[Command] = [
            SetProtection(one, PROTECTED_SIZES * self._size[one], WINDOW_MS)
            for one in UNDERLYINGS
            if (self.account_id, one) not in market.draft[PROTECTIONS]
        ]
        for underlying in market.underlyings:
            protection = market.draft[PROTECTIONS].get((self.account_id, underlying))
            if protection is not None and market.time_ms < protection.frozen_until_ms:
                continue
            quotes = self._renew(market, underlying)
            if quotes:
                commands.append(MassQuote(underlying, tuple(quotes)))
            if self._turns % HEDGE_EVERY == 0 and may_trade(market, underlying):
                commands.extend(self._hedge(market, underlying))
        return commands

    def _renew(self, market: Market, underlying: int) -> list[Quote]:
        """Return the quotes to put up, to move, and to take back."""
        standing = self._standing(market, underlying)
        watched: list[Contract] = []
        if may_trade(market, underlying):
            watched = list_quoted(market, underlying)
            near = dict.fromkeys(contract.id for contract in watched)
            kept = list_quoted(market, underlying, STRIKES_KEPT)
            watched.extend(one for one in kept if one.id in standing and one.id not in near)
        wanted = [self._quote(market, contract) for contract in watched]
        scored = [
            (self._drift_ppm(market, contract, quote, standing.get(contract.id, {})), quote)
            for contract, quote in zip(watched, wanted, strict=True)
        ]
        urgent = [quote for drift_ppm, quote in scored if drift_ppm >= _URGENT_PPM]
        moved = sorted(
            (
                (-drift_ppm, quote.instrument_id, quote)
                for drift_ppm, quote in scored
                if DRIFT_PPM < drift_ppm < _URGENT_PPM
            ),
            key=lambda entry: entry[:2],
        )
        left = dict.fromkeys(standing)
        for contract in watched:
            left.pop(contract.id, None)
        return [
            *(Quote(contract_id, 0, 0, 0, 0) for contract_id in left),
            *urgent,
            *(quote for _, _, quote in moved[:MOVED_MAX]),
        ]

    def _standing(self, market: Market, underlying: int) -> dict[int, dict[int, Order]]:
        """Return this maker's quotes in the state, by contract and side."""
        standing: dict[int, dict[int, Order]] = {}
        for order_id in book.get_open_orders(market.draft, self.account_id):
            order = market.draft[ORDERS][order_id]
            contract = market.chain.contracts.get(order.instrument_id)
            if order.flags & FLAG_QUOTE and contract is not None and contract.underlying == underlying:
                standing.setdefault(contract.id, {})[order.side] = order
        return standing

    def _drift_ppm(self, market: Market, contract: Contract, quote: Quote, standing: dict[int, Order]) -> int:
        """Return how far what stands is from what should, as a share of half the spread."""
        drift_ppm = 0
        for side, ticks, lots in ((BUY, quote.bid_ticks, quote.bid_lots), (SELL, quote.ask_ticks, quote.ask_lots)):
            order = standing.get(side)
            if order is None and lots == 0:
                continue
            if order is None or lots == 0 or 2 * order.lots < lots:
                return _URGENT_PPM
            off_atoms = abs(order.price_ticks - ticks) * contract.tick_atoms
            drift_ppm = max(drift_ppm, off_atoms * PPM // self._half_atoms(market, contract))
        return min(drift_ppm, _URGENT_PPM - 1)

    def _quote(self, market: Market, contract: Contract) -> Quote:
        quote = super()._quote(market, contract)
        if 2 * market.maintenance_atoms(self.account_id) <= market.equity_atoms(self.account_id):
            return quote
        held = self.lots_held(market, contract)
        return Quote(
            quote.instrument_id,
            quote.bid_ticks,
            min(quote.bid_lots, max(0, -held)),
            quote.ask_ticks,
            min(quote.ask_lots, max(0, held)),
        )

    def _half_atoms(self, market: Market, contract: Contract) -> int:
        """Return half a spread; a cheap option's stays within a quarter of its mark, so that it has a bid."""
        half = super()._half_atoms(market, contract)
        if contract.kind == Kind.FUTURE:
            return half
        return max(contract.tick_atoms, min(half, market.mark_atoms(contract) // 4))

    def _hedge(self, market: Market, underlying: int) -> list[Command]:
        """Even the delta out with the other makers, where it is more than theirs.

        Why: makers who hedge with each other only by their own delta would pass it around and pay for it each time.
        """
        own = market.delta_lots(self.account_id, underlying)
        others = [market.delta_lots(peer, underlying) for peer in self.peers]
        if not others:
            return []
        excess = (own - sum(others) // len(others)) // 2
        if abs(excess) <= self._size[underlying] or own * excess <= 0:
            return []
        for future in market.futures(underlying)[:FUTURES_QUOTED]:
            order = self.take(market, future, SELL if excess > 0 else BUY, abs(excess))
            if order is not None:
                return [order]
        return []
