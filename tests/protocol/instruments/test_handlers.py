"""Listing and retiring."""

from datetime import UTC, datetime

import pytest

from holdfast.primitives.reject import Code, RejectedError
from holdfast.primitives.units import DAY_MS, E8, HOUR_MS
from holdfast.protocol.block import BlockContext
from holdfast.protocol.instruments import handlers, params, rules
from holdfast.protocol.instruments.messages import InstrumentListed
from holdfast.protocol.instruments.params import CONTRACT_SPECS, INSTRUMENT_PARAMS, InstrumentParams
from holdfast.protocol.instruments.state import INSTRUMENTS, LISTING, NAMES, NEXT_INSTRUMENT, SERIES, Kind
from holdfast.protocol.ledger.state import BTC, ETH
from holdfast.state.draft import Draft
from holdfast.state.store import State
from holdfast.state.table import AnyTable

TABLES: list[AnyTable] = [INSTRUMENTS, NEXT_INSTRUMENT, INSTRUMENT_PARAMS, CONTRACT_SPECS, NAMES, SERIES, LISTING]
START = int(datetime(2025, 10, 10, 0, 1, tzinfo=UTC).timestamp()) * 1000
FORWARDS = {BTC: 121_700 * E8, ETH: 4_370 * E8}


def make_state() -> State:
    state = State(TABLES)
    draft = state.draft()
    params.initialise(draft)
    state.commit(state.seal(draft))
    return state


@pytest.fixture
def draft() -> Draft:
    return make_state().draft()


def at(time_ms: int, height: int = 1) -> BlockContext:
    return BlockContext(height, time_ms, 0, 0)


def test_list_due__crash_day_prices__between_200_and_320_pairs_and_futures(draft: Draft) -> None:
    events = handlers.list_due(draft, at(START), FORWARDS)
    instruments = [instrument for _, instrument in draft[INSTRUMENTS].items()]
    assert len(events) == len(instruments)
    assert 200 <= len(instruments) <= 320
    calls = {(i.underlying, i.expiry_ms, i.strike_e8) for i in instruments if i.kind == Kind.CALL}
    assert calls == {(i.underlying, i.expiry_ms, i.strike_e8) for i in instruments if i.kind == Kind.PUT}
    futures = [i for i in instruments if i.kind == Kind.FUTURE]
    assert len(futures) == 12
    assert all(i.expiry_ms != START - START % DAY_MS + DAY_MS + 8 * HOUR_MS for i in futures)
    assert draft[NAMES]["BTC_USDC-10OCT25-122000-C"]
    assert all(isinstance(event, InstrumentListed) for event in events)


def test_list_due__again_at_the_same_prices__lists_nothing(draft: Draft) -> None:
    handlers.list_due(draft, at(START), FORWARDS)
    assert handlers.list_due(draft, at(START + 60_000, 2), FORWARDS) == ()


def test_list_due__price_falls__adds_strikes_and_removes_none(draft: Draft) -> None:
    handlers.list_due(draft, at(START), FORWARDS)
    before = dict(draft[INSTRUMENTS].items())
    handlers.list_due(draft, at(START + 60_000, 2), {BTC: 105_000 * E8, ETH: 3_500 * E8})
    after = dict(draft[INSTRUMENTS].items())
    assert {key: after[key] for key in before} == before
    for (underlying, expiry), members in draft[SERIES].items():
        forward = {BTC: 105_000 * E8, ETH: 3_500 * E8}[underlying]
        strikes = [after[key].strike_e8 for key in members if after[key].kind == Kind.PUT]
        assert sum(strike <= forward for strike in strikes) >= 4, expiry
        assert sum(strike > forward for strike in strikes) >= 4, expiry


def test_list_due__small_budget__goes_on_in_the_next_blocks() -> None:
    whole, parts = make_state().draft(), make_state().draft()
    parts[INSTRUMENT_PARAMS].put(0, InstrumentParams(listings_per_block=7))
    handlers.list_due(whole, at(START), FORWARDS)
    height = 1
    while events := handlers.list_due(parts, at(START, height), FORWARDS):
        assert len(events) <= 7
        height += 1
    assert {i.name for _, i in parts[INSTRUMENTS].items()} == {i.name for _, i in whole[INSTRUMENTS].items()}


