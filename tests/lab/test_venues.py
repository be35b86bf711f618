"""Venues of a replay: five a feed, synthetic ones from the unfaulted history, faults only where they are named."""

from pathlib import Path

import pytest

from holdfast.lab.draws import draw_bell, draw_between
from holdfast.lab.history import STABLES, History, Source, load_history
from holdfast.lab.venues import Venues, sample_offset_ms
from holdfast.node.sampler import sample
from holdfast.primitives.units import E8, MINUTE_MS, PPM

EXAMPLE = Path(__file__).parents[2] / "examples" / "crash_hour"
T0_MS = 1_760_054_400_000
MINUTES = 180


def history_of(venues: int, *, silent: range = range(0), feed: str = "BTC") -> History:
    points = [(T0_MS + i * MINUTE_MS, (100_000 + i) * E8) for i in range(MINUTES) if i not in silent]
    sources = tuple(Source.from_points(f"real{v}", feed, MINUTE_MS, points) for v in range(venues))
    return History((feed,), sources, (), T0_MS, T0_MS + (MINUTES - 1) * MINUTE_MS)


@pytest.mark.parametrize("real", [1, 3, 5, 6])
def test_venues__fewer_than_five__are_brought_to_five(real: int) -> None:
    names = Venues(history_of(real), 7, MINUTE_MS).names("BTC")
    assert names == tuple(f"real{v}" for v in range(real)) + tuple(f"synth-{k}" for k in range(1, 6 - real))


def test_quotes__same_seed__are_the_same_in_any_order_and_another_seed_differs() -> None:
    history = history_of(2)
    times = [T0_MS + minute * MINUTE_MS for minute in range(5, 60)]
    forward, backward = Venues(history, 7, MINUTE_MS), Venues(history, 7, MINUTE_MS)
    assert [forward.quotes("BTC", now) for now in times] == [backward.quotes("BTC", now) for now in times[::-1]][::-1]
    other = Venues(history, 8, MINUTE_MS)
    assert [forward.quotes("BTC", now) for now in times] != [other.quotes("BTC", now) for now in times]


def test_synthetic__quiet_history__is_near_it_with_noise_of_its_own() -> None:
    venues = Venues(history_of(1), 7, MINUTE_MS)
    told: dict[str, set[int]] = {}
    for minute in range(10, MINUTES):
        now_ms = T0_MS + minute * MINUTE_MS
        for quote in venues.quotes("BTC", now_ms):
            if quote.synthetic:
                offset_ppm = quote.price_e8 * PPM // ((100_000 + minute) * E8) - PPM
                assert abs(offset_ppm) < 1_600
                told.setdefault(quote.venue, set()).add(offset_ppm)
    assert sorted(told) == ["synth-1", "synth-2", "synth-3", "synth-4"]
    assert all(len(offsets) > 50 for offsets in told.values())


def test_synthetic__history_silent_beyond_its_cadence__falls_silent() -> None:
    venues = Venues(history_of(2, silent=range(60, 90)), 7, MINUTE_MS)
    assert sample(venues.quotes("BTC", T0_MS + 61 * MINUTE_MS)) is not None
    assert sample(venues.quotes("BTC", T0_MS + 65 * MINUTE_MS)) is None
    assert sample(venues.quotes("BTC", T0_MS + 92 * MINUTE_MS)) is not None


def test_synthetic__some_ticks__drop_out() -> None:
    venues = Venues(history_of(1), 7, MINUTE_MS)
    ages = [
        quote.age_ms
        for minute in range(10, MINUTES)
        for quote in venues.quotes("BTC", T0_MS + minute * MINUTE_MS)
        if quote.venue == "synth-1"
    ]
    assert any(age_ms >= venues.synthetic_cadence_ms for age_ms in ages)
    assert sum(age_ms < venues.synthetic_cadence_ms for age_ms in ages) > len(ages) * 8 // 10


