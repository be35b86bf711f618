"""Repricing: marks, risk rows, the risk array."""

from datetime import UTC, datetime

import numpy as np
import pytest

from holdfast.primitives import pricing
from holdfast.primitives.codec import Record
from holdfast.primitives.pricing import Grid, Options, Slices
from holdfast.primitives.units import DAY_MS, E8, MINUTE_MS, PPM, value_per_lot_atoms
from holdfast.protocol.block import BlockContext
from holdfast.protocol.instruments import handlers as instruments
from holdfast.protocol.instruments import params as instrument_params
from holdfast.protocol.instruments import rules as instrument_rules
from holdfast.protocol.instruments.messages import InstrumentHalted, InstrumentResumed
from holdfast.protocol.instruments.params import CONTRACT_SPECS, INSTRUMENT_PARAMS
from holdfast.protocol.instruments.state import INSTRUMENTS, LISTING, NAMES, NEXT_INSTRUMENT, SERIES, Kind
from holdfast.protocol.ledger.state import BTC, ETH, USDC, USDT
from holdfast.protocol.limits import ROW_ATOMS_MAX
from holdfast.protocol.margin import params as margin_params
from holdfast.protocol.oracle import handlers as oracle
from holdfast.protocol.oracle import params as oracle_params
from holdfast.protocol.oracle.messages import FeedReport, Report, SliceReport, SurfaceReport
from holdfast.protocol.oracle.params import ORACLE_PARAMS
from holdfast.protocol.oracle.state import FEEDS
from holdfast.protocol.surface import handlers, params, rules
from holdfast.protocol.surface.params import SURFACE_PARAMS
from holdfast.protocol.surface.state import MARKS, RISK_ARRAY, RISK_ROWS, SURFACES, RiskArray
from holdfast.state.draft import Draft
from holdfast.state.store import State
from holdfast.state.table import AnyTable

TABLES: list[AnyTable] = [
    INSTRUMENTS, NEXT_INSTRUMENT, INSTRUMENT_PARAMS, CONTRACT_SPECS, NAMES, SERIES, FEEDS, ORACLE_PARAMS,
    SURFACES, MARKS, RISK_ROWS, RISK_ARRAY, SURFACE_PARAMS, LISTING,
]  # fmt: skip
START = int(datetime(2025, 10, 10, 0, 1, tzinfo=UTC).timestamp()) * 1000
PRICES = {USDC: 1.0, BTC: 121_700.0, ETH: 4_370.0, USDT: 0.9995}


class World:
    """Blocks of a minute with four equal reports, then listing and repricing, as the machine does it."""

    def __init__(self) -> None:
        self.state = State(TABLES)
        draft = self.state.draft()
        for module in (instrument_params, oracle_params, params):
            module.initialise(draft)
        self.state.commit(self.state.seal(draft))
        self.height = 0

    def step(
        self,
        prices: dict[int, float] | None = None,
        *,
        surfaces: bool = True,
        silent: bool = False,
        fixings: dict[tuple[int, int], tuple[int, int]] | None = None,
    ) -> tuple[Record, ...]:
        self.height += 1
        draft = self.state.draft()
        now = START + self.height * MINUTE_MS
        block = BlockContext(self.height, now, now - MINUTE_MS, 0)
        report = make_report(draft, now, {**PRICES, **(prices or {})}, surfaces=surfaces)
        reports = [] if silent else [(index, 1, report) for index in range(4)]
        oracle.apply_reports(draft, block, reports, 4)
        events = (
            *handlers.apply_reports(draft, block, reports, 4),
            *instruments.list_due(draft, block, rules.get_references_e8(draft)),
            *handlers.reprice(draft, block, fixings or {}),
        )
        self.state.commit(self.state.seal(draft))
        return events

    @property
    def draft(self) -> Draft:
        return self.state.draft()

    @property
    def array(self) -> RiskArray:
        return self.draft[RISK_ARRAY][0]

    def id_of(self, name: str) -> int:
        return self.draft[NAMES][name]


