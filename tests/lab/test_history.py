"""Price files: names, columns, times, prices, conversions, ranges, and the line that says what is wrong."""

import datetime as dt
import importlib.util
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.lab.history import History, HistoryError, load_history, stretch
from holdfast.lab.history_build import Source
from holdfast.lab.history_files import NotAPriceFileError, parse_price_e8, parse_time_ms, read_shape
from holdfast.primitives.units import E8, HOUR_MS, MINUTE_MS

ROOT = Path(__file__).parents[2]
CRASH = ROOT.parent / "shared" / "data" / "crash_2025_10_10"
T0 = 1_760_054_400  # 2025-10-10 00:00 UTC


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def bars(prices: list[int], *, start_s: int = T0, step_s: int = 60, header: str = "unix_s,open,high,low,close") -> str:
    rows = [f"{start_s + step_s * i},{p},{p + 3},{p - 1},{p + 2}" for i, p in enumerate(prices)]
    return "\n".join([header, *rows]) + "\n"


def load(folder: Path, files: dict[str, str]) -> History:
    return load_history(write(folder, files))


def test_bar__nearer_extreme_low__is_released_inside_its_interval(tmp_path: Path) -> None:
    source = load(tmp_path, {"gemini_BTCUSD_1m.csv": bars([100] * 3)}).sources_of("BTC")[0]
    start_ms = T0 * 1000
    assert source.cadence_ms == MINUTE_MS
    assert source.points[:4] == [
        (start_ms, 100 * E8),
        (start_ms + 20_000, 99 * E8),
        (start_ms + 40_000, 103 * E8),
        (start_ms + 59_999, 102 * E8),
    ]
    assert source.at(start_ms - 1) is None
    assert source.at(start_ms + 39_999) == (99 * E8, start_ms + 20_000)


