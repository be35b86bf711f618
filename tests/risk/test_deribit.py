"""Deribit: the venue's example and an answer to the last digit, and the rules of both margins one by one."""

import math
from typing import Any

import pytest

from holdfast.risk import (
    Expiry,
    FuturePosition,
    InputError,
    MarginResult,
    OptionPosition,
    Portfolio,
    Underlying,
    compute_margin,
    load_portfolio,
)
from holdfast.risk.black import YEAR_S, Terms, compute_price
from holdfast.risk.deribit_parameters import EXTENDED_MOVES
from holdfast.risk.rows import Row
from tests.support.margin_cases import EXAMPLES, MONTH_S

BTC = Underlying("BTC", 50_000.0, perpetual=50_000.0)


def pool(result: MarginResult, label: str = "BTC inverse") -> dict[str, Any]:
    found: Any = result.figures[label]
    return dict(found)


def perpetual(
    amount: float, *, is_inverse: bool = True, underlying: str = "BTC", mark: float = 50_000.0
) -> FuturePosition:
    return FuturePosition(f"{underlying}-PERPETUAL", underlying, amount, mark, is_inverse=is_inverse)


def option(
    amount: float, strike: float, *, is_call: bool = True, is_inverse: bool = True, vol: float = 0.6, days: float = 30
) -> OptionPosition:
    return OptionPosition("option", "BTC", days * 86_400, strike, is_call, amount, vol, is_inverse)


def hold(
    *positions: OptionPosition | FuturePosition, underlying: Underlying = BTC, **parameters: dict[str, float]
) -> Portfolio:
    times = {position.seconds for position in positions if position.seconds is not None}
    given = {model: Row(model, {"BTC": fields}) for model, fields in parameters.items()}
    return Portfolio(
        cash=0.0,
        options=tuple(position for position in positions if isinstance(position, OptionPosition)),
        futures=tuple(position for position in positions if isinstance(position, FuturePosition)),
        underlyings={underlying.name: underlying},
        expiries={(underlying.name, time): Expiry(underlying.name, time, underlying.spot) for time in times},
        parameters={model.replace("_", "-"): row for model, row in given.items()},
    )


def pm(portfolio: Portfolio) -> MarginResult:
    return compute_margin(portfolio, "deribit-pm")


def test_example_of_the_venue__every_figure__is_reproduced() -> None:
    result = pm(load_portfolio(EXAMPLES / "deribit_example.json"))
    figures = pool(result)
    assert figures["worst_case"] == pytest.approx(0.05968587238095239, abs=1e-16)
    assert figures["roll_shock"] == pytest.approx(0.00315725898, abs=1e-15)
    assert figures["risk_matrix_margin"] == pytest.approx(0.06284313098, abs=1e-15)
    assert result.initial == pytest.approx(0.122861343, abs=1e-15)
    assert result.maintenance == pytest.approx(0.050274504784, abs=1e-15)
    assert (result.currency, result.convention) == ("BTC", "requirement")
    assert (figures["mmp_margin"], figures["open_orders_margin"], figures["delta_shock"]) == (0.06, 0.000018212, 0.0)


def test_example_of_the_venue__risk_vectors__are_the_published_ones() -> None:
    result = pm(load_portfolio(EXAMPLES / "deribit_example.json"))
    losses = [-0.05968587238095239, -0.04272965863636364, -0.02724789826086957, -0.013056284583333334]
    wanted = [loss for loss in losses for _ in range(3)] + [0.0] * (15 + 8)
    assert list(result.scenarios.values()) == pytest.approx(wanted, abs=1e-15)
    # Both futures' vectors added up; in the extended table each is the edge's.
    extended = [-0.05991206933333334 + 0.0002261969523809524] * 2 + [0.04338460193103449 - 0.0001637977931034483] * 6
    assert list(pool(result)["extended"].values()) == pytest.approx(extended, abs=1e-15)


