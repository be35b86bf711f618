"""Liquidations at their last step: a loser with coins and a debt, and what the others have, drawn or written out."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from holdfast.primitives.codec import Record
from holdfast.protocol.accounts.state import INSURANCE_FUND, TREASURY
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.liquidation.handlers.ending import close_account
from holdfast.protocol.liquidation.messages import Ended, LiquidationEnded
from holdfast.protocol.liquidation.params import LIQUIDATION_PARAMS, LiquidationParams
from holdfast.protocol.liquidation.state import LIQUIDATIONS, Liquidation, Stage
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.state import FROZEN, Requirement
from tests.support.exchange import BTC, ETH, USD, USDT, Market

if TYPE_CHECKING:
    from holdfast.state.draft import Draft

COIN = 10**8
OTHERS = (1, 2, 3, 4, 5)


class Closing:
    """Account 0 has coins and owes what is taken from it here; the caller says to whom."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.draft: Draft = market.draft
        self.loser = market.id(0)
        self.set_fund(0)

    def set_fund(self, atoms: int) -> None:
        ledger.move(self.draft, INSURANCE_FUND, TREASURY, 0, ledger.get_cash(self.draft, INSURANCE_FUND) - atoms)

    def win(self, index: int, atoms: int) -> None:
        """Let an account win from the loser today."""
        ledger.move(self.draft, self.loser, self.market.id(index), 0, atoms)
        margin.note_holding(self.draft, self.market.id(index))

    def give(self, index: int, asset_id: int, atoms: int) -> None:
        """Put coins or cash into an account."""
        if atoms:
            ledger.deposit(self.draft, self.market.id(index), asset_id, atoms)
            margin.refresh_collateral(self.draft, self.market.id(index))

    def cash(self, account_id: int) -> int:
        return ledger.get_cash(self.draft, account_id)

    def coins(self, account_id: int, asset_id: int = BTC) -> int:
        return ledger.get_balance(self.draft, account_id, asset_id)

    def need(self, index: int) -> Requirement:
        return margin.get_requirement(self.draft, self.market.id(index))

    def equity(self, index: int) -> int:
        return self.need(index).equity_atoms

    def rows(self) -> dict[bytes, bytes]:
        """Return every row of the root as it stands."""
        state = self.market.solo.app.state
        rows: dict[bytes, bytes | None] = dict(state.export())
        rows.update(state.seal(self.draft).changes)
        return {key: value for key, value in rows.items() if value is not None}

    def queue(self) -> None:
        self.draft[LIQUIDATIONS].put(self.loser, Liquidation(Stage.AUCTION, 1, 20))
        self.draft[FROZEN].put(self.loser, 1)

    def close(self) -> tuple[Record, ...]:
        """Run the liquidation's last step; it is over whatever the others have."""
        self.queue()
        events = close_account(self.draft, self.loser)
        assert events[-1] == LiquidationEnded(self.loser, Ended.CLOSED)
        assert self.loser not in self.draft[LIQUIDATIONS]
        assert self.loser not in self.draft[FROZEN]
        return events


class Other(NamedTuple):
    """What an account has beside its positions."""

    cash_atoms: int
    won_atoms: int  # of the loser's debt
    btc_atoms: int
    usdt_atoms: int
    is_frozen: bool


class Draw(NamedTuple):
    """What a closing is drawn from."""

    coins: Mapping[int, int]
    owed_atoms: int  # beyond what the others have won
    fund_atoms: int
    fund_cap_ppm: int
    others: Sequence[Other]


def _amounts(most: int) -> st.SearchStrategy[int]:
    return st.one_of(st.just(0), st.integers(1, 5), st.integers(1, most))


DRAWS = st.builds(
    Draw,
    coins=st.fixed_dictionaries({BTC: _amounts(2 * COIN), ETH: _amounts(40 * COIN), USDT: _amounts(90_000 * USD)}),
    # As much as nobody could bear, now and then.
    owed_atoms=st.one_of(_amounts(200_000 * USD), st.integers(1, 1_500_000 * USD)),
    fund_atoms=_amounts(100_000 * USD),
    fund_cap_ppm=st.sampled_from([100_000, 500_000, 1_000_000]),
    others=st.lists(
        st.builds(
            Other,
            cash_atoms=st.integers(-60_000 * USD, 200_000 * USD),
            won_atoms=_amounts(100_000 * USD),
            btc_atoms=_amounts(COIN),
            usdt_atoms=st.one_of(st.just(0), st.integers(9_980_000 * USD, 10_020_000 * USD)),
            is_frozen=st.booleans(),
        ),
        min_size=len(OTHERS),
        max_size=len(OTHERS),
    ),
)


def make_market() -> Market:
    """Accounts 1 and 2 hold a future against each other, 3 and 4 an option; 5 holds nothing, 0 is the loser."""
    market = Market(6, deposits=dict.fromkeys(range(6), ((0, 50_000 * USD),)))
    market.trade(1, 2, market.future(place=1), 60)
    market.trade(3, 4, market.option(), 20)
    # Prices at which coins' atoms are worth no whole atoms of cash.
    market.solo.prices.update({BTC: 11_998_765_432_198, ETH: 439_987_654_321, USDT: 99_991_234})
    market.run(3)
    return market


def make_closing(market: Market, draw: Draw) -> Closing:
    """Return a closing of a market as drawn."""
    closing = Closing(market)
    draft = closing.draft
    for asset_id, atoms in draw.coins.items():
        closing.give(0, asset_id, atoms)
    ledger.move(draft, closing.loser, TREASURY, 0, closing.cash(closing.loser) + draw.owed_atoms)
    for index, other in zip(OTHERS, draw.others, strict=True):
        closing.give(index, BTC, other.btc_atoms)
        closing.give(index, USDT, other.usdt_atoms)
        ledger.move(draft, TREASURY, market.id(index), 0, other.cash_atoms - 50_000 * USD)
        if other.won_atoms:
            closing.win(index, other.won_atoms)
        if other.is_frozen:
            draft[FROZEN].put(market.id(index), 1)
    closing.set_fund(draw.fund_atoms)
    draft[LIQUIDATION_PARAMS].put(0, LiquidationParams(fund_cap_ppm=draw.fund_cap_ppm))
    return closing
