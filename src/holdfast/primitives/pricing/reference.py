"""The NumPy reference as a kernel: what a native one must equal bit for bit."""

from holdfast.primitives.pricing import arrays, black
from holdfast.primitives.pricing.inputs import (
    BoolArray,
    FloatArray,
    Values,
    check_options,
    check_prices,
)

__all__ = ["Reference"]


class Reference:
    """Prices with NumPy."""

    compute_marks = staticmethod(arrays.compute_marks)
    compute_rows = staticmethod(arrays.compute_rows)
    vol_scale_ppm = staticmethod(arrays.vol_scale_ppm)

    @staticmethod
    def black76(
        forward: FloatArray,
        strike: FloatArray,
        variance: FloatArray,
        years: FloatArray,
        is_call: BoolArray,
        out: Values,
    ) -> None:
        """Write price and Greeks of each option to `out`. Refuses: ValueError."""
        check_options(forward, strike, variance, years)
        black.black76(forward, strike, variance, years, is_call, out)

    @staticmethod
    def black76_price(
        forward: FloatArray, strike: FloatArray, variance: FloatArray, is_call: BoolArray, out: FloatArray
    ) -> None:
        """Write the price of each option to `out`. Refuses: ValueError."""
        check_options(forward, strike, variance)
        black.black76_price(forward, strike, variance, is_call, out)

    @staticmethod
    def implied_deviation(
        price: FloatArray, forward: FloatArray, strike: FloatArray, is_call: BoolArray, out: FloatArray
    ) -> None:
        """Write sigma sqrt(T) of each price to `out`. Refuses: ValueError."""
        check_options(forward, strike)
        check_prices(price)
        black.implied_deviation(price, forward, strike, is_call, out)
