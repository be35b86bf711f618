"""The price path: the same for everybody, with the variance of the time between two looks, and moved by operators."""

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from holdfast.lab.market.path import START_PRICES_E8, PricePath
from holdfast.primitives.units import DAY_MS, E8, HOUR_MS, MINUTE_MS, PPM, YEAR_MS

START_MS = 1_763_700_000_123


def returns(path: PricePath, feed: str, step_ms: int, count: int) -> list[float]:
    prices = [path.price_e8(feed, START_MS + index * step_ms) for index in range(count + 1)]
    return [math.log(after / before) for before, after in pairwise(prices)]


def annual(rows: list[float], step_ms: int) -> float:
    return math.sqrt(sum(one * one for one in rows) / len(rows) * YEAR_MS / step_ms)


def test_path__start__has_the_given_prices() -> None:
    assert {feed: PricePath(1, START_MS).price_e8(feed, START_MS) for feed in START_PRICES_E8} == START_PRICES_E8
    path = PricePath(1, START_MS, {"BTC": 65_432 * E8})
    assert path.price_e8("BTC", START_MS) == path.price_e8("BTC", START_MS - DAY_MS) == 65_432 * E8
    assert path.price_e8("ETH", START_MS) == START_PRICES_E8["ETH"]


@pytest.mark.parametrize("step_ms", [250, 1_000, MINUTE_MS, 10 * MINUTE_MS])
def test_path__any_step__has_the_variance_of_its_time(step_ms: int) -> None:
    count = 4_000
    volatility = {feed: [] for feed in ("BTC", "ETH")}  # type: dict[str, list[float]]
    for seed in range(3):
        path = PricePath(seed, START_MS)
        for feed, found in volatility.items():
            found.append(annual(returns(path, feed, step_ms, count), step_ms))
    assert all(0.36 < one < 0.60 for one in volatility["BTC"])
    assert all(0.48 < one < 0.80 for one in volatility["ETH"])


def test_path__two_underlyings__go_together() -> None:
    path = PricePath(4, START_MS)
    btc, eth = returns(path, "BTC", MINUTE_MS, 6_000), returns(path, "ETH", MINUTE_MS, 6_000)
    together = sum(one * other for one, other in zip(btc, eth, strict=True))
    assert 0.7 < together / math.sqrt(sum(one * one for one in btc) * sum(one * one for one in eth)) < 0.95


def test_path__two_months__jumps_now_and_then() -> None:
    jumps = sum(abs(one) > 0.006 for one in returns(PricePath(2, START_MS), "BTC", MINUTE_MS, 30 * 1_440))
    assert 5 < jumps < 60


def test_path__stable_coins__stay_near_par() -> None:
    path = PricePath(3, START_MS)
    for feed in ("USDC", "USDT"):
        prices = [path.price_e8(feed, START_MS + hour * HOUR_MS) for hour in range(1_000)]
        assert len(set(prices)) > 100
        assert all(abs(price - E8) < E8 // 1_000 for price in prices)


def test_path__any_order_and_any_thread__tells_the_same() -> None:
    times = [START_MS + index * 7_919 for index in range(600)] + [START_MS + DAY_MS, START_MS + 40 * DAY_MS]
    forward, backward, shared = (PricePath(5, START_MS) for _ in range(3))
    told = [forward.price_e8("ETH", time_ms) for time_ms in times]
    assert told == [backward.price_e8("ETH", time_ms) for time_ms in times[::-1]][::-1]
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda _: [shared.price_e8("ETH", time_ms) for time_ms in times], range(4)))
    assert all(row == told for row in rows)
    assert told != [PricePath(6, START_MS).price_e8("ETH", time_ms) for time_ms in times]


def test_path__restart_at_its_own_price__goes_on_as_it_would_have() -> None:
    first = PricePath(7, START_MS)
    again_ms = START_MS + 3 * HOUR_MS
    second = PricePath(7, again_ms, {"BTC": first.price_e8("BTC", again_ms)})
    later_ms = again_ms + 5 * HOUR_MS
    assert abs(first.price_e8("BTC", later_ms) - second.price_e8("BTC", later_ms)) <= 2


def test_move__at_once_and_over_a_time__come_on_top_of_the_path() -> None:
    plain, moved = PricePath(8, START_MS), PricePath(8, START_MS)
    now_ms = START_MS + HOUR_MS
    moved.move("BTC", 800_000, now_ms)
    moved.move("ETH", 2 * PPM, now_ms, 10 * MINUTE_MS)

    def ratio(feed: str, time_ms: int) -> float:
        return moved.price_e8(feed, time_ms) / plain.price_e8(feed, time_ms)

    assert ratio("BTC", now_ms - 1) == 1
    assert ratio("BTC", now_ms) == pytest.approx(0.8)
    assert ratio("BTC", now_ms + DAY_MS) == pytest.approx(0.8)
    assert ratio("ETH", now_ms + 5 * MINUTE_MS) == pytest.approx(math.sqrt(2))
    assert ratio("ETH", now_ms + 10 * MINUTE_MS) == pytest.approx(2)
    assert ratio("ETH", now_ms + DAY_MS) == pytest.approx(2)


def test_move_to__price__is_there_when_the_move_is_done() -> None:
    path = PricePath(9, START_MS)
    now_ms = START_MS + HOUR_MS
    path.move_to("BTC", 50_000 * E8, now_ms)
    assert path.price_e8("BTC", now_ms) == pytest.approx(50_000 * E8, rel=1e-9)
    path.move_to("USDC", 97 * E8 // 100, now_ms)
    assert path.price_e8("USDC", now_ms) == pytest.approx(0.97 * E8, rel=1e-8)


@pytest.mark.parametrize("after_ms", [0, 4 * MINUTE_MS, 30 * MINUTE_MS])
def test_take_back__move_under_way_or_done__leaves_the_path_as_it_was(after_ms: int) -> None:
    plain, moved = PricePath(10, START_MS), PricePath(10, START_MS)
    now_ms = START_MS + HOUR_MS
    move = moved.move("BTC", 500_000, now_ms, 10 * MINUTE_MS)
    moved.take_back(move, now_ms + after_ms)
    for later_ms in (0, MINUTE_MS, 5 * MINUTE_MS, HOUR_MS):
        time_ms = now_ms + after_ms + later_ms
        assert moved.price_e8("BTC", time_ms) == pytest.approx(plain.price_e8("BTC", time_ms), rel=1e-9)


def test_move__many_over_days__are_not_all_kept() -> None:
    path = PricePath(11, START_MS)
    plain = PricePath(11, START_MS)
    for day in range(200):
        path.move("BTC", 2 * PPM if day % 2 else PPM // 2, START_MS + day * DAY_MS)
    assert len(path._moves["BTC"]) <= 2
    end_ms = START_MS + 200 * DAY_MS
    assert path.price_e8("BTC", end_ms) == pytest.approx(plain.price_e8("BTC", end_ms), rel=1e-6)


def test_path__moved_beyond_all_bounds__stays_a_price() -> None:
    path = PricePath(12, START_MS)
    for _ in range(10):
        path.move("BTC", 10**12, START_MS)
        path.move("ETH", 1, START_MS)
    assert path.price_e8("BTC", START_MS) == 10**17
    assert path.price_e8("ETH", START_MS) == 100
