"""The volatility model: no arbitrage whatever the prices, sane in a crash, calm when prices are."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from holdfast.lab.volmodel import ETA_RHO_MAX, PARAMS, SurfaceQuote, VolModel
from holdfast.primitives.units import DAY_MS, E8, HOUR_MS, MINUTE_MS, PPM, YEAR_MS

T0_MS = 1_760_054_400_000
PRICE_E8 = 120_000 * E8
EXPIRIES = [8 * HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS, 180 * DAY_MS]


def quoted(model: VolModel, now_ms: int) -> SurfaceQuote:
    quote = model.quote(now_ms, [now_ms + span for span in EXPIRIES])
    assert quote is not None
    return quote


def vol_percent(model: VolModel, now_ms: int, span_ms: int = DAY_MS) -> float:
    quote = model.quote(now_ms, [now_ms + span_ms])
    assert quote is not None
    return float((quote.slices[0][2] * YEAR_MS / span_ms / 10**12) ** 0.5 * 100)


def driven(prices: list[int], *, feed: str = "BTC", step_ms: int = MINUTE_MS, validator: int = 0) -> VolModel:
    model = VolModel(feed, 7, validator)
    for i, price_e8 in enumerate(prices):
        model.observe(price_e8, T0_MS + i * step_ms)
    return model


def test_quote__before_any_price__is_none() -> None:
    assert VolModel("BTC", 7, 0).quote(T0_MS, [T0_MS + DAY_MS]) is None


def test_quote__first_price__is_the_long_run_level_and_carry() -> None:
    model = driven([PRICE_E8])
    assert abs(vol_percent(model, T0_MS) - 41.2) < 0.4
    expiry_ms, forward_e8, _ = model.quote(T0_MS, [T0_MS + YEAR_MS]).slices[0]  # type: ignore[union-attr]
    assert (expiry_ms, forward_e8) == (T0_MS + YEAR_MS, PRICE_E8 * 1_046 // 1_000)


@given(
    feed=st.sampled_from(sorted(PARAMS)),
    prices=st.lists(st.integers(1, 10**17), min_size=1, max_size=30),
    step_ms=st.sampled_from([1_000, MINUTE_MS, HOUR_MS]),
    validator=st.integers(0, 6),
)
def test_quote__any_prices__is_free_of_arbitrage(feed: str, prices: list[int], step_ms: int, validator: int) -> None:
    model = driven(prices, feed=feed, step_ms=step_ms, validator=validator)
    quote = quoted(model, T0_MS + len(prices) * step_ms)
    assert 0 < quote.eta_ppm * (PPM + abs(quote.rho_ppm)) <= ETA_RHO_MAX
    assert abs(quote.rho_ppm) < PPM
    thetas = [theta_e12 for _, _, theta_e12 in quote.slices]
    assert thetas[0] > 0
    assert thetas == sorted(thetas)
    assert len(thetas) == len(EXPIRIES)


def test_flat_prices__vol__sinks_smoothly_to_its_floor() -> None:
    model = VolModel("BTC", 7, 0)
    vols = []
    for minute in range(2 * 24 * 60):
        now_ms = T0_MS + minute * MINUTE_MS
        model.observe(PRICE_E8, now_ms)
        vols.append(vol_percent(model, now_ms, HOUR_MS))
    assert all(abs(later - earlier) < 1 for earlier, later in pairwise(vols))
    assert 29 < vols[-1] < 33


def test_crash__fifteen_percent_in_ten_minutes__front_vol_leads_and_fades_over_hours() -> None:
    fall = [PRICE_E8 * (1_000 - 15 * step) // 1_000 for step in range(1, 11)]
    prices = [PRICE_E8] * 60 + fall
    now_ms = T0_MS + (len(prices) - 1) * MINUTE_MS
    model = driven(prices)
    front, month = vol_percent(model, now_ms, DAY_MS // 2), vol_percent(model, now_ms, 30 * DAY_MS)
    assert 100 < front < 135
    assert 45 < month < 65
    later_vols = []
    for minute in range(1, 12 * 60):
        model.observe(fall[-1], now_ms + minute * MINUTE_MS)
        if minute % 120 == 0:
            later_vols.append(vol_percent(model, now_ms + minute * MINUTE_MS, DAY_MS // 2))
    assert later_vols == sorted(later_vols, reverse=True)
    assert later_vols[-1] < 60


def test_crash__in_one_block__stays_below_a_ceiling() -> None:
    model = driven([PRICE_E8] * 10 + [PRICE_E8 // 2] * 30)
    assert 100 < vol_percent(model, T0_MS + 39 * MINUTE_MS, DAY_MS // 2) < 145


def test_fall_and_rise__of_the_same_size__the_fall_adds_more() -> None:
    def step(factor_ppm: int) -> float:
        model = driven([PRICE_E8] * 60 + [PRICE_E8 * factor_ppm // PPM] * 10)
        return vol_percent(model, T0_MS + 69 * MINUTE_MS)

    assert step(970_000) > step(1_030_000) + 1


def test_block_interval__one_second_or_one_minute__gives_nearly_the_same_vol() -> None:
    def path(second: int) -> int:
        return PRICE_E8 * (1_000_000 + (second // 60 % 7) * 300) // 1_000_000

    by_minute = driven([path(60 * i) for i in range(120)])
    by_second = driven([path(i) for i in range(7_200)], step_ms=1_000)
    now_ms = T0_MS + 7_200_000
    assert abs(vol_percent(by_minute, now_ms) - vol_percent(by_second, now_ms)) < 6


def test_observe__the_same_time_again__changes_nothing() -> None:
    once, twice = driven([PRICE_E8, PRICE_E8 * 9 // 10]), driven([PRICE_E8, PRICE_E8 * 9 // 10])
    twice.observe(PRICE_E8, T0_MS + MINUTE_MS)
    assert quoted(once, T0_MS + MINUTE_MS) == quoted(twice, T0_MS + MINUTE_MS)


def test_validators__same_prices__differ_a_little() -> None:
    quotes = [quoted(driven([PRICE_E8] * 3, validator=validator), T0_MS + 3 * MINUTE_MS) for validator in range(4)]
    thetas = sorted(quote.slices[1][2] for quote in quotes)
    assert len(set(thetas)) > 1
    assert thetas[-1] * 100 < thetas[0] * 104


def test_quote__expiries_passed_repeated_or_unsorted__are_put_in_order() -> None:
    quote = driven([PRICE_E8]).quote(T0_MS, [T0_MS + DAY_MS, T0_MS, T0_MS - 1, T0_MS + HOUR_MS, T0_MS + DAY_MS])
    assert quote is not None
    assert [expiry_ms - T0_MS for expiry_ms, _, _ in quote.slices] == [HOUR_MS, DAY_MS]
