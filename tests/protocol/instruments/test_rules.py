"""Calendar, strikes and names of instruments."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.primitives.units import DAY_MS, E8, HOUR_MS, MINUTE_MS
from holdfast.protocol.instruments import rules
from holdfast.protocol.instruments.params import DEFAULT_SPECS, InstrumentParams
from holdfast.protocol.instruments.rules import Tenor
from holdfast.protocol.instruments.state import Kind
from holdfast.protocol.ledger.state import BTC, ETH

EPOCH = date(1970, 1, 1)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


@given(st.dates(min_value=date(1900, 1, 1), max_value=date(2400, 12, 31)))
def test_calendar__any_date__is_that_of_the_library(day: date) -> None:
    days = (day - EPOCH).days
    assert rules.compute_days(day.year, day.month, day.day) == days
    assert rules.compute_civil(days) == (day.year, day.month, day.day)


@pytest.mark.parametrize(
    ("year", "month", "day"),
    [(2000, 2, 29), (2024, 2, 29), (1900, 3, 1), (2100, 3, 1), (2025, 12, 31), (1970, 1, 1)],
)
def test_calendar__leap_years_and_edges__agree(year: int, month: int, day: int) -> None:
    assert rules.compute_civil(rules.compute_days(year, month, day)) == (year, month, day)
    assert rules.compute_days(year, month, day) == (date(year, month, day) - EPOCH).days


@pytest.mark.parametrize(
    ("year", "month", "day"),
    [(2025, 10, 31), (2025, 12, 26), (2026, 2, 27), (2024, 2, 23), (2026, 3, 27), (2027, 12, 31), (2025, 5, 30)],
)
def test_last_friday__known_months__match(year: int, month: int, day: int) -> None:
    assert rules.compute_last_friday(year, month) == (date(year, month, day) - EPOCH).days
    assert date(year, month, day).isoweekday() == 5


@given(st.integers(1970, 2100), st.integers(1, 12))
def test_last_friday__any_month__is_a_friday_of_its_last_seven_days(year: int, month: int) -> None:
    day = EPOCH + timedelta(days=rules.compute_last_friday(year, month))
    assert (day.year, day.month, day.isoweekday()) == (year, month, 5)
    assert (day + timedelta(days=7)).month != month


def test_expiries__tenth_of_october_2025__are_those_of_the_rule() -> None:
    expected = [
        ("2025-10-10T08:00", (Tenor.DAILY, Tenor.WEEKLY)),
        ("2025-10-11T08:00", (Tenor.DAILY,)),
        ("2025-10-17T08:00", (Tenor.WEEKLY,)),
        ("2025-10-31T08:00", (Tenor.MONTHLY,)),
        ("2025-11-28T08:00", (Tenor.MONTHLY,)),
        ("2025-12-26T08:00", (Tenor.QUARTERLY,)),
        ("2026-03-27T08:00", (Tenor.QUARTERLY,)),
    ]
    listed = rules.compute_expiries(InstrumentParams(), ms("2025-10-10T00:01"))
    assert list(listed) == [(ms(time), tenors) for time, tenors in expected]


def test_expiries__inside_the_lead__the_next_day_is_listed_instead() -> None:
    params = InstrumentParams()
    expiry = ms("2025-10-10T08:00")
    assert rules.compute_expiries(params, expiry - params.lead_ms)[0][0] == expiry
    assert rules.compute_expiries(params, expiry - params.lead_ms + 1)[0][0] == expiry + DAY_MS
    assert rules.compute_expiries(params, expiry)[0][0] == expiry + DAY_MS


def test_expiries__december__cross_the_year() -> None:
    listed = [time for time, _ in rules.compute_expiries(InstrumentParams(), ms("2025-12-26T08:00"))]
    assert ms("2026-01-02T08:00") in listed
    assert ms("2026-01-30T08:00") in listed
    assert ms("2026-06-26T08:00") in listed


@given(st.integers(0, 150 * 365 * DAY_MS))
def test_expiries__any_time__ascend_at_eight_beyond_the_lead(now_ms: int) -> None:
    params = InstrumentParams()
    times = [time for time, _ in rules.compute_expiries(params, now_ms)]
    assert times == sorted(set(times))
    assert all(time % DAY_MS == 8 * HOUR_MS and time - now_ms >= params.lead_ms for time in times)
    assert times[0] - now_ms < params.lead_ms + DAY_MS
    assert 5 <= len(times) <= 8


@pytest.mark.parametrize(
    ("underlying", "kind", "time", "strike", "name"),
    [
        (BTC, Kind.CALL, "2026-03-27T08:00", 100_000, "BTC_USDC-27MAR26-100000-C"),
        (BTC, Kind.PUT, "2025-10-03T08:00", 122_000, "BTC_USDC-3OCT25-122000-P"),
        (BTC, Kind.FUTURE, "2026-03-27T08:00", 0, "BTC_USDC-27MAR26"),
        (BTC, Kind.FUTURE, "2025-10-03T08:00", 0, "BTC_USDC-3OCT25"),
        (ETH, Kind.CALL, "2028-02-29T08:00", 4_300, "ETH_USDC-29FEB28-4300-C"),
        (ETH, Kind.PUT, "2101-01-07T08:00", 9, "ETH_USDC-7JAN01-9-P"),
    ],
)
def test_name__known_instruments__is_deribits(underlying: int, kind: Kind, time: str, strike: int, name: str) -> None:
    assert rules.format_name(underlying, kind, ms(time), strike * E8) == name


def test_ticks__default_contracts__are_whole_atoms() -> None:
    expiry = ms("2025-10-10T08:00")
    btc = rules.compute_instrument(DEFAULT_SPECS[BTC], BTC, Kind.CALL, expiry, 120_000 * E8, 1)
    eth = rules.compute_instrument(DEFAULT_SPECS[ETH], ETH, Kind.FUTURE, expiry, 0, 1)
    assert (btc.tick_value_atoms, eth.tick_value_atoms) == (10_000, 5_000)
    assert (btc.lot_e8, eth.lot_e8) == (10**6, 10**7)


@given(st.integers(1, 10**15), st.sampled_from([100 * E8, 2_500 * E8]), st.integers(1, 16))
def test_strikes__any_forward__stand_on_both_sides(forward_e8: int, step_e8: int, each_side: int) -> None:
    strikes = rules.compute_strikes(forward_e8, step_e8, each_side)
    assert all(strike > 0 and strike % step_e8 == 0 for strike in strikes)
    assert sum(strike > forward_e8 for strike in strikes) == each_side
    below = sum(strike <= forward_e8 for strike in strikes)
    assert below == min(each_side, forward_e8 // step_e8)


def test_lead__default__is_longer_than_the_settlement_window() -> None:
    assert InstrumentParams().lead_ms > 30 * MINUTE_MS
