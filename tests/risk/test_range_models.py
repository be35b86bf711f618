"""What each model announces: by hand where it is a formula, against the exchange's rules where it is the exchange."""

import math
from collections.abc import Sequence

import pytest

from holdfast.primitives.units import E8, HOUR_MS
from holdfast.protocol.ledger.state import BTC
from holdfast.protocol.ranges import rules
from holdfast.protocol.ranges.params import DEFAULT_LIMITS, RangeParams
from holdfast.protocol.surface.params import RANGES_PPM
from holdfast.risk.range_models import MODELS, OWN_MODELS, Epoch, Settings

START_MS = 500_000 * HOUR_MS
SETTINGS = Settings("BTC", HOUR_MS, 4 * HOUR_MS, 0.99)
# Twelve hourly returns of 1 %, up and down, then a fall of a tenth.
PRICES = (*(100.0 + place % 2 for place in range(13)), 90.0)


def announce(name: str, prices: Sequence[float], settings: Settings = SETTINGS) -> list[int | None]:
    model = MODELS[name](settings)
    step_ms = settings.epoch_ms
    return [
        model.announce(Epoch(START_MS + place * step_ms, price, place > 0, is_fresh=True))
        for place, price in enumerate(prices)
    ]


def test_fixed__is_the_exchange_s_constant() -> None:
    assert set(announce("fixed", PRICES)) == {RANGES_PPM[BTC]}


def test_ewma__of_alternating_returns__is_the_quantile_of_their_volatility_over_the_root_of_time() -> None:
    ranges = announce("ewma", PRICES)
    assert ranges[:10] == [None] * 10
    # 2.5758 is the normal's 99.5 %; the first ten returns begin the variance, the decay is 0.94 a day.
    before = math.log(1.01) ** 2
    assert ranges[12] == math.ceil(2.5758293035489004 * math.sqrt(4 * before) * 1e6)
    decay = 0.94 ** (1 / 24)
    after = decay * before + (1 - decay) * math.log(90 / 100) ** 2
    assert ranges[13] == pytest.approx(2.5758293035489004 * math.sqrt(4 * after) * 1e6, abs=1.0)


def test_historical__is_the_largest_past_move_while_few_are_known() -> None:
    prices = [100.0] * 9 + [103.0] * 9
    ranges = announce("historical", prices)
    assert ranges[:13] == [None] * 13
    assert ranges[13:] == [math.ceil(0.03 * 1e6 + 1e-6)] * 5


def test_historical__at_a_lower_confidence__takes_the_order_statistic() -> None:
    half = Settings("BTC", HOUR_MS, HOUR_MS, 0.5)
    moves = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.10]
    prices = [100.0]
    for move in moves:
        prices.append(prices[-1] * (1 + move))
    assert announce("historical", prices, half)[-1] == pytest.approx(50_000, abs=1)


def test_adaptive__is_what_the_state_machine_s_rules_announce() -> None:
    params, limits = RangeParams(), DEFAULT_LIMITS[BTC]
    state = rules.start_range(params, limits, ())
    expected = []
    for place, price in enumerate(PRICES):
        state = rules.follow(params, limits, state, 500_000 + place, round(price * E8), 0)
        expected.append(state.schedule.in_force_ppm)
    assert announce("adaptive", PRICES) == expected
    assert expected[-1] > expected[0]


def test_adaptive__at_a_finer_epoch__is_sampled_at_the_chain_s_own() -> None:
    quarter = Settings("BTC", HOUR_MS // 4, HOUR_MS, 0.99)
    by_quarter = announce("adaptive", [price for price in PRICES for _ in range(4)], quarter)
    assert by_quarter[::4] == announce("adaptive", PRICES)


def test_adaptive__across_a_gap__takes_no_return_and_keeps_its_range() -> None:
    model = MODELS["adaptive"](SETTINGS)
    model.announce(Epoch(START_MS, 100.0, follows=False, is_fresh=True))
    before = model.announce(Epoch(START_MS + HOUR_MS, 101.0, follows=True, is_fresh=True))
    after = [
        model.announce(Epoch(START_MS + (6 + place) * HOUR_MS, 50.0, place > 0, is_fresh=True)) for place in range(4)
    ]
    assert after == [before] * 4


def test_adaptive__where_nothing_was_quoted__is_not_sampled() -> None:
    params, limits = RangeParams(), DEFAULT_LIMITS[BTC]
    model = MODELS["adaptive"](SETTINGS)
    told = [(100.0, True), (100.0, False), (80.0, True), *[(80.0, True)] * 8]
    found = [
        model.announce(Epoch(START_MS + place * HOUR_MS, price, place > 0, is_fresh))
        for place, (price, is_fresh) in enumerate(told)
    ]
    # One return over two epochs, as the chain takes it.
    state = rules.start_range(params, limits, ())
    expected = []
    for place, (price, is_fresh) in enumerate(told):
        if is_fresh:
            state = rules.follow(params, limits, state, 500_000 + place, round(price * E8), 0)
        expected.append(state.schedule.in_force_ppm)
    assert found == expected
    assert announce("adaptive", [price for price, _ in told]) != expected


@pytest.mark.parametrize("name", MODELS)
def test_every_model__announces_before_it_sees(name: str) -> None:
    calm = [100.0 + place % 3 for place in range(60)]
    crash = [*calm[:40], *(price / 2 for price in calm[40:])]
    assert announce(name, calm)[:40] == announce(name, crash)[:40]


def test_own_models__are_models() -> None:
    assert set(OWN_MODELS) < set(MODELS)