def test_bar__nearer_extreme_high__comes_first(tmp_path: Path) -> None:
    text = f"unix_s,open,high,low,close\n{T0},100,101,90,95\n{T0 + 60},95,96,94,95\n{T0 + 120},95,96,94,95\n"
    points = load(tmp_path, {"a_BTCUSD_1m.csv": text}).sources_of("BTC")[0].points
    assert [price // E8 for _, price in points[:4]] == [100, 101, 90, 95]


def test_stretch__from_a_time_on__moves_each_venue_from_the_median_then(tmp_path: Path) -> None:
    def series(prices: list[int]) -> str:
        return "unix_s,price\n" + "".join(f"{T0 + 60 * i},{price}\n" for i, price in enumerate(prices))

    files = {
        "a_BTCUSD.csv": series([90, 100, 80]),
        "b_BTCUSD.csv": series([91, 102, 81]),
        "a_USDTUSD.csv": series([1] * 3),
    }
    history = load(tmp_path, files)
    stretched = stretch(history, T0 * 1000 + 60_000, 1_500_000)
    assert [[price / E8 for _, price in one.points] for one in stretched.sources_of("BTC")] == [
        [90, 99.5, 69.5],
        [91, 102.5, 71],
    ]
    assert stretched.sources_of("USDT")[0].points == history.sources_of("USDT")[0].points
    assert stretched.notes[-1] == "moves after 2025-10-10 00:01 UTC are stretched to 1.5 of what they were"


def test_stretch__that_leaves_no_price__is_refused_by_name(tmp_path: Path) -> None:
    history = load(tmp_path, {"a_BTCUSD_1m.csv": bars([100, 60, 60])})
    with pytest.raises(HistoryError, match="a BTC: a move stretched to 3 leaves no price; stretch less"):
        stretch(history, T0 * 1000, 3_000_000)


def test_price_only_rows__named_interval__are_told_at_its_end(tmp_path: Path) -> None:
    text = "unix_s,underlying_price\n" + "".join(f"{T0 + 60 * i},{100 + i}\n" for i in range(4))
    named = load(tmp_path, {"okx_BTCUSD_underlying_1m.csv": text}).sources_of("BTC")[0]
    assert named.at(T0 * 1000 + 59_998) is None
    assert named.at(T0 * 1000 + 59_999) == (100 * E8, T0 * 1000 + 59_999)
    (tmp_path / "okx_BTCUSD_underlying_1m.csv").unlink()
    observed = load(tmp_path, {"okx_BTCUSD.csv": text}).sources_of("BTC")[0]
    assert observed.at(T0 * 1000) == (100 * E8, T0 * 1000)


@pytest.mark.parametrize(
    ("name", "venue", "pair"),
    [
        ("gemini_BTCUSD_1m.csv", "gemini", "BTCUSD"),
        ("Kraken_XBT-USD.csv", "kraken", "BTCUSD"),
        ("chainlink_ethusd_31nodes.csv", "chainlink", "ETHUSD"),
        ("okx_BTC_USDT_1m.csv", "okx", "BTCUSDT"),
        ("ethfinex_BTCUSD.csv", "ethfinex", "BTCUSD"),
        ("ETH_10m_20200312.csv", "file", "ETHUSD"),
        ("BTC.csv", "file", "BTCUSD"),
        ("binance_USDCUSDT_1m.csv", "binance", "USDCUSDT"),
    ],
)
def test_name__venue_and_pair__are_read(tmp_path: Path, name: str, venue: str, pair: str) -> None:
    write(tmp_path, {name: bars([100] * 3)})
    shape = read_shape(tmp_path / name)
    assert (shape.venue, shape.pair) == (venue, pair)


@pytest.mark.parametrize(
    ("name", "header", "reason"),
    [
        ("okx_BTCUSD_options.csv", "unix_s,strike_price,price", "strike"),
        ("binance_BTCUSDT_depth.csv", "timestamp,percentage,price", "percentage"),
        ("x_BTCUSD.csv", "timestamp,DEVIATION_PCT,price", "percentage"),
        ("binance_SOLUSDT_1m.csv", "unix_s,price", "SOLUSDT"),
        ("kraken_BTCEUR_1m.csv", "unix_s,price", "EUR"),
        ("prices.csv", "unix_s,price", "VENUE_PAIR"),
        ("synth-1_BTCUSD.csv", "unix_s,price", "synthetic"),
        ("gemini_BTCUSD.csv", "unix_s,volume", "price"),
        ("gemini_BTCUSD.csv", "open,high,low,close", "unix_s"),
        ("gemini_BTCUSD.csv", "", "price"),
    ],
)
def test_file__not_prices__is_passed_over_with_its_reason(tmp_path: Path, name: str, header: str, reason: str) -> None:
    write(tmp_path, {name: header + "\n1,2,3,4\n"})
    with pytest.raises(NotAPriceFileError, match=reason):
        read_shape(tmp_path / name)
    with pytest.raises(HistoryError, match=reason):
        load_history(tmp_path / name)
    notes = load(tmp_path, {"gemini_BTCUSDT_1m.csv": bars([100] * 3), "notes.txt": "x"}).notes
    assert any(note.startswith(f"{name}: passed over") and reason in note for note in notes)
    assert "notes.txt: passed over: not a CSV file" in notes


def test_kinds__bars_and_trades_of_one_pair__bars_win(tmp_path: Path) -> None:
    trades = f"unix_us,id,side,price,amount\n{T0 * 10**6},1,buy,7,1\n"
    history = load(tmp_path, {"gemini_BTCUSD_1m.csv": bars([100] * 3), "gemini_BTCUSD_trades.csv": trades})
    assert "gemini_BTCUSD_trades.csv: passed over: bars of gemini BTCUSD win over trades" in history.notes
    assert min(history.sources_of("BTC")[0].prices_e8) == 99 * E8


def test_kinds__trades_alone__are_a_source_of_a_minute(tmp_path: Path) -> None:
    rows = "".join(f"{T0 * 10**6 + i * 900_001},1,buy,{100 + i % 3},1\n" for i in range(300))
    source = load(tmp_path, {"gemini_BTCUSD_trades.csv": "unix_us,id,side,price,amount\n" + rows}).sources[0]
    assert (source.cadence_ms, len(source.points)) == (MINUTE_MS, 300)
    assert source.points[1][0] == T0 * 1000 + 901  # rounded up: never before it happened


def test_kinds__finer_and_coarser_bars_of_one_pair__finer_win(tmp_path: Path) -> None:
    files = {"a_BTCUSD_5m.csv": bars([200] * 3, step_s=300), "a_BTCUSD_1m.csv": bars([100] * 3)}
    history = load(tmp_path, files)
    assert max(history.sources[0].prices_e8) == 103 * E8
    assert any(note.startswith("a_BTCUSD_5m.csv: passed over: finer bars") for note in history.notes)


def test_rows__unsorted_duplicate_and_bad__are_repaired_and_named(tmp_path: Path) -> None:
    rows = [
        f"{T0 + 60},100,103,99,102",
        f"{T0},100,103,99,102",
        f"{T0 + 60},200,203,199,202",
        f"{T0 + 120},nan,103,99,102",
        f"{T0 + 180},100,103,-99,102",
        f"{T0 + 240},100,1e10,99,102",
        f"{T0 + 300},100,99,101,102",
        "yesterday,100,103,99,102",
        f"{T0 + 360},100",
        f"{T0 + 420},,103,99,102",
        "",
        f"{T0 + 120},100,103,99,102",
    ]
    text = "\ufeffUNIX_S, Open ,HIGH,Low,Close\n" + "\n".join(rows)
    history = load(tmp_path, {"a_BTCUSD_1m.csv": text})
    assert [price // E8 for _, price in history.sources[0].points[::4]] == [100, 200, 100]
    refused = next(note for note in history.notes if "refused" in note)
    assert refused.startswith("a_BTCUSD_1m.csv: 7 rows refused (line 5: 'nan' is not a number; line 6: price '-99' is")
    assert any("out of order" in note for note in history.notes)
    assert "a_BTCUSD_1m.csv: 1 rows repeat a time, the last of each kept" in history.notes


@pytest.mark.parametrize(
    "text",
    [
        "unix_s,price\n",
        "unix_s,price\nx,y\n",
        f"unix_s,price\n{T0},0\n{T0},-1\n{T0},1e30\n{T0},0x10\n{T0},inf\n",
        "unix_s,price\n\x00\x01,\x02\n",
        'unix_s,price\n"' + "9" * 200_000 + '",1\n',
    ],
)
def test_file__without_a_valid_row__is_one_line_that_names_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(HistoryError) as error:
        load(tmp_path, {"a_BTCUSD_1m.csv": text})
    assert "a_BTCUSD_1m.csv" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00unix", b"\x1f\x8b\x08\x00\x00", b""])
def test_file__not_text__is_an_error_not_a_traceback(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a_BTCUSD_1m.csv").write_bytes(content)
    with pytest.raises(HistoryError):
        load_history(tmp_path)


def test_path__absent_or_empty__names_the_mend(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="no such file or folder"):
        load_history(tmp_path / "nowhere")
    with pytest.raises(HistoryError, match="the folder is empty"):
        load_history(tmp_path)


def test_feeds__stable_coins_only__is_refused(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="stable coins only"):
        load(tmp_path, {"a_USDCUSD_1m.csv": bars([100] * 3)})


@pytest.mark.parametrize(
    ("text", "unit", "millis"),
    [
        ("1760054400", None, T0 * 1000),
        ("1760054400000", None, T0 * 1000),
        ("1760054400000000", None, T0 * 1000),
        ("1760054400000000000", None, T0 * 1000),
        ("1760054400.0001", 1, T0 * 1000 + 1),
        ("1760054400000001", 10**6, T0 * 1000 + 1),
        ("2025-10-10 00:00:06", None, T0 * 1000 + 6_000),
        ("2025-10-10T00:00:00.000Z", None, T0 * 1000),
        ("2025-10-10T02:00:00+02:00", None, T0 * 1000),
        ("2025-10-10", None, T0 * 1000),
        ("10/10/2025 0:05", None, T0 * 1000 + 5 * MINUTE_MS),
        ("24/12/2025 9:30", None, 1_766_568_600_000),
    ],
)
def test_time__every_form__is_utc_milliseconds(text: str, unit: int | None, millis: int) -> None:
    assert parse_time_ms(text, unit) == millis


@pytest.mark.parametrize(
    "text", ["", "12/24/2025", "31/02/2025", "-5", "5", "1e40", "noon", "2025-13-01", "99999999999"]
)
def test_time__impossible__is_refused(text: str) -> None:
    with pytest.raises(Exception, match=r"time|number"):
        parse_time_ms(text, 1 if text == "99999999999" else None)


@given(st.integers(1, 10**17))
def test_price__exact_decimal__keeps_every_digit(price_e8: int) -> None:
    assert parse_price_e8(f"{price_e8 // E8}.{price_e8 % E8:08d}") == price_e8


@pytest.mark.parametrize(
    ("text", "price_e8"),
    [("1.5e3", 1500 * E8), ("1E-3", 100_000), (".5", E8 // 2), ("+7.", 7 * E8), ("0.000000015", 2), (" 1 ", E8)],
)
def test_price__other_forms__are_read(text: str, price_e8: int) -> None:
    assert parse_price_e8(text) == price_e8


@pytest.mark.parametrize("text", ["", ".", "NaN", "inf", "1,000", "1_000", "0", "-1", "1e999", "1e-999", "٣", "9" * 30])
def test_price__not_a_sane_number__is_refused(text: str) -> None:
    with pytest.raises(Exception, match=r"number|positive|above|empty"):
        parse_price_e8(text)


def test_stable_pair__cross_rate_in_one_venue__converts_every_venue(tmp_path: Path) -> None:
    flat = "unix_s,open,high,low,close\n"
    rows = {quote: flat + "".join(f"{T0 + 60 * i},{p},{p},{p},{p}\n" for i in range(5)) for quote, p in RATES.items()}
    files = {
        "us_BTCUSD_1m.csv": rows["USD"],
        "us_BTCUSDC_1m.csv": rows["USDC"],
        "kraken_BTCUSDC_1m.csv": rows["USDC"],
    }
    history = load(tmp_path, files)
    assert [(source.venue, source.feed) for source in history.sources] == [
        ("us", "USDC"),
        ("kraken", "BTC"),
        ("us", "BTC"),
    ]
    assert set(history.sources_of("USDC")[0].prices_e8) == {90_000_000}
    kraken = history.sources_of("BTC")[0]
    assert kraken.points[0][1] == 20_000 * E8  # at par before the first rate is known
    assert kraken.points[-1][1] == 18_000 * E8
    assert "USDC/USD: derived from us BTCUSD / BTCUSDC" in history.notes
    assert "us BTC: BTCUSDC fills 0 points where BTCUSD is silent" in history.notes
    assert "USDT/USD: not derivable from this input, taken at par" in history.notes


RATES = {"USD": 18_000, "USDC": 20_000}


def test_stable_pair__its_own_usd_pair__is_preferred_to_a_cross(tmp_path: Path) -> None:
    coin = "unix_s,price\n" + "".join(f"{T0 + 60 * i},0.99\n" for i in range(5))
    history = load(
        tmp_path, {"a_BTCUSDT_1m.csv": bars([100] * 5), "a_BTCUSD_1m.csv": bars([100] * 5), "b_USDT.csv": coin}
    )
    assert {source.venue for source in history.sources_of("USDT")} == {"a", "b"}
    assert any("b USDTUSD" in note for note in history.notes)


def test_stable_pair__other_venues_only__stays_at_par_with_a_note(tmp_path: Path) -> None:
    history = load(tmp_path, {"a_BTCUSDT_1m.csv": bars([90] * 5), "b_BTCUSD_1m.csv": bars([100] * 5)})
    assert history.sources_of("BTC")[0].points[0][1] == 90 * E8
    assert "a BTCUSDT: USDT taken at par with USD" in history.notes


def test_pairs_of_one_venue__usd_pair_silent__others_fill_in(tmp_path: Path) -> None:
    dollar = bars([100] * 5) + "\n".join(bars([100] * 5, start_s=T0 + 1800).splitlines()[1:])
    history = load(tmp_path, {"a_BTCUSD_1m.csv": dollar, "a_BTCUSDT_1m.csv": bars([100] * 35)})
    source = history.sources_of("BTC")[0]
    assert len(history.sources_of("BTC")) == 1
    assert all(source.fresh_at(T0 * 1000 + minute * MINUTE_MS) is not None for minute in range(34))


def test_range__default__is_the_minutes_in_which_every_feed_has_a_venue(tmp_path: Path) -> None:
    history = load(tmp_path, {"a_BTC_1m.csv": bars([100] * 60), "a_ETH_1m.csv": bars([9] * 60, start_s=T0 + 600)})
    assert history.feeds == ("BTC", "ETH")
    assert (history.start_ms, history.end_ms) == (T0 * 1000 + 10 * MINUTE_MS, T0 * 1000 + 59 * MINUTE_MS)


def test_range__gap_over_six_hours__ends_it_with_a_notice(tmp_path: Path) -> None:
    later = bars([100] * 60, start_s=T0 + 8 * 3600)
    history = load(tmp_path, {"a_BTC_1m.csv": bars([100] * 60) + later.partition("\n")[2]})
    assert history.end_ms == T0 * 1000 + 59 * MINUTE_MS
    assert any("over six hours ends the range at 2025-10-10 00:59 UTC" in note for note in history.notes)
    assert history.sources[0].times_ms[-1] > history.end_ms + 6 * HOUR_MS


def test_range__feeds_that_never_meet__is_refused(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="overlap"):
        load(tmp_path, {"a_BTC_1m.csv": bars([100] * 9), "a_ETH_1m.csv": bars([9] * 9, start_s=T0 + 86_400)})


@given(st.lists(st.integers(2, 10**6), min_size=3, max_size=20), st.integers(-5, 40 * 60))
def test_source__any_time__never_tells_what_has_not_begun(prices: list[int], seconds: int) -> None:
    points = [(T0 * 1000 + i * MINUTE_MS, price * E8) for i, price in enumerate(prices)]
    now_ms = T0 * 1000 + seconds * 1000
    told = Source.from_points("a", "BTC", MINUTE_MS, reversed(points)).at(now_ms)
    past = [(price, time_ms) for time_ms, price in points if time_ms <= now_ms]
    assert told == (past[-1] if past else None)


@pytest.mark.skipif(not CRASH.is_dir(), reason="the real data of 2025-10-10 is not beside this checkout")
def test_real_crash_folder__loads__as_its_readme_says() -> None:
    history = load_history(CRASH)
    assert history.feeds == ("BTC", "ETH")
    assert [source.venue for source in history.sources_of("BTC")] == ["binance", "gemini", "okx"]
    assert [source.venue for source in history.sources_of("ETH")] == ["gemini"]
    day = dt.datetime(2025, 10, 10, tzinfo=dt.UTC)
    assert history.start_ms == int((day + dt.timedelta(minutes=1)).timestamp()) * 1000
    assert (history.end_ms - history.start_ms) // MINUTE_MS + 1 == 1_439
    binance = history.sources_of("BTC")[0]
    assert binance.cadence_ms == 5 * MINUTE_MS
    # The low of the 21:20 bar is told inside that bar, after its high, which was nearer the open.
    low_ms = int((day + dt.timedelta(hours=21, minutes=20)).timestamp()) * 1000
    assert min(binance.prices_e8) == next(price for time_ms, price in binance.points if time_ms == low_ms + 100_000)
    passed = " ".join(note for note in history.notes if "passed over" in note)
    for name in ("bookDepth", "options", "BTCUSD_trades", "ETHUSD_trades"):
        assert name in passed
    assert "binance BTCUSDT: USDT taken at par with USD" in history.notes


def test_example__generated_again__is_the_same_bytes(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_example", ROOT / "tools" / "make_example.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write(tmp_path)
    committed = {path.name: path.read_bytes() for path in (ROOT / "examples" / "crash_hour").iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == committed
    history = load_history(tmp_path)
    assert (len(history.sources_of("BTC")), len(history.sources_of("ETH"))) == (3, 2)
    assert (history.end_ms - history.start_ms) // MINUTE_MS == 149