def test_answer_for_eth__with_offsets__is_reproduced() -> None:
    eth = Underlying("ETH", 1_949.34, perpetual=1_949.49)
    result = pm(hold(perpetual(-0.999487053, underlying="ETH", mark=1_949.49), underlying=eth))
    figures = pool(result, "ETH inverse")
    assert figures["worst_case"] == pytest.approx(0.15246412672881357, abs=1e-15)
    assert figures["roll_shock"] == pytest.approx(0.004997435265, abs=1e-15)
    assert figures["risk_matrix_margin"] == pytest.approx(0.157461562265, abs=1e-15)
    assert result.initial == 0.157461562
    assert result.maintenance == pytest.approx(0.125969249812, abs=1e-15)
    assert result.scenarios["price-18% vol-up"] == pytest.approx(0.13163975819999998, abs=1e-15)
    assert result.scenarios["price-4.5% vol-same"] == pytest.approx(0.028257749142408375, abs=1e-15)
    assert figures["extended"]["extended-66% vol-up"] == pytest.approx(0.21939959699999997, abs=1e-15)
    assert {value for name, value in result.scenarios.items() if "extended" in name} == {0.0}


def test_linear_perpetual__is_margined_in_usd() -> None:
    result = pm(hold(perpetual(2.0, is_inverse=False)))
    assert result.currency == "USD"
    assert result.scenarios["price-16% vol-up"] == pytest.approx(-16_000)
    assert result.initial == pytest.approx(16_000 + 0.01 * 100_000)
    assert result.maintenance == pytest.approx(0.8 * 17_000)


def test_option__in_both_kinds__is_priced_at_the_shocked_forward_and_vol() -> None:
    terms = Terms(55_000.0, MONTH_S, is_call=True)
    now, then = compute_price(terms, 50_000.0, 0.6), compute_price(terms, 58_000.0, 0.9)
    linear = pm(hold(option(-1.0, 55_000.0, is_inverse=False)))
    inverse = pm(hold(option(-1.0, 55_000.0)))
    assert linear.scenarios["price+16% vol-up"] == pytest.approx(now - then)
    assert inverse.scenarios["price+16% vol-up"] == pytest.approx(now / 50_000 - then / 58_000)
    assert linear.mark_to_market == pytest.approx(-now)


@pytest.mark.parametrize(("days", "scale"), [(10, 3**0.3), (30, 1.0), (90, (1 / 3) ** 0.13)])
def test_vol_shocks__by_days_to_expiry__take_their_power(days: float, scale: float) -> None:
    linear = pm(
        hold(
            option(1.0, 50_000.0, is_inverse=False, days=days), deribit_pm={"pnl_offset": 1, "max_offsetable_pnl": 1e9}
        )
    )
    terms = Terms(50_000.0, days * 86_400, is_call=True)
    now = compute_price(terms, 50_000.0, 0.6)
    up = compute_price(terms, 50_000.0, 0.6 * (1 + 0.5 * scale))
    down = compute_price(terms, 50_000.0, 0.6 * (1 - 0.25 * scale))
    assert linear.scenarios["price+0% vol-up"] == pytest.approx(up - now)
    assert linear.scenarios["price+0% vol-down"] == pytest.approx(down - now)


def test_vol_up__of_a_quiet_option__is_at_least_its_floor() -> None:
    quiet = pm(hold(option(-1.0, 50_000.0, is_inverse=False, vol=0.2)))
    terms = Terms(50_000.0, MONTH_S, is_call=True)
    wanted = compute_price(terms, 50_000.0, 0.2) - compute_price(terms, 50_000.0, 0.5)
    assert quiet.scenarios["price+0% vol-up"] == pytest.approx(wanted)


def test_extended_table__far_short_calls__count_beyond_their_dampener() -> None:
    amount = -1_000.0
    result = pm(hold(option(amount, 90_000.0, is_inverse=False)))
    terms = Terms(90_000.0, MONTH_S, is_call=True)
    change = amount * (compute_price(terms, 300_000.0, 0.9) - compute_price(terms, 50_000.0, 0.6))
    damped = change * 0.16 / 5 + (5 / 0.16 - 1) * 100_000
    assert result.scenarios["extended+500% vol-up"] == pytest.approx(damped)
    assert damped < result.scenarios["price+16% vol-up"]
    assert result.worst_scenario is not None
    assert result.worst_scenario.startswith("extended")


