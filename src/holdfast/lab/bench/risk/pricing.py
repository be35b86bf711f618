"""The rows of pricing: the native kernel and its NumPy twin on drawn options and a drawn listing.

Every side takes the same arrays and gives arrays; what a loop needs to take them apart and put them together counts.
"""

from typing import Final, NamedTuple

import numpy as np

from holdfast.lab.bench.risk import peers
from holdfast.lab.bench.risk.duel import Checked, Contender, Duel, ensure_equal, timed
from holdfast.lab.bench.risk.rows import Size
from holdfast.primitives.pricing import BoolArray, FloatArray, Grid, IntArray, Options, Slices, Values
from holdfast.primitives.pricing.golden import Kernel
from holdfast.primitives.pricing.native import Native, list_paths
from holdfast.primitives.pricing.reference import Reference
from holdfast.primitives.units import DAY_MS, E8, PPM
from holdfast.protocol.ledger.state import BTC, ETH
from holdfast.protocol.limits import SCENARIOS
from holdfast.protocol.surface.params import DEFAULT_GRIDS

# Price over forward; each Greek is scaled to the order of one.
_PRICE_ERROR_MAX: Final = 1e-12
_GREEK_ERROR_MAX: Final = 1e-10
_ERROR_SHARE_MAX: Final = 1e-8
_DEVIATIONS_AWAY_MAX: Final = 2.0
_EXPIRIES: Final = 12


class Book(NamedTuple):
    """Options in doubles."""

    forward: FloatArray
    strike: FloatArray
    variance: FloatArray
    years: FloatArray
    is_call: BoolArray

    @property
    def length(self) -> int:
        """Return how many there are."""
        return len(self.forward)

    def list_rows(self) -> list[tuple[float, float, float, float, bool]]:
        """Return (forward, strike, variance, years, is call) of each option, for a peer that takes one at a time."""
        columns = (column.tolist() for column in self)
        return list(zip(*columns, strict=True))


class Listing(NamedTuple):
    """Instruments of a day's listing, with their unshocked values."""

    slices: Slices
    options: Options
    grid: Grid
    marks_e8: IntArray


def native_quantlib(size: Size) -> Duel[Values, Values]:
    """Hold the native kernel against QuantLib's calculator in a Python loop."""
    return _against_quantlib(size, "native kernel", _native())


def twin_quantlib(size: Size) -> Duel[Values, Values]:
    """Hold the NumPy twin against the same loop."""
    return _against_quantlib(size, "NumPy twin", Reference())


def native_vollib(size: Size) -> Duel[Values, Values]:
    """Hold the native kernel against py_vollib's price and four analytic Greeks."""
    book = draw_book(size.options)

    def load_peer() -> Contender[Values]:
        price, greeks = peers.load_vollib()

        def loop() -> Values:
            delta, gamma, vega, theta = greeks.delta, greeks.gamma, greeks.vega, greeks.theta
            values = []
            for forward, strike, variance, years, is_call in book.list_rows():
                args = ("c" if is_call else "p", forward, strike, years, 0.0, (variance / years) ** 0.5)
                # Its vega is for a point of volatility, its theta for a day.
                values.append((price(*args), delta(*args), gamma(*args), 100 * vega(*args), 365 * theta(*args)))
            return Values(*np.array(values).T)

        return timed(peers.name_of("py_vollib", "black and four Greeks"), loop, book.length)

    return Duel(_price("native kernel", _native(), book), load_peer, lambda own, peer: _compare(book, own, peer))


def inexact(size: Size) -> Duel[Values, Values]:
    """Hold the native kernel against the same in C that may give other bits on every machine."""
    book = draw_book(size.options)

    def load_peer() -> Contender[Values]:
        call, out = peers.compile_inexact(), _make_values(book.length)

        def run() -> Values:
            call(book, out)
            return out

        return timed("C, -Ofast with libmvec", run, book.length)

    return Duel(_price("native kernel", _native(), book), load_peer, lambda own, peer: _compare(book, own, peer))


