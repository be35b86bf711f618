"""What no margin may depend on: the order of rows, a position told in parts, the unit of size, the unit of money."""

import json
import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace

import pytest

from holdfast.risk import MODELS, MarginResult, Portfolio, compute_margin, load_portfolio
from holdfast.risk.grids import scenario_grid
from holdfast.risk.trades import parse_trade
from holdfast.risk.whatif import judge
from tests.support.margin_cases import (
    EXAMPLES,
    PM2_FILES,
    STANDARD_FILE,
    Tree,
    account_document,
    document,
    needs_vectors,
    pm2_case,
    read,
    standard_case,
)

PUBLISHED = {"derive-pm2": pm2_case, "derive-standard": standard_case}
OPTION_LISTS = [name for name, value in standard_case()["Scenario"].items() if name.startswith("Option")]
FEED_LISTS = ["FeedExpiries", "Forwards", "ForwardConfidences", "Discounts", "DiscountConfidences"]


def published_cases() -> Iterator[tuple[str, str, Tree]]:
    """Yield our own cases, and the published ones where they are: a name, the model, the case."""
    for model, make in PUBLISHED.items():
        yield f"our own {model}", model, make()
    for path in PM2_FILES:
        yield path.stem, "derive-pm2", json.loads(path.read_text(encoding="utf-8"))
    if STANDARD_FILE.exists():
        for name, case in json.loads(STANDARD_FILE.read_text(encoding="utf-8")).items():
            yield name, "derive-standard", case


CASES = [pytest.param(model, case, id=name) for name, model, case in published_cases()]


def near(first: MarginResult, second: MarginResult, factor: float = 1.0, share: float = 1e-9) -> bool:
    """Tell whether every figure of the second is that of the first, times a factor."""
    pairs = [(getattr(first, name), getattr(second, name)) for name in ("initial", "maintenance", "mark_to_market")]
    if set(first.scenarios) != set(second.scenarios):
        return False
    pairs += [(pnl, second.scenarios[name]) for name, pnl in first.scenarios.items()]
    dust = share * max(abs(one) for pair in pairs for one in pair)
    return all(math.isclose(one * factor, other, rel_tol=share, abs_tol=dust) for one, other in pairs)


def margin(case: Tree, model: str) -> MarginResult:
    return compute_margin(read(case), model)


def reversed_rows(case: Tree) -> Tree:
    case = deepcopy(case)
    scenario = case["Scenario"]
    for name in ("Options", "OptionFeeds", "Collaterals", *OPTION_LISTS, *FEED_LISTS):
        if name in scenario:
            scenario[name] = scenario[name][::-1]
    return case


