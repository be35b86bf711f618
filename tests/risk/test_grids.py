"""Profit and loss on grids: the exchange's own rows where the shocks are its own, plain Black-76 elsewhere."""

from dataclasses import replace

import numpy as np
import pytest

from holdfast.risk import InputError, compute_margin
from holdfast.risk.black import Terms, compute_price
from holdfast.risk.grids import scenario_grid
from holdfast.risk.scenarios import make_table
from tests.support.margin_cases import account_document, document, read

ACCOUNT = read(account_document())
BTC_ONLY = replace(
    ACCOUNT,
    options=tuple(option for option in ACCOUNT.options if option.underlying == "BTC"),
    collaterals=ACCOUNT.collaterals[:1],
)


def test_grid__at_the_exchange_s_own_shocks__equals_its_scenarios() -> None:
    result = compute_margin(BTC_ONLY)
    spots = [step * 0.04 for step in range(-4, 5)]
    pnl = scenario_grid(BTC_ONLY, spots, [-0.25, 0.0, 0.5])
    for row, spot in enumerate(spots):
        for column, vol in enumerate(("down", "flat", "up")):
            name = f"BTC spot{spot * 100:+.4g}% vol-{vol}"
            wanted = result.scenarios.get(name, result.scenarios["flat"])
            # A coin's shock rounds to an atom.
            assert pnl[row, column] == pytest.approx(wanted, abs=2e-6)


def test_grid__has_the_shape_of_its_axes_and_nothing_where_nothing_moves() -> None:
    pnl = scenario_grid(ACCOUNT, np.linspace(-0.5, 0.5, 11), np.array([0.0]))
    assert pnl.shape == (11, 1)
    assert pnl.dtype == np.float64
    assert pnl[5, 0] == pytest.approx(0.0, abs=1e-3)
    empty = replace(ACCOUNT, options=(), futures=(), collaterals=(), orders=())
    assert not scenario_grid(empty, [-0.5, 0.5], [0.0]).any()


def test_grid__of_a_published_model__is_black_at_the_marked_volatility() -> None:
    portfolio = replace(read(document()), futures=(), collaterals=())
    pnl = scenario_grid(portfolio, [-0.1], [0.0], "deribit-pm")
    wanted = 0.0
    for option in portfolio.options:
        forward = portfolio.expiry_of(option).forward
        terms = Terms(option.strike, option.seconds, option.is_call)
        wanted += option.amount * (
            compute_price(terms, 0.9 * forward, option.vol) - compute_price(terms, forward, option.vol)
        )
    assert pnl[0, 0] == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("spots", "vols", "words"),
    [
        ([float("nan")], [0.0], "grid: spot: a shock lies outside"),
        ([0.0], [float("inf")], "grid: vol: a shock lies outside"),
        ([], [0.0], "grid: spot: the shocks are no list"),
        ([[0.0]], [0.0], "grid: spot: the shocks are no list"),
        (["a"], [0.0], "grid: spot: the shocks are not numbers"),
        ([-1.0], [0.0], "grid: spot: a shock lies outside of -99.9% to [+]1000%"),
        (np.linspace(-0.5, 0.5, 201), np.linspace(-0.5, 0.5, 100), "201 x 100 cells are more than 20,000"),
    ],
)
def test_shocks__that_are_none__are_refused(spots: object, vols: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        scenario_grid(ACCOUNT, spots, vols)  # type: ignore[arg-type]


def test_table__names_its_worst_cell_and_lists_what_margin_lists() -> None:
    table = make_table(ACCOUNT, [-0.2, 0.0], [-0.3, 0.5])
    assert table.worst == ("spot -20% vol -30%", table.pnl.min())
    assert list(table.listed)[:2] == ["BTC spot-50% vol-up", "BTC spot-33% vol-up"]
    assert len(make_table(ACCOUNT, [0.0], [0.0], "deribit-pm").listed) == 5
    assert not make_table(ACCOUNT, [0.0], [0.0], "deribit-standard").listed
