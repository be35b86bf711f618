"""Chains out of CSV: what is read, what is left out and counted, and what is refused with its row and field."""

from pathlib import Path

import pytest

from holdfast.risk import InputError
from holdfast.risk.chain import LeftOut, load_chains, read_chains
from tests.support.chains import CHAINS, FORWARD, HEADER, Line, make_lines, needs_chains, to_csv

GOOD = make_lines()
NAME, TIME, BID, ASK, FUTURE, MARK = range(len(HEADER))


def with_cell(place: int, cell: str, line: int = 3) -> list[Line]:
    return [[*row[:place], cell, *row[place + 1 :]] if number == line else row for number, row in enumerate(GOOD)]


def test_chain__of_good_rows__is_taken_whole() -> None:
    (chain,) = read_chains(to_csv(GOOD))
    assert chain.underlying == "BTC"
    assert chain.rows == len(GOOD) == sum(len(quotes) for quotes in chain.expiries.values())
    assert chain.left_out == {}
    assert all(quote.forward == FORWARD for quotes in chain.expiries.values() for quote in quotes)
    strikes = [quote.strike for quotes in chain.expiries.values() for quote in quotes]
    assert strikes == [float(line[0].split("-")[2]) for line in GOOD]


def test_chain__of_two_underlyings__is_two() -> None:
    chains = read_chains(to_csv([*GOOD, *make_lines(coin="ETH")]))
    assert [(chain.underlying, chain.rows) for chain in chains] == [("BTC", len(GOOD)), ("ETH", len(GOOD))]


def test_chain__in_dollars_or_in_coin__says_the_same() -> None:
    linear = [
        [line[0].replace("BTC-", "BTC_USDC-"), line[1], *(str(float(cell) * FORWARD) for cell in line[2:4]), *line[4:]]
        for line in GOOD
    ]
    (inverse_chain,), (linear_chain,) = read_chains(to_csv(GOOD)), read_chains(to_csv(linear))
    for ours, theirs in zip(inverse_chain.expiries.values(), linear_chain.expiries.values(), strict=True):
        assert [quote.bid for quote in ours] == pytest.approx([quote.bid for quote in theirs])


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (with_cell(NAME, "BTC-15JAN26-90000-P"), LeftOut.EXPIRED),
        (with_cell(NAME, "BTC-14JAN26-90000-P"), LeftOut.EXPIRED),
        (with_cell(TIME, "2026-01-15T11:54:59Z"), LeftOut.STALE),
        ([*GOOD, GOOD[5]], LeftOut.DUPLICATE),
        (with_cell(BID, ""), LeftOut.ONE_SIDED),
        (with_cell(ASK, "0"), LeftOut.ONE_SIDED),
        (with_cell(BID, "-0.01"), LeftOut.NOT_POSITIVE),
        (with_cell(BID, "0.4"), LeftOut.CROSSED),
        (with_cell(MARK, "0"), LeftOut.ZERO_VOL),
        (with_cell(MARK, "-0.5"), LeftOut.ZERO_VOL),
        (with_cell(NAME, "BTC-17JAN26-40000-C"), LeftOut.BELOW_INTRINSIC),
        (with_cell(ASK, "1.5"), LeftOut.ABOVE_BOUND),
        ([[GOOD[3][0], *GOOD[3][1:2], "0.55", "0.56", *GOOD[3][4:]], *GOOD[4:]], None),
    ],
)
def test_chain__a_row_that_tells_nothing__is_left_out_and_counted(rows: list[Line], reason: LeftOut | None) -> None:
    (chain,) = read_chains(to_csv(rows))
    assert chain.left_out == ({} if reason is None else {reason: 1})
    assert sum(len(quotes) for quotes in chain.expiries.values()) == len(rows) - (reason is not None)


@pytest.mark.parametrize(
    ("place", "cell", "told"),
    [
        (NAME, "", "line 5: instrument: is missing"),
        (NAME, "DOGE", "line 5: instrument: 'DOGE' is no option, such as BTC-27MAR26-100000-C"),
        (NAME, "BTC-17JAN26", "line 5: instrument: 'BTC-17JAN26' is no option, such as BTC-27MAR26-100000-C"),
        (NAME, "BTC-31FEB26-90000-P", "line 5: instrument: 'BTC-31FEB26-90000-P' is no option"),
        (NAME, "BTC-17JAN26-0-C", "line 5: instrument: a strike of 0 is not one that the exchange prices"),
        (NAME, "BTC-17JAN56-90000-P", "line 5: instrument: expires in more than ten years, which is absurd"),
        (TIME, "noon", "line 5: time: 'noon' is no time, such as 2026-03-27T08:00:00Z"),
        (BID, "nan", "line 5: bid: nan is not a finite number"),
        (ASK, "inf", "line 5: ask: inf is not a finite number"),
        (ASK, "dear", "line 5: ask: 'dear' is not a number"),
        (ASK, "1e12", "line 5: ask: '1e12' is above 1e+09, which is absurd"),
        (FUTURE, "0", "line 5: forward: 0 is not above zero"),
        (FUTURE, "", "line 5: forward: is missing"),
        (FUTURE, "9e8", "line 5: forward: 9e+08 is not between 1e-8 and 45,035,996, which the exchange prices"),
        (FUTURE, "1e-9", "line 5: forward: 1e-09 is not between"),
        (FUTURE, "1e300", "line 5: forward: '1e300' is above 1e+09, which is absurd"),
        (MARK, "NaN", "line 5: mark_vol: nan is not a finite number"),
        (MARK, "1000", "line 5: mark_vol: '1000' is above 100, which is absurd"),
    ],
)
def test_chain__a_row_that_cannot_be_read__is_refused_with_row_and_field(place: int, cell: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        read_chains(to_csv(with_cell(place, cell)))
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: has no column 'instrument'; see docs/risk.md for the two forms of a chain"),
        ("instrument,time,bid,ask\n", "line 1: has no column 'forward'"),
        ("instrument_name,timestamp,bid_price\n", "line 1: has no column 'ask_price'"),
        ("instrument,time,bid,ask,forward,bid\n", "line 1: names a column twice"),
        (to_csv([]), "has no rows"),
        (to_csv([["BTC-17JAN26-90000-P", "2026-01-15"]]), "line 2: has 2 cells where the header has 6"),
        ('instrument,time,bid,ask,forward\n"open', "is no CSV"),
    ],
)
def test_chain__of_another_form__is_refused(text: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        read_chains(text)
    assert told in str(error.value)


def test_chain__file_that_is_not_there__is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_chains(tmp_path / "none.csv")


def test_chain__with_a_byte_order_mark__is_read(tmp_path: Path) -> None:
    path = tmp_path / "chain.csv"
    path.write_text(to_csv(make_lines()), encoding="utf-8-sig")
    assert len(load_chains(path)[0].expiries) == 4


@needs_chains
def test_chain__of_a_venue__is_read_with_its_marks() -> None:
    for chain in load_chains(CHAINS[0]):
        assert chain.rows == sum(chain.left_out.values()) + sum(len(quotes) for quotes in chain.expiries.values())
        assert len(chain.expiries) == 12
        assert all(quote.mark_vol for quotes in chain.expiries.values() for quote in quotes)
