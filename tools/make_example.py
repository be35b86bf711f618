"""Write `examples/crash_hour`, the invented price history that the demo replays. The same seed gives the same bytes.

    python tools/make_example.py [FOLDER]

A hundred and fifty minutes around an expiry at 08:00 UTC: a quiet hour in which the expiry settles, from 08:20 a fall
of 15 % within 22 minutes, a rebound. Three invented venues tell BTC and two ETH; one falls silent on the way down,
one prints a wick that the others do not. No number of it was taken from a market.
"""

import sys
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from holdfast.lab.draws import draw, draw_bell

SEED: Final = 20_260_327
START_S: Final = 1_774_595_400  # 2026-03-27 07:10 UTC
MINUTES: Final = 150
STEPS: Final = 6  # prices inside a minute
PPM: Final = 1_000_000

# Minutes from the start -> distance from the first price in millionths; straight lines between.
PATH: Final = ((0, 0), (50, 1_500), (70, 2_000), (76, -18_000), (84, -62_000), (92, -150_000))
REBOUND: Final = ((97, -112_000), (104, -121_000), (115, -88_000), (130, -71_000), (MINUTES, -66_000))


class Book(NamedTuple):
    """One venue's pair, and how it strays from the common price."""

    venue: str
    pair: str
    noise_ppm: int
    silent: range
    wick_minute: int
    wick_ppm: int


class Coin(NamedTuple):
    """One underlying: its first price in cents, how far it moves for each step of the path, its venues."""

    name: str
    start_cents: int
    beta_ppm: int
    tremor_ppm: int
    books: tuple[Book, ...]


NEVER: Final = range(0)
COINS: Final = (
    Coin(
        "BTC",
        8_812_000,
        1_000_000,
        90,
        (
            Book("alder", "BTCUSD", 60, NEVER, 91, -6_000),
            Book("birch", "BTCUSDT", 80, NEVER, 92, -31_000),
            Book("cedar", "BTCUSD", 120, range(86, 91), 93, -4_000),
        ),
    ),
    Coin(
        "ETH",
        296_400,
        1_250_000,
        120,
        (Book("alder", "ETHUSD", 80, NEVER, 92, -9_000), Book("birch", "ETHUSDT", 110, range(99, 101), 91, -12_000)),
    ),
)


def level_ppm(step: int) -> int:
    """Return the path's distance from the first price at a step."""
    points = PATH + REBOUND
    for (left, low), (right, high) in pairwise(points):
        if step <= right * STEPS:
            return low + (high - low) * (step - left * STEPS) // ((right - left) * STEPS)
    return points[-1][1]


def common_cents(coin: Coin) -> list[int]:
    """Return the coin's common price at every step; it trembles more while it falls."""
    prices, tremor_ppm = [], 0
    for step in range(MINUTES * STEPS + 1):
        is_stormy = 74 * STEPS <= step <= 110 * STEPS
        kick_ppm = draw_bell(coin.tremor_ppm * (4 if is_stormy else 1), SEED, coin.name, "tremor", step)
        tremor_ppm += kick_ppm - tremor_ppm // 60
        prices.append(coin.start_cents * (PPM + level_ppm(step) * coin.beta_ppm // PPM + tremor_ppm) // PPM)
    return prices


def bars(coin: Coin, book: Book) -> list[str]:
    """Return the lines of one file: a bar a minute, none while the venue is silent."""
    lines = ["unix_s,open,high,low,close,volume"]
    common = common_cents(coin)
    for minute in range(MINUTES):
        if minute in book.silent:
            continue
        told = []
        for step in range(minute * STEPS, (minute + 1) * STEPS + 1):
            noise_ppm = draw_bell(book.noise_ppm, SEED, book.venue, book.pair, step)
            told.append(common[step] * (PPM + noise_ppm) // PPM)
        if minute == book.wick_minute:
            told[STEPS // 2] = told[STEPS // 2] * (PPM + book.wick_ppm) // PPM
        volume_e4 = 1 + draw(SEED, book.venue, book.pair, "volume", minute) % 90_000
        cents = (told[0], max(told), min(told), told[-1])
        columns = [f"{value // 100}.{value % 100:02d}" for value in cents]
        volume = f"{volume_e4 // 10_000}.{volume_e4 % 10_000:04d}"
        lines.append(",".join([str(START_S + 60 * minute), *columns, volume]))
    return lines


def write(folder: Path) -> None:
    """Write every file of the example."""
    folder.mkdir(parents=True, exist_ok=True)
    for coin in COINS:
        for book in coin.books:
            path = folder / f"{book.venue}_{book.pair}_1m.csv"
            path.write_text("\n".join(bars(coin, book)) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "examples" / "crash_hour")
