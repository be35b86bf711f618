"""Surfaces out of chains: known smiles are found again, arbitrage never survives, real chains are met within limits."""

import datetime as dt
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.primitives.smiles import is_arbitrage_free, skew
from holdfast.protocol.limits import EXTENSION_BYTES_MAX
from holdfast.protocol.oracle.messages import decode_report, encode_report
from holdfast.risk import InputError
from holdfast.risk.chain import load_chains, read_chains
from holdfast.risk.fit import fit_chain
from holdfast.risk.fit_report import CORE_LIMIT, WINGS_LIMIT, compute_kernel_vols, make_report, measure
from holdfast.risk.implied import compute_delta, compute_deviation, compute_premium
from holdfast.risk.least_squares import minimise
from holdfast.risk.points import compute_vols
from holdfast.risk.smile import compute_variance, from_integers, skew_shape, to_integers
from tests.support.chains import CHAINS, DAYS, EXAMPLE, FORWARD, SHAPES, TIME, make_lines, needs_chains, to_csv


def test_implied__of_any_premium__is_the_deviation_that_made_it() -> None:
    moneyness, deviation = (
        grid.ravel() for grid in np.meshgrid(np.linspace(-2.0, 2.0, 41), np.geomspace(0.02, 3.0, 25))
    )
    premium = compute_premium(moneyness, deviation)
    is_told = premium > 1e-12
    found = compute_deviation(moneyness[is_told], premium[is_told])
    # What a premium's last bits say of its deviation is bounded by its vega.
    vega = np.exp(-((deviation / 2 - moneyness / deviation) ** 2) / 2)[is_told]
    assert np.all(np.abs(found - deviation[is_told]) <= 1e-14 / vega + 1e-13)


def test_delta__at_the_money__is_half_and_falls_off_on_both_sides() -> None:
    delta = compute_delta(np.array([-1.0, -0.2, 0.0, 0.2, 1.0]), np.full(5, 0.2))
    assert delta[2] == pytest.approx(0.5 * math.erfc(-0.1 / math.sqrt(2)), rel=1e-12)
    assert -0.2 < delta[1] < delta[0] < 0
    assert delta[0] == pytest.approx(0, abs=1e-5)
    assert 0 < delta[4] < delta[3] < 0.2


def test_least_squares__of_a_curved_valley__finds_its_floor() -> None:
    # Rosenbrock 1960.
    found = minimise(lambda x: np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]]), np.array([-1.2, 1.0]), iterations=200)
    assert found.parameters == pytest.approx([1.0, 1.0], abs=1e-3)
    assert found.cost < 1e-6


def test_fit__of_known_smiles__finds_them_again() -> None:
    fit = fit_chain(read_chains(to_csv(make_lines()))[0])
    assert fit.moved == fit.stages == 0
    for points, smile, shape in zip(fit.points, fit.smiles, SHAPES, strict=True):
        found = from_integers(smile)
        assert found.theta == pytest.approx(shape.theta, rel=2e-4)
        assert found[1:] == pytest.approx(shape[1:], rel=0.03, abs=0.02)
        assert np.abs(compute_vols(found, points) - points.vol).max() < 1e-4


def test_fit__twice__is_the_same_to_the_last_unit() -> None:
    chain = read_chains(to_csv(make_lines(half_spread=2e-4)))[0]
    assert fit_chain(chain).smiles == fit_chain(chain).smiles


def test_fit__one_absurd_quote__bends_nothing() -> None:
    lines = make_lines(half_spread=1e-5)
    lines[10][2:4] = [str(float(cell) * 3) for cell in lines[10][2:4]]
    fit = fit_chain(read_chains(to_csv(lines))[0])
    errors = np.abs(compute_vols(from_integers(fit.smiles[0]), fit.points[0]) - fit.points[0].vol)
    assert np.median(errors) < 0.003
    assert errors.max() > 0.3


def test_fit__integers__price_in_the_kernel_as_the_doubles_say() -> None:
    fit = fit_chain(read_chains(to_csv(make_lines()))[0])
    for points, smile in zip(fit.points, fit.smiles, strict=True):
        doubles = compute_vols(from_integers(smile), points)
        assert np.abs(compute_kernel_vols(points, smile) - doubles).max() <= 1e-6
        assert to_integers(from_integers(smile)) == smile


def test_fit__chain_whose_expiries_cross__leaves_no_arbitrage() -> None:
    # The second expiry is quoted under the first, and the third has wings that the fourth cannot carry.
    near, far = SHAPES[1], SHAPES[0]
    wild = SHAPES[2]._replace(eta=1.6, width=9.0)
    chain = read_chains(to_csv(make_lines((near, far, wild, SHAPES[3]), half_spread=3e-4)))[0]
    report = measure(fit_chain(chain))
    assert report.is_admissible
    assert report.butterflies == report.crossings == 0
    assert report.fit.stages > 0


def test_fit__chain_with_a_butterfly__leaves_no_arbitrage() -> None:
    lines = make_lines(half_spread=3e-4)
    for number in range(4, 17, 2):
        lines[number][2:4] = [str(float(cell) * 1.6) for cell in lines[number][2:4]]
    report = measure(fit_chain(read_chains(to_csv(lines))[0]))
    assert report.density_least > 0
    assert report.butterflies == report.crossings == 0