def split(case: Tree) -> Tree:
    """Tell every option in two rows, half as much again bought or sold and that half taken back."""
    case = deepcopy(case)
    scenario = case["Scenario"]
    if "Options" in scenario:
        scenario["Options"] = [
            option | {"Amount": option["Amount"] * share} for option in scenario["Options"] for share in (1.5, -0.5)
        ]
        return case
    amounts = scenario["OptionAmounts"]
    for name in (*OPTION_LISTS, *FEED_LISTS):
        scenario[name] = [value for value in scenario[name] for _ in range(2)]
    scenario["OptionAmounts"] = [amount // 2 * share for amount in amounts for share in (3, -1)]
    return case


def scaled(case: Tree, factor: int, *fields: str) -> Tree:
    """Multiply sizes, and what else is told by name."""
    case = deepcopy(case)
    scenario = case["Scenario"]
    for name in fields:
        if isinstance(scenario.get(name), list):
            scenario[name] = [value * factor for value in scenario[name]]
        elif name in scenario:
            scenario[name] *= factor
    for part, fields_of in (("Options", ("Amount",)), ("Collaterals", ("Amount",))):
        for row in scenario.get(part, ()):
            row |= {name: row[name] * factor for name in fields_of}
    return case


@pytest.mark.parametrize(("model", "case"), CASES)
def test_published_case__with_its_rows_reversed__costs_the_same(model: str, case: Tree) -> None:
    assert near(margin(case, model), margin(reversed_rows(case), model))


@pytest.mark.parametrize(("model", "case"), CASES)
def test_published_case__with_every_option_in_two_rows__costs_the_same(model: str, case: Tree) -> None:
    assert near(margin(case, model), margin(split(case), model))


@pytest.mark.parametrize(("model", "case"), CASES)
def test_published_case__seven_times_as_large__costs_seven_times_as_much(model: str, case: Tree) -> None:
    sizes = ("Cash", "NumPerps", "UnrealisedPerpPNL", "UnrealisedFunding", "OptionAmounts", "Perps_ETH", "Perps_BTC")
    larger = scaled(case, 7, *sizes, "wETH", "wBTC")
    assert near(margin(case, model), margin(larger, model), 7)


@pytest.mark.parametrize(("model", "case"), CASES)
def test_published_case__in_debt__costs_as_much_and_leaves_less(model: str, case: Tree) -> None:
    debt = 10**9 * (10**18 if model == "derive-standard" else 1)
    poorer = deepcopy(case)
    poorer["Scenario"]["Cash"] -= debt
    before, after = margin(case, model), margin(poorer, model)
    assert after.initial - before.initial == pytest.approx(-(10**9), rel=1e-12)
    assert after.maintenance - before.maintenance == pytest.approx(-(10**9), rel=1e-12)
    assert after.worst_scenario == before.worst_scenario


def reversed_document(case: Tree) -> Tree:
    return {name: rows[::-1] if isinstance(rows, list) else rows for name, rows in case.items()}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("make", [document, account_document])
def test_document__with_its_rows_reversed__costs_the_same(model: str, make: Callable[[], Tree]) -> None:
    answers: list[MarginResult | None] = []
    for case in (make(), reversed_document(make())):
        try:
            answers.append(margin(case, model))
        except ValueError:
            answers.append(None)
    before, after = answers
    assert (before is None) == (after is None)
    assert before is None or after is None or near(before, after)


def in_parts(portfolio: Portfolio) -> Portfolio:
    """Tell every position in two, half as much again and that half taken back."""
    options = [replace(one, amount=one.amount * share) for one in portfolio.options for share in (1.5, -0.5)]
    futures = [
        replace(one, amount=one.amount * share, profit=one.profit * share, funding=one.funding * share)
        for one in portfolio.futures
        for share in (1.5, -0.5)
    ]
    return replace(portfolio, options=tuple(options), futures=tuple(futures))


@pytest.mark.parametrize(
    ("model", "file"),
    [
        *((name, "portfolio.json") for name in MODELS if name != "holdfast"),
        ("deribit-pm", "deribit_example.json"),
        ("deribit-standard", "deribit_example.json"),
        ("deribit-standard", "account.json"),
    ],
)
def test_portfolio__with_every_position_in_two_parts__costs_the_same(model: str, file: str) -> None:
    portfolio = load_portfolio(EXAMPLES / file)
    assert near(compute_margin(portfolio, model), compute_margin(in_parts(portfolio), model))


@pytest.mark.parametrize("model", ["holdfast", "deribit-pm"])
def test_grid_and_trades__of_positions_in_two_parts__are_the_same(model: str) -> None:
    whole = load_portfolio(EXAMPLES / "account.json")
    parts = in_parts(whole)
    grids = [scenario_grid(portfolio, [-0.2, 0.1], [0.0, 0.5], model) for portfolio in (whole, parts)]
    assert grids[0] == pytest.approx(grids[1])
    trade = parse_trade("+5 BTC_USDC-27MAR26-90000-P @ 4400")
    impacts = [judge(portfolio, [trade], model) for portfolio in (whole, parts)]
    assert near(impacts[0].before, impacts[1].before)
    assert near(impacts[0].after, impacts[1].after)


@needs_vectors
def test_published_cases__are_tried_too() -> None:
    assert len(CASES) == 2 + 47 + 14
