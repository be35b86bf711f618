"""Random commands of every kind over a market that jumps, falls silent and depegs: both engines, block by block."""

import random

import pytest

from holdfast.client.signing import SigningKey
from holdfast.node.application import ExtendedCommit
from holdfast.primitives.codec import encode
from holdfast.primitives.crypto import sha256
from holdfast.primitives.units import E8
from holdfast.protocol.accounts.messages import CreateSubaccount, GrantSession, RevokeSession, RotateOwner
from holdfast.protocol.accounts.state import ACCOUNTS
from holdfast.protocol.book.state import ORDERS
from holdfast.protocol.custody.messages import Deposit, Transfer, Withdraw
from holdfast.protocol.instruments.state import INSTRUMENTS
from holdfast.protocol.liquidation.messages import BidAuction
from holdfast.protocol.liquidation.state import LIQUIDATIONS
from holdfast.protocol.messages import Bundle, Command
from holdfast.protocol.oracle.messages import FeedReport, Report, decode_report, encode_report
from holdfast.protocol.surface.state import MARKS
from holdfast.protocol.trading.messages import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    MassQuote,
    PlaceOrder,
    Quote,
    SetProtection,
)
from holdfast.state.draft import Draft
from tests.support.exchange import BTC, ETH, USD
from tests.support.twin import TwinMarket

START_MS = 1_760_054_400_000
HOUR_MS = 3_600_000