wild_quotes = st.lists(
    st.tuples(
        st.integers(0, len(SHAPES) - 1),
        st.integers(40, 250).map(lambda thousands: thousands * 1_000),
        st.sampled_from("CP"),
        st.floats(-0.1, 1.5) | st.floats(0, 0.05),
        st.floats(-0.1, 1.5) | st.floats(0, 0.05),
        st.sampled_from(("", "0", "0.3", "0.9", "40")),
    ),
    min_size=1,
    max_size=80,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(wild=wild_quotes, base=st.integers(0, len(SHAPES)))
def test_fit__of_any_chain_that_can_be_read__is_a_refusal_or_an_admissible_surface(
    wild: list[tuple[int, int, str, float, float, str]], base: int
) -> None:
    lines = make_lines(SHAPES[:base], half_spread=3e-4)
    for place, strike, side, bid, ask, mark in wild:
        expiry = (TIME + dt.timedelta(days=DAYS[place])).replace(hour=8)
        name = f"BTC-{expiry:%d%b%y}-{strike}-{side}".upper()
        lines.append([name, TIME.isoformat(), f"{bid:.6f}", f"{ask:.6f}", f"{FORWARD}", mark])
    chain = read_chains(to_csv(lines))[0]
    assert sum(map(len, chain.expiries.values())) + sum(chain.left_out.values()) == chain.rows
    if all(len(quotes) < 5 for quotes in chain.expiries.values()):
        with pytest.raises(InputError, match="no expiry has 5 usable quotes"):
            fit_chain(chain)
        return
    report = measure(fit_chain(chain))
    assert report.is_admissible
    assert report.butterflies == report.crossings == 0


def test_fit__under_the_skew_shock__has_no_butterfly_below_nothing() -> None:
    fit = fit_chain(load_chains(EXAMPLE)[0])
    for points, smile in zip(fit.points, fit.smiles, strict=True):
        skewed = skew_shape(from_integers(smile))
        assert from_integers(skew(smile)) == pytest.approx(skewed, abs=2e-6)
        strikes = np.linspace(0.2, 4.0, 2_001)
        deviation = np.sqrt(compute_variance(skewed, np.log(strikes)) * points.averaging)
        calls = compute_premium(np.log(strikes), deviation) + np.maximum(1 - strikes, 0)
        assert (calls[:-2] - 2 * calls[1:-1] + calls[2:]).min() > -1e-12


def test_fit__to_marks__meets_them_and_not_the_quotes() -> None:
    lines = make_lines(half_spread=3e-4)
    plain = fit_chain(read_chains(to_csv(lines))[0])
    vols = [vol + 0.02 for points in plain.points for vol in points.vol.tolist()]
    marked = [[*line[:5], f"{vol:.9f}"] for line, vol in zip(lines, vols, strict=True)]
    report = measure(fit_chain(read_chains(to_csv(marked))[0], to_marks=True))
    assert report.mark_errors is not None
    assert report.mark_errors.core is not None
    assert report.errors.core is not None
    assert report.mark_errors.core < 0.2
    assert report.errors.core > 1.5
    marked[7][5] = ""
    with pytest.raises(InputError, match=f"{marked[7][0]}: mark_vol: is missing"):
        fit_chain(read_chains(to_csv(marked))[0], to_marks=True)


def test_fit__expiry_of_few_quotes__is_left_out_and_told() -> None:
    lines = make_lines()
    fit = fit_chain(read_chains(to_csv([*lines[:4], *lines[21:]]))[0])
    assert list(fit.thin.values()) == [4]
    assert len(fit.smiles) == len(SHAPES) - 1


def test_fit__nothing_usable__is_refused_with_the_counts() -> None:
    crossed = [[line[0], line[1], line[3], line[2], *line[4:]] for line in make_lines(half_spread=1e-6)]
    with pytest.raises(InputError, match="BTC: no expiry has 5 usable quotes of 84 rows: 84 bid above ask"):
        fit_chain(read_chains(to_csv(crossed))[0])


def test_example__of_the_documentation__is_met_closely() -> None:
    for chain in load_chains(EXAMPLE):
        report = measure(fit_chain(chain))
        assert report.is_within_limits
        assert report.errors.core is not None
        assert report.errors.core < 0.1


@needs_chains
@pytest.mark.parametrize("number", [0, 6])
def test_fit__of_real_chains_calm_and_in_the_crash__is_within_limits(number: int) -> None:
    for chain in load_chains(CHAINS[number]):
        report = measure(fit_chain(chain))
        assert report.errors.core is not None
        assert report.errors.wings is not None
        assert report.mark_errors is not None
        assert report.is_within_limits
        for errors in (report.errors, report.mark_errors):
            assert errors.core is not None
            assert errors.wings is not None
            assert errors.core <= CORE_LIMIT
            assert errors.wings <= WINGS_LIMIT
        assert report.is_admissible
        assert report.butterflies == report.crossings == 0
        assert is_arbitrage_free(report.fit.smiles)
        assert report.report_bytes <= EXTENSION_BYTES_MAX
        told = make_report(report.fit)
        assert decode_report(encode_report(told)) == told
