"""Every promise, broken on purpose: each planted fault is caught under its promise's own name, and nothing is kept."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from holdfast.primitives.check import BrokenInvariantError
from holdfast.protocol import invariants, machine
from holdfast.protocol.accounts.state import (
    ACCOUNTS,
    CLEARING_BASE,
    FEE_POT,
    FUND_DEBT,
    INSURANCE_FUND,
    NONCES,
    OWNERS,
    PAGE_BITS,
    NonceWindow,
)
from holdfast.protocol.block import BlockContext
from holdfast.protocol.book import handlers as book
from holdfast.protocol.book.state import ORDERS, Order, Side
from holdfast.protocol.instruments.state import INSTRUMENTS, LISTING
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import BALANCES, COIN_PAGES, DUST, USDC
from holdfast.protocol.liquidation.handlers import list_unhealthy
from holdfast.protocol.liquidation.params import LIQUIDATION_PARAMS
from holdfast.protocol.liquidation.state import LIQUIDATIONS, Liquidation, Stage
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.state import CHARGES
from holdfast.protocol.oracle.state import FEEDS
from holdfast.protocol.portfolio.state import HOLDERS, POSITION_PAGES, POSITIONS, Position
from holdfast.protocol.ranges.state import RANGES
from holdfast.protocol.settlement.state import SETTLEMENTS, Settlement
from holdfast.protocol.surface import handlers as surface
from holdfast.protocol.surface.state import RISK_ARRAY
from holdfast.protocol.trading.messages import CancelAll, PlaceOrder
from holdfast.state.draft import Draft, Rows
from tests.support.exchange import BTC, BUY, SELL, USD, Market

if TYPE_CHECKING:
    from holdfast.node.exchange import ExchangeApplication

Plant = Callable[[Draft, BlockContext, Market], None]
FAULTS: dict[str, list[tuple[str, Plant]]] = {name: [] for name in invariants.NAMES}


def fault(name: str) -> Callable[[Plant], Plant]:
    def add(plant: Plant) -> Plant:
        FAULTS[name].append((plant.__name__, plant))
        return plant

    return add


@fault("CASH_CONSERVED")
def mint_an_atom(draft: Draft, _: BlockContext, market: Market) -> None:
    key = (market.id(0), 0)
    draft[BALANCES].put(key, draft[BALANCES][key] + 1)


@fault("CASH_CONSERVED")
def lose_a_coin(draft: Draft, _: BlockContext, market: Market) -> None:
    draft[BALANCES].delete((market.id(2), BTC))


@fault("CASH_ADDS_UP")
def rot_a_committed_balance(draft: Draft, _: BlockContext, market: Market) -> None:
    rotten: Rows[tuple[int, int], int] = Rows()
    rotten.apply(draft[BALANCES].as_dict())  # type: ignore[arg-type]
    rotten.by_key[market.id(3), 0] += 1
    draft._rows = {**draft._rows, BALANCES: rotten}
    del draft[BALANCES]


@fault("LONGS_EQUAL_SHORTS")
def give_one_side_a_lot(draft: Draft, _: BlockContext, market: Market) -> None:
    key = (market.id(0), market.future())
    position = draft[POSITIONS][key]
    draft[POSITIONS].put(key, Position(position.lots + 1, position.cost_atoms))


@fault("LONGS_EQUAL_SHORTS")
def forget_a_cost(draft: Draft, _: BlockContext, market: Market) -> None:
    key = (market.id(0), market.future())
    draft[POSITIONS].put(key, Position(draft[POSITIONS][key].lots, 0))


@fault("POSITIONS_ADD_UP")
def give_the_other_side_a_lot(draft: Draft, _: BlockContext, market: Market) -> None:
    key = (market.id(1), market.option())
    position = draft[POSITIONS][key]
    draft[POSITIONS].put(key, Position(position.lots + 1, position.cost_atoms))


@fault("POSITIONS_ADD_UP")
def empty_a_pot(draft: Draft, _: BlockContext, market: Market) -> None:
    ledger.move(draft, CLEARING_BASE + market.future(), market.id(1), USDC, 10**6)


@fault("INDICES_EQUAL_PRIMARY")
def leave_a_page_behind(draft: Draft, _: BlockContext, market: Market) -> None:
    page = next(iter(draft[POSITION_PAGES].keys()))
    columns = draft[POSITION_PAGES][page]
    draft[POSITION_PAGES].put(page, columns.change([(int(columns.keys[0]), None)]))


@fault("INDICES_EQUAL_PRIMARY")
def forget_a_coin_in_its_page(draft: Draft, _: BlockContext, market: Market) -> None:
    page, key = divmod(market.id(2), 1 << PAGE_BITS)
    draft[COIN_PAGES].put(page, draft[COIN_PAGES][page].change([(key, None)]))


@fault("MARGIN_CACHE_FRESH")
def margin_by_a_stale_page(draft: Draft, block: BlockContext, market: Market) -> None:
    forget_a_coin_in_its_page(draft, block, market)
    margin.revalue(draft)


@fault("UNHEALTHY_IS_QUEUED")
def move_money_behind_the_sweep(draft: Draft, _: BlockContext, market: Market) -> None:
    ledger.move(draft, market.id(0), market.id(1), 0, ledger.get_cash(draft, market.id(0)))


@fault("LIQUIDATIONS_GO_ON")
def leave_a_liquidation_where_it_was(draft: Draft, _: BlockContext, market: Market) -> None:
    rows: Rows[int, Liquidation] = Rows()
    rows.apply({market.id(3): Liquidation(Stage.AUCTION, 1, 20)})
    draft._rows = {**draft._rows, LIQUIDATIONS: rows}
    del draft[LIQUIDATIONS]


@fault("LIQUIDATIONS_GO_ON")
def leave_a_liquidation_while_others_only_begin(draft: Draft, block: BlockContext, market: Market) -> None:
    leave_a_liquidation_where_it_was(draft, block, market)
    params = replace(draft[LIQUIDATION_PARAMS][0], ends_per_block=1)
    draft[LIQUIDATION_PARAMS].put(0, params)
    draft[LIQUIDATIONS].put(market.id(2), Liquidation(Stage.HEDGE, block.height, 0))


@fault("BOOK_NOT_CROSSED")
def cross_a_book(draft: Draft, _: BlockContext, market: Market) -> None:
    order_id = book.take_number(draft)
    future = market.future()
    resting = Order(market.id(0), future, Side.BUY, 200_000, 1, order_id, 0, 0)
    margin.add_order(draft, order_id, resting, draft[RISK_ARRAY][0].lines[future])


@fault("NONCES_ONLY_GROW")
def take_a_nonce_back(draft: Draft, _: BlockContext, market: Market) -> None:
    key = (market.id(0), market.solo.keys[0].public_key)
    draft[NONCES].put(key, NonceWindow(0, (0, 1)))


@fault("NONCES_ONLY_GROW")
def free_a_nonce(draft: Draft, _: BlockContext, market: Market) -> None:
    key = (market.id(0), market.solo.keys[0].public_key)
    window = draft[NONCES][key]
    draft[NONCES].put(key, NonceWindow(window.highest, (0, 1)))


@fault("NONCES_ONLY_GROW")
def forget_a_nonce(draft: Draft, _: BlockContext, market: Market) -> None:
    draft[NONCES].delete((market.id(0), market.solo.keys[0].public_key))


@fault("EXPIRED_IS_EMPTY")
def settle_what_still_trades(draft: Draft, _: BlockContext, market: Market) -> None:
    one = draft[INSTRUMENTS][market.future()]
    draft[SETTLEMENTS].put((one.underlying, one.expiry_ms), Settlement(1, 30, is_complete=True))


@fault("EXPIRED_IS_EMPTY")
def retire_what_is_held(draft: Draft, _: BlockContext, market: Market) -> None:
    draft[INSTRUMENTS].delete(market.option())


@fault("FUND_NOT_NEGATIVE")
def overdraw_the_fund(draft: Draft, _: BlockContext, market: Market) -> None:
    ledger.move(draft, INSURANCE_FUND, market.id(1), 0, ledger.get_cash(draft, INSURANCE_FUND) + 1)


@fault("FUND_NOT_NEGATIVE")
def repay_more_than_is_owed(draft: Draft, _: BlockContext, market: Market) -> None:
    ledger.move(draft, market.id(1), FUND_DEBT, 0, 1)


@fault("FUND_NOT_NEGATIVE")
def keep_a_fee(draft: Draft, _: BlockContext, market: Market) -> None:
    ledger.move(draft, market.id(1), FEE_POT, 0, 1)


@fault("TIME_ONLY_GROWS")
def price_from_the_future(draft: Draft, block: BlockContext, _: Market) -> None:
    feed = draft[FEEDS][BTC]
    fields = {name: getattr(feed, name) for name in feed.__struct_fields__}
    draft[FEEDS].put(BTC, type(feed)(**{**fields, "updated_ms": block.time_ms + 1}))


@fault("DUST_ONLY_GROWS")
def take_dust_back(draft: Draft, _: BlockContext, __: Market) -> None:
    draft[DUST].put(0, -1)


@fault("RANGES_IN_BOUNDS")
def announce_a_range_beyond_its_ceiling(draft: Draft, _: BlockContext, __: Market) -> None:
    state = draft[RANGES][BTC]
    schedule = replace(state.schedule, announced_ppm=(500_100,))
    draft[RANGES].put(BTC, replace(state, schedule=schedule))


@fault("RANGES_IN_BOUNDS")
def price_another_range(draft: Draft, _: BlockContext, __: Market) -> None:
    surface.set_range(draft, BTC, 200_000)


@fault("RANGES_IN_BOUNDS")
def weigh_opposed_scenarios_less(draft: Draft, _: BlockContext, __: Market) -> None:
    margin.set_cross_weight(draft, 400_000)


@fault("INITIAL_COVERS_MAINTENANCE")
def charge_less_initially(draft: Draft, _: BlockContext, __: Market) -> None:
    charges = draft[CHARGES][0]
    draft[CHARGES].put(0, charges._replace(short_im=charges.basis_im, short_mm=charges.concentration_im))


@fault("ORDERS_ARE_COUNTED")
def order_of_nobody(draft: Draft, _: BlockContext, __: Market) -> None:
    order_id = next(iter(draft[ORDERS].keys()))
    draft[ACCOUNTS].delete(draft[ORDERS][order_id].account_id)


@fault("MARGIN_CACHE_FRESH")
def skip_the_margin_of_an_order(draft: Draft, _: BlockContext, market: Market) -> None:
    order_id = book.take_number(draft)
    book.add(draft, order_id, Order(market.id(0), market.future(), Side.BUY, 100_000, 1, order_id, 0, 0))


@fault("MARGIN_CACHE_FRESH")
def count_an_order_twice(draft: Draft, _: BlockContext, market: Market) -> None:
    order = draft[ORDERS][next(iter(draft[ORDERS].keys()))]
    margin.count_order(draft, order, draft[RISK_ARRAY][0].lines[order.instrument_id], 1)


@fault("MARGIN_CACHE_FRESH")
def hide_coins_from_margin(draft: Draft, _: BlockContext, market: Market) -> None:
    ledger.move(draft, market.id(2), market.id(1), BTC, 10**7)


@fault("INDICES_EQUAL_PRIMARY")
def lose_a_holder(draft: Draft, _: BlockContext, market: Market) -> None:
    holders = draft[HOLDERS][market.future()]
    draft[HOLDERS].put(market.future(), holders[:-1])


@fault("INDICES_EQUAL_PRIMARY")
def list_another_lot(draft: Draft, _: BlockContext, market: Market) -> None:
    listing = draft[LISTING][0]
    draft[LISTING].put(0, listing._replace(lots_e8=listing.lots_e8 + 1))


@fault("INDICES_EQUAL_PRIMARY")
def lose_an_owner(draft: Draft, _: BlockContext, market: Market) -> None:
    draft[OWNERS].delete(market.solo.keys[3].public_key)


@pytest.fixture(scope="module")
def busy() -> Market:
    """A market with positions, resting orders, coins and used nonces."""
    market = Market(4, deposits={**dict.fromkeys(range(4), ((0, 200000 * USD),)), 2: ((0, USD), (BTC, 10**8))})
    market.trade(0, 1, market.future(), 100)
    market.trade(0, 1, market.option(), 10)
    market.do(1, PlaceOrder(market.future(), SELL, 130_000, 5))
    market.do(0, PlaceOrder(market.future(), BUY, 110_000, 5))
    return market


def plant(monkeypatch: pytest.MonkeyPatch, market: Market, planted: Plant) -> None:
    """Run a fault after the last phase of the next block."""
    close: Callable[..., Any] = machine._close_block

    def close_and_break(draft: Draft, context: BlockContext, block: machine.Block) -> machine.Events:
        events: machine.Events = close(draft, context, block)
        planted(draft, context, market)
        return events

    monkeypatch.setattr(machine, "_close_block", close_and_break)


CASES = [pytest.param(name, plant_, id=f"{name}-{label}") for name, all_ in FAULTS.items() for label, plant_ in all_]


@pytest.mark.parametrize(("name", "planted"), CASES)
def test_planted_fault__is_caught_under_its_own_name_and_leaves_no_trace(
    name: str, planted: Plant, busy: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    app: ExchangeApplication = busy.solo.app
    before, height = app.fingerprint(), app.height
    # Only the promise in question is looked at: a fault may break more than one.
    only = [(one, check) for one, check in (*invariants.SUMS, *invariants.REBUILDS) if one == name]
    monkeypatch.setattr(invariants, "SUMS", only)
    monkeypatch.setattr(invariants, "REBUILDS", ())
    plant(monkeypatch, busy, planted)
    with pytest.raises(BrokenInvariantError, match=f"^{name}: .*height {height + 1}"):
        busy.apply()
    assert (app.fingerprint(), app.height) == (before, height)
    monkeypatch.undo()
    busy.apply()


@pytest.mark.parametrize(("name", "planted"), CASES)
def test_planted_fault__among_all_promises__halts(
    name: str, planted: Plant, busy: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, busy, planted)
    with pytest.raises(BrokenInvariantError):
        busy.apply()


def test_faults__cover_every_promise() -> None:
    assert all(FAULTS.values())
    assert len(invariants.NAMES) == len(set(invariants.NAMES))


def test_time_that_stands_still__halts(busy: Market) -> None:
    with pytest.raises(BrokenInvariantError, match="block time strictly increases"):
        busy.apply(time_ms=busy.solo.time_ms)


def test_healthy_block__checks_every_promise_in_its_rhythm(busy: Market) -> None:
    request = busy.solo.make_request
    applied = busy.apply(busy.sign(3, CancelAll(0)))
    assert applied.checked == invariants.NAMES
    busy.solo.time_ms += 1
    block = machine.Block(busy.solo.height + 1, busy.solo.time_ms, 0, request().txs)
    rare = machine.apply_block(busy.solo.app.state, block, rebuilds=False)
    assert rare.checked == tuple(name for name, _ in invariants.SUMS)
    assert list_unhealthy(busy.draft) == []
