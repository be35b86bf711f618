"""Ranges in the machine: sampled once an epoch at prices that count, and written where margin reads them."""

from collections.abc import Mapping
from typing import Final

import pytest
from msgspec.structs import replace

from holdfast.lab.solo import Solo
from holdfast.node.exchange import ExchangeApplication
from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.units import HOUR_MS, PPM
from holdfast.protocol.margin.params import MARGIN_PARAMS, MarginParams
from holdfast.protocol.margin.state import CHARGE_SCALES, CHARGES
from holdfast.protocol.oracle.state import FEEDS, Status
from holdfast.protocol.ranges.messages import ChargeScaleChanged, CrossWeightChanged, RangeAnnounced, RangeChanged
from holdfast.protocol.ranges.params import LIMITS, RangeHistory, RangeParams
from holdfast.protocol.ranges.state import CORRELATIONS, RANGES
from holdfast.protocol.surface.params import SURFACE_PARAMS
from tests.support.exchange import BTC, ETH, USD, Market

PARAMS: Final = RangeParams()


def market(genesis: Mapping[str, object] | None = None, **more: object) -> Market:
    """Return a market of a block each half hour, so that two make an epoch."""
    return Market(2, genesis=genesis, interval_ms=HOUR_MS // 2, **more)  # type: ignore[arg-type]


def move(one: Market, ppm: int, underlying: int = BTC) -> None:
    one.solo.prices[underlying] = one.solo.prices[underlying] * (PPM + ppm) // PPM


def in_force(one: Market, underlying: int = BTC) -> int:
    return one.draft[RANGES][underlying].schedule.in_force_ppm


def edge(one: Market, underlying: int = BTC) -> int:
    return one.draft[SURFACE_PARAMS][underlying].spot_ppm[26]


def test_first_blocks__no_move_yet__keep_the_start_and_sample_once_an_epoch() -> None:
    one = market()
    state = one.draft[RANGES][BTC]
    assert (edge(one), edge(one, ETH)) == (160_000, 180_000)
    assert state.epoch == one.solo.time_ms // HOUR_MS
    assert state.price_e8 == one.draft[FEEDS][BTC].price_e8
    one.run(8)
    after = one.draft[RANGES][BTC]
    assert after.epoch == state.epoch + 4
    assert len(after.residuals_ppm) == 4


def test_a_crash__widens_the_grid_at_once_and_announces_more() -> None:
    one = market(blocks=4)
    before = in_force(one)
    move(one, -120_000)
    events = one.run(3)
    changed = [event for event in events if isinstance(event, RangeChanged) and event.underlying == BTC]
    announced = [event for event in events if isinstance(event, RangeAnnounced) and event.underlying == BTC]
    assert changed[0].is_emergency
    assert changed[0].range_ppm > before
    assert edge(one) == in_force(one) == changed[-1].range_ppm
    assert announced[0].range_ppm > changed[0].range_ppm
    assert announced[0].from_ms % HOUR_MS == 0
    assert in_force(one, ETH) <= 1.1 * 180_000


def test_an_announced_range__comes_into_force_in_the_epoch_that_was_named() -> None:
    one = market(blocks=4)
    moves, announced = (14_000, -14_000, 14_000, -14_000, 14_000, -14_000, 14_000, -14_000), {}
    seen = 0
    for ppm in moves:
        move(one, ppm)
        for event in [event for _ in range(2) for event in one.run(1)]:
            if isinstance(event, RangeAnnounced) and event.underlying == BTC:
                announced[event.from_ms] = event.range_ppm
            elif isinstance(event, RangeChanged) and event.underlying == BTC and not event.is_emergency:
                started_ms = one.solo.time_ms // HOUR_MS * HOUR_MS
                assert announced[max(from_ms for from_ms in announced if from_ms <= started_ms)] == event.range_ppm
                seen += 1
    assert seen


def test_prices_in_doubt__wait__and_the_next_good_one_is_one_step() -> None:
    one = market(blocks=4)
    before = one.draft[RANGES][BTC]
    kept = one.solo.prices.pop(BTC)
    one.run(6)
    assert one.draft[FEEDS][BTC].status == Status.STALE
    assert one.draft[RANGES][BTC] == before
    assert one.draft[RANGES][ETH].epoch == before.epoch + 3
    one.solo.prices[BTC] = kept
    while one.draft[RANGES][BTC].epoch == before.epoch:
        one.block()
    after = one.draft[RANGES][BTC]
    assert after.epochs == after.epoch - before.epoch == 3
    assert len(after.residuals_ppm) == len(before.residuals_ppm) + 1


def test_returns_over_different_times__say_nothing_of_the_correlation() -> None:
    one = market(blocks=4)
    before, sampled = one.draft[CORRELATIONS][0], one.draft[RANGES][BTC].epoch
    kept = one.solo.prices.pop(BTC)
    one.run(4)
    one.solo.prices[BTC] = kept
    while one.draft[RANGES][BTC].epoch == sampled:
        one.block()
    assert one.draft[CORRELATIONS][0] == before
    one.run(2)
    assert one.draft[CORRELATIONS][0].epoch == one.draft[RANGES][BTC].epoch


def test_underlyings_that_part__make_opposed_scenarios_weigh_more() -> None:
    one = market(blocks=4)
    assert one.draft[MARGIN_PARAMS][0].cross_weight_ppm == 500_000
    events = []
    for _ in range(6):
        move(one, 30_000)
        move(one, -30_000, ETH)
        events += one.run(2)
    weight = one.draft[MARGIN_PARAMS][0].cross_weight_ppm
    assert weight > 600_000
    assert [event for event in events if isinstance(event, CrossWeightChanged)][-1].weight_ppm == weight


def test_open_interest__above_its_mark__raises_short_and_concentration_charges_alone() -> None:
    limits = tuple(replace(one, interest_lower_usd=1_000, interest_upper_usd=20_000) for one in LIMITS)
    one = market({"range_limits": limits})
    calm = one.draft[CHARGES][0]
    one.trade(0, 1, one.option(), 11)
    one.run(2)
    # 11 lots of 0.01 BTC at some 120,000 USD: between the marks.
    scale = one.draft[CHARGE_SCALES][BTC]
    assert PPM < scale < 3 * PPM
    assert [event.scale_ppm for event in one.events if isinstance(event, ChargeScaleChanged)] in ([], [scale])
    charges = one.draft[CHARGES][0]
    assert charges.short_im[0] > calm.short_im[0]
    assert charges.concentration_mm[0] > calm.concentration_mm[0]
    assert charges.basis_im == calm.basis_im
    assert charges.short_im[1:] == calm.short_im[1:]


def test_open_interest__without_bound__never_passes_the_bounds_of_charges() -> None:
    limits = tuple(replace(one, interest_lower_usd=1, interest_upper_usd=2) for one in LIMITS)
    margin = MarginParams(short_im_ppm=90_000, concentration_im_ppm=150_000)
    one = market({"range_limits": limits, "margin_params": margin})
    one.trade(0, 1, one.future(), 1)
    one.run(2)
    charges, worth = one.draft[CHARGES][0], one.solo.prices[BTC] // 10**4
    assert charges.short_im[0] == pytest.approx(worth * 0.1, abs=1)
    assert charges.concentration_im[0] == pytest.approx(worth * 0.2, abs=1)


def test_a_chain_that_does_not_adapt__keeps_its_start_for_good() -> None:
    one = market({"range_params": RangeParams(is_adaptive=False)}, blocks=4)
    move(one, -120_000)
    one.run(6)
    assert (edge(one), edge(one, ETH)) == (160_000, 180_000)
    assert one.draft[MARGIN_PARAMS][0].cross_weight_ppm == 500_000
    assert not one.draft[RANGES].keys()


def test_genesis__with_a_history__begins_with_the_range_that_it_gives() -> None:
    wild = tuple(15_000_000 * (-1) ** number for number in range(200))
    history = tuple(RangeHistory(underlying, wild) for underlying in (BTC, ETH))
    one = market({"range_history": history})
    assert in_force(one) == edge(one) > 180_000
    # They moved as one: opposed scenarios weigh the least.
    assert one.draft[MARGIN_PARAMS][0].cross_weight_ppm == 400_000


@pytest.mark.parametrize(
    ("changes", "claim"),
    [
        ({"range_limits": LIMITS[:1]}, "each underlying has its limits, in order"),
        ({"range_history": (RangeHistory(BTC, (1,)),)}, "each underlying has its history"),
        ({"range_params": RangeParams(announce_epochs=0)}, "a change is announced"),
        ({"margin_params": MarginParams(cross_weight_ppm=399_900)}, "opposed scenarios begin at a weight in bounds"),
    ],
)
def test_genesis__out_of_bounds__halts(changes: Mapping[str, object], claim: str) -> None:
    with pytest.raises(BrokenInvariantError, match=claim):
        market(changes)


def test_collateral__in_coins__is_stressed_by_the_range_in_force() -> None:
    one = market(deposits={0: ((0, 1_000 * USD), (BTC, 10**8)), 1: ((0, 1_000 * USD),)}, blocks=4)
    before = one.need(0)
    move(one, -120_000)
    one.run(4)
    after = one.need(0)
    assert in_force(one) > 160_000
    assert after.initial_atoms / after.equity_atoms > 1.2 * before.initial_atoms / before.equity_atoms
    assert 0 <= after.maintenance_atoms <= after.initial_atoms


@pytest.mark.parametrize("reopened_after", [3, 4, 5])
def test_reopened_midway__goes_on_to_the_same_roots(reopened_after: int) -> None:
    roots: list[list[bytes]] = [[], []]
    for is_reopened, found in enumerate(roots):
        one = Solo(2, interval_ms=HOUR_MS // 2, snapshot_every=2)
        for number in range(12):
            one.prices[BTC] = one.prices[BTC] * (100 + (-1) ** number * 4) // 100
            one.block()
            found.append(one.app.state.root)
            if is_reopened and number == reopened_after:
                one.app.close()
                one.app = ExchangeApplication(one.disk, one.report, snapshot_every=2)
    assert roots[0] == roots[1]