def make_report(draft: Draft, now: int, prices: dict[int, float], *, surfaces: bool) -> Report:
    feeds = tuple(FeedReport(feed, int(prices[feed] * E8), 10**6, 5, 0) for feed in sorted(prices))
    slices = []
    for underlying, volatility in ((BTC, 400_000), (ETH, 600_000)):
        expiries = instrument_rules.list_expiries(draft, draft[INSTRUMENT_PARAMS][0], underlying, now)
        price = int(prices[underlying] * E8)
        slices.append(
            SurfaceReport(
                underlying,
                tuple(
                    SliceReport(
                        expiry,
                        price + price * (expiry - now) // (20 * 365 * DAY_MS),
                        volatility**2 * (expiry - now) // (365 * DAY_MS),
                        -150_000,
                        790_000,
                        300_000,
                        4_000_000,
                    )
                    for expiry in expiries
                ),
            )
        )
    return Report(feeds, tuple(slices) if surfaces else ())


@pytest.fixture(scope="module")
def world() -> World:
    made = World()
    made.step()
    return made


def test_reprice__first_block__prices_everything_that_it_lists(world: World) -> None:
    ids = list(world.draft[INSTRUMENTS].keys())
    assert list(world.draft[MARKS].keys()) == list(world.draft[RISK_ROWS].keys()) == ids
    assert world.array.instrument_ids.tolist() == ids
    assert sorted(world.array.lines) == ids
    assert all(len(row) == 256 for _, row in world.draft[RISK_ROWS].items())
    assert world.array.prices_e8 == {feed: int(price * E8) for feed, price in PRICES.items()}
    assert world.array.lot_value_atoms == {BTC: 1_217_000_000, ETH: 437_000_000}


def test_array__every_line__is_what_the_tables_say(world: World) -> None:
    array = world.array
    groups: dict[int, list[tuple[int, int, int, Kind]]] = {}
    for place, instrument_id in enumerate(array.instrument_ids.tolist()):
        instrument, line = world.draft[INSTRUMENTS][instrument_id], array.lines[instrument_id]
        assert line.place == place
        assert line.row.tobytes() == world.draft[RISK_ROWS][instrument_id] == array.rows[place].tobytes()
        mark = world.draft[MARKS][instrument_id].mark_e8
        assert line.value_atoms == array.values_atoms[place] == value_per_lot_atoms(mark, instrument.lot_e8)
        assert line.underlying == array.underlyings[place] == instrument.underlying
        assert line.is_future == bool(array.is_future[place]) == (instrument.kind == Kind.FUTURE)
        assert line.strike_group == array.strike_groups[place]
        if instrument.kind == Kind.FUTURE:
            assert line.strike_group == -1
        else:
            key = (instrument.underlying, instrument.expiry_ms, instrument.strike_e8, instrument.kind)
            groups.setdefault(line.strike_group, []).append(key)
    for members in groups.values():
        assert len(members) == 2
        assert members[0][:3] == members[1][:3]
        assert {member[3] for member in members} == {Kind.CALL, Kind.PUT}


def test_array__arrays__cannot_be_written(world: World) -> None:
    for array in (world.array.rows, world.array.values_atoms, world.array.instrument_ids):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize("name", ["BTC_USDC-17OCT25-122500-C", "ETH_USDC-28NOV25-4200-P", "BTC_USDC-31OCT25"])