def array(size: Size) -> Duel[IntArray, FloatArray]:
    """Hold the fused risk array against as many prices of single options by the same kernel."""
    return _against_prices(size, "native kernel", _native(), Reference())


def array_twin(size: Size) -> Duel[IntArray, FloatArray]:
    """Hold the twin's risk array against the twin's prices."""
    return _against_prices(size, "NumPy twin", Reference(), _native())


def implied(size: Size) -> Duel[FloatArray, FloatArray]:
    """Hold implied deviations against QuantLib's solver; both errors are measured against the deviations drawn."""
    book, kernel = draw_book(size.options), _native()
    true, price, out = np.sqrt(book.variance), np.empty(book.length), np.empty(book.length)
    kernel.black76_price(book.forward, book.strike, book.variance, book.is_call, price)

    def run() -> FloatArray:
        kernel.implied_deviation(price, book.forward, book.strike, book.is_call, out)
        return out

    def load_peer() -> Contender[FloatArray]:
        library = peers.load_quantlib()
        solve, call, put = library.blackFormulaImpliedStdDev, library.Option.Call, library.Option.Put

        def loop() -> FloatArray:
            kinds = np.where(book.is_call, call, put)
            columns = (column.tolist() for column in (kinds, book.strike, book.forward, price))
            return np.array([solve(*row) for row in zip(*columns, strict=True)])

        return timed(peers.name_of("QuantLib", "blackFormulaImpliedStdDev"), loop, book.length)

    def compare(own: FloatArray, peer: FloatArray) -> Checked:
        own_error, peer_error = float(np.abs(own - true).max()), float(np.abs(peer - true).max())
        words = f"largest error {own_error:.2g}, QuantLib's {peer_error:.2g}: {own_error / peer_error:.1e} as large"
        bound = f", to be at most {_ERROR_SHARE_MAX:.0e}"
        return Checked(words + bound, own_error <= _ERROR_SHARE_MAX * peer_error)

    return Duel(timed("native kernel", run, book.length), load_peer, compare)


def draw_book(count: int) -> Book:
    """Draw options within two standard deviations of the forward, from a day to a year, at 20 to 150 % volatility."""
    rng = np.random.default_rng(4)
    forward = rng.uniform(50_000.0, 150_000.0, count)
    years = rng.uniform(1 / 365, 1.0, count)
    variance = rng.uniform(0.2, 1.5, count) ** 2 * years
    away = rng.uniform(-_DEVIATIONS_AWAY_MAX, _DEVIATIONS_AWAY_MAX, count)
    return Book(forward, forward * np.exp(away * np.sqrt(variance)), variance, years, rng.integers(0, 2, count) == 1)