def test_fault__every_real_venue_lies__synthetic_ones_follow_the_truth() -> None:
    honest = Venues(history_of(2), 7, MINUTE_MS)
    lied = Venues(history_of(2), 7, MINUTE_MS, lambda venue, _: (False, 10 * PPM if venue.startswith("real") else None))
    now_ms = T0_MS + 30 * MINUTE_MS
    before, after = honest.quotes("BTC", now_ms), lied.quotes("BTC", now_ms)
    assert [quote for quote in before if quote.synthetic] == [quote for quote in after if quote.synthetic]
    assert [quote.price_e8 * 10 for quote in before if not quote.synthetic] == [
        quote.price_e8 for quote in after if not quote.synthetic
    ]


def test_fault__one_venue_lies_or_is_silent_for_a_time__only_it_and_only_then() -> None:
    until_ms = T0_MS + 30 * MINUTE_MS
    venues = Venues(history_of(3), 7, MINUTE_MS, lambda venue, now_ms: (venue == "synth-1" and now_ms < until_ms, None))
    assert "synth-1" not in {quote.venue for quote in venues.quotes("BTC", until_ms - 1)}
    assert "synth-1" in {quote.venue for quote in venues.quotes("BTC", until_ms + MINUTE_MS)}


def test_count_block__real_venues_silenced__counts_synthetic_alone() -> None:
    venues = Venues(history_of(1), 7, MINUTE_MS, lambda venue, _: (venue == "real0", None))
    for minute in range(30, 60):
        venues.count_block(T0_MS + minute * MINUTE_MS)
    assert venues.synthetic_only_blocks["BTC"] > 25
    honest = Venues(history_of(1), 7, MINUTE_MS)
    honest.count_block(T0_MS + 30 * MINUTE_MS)
    assert honest.synthetic_only_blocks["BTC"] == 0


def test_stable_feeds__without_history__stand_at_par_with_small_noise() -> None:
    venues = Venues(history_of(1), 7, MINUTE_MS)
    for stable in STABLES:
        result = sample(venues.quotes(stable, T0_MS))
        assert result is not None
        assert abs(result.price_e8 - E8) < E8 // 1_000


def test_stable_feed__with_history__follows_it() -> None:
    venues = Venues(history_of(1, feed="USDC"), 7, MINUTE_MS)
    assert venues.true_price_e8("USDC", T0_MS) == 100_000 * E8
    assert venues.true_price_e8("USDC", T0_MS - 1) is None


def test_example__every_minute_after_the_first__has_a_price() -> None:
    history = load_history(EXAMPLE)
    venues = Venues(history, 7, MINUTE_MS)
    for feed in venues.feeds:
        results = [sample(venues.quotes(feed, now)) for now in range(history.start_ms, history.end_ms + 1, MINUTE_MS)]
        assert sum(result is None for result in results[1:]) <= 1


def test_all_names__every_feed__is_sorted_and_unique() -> None:
    venues = Venues(load_history(EXAMPLE), 7, MINUTE_MS)
    assert venues.all_names() == ("alder", "birch", "cedar", "synth-1", "synth-2", "synth-3", "synth-4", "synth-5")


def test_sample_offset__each_validator__has_its_own_within_bounds() -> None:
    offsets = [sample_offset_ms(7, validator, MINUTE_MS) for validator in range(8)]
    assert all(0 <= offset <= 3_000 for offset in offsets)
    assert len(set(offsets)) > 4
    assert sample_offset_ms(7, 0, 10) == 0


def test_draw_bell__many_draws__has_its_mean_and_deviation() -> None:
    values = [draw_bell(1_000_000, 1, "bell", i) for i in range(4_000)]
    mean = sum(values) // len(values)
    deviation_squared = sum((value - mean) ** 2 for value in values) // len(values)
    assert abs(mean) < 50_000
    assert 950_000**2 < deviation_squared < 1_050_000**2


def test_draw_between__many_draws__reaches_both_ends() -> None:
    assert {draw_between(-1, 1, "ends", i) for i in range(64)} == {-1, 0, 1}
