"""The integer test of smiles against the same density and the same total variance in floats, on a dense grid."""

import random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.lab.reference.smiles import Shape, is_free
from holdfast.primitives.smiles import THETA_MAX_E12, Smile, is_arbitrage_free, skew

Floats = npt.NDArray[np.float64]


def shape(smile: Smile, z: Floats) -> tuple[Floats, Floats, Floats]:
    rho, vertex = smile.rho_ppm / 1e6, (smile.rho_ppm + smile.shift_ppm) / 1e6
    width = (1 - rho**2) * smile.width_ppm / 1e6
    root = np.sqrt((z + vertex) ** 2 + width)
    return 2 - np.sqrt(vertex**2 + width) + rho * z + root, rho + (z + vertex) / root, width / root**3


def variance(smile: Smile, k: Floats) -> Floats:
    theta = smile.theta_e12 / 1e12
    return theta / 2 * shape(smile, k * smile.eta_ppm / 1e6 / np.sqrt(theta * (1 + theta)))[0]


def density(smile: Smile, z: Floats, headroom: float) -> Floats:
    """Gatheral and Jacquier, eq. 2.1, with w = theta/2 V(phi k)."""
    theta, eta = headroom * smile.theta_e12 / 1e12, smile.eta_ppm / 1e6
    phi = eta / np.sqrt(theta * (1 + theta))
    value, slope, bend = shape(smile, z)
    w, dw, ddw = theta / 2 * value, theta / 2 * phi * slope, theta / 2 * phi**2 * bend
    k = z / phi
    g: Floats = (1 - k * dw / (2 * w)) ** 2 - dw**2 / 4 * (1 / w + 0.25) + ddw / 2
    return g


