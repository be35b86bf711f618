"""The status machine of feeds, block by block."""

import pytest

from holdfast.primitives.codec import Record
from holdfast.primitives.units import E8
from holdfast.protocol.block import BlockContext
from holdfast.protocol.oracle import handlers, params, rules
from holdfast.protocol.oracle.messages import FeedReport, FeedStatusChanged, FeedUpdated, Report
from holdfast.protocol.oracle.params import ORACLE_PARAMS
from holdfast.protocol.oracle.state import FEEDS, Feed, Status
from holdfast.state.draft import Draft
from holdfast.state.store import State

BTC = 1
START = 1_760_054_460_000
LIVE, DEGRADED, SUSPECT, STALE, HALTED = Status


@pytest.fixture
def draft() -> Draft:
    state = State([FEEDS, ORACLE_PARAMS])
    draft = state.draft()
    params.initialise(draft)
    return draft


class Chain:
    """Blocks at an interval, with the prices of four validators."""

    def __init__(self, draft: Draft, interval_ms: int) -> None:
        self.draft = draft
        self.interval_ms = interval_ms
        self.height = 0

    def step(self, price: float | None, validators: int = 4) -> tuple[Record, ...]:
        self.height += 1
        block = BlockContext(self.height, START + self.height * self.interval_ms, 0, 0)
        reports = []
        if price is not None:
            reports = [(i, 1, Report((FeedReport(BTC, int(price * E8), 10**9, 5, 0),), ())) for i in range(validators)]
        return handlers.apply_reports(self.draft, block, reports, 4)

    @property
    def feed(self) -> Feed:
        return self.draft[FEEDS][BTC]

    @property
    def price(self) -> int:
        return self.feed.price_e8 // E8


# Each row: interval in ms, then per block (price or None, validators that report), and the statuses that come of it.
LADDER = [
    ("all report", 60_000, [(100, 4)] * 3, [LIVE] * 3),
    ("three of four", 60_000, [(100, 4), (100, 3)], [LIVE, DEGRADED]),
    ("two of four, minutes", 60_000, [(100, 4), (100, 2), (100, 2), (100, 4)], [LIVE, LIVE, STALE, LIVE]),
    ("silence, quarter seconds", 250, [(100, 4)] + [(None, 0)] * 5, [LIVE, LIVE, LIVE, LIVE, DEGRADED, DEGRADED]),
    ("silence, ten seconds", 10_000, [(100, 4)] + [(None, 0)] * 3, [LIVE, LIVE, LIVE, STALE]),
    ("move below one percent", 60_000, [(1000, 4), (1009, 4)], [LIVE, LIVE]),
    ("move, then confirmed", 60_000, [(1000, 4), (950, 4), (949, 4)], [LIVE, SUSPECT, LIVE]),
    ("move, then back", 60_000, [(1000, 4), (950, 4), (1001, 4)], [LIVE, SUSPECT, LIVE]),
    ("move, then silence", 60_000, [(1000, 4), (950, 4), (None, 0), (None, 0)], [LIVE, SUSPECT, SUSPECT, STALE]),
    ("move, confirmed by three", 60_000, [(1000, 4), (950, 4), (949, 3)], [LIVE, SUSPECT, DEGRADED]),
]


@pytest.mark.parametrize(
    ("interval_ms", "blocks", "statuses"), [row[1:] for row in LADDER], ids=[row[0] for row in LADDER]
)
def test_ladder__each_course__moves_as_the_table_says(
    draft: Draft, interval_ms: int, blocks: list[tuple[float | None, int]], statuses: list[Status]
) -> None:
    chain = Chain(draft, interval_ms)
    seen = []
    for price, validators in blocks:
        before = rules.get_status(draft, BTC)
        events = chain.step(price, validators)
        seen.append(chain.feed.status)
        changes = [event for event in events if isinstance(event, FeedStatusChanged)]
        assert changes == ([FeedStatusChanged(BTC, before, seen[-1])] if before != seen[-1] else [])
    assert seen == statuses


