"""One validator's sample: fresh sources only, outliers out, at least three, integers throughout."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.node.sampler import FeedSample, Quote, median_floor, sample

PRICE_E8 = 100_000 * 10**8
CADENCE_MS = 60_000


def quotes_of(prices: list[int], *, age_ms: int = 0) -> list[Quote]:
    return [Quote(f"v{i}", price, age_ms, CADENCE_MS) for i, price in enumerate(prices)]


near = st.integers(-30_000, 30_000).map(lambda offset_ppm: PRICE_E8 * (1_000_000 + offset_ppm) // 1_000_000)


def test_sample__five_agreeing_venues__is_their_median() -> None:
    prices = [PRICE_E8 + i * 10**8 for i in range(5)]
    price_e8 = PRICE_E8 + 2 * 10**8
    floor_e8 = -(-price_e8 // 10_000)  # one basis point, rounded up
    assert sample(quotes_of(prices)) == FeedSample(price_e8, floor_e8, sources=5, age_ms=0, rejected=0)


@given(st.lists(near, min_size=5, max_size=9))
def test_sample__every_subset_of_live_sources__under_three_is_no_price(prices: list[int]) -> None:
    for count in range(len(prices) + 1):
        for live in combinations(range(len(prices)), count):
            quotes = [
                Quote(f"v{i}", price, 0 if i in live else 2 * CADENCE_MS + 1, CADENCE_MS)
                for i, price in enumerate(prices)
            ]
            result = sample(quotes)
            if count < 3:
                assert result is None
            if result is not None:
                assert result.sources >= 3
                assert result.sources + result.rejected == count
                assert min(prices[i] for i in live) <= result.price_e8 <= max(prices[i] for i in live)


@given(st.lists(near, min_size=4, max_size=4), st.integers(-(10**18), 10**18), st.integers(0, 4))
def test_sample__one_liar_of_five__stays_within_honest_prices(honest: list[int], lie: int, place: int) -> None:
    result = sample(quotes_of([*honest[:place], lie, *honest[place:]]))
    if result is not None:
        assert min(honest) <= result.price_e8 <= max(honest)


@given(st.lists(near, min_size=4, max_size=4))
def test_sample__one_venue_tells_tenfold__is_rejected(honest: list[int]) -> None:
    result = sample(quotes_of([*honest, 10 * PRICE_E8]))
    if result is not None:
        assert result.rejected >= 1
        assert min(honest) <= result.price_e8 <= max(honest)


@given(st.lists(st.integers(1, 10**17), min_size=3, max_size=9))
def test_sample__any_order_of_quotes__is_the_same(prices: list[int]) -> None:
    assert sample(quotes_of(prices)) == sample(reversed(quotes_of(prices)))


@given(st.lists(st.integers(1, 10**17), min_size=3, max_size=9))
def test_sample__any_prices__confidence_covers_half_the_spread_of_what_is_kept(prices: list[int]) -> None:
    result = sample(quotes_of(prices))
    if result is not None:
        assert result.confidence_e8 * 10_000 >= result.price_e8
        assert result.price_e8 > 0


def test_sample__one_of_three_an_outlier__is_no_price_rather_than_an_average() -> None:
    assert sample(quotes_of([PRICE_E8, PRICE_E8, 2 * PRICE_E8])) is None


def test_sample__ten_basis_points_apart__are_kept_and_beyond_are_not() -> None:
    edge = PRICE_E8 // 1_000
    inside = sample(quotes_of([PRICE_E8, PRICE_E8, PRICE_E8, PRICE_E8 + edge]))
    beyond = sample(quotes_of([PRICE_E8, PRICE_E8, PRICE_E8, PRICE_E8 + edge + 1]))
    assert inside is not None
    assert beyond is not None
    assert (inside.sources, beyond.sources, beyond.rejected) == (4, 3, 1)


def test_sample__spread_venues__reach_three_sigmas() -> None:
    # Deviations 0, 1000, 1000, 4447, 4448 around the median: MAD 1000, reach 4447.8.
    middle = 10**6
    kept = sample(quotes_of([middle, middle - 1_000, middle + 1_000, middle - 4_447, middle + 4_448]))
    assert kept is not None
    assert (kept.sources, kept.rejected) == (4, 1)


def test_sample__stale_future_and_impossible_quotes__are_not_sources() -> None:
    good = quotes_of([PRICE_E8] * 2)
    assert sample([*good, Quote("old", PRICE_E8, 2 * CADENCE_MS + 1, CADENCE_MS)]) is None
    assert sample([*good, Quote("future", PRICE_E8, -1, CADENCE_MS)]) is None
    assert sample([*good, Quote("zero", 0, 0, CADENCE_MS)]) is None
    assert sample(quotes_of([10**17 + 1] * 5)) is None
    assert sample([*good, Quote("edge", PRICE_E8, 2 * CADENCE_MS, CADENCE_MS)]) is not None


def test_median_floor__even_count__averages_down() -> None:
    assert median_floor([3, 1, 2, 2]) == 2
    assert median_floor([1, 2]) == 1
    assert median_floor([-1, -2]) == -2