def test_extended_table__inverse__is_valued_at_the_edge() -> None:
    result = pool(pm(hold(option(-1.0, 90_000.0))))["extended"]
    terms = Terms(90_000.0, MONTH_S, is_call=True)
    for move, told in zip(EXTENDED_MOVES, result.values(), strict=True):
        forward, edge = 50_000 * (1 + move), 1 + math.copysign(0.16, move)
        coins = compute_price(terms, 50_000.0, 0.6) / 50_000 - compute_price(terms, forward, 0.9) / forward
        assert told == pytest.approx(coins * 0.16 / abs(move) * (1 + move) / edge)


def test_roll_shock__nets_within_an_expiry_and_grows_with_time() -> None:
    far = FuturePosition("far", "BTC", 1.0, 50_000.0, seconds=0.5 * YEAR_S, is_inverse=True)
    assert pool(pm(hold(perpetual(1.0), far)))["roll_shock"] == pytest.approx(0.01 + 0.075 * 0.5)
    near = FuturePosition("near", "BTC", -1.0, 50_000.0, seconds=0.1 * YEAR_S, is_inverse=True)
    assert pool(pm(hold(near)))["roll_shock"] == pytest.approx(0.01)
    synthetic = (option(1.0, 50_000.0, is_inverse=False), option(-1.0, 50_000.0, is_call=False, is_inverse=False))
    future = FuturePosition("hedge", "BTC", -1.0, 50_000.0, seconds=float(MONTH_S))
    assert pool(pm(hold(*synthetic, future)), "BTC linear")["roll_shock"] == pytest.approx(0.0, abs=1e-6)


def test_delta_shock__above_the_threshold__grows_up_to_its_cap() -> None:
    assert pool(pm(hold(perpetual(400.0))))["delta_shock"] == 0
    assert pool(pm(hold(perpetual(-1_400.0))))["delta_shock"] == pytest.approx(1_400 * 1_000 * 0.00005)
    assert pool(pm(hold(perpetual(100_000.0))))["delta_shock"] == pytest.approx(10_000)


def test_delta_shock__long_options__offset_and_never_add() -> None:
    puts = option(2_000.0, 90_000.0, is_call=False, is_inverse=False, vol=0.1)
    calls = option(2_000.0, 10_000.0, is_inverse=False, vol=0.1)
    bare = pool(pm(hold(perpetual(1_400.0, is_inverse=False))), "BTC linear")["delta_shock"]
    assert bare == pytest.approx(0.05 * 1_400 * 50_000)
    assert pool(pm(hold(perpetual(1_400.0, is_inverse=False), puts)), "BTC linear")["delta_shock"] == 0
    assert pool(pm(hold(perpetual(1_400.0, is_inverse=False), calls)), "BTC linear")["delta_shock"] == bare


def test_hedged_position__costs_its_roll_only() -> None:
    far = FuturePosition("far", "BTC", -1.0, 50_000.0, seconds=0.1 * YEAR_S, is_inverse=True)
    result = pm(hold(perpetual(1.0), far))
    assert result.initial == pytest.approx(0.02)


def test_two_kinds_of_one_coin__are_pools_whose_quotes_count_once() -> None:
    quoting = Underlying("BTC", 50_000.0, perpetual=50_000.0, mmp_margin=0.1)
    both = pm(hold(perpetual(1.0), perpetual(1.0, is_inverse=False), underlying=quoting))
    linear = pm(hold(perpetual(1.0, is_inverse=False)))
    inverse = pm(hold(perpetual(1.0)))
    assert both.currency == "USD"
    assert both.initial == pytest.approx((inverse.initial + 0.1) * 50_000 + linear.initial)
    assert {name.split(" price")[0] for name in both.scenarios if "price" in name} == {"BTC inverse", "BTC linear"}


def test_quotes_without_positions__are_margined_in_the_coin() -> None:
    result = pm(Portfolio(cash=100.0, underlyings={"BTC": Underlying("BTC", 50_000.0, mmp_margin=0.25)}))
    assert (result.currency, result.initial, result.maintenance) == ("BTC", 0.25, 0.0)
    assert result.mark_to_market == pytest.approx(0.002)


