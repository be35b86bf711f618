"""One expiry's surface: the kernel's own volatilities, and a fit that finds them again."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.primitives.smiles import is_arbitrage_free
from holdfast.risk import InputError, compute_margin
from holdfast.risk.pricing import price_options
from holdfast.risk.smile import Shape, to_integers
from holdfast.risk.ssvi import compute_vols, fit_smile, measure_errors
from tests.support.margin_cases import account_document, changed, read

MONTH_S = 30 * 86_400.0
MONEYNESS = np.log(np.array([0.7, 0.85, 0.95, 1.0, 1.05, 1.2, 1.5]))


def test_vols__are_the_kernel_s() -> None:
    smile = Shape(0.02, -0.3, 0.9, 0.2, 1.7)
    table = price_options(
        forward=100_000.0,
        strike=100_000 * np.exp(MONEYNESS),
        seconds=MONTH_S,
        is_call=True,
        total_variance=smile.theta,
        rho=smile.rho,
        eta=smile.eta,
        shift=smile.shift,
        width=smile.width,
    )
    assert compute_vols(smile, MONEYNESS, MONTH_S) == pytest.approx(table.vol, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.15, 2.0), st.floats(-0.7, 0.7), st.floats(0.2, 1.1), st.floats(3_600.0, 400 * 86_400.0))
def test_fit__of_a_surface_s_own_volatilities__finds_them_again(
    vol: float, rho: float, eta: float, seconds: float
) -> None:
    smile = Shape(vol * vol * seconds / (365 * 86_400), rho, eta, 0.0, 1.0)
    places = MONEYNESS * math.sqrt(smile.theta) * 3
    vols = compute_vols(smile, places, seconds).tolist()
    fit = fit_smile(places.tolist(), vols, seconds)
    assert measure_errors(fit, places.tolist(), vols, seconds).largest < 1e-4
    assert is_arbitrage_free([to_integers(fit)])


def test_fit__has_as_many_free_parameters_as_strikes() -> None:
    one = fit_smile([0.1], [0.5], MONTH_S)
    assert (one.rho, one.eta) == (0.0, 1.0)
    two = fit_smile([-0.1, 0.1], [0.55, 0.5], MONTH_S)
    assert two.rho < 0
    assert measure_errors(one, [0.1], [0.5], MONTH_S).largest == pytest.approx(0, abs=1e-6)
    assert measure_errors(two, [-0.1, 0.1], [0.55, 0.5], MONTH_S).largest == pytest.approx(0, abs=1e-6)
    bent = ([-0.2, 0.0, 0.1, 0.2], [0.6, 0.5, 0.9, 0.55])
    errors = measure_errors(fit_smile(*bent, MONTH_S), *bent, MONTH_S)
    assert errors.points == 4
    assert 0.05 < errors.mean < errors.largest


def test_fit__of_marks__tells_its_error_in_the_figures() -> None:
    surfaces = compute_margin(read(account_document())).figures["surfaces"]
    assert isinstance(surfaces, list)
    given_points, *_, fitted = [(one["fitted_points"], one["fit_error_max"]) for one in surfaces]
    assert given_points == (0, None)
    assert fitted[0] == 4
    assert 0 < fitted[1] < 0.01


def test_prices__of_arrays__keep_parity_and_their_shape() -> None:
    strikes = np.array([[80_000.0], [100_000.0], [120_000.0]])
    table = price_options(
        forward=100_000.0,
        strike=strikes,
        seconds=MONTH_S,
        is_call=[True, False],
        total_variance=0.02,
        rho=-0.2,
        eta=0.8,
    )
    assert all(column.shape == (3, 2) for column in table)
    assert table.price[:, 0] - table.price[:, 1] == pytest.approx(100_000 - strikes[:, 0], abs=1e-6)
    assert table.delta[:, 0] - table.delta[:, 1] == pytest.approx(1, abs=2e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"forward": 0.0}, r"options\[0\]: forward: 0 is not between"),
        ({"strike": [1e5, float("nan")]}, r"options\[1\]: strike: nan is not between"),
        ({"seconds": -1.0}, r"options\[0\]: seconds: -1 is not between"),
        ({"total_variance": float("inf")}, r"options\[0\]: total_variance: inf is not between"),
        ({"rho": -0.8, "eta": 2.3}, r"options\[0\]: eta: the smile has a butterfly arbitrage"),
        ({"strike": "many"}, r"options: strike: is not a number"),
        ({"strike": [1e5, 1e5], "rho": [0.0, 0.0, 0.0]}, r"options: these shapes do not go together"),
    ],
)
def test_prices__of_what_cannot_be_priced__are_refused(change: dict[str, object], words: str) -> None:
    fields: dict[str, object] = {
        "forward": 1e5,
        "strike": 1e5,
        "seconds": MONTH_S,
        "is_call": 1,
        "total_variance": 0.02,
    }
    with pytest.raises(InputError, match=words):
        price_options(**{**fields, **change})  # type: ignore[arg-type]


def test_option__without_a_mark__takes_its_volatility_from_the_surface() -> None:
    bare = read(account_document())
    assert all(0.3 < option.vol < 0.7 for option in bare.options)
    neither = changed(account_document(), lambda case: case.update(surfaces=[]))
    with pytest.raises(InputError, match="no row of marks gives its vol"):
        read(neither)
