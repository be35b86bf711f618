"""Published figures held against ours: every figure of a file is found, and a wrong one is found out."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.risk import InputError, MarginResult, compute_margin, load_cases, parse_cases
from holdfast.risk.checking import Check, check_cases
from holdfast.risk.inputs import Cases
from holdfast.risk.published import Published
from tests.support.margin_cases import (
    EXAMPLES,
    PM2_FILES,
    STANDARD_FILE,
    Tree,
    changed,
    needs_vectors,
    pm2_case,
    pm2_feed,
    pm2_option,
    read,
    standard_case,
)

Change = Callable[[Tree], object]


def check(case: Tree, model: str | None = None) -> Check:
    (found,) = (found for _, found in check_cases(parse_cases(case), model))
    assert isinstance(found, Check), found
    return found


def refusal(case: Tree, model: str | None = None) -> str:
    (found,) = (found for _, found in check_cases(parse_cases(case), model))
    assert isinstance(found, InputError)
    return str(found)


def beyond(case: Tree) -> list[str]:
    return [figure.field for figure in check(case).figures if figure.relative > 1e-6]


@needs_vectors
@pytest.mark.parametrize("path", PM2_FILES, ids=lambda path: path.stem)
def test_pm2_file__every_figure__is_compared_and_near(path: Path) -> None:
    ((_, found),) = check_cases(load_cases(path))
    assert isinstance(found, Check)
    # Sums, charges, 31 scenarios; four figures an expiry and ten an option.
    told = json.loads(path.read_text(encoding="utf-8"))
    expiries = {option["Expiry"] for option in told["Scenario"]["Options"]}
    losses = sum(len(told["Result"][name]) for name in ("reg_losses", "tail_losses", "skew_losses"))
    assert len(found.figures) == 26 + losses + 4 * len(expiries) + 10 * len(told["Scenario"]["Options"])
    assert found.not_compared == ()
    assert found.largest_relative < 1e-10


@needs_vectors
def test_standard_file__every_figure_but_a_bound_on_another_price__is_compared_and_near() -> None:
    found = {name: one for name, one in check_cases(load_cases(STANDARD_FILE)) if isinstance(one, Check)}
    assert len(found) == 14
    bounds = ("ETHOptionBoundedMM", "ETHOptionBoundedIM")
    assert {name: one.not_compared for name, one in found.items() if one.not_compared} == {"Test25": bounds}
    assert {len(one.figures) for name, one in found.items() if name != "Test25"} == {24}
    assert max(one.largest_relative for one in found.values()) < 1e-12


@needs_vectors
@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda told: told["Result"].update(IM=told["Result"]["IM"] * 1.00001), "IM"),
        (lambda told: told["Result"]["reg_losses"][3].__setitem__(2, "-1.5"), "reg_losses[3]"),
        (lambda told: told["Result"]["tail_losses"].pop(0), "tail_losses[0]"),
        (lambda told: told["Result"]["discount_factors"][0].reverse(), "discount_factors[0][0]"),
        (lambda told: told["Result"]["VolShockUpEvaluated"].__setitem__(0, 9), "VolShockUpEvaluated[0]"),
        (lambda told: told["Result"].update(PerpMTM=told["Result"]["PerpMTM"] + 1), "PerpMTM with funding"),
        (lambda told: told["Result"].update(IMPerpContNormal=-7), "IMPerpContNormal"),
        (lambda told: told["Scenario"]["Options"][0].update(k_star=0.5), "Options[0].k_star"),
    ],
)
def test_pm2_file__with_a_wrong_figure__tells_which(change: Change, field: str) -> None:
    case = json.loads(PM2_FILES[-1].read_text(encoding="utf-8"))
    assert beyond(case) == []
    assert beyond(changed(case, change))[0] == field


def test_pm2_case_of_our_own__figures_that_we_do_not_tell__are_named() -> None:
    result = compute_margin(read(pm2_case()), "derive-pm2")
    case = changed(pm2_case(), lambda told: told["Result"].update(IM=result.initial, Novelty=[1, 2]))
    assert check(case).not_compared == ("Novelty[0]", "Novelty[1]")
    assert [figure.field for figure in check(case).figures] == ["IM"]


@pytest.mark.parametrize("ours", [math.nan, math.inf, -math.inf])
def test_figure_of_ours__that_is_no_number__is_beyond_every_tolerance(ours: float) -> None:
    portfolio = read(pm2_case())
    published = Published("derive-pm2", lambda: {"IM": 1.0, "MM": 2.0}, lambda _: {"IM": 1.0, "MM": ours})
    ((_, found),) = check_cases(Cases({"a": portfolio}, are_named=False, published={"a": (published,)}))
    assert isinstance(found, Check)
    assert (found.worst.field, found.largest_relative) == ("MM", math.inf)


def test_pm2_case__at_expiry__has_no_volatility_to_compare() -> None:
    case = pm2_case()
    case["Scenario"] |= {"Options": [pm2_option(0, 1_500.0, 1, -1.0, 99.0)], "OptionFeeds": [pm2_feed(0, 2_000.0)]}
    case["Result"] = {"OptionMTMPerExpiry": [-500], "discount_factors": [[1, 1]], "VolShockUpEvaluated": [5]}
    found = check(case)
    assert [figure.field for figure in found.figures] == ["OptionMTMPerExpiry[0]"]
    assert found.not_compared == ("discount_factors[0][0]", "discount_factors[0][1]", "VolShockUpEvaluated[0]")


def test_standard_case__with_weak_feeds_of_a_coin__tells_the_penalty_with_the_others() -> None:
    weak = [[3 * 10**17, 10**18], [10**18, 10**18]]
    case = changed(
        standard_case(), lambda told: told["Scenario"].update(wETH=2 * 10**18, SpotPerpConfidences=weak, Perps_ETH=0)
    )
    # 0.7 of two coins and of two short options at 1,500, of which the venue charges 0.4.
    case["Result"] = {"OracleConts": -0.7 * 0.4 * 1_500 * (2 + 2) * 1e18}
    assert check(case).largest_relative < 1e-12


def test_zero__with_what_doubles_leave__has_no_relative_error() -> None:
    case = pm2_case()
    case["Result"] = {"Cash": 5_000, "OracleCont": 1e-12}
    assert check(case).largest_relative == 0
    case["Result"] = {"Cash": 5_000, "OracleCont": 1e-6}
    assert check(case).worst.field == "OracleCont"
    assert check(case).worst.relative == 1


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({}, "published: is no figure that derive-pm2 tells"),
        ({"Novelty": 1}, "published: Novelty: is no figure that derive-pm2 tells"),
        ({"IM": "much"}, "Result: IM: 'much' is not a number"),
        ({"IM": float("nan")}, "Result: IM: nan is not a finite number"),
        ({"reg_losses": [["1.1", 1, "x"]]}, "Result: reg_losses[0]: 'x' is not a number"),
    ],
)
def test_published_figures__that_cannot_be__are_refused(result: Tree, words: str) -> None:
    case = changed(pm2_case(), lambda told: told.update(Result=result))
    assert refusal(case) == words
    # They are no part of what is margined.
    assert isinstance(compute_margin(read(case), "derive-pm2"), MarginResult)


def test_model__of_which_nothing_is_published__is_refused() -> None:
    words = "published: the file publishes no figures under deribit-pm to hold ours against"
    assert refusal(pm2_case(), "deribit-pm") == words


def example(change: Change = lambda _: None) -> Tree:
    decoded: Tree = json.loads((EXAMPLES / "deribit_example.json").read_text(encoding="utf-8"))
    return changed(decoded, change)


def test_example_of_deribit__within_a_hundred_millionth() -> None:
    found = check(example())
    assert len(found.figures) == 5
    assert found.largest_absolute < 1e-12


def test_document__with_a_figure_that_we_do_not_tell__is_refused() -> None:
    def misspell(case: Tree) -> None:
        case["published"]["deribit-pm"]["initail"] = 0.1

    assert refusal(example(misspell)) == "published: initail: is no figure that deribit-pm tells"


def test_csv__publishes_by_lines_of_model_name_and_value(tmp_path: Path) -> None:
    path = tmp_path / "portfolio.csv"
    text = (EXAMPLES / "portfolio.csv").read_text(encoding="utf-8").splitlines()
    columns = text[0].split(",")
    path.write_text("\n".join(text), encoding="utf-8")
    wanted = compute_margin(load_cases(path).portfolios["portfolio"], "derive-pm2")
    for name, value in (("figures.cash", "1"), ("maintenance", str(wanted.maintenance))):
        cells = {"section": "published", "model": "derive-pm2", "name": name, "value": value}
        text.append(",".join(cells.get(column, "") for column in columns))
    path.write_text("\n".join(text), encoding="utf-8")
    ((_, found),) = check_cases(load_cases(path))
    assert isinstance(found, Check)
    assert [figure.relative > 1e-6 for figure in found.figures] == [True, False]