def test_list_due__no_price_of_one_underlying__lists_the_other(draft: Draft) -> None:
    handlers.list_due(draft, at(START), {ETH: 4_370 * E8})
    assert {i.underlying for _, i in draft[INSTRUMENTS].items()} == {ETH}


def test_list_due__a_month_of_days__stays_within_the_limits(draft: Draft) -> None:
    for day in range(31):
        now = START + day * DAY_MS
        handlers.list_due(draft, at(now, day + 1), FORWARDS)
        for instrument_id, instrument in list(draft[INSTRUMENTS].items()):
            if instrument.expiry_ms <= now:
                handlers.retire(draft, instrument_id)
        for underlying in (BTC, ETH):
            assert sum(asset == underlying for asset, _ in draft[SERIES].keys()) <= 9  # noqa: SIM118 -- a table
    assert 200 <= len(draft[INSTRUMENTS].keys()) <= 400


def test_list_due__expiries_unsettled_forever__stop_at_the_limit(draft: Draft) -> None:
    for day in range(60):
        handlers.list_due(draft, at(START + day * DAY_MS, day + 1), FORWARDS)
    for underlying in (BTC, ETH):
        assert sum(asset == underlying for asset, _ in draft[SERIES].keys()) == 16  # noqa: SIM118 -- a table


def test_retire__an_instrument__leaves_no_trace_in_the_indices(draft: Draft) -> None:
    handlers.list_due(draft, at(START), FORWARDS)
    for instrument_id in list(draft[INSTRUMENTS].keys()):
        handlers.retire(draft, instrument_id)
    assert not draft[NAMES].keys()
    assert not draft[SERIES].keys()


def test_rebuild__after_listing_and_retiring__gives_the_same_indices() -> None:
    state = make_state()
    draft = state.draft()
    handlers.list_due(draft, at(START), FORWARDS)
    handlers.retire(draft, 5)
    state.commit(state.seal(draft))
    restored = State(TABLES)
    restored.load(list(state.export()))
    rebuilt = restored.draft()
    handlers.rebuild(rebuilt)
    assert dict(rebuilt[NAMES].items()) == dict(state.draft()[NAMES].items())
    assert dict(rebuilt[SERIES].items()) == dict(state.draft()[SERIES].items())
    assert restored.root == state.root


@pytest.mark.parametrize(
    ("instrument_id", "offset_ms", "halted", "code"),
    [
        (99_999, 0, False, Code.INSTRUMENT_UNKNOWN),
        (1, 8 * HOUR_MS, False, Code.INSTRUMENT_EXPIRED),
        (1, 8 * HOUR_MS, True, Code.INSTRUMENT_EXPIRED),
        (1, 0, True, Code.INSTRUMENT_HALTED),
    ],
)
def test_check_open__each_refusal__has_its_code(
    draft: Draft, instrument_id: int, offset_ms: int, *, halted: bool, code: Code
) -> None:
    handlers.list_due(draft, at(START), FORWARDS)
    handlers.set_halted(draft, 1, is_halted=halted)
    with pytest.raises(RejectedError) as refusal:
        rules.check_open(draft, instrument_id, START + offset_ms)
    assert refusal.value.code == code
    assert rules.check_open(draft, 2, START).name


def test_set_halted__twice__tells_once(draft: Draft) -> None:
    handlers.list_due(draft, at(START), FORWARDS)
    assert len(handlers.set_halted(draft, 1, is_halted=True)) == 1
    assert handlers.set_halted(draft, 1, is_halted=True) == ()
    assert len(handlers.set_halted(draft, 1, is_halted=False)) == 1


def test_list_expiries__before_and_after_listing__cover_what_lives_and_what_is_due(draft: Draft) -> None:
    due = [time for time, _ in rules.compute_expiries(InstrumentParams(), START)]
    assert rules.list_expiries(draft, InstrumentParams(), BTC, START) == tuple(due)
    handlers.list_due(draft, at(START), FORWARDS)
    near = due[0] - 60_000
    assert due[0] in rules.list_expiries(draft, InstrumentParams(), BTC, near)
    assert due[0] not in rules.list_expiries(draft, InstrumentParams(), BTC, due[0])
