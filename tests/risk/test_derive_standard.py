"""The standard manager against the published cases, and its rules one by one on a case of our own."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.risk import InputError, MarginResult, compute_margin, load_cases
from holdfast.risk.black import Terms, compute_price
from tests.support.margin_cases import MONTH_S, STANDARD_FILE, Tree, changed, needs_vectors, read, standard_case

ONE = 10**18
NAMES = [f"Test{number}" for number in range(1, 28, 2)]


def margin(case: Tree) -> MarginResult:
    return compute_margin(read(case), "derive-standard")


def near(got: object, scaled: float) -> bool:
    return isinstance(got, int | float) and math.isclose(got, scaled / ONE, rel_tol=1e-9, abs_tol=1e-9)


def market_of(result: MarginResult, name: str) -> dict[str, Any]:
    markets: Any = result.figures["markets"]
    found: dict[str, Any] = markets.get(name, {})
    return found


def add_expiries(market: dict[str, Any], name: str) -> float:
    return sum((float(expiry[name]) for expiry in market.get("expiries", ())), 0.0)


@needs_vectors
@pytest.mark.parametrize("name", NAMES)
def test_published_case__every_figure__is_reproduced(name: str) -> None:
    portfolio = load_cases(STANDARD_FILE).portfolios[name]
    wanted = json.loads(STANDARD_FILE.read_text(encoding="utf-8"))[name]["Result"]
    result = compute_margin(portfolio, "derive-standard")
    told: dict[str, object] = {
        "realIM": result.initial,
        "realMM": result.maintenance,
        "PortfolioMtM": result.mark_to_market,
        "Cash": result.figures["cash"],
        "BaseMargin": result.figures["collateral_margin_maintenance"],
    }
    totals = {"UnrealizedPNL": 0.0, "UnsettledFunding": 0.0, "PerpMargin": 0.0, "OracleConts": 0.0, "DepegIMs": 0.0}
    for coin in ("ETH", "BTC"):
        market = market_of(result, coin)
        for suffix, kind in (("MM", "maintenance"), ("IM", "initial")):
            told[f"{coin}Option{suffix}"] = market.get(f"options_{kind}", 0.0)
            told[f"{coin}OptionIsolated{suffix}"] = add_expiries(market, f"isolated_{kind}")
            told[f"{coin}OptionBounded{suffix}"] = add_expiries(market, f"bounded_{kind}")
        totals["UnrealizedPNL"] += market.get("profit", 0.0)
        totals["UnsettledFunding"] += market.get("funding", 0.0)
        totals["PerpMargin"] += market.get("perpetual_maintenance", 0.0)
        totals["OracleConts"] += market.get("oracle", 0.0)
        totals["DepegIMs"] += market.get("depeg", 0.0)
    told |= totals
    if name == "Test25":
        # The case tells its worst payoff on the forward, and its margin on the settlement price of the last hour.
        told = {figure: got for figure, got in told.items() if "Bounded" not in figure}
    assert {figure: got for figure, got in told.items() if not near(got, wanted[figure])} == {}


def test_short_call_and_perpetual__by_hand__is_the_formula() -> None:
    result = margin(standard_case())
    call = compute_price(Terms(1_600.0, MONTH_S, is_call=True), 1_510.0, 0.5)
    realised = 1_505 - 1_450 - (3 - 1)
    assert result.mark_to_market == pytest.approx(1_000 - 2 * call + realised)
    assert result.maintenance == pytest.approx(1_000 - 2 * (call + 0.075 * 1_500) + realised - 0.05 * 1_505)
    # A strike 100 above 1,500 is 6.7 % outside, so that the share falls from 15 % to its least of 10 %.
    assert result.initial == pytest.approx(1_000 - 2 * (call + 0.1 * 1_500) + realised - 0.065 * 1_505)


def put(case: Tree, strike: int, amount: int) -> None:
    case["Scenario"] |= {
        "OptionStrikes": [strike * ONE],
        "OptionIsCall": [0],
        "OptionAmounts": [amount * ONE],
        "Perps_ETH": 0,
    }


def test_short_put__near_the_money__takes_the_spot_s_share() -> None:
    result = margin(changed(standard_case(), lambda case: put(case, 1_500, -1)))
    mark = compute_price(Terms(1_500.0, MONTH_S, is_call=False), 1_510.0, 0.5)
    assert result.maintenance == pytest.approx(1_000 - mark - 0.075 * 1_500)
    assert result.initial == pytest.approx(1_000 - mark - 0.15 * 1_500)


def test_short_put__deep_inside__takes_a_share_of_its_mark_and_the_offset() -> None:
    result = margin(changed(standard_case(), lambda case: put(case, 6_000, -1)))
    mark = compute_price(Terms(6_000.0, MONTH_S, is_call=False), 1_510.0, 0.5)
    assert result.maintenance == pytest.approx(1_000 - 1.075 * mark)
    assert result.initial == pytest.approx(1_000 - 1.05 * 1.075 * mark)


def test_short_put__whose_worst_payoff_is_less__costs_its_strike() -> None:
    result = margin(changed(standard_case(), lambda case: put(case, 100, -1)))
    assert result.initial == pytest.approx(1_000 - 100)
    assert result.worst_scenario == "ETH 2592000s at 0"


def spread(case: Tree, long_amount: int) -> None:
    case["Scenario"] |= {
        "OptionUnderlying": ["ETH", "ETH"],
        "OptionExpiries": [MONTH_S] * 2,
        "OptionStrikes": [1_400 * ONE, 1_500 * ONE],
        "OptionIsCall": [1, 1],
        "OptionAmounts": [-2 * ONE, long_amount * ONE],
        "OptionVols": [ONE // 2] * 2,
        "OptionVolConfidences": [ONE] * 2,
        "FeedExpiries": [MONTH_S] * 2,
        "Forwards": [1_510 * ONE] * 2,
        "ForwardConfidences": [ONE] * 2,
        "Discounts": [0] * 2,
        "DiscountConfidences": [ONE] * 2,
        "Perps_ETH": 0,
    }


def test_call_spread__paired__costs_its_width() -> None:
    result = margin(changed(standard_case(), lambda case: spread(case, 2)))
    assert result.maintenance == pytest.approx(800)
    assert result.initial == pytest.approx(800)


def test_call_spread__half_paired__is_charged_the_unpaired_forward_or_leg_by_leg() -> None:
    market = market_of(margin(changed(standard_case(), lambda case: spread(case, 1))), "ETH")
    expiry = market["expiries"][0]
    assert expiry["bounded_maintenance"] == pytest.approx(-200 - 1.1 * 1_510)
    assert expiry["bounded_initial"] == pytest.approx(-200 - 1.2 * 1_510)
    assert expiry["margin_initial"] == max(expiry["bounded_initial"], expiry["isolated_initial"])


def test_confidence__below_the_threshold__charges_shorts_in_initial_margin_only() -> None:
    weak = changed(standard_case(), lambda case: case["Scenario"].update(OptionVolConfidences=[ONE // 4]))
    assert margin(standard_case()).initial - margin(weak).initial == pytest.approx(0.75 * 0.4 * 1_500 * 2)
    assert margin(weak).maintenance == margin(standard_case()).maintenance


def test_confidence__of_the_spot__charges_the_perpetual_and_the_coin_too() -> None:
    def hold(case: Tree) -> None:
        case["Scenario"]["wETH"] = 4 * ONE

    def weaken(case: Tree) -> None:
        hold(case)
        case["Scenario"]["SpotPerpConfidences"][0] = [ONE // 4, ONE]

    strong, weak = margin(changed(standard_case(), hold)), margin(changed(standard_case(), weaken))
    assert strong.initial - margin(standard_case()).initial == pytest.approx(0.1 * 4 * 1_500)
    assert strong.initial - weak.initial == pytest.approx(0.75 * 0.4 * 1_500 * (2 + 1 + 4))


def test_depeg__below_the_threshold__charges_shorts_and_perpetuals() -> None:
    depegged = changed(standard_case(), lambda case: case["Scenario"].update(USDCValue=9 * ONE // 10))
    assert margin(standard_case()).initial - margin(depegged).initial == pytest.approx(0.08 * 1.2 * 1_500 * (2 + 1))
    assert margin(depegged).maintenance == margin(standard_case()).maintenance


def test_coin__under_a_depeg__is_marked_in_the_stable_and_margined_in_usd() -> None:
    def hold(case: Tree) -> None:
        case["Scenario"] |= {"wETH": ONE, "USDCValue": ONE // 2}

    result = margin(changed(standard_case(), hold))
    assert result.figures["collateral_mark_to_market"] == pytest.approx(3_000)
    assert result.figures["collateral_margin_maintenance"] == pytest.approx(150)


def test_last_hour__takes_the_settlement_price_for_the_forward() -> None:
    def settle(case: Tree) -> None:
        case["Scenario"] |= {"OptionExpiries": [3_000], "FeedExpiries": [3_000], "OptionStrikes": [1_000 * ONE]}

    assert market_of(margin(changed(standard_case(), settle)), "ETH")["option_mark_to_market"] == pytest.approx(-980)


def test_two_markets__are_added_up() -> None:
    def hold(case: Tree) -> None:
        case["Scenario"] |= {
            "Perps_BTC": -ONE,
            "LastEntryBTC": 28_000 * ONE,
            "AccountBTCFundingIndex": 0,
        }

    added = margin(changed(standard_case(), hold))
    assert added.maintenance - margin(standard_case()).maintenance == pytest.approx(10 - 0.05 * 27_990)
    assert added.initial - margin(standard_case()).initial == pytest.approx(10 - 0.065 * 27_990)


Change = Callable[[Tree], object]

REFUSALS: list[tuple[Change, str]] = [
    (lambda case: case["Scenario"].pop("Cash"), "Scenario: Cash: is missing"),
    (lambda case: case["Scenario"].update(OptionUnderlying=["DOGE"]), "OptionUnderlying[0]: 'DOGE' is an unknown"),
    (lambda case: case["Scenario"].update(OptionVols=[0]), "Scenario: OptionVols[0]: 0 is not above zero"),
    (lambda case: case["Scenario"].update(OptionVols=[-ONE]), "OptionVols[0]: -1e+18 is not above zero"),
    (lambda case: case["Scenario"].update(OptionVols=[math.nan]), "OptionVols[0]: nan is not a finite number"),
    (lambda case: case["Scenario"].update(OptionVols=[]), "Scenario: OptionVols[0]: is missing"),
    (
        lambda case: case["Scenario"].update(OptionVols=[ONE, ONE]),
        "Scenario: OptionVols: has 2 entries, where OptionUnderlying names 1 options",
    ),
    (lambda case: case["Scenario"].pop("OptionVols"), "Scenario: OptionVols: is missing"),
    (lambda case: case["Scenario"].update(OptionAmounts=[10**30]), "OptionAmounts[0]: 1000000000000000000000000000000"),
    (lambda case: case["Scenario"].update(OptionExpiries=[-5]), "OptionExpiries[0]: expired 5 s ago"),
    (lambda case: case["Scenario"].update(OptionExpiries=[5]), "OptionExpiries[0]: 5 is not among FeedExpiries of ETH"),
    (lambda case: case["Scenario"].update(OptionIsCall=[7]), "Scenario: OptionIsCall[0]: 7 is neither true nor false"),
    (lambda case: case["Scenario"].update(Forwards=[None]), "Scenario: Forwards[0]: is missing"),
    (lambda case: case["Scenario"].update(ETHSpotPrice=0), "Scenario: ETHSpotPrice: 0 is not above zero"),
    (lambda case: case["Scenario"].update(LastEntryETH=None), "Scenario: LastEntryETH: is missing"),
    (lambda case: case["Scenario"].update(SpotPerpConfidences=[[ONE]]), "Scenario: perp: is missing"),
    (lambda case: case["Scenario"].update(SpotPerpConfidences=[3]), "SpotPerpConfidences[0]: is not a pair"),
    (lambda case: case["Scenario"].update(wBTC=-ONE), "Scenario: wBTC: -1 is below 0"),
    (lambda case: case["Scenario"].update(USDCValue=0), "Scenario: USDCValue: 0 is not above zero"),
]


@pytest.mark.parametrize(("change", "words"), REFUSALS, ids=[words for _, words in REFUSALS])
def test_case__that_cannot_be__is_refused_with_its_row_and_field(change: Change, words: str) -> None:
    with pytest.raises(InputError) as caught:
        margin(changed(standard_case(), change))
    assert words in str(caught.value)
