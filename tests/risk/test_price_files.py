"""Price files: what their columns mean, and what becomes of rows that are no use."""

from pathlib import Path

import pytest

from holdfast.risk.price_files import Quotes, find_step_ms, is_price_file, read_quotes
from holdfast.risk.rows import InputError

HOUR = 3_600_000
START = 1_767_225_600  # 2026-01-01 00:00 UTC


def write(folder: Path, *lines: str, name: str = "btc.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def only(quotes: list[Quotes]) -> Quotes:
    assert len(quotes) == 1
    return quotes[0]


@pytest.mark.parametrize(
    ("column", "first", "second"),
    [
        ("unix_s", START, START + 60),
        ("unix_ms", START * 1_000, (START + 60) * 1_000),
        ("unix_us", START * 10**6, (START + 60) * 10**6),
        ("timestamp", START, START + 60),
        ("timestamp", START * 1_000, (START + 60) * 1_000),
        ("time", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00+00:00"),
        ("date", "2026-01-01 00:00", "2026-01-01 00:01:00"),
        ("minute", "01/01/2026 0:00", "1/1/2026 0:01"),
    ],
)
def test_read__times_in_every_form__are_utc_milliseconds(
    tmp_path: Path, column: str, first: object, second: object
) -> None:
    found = only(read_quotes(write(tmp_path, f"{column},price", f"{first},100", f"{second},101")))
    assert found.times_ms == (START * 1_000, (START + 60) * 1_000)


def test_read__bars__are_known_at_their_end_with_their_extremes(tmp_path: Path) -> None:
    lines = ["unix_s,open,high,low,close", f"{START},9,12,8,10", f"{START + 3600},10,11,9,9.5"]
    found = only(read_quotes(write(tmp_path, *lines)))
    assert found.times_ms == (START * 1_000 + HOUR, START * 1_000 + 2 * HOUR)
    assert (found.closes, found.highs, found.lows) == ((10.0, 9.5), (12.0, 11.0), (8.0, 9.0))


def test_read__a_column_of_coins__gives_a_history_of_each(tmp_path: Path) -> None:
    lines = ["time,coin,price", f"{START},BTC,100", f"{START},ETH,10", f"{START},USDC,1", f"{START + 9},WBTC,101"]
    found = read_quotes(write(tmp_path, *lines, name="perpetuals.csv"))
    assert [(quotes.label, quotes.underlying, quotes.closes) for quotes in found] == [
        ("perpetuals BTC", "BTC", (100.0, 101.0)),
        ("perpetuals ETH", "ETH", (10.0,)),
    ]


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("", "is missing"),
        ("nan", "'nan' is not a finite number"),
        ("inf", "'inf' is not a finite number"),
        ("0", "0 is not above zero"),
        ("-5", "-5 is not above zero"),
        ("ten", "'ten' is not a number"),
        ("1_000", "'1_000' is not a number"),
        ("\u0663", "'\u0663' is not a number"),
        ("1,000", "3 cells are more than the 2 columns of the header"),
        ("1e12", "1e+12 is above 1e+09, which is absurd"),
    ],
)
def test_read__a_price_of_no_use__is_left_out_and_counted_or_refused(tmp_path: Path, cell: str, problem: str) -> None:
    path = write(tmp_path, "time,close", f"{START},100", f"{START + 60},{cell}", f"{START + 120},102")
    found = only(read_quotes(path))
    assert found.closes == (100.0, 102.0)
    assert sum(found.left_out.values()) == 1
    assert found.examples == (f"line 3: close: {problem}",)
    with pytest.raises(InputError, match=r"^line 3: close: ") as refused:
        read_quotes(path, is_strict=True)
    assert (refused.value.row, refused.value.field, refused.value.problem) == ("line 3", "close", problem)


