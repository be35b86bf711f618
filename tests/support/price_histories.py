"""Price histories: those that lie beside this checkout, and the invented one that is shipped."""

from pathlib import Path
from typing import Final

import pytest

DATA: Final = Path(__file__).parents[2].parent / "shared" / "data"
CRASH_FILE: Final = DATA / "crash_2025_10_10" / "binance_BTCUSDT_index_5m_20251009_20251012.csv"
CRASH_FOLDER: Final = CRASH_FILE.parent
PERPETUALS_FILE: Final = DATA / "deribit_chain" / "deribit_perp_price_4x_daily_20251230_20260415.csv"
TERRA_FILE: Final = DATA / "oracle_nodes_2022_04_05" / "chainlink_ethusd_31nodes.csv"
CRASH_DAYS: Final = DATA / "eth_crash_days_10m"
EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "risk" / "btc_history.csv"

needs_prices: Final = pytest.mark.skipif(
    not CRASH_FILE.exists(), reason="the price histories (shared/data) are not beside this checkout"
)
