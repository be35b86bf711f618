"""Documents turned to junk at random are refused, or margined in finite figures: never a traceback, never a NaN."""

import csv
import io
import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from holdfast.risk import MODELS, InputError, MarginResult, compare_models, parse_cases
from holdfast.risk.document_positions import read_document
from holdfast.risk.documents import FIELDS, split_csv
from holdfast.risk.grids import scenario_grid
from holdfast.risk.trades import parse_trade
from holdfast.risk.whatif import judge
from tests.support.margin_cases import EXAMPLES, Tree, account_document, changed, document, read, standard_case

ACCOUNT = read(account_document())
TRADED = [
    "BTC_USDC-27MAR26-90000-P",
    "BTC_USDC-30JAN26",
    "ETH_USDC-27MAR26-3400-C",
    "BTC_USDC-PERPETUAL",
    "SOL_USDC-1JAN30",
]
ROUGH = st.integers(-100_000, 100_000) | st.floats() | st.text(max_size=4)
NAMES = sorted({name for fields in FIELDS.values() for name in fields} | set(FIELDS))
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(-(10**400), 10**400),
    st.sampled_from(
        [0, -1, 1e-300, 1e300, math.nan, math.inf, 2**53, 0.01, "", "x", "NaN", "1e999", "27MAR26", [], {}]
    ),
    st.text(max_size=12),
    st.sampled_from(["BTC_USDC-27MAR26-90000-P", "BTC-PERPETUAL", "ETH_USDC-27MAR26", "BTC", "USDT", "SOL"]),
)


def places_of(tree: object) -> list[tuple[Any, Any]]:
    """Return every (holder, key) of a tree."""
    found: list[tuple[Any, Any]] = []
    if isinstance(tree, dict):
        for name, value in tree.items():
            found += [(tree, name), *places_of(value)]
    elif isinstance(tree, list):
        for place, value in enumerate(tree):
            found += [(tree, place), *places_of(value)]
    return found


def bare_published_case() -> Tree:
    """Return a published case without a perpetual, which the exchange margins too."""
    return changed(standard_case(), lambda case: case["Scenario"].update(Perps_ETH=0))


@st.composite
def junk_documents(draw: st.DrawFn) -> Tree:
    tree: Tree = draw(st.sampled_from([account_document, document, bare_published_case]))()
    for _ in range(draw(st.integers(1, 4))):
        places = places_of(tree)
        if not places:
            break
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        what = draw(st.sampled_from(["replace", "replace", "drop", "copy", "rename"]))
        if what == "replace":
            holder[key] = draw(JUNK)
        elif what == "drop":
            del holder[key]
        elif what == "copy" and isinstance(holder, list):
            holder.append(holder[key])
        elif what == "rename" and isinstance(holder, dict):
            holder[draw(st.sampled_from(NAMES))] = holder.pop(key)
    return tree


def check(answers: dict[str, MarginResult | InputError]) -> None:
    assert list(answers) == list(MODELS)
    for answer in answers.values():
        if isinstance(answer, InputError):
            assert str(answer).strip()
        else:
            assert answer.is_finite()
            assert "NaN" not in answer.to_json()


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(junk_documents())
def test_json__turned_to_junk__is_refused_or_margined_in_finite_figures(tree: Tree) -> None:
    try:
        portfolio = next(iter(parse_cases(tree).portfolios.values()))
    except InputError:
        return
    check(compare_models(portfolio))
    for model in ("holdfast", "deribit-pm"):
        try:
            assert math.isfinite(float(scenario_grid(portfolio, [-0.5, 0.0, 0.5], [-0.5, 1.0], model).sum()))
        except InputError:
            continue


LINES = list(csv.reader((EXAMPLES / "portfolio.csv").read_text(encoding="utf-8").splitlines()))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(LINES) - 1), st.integers(0, len(LINES[0]) - 1), st.text(max_size=8) | st.just("nan")
        ),
        min_size=1,
        max_size=3,
    )
)
def test_csv__with_junk_cells__is_refused_or_margined_in_finite_figures(changes: list[tuple[int, int, str]]) -> None:
    lines = [list(line) for line in LINES]
    for line, column, text in changes:
        lines[line][column] = text
    out = io.StringIO()
    csv.writer(out).writerows(lines)
    try:
        portfolio = read_document(split_csv(out.getvalue()))
    except InputError:
        return
    check(compare_models(portfolio))


@settings(max_examples=100, deadline=None)
@example('"')
@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_csv__of_any_text__is_refused(text: str) -> None:
    with pytest.raises(InputError):
        read_document(split_csv(text))


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(
        st.none() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner),
    )
)
def test_json__of_any_shape__is_refused(tree: object) -> None:
    with pytest.raises(InputError):
        parse_cases(json.loads(json.dumps(tree)))


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=40)
    | st.tuples(ROUGH, st.sampled_from(TRADED), ROUGH).map(lambda trade: f"{trade[0]} {trade[1]} @ {trade[2]}")
)
def test_trade__of_any_text__is_refused_or_judged_in_finite_figures(text: str) -> None:
    try:
        impact = judge(ACCOUNT, [parse_trade(text)])
    except InputError:
        return
    assert all(math.isfinite(value) for _, *values in impact.list_changes() for value in values)
