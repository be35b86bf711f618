"""A tally's bound decides nothing by itself: with it or without, every command meets the same end."""

from collections import Counter
from random import Random

import pytest

from holdfast.lab.solo import Solo
from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.reject import Code
from holdfast.primitives.units import E8
from holdfast.protocol.block import BlockContext
from holdfast.protocol.book.state import ORDERS
from holdfast.protocol.instruments.state import INSTRUMENTS
from holdfast.protocol.invariants import margin_cache_fresh
from holdfast.protocol.ledger.state import BTC, USDC
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.state import RISK, RISK_MATRIX, Tally
from holdfast.protocol.messages import Command
from holdfast.protocol.surface.state import RISK_ARRAY
from holdfast.protocol.trading.messages import CancelOrder, MassQuote, PlaceOrder, Quote, SetProtection
from holdfast.state.draft import Draft

ACCOUNTS = 6
BLOCKS = 8
COMMANDS = 14


def start() -> Solo:
    """Return a chain whose accounts have little: cash alone, coins alone, or both."""
    deposits = {
        index: ((USDC, 10**6 * (1_500 + 4_000 * index)), (BTC, 10**5 * (index % 3) * 10)) for index in range(ACCOUNTS)
    }
    given = {index: tuple(each for each in pairs if each[1]) for index, pairs in deposits.items()}
    solo = Solo(ACCOUNTS, deposits=given, rebuilds=True, interval_ms=1_000)
    solo.run(2)
    return solo


def draw_command(rng: Random, draft: Draft, instruments: list[int], account_id: int) -> Command:
    own = [order_id for order_id, order in draft[ORDERS].items() if order.account_id == account_id]
    kind = rng.random()
    if own and kind < 0.2:
        return CancelOrder(rng.choice(own))
    instrument_id = rng.choice(instruments)
    instrument = draft[INSTRUMENTS][instrument_id]
    mid = draft[RISK_ARRAY][0].lines[instrument_id].value_atoms // instrument.tick_value_atoms
    price = max(1, mid + rng.randint(-mid // 50 - 1, mid // 50 + 1))
    if kind < 0.3:
        return SetProtection(instrument.underlying, rng.randint(1, 30), 60_000)
    if kind < 0.4:
        quote = Quote(instrument_id, max(1, price - 5), rng.randint(0, 20), price + 5, rng.randint(0, 20))
        return MassQuote(instrument.underlying, (quote,))
    return PlaceOrder(instrument_id, rng.randint(0, 1), price, rng.choice((1, 3, 10, 40)))


def run(seed: int) -> tuple[list[int], list[bytes]]:
    """Trade at random near the money and near the margin; return every code and every root."""
    rng = Random(seed)
    solo = start()
    draft = solo.draft()
    lines = draft[RISK_ARRAY][0].lines
    instruments = sorted(lines)[:: max(1, len(lines) // 7)]
    codes: list[int] = []
    roots: list[bytes] = []
    for _ in range(BLOCKS):
        solo.prices = {
            feed: price + (feed in (1, 2)) * rng.randint(-1, 1) * price // 200 for feed, price in solo.prices.items()
        }
        txs = []
        for _ in range(COMMANDS):
            index = rng.randrange(ACCOUNTS)
            txs.append(solo.sign(index, draw_command(rng, solo.draft(), instruments, solo.account_id(index))))
        response = solo.block(*txs)
        codes += [int(result.code) for result in response.tx_results]
        roots.append(response.app_hash)
    return codes, roots


def test_bound__taken_away__changes_no_code_and_no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Counter[int] = Counter()
    for seed in range(6):
        with_bound = run(seed)
        with monkeypatch.context() as patch:
            patch.setattr(margin, "is_covered", lambda _draft, _account_id: False)
            without = run(seed)
        assert with_bound == without
        seen.update(with_bound[0])
    assert seen[Code.OK] > 100
    assert seen[Code.MARGIN_INITIAL_SHORT] > 10


@pytest.mark.parametrize(("index", "has_coin"), [(0, False), (1, True)])
def test_covered__untouched_account__is_told_from_its_cash_or_the_matrix(index: int, has_coin: bool) -> None:
    solo = start()
    draft = solo.draft()
    assert draft[RISK].get(solo.account_id(index)) is None
    assert (solo.account_id(index) in draft[RISK_MATRIX][0].places) == has_coin
    assert margin.is_covered(draft, solo.account_id(index))


def test_bound__too_low__is_found_by_the_invariant() -> None:
    solo = start()
    instrument_id = min(solo.draft()[RISK_ARRAY][0].lines)
    solo.block(solo.sign(0, PlaceOrder(instrument_id, 0, solo.prices[1] // E8 + 2_000, 1)))
    draft = solo.draft()
    account_id = solo.account_id(0)
    block = BlockContext(solo.height, solo.time_ms, 0, 0)
    margin_cache_fresh(draft, block)
    tally = draft[RISK][account_id]
    draft[RISK].put(account_id, Tally(tally.risk, tally.changes, -(10**15), tally.lots))
    with pytest.raises(BrokenInvariantError, match="bounded"):
        margin_cache_fresh(draft, block)