def test_rows__one_instrument_priced_alone__are_the_same(world: World, name: str) -> None:
    draft, instrument_id = world.draft, world.id_of(name)
    instrument, surface = draft[INSTRUMENTS][instrument_id], draft[SURFACES][BTC if name[0] == "B" else ETH]
    part = next(part for part in surface.slices if part.expiry_ms == instrument.expiry_ms)
    forward = draft[FEEDS][instrument.underlying].price_e8 * part.forward_ratio_e9 // 10**9
    remaining = instrument.expiry_ms - surface.updated_ms

    def column(value: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([value], dtype=np.int64)

    slices = Slices(
        column(forward), column(part.theta_e12), column(part.rho_ppm), column(part.eta_ppm),
        column(0), column(PPM), column(remaining), column(0), column(part.shift_ppm), column(part.width_ppm),
    )  # fmt: skip
    options = Options(
        column(0), column(instrument.strike_e8), column(instrument.kind != Kind.PUT), column(instrument.lot_e8)
    )
    grid = draft[SURFACE_PARAMS][instrument.underlying]
    shocks = Grid(*(np.array([getattr(grid, field)], dtype=np.int64) for field in Grid._fields))
    marks = pricing.compute_marks(slices, options)
    assert int(marks.mark_e8[0]) == draft[MARKS][instrument_id].mark_e8
    rows = pricing.compute_rows(slices, options, shocks, marks.mark_e8)
    assert rows.tobytes() == draft[RISK_ROWS][instrument_id]


def test_rows__order_of_scenarios__is_that_which_margin_reads(world: World) -> None:
    assert params.ROW_FLAT == margin_params.ROW_FLAT
    assert params.ROW_TAIL_FIRST == margin_params.ROW_TAIL_FIRST
    assert (params.MOVES, params.VOLATILITIES) == (margin_params.SPOT_BUCKETS, margin_params.VOL_COLUMNS)
    assert not world.array.rows[:, params.ROW_FLAT].any()
    call = world.array.lines[world.id_of("BTC_USDC-31OCT25-120000-C")].row
    put = world.array.lines[world.id_of("BTC_USDC-31OCT25-120000-P")].row
    for move in range(9):
        down, flat, up = call[3 * move : 3 * move + 3].tolist()
        assert down < flat < up
    assert (np.diff(call[1:27:3]) > 0).all()
    assert (np.diff(put[1:27:3]) < 0).all()
    assert call[params.ROW_SKEW] != 0


@pytest.mark.parametrize(("underlying", "edge"), [(BTC, 160_000), (ETH, 180_000)])
def test_rows__future__is_linear_and_tails_count_as_much_as_the_edge(world: World, underlying: int, edge: int) -> None:
    name = {BTC: "BTC_USDC-31OCT25", ETH: "ETH_USDC-31OCT25"}[underlying]
    line = world.array.lines[world.id_of(name)]
    value = line.value_atoms
    for move in range(9):
        shock = edge * (move - 4) // 4
        assert all(abs(entry - value * shock // PPM) <= 2 for entry in line.row[3 * move : 3 * move + 3].tolist())
    expected = [-edge, -edge, edge, edge]
    for entry, share in zip(line.row[27:31].tolist(), expected, strict=True):
        assert abs(entry - value * share // PPM) <= value // PPM + 2
    assert line.row[params.ROW_SKEW] == 0


def test_collateral_shocks__each_asset__has_32_and_none_when_flat(world: World) -> None:
    for asset in (BTC, ETH, USDT):
        shocks = rules.get_collateral_shocks_ppm(world.draft, asset)
        assert len(shocks) == 32
        assert shocks[params.ROW_FLAT] == shocks[params.ROW_SKEW] == 0
    assert rules.get_collateral_shocks_ppm(world.draft, BTC)[:3] == (-160_000,) * 3
    assert rules.get_collateral_shocks_ppm(world.draft, ETH)[24:27] == (180_000,) * 3
    assert rules.get_collateral_shocks_ppm(world.draft, USDT)[27:31] == (-100_000, -50_000, 0, 0)


def test_collateral_shocks__another_range__follow_the_stored_grid(world: World) -> None:
    draft = world.draft
    handlers.set_range(draft, BTC, 240_000)
    assert rules.get_collateral_shocks_ppm(draft, BTC)[:3] == (-240_000,) * 3
    assert rules.get_collateral_shocks_ppm(draft, BTC)[27:31] == (-240_000, -240_000, 240_000, 240_000)
    assert rules.get_collateral_shocks_ppm(draft, ETH)[:3] == (-180_000,) * 3


def test_reprice__no_surface_yet__lists_and_prices_nothing_but_tells_prices() -> None:
    world = World()
    world.step(surfaces=False)
    assert not world.draft[INSTRUMENTS].keys()
    assert world.array.lines == {}
    assert world.array.rows.shape == (0, 32)
    assert world.array.prices_e8[BTC] == 121_700 * E8
    world.step()
    assert len(world.array.lines) == len(world.draft[INSTRUMENTS].keys()) > 200


def test_reprice__no_reports__goes_on_at_the_prices_that_stand_while_variance_wears_off() -> None:
    world = World()
    world.step()
    instrument_id = world.id_of("BTC_USDC-10OCT25-122000-C")
    before = world.draft[MARKS][instrument_id]
    for _ in range(60):
        world.step(silent=True)
    after = world.draft[MARKS][instrument_id]
    assert after.mark_e8 < before.mark_e8
    assert abs(after.iv_ppm - before.iv_ppm) <= 5_000
    assert world.draft[SURFACES][BTC].updated_height == 1


def test_reprice__suspect_move__holds_the_marks_too() -> None:
    world = World()
    world.step()
    future = world.id_of("BTC_USDC-31OCT25")
    before = world.draft[MARKS][future].mark_e8
    world.step({BTC: 110_000.0})
    assert abs(world.draft[MARKS][future].mark_e8 - before) < before // 10_000
    world.step({BTC: 110_000.0})
    assert world.draft[MARKS][future].mark_e8 < before * 92 // 100


def test_reprice__price_falls__new_strikes_are_priced_in_the_same_block() -> None:
    world = World()
    world.step()
    count = len(world.array.lines)
    world.step({BTC: 118_000.0})
    world.step({BTC: 118_000.0})
    assert len(world.array.lines) > count
    assert sorted(world.array.lines) == list(world.draft[INSTRUMENTS].keys())


def test_reprice__all_expiries_of_the_surface_past__keeps_marks_and_lists_nothing_new() -> None:
    world = World()
    world.step()
    marks = dict(world.draft[MARKS].items())
    world.height += 250 * 1_440
    world.step(silent=True)
    assert {key: world.draft[MARKS][key] for key in marks} == marks


def test_reprice__row_above_the_ceiling__halts_and_keeps_the_last_row_until_it_fits() -> None:
    world = World()
    world.step()
    instrument_id = world.id_of("BTC_USDC-31OCT25")
    huge = {BTC: 9_000_000.0}  # a lot of 90,000 USD: its value alone passes 2^36 atoms
    row, events = b"", world.step(huge)
    while InstrumentHalted(instrument_id) not in events:
        row, events = world.draft[RISK_ROWS][instrument_id], world.step(huge)
        assert world.height < 5
    world.step(huge)
    assert world.draft[RISK_ROWS][instrument_id] == row
    assert world.draft[INSTRUMENTS][instrument_id].is_halted
    assert int(np.abs(world.array.rows).max()) <= ROW_ATOMS_MAX
    back = [event for _ in range(3) for event in world.step()]
    assert InstrumentResumed(instrument_id) in back
    assert not world.draft[INSTRUMENTS][instrument_id].is_halted
    assert world.draft[RISK_ROWS][instrument_id] != row


def test_reprice__price_beyond_the_kernel__halts_and_does_not_stop_the_chain() -> None:
    world = World()
    world.step()
    absurd = {BTC: 500_000_000.0}
    for _ in range(4):
        world.step(absurd)
    assert world.draft[INSTRUMENTS][world.id_of("BTC_USDC-31OCT25")].is_halted
    assert not world.draft[INSTRUMENTS][world.id_of("ETH_USDC-31OCT25")].is_halted
    assert BTC not in rules.get_references_e8(world.draft)


def test_reprice__fixing_complete__is_worth_its_payoff_in_every_scenario() -> None:
    world = World()
    world.step()
    instrument_id = world.id_of("BTC_USDC-10OCT25-118000-C")
    expiry = world.draft[INSTRUMENTS][instrument_id].expiry_ms
    world.step(fixings={(BTC, expiry): (120_000 * E8, 0)})
    line = world.array.lines[instrument_id]
    assert line.value_atoms == 20_000_000
    assert not line.row.any()


def test_rebuild__restored_replica__has_the_same_array_and_next_root() -> None:
    world = World()
    world.step()
    world.step({BTC: 121_500.0})
    restored = World()
    restored.state = State(TABLES)
    restored.state.load(list(world.state.export()))
    draft = restored.state.draft()
    instruments.rebuild(draft)
    handlers.rebuild(draft)
    restored.state.commit(restored.state.seal(draft))
    restored.height = world.height
    for name in ("instrument_ids", "values_atoms", "rows", "underlyings", "is_future", "strike_groups"):
        assert np.array_equal(getattr(world.array, name), getattr(restored.array, name))
    assert world.array.lot_value_atoms == restored.array.lot_value_atoms
    assert world.array.prices_e8 == restored.array.prices_e8
    world.step({BTC: 121_000.0})
    restored.step({BTC: 121_000.0})
    assert world.state.root == restored.state.root


def test_remove__retired_instrument__leaves_the_array_at_the_next_repricing() -> None:
    world = World()
    world.step()
    draft = world.state.draft()
    instrument_id = world.id_of("BTC_USDC-10OCT25-118000-C")
    handlers.remove(draft, instrument_id)
    instruments.retire(draft, instrument_id)
    assert instrument_id in draft[RISK_ARRAY][0].lines
    handlers.rebuild(draft)
    assert instrument_id not in draft[RISK_ARRAY][0].lines