@pytest.mark.parametrize("cell", ["", "soon", "nan", "1e30", "1900-01-01"])
def test_read__a_time_of_no_use__is_left_out_and_named(tmp_path: Path, cell: str) -> None:
    found = only(read_quotes(write(tmp_path, "time,close", f"{cell},100", f"{START},101")))
    assert found.closes == (101.0,)
    assert found.examples[0].startswith("line 2: time: ")


def test_read__rows_with_the_same_problem__are_counted_together(tmp_path: Path) -> None:
    path = write(tmp_path, "time,close", f"{START},-1", f"{START + 1},-2", f"{START + 2},0", f"{START + 3},7")
    assert only(read_quotes(path)).left_out == {"close is not above zero": 3}


def test_read__a_close_outside_its_bar__is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, "unix_s,open,high,low,close", f"{START},9,10,8,11", f"{START + 60},9,10,8,9")
    found = only(read_quotes(path))
    assert found.closes == (9.0,)
    assert found.examples == ("line 2: close: 11 is not between low 8 and high 10",)


def test_read__rows_out_of_order__are_sorted_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "time,close", f"{START + 60},2", f"{START},1", f"{START + 120},3")
    found = only(read_quotes(path))
    assert (found.closes, found.out_of_order, dict(found.left_out)) == ((1.0, 2.0, 3.0), 1, {})
    with pytest.raises(InputError, match="line 3: time: is not after the row before"):
        read_quotes(path, is_strict=True)


def test_read__a_time_given_twice__keeps_the_last_row_and_counts_the_other(tmp_path: Path) -> None:
    path = write(tmp_path, "time,close", f"{START},1", f"{START},2", f"{START + 60},3")
    found = only(read_quotes(path))
    assert found.closes == (2.0, 3.0)
    assert dict(found.left_out) == {"time is given twice, the last counts": 1}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["time,volume", "1,2"], "line 1: price: no column of prices among time, volume"),
        (["when,close", "1,2"], "line 1: time: no column of times among when, close"),
        (["", ""], "the file has no header"),
        (["time,close", f"{START},nan"], "no row that can be used; the first: line 2: close: 'nan'"),
        (["time,coin,close", f"{START},DOGE,1"], "no row that can be used: none is of BTC, ETH"),
        (["time,close"], "close: the file has no row that can be used"),
        (["time,close,close", f"{START},1,2"], "line 1: close: names more than one column"),
    ],
)
def test_read__a_file_without_prices__is_refused_by_line_and_column(
    tmp_path: Path, lines: list[str], words: str
) -> None:
    with pytest.raises(InputError) as refused:
        read_quotes(write(tmp_path, *lines))
    assert words in str(refused.value)


def test_read__a_file_that_names_no_coin__needs_one_given(tmp_path: Path) -> None:
    path = write(tmp_path, "time,close", f"{START},1", name="prices.csv")
    with pytest.raises(InputError, match="--underlying: neither the file's name nor a column"):
        read_quotes(path)
    assert only(read_quotes(path, underlying="ETH")).underlying == "ETH"


def test_read__columns_by_their_names__are_taken_or_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "time,close,vwap", f"{START},1,5")
    assert only(read_quotes(path, price_column="vwap")).closes == (5.0,)
    with pytest.raises(InputError, match="--price-column: 'mid' is not among time, close, vwap"):
        read_quotes(path, price_column="mid")


def test_read__a_missing_file__is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_quotes(tmp_path / "btc.csv")


@pytest.mark.parametrize(
    ("header", "expected"),
    [("time,close", True), ("timestamp,strike,mark_price", False), ("time,percentage,value", False), ("a,b", False)],
)
def test_is_price_file__tells_prices_from_options_and_depth(tmp_path: Path, header: str, *, expected: bool) -> None:
    assert is_price_file(write(tmp_path, header)) is expected


def test_step__of_equally_frequent_distances__is_the_smaller() -> None:
    assert find_step_ms((0, 60, 120, 420, 720)) == 60
    assert find_step_ms((5,)) == 0
