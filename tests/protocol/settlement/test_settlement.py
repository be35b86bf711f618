"""The settlement average, paying out, and the daily realisation."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.primitives.codec import Record
from holdfast.primitives.units import DAY_MS, E8, HOUR_MS, MINUTE_MS, PPM
from holdfast.protocol.accounts.state import CLEARING_BASE, INSURANCE_FUND, TREASURY
from holdfast.protocol.block import BlockContext
from holdfast.protocol.book.state import ORDERS, Order
from holdfast.protocol.instruments import handlers as instruments
from holdfast.protocol.instruments import params as instrument_params
from holdfast.protocol.instruments.state import INSTRUMENTS, NAMES, SERIES
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import BALANCES, BTC, ETH, USDC
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.params import MARGIN_PARAMS, MarginParams
from holdfast.protocol.oracle import params as oracle_params
from holdfast.protocol.oracle.state import FEEDS, Feed, Status
from holdfast.protocol.portfolio import handlers as portfolio
from holdfast.protocol.portfolio.state import POSITIONS
from holdfast.protocol.schema import TABLES
from holdfast.protocol.settlement import handlers, rules
from holdfast.protocol.settlement import params as settlement_params
from holdfast.protocol.settlement.messages import (
    FutureRealised,
    InstrumentSettled,
    PositionSettled,
    SettlementPriceFixed,
)
from holdfast.protocol.settlement.params import SETTLEMENT_PARAMS, SettlementParams
from holdfast.protocol.settlement.state import SETTLEMENTS, WINDOWS
from holdfast.protocol.surface import handlers as surface
from holdfast.protocol.surface import params as surface_params
from holdfast.protocol.surface.state import MARKS, RISK_ARRAY, RISK_ROWS, SURFACES, Slice, Surface
from holdfast.protocol.trading.messages import OrderCancelled
from holdfast.state.store import State

EXPIRY = int(datetime(2025, 10, 10, 8, tzinfo=UTC).timestamp()) * 1000
START = EXPIRY - 30 * MINUTE_MS
PRICES = {BTC: 121_700 * E8, ETH: 4_370 * E8}


class World:
    """A state with listed instruments, moved by blocks whose prices and statuses the test sets."""

    def __init__(self, steps_per_block: int = 2_000, *, reprices: bool = True) -> None:
        self.reprices = reprices
        self.draft = State(TABLES).draft()
        for module in (instrument_params, oracle_params, surface_params, settlement_params):
            module.initialise(self.draft)
        self.draft[SETTLEMENT_PARAMS].put(0, SettlementParams(steps_per_block=steps_per_block))
        self.height = 0
        self.events: list[Record] = []
        self.set_prices(PRICES, Status.LIVE, START - HOUR_MS)
        for underlying in PRICES:
            smile = (-100_000, 800_000, 0, 1_000_000)
            ahead = tuple(Slice(EXPIRY + day * DAY_MS, 10**9, 10**9 * (1 + day), *smile) for day in range(30))
            self.draft[SURFACES].put(underlying, Surface(2, ahead, START - HOUR_MS, 1))
        block = BlockContext(1, START - HOUR_MS, 0, 0)
        instruments.list_due(self.draft, block, PRICES)
        surface.reprice(self.draft, block, {})
        for account_id in range(1_000, 1_012):
            ledger.deposit(self.draft, account_id, USDC, 10**12)
        self.draft[MARGIN_PARAMS].put(0, MarginParams())
        margin.revalue(self.draft)
        self.total = self.sum_of_cash()

    def set_prices(self, prices: dict[int, int], status: Status, now_ms: int) -> None:
        for underlying, price in prices.items():
            feed = Feed(price, 10**9, status, 4, now_ms, self.height, now_ms, self.height, 0, None, is_flagged=False)
            self.draft[FEEDS].put(underlying, feed)

    def step(self, now_ms: int, btc: int = 121_700, status: Status = Status.LIVE) -> tuple[Record, ...]:
        self.height += 1
        block = BlockContext(self.height, now_ms, 0, 0)
        self.set_prices({BTC: btc * E8, ETH: PRICES[ETH]}, status, now_ms)
        events = (*handlers.sample(self.draft, block), *handlers.settle_due(self.draft, block))
        if self.reprices:
            surface.reprice(self.draft, block, handlers.get_fixings(self.draft, block))
        events = (*events, *handlers.realise_daily(self.draft, block))
        self.events.extend(events)
        return events

    def trade(self, name: str, buyer: int, seller: int, lots: int, value_atoms: int) -> int:
        """Book a trade as trading does: an option's premium in cash, a future's profit against its pot."""
        instrument_id = self.draft[NAMES][name]
        is_future = name.count("-") == 1
        for account_id, sign in ((buyer, 1), (seller, -1)):
            realised = portfolio.change(self.draft, account_id, instrument_id, sign * lots, sign * value_atoms)
            pot = CLEARING_BASE + instrument_id
            if is_future:
                ledger.move(self.draft, pot, account_id, USDC, realised)
        if not is_future:
            ledger.move(self.draft, buyer, seller, USDC, value_atoms)
        return instrument_id

    def sum_of_cash(self) -> int:
        return sum(amount for _, amount in self.draft[BALANCES].items())

    def cash(self, account_id: int) -> int:
        return ledger.get_cash(self.draft, account_id)

    @property
    def fixed(self) -> list[SettlementPriceFixed]:
        return [e for e in self.events if isinstance(e, SettlementPriceFixed) and e.underlying == BTC]


def run_window(world: World, bad: set[int], first: int = 0, last: int = 31) -> None:
    """Give a block a minute, from minute `first` of the window on; the price is 120,000 plus the minute's number."""
    for minute in range(first, last):
        status = Status.STALE if minute in bad else Status.LIVE
        world.step(START + minute * MINUTE_MS, 120_000 + minute, status)