class Drawer:
    """Draws commands that are mostly sensible, over what the market holds now."""

    def __init__(self, market: TwinMarket, seed: int) -> None:
        self.market = market
        self.random = random.Random(seed)
        self.seed = seed
        self.sessions = 0

    def commands(self) -> list[tuple[int, Command]]:
        makers = [
            self.order,
            self.order,
            self.order,
            self.order,
            self.cancel,
            self.amend,
            self.quote,
            self.protection,
            self.bundle,
            self.money,
            self.account,
            self.bid,
        ]
        drawn = []
        for _ in range(self.random.randint(2, 7)):
            index = self.random.randrange(len(self.market.solo.keys) if self.random.random() < 0.1 else 6)
            drawn.append((index, self.random.choice(makers)(index)))
        return drawn

    def instrument(self) -> int:
        listed = list(self.market.draft[INSTRUMENTS].keys())
        return self.random.choice([*listed, *listed, *listed, 0, max(listed, default=1) + 1])

    def ticks(self, instrument_id: int) -> int:
        mark = self.market.draft[MARKS].get(instrument_id)
        one = self.market.draft[INSTRUMENTS].get(instrument_id)
        if mark is None or one is None or self.random.random() < 0.02:
            return self.random.choice([0, 1, 10**6, 2**41])
        near = mark.mark_e8 // one.tick_e8
        return max(0, near + self.random.randint(-4 - near // 300, 4 + near // 300))

    def lots(self) -> int:
        return self.random.choice([1, 2, 5, 10, 40, 150, 600, 0 if self.random.random() < 0.05 else 3, 2**24 + 1][:9])

    def order(self, _index: int) -> PlaceOrder:
        instrument_id = self.instrument()
        price = 0 if self.random.random() < 0.15 else self.ticks(instrument_id)
        return PlaceOrder(
            instrument_id,
            self.random.randint(0, 1),
            price,
            self.lots(),
            self.random.choice([0, 0, 0, 1, 2]),
            self.random.random() < 0.1,
            self.random.random() < 0.15,
            self.random.randint(0, 2),
            self.random.randint(0, 9),
        )

    def own(self, index: int) -> int:
        orders = [number for number, order in self.market.draft[ORDERS].items()]
        mine = [n for n in orders if self.market.draft[ORDERS][n].account_id == self.market.id(index)]
        return self.random.choice([*mine, *mine, *mine, *(orders or [1])])

    def cancel(self, index: int) -> CancelOrder | CancelAll:
        if self.random.random() < 0.3:
            return CancelAll(self.random.choice([0, self.instrument()]))
        return CancelOrder(self.own(index))

    def amend(self, index: int) -> AmendOrder:
        number = self.own(index)
        order = self.market.draft[ORDERS].get(number)
        if order is None:
            return AmendOrder(number, 1, 1)
        keeps = self.random.random() < 0.4
        return AmendOrder(
            number, order.price_ticks if keeps else self.ticks(order.instrument_id), max(1, order.lots // 2)
        )

    def quote(self, _index: int) -> MassQuote:
        quotes = []
        for _ in range(self.random.randint(1, 4)):
            instrument_id = self.instrument()
            bid = self.ticks(instrument_id)
            quotes.append(Quote(instrument_id, bid, self.lots(), bid + self.random.randint(-1, 9), self.lots()))
        return MassQuote(self.random.choice([BTC, BTC, ETH]), tuple(quotes))

    def protection(self, _index: int) -> SetProtection:
        lots = self.random.choice([0, 20, 100, 1_000, 2**25])
        return SetProtection(self.random.choice([BTC, BTC, ETH, 9]), lots, self.random.choice([60_000, 600_000, 0]))

    def bundle(self, index: int) -> Bundle:
        drawn = (self.order(index), self.cancel(index), self.amend(index), self.quote(index))
        return Bundle(tuple(self.random.choices(drawn, k=self.random.randint(1, 4))))

    def money(self, _index: int) -> Command:
        asset = self.random.choice([0, 0, 1, 2, 3])
        amount = self.random.choice([1, 50 * USD, 5_000 * USD, 10**7, 10**13])
        if self.random.random() < 0.5:
            return Withdraw(asset, amount)
        return Transfer(self.random.choice(list(self.market.draft[ACCOUNTS].keys())), asset, amount)

    def account(self, _index: int) -> Command:
        self.sessions += 1
        key = SigningKey(sha256(b"random %d %d" % (self.seed, self.sessions // 2))).public_key
        expires = self.market.solo.time_ms + self.random.choice([-1, HOUR_MS, 10**11])
        grant = GrantSession(key, self.random.choice([1, 2, 7, 15, 16]), expires)
        place = self.random.randrange(5)
        others: tuple[Command, ...] = (CreateSubaccount(), RevokeSession(key), RotateOwner(key))
        return others[place] if place < len(others) else grant

    def bid(self, _index: int) -> BidAuction:
        accounts = list(self.market.draft[LIQUIDATIONS].keys()) or [self.market.id(0)]
        share = self.random.choice([1_000, 10_000, 250_000, 1_000_000])
        return BidAuction(self.random.choice(accounts), share, self.random.choice([0, 0, 300_000]))

    def move(self) -> None:
        """Move prices: mostly a little, sometimes a jump, a silence, a depeg."""
        prices = self.market.solo.prices
        for asset in (1, 2):
            step = self.random.gauss(0, 0.003) if self.random.random() < 0.96 else self.random.gauss(-0.04, 0.07)
            prices[asset] = max(100 * E8, int(prices.get(asset, 4_000 * E8) * max(0.5, min(1.9, 1 + step))))
        if self.random.random() < 0.03:
            prices.pop(self.random.choice([0, 2, 3]), None)
        elif self.random.random() < 0.15:
            prices[0] = self.random.choice([E8, E8, E8, E8, 98_500_000])
            prices[3] = self.random.choice([E8, 99_000_000])


def scatter(market: TwinMarket, drawn: random.Random) -> None:
    """Let validators disagree: each tells prices of its own, with confidences, ages and sources of its own."""
    solo = market.solo
    honest = solo.report

    def report(height: int, draft: Draft) -> bytes:
        told = decode_report(honest(height, draft))
        feeds = tuple(
            FeedReport(
                feed.feed,
                feed.price_e8 + drawn.randint(-feed.price_e8 // 900, feed.price_e8 // 900),
                drawn.randint(1, feed.price_e8 // 500),
                drawn.choice([2, 3, 5, 5, 5, 5, 5]),
                drawn.choice([0, 0, 0, 900_000]),
            )
            for feed in told.feeds
        )
        surfaces = tuple(
            surface._replace(
                slices=tuple(
                    part._replace(
                        theta_e12=part.theta_e12 * drawn.randint(70, 130) // 100,
                        rho_ppm=part.rho_ppm + drawn.randint(-30_000, 30_000) + tilt,
                        eta_ppm=part.eta_ppm + drawn.randint(-20_000, drawn.choice([20_000, 20_000, 1_600_000])),
                        shift_ppm=drawn.randint(-90_000, 90_000),
                        width_ppm=drawn.randint(1_000_000, 1_300_000),
                    )
                    for part in surface.slices[drawn.choice([0, 0, 0, 1]) :]
                ),
            )
            for surface, tilt in ((surface, drawn.randint(-90_000, 90_000)) for surface in told.surfaces)
        )
        return encode_report(Report(feeds, surfaces))

    extended = solo._extended_commit

    def extended_commit(height: int) -> ExtendedCommit:
        commit = extended(height)
        votes = []
        for vote, key in zip(commit.votes, solo.validator_keys, strict=True):
            extension = report(height, solo.draft())
            signature = key.sign(solo._extension_domain + encode((height, 0, extension)))
            votes.append(vote._replace(extension=extension, extension_signature=signature))
        return commit._replace(votes=tuple(votes))

    solo._extended_commit = extended_commit  # type: ignore[method-assign]


def run_random(seed: int, blocks: int) -> dict[str, int]:
    drawn = random.Random(seed)
    deposits = {
        index: ((0, drawn.choice([2_000, 60_000, 400_000, 3_000_000]) * USD), (drawn.choice([1, 2, 3]), 10**8))
        for index in range(6)
    }
    genesis = {
        "insurance_atoms": drawn.choice([50, 20_000, 1_000_000]) * USD,
        "backstop_atoms": drawn.choice([0, 50_000, 1_000_000]) * USD,
    }
    interval = drawn.choice([3_000, 20_000, 60_000, 1_500_000])
    market = TwinMarket(6, deposits=deposits, genesis=genesis, interval_ms=interval)
    market.solo.app._rebuilds = False
    market.block(time_ms=START_MS + drawn.choice([HOUR_MS, 7 * HOUR_MS + 25 * 60_000, 8 * HOUR_MS - 60_000]))
    scatter(market, drawn)
    drawer = Drawer(market, seed)
    codes: dict[str, int] = {}
    for _ in range(blocks):
        drawer.move()
        txs = [market.sign(index, command) for index, command in drawer.commands()]
        if drawn.random() < 0.1:
            key = drawn.choice(market.solo.keys).public_key
            txs.append(market.sign(-1, Deposit(key, drawn.choice([0, 0, 1]), drawn.choice([1, 10_000 * USD]))))
        market.lenient_block(*txs)
        market.assert_same()
        applied = market.solo.app.last_applied
        assert applied is not None
        for receipt in applied.receipts:
            codes[receipt.code.name] = codes.get(receipt.code.name, 0) + 1
    return codes


@pytest.mark.parametrize("seed", range(4))
def test_random_market__of_a_seed__is_the_same_to_both_engines(seed: int) -> None:
    codes = run_random(seed, 30)
    assert codes["OK"] > 30
    assert len(codes) > 6
