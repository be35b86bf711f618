"""PM2 against the published cases, every figure of them, and its rules one by one on a case of our own."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from holdfast.risk import InputError, MarginResult, compute_margin, load_portfolio
from holdfast.risk.derive_pm2_parameters import GROUPS
from tests.support.margin_cases import (
    MONTH_S,
    PM2_FILES,
    YEAR_S,
    Tree,
    changed,
    needs_vectors,
    pm2_case,
    pm2_feed,
    pm2_option,
    read,
)

FIGURES = {
    "worst_regular_loss": "worst_reg_loss",
    "worst_tail_loss": "worst_tail_loss",
    "worst_skew_loss": "worst_skew_loss",
    "basis_contingency": "ForwardContingency",
    "maintenance_loss_factor": "MMLossFactor",
    "initial_loss_factor": "IMLossFactor",
    "cash": "Cash",
    "option_mark_to_market": "OptionMTM",
    "collateral_mark_to_market": "CollateralMTM",
    "perpetual_contingency_maintenance": "MMPerpCont",
    "perpetual_contingency_initial": "IMPerpCont",
    "option_contingency_maintenance": "MMOptionCont",
    "option_contingency_initial": "IMOptionCont",
    "collateral_contingency_maintenance": "MMBaseCont",
    "collateral_contingency_initial": "IMBaseCont",
    "oracle_contingency_initial": "OracleCont",
}
OF_OPTIONS = {
    "vol_up_multiplier": "VolShockUpMultiplier",
    "vol_down_multiplier": "VolShockDownMultiplier",
    "vol_up": "VolShockUpEvaluated",
    "vol_down": "VolShockDownEvaluated",
}
OF_SKEW = {
    "k": "k",
    "k_star": "k_star",
    "linear_cap": "linear_mult_cap",
    "abs_cap": "abs_mult_cap",
    "linear_multiplier": "linear_multiplier",
    "abs_multiplier": "abs_multiplier",
}


def margin(case: Tree) -> MarginResult:
    return compute_margin(read(case), "derive-pm2")


def near(got: object, wanted: float) -> bool:
    # The cases' zeros are sums that left some 1e-12.
    return isinstance(got, int | float) and math.isclose(got, wanted, rel_tol=1e-9, abs_tol=1e-9)


def compare(result: MarginResult, case: Mapping[str, Any]) -> Iterator[tuple[str, object, float]]:
    """Yield every figure that a case tells, beside ours."""
    wanted = case["Result"]
    told = [float(loss[-1]) for kind in ("reg", "tail", "skew") for loss in wanted[f"{kind}_losses"]]
    *losses, basis = result.scenarios.items()
    assert len(losses) == len(told)
    yield from ((name, loss, expected) for (name, loss), expected in zip(losses, told, strict=True))
    yield (*basis, wanted["ForwardContingency"])
    yield "initial", result.initial, wanted["IM"]
    yield "maintenance", result.maintenance, wanted["MM"]
    yield "mark to market", result.mark_to_market, wanted["PortfolioMTM"]
    yield from ((name, result.figures[name], wanted[theirs]) for name, theirs in FIGURES.items())
    if case["Scenario"]["NumPerps"]:
        realised = wanted["UnrealisedPerpPNL"] + wanted["UnrealisedFunding"]
        yield "perpetual", result.figures["perpetual_profit_and_funding"], realised
    expiries, options = rows(result, "expiries"), rows(result, "options")
    for place, expiry in enumerate(expiries):
        yield f"expiry {place}", expiry["mark_to_market"], wanted["OptionMTMPerExpiry"][place]
        yield f"discounted {place}", expiry["mark_to_market_discounted"], wanted["OptionMTMPerExpiryDiscounted"][place]
        yield f"long factor {place}", expiry["long_factor"], wanted["discount_factors"][place][0]
        yield f"short factor {place}", expiry["short_factor"], wanted["discount_factors"][place][1]
    for place, (option, theirs_of) in enumerate(zip(options, case["Scenario"]["Options"], strict=True)):
        yield from ((f"{name} {place}", option[name], wanted[theirs][place]) for name, theirs in OF_OPTIONS.items())
        yield from ((f"{name} {place}", option[name], theirs_of[theirs]) for name, theirs in OF_SKEW.items())


def rows(result: MarginResult, name: str) -> Sequence[Mapping[str, Any]]:
    found: Any = result.figures[name]
    return list(found)


@needs_vectors
@pytest.mark.parametrize("path", PM2_FILES, ids=lambda path: path.stem)
def test_published_case__every_figure__is_reproduced(path: Path) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    result = compute_margin(load_portfolio(path), "derive-pm2")
    assert [(name, got, wanted) for name, got, wanted in compare(result, case) if not near(got, wanted)] == []


@needs_vectors
@pytest.mark.parametrize("path", PM2_FILES, ids=lambda path: path.stem)
def test_published_case__worst_scenario__is_of_the_published_kind(path: Path) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))["Result"]
    worst = compute_margin(load_portfolio(path), "derive-pm2").worst_scenario or ""
    move = float(worst.removeprefix("spot").split("%")[0])
    kind = "skew" if "skew" in worst else "tail" if abs(move) > 20 else "regular"
    # In one case all scenarios are equal but for what sums leave.
    assert kind == case["worst_all_scenarios"] or abs(case["worst_reg_loss"]) < 1e-9


def test_case_of_our_own__scenarios__are_named_once_and_the_basis_comes_last() -> None:
    result = margin(pm2_case())
    assert len(result.scenarios) == 32
    assert list(result.scenarios)[:3] == ["spot+18% vol-up", "spot+13.5% vol-down", "spot+13.5% vol-none"]
    assert list(result.scenarios)[-4:] == [
        "spot+300% vol-up x0.012",
        "spot+0% skew-linear",
        "spot+0% skew-abs",
        "basis",
    ]
    assert result.worst_scenario in result.scenarios
    assert result.scenarios[result.worst_scenario or ""] == min(result.scenarios.values())


def test_margin__without_options__is_the_formula_by_hand() -> None:
    result = margin(changed(pm2_case(), lambda case: case["Scenario"].update(Options=[], OptionFeeds=[])))
    # 3 perpetuals at 2,010 and 2 risk-cancelling coins at 2,000, down by 18 %.
    worst = -0.18 * (3 * 2_010 + 2 * 2_000)
    value = 5_000 - 40 + 5 + 4_000 + 1_000
    maintenance = 3 * 2_000 * 0.015 + 5_000 * 0.04
    assert result.worst_scenario == "spot-18% vol-up"
    assert result.mark_to_market == pytest.approx(value)
    assert result.maintenance == pytest.approx(value + 0.8 * worst - maintenance)
    assert result.initial == pytest.approx(value + worst - maintenance - 3 * 2_000 * 0.005 - 5_000 * 0.02)


def only_options(*options: Tree) -> Tree:
    case = pm2_case()
    expiries = dict.fromkeys(option["Expiry"] for option in options)
    case["Scenario"] |= {
        "Cash": 0.0,
        "NumPerps": 0,
        "PerpPrice": 0,
        "Collaterals": [],
        "Options": list(options),
        "OptionFeeds": [pm2_feed(seconds, 2_000.0) for seconds in expiries],
    }
    return case


def test_short_box__of_any_length__costs_no_more_than_its_face() -> None:
    seconds = 2 * YEAR_S
    legs = [(1_500.0, 1, -1.0), (1_500.0, 0, 1.0), (2_500.0, 1, 1.0), (2_500.0, 0, -1.0)]
    result = margin(only_options(*(pm2_option(seconds, *leg, 0.6) for leg in legs)))
    assert result.mark_to_market == pytest.approx(-1_000 * math.exp(-0.05 * 2))
    worst = result.scenarios[result.worst_scenario or ""]
    assert result.mark_to_market + worst == pytest.approx(-1_000)
    # At each strike the call is netted with the put, so that nothing is naked.
    assert result.figures["option_contingency_maintenance"] == 0


def test_naked_shorts__opposite_call_and_put_of_one_strike__are_netted() -> None:
    together = only_options(pm2_option(MONTH_S, 2_000.0, 1, -3.0, 0.6), pm2_option(MONTH_S, 2_000.0, 0, 2.0, 0.6))
    apart = only_options(pm2_option(MONTH_S, 2_000.0, 1, -3.0, 0.6), pm2_option(MONTH_S, 2_100.0, 0, 2.0, 0.6))
    other = only_options(pm2_option(MONTH_S, 2_000.0, 1, -3.0, 0.6), pm2_option(2 * MONTH_S, 2_000.0, 0, 2.0, 0.6))
    shorts = [rows(margin(case), "expiries")[0]["naked_shorts"] for case in (together, apart, other)]
    assert shorts == [1.0, 3.0, 3.0]


def test_confidence__of_the_perpetual__does_not_reach_collateral() -> None:
    weak = changed(pm2_case(), lambda case: case["Scenario"].update(PerpConfidence=0.4))
    strong = pm2_case()
    charged = margin(strong).initial - margin(weak).initial
    # 3 perpetuals and 5 options, whatever their sign, at the spot; nothing for the coins.
    assert charged == pytest.approx(0.6 * (3 + 2 + 2 + 1) * 2_000)
    assert margin(strong).maintenance == margin(weak).maintenance


def test_confidence__of_the_spot__reaches_collateral_too() -> None:
    weak = changed(pm2_case(), lambda case: case["Scenario"].update(SpotConfidence=0.4))
    charged = margin(pm2_case()).initial - margin(weak).initial
    assert charged == pytest.approx(0.6 * ((3 + 2 + 2 + 1) * 2_000 + 5_000))


def test_confidence__of_one_forward__charges_its_expiry_alone() -> None:
    weak = changed(pm2_case(), lambda case: case["Scenario"]["OptionFeeds"][1].update(ForwardConfidence=0.5))
    assert margin(pm2_case()).initial - margin(weak).initial == pytest.approx(0.5 * 1 * 2_000)


def test_confidence__at_the_threshold__charges_nothing() -> None:
    edge = changed(pm2_case(), lambda case: case["Scenario"].update(SpotConfidence=0.55))
    assert margin(edge).initial == margin(pm2_case()).initial


def test_depeg__below_the_threshold__raises_the_initial_factor_and_leaves_cash() -> None:
    depegged = changed(pm2_case(), lambda case: case["Scenario"].update(StablePrice=0.9))
    result = margin(depegged)
    assert result.figures["initial_loss_factor"] == pytest.approx(1 + 0.08 * 2)
    assert result.figures["cash"] == 5_000
    assert result.figures["collateral_mark_to_market"] == pytest.approx(5_000 / 0.9)


def test_rate__below_zero__counts_as_zero() -> None:
    case = only_options(pm2_option(YEAR_S, 2_000.0, 1, -1.0, 0.6))
    negative = changed(case, lambda given: given["Scenario"]["OptionFeeds"][0].update(Rate=-0.3))
    zero = changed(case, lambda given: given["Scenario"]["OptionFeeds"][0].update(Rate=0.0))
    assert margin(negative) == margin(zero)
    assert rows(margin(zero), "expiries")[0]["discount"] == 1


def test_vol_up__below_its_floor__is_the_floor_and_down_is_never_below_zero() -> None:
    case = only_options(pm2_option(MONTH_S, 2_000.0, 1, -1.0, 0.1))
    case["Parameters"]["VolShock"]["VOLRANGEDOWN"] = 5.0
    option = rows(margin(case), "options")[0]
    assert option["vol_up"] == 0.45
    assert (option["vol_down_multiplier"], option["vol_down"]) == (0.0, 0.0)


def test_vol_multipliers__on_both_sides_of_thirty_days__take_their_power() -> None:
    options = [pm2_option(seconds, 2_000.0, 1, 1.0, 0.5) for seconds in (43_200, 10 * 86_400, MONTH_S, 60 * 86_400)]
    found = [option["vol_up_multiplier"] for option in rows(margin(only_options(*options)), "options")]
    wanted = [1 + 0.5 * 30**0.3, 1 + 0.5 * 3**0.3, 1.5, 1 + 0.5 * 0.5**0.13]
    assert found == pytest.approx(wanted)


def test_settlement__inside_the_last_half_hour__shocks_the_variable_part_only() -> None:
    case = only_options(pm2_option(450, 1_500.0, 1, -1.0, 0.6))
    result = margin(case)
    # A quarter of the average is still open, so that 18 % of it is 4.5 % of the forward.
    assert result.scenarios["spot+18% vol-up"] == pytest.approx(-2_000 * 0.045, rel=1e-4)


def test_settlement__at_expiry__is_what_exercise_is_worth_without_any_vol() -> None:
    case = only_options(pm2_option(0, 1_500.0, 1, -1.0, math.nan))
    del case["Scenario"]["Options"][0]["MarkVol"]
    result = margin(case)
    assert result.mark_to_market == -500
    # Nothing is left to shock; what is above one in the static factor is capped at the growth to expiry, which is none.
    assert set(result.scenarios.values()) == {0.0}


def test_floor_of_days__zero_at_expiry__is_margined() -> None:
    case = only_options(pm2_option(0, 1_500.0, 1, -1.0, 1.0))
    case["Parameters"]["VolShock"]["DTE_FLOOR"] = 0
    assert margin(case).mark_to_market == -500


def test_skew__width_of_zero__is_the_cap_at_once() -> None:
    case = only_options(pm2_option(MONTH_S, 2_500.0, 1, 1.0, 0.6), pm2_option(MONTH_S, 1_500.0, 1, 1.0, 0.6))
    case["Parameters"]["SkewShock"] |= {"MIN_K_STAR": 0, "MIN_WIDTH_SCALE": 0}
    high, low = rows(margin(case), "options")
    assert high["linear_multiplier"] == 1 + high["linear_cap"]
    assert low["linear_multiplier"] == 1 - low["linear_cap"]
    assert low["abs_multiplier"] == 1 + low["abs_cap"]


def test_skew__multiplier_below_zero__prices_without_volatility() -> None:
    case = only_options(pm2_option(YEAR_S, 2_500.0, 1, 1.0, 0.6))
    case["Parameters"]["SkewShock"]["ABS_CBASE"] = -10.0
    result = margin(case)
    assert rows(result, "options")[0]["abs_multiplier"] < 0
    assert result.scenarios["spot+0% skew-abs"] == pytest.approx(-result.mark_to_market)


def test_skew__gain__counts_as_a_loss_at_each_expiry() -> None:
    case = only_options(pm2_option(MONTH_S, 1_500.0, 1, -1.0, 0.6), pm2_option(YEAR_S, 2_500.0, 1, -1.0, 0.6))
    alone = [only_options(option) for option in case["Scenario"]["Options"]]
    together = margin(case).scenarios
    for name in ("spot+0% skew-linear", "spot+0% skew-abs"):
        parts = [margin(one).scenarios[name] for one in alone]
        assert together[name] == pytest.approx(sum(parts))
        assert max(parts) <= 0


def test_scenarios__given_twice__are_told_apart() -> None:
    case = pm2_case()
    case["Parameters"]["Scenarios"] = [case["Parameters"]["Scenarios"][0]] * 2
    assert list(margin(case).scenarios) == ["spot+18% vol-up", "spot+18% vol-up #2", "basis"]


def test_basis__worse_than_every_scenario__is_the_worst() -> None:
    case = changed(pm2_case(), lambda given: given["Parameters"]["BasisContingency"].update(BASIS_CONT_ADD_FACTOR=50))
    assert margin(case).worst_scenario == "basis"


def test_cash__more_of_it__raises_both_margins_by_as_much() -> None:
    richer = changed(pm2_case(), lambda case: case["Scenario"].update(Cash=6_500.0))
    assert margin(richer).initial - margin(pm2_case()).initial == pytest.approx(1_500)
    assert margin(richer).maintenance - margin(pm2_case()).maintenance == pytest.approx(1_500)


@pytest.mark.parametrize("group", GROUPS)
def test_parameters__each_at_zero_and_far_up__give_finite_figures(group: str) -> None:
    for name in GROUPS[group]:
        for value in (0.0, -1e-17, 10.0, 400.0):
            case = pm2_case()
            case["Parameters"][group][name] = value
            result = margin(case)
            assert result.is_finite(), (name, value)


def test_scenario__of_a_total_loss__is_margined() -> None:
    case = only_options(pm2_option(MONTH_S, 2_000.0, 0, -1.0, 0.6))
    case["Parameters"]["Scenarios"] = [{"SpotShock": 0, "VolShockDirection": "Up", "DampeningFactor": 1}]
    result = margin(case)
    part = rows(result, "expiries")[0]
    wanted = -2_000 * part["discount"] * part["short_factor"] - result.mark_to_market
    assert result.scenarios["spot-100% vol-up"] == pytest.approx(wanted)


Change = Callable[[Tree], object]

REFUSALS: list[tuple[Change, str]] = [
    (lambda case: case["Scenario"].pop("Cash"), "Scenario: Cash: is missing"),
    (lambda case: case["Scenario"].update(Cash=math.nan), "Scenario: Cash: nan is not a finite number"),
    (lambda case: case["Scenario"].update(SpotPrice=0), "Scenario: SpotPrice: 0 is not above zero"),
    (lambda case: case["Scenario"].update(SpotConfidence=1.5), "Scenario: SpotConfidence: 1.5 is above 1"),
    (lambda case: case["Scenario"].update(StablePrice=-1), "Scenario: StablePrice: -1 is not above zero"),
    (lambda case: case["Scenario"].update(NumPerps=1e12), "Scenario: NumPerps: 1000000000000.0 is above 1e+09"),
    (lambda case: case["Scenario"].update(PerpPrice=0), "Scenario: PerpPrice: 0 is not above zero"),
    (lambda case: case["Scenario"]["Options"][1].update(MarkVol=0), "Options[1]: MarkVol: 0 is not above zero"),
    (lambda case: case["Scenario"]["Options"][1].update(MarkVol=-0.5), "Options[1]: MarkVol: -0.5 is not above zero"),
    (lambda case: case["Scenario"]["Options"][1].update(MarkVol="nan"), "Options[1]: MarkVol: nan is not a finite"),
    (lambda case: case["Scenario"]["Options"][0].pop("Strike"), "Options[0]: Strike: is missing"),
    (lambda case: case["Scenario"]["Options"][0].update(Strike=0), "Options[0]: Strike: 0 is not above zero"),
    (lambda case: case["Scenario"]["Options"][0].update(IsCall="maybe"), "Options[0]: IsCall: 'maybe' is neither"),
    (
        lambda case: case["Scenario"]["Options"][2].update(Amount=-1e15),
        "Options[2]: Amount: -1000000000000000.0 is below",
    ),
    (lambda case: case["Scenario"]["Options"][2].update(Expiry=-60), "Options[2]: Expiry: expired 60 s ago"),
    (lambda case: case["Scenario"]["Options"][2].update(Expiry=77), "Options[2]: Expiry: 77 is in no row of"),
    (lambda case: case["Scenario"]["OptionFeeds"][0].update(Forward=0), "OptionFeeds[0]: Forward: 0 is not above"),
    (lambda case: case["Scenario"]["OptionFeeds"][1].update(FeedExpiry=MONTH_S), "[1]: FeedExpiry: 2.592e+06 is given"),
    (lambda case: case["Scenario"]["Collaterals"][0].update(Amount=-1), "Collaterals[0]: Amount: -1 is below 0"),
    (lambda case: case["Scenario"]["Collaterals"][0].pop("MMHaircut"), "Collaterals[0]: MMHaircut: is missing"),
    (lambda case: case["Parameters"]["Margin"].pop("IM_LOSS_FACTOR"), "Parameters.Margin: IM_LOSS_FACTOR: is missing"),
    (lambda case: case["Parameters"].pop("VolShock"), "Parameters: VolShock: is missing"),
    (lambda case: case["Parameters"].update(Scenarios=[]), "Parameters: Scenarios: 0 scenarios; from 1 to 1000"),
    (
        lambda case: case["Parameters"]["Scenarios"][4].update(VolShockDirection="Sideways"),
        "Parameters.Scenarios[4]: VolShockDirection: 'Sideways' is none of Up, None, Down, LINEAR, ABS",
    ),
    (
        lambda case: case["Parameters"]["Scenarios"][4].update(SpotShock=-0.1),
        "Parameters.Scenarios[4]: SpotShock: -0.1 is below 0",
    ),
]


@pytest.mark.parametrize(("change", "words"), REFUSALS, ids=[words for _, words in REFUSALS])
def test_case__that_cannot_be__is_refused_with_its_row_and_field(change: Change, words: str) -> None:
    with pytest.raises(InputError) as caught:
        margin(changed(pm2_case(), change))
    assert words in str(caught.value)


def test_figures__that_no_double_holds__are_refused() -> None:
    case = pm2_case()
    case["Parameters"]["VolShock"] |= {"SHORTTERMPOWER": 1_000, "DTE_FLOOR": 0}
    case["Scenario"]["Options"][0]["Expiry"] = case["Scenario"]["Options"][1]["Expiry"] = 60
    case["Scenario"]["OptionFeeds"].append(pm2_feed(60, 2_000.0))
    with pytest.raises(InputError, match="make figures that no double holds"):
        margin(case)


def test_defaults__are_those_that_the_published_cases_share() -> None:
    if not PM2_FILES:
        pytest.skip("the published margin cases are not beside this checkout")
    case = json.loads(next(path for path in PM2_FILES if "_1_collateral" in path.name).read_text(encoding="utf-8"))
    for group, fields in GROUPS.items():
        assert {name: case["Parameters"][group][name] for name in fields} == pytest.approx(dict(fields))
    assert len(case["Parameters"]["Scenarios"]) == len(pm2_case()["Parameters"]["Scenarios"])
    for theirs, ours in zip(case["Parameters"]["Scenarios"], pm2_case()["Parameters"]["Scenarios"], strict=True):
        assert theirs["VolShockDirection"] == ours["VolShockDirection"]
        assert theirs["SpotShock"] == pytest.approx(ours["SpotShock"])
        assert theirs["DampeningFactor"] == pytest.approx(ours["DampeningFactor"])
