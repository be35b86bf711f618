"""Write `examples/risk/btc_history.csv`, the invented history of `holdfast risk backtest`. Always the same bytes.

    python tools/make_risk_history.py [FILE]

A hundred days of hourly prices. Volatility clusters: its square is 0.88 of what it was, 0.10 of the last return's
square and 0.02 of the usual (GARCH, Bollerslev 1986). On day 70 the price falls by a quarter within 18 hours; on day 40
nothing is quoted for nine hours. No number of it was taken from a market.
"""

import math
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from holdfast.lab.draws import draw_bell

SEED: Final = 20_250_901
START_S: Final = 1_756_684_800  # 2025-09-01 00:00 UTC
HOURS: Final = 100 * 24
START_CENTS: Final = 8_400_000
PPM: Final = 1_000_000
# An hour's share of 55 % a year.
USUAL_PPM: Final = 5_880
FALL: Final = range(70 * 24 + 9, 70 * 24 + 27)
FALL_PPM: Final = -16_000
SILENT: Final = range(40 * 24 + 2, 40 * 24 + 11)


def lines() -> list[str]:
    """Return the file's lines."""
    told = ["time,close"]
    cents, variance = START_CENTS, USUAL_PPM**2
    for hour in range(HOURS):
        if hour not in SILENT:
            moment = datetime.fromtimestamp(START_S + 3_600 * hour, UTC)
            told.append(f"{moment:%Y-%m-%dT%H:%M:%SZ},{cents // 100}.{cents % 100:02d}")
        return_ppm = draw_bell(math.isqrt(variance), SEED, "return", hour) + (FALL_PPM if hour in FALL else 0)
        cents = cents * (PPM + return_ppm) // PPM
        variance = (2 * USUAL_PPM**2 + 10 * return_ppm**2 + 88 * variance) // 100
    return told


if __name__ == "__main__":
    path = (
        Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "examples" / "risk" / "btc_history.csv"
    )
    path.write_text("\n".join(lines()) + "\n", encoding="utf-8", newline="\n")
