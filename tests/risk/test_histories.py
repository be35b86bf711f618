"""Histories by epoch: what price an epoch has, where a gap cuts, and which files may be joined."""

import pytest

from holdfast.risk.histories import find_spacing_ms, join, sample
from holdfast.risk.price_files import Quotes
from holdfast.risk.rows import InputError

MINUTE = 60_000
HOUR = 60 * MINUTE


def quotes(*rows: tuple[int, float], label: str = "btc", underlying: str = "BTC") -> Quotes:
    times, prices = tuple(minute * MINUTE for minute, _ in rows), tuple(price for _, price in rows)
    return Quotes(label, underlying, times, prices, prices, prices, {}, 0, ())


def test_sample__an_epoch__has_the_last_price_known_at_its_end() -> None:
    history = sample(quotes((0, 1.0), (50, 2.0), (60, 3.0), (61, 4.0), (119, 5.0)), HOUR, HOUR)
    (segment,) = history.segments
    assert segment.times_ms == (0, HOUR, 2 * HOUR)
    assert segment.closes == (1.0, 3.0, 5.0)
    assert segment.highs == (1.0, 3.0, 5.0)
    assert segment.lows == (1.0, 2.0, 4.0)


def test_sample__an_epoch_without_a_quote__repeats_the_price_and_is_counted() -> None:
    history = sample(quotes((0, 1.0), (30, 1.5), (60, 2.0), (235, 3.0), (240, 4.0)), HOUR, 3 * HOUR)
    (segment,) = history.segments
    assert segment.closes == (1.0, 2.0, 2.0, 2.0, 4.0)
    assert segment.are_fresh == (True, True, False, False, True)
    assert history.stale_epochs == 2


@pytest.mark.parametrize(("away", "segments"), [(180, 1), (181, 2)])
def test_sample__a_gap__cuts_only_beyond_the_stated_length(away: int, segments: int) -> None:
    rows = [(0, 1.0), (60, 2.0), (60 + away, 3.0), (120 + away, 4.0)]
    history = sample(quotes(*rows, (150 + away, 5.0), (180 + away, 6.0)), HOUR, 3 * HOUR)
    assert len(history.segments) == segments
    assert history.segments[0].closes[:2] == (1.0, 2.0)


def test_sample__rows_coarser_than_an_epoch__are_refused() -> None:
    with pytest.raises(InputError, match=r"btc: --epoch: rows are 120 minutes apart, more than an epoch of 60"):
        sample(quotes((0, 1.0), (120, 2.0), (240, 3.0)), HOUR, 3 * HOUR)


def test_sample__a_stretch_without_a_return__is_left_out_and_counted() -> None:
    history = sample(quotes((0, 1.0), (30, 1.0), (60, 2.0), (90, 1.0), (6_000, 9.0)), HOUR, 3 * HOUR)
    assert [segment.closes for segment in history.segments] == [(1.0, 2.0, 1.0)]
    assert history.too_short == 1


def test_sample__too_many_epochs__are_refused() -> None:
    with pytest.raises(InputError, match=r"btc: --epoch: more than 2,000,000 epochs without a gap"):
        sample(quotes((0, 1.0), (1, 1.0), (2, 1.0), (2_100_000, 2.0)), MINUTE, 10**15)


@pytest.mark.parametrize("rows", [[(0, 1.0)], [(5, 1.0), (10, 2.0)]])
def test_sample__a_history_without_a_return__is_refused(rows: list[tuple[int, float]]) -> None:
    with pytest.raises(InputError, match=r"a single row has no return|no two epochs"):
        sample(quotes(*rows), HOUR, HOUR)


def test_spacing__is_the_median_distance() -> None:
    assert find_spacing_ms(quotes((0, 1.0), (1, 1.0), (61, 1.0), (121, 1.0))) == HOUR


def test_join__files_that_follow_one_another__become_one_history_in_order_of_time() -> None:
    later, earlier = quotes((500, 3.0), (560, 4.0), label="b"), quotes((0, 1.0), (60, 2.0), label="a")
    other = quotes((0, 9.0), label="c", underlying="ETH")
    joined = join([later, earlier, other])
    assert [(found.label, found.closes) for found in joined] == [
        ("BTC, 2 joined", (1.0, 2.0, 3.0, 4.0)),
        ("c", (9.0,)),
    ]
    # Between the two lies a gap, so no return.
    assert [segment.closes for segment in sample(joined[0], HOUR, HOUR).segments] == [(1.0, 2.0), (3.0, 4.0)]


def test_join__files_that_overlap__are_refused() -> None:
    with pytest.raises(InputError, match="b: time: overlaps a in time"):
        join([quotes((0, 1.0), (60, 2.0), label="a"), quotes((60, 2.0), (120, 3.0), label="b")])
