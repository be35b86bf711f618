"""Portfolios for the margin models: the published cases where they lie beside this checkout, and our own."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest

from holdfast.risk import Portfolio, parse_cases
from holdfast.risk.derive_pm2_parameters import GROUPS, SCENARIOS

VECTORS: Final = Path(__file__).parents[2].parent / "shared" / "data" / "margin_vectors"
PM2_FILES: Final = sorted((VECTORS / "derive_pm2").glob("*.json"))
STANDARD_FILE: Final = VECTORS / "derive_standard_manager.json"
EXAMPLES: Final = Path(__file__).parents[2] / "examples" / "risk"

needs_vectors: Final = pytest.mark.skipif(
    not PM2_FILES, reason="the published margin cases (shared/data/margin_vectors) are not beside this checkout"
)

MONTH_S: Final = 30 * 86_400
YEAR_S: Final = 365 * 86_400

Tree = dict[str, Any]


def pm2_case() -> Tree:
    """Return a PM2 case of our own, in the published form: three options of two expiries, and a perpetual."""
    return {
        "Scenario": {
            "Cash": 5_000.0,
            "Collaterals": [pm2_coin("ETH", 2.0, 2_000.0, cancels=True), pm2_coin("USDT", 1_000.0, 1.0)],
            "SpotPrice": 2_000.0,
            "SpotConfidence": 1.0,
            "NumPerps": 3.0,
            "PerpPrice": 2_010.0,
            "PerpConfidence": 1.0,
            "UnrealisedPerpPNL": -40.0,
            "UnrealisedFunding": 5.0,
            "StablePrice": 1.0,
            "StableConfidence": 1.0,
            "Options": [
                pm2_option(MONTH_S, 2_000.0, 1, -2.0, 0.7),
                pm2_option(MONTH_S, 2_400.0, 1, 2.0, 0.75),
                pm2_option(4 * MONTH_S, 1_600.0, 0, -1.0, 0.8),
            ],
            "OptionFeeds": [pm2_feed(MONTH_S, 2_012.0), pm2_feed(4 * MONTH_S, 2_050.0)],
        },
        "Parameters": {
            **{group: dict(fields) for group, fields in GROUPS.items()},
            "Scenarios": [
                {"SpotShock": scenario.spot, "VolShockDirection": scenario.vol, "DampeningFactor": scenario.dampening}
                for scenario in SCENARIOS
            ],
        },
        "Result": {},
    }


def pm2_option(seconds: float, strike: float, is_call: int, amount: float, vol: float) -> Tree:
    return {"Expiry": seconds, "Strike": strike, "IsCall": is_call, "Amount": amount, "MarkVol": vol}


def pm2_feed(seconds: float, forward: float, rate: float = 0.05, confidence: float = 1.0) -> Tree:
    return {
        "FeedExpiry": seconds,
        "Forward": forward,
        "ForwardConfidence": confidence,
        "Rate": rate,
        "RateConfidence": 1.0,
        "OptionVolConfidences": 1.0,
    }


def pm2_coin(name: str, amount: float, price: float, *, confidence: float = 1.0, cancels: bool = False) -> Tree:
    return {
        "Name": name,
        "Amount": amount,
        "Price": price,
        "Confidence": confidence,
        "IsRiskCancelling": cancels,
        "IMHaircut": 0.02,
        "MMHaircut": 0.04,
    }


def standard_case() -> Tree:
    """Return a case of the standard manager of our own, in the published form: one short call, one perpetual."""
    one = 10**18
    return {
        "Scenario": {
            "OptionUnderlying": ["ETH"],
            "OptionExpiries": [MONTH_S],
            "OptionStrikes": [1_600 * one],
            "OptionIsCall": [1],
            "OptionAmounts": [-2 * one],
            "OptionVols": [one // 2],
            "OptionVolConfidences": [one],
            "Cash": 1_000 * one,
            "Perps_ETH": one,
            "Perps_BTC": 0,
            "wETH": 0,
            "wBTC": 0,
            "LastEntryETH": 1_450 * one,
            "LastEntryBTC": None,
            "ETHGlobalFundingIndex": 3 * one,
            "BTCGlobalFundingIndex": 0,
            "AccountETHFundingIndex": one,
            "AccountBTCFundingIndex": None,
            "ETHSpotPrice": 1_500 * one,
            "BTCSpotPrice": 28_000 * one,
            "SpotPerpConfidences": [[one, one], [one, one]],
            "FeedExpiries": [MONTH_S],
            "Forwards": [1_510 * one],
            "ForwardConfidences": [one],
            "Discounts": [0],
            "DiscountConfidences": [one],
            "USDCValue": one,
            "PerpPrice": [1_505 * one, 27_990 * one],
            "SettlementPriceETH": 1_490 * one,
            "SettlementPriceBTC": None,
        },
        "Result": {},
    }


def document() -> Tree:
    """Return the example portfolio, decoded."""
    decoded: Tree = json.loads((EXAMPLES / "portfolio.json").read_text(encoding="utf-8"))
    return decoded


def account_document() -> Tree:
    """Return the example of an account of the exchange, decoded."""
    decoded: Tree = json.loads((EXAMPLES / "account.json").read_text(encoding="utf-8"))
    return decoded


def changed(case: Tree, change: Callable[[Tree], object]) -> Tree:
    """Return a case with one change made to it."""
    copy = deepcopy(case)
    change(copy)
    return copy


def read(case: Tree) -> Portfolio:
    return next(iter(parse_cases(case).portfolios.values()))
