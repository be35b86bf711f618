"""The registry, the comparison, and what every model promises."""

import json
import math
from collections.abc import Iterator
from copy import deepcopy

import pytest

from holdfast.risk import (
    DEFAULT_MODEL,
    MODELS,
    InputError,
    MarginResult,
    Portfolio,
    compare_models,
    compute_margin,
    load_portfolio,
)
from holdfast.risk.result import name_worst
from tests.support.margin_cases import EXAMPLES, Tree, changed, document, pm2_case, read, standard_case

NAMES = ["derive-pm2", "derive-standard", "deribit-pm", "deribit-standard"]


def test_models__are_the_exchange_s_own_and_the_four_published_ones() -> None:
    assert list(MODELS) == ["holdfast", *NAMES]
    assert DEFAULT_MODEL == "holdfast"


def test_model__unknown__is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"model: 'span' is none of holdfast, derive-pm2, derive-standard, deribit-pm"):
        compute_margin(load_portfolio(EXAMPLES / "portfolio.json"), "span")


@pytest.mark.parametrize("name", NAMES)
def test_result__as_json__holds_what_was_promised_and_reads_back(name: str) -> None:
    result = compute_margin(load_portfolio(EXAMPLES / "portfolio.json"), name)
    told = json.loads(result.to_json())
    assert {"initial", "maintenance", "mark_to_market", "worst_scenario", "scenarios", "figures"} <= set(told)
    assert (told["initial"], told["maintenance"]) == (result.initial, result.maintenance)
    assert told["scenarios"] == dict(result.scenarios)
    assert told["worst_scenario"] in (told["scenarios"] or [None])


@pytest.mark.parametrize("name", NAMES)
def test_requirement__initial_is_at_least_maintenance_and_neither_is_below_zero(name: str) -> None:
    result = compute_margin(load_portfolio(EXAMPLES / "portfolio.json"), name)
    assert result.initial_requirement >= result.maintenance_requirement >= 0


@pytest.mark.parametrize("name", NAMES)
def test_cash__more_of_it__raises_no_requirement(name: str) -> None:
    richer = changed(document(), lambda case: case["account"].update(cash=80_000))
    before, after = compute_margin(read(document()), name), compute_margin(read(richer), name)
    assert after.initial_requirement == pytest.approx(before.initial_requirement)
    assert after.mark_to_market - before.mark_to_market == pytest.approx(20_000)


def test_comparison__a_model_that_lacks_something__says_which_row() -> None:
    answers = compare_models(load_portfolio(EXAMPLES / "deribit_example.json"))
    assert [name for name, answer in answers.items() if isinstance(answer, MarginResult)] == NAMES[2:]
    assert str(answers["derive-pm2"]).startswith("positions[1] BTC-28JUN24: instrument: PM2 has no dated futures")
    assert str(answers["derive-standard"]).startswith("positions[1] BTC-28JUN24: instrument: Derive has no dated")


def test_comparison__of_a_published_form__margins_it_under_all() -> None:
    answers = compare_models(read(pm2_case()))
    assert str(answers.pop("holdfast")).endswith("the exchange lists no perpetual; its futures are dated")
    assert all(isinstance(answer, MarginResult) for answer in answers.values())


def test_pm2__two_underlyings__are_refused_by_the_second_s_row() -> None:
    def add(case: dict[str, list[dict[str, object]]]) -> None:
        case["underlyings"].append({"underlying": "ETH", "spot": 3_000, "perpetual": 3_000})
        case["positions"].append({"instrument": "ETH_USDC-PERPETUAL", "amount": 1})

    two = read(changed(document(), add))
    with pytest.raises(InputError, match=r"^positions\[4\] ETH_USDC-PERPETUAL: instrument: PM2 margins one underlying"):
        compute_margin(two, "derive-pm2")
    assert compute_margin(two, "derive-standard").initial_requirement > 0


def test_pm2__coin_without_haircuts__is_refused_by_its_row() -> None:
    bare = changed(document(), lambda case: case["collaterals"][0].pop("haircut_initial"))
    with pytest.raises(InputError, match=r"^collaterals\[0\]: haircut_maintenance and haircut_initial: PM2 needs both"):
        compute_margin(read(bare), "derive-pm2")


def test_pm2__nothing_to_tell_the_spot__is_refused() -> None:
    with pytest.raises(InputError, match="nothing tells the spot"):
        compute_margin(Portfolio(cash=10.0), "derive-pm2")


def test_worst__of_scenarios_that_differ_by_dust__is_the_first() -> None:
    assert name_worst({"a": -1.0, "b": -100.0, "c": -100.0 - 1e-11, "d": 5.0}) == "b"
    assert name_worst({}) is None


JUNK: list[object] = [None, "x", math.nan, -1, 10**400, []]
FORMS = {"derive-pm2": pm2_case, "derive-standard": standard_case, "deribit-pm": document}


def fields_of(tree: object) -> Iterator[tuple[Tree | list[object], str | int]]:
    """Yield every place of a tree where a value stands."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield tree, name
            yield from fields_of(value)
    elif isinstance(tree, list):
        # Rows of one list have the same fields.
        for place, value in enumerate(tree[:2]):
            yield tree, place
            yield from fields_of(value)


@pytest.mark.parametrize("name", FORMS)
def test_any_field__turned_to_junk__is_refused_or_margined_in_finite_figures(name: str) -> None:
    case = FORMS[name]()
    for place in range(len(list(fields_of(case)))):
        for junk in JUNK:
            copy = deepcopy(case)
            holder, field = list(fields_of(copy))[place]
            holder[field] = junk  # type: ignore[index]
            try:
                result = compute_margin(read(copy), name)
            except InputError:
                continue
            assert result.is_finite(), (field, junk)