def test_average__thirty_good_minutes__settles_at_the_expiry_block() -> None:
    world = World(reprices=False)
    run_window(world, set(), last=30)
    assert not world.fixed
    run_window(world, set(), first=30)
    price = sum(120_000 * E8 + minute * E8 for minute in range(30)) // 30
    assert world.fixed == [SettlementPriceFixed(BTC, EXPIRY, price, 30)]
    assert world.draft[SETTLEMENTS][BTC, EXPIRY].is_complete
    assert (BTC, EXPIRY) not in world.draft[SERIES]
    assert (BTC, EXPIRY) not in world.draft[WINDOWS]


def test_average__many_blocks_a_minute__takes_the_minutes_median() -> None:
    world = World(reprices=False)
    for minute in range(30):
        for second, price in ((0, 100_000), (15, 120_000), (30, 120_002), (45, 900_000)):
            world.step(START + minute * MINUTE_MS + second * 1_000, price)
    world.step(EXPIRY)
    assert world.fixed[0].price_e8 == 120_001 * E8


def test_average__bad_prices_inside_a_good_minute__do_not_count() -> None:
    world = World(reprices=False)
    for minute in range(30):
        world.step(START + minute * MINUTE_MS, 120_000, Status.DEGRADED)
        world.step(START + minute * MINUTE_MS + 20_000, 10, Status.SUSPECT)
        world.step(START + minute * MINUTE_MS + 40_000, 10, Status.STALE)
    world.step(EXPIRY)
    assert world.fixed[0].price_e8 == 120_000 * E8