@st.composite
def smiles(draw: st.DrawFn, theta_e12: int | None = None) -> Smile:
    rho = draw(st.integers(-990_000, 990_000) | st.integers(-400_000, 400_000))
    return Smile(
        draw(st.integers(10**6, 5 * 10**12)) if theta_e12 is None else theta_e12,
        rho,
        max(1, 4 * 10**12 // (10**6 + abs(rho)) * draw(st.integers(1, 1_000)) // 1_000),
        draw(st.just(0) | st.integers(-1_000_000, 1_000_000) | st.integers(-6_000_000, 6_000_000)),
        draw(st.just(10**6) | st.integers(50_000, 4_000_000) | st.integers(50_000, 60_000_000)),
    )


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Smile, Smile]:
    near = draw(smiles())
    far = draw(smiles(near.theta_e12 + near.theta_e12 * draw(st.integers(0, 3_000)) // 1_000))
    if draw(st.booleans()):
        far = near._replace(
            theta_e12=far.theta_e12, eta_ppm=max(1, near.eta_ppm * draw(st.integers(600, 1_000)) // 1_000)
        )
    return near, far


@settings(max_examples=400, deadline=None)
@given(smiles())
def test_smile__admitted__has_a_density_at_every_variance_up_to_four_times_its_own(smile: Smile) -> None:
    if is_arbitrage_free([smile]):
        z = np.sinh(np.linspace(-11, 11, 2_001)) * 0.02
        for headroom in (1e-6, 0.3, 1.0, 2.0, 4.0):
            assert density(smile, z, headroom).min() > 0
            assert density(skew(smile), z, headroom).min() > 0
        assert shape(smile, z)[0].min() > 0.019


@pytest.mark.parametrize(
    "smile",
    [
        Smile(10**11, -508_000, 2_204_000, -700_000, 400_000),
        Smile(10**9, -737_000, 1_934_000, -300_000, 3_000_000),
        Smile(10**10, -75_000, 3_211_000, 1_000_000, 1_000_000),
    ],
)
def test_smile__whose_density_only_the_skew_shock_takes__is_refused_by_both_engines(smile: Smile) -> None:
    z = np.sinh(np.linspace(-11, 11, 2_001)) * 0.02
    lowest = {
        one: min(density(one, z, headroom).min() for headroom in (1e-6, 1.0, 4.0)) for one in (smile, skew(smile))
    }
    assert lowest[smile] > 0.005
    assert lowest[skew(smile)] < 0.001
    assert not is_arbitrage_free([smile])
    assert not is_free([Shape(*smile)])


@settings(max_examples=400, deadline=None)
@given(smiles(), st.integers(1, 999))
def test_smile__admitted__lies_lower_everywhere_at_a_smaller_variance(smile: Smile, share: int) -> None:
    if is_arbitrage_free([smile]):
        less = smile._replace(theta_e12=max(1, smile.theta_e12 * share // 1_000))
        k = np.sinh(np.linspace(-11, 11, 2_001)) * 0.02 * np.sqrt(smile.theta_e12 / 1e12)
        assert np.all(variance(less, k) <= variance(smile, k))
        assert is_arbitrage_free([less])


@settings(max_examples=400, deadline=None)
@given(pairs())
def test_smiles__admitted__do_not_cross(both: tuple[Smile, Smile]) -> None:
    near, far = both
    if is_arbitrage_free([near, far]):
        k = np.sinh(np.linspace(-11, 11, 2_001)) * 0.02 * np.sqrt(near.theta_e12 / 1e12)
        below, above = variance(near, k), variance(far, k)
        # What two parabolas may do between neighbouring points of the test.
        assert np.all(above >= below * (1 - 1e-3))


@settings(deadline=None)
@example(rho=0, theta=1_000_001, growth=1)
@given(rho=st.integers(-990_000, 990_000), theta=st.integers(1, THETA_MAX_E12), growth=st.integers(0, 3_000_000))
def test_ssvi__under_the_power_laws_bound__is_admitted(rho: int, theta: int, growth: int) -> None:
    # Gatheral and Jacquier, theorems 4.1 and 4.2: nothing more is asked of it, before and after a skew shock.
    eta = 2 * 10**12 // (10**6 + abs(rho))
    far = min(theta + theta * growth // 10**6, THETA_MAX_E12)
    assert is_arbitrage_free([Smile(theta, rho, eta), Smile(far, rho, eta)])


GOOD = Smile(10**10, -200_000, 1_000_000, 300_000, 5_000_000)
LATER = GOOD._replace(theta_e12=2 * 10**10)


@pytest.mark.parametrize(
    "faulty",
    [
        [],
        [GOOD._replace(theta_e12=0)],
        [GOOD._replace(theta_e12=THETA_MAX_E12 + 1)],
        [GOOD._replace(rho_ppm=990_001)],
        [GOOD._replace(eta_ppm=0)],
        [GOOD._replace(eta_ppm=4_000_001, rho_ppm=0)],
        [GOOD._replace(eta_ppm=3_400_000)],
        [GOOD._replace(shift_ppm=6_000_001)],
        [GOOD._replace(width_ppm=49_999)],
        [GOOD._replace(width_ppm=60_000_001)],
        [GOOD._replace(shift_ppm=5_000_000, width_ppm=100_000)],  # a negative variance at its vertex
        [LATER, GOOD],
        [GOOD, LATER._replace(theta_e12=10**10 + 10**6, eta_ppm=500_000)],  # flatter wings at the same variance
        [
            GOOD._replace(shift_ppm=1_500_000),
            LATER._replace(theta_e12=10**10 + 10**7, shift_ppm=-1_500_000),
        ],  # they cross
    ],
)
def test_smiles__grossly_arbitraged_or_out_of_bounds__are_refused(faulty: list[Smile]) -> None:
    assert is_arbitrage_free([GOOD, LATER])
    assert not is_arbitrage_free(faulty)


def test_smile__with_a_negative_density__is_refused() -> None:
    # Steep and sharp off the money: within every bound, and still a butterfly costs less than nothing.
    sharp = Smile(10**9, 0, 1_950_000, -1_900_000, 120_000)
    assert density(sharp, np.linspace(-4, 4, 2_001), 1.0).min() < -0.1
    assert not is_arbitrage_free([sharp])


def perturbed(draw: random.Random, base: Smile) -> Smile:
    def change(value: int, by: int, low: int, high: int) -> int:
        return min(max(value + draw.randint(-by, by), low), high)

    return Smile(
        change(base.theta_e12, base.theta_e12 // 2, 1, 10**14),
        change(base.rho_ppm, 100_000, -990_000, 990_000),
        change(base.eta_ppm, 200_000, 1, 4_000_000),
        change(base.shift_ppm, 200_000, -6_000_000, 6_000_000),
        change(base.width_ppm, 900_000, 50_000, 60_000_000),
    )


def test_smiles__judged_by_the_reference_engine__are_judged_alike() -> None:
    draw = random.Random(5)
    admitted = 0
    for _ in range(400):
        near = perturbed(
            draw, Smile(10 ** draw.randint(2, 13), draw.randint(-500_000, 500_000), 1_100_000, 0, 2_000_000)
        )
        chain = sorted([near, *(perturbed(draw, near) for _ in range(draw.randint(0, 2)))])
        found = is_arbitrage_free(chain)
        assert found is is_free([Shape(*smile) for smile in chain])
        admitted += found
    assert 40 < admitted < 360