def draw_listing(instruments: int) -> Listing:
    """Draw instruments of two underlyings and twelve expiries each, under the exchange's own scenarios."""
    rng = np.random.default_rng(5)
    underlyings = np.arange(2 * _EXPIRIES) // _EXPIRIES
    spot_e8 = np.where(underlyings == 0, 120_000 * E8, 4_400 * E8)
    remaining_ms = np.tile(np.arange(1, _EXPIRIES + 1) ** 2 * 2 * DAY_MS, 2)
    count = len(underlyings)
    slices = Slices(
        forward_e8=spot_e8 + spot_e8 // 100,
        theta_e12=remaining_ms * 6,
        rho_ppm=np.full(count, -150_000),
        eta_ppm=np.full(count, 790_000),
        fixed_e8=np.zeros(count, dtype=np.int64),
        variable_ppm=np.full(count, PPM),
        remaining_ms=remaining_ms,
        grid_index=underlyings,
        shift_ppm=np.full(count, 30_000),
        width_ppm=np.full(count, 900_000),
    )
    index = np.sort(rng.integers(0, count, instruments))
    options = Options(
        slice_index=index,
        strike_e8=spot_e8[index] // 1_000 * rng.integers(600, 1_600, instruments),
        is_call=rng.integers(0, 2, instruments),
        lot_e8=np.where(underlyings[index] == 0, E8 // 100, E8 // 10),
    )
    grids = [DEFAULT_GRIDS[underlying] for underlying in (BTC, ETH)]
    grid = Grid(*(np.array([getattr(one, name) for one in grids], dtype=np.int64) for name in Grid._fields))
    return Listing(slices, options, grid, Reference.compute_marks(slices, options).mark_e8)


def _native() -> Native:
    return Native(list_paths()[0])


def _price(name: str, kernel: Kernel, book: Book) -> Contender[Values]:
    out = _make_values(book.length)

    def run() -> Values:
        kernel.black76(*book, out)
        return out

    return timed(name, run, book.length)


def _make_values(count: int) -> Values:
    return Values(*(np.empty(count) for _ in Values._fields))


def _against_quantlib(size: Size, name: str, kernel: Kernel) -> Duel[Values, Values]:
    book = draw_book(size.options)

    def load_peer() -> Contender[Values]:
        library = peers.load_quantlib()

        def loop() -> Values:
            payoff_of, calculator_of = library.PlainVanillaPayoff, library.BlackCalculator
            call, put, values = library.Option.Call, library.Option.Put, []
            for forward, strike, variance, years, is_call in book.list_rows():
                calculator = calculator_of(payoff_of(call if is_call else put, strike), forward, variance**0.5, 1.0)
                values.append(
                    (
                        calculator.value(),
                        calculator.deltaForward(),
                        calculator.gammaForward(),
                        calculator.vega(years),
                        calculator.theta(forward, years),
                    )
                )
            return Values(*np.array(values).T)

        return timed(peers.name_of("QuantLib", "BlackCalculator in a loop"), loop, book.length)

    return Duel(_price(name, kernel, book), load_peer, lambda own, peer: _compare(book, own, peer))


def _compare(book: Book, own: Values, peer: Values) -> Checked:
    """Compare two sides' values, each on a scale on which it is of the order of one."""
    deviation, root = np.sqrt(book.variance), np.sqrt(book.years)
    scales = Values(
        price=book.forward,
        delta=np.ones(book.length),
        gamma=1 / (book.forward * deviation),
        vega=book.forward * root,
        theta=book.forward * deviation / book.years,
    )
    triples = zip(own, peer, scales, strict=True)
    errors = [float((np.abs(ours - others) / scale).max()) for ours, others, scale in triples]
    ensure_equal(f"the prices, by {errors[0]:.2g} of the forward", condition=errors[0] <= _PRICE_ERROR_MAX)
    ensure_equal(f"the Greeks, by {max(errors[1:]):.2g}", condition=max(errors[1:]) <= _GREEK_ERROR_MAX)
    greeks = f"{max(errors[1:]):.1e}"
    return Checked(
        f"{book.length:,} options; prices differ by {errors[0]:.1e} of the forward, scaled Greeks by {greeks}"
    )


def _against_prices(size: Size, name: str, kernel: Kernel, other: Kernel) -> Duel[IntArray, FloatArray]:
    listing, book = draw_listing(size.instruments), draw_book(size.instruments * SCENARIOS)
    inputs = (book.forward, book.strike, book.variance, book.is_call)
    out = np.empty(book.length)

    def price() -> FloatArray:
        kernel.black76_price(*inputs, out)
        return out

    def compare(own: IntArray, peer: FloatArray) -> Checked:
        again = np.empty(book.length)
        other.black76_price(*inputs, again)
        ensure_equal("the prices of kernel and twin", condition=bool(np.array_equal(peer, again)))
        ensure_equal("the rows of kernel and twin", condition=bool(np.array_equal(own, other.compute_rows(*listing))))
        return Checked(f"{size.instruments:,} instruments x {SCENARIOS} scenarios; kernel and twin give the same bits")

    return Duel(
        timed(name, lambda: kernel.compute_rows(*listing), book.length),
        lambda: timed("its prices of single options", price, book.length),
        compare,
    )