def test_average__five_bad_minutes__are_left_out() -> None:
    world = World(reprices=False)
    run_window(world, {3, 4, 5, 6, 7})
    good = [minute for minute in range(30) if not 3 <= minute <= 7]
    assert world.fixed == [
        SettlementPriceFixed(BTC, EXPIRY, sum(120_000 * E8 + minute * E8 for minute in good) // 25, 25)
    ]


def test_average__six_bad_minutes__window_slides_until_25_are_good() -> None:
    world = World(reprices=False)
    run_window(world, set(range(3, 9)), last=34)
    assert not world.fixed
    # The window that ends with minute 33 holds minutes 4 to 33, of which 9 to 33 are good.
    run_window(world, set(), first=34, last=35)
    assert world.fixed == [SettlementPriceFixed(BTC, EXPIRY, (120_000 + sum(range(9, 34)) // 25) * E8, 25)]


def test_average__blocks_a_long_way_apart__never_count_minutes_without_a_block() -> None:
    world = World(reprices=False)
    for minute in (0, 10, 20, 30, 40):
        world.step(START + minute * MINUTE_MS, 120_000)
    assert not world.fixed
    assert [good.minute for good in world.draft[WINDOWS][BTC, EXPIRY].good] == [
        START // MINUTE_MS + minute for minute in (0, 10, 20, 30)
    ]


def test_average__every_other_minute_for_a_day__the_last_25_count_after_24_hours() -> None:
    world = World(reprices=False)
    for minute in range(0, 30 + 24 * 60, 2):
        world.step(START + minute * MINUTE_MS, 120_000 + minute)
        assert not world.fixed
    world.step(EXPIRY + DAY_MS, 1)
    last = [30 + 24 * 60 - 2 * back for back in range(1, 26)]
    assert world.fixed == [SettlementPriceFixed(BTC, EXPIRY, sum((120_000 + minute) * E8 for minute in last) // 25, 25)]


def test_average__fewer_than_25_after_24_hours__waits_for_them() -> None:
    world = World(reprices=False)
    run_window(world, set(range(10, 30)), last=30)
    world.step(EXPIRY + DAY_MS + MINUTE_MS, 120_000, Status.HALTED)
    for minute in range(2, 17):
        world.step(EXPIRY + DAY_MS + minute * MINUTE_MS, 121_000)
        assert not world.fixed
    world.step(EXPIRY + DAY_MS + 17 * MINUTE_MS, 1)
    assert world.fixed[0].minutes == 25


def test_settle__call_put_and_future__pay_their_worth_once_and_empty_the_pot() -> None:
    world = World()
    series = "BTC_USDC-10OCT25"
    call = world.trade(f"{series}-118000-C", 1_000, 1_001, 200, 7_000_000)
    put = world.trade(f"{series}-124000-P", 1_002, 1_001, 300, 9_000_000)
    worthless = world.trade(f"{series}-124000-C", 1_002, 1_003, 50, 1_000)
    future = world.trade(series, 1_000, 1_003, 100, 100 * 1_217_000_000)
    world.trade(series, 1_003, 1_002, 40, 40 * 1_216_000_000)
    before = {account_id: world.cash(account_id) for account_id in range(1_000, 1_004)}
    for minute in range(30):
        world.step(START + minute * MINUTE_MS, 120_000)
    # The daily run of this day began at the first block; the future's profit is still in its cost.
    world.step(EXPIRY, 500_000)
    # A lot is 0.01 BTC: the call pays 20 USD, the put 40, the future goes from 1217 or 1216 to 1200.
    fee_call = 200 * 1_200_000_000 * 150 // PPM
    fee_put = 300 * 1_200_000_000 * 150 // PPM
    assert world.cash(1_000) - before[1_000] == 200 * 20_000_000 - 100 * 17_000_000 - fee_call
    assert world.cash(1_001) - before[1_001] == -200 * 20_000_000 - 300 * 40_000_000
    assert world.cash(1_002) - before[1_002] == 300 * 40_000_000 + 40 * 16_000_000 - fee_put
    assert world.cash(1_003) - before[1_003] == 60 * 17_000_000
    assert world.cash(INSURANCE_FUND) + world.cash(TREASURY) == fee_call + fee_put
    for instrument_id in (call, put, worthless, future):
        assert world.cash(CLEARING_BASE + instrument_id) == 0
        assert instrument_id not in world.draft[INSTRUMENTS]
        assert instrument_id not in world.draft[MARKS]
        assert instrument_id not in world.draft[RISK_ROWS]
        assert instrument_id not in world.draft[RISK_ARRAY][0].lines
    assert not [key for key, _ in world.draft[POSITIONS].items() if key[1] in (call, put, worthless, future)]
    assert world.sum_of_cash() == world.total
    assert world.step(EXPIRY + MINUTE_MS, 120_000) == ()
    settled = [event.instrument_id for event in world.events if isinstance(event, InstrumentSettled)]
    assert len(settled) == len(set(settled)) == 34


def test_settle__receipts__add_up_to_every_change_of_cash() -> None:
    world = World(reprices=False)
    for strike in (116_000, 118_000, 120_000, 122_000, 124_000):
        for index, kind in enumerate("CP"):
            world.trade(f"BTC_USDC-10OCT25-{strike}-{kind}", 1_000 + index, 1_004 + strike // 2_000 % 3, 77, 123_457)
    before = dict(world.draft[BALANCES].items())
    run_window(world, set())
    changes: dict[int, int] = {}
    for event in world.events:
        if isinstance(event, PositionSettled):
            fees = event.insurance_fee_atoms + event.treasury_fee_atoms
            changes[event.account_id] = changes.get(event.account_id, 0) + event.amount_atoms - fees
            changes[INSURANCE_FUND] = changes.get(INSURANCE_FUND, 0) + event.insurance_fee_atoms
            changes[TREASURY] = changes.get(TREASURY, 0) + event.treasury_fee_atoms
    for account_id, change in changes.items():
        assert world.cash(account_id) - before.get((account_id, USDC), 0) == change
    assert sum(changes.values()) == 0
    assert world.sum_of_cash() == world.total


@given(
    trades=st.lists(
        st.tuples(
            st.sampled_from(["", "-116000-C", "-122000-C", "-122000-P", "-126000-P"]),
            st.integers(1_000, 1_005),
            st.integers(1_000, 1_005),
            st.integers(1, 1_000),
            st.integers(1, 10**9),
        ).filter(lambda trade: trade[1] != trade[2]),
        max_size=15,
    ),
    price=st.integers(50_000, 250_000),
    steps=st.integers(1, 40),
)
@settings(max_examples=25, deadline=None)
def test_settle__any_positions_and_budget__conserves_and_empties_every_pot(
    trades: list[tuple[str, int, int, int, int]], price: int, steps: int
) -> None:
    world = World(steps, reprices=False)
    for suffix, buyer, seller, lots, value in trades:
        world.trade(f"BTC_USDC-10OCT25{suffix}", buyer, seller, lots, lots * value)
    for minute in range(25):
        world.step(START + (minute + 5) * MINUTE_MS, price)
    blocks = 0
    while not (found := world.draft[SETTLEMENTS].get((BTC, EXPIRY))) or not found.is_complete:
        world.step(EXPIRY + blocks * MINUTE_MS, 7)
        blocks += 1
        assert blocks < 200
        assert world.sum_of_cash() == world.total
    assert world.fixed[0].price_e8 == price * E8
    assert not [key for key, _ in world.draft[BALANCES].items() if key[0] >= CLEARING_BASE]
    assert not world.draft[POSITIONS].keys()


def test_settle__small_budget__gives_what_a_large_one_gives() -> None:
    worlds = [World(2_000, reprices=False), World(5, reprices=False)]
    for world in worlds:
        for index in range(8):
            world.trade("BTC_USDC-10OCT25-118000-C", 1_000 + index, 1_008 + index % 3, 10 + index, 5_000 + index)
            world.trade("BTC_USDC-10OCT25", 1_000 + index, 1_008 + index % 3, 3, 3 * (1_217_000_000 + index))
        for minute in range(60):
            events = world.step(START + minute * MINUTE_MS, 120_000)
            # An instrument is settled whole, so the small budget is passed by one instrument's positions at most.
            assert sum(isinstance(event, PositionSettled) for event in events) <= (25 if world is worlds[0] else 5 + 11)
    assert dict(worlds[0].draft[BALANCES].items()) == dict(worlds[1].draft[BALANCES].items())


def test_expiry__price_not_yet_fixed__empties_the_book() -> None:
    world = World()
    instrument_id = world.draft[NAMES]["BTC_USDC-10OCT25-122000-C"]
    order = Order(1_000, instrument_id, 0, 100, 5, 1, 0, 0)
    margin.add_order(world.draft, 1, order, world.draft[RISK_ARRAY][0].lines[instrument_id])
    world.step(EXPIRY - 1)
    assert 1 in world.draft[ORDERS]
    events = world.step(EXPIRY, status=Status.STALE)
    assert [event.order_id for event in events if isinstance(event, OrderCancelled)] == [1]
    assert 1 not in world.draft[ORDERS]
    assert instrument_id in world.draft[INSTRUMENTS]
    assert instrument_id in world.draft[RISK_ARRAY][0].lines


def test_fixing__flat_price__gives_a_flat_future_through_the_window() -> None:
    world = World()
    instrument_id = world.draft[NAMES]["BTC_USDC-10OCT25"]
    for minute in range(30):
        world.step(START + minute * MINUTE_MS, 121_700)
        fixed, variable = rules.get_fixing(world.draft, BTC, EXPIRY, START + minute * MINUTE_MS)
        assert variable == -(-(30 - minute) * PPM // 30)
        assert (fixed == 0) == (minute == 0)
        assert abs(world.draft[MARKS][instrument_id].mark_e8 - 121_700 * E8) <= 2


def test_fixing__inside_the_window__shocks_the_open_part_alone() -> None:
    world = World()
    instrument_id = world.draft[NAMES]["BTC_USDC-10OCT25"]
    sizes = []
    for minute in range(30):
        world.step(START + minute * MINUTE_MS, 121_700)
        sizes.append(-int(world.draft[RISK_ARRAY][0].lines[instrument_id].row[0]))
    assert all(near > far for near, far in pairwise(sizes))
    assert abs(sizes[15] * 2 - sizes[0]) <= sizes[0] // 1_000


def test_fixing__expired_and_waiting__stays_priced_by_what_is_good() -> None:
    world = World()
    run_window(world, set(range(20)), last=45)
    assert not world.fixed
    fixed, variable = rules.get_fixing(world.draft, BTC, EXPIRY, START + 44 * MINUTE_MS)
    assert fixed > 0
    assert variable == PPM // 25
    row = world.draft[RISK_ARRAY][0].lines[world.draft[NAMES]["BTC_USDC-10OCT25"]].row
    assert int(row[0]) < 0
    run_window(world, set(), first=45, last=46)
    assert world.fixed[0].minutes == 25


def test_fixing__price_written_and_budget_short__is_the_price() -> None:
    world = World(1)
    world.trade("BTC_USDC-10OCT25-118000-C", 1_000, 1_001, 10, 5_000)
    for minute in range(31):
        world.step(START + minute * MINUTE_MS, 120_000)
    assert rules.get_fixing(world.draft, BTC, EXPIRY, EXPIRY) == (120_000 * E8, 0)
    line = world.draft[RISK_ARRAY][0].lines[world.draft[NAMES]["BTC_USDC-10OCT25-118000-C"]]
    assert line.value_atoms == 20_000_000
    assert not line.row.any()


@pytest.mark.parametrize(
    ("name", "lots", "price", "fee"),
    [
        ("BTC_USDC-10OCT25-118000-C", 10, 120_000, 10 * 1_200_000_000 * 150 // PPM),
        ("BTC_USDC-10OCT25-118000-C", -10, 120_000, 0),
        ("BTC_USDC-10OCT25-118000-C", 10, 118_000, 0),
        ("BTC_USDC-10OCT25-118000-C", 1, 118_001, 1_250),  # an eighth of one cent
        ("BTC_USDC-10OCT25-118000-P", 10, 120_000, 0),
        ("BTC_USDC-10OCT25-118000-P", 7, 117_000, 7 * 175_500),
        ("BTC_USDC-10OCT25", 10, 120_000, 0),
    ],
)
def test_delivery_fee__each_case__is_bounded_and_charged_to_longs_in_the_money(
    name: str, lots: int, price: int, fee: int
) -> None:
    world = World()
    instrument = world.draft[INSTRUMENTS][world.draft[NAMES][name]]
    payoff = rules.compute_payoff_atoms(instrument, price * E8)
    assert rules.compute_delivery_fee_atoms(SettlementParams(), instrument, lots, payoff, price * E8) == fee


def test_daily__first_block_after_eight__pays_futures_and_resets_their_cost() -> None:
    world = World()
    name = "BTC_USDC-31OCT25"
    future = world.trade(name, 1_000, 1_001, 100, 100 * 1_217_000_000)
    option = world.trade("BTC_USDC-31OCT25-120000-C", 1_002, 1_003, 10, 10 * 50_000_000)
    world.step(EXPIRY - 2)
    world.step(EXPIRY - 1, 130_000)
    before = world.cash(1_000)
    cost = world.draft[POSITIONS][1_002, option].cost_atoms
    events = world.step(EXPIRY, 130_000)
    paid = {event.account_id: event.amount_atoms for event in events if isinstance(event, FutureRealised)}
    value = world.draft[RISK_ARRAY][0].lines[future].value_atoms
    assert paid == {1_000: 100 * (value - 1_217_000_000), 1_001: -100 * (value - 1_217_000_000)}
    assert world.cash(1_000) - before == paid[1_000] > 0
    assert world.draft[POSITIONS][1_000, future].cost_atoms == 100 * value
    assert world.cash(CLEARING_BASE + future) == 0
    assert world.draft[POSITIONS][1_002, option].cost_atoms == cost
    assert not any(isinstance(event, FutureRealised) for event in world.step(EXPIRY + MINUTE_MS, 140_000))
    assert any(isinstance(event, FutureRealised) for event in world.step(EXPIRY + DAY_MS, 140_000))
    assert world.sum_of_cash() == world.total


def test_daily__small_budget__goes_on_where_it_stopped() -> None:
    world = World(3)
    names = ["BTC_USDC-31OCT25", "ETH_USDC-31OCT25", "BTC_USDC-28NOV25"]
    for name in names:
        for index in range(4):
            world.trade(name, 1_000 + index, 1_004 + index, 5, 5 * 1_000_000_000)
    world.step(EXPIRY - 1)
    paid: list[tuple[int, int]] = []
    for minute in range(12):
        events = world.step(EXPIRY + minute * MINUTE_MS, 125_000)
        batch = [(event.instrument_id, event.account_id) for event in events if isinstance(event, FutureRealised)]
        assert len(batch) <= 3
        paid.extend(batch)
    assert paid == sorted(set(paid))
    assert len(paid) == len(names) * 8
    for name in names:
        assert world.cash(CLEARING_BASE + world.draft[NAMES][name]) == 0


def test_positions__left_over_in_other_expiries__are_untouched() -> None:
    world = World()
    kept = world.trade("BTC_USDC-17OCT25-120000-C", 1_000, 1_001, 10, 5_000)
    run_window(world, set())
    assert world.draft[POSITIONS][1_000, kept].lots == 10
    assert kept in world.draft[INSTRUMENTS]