def test_coin_without_parameters__is_told_to_be_margined_as_btc() -> None:
    sol = Underlying("SOL", 150.0, perpetual=150.0)
    assert (
        pool(pm(hold(perpetual(1.0, underlying="SOL", mark=150.0), underlying=sol)), "SOL inverse")["parameters_of"]
        == "BTC"
    )


def test_parameters__given__take_the_place_of_the_defaults() -> None:
    wider = pm(
        hold(perpetual(1.0, is_inverse=False), deribit_pm={"price_range": 0.2, "mm_factor": 0.5, "buckets_count": 2})
    )
    assert list(wider.scenarios)[:4] == [
        "price-20% vol-up",
        "price-20% vol-same",
        "price-20% vol-down",
        "price-10% vol-up",
    ]
    assert wider.maintenance == pytest.approx(0.5 * wider.initial)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"price_rnage": 0.2}, "price_rnage: is no field of this row"),
        ({"price_range": 1.0}, "price_range: 1 is not between 0 and 1"),
        ({"price_range": 0.0}, "price_range: 0 is not between 0 and 1"),
        ({"buckets_count": 2.5}, "buckets_count: 2.5 is not a whole number"),
        ({"mm_factor": -1}, "mm_factor: -1 is below 0"),
    ],
)
def test_parameters__that_cannot_be__are_refused(fields: dict[str, float], words: str) -> None:
    with pytest.raises(InputError) as caught:
        pm(hold(perpetual(1.0), deribit_pm=fields))
    assert words in str(caught.value)


def test_expired_option__is_refused() -> None:
    with pytest.raises(InputError, match=r"^option: expiry: expired"):
        pm(hold(option(1.0, 50_000.0, days=0)))


def standard(portfolio: Portfolio) -> MarginResult:
    return compute_margin(portfolio, "deribit-standard")


@pytest.mark.parametrize(("strike", "share"), [(50_000.0, 0.15), (51_000.0, 0.13), (55_000.0, 0.1), (40_000.0, 0.15)])
def test_short_call__by_its_distance__takes_fifteen_to_ten_percent(strike: float, share: float) -> None:
    mark = compute_price(Terms(strike, MONTH_S, is_call=True), 50_000.0, 0.6) / 50_000
    result = standard(hold(option(-2.0, strike)))
    assert result.initial == pytest.approx(2 * (share + mark))
    assert result.maintenance == pytest.approx(2 * (0.075 + mark))
    linear = standard(hold(option(-2.0, strike, is_inverse=False)))
    assert linear.initial == pytest.approx(result.initial * 50_000)


def test_short_put__deep_inside__takes_a_share_of_its_mark() -> None:
    mark = compute_price(Terms(200_000.0, MONTH_S, is_call=False), 50_000.0, 0.6) / 50_000
    result = standard(hold(option(-1.0, 200_000.0, is_call=False)))
    assert result.maintenance == pytest.approx(1.075 * mark)
    assert result.initial == pytest.approx(max(mark + 0.15, 1.075 * mark))
    near = standard(hold(option(-1.0, 50_000.0, is_call=False)))
    mark = compute_price(Terms(50_000.0, MONTH_S, is_call=False), 50_000.0, 0.6) / 50_000
    assert near.initial == pytest.approx(mark + 0.15)
    assert near.maintenance == pytest.approx(mark + 0.075)


def test_long_option__has_no_standard_margin() -> None:
    result = standard(hold(option(3.0, 50_000.0)))
    assert (result.initial, result.maintenance, result.worst_scenario) == (0.0, 0.0, None)
    assert result.mark_to_market > 0


@pytest.mark.parametrize(("size", "initial", "maintenance"), [(25, 53_125, 28_125), (350, 1_312_500, 962_500)])
def test_linear_perpetual__of_the_venue_s_page__takes_two_percent_and_its_slope(
    size: float, initial: float, maintenance: float
) -> None:
    btc = Underlying("BTC", 100_000.0, perpetual=100_000.0)
    result = standard(hold(perpetual(-size, is_inverse=False, mark=100_000.0), underlying=btc))
    assert result.initial == pytest.approx(initial)
    assert result.maintenance == pytest.approx(maintenance)