def test_feed__never_reported__is_halted_and_has_no_row(draft: Draft) -> None:
    chain = Chain(draft, 60_000)
    assert chain.step(100, 2) == ()
    assert rules.get_status(draft, BTC) == Status.HALTED
    assert rules.get_price(draft, BTC) is None


def test_suspect__price_held__until_confirmed(draft: Draft) -> None:
    chain = Chain(draft, 60_000)
    chain.step(100_000)
    events = chain.step(95_000)
    assert (chain.price, chain.feed.status) == (100_000, SUSPECT)
    assert not any(isinstance(event, FeedUpdated) for event in events)
    chain.step(94_800)
    assert (chain.price, chain.feed.status) == (94_800, LIVE)


def test_suspect__quarter_second_blocks__is_confirmed_after_three_seconds(draft: Draft) -> None:
    chain = Chain(draft, 250)
    chain.step(100_000)
    for _ in range(12):
        chain.step(97_000)
        assert chain.feed.status == SUSPECT
    chain.step(97_000)
    assert (chain.price, chain.feed.status) == (97_000, LIVE)


def test_suspect__never_two_alike__ends_after_two_blocks_of_a_minute(draft: Draft) -> None:
    chain = Chain(draft, 60_000)
    chain.step(100_000)
    chain.step(70_000)
    assert chain.feed.status == SUSPECT
    chain.step(40_000)
    assert chain.feed.status == SUSPECT
    chain.step(15_000)
    assert (chain.price, chain.feed.status) == (15_000, LIVE)


def test_suspect__never_two_alike_at_a_second__ends_after_sixty(draft: Draft) -> None:
    chain = Chain(draft, 1_000)
    chain.step(100_000)
    suspect = 0
    while True:
        chain.step(50_000 if chain.height % 2 else 200_000)
        if chain.feed.status != SUSPECT:
            break
        suspect += 1
    assert suspect == 60


@pytest.mark.parametrize("interval_ms", [60_000, 10_000, 1_000])
def test_crash__fifteen_percent_in_ten_minutes__flows_through(draft: Draft, interval_ms: int) -> None:
    chain = Chain(draft, interval_ms)
    for _ in range(20):
        chain.step(121_000)
    blocks = 600_000 // interval_ms
    lags, run = [], 0
    for index in range(blocks + 1):
        price = 121_000 * (1 - 0.15 * index / blocks)
        chain.step(price)
        lags.append(abs(chain.price - price) / price)
        run = run + 1 if chain.feed.status == SUSPECT else 0
        assert run <= max(2, 60_000 // interval_ms)
    assert max(lags) < 0.035
    assert lags[-1] < 0.001


def test_crash__flash_of_eight_percent_in_one_minute_and_back__is_held_once(draft: Draft) -> None:
    chain = Chain(draft, 60_000)
    prices = [121_000.0] * 5 + [111_000.0, 104_000.0, 113_000.0, 114_000.0, 114_100.0]
    seen = []
    for price in prices:
        chain.step(price)
        seen.append(chain.price)
    assert seen[5] == 121_000
    assert seen[6] in (121_000, 104_000)
    assert seen[7] in (104_000, 113_000)
    assert seen[8:] == [114_000, 114_100]


def test_flag__halts_until_it_is_taken_off(draft: Draft) -> None:
    chain = Chain(draft, 60_000)
    chain.step(100)
    assert handlers.set_flagged(draft, BTC, is_flagged=True) == (FeedStatusChanged(BTC, LIVE, HALTED),)
    chain.step(100)
    assert chain.feed.status == HALTED
    chain.step(None)
    chain.step(None)
    assert chain.feed.status == HALTED
    handlers.set_flagged(draft, BTC, is_flagged=False)
    assert chain.feed.status == HALTED
    chain.step(100)
    assert chain.feed.status == LIVE


def test_degraded__any_status_but_live__counts_more(draft: Draft) -> None:
    chain = Chain(draft, 60_000)
    chain.step(100, 3)
    assert rules.get_degraded(draft)[BTC]
    chain.step(100, 4)
    assert rules.get_degraded(draft) == {0: True, 1: False, 2: True, 3: True}
