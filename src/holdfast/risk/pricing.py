"""The exchange's pricing kernel for arrays of plain numbers: prices and Greeks on a surface, as the exchange marks.

table = price_options(forward=96_900.0, strike=np.array([90e3, 100e3]), seconds=71 * 86_400.0, is_call=False,
                      total_variance=0.038, rho=-0.25, eta=0.8)
table.price, table.vol, table.delta
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from holdfast.primitives import pricing
from holdfast.primitives.pricing import Options, Slices
from holdfast.primitives.smiles import (
    ETA_MAX_PPM,
    SHIFT_MAX_PPM,
    WIDTH_MAX_PPM,
    WIDTH_MIN_PPM,
    Smile,
    is_arbitrage_free,
)
from holdfast.risk.rows import PRICE_MAX, SECONDS_MAX, InputError

FloatArray = NDArray[np.float64]

_E8: Final = 1e8
_E12: Final = 1e12
_PPM: Final = 1e6
_VARIANCE_MAX: Final = 100.0
_PRICE_MAX: Final = min(PRICE_MAX, (2**53 - 1) / _E8)
_SECONDS_MAX: Final = min(SECONDS_MAX, 10 * 365 * 86_400.0)
_LOT_E8: Final = 10**8


class PriceTable(NamedTuple):
    """Marks of options, each an array of the common shape; USD a coin."""

    price: FloatArray
    vol: FloatArray  # of Black-76
    delta: FloatArray
    gamma: FloatArray  # change of delta for one USD of the forward
    vega: FloatArray  # for one volatility point
    theta: FloatArray  # for one day


def price_options(
    *,
    forward: ArrayLike,
    strike: ArrayLike,
    seconds: ArrayLike,
    is_call: ArrayLike,
    total_variance: ArrayLike,
    rho: ArrayLike = 0.0,
    eta: ArrayLike = 1.0,
    shift: ArrayLike = 0.0,
    width: ArrayLike = 1.0,
) -> PriceTable:
    """Return marks and Greeks of options on smiles; arguments are broadcast against each other.

    The numbers go into the kernel as its integers (prices x 1e8, variance x 1e12, the shape in millionths), and come
    back rounded as the exchange's marks. Without shift and width a smile is SSVI.

    Refuses: shapes that do not go together, what is not finite or out of bounds, a slice with a butterfly arbitrage.
    """
    bounds = {
        "forward": (forward, 1 / _E8, _PRICE_MAX, _E8),
        "strike": (strike, 1 / _E8, _PRICE_MAX, _E8),
        "seconds": (seconds, 1e-3, _SECONDS_MAX, 1e3),
        "is_call": (is_call, 0.0, 1.0, 1.0),
        "total_variance": (total_variance, 1 / _E12, _VARIANCE_MAX, _E12),
        "rho": (rho, -1.0 + 1 / _PPM, 1.0 - 1 / _PPM, _PPM),
        "eta": (eta, 1 / _PPM, ETA_MAX_PPM / _PPM, _PPM),
        "shift": (shift, -SHIFT_MAX_PPM / _PPM, SHIFT_MAX_PPM / _PPM, _PPM),
        "width": (width, WIDTH_MIN_PPM / _PPM, WIDTH_MAX_PPM / _PPM, _PPM),
    }
    whole = {name: _read(name, *bound) for name, bound in bounds.items()}
    try:
        arrays = dict(zip(whole, np.broadcast_arrays(*whole.values()), strict=True))
    except ValueError:
        shapes = ", ".join(f"{name} {values.shape}" for name, values in whole.items())
        raise InputError("options", "", f"these shapes do not go together: {shapes}") from None
    shape = arrays["forward"].shape
    flat = {name: np.ascontiguousarray(values).reshape(-1) for name, values in arrays.items()}
    columns = (flat[name].tolist() for name in ("total_variance", "rho", "eta", "shift", "width"))
    smiles = [Smile(*numbers) for numbers in zip(*columns, strict=True)]
    wrong = {smile for smile in dict.fromkeys(smiles) if not is_arbitrage_free([smile])}
    for place, smile in enumerate(smiles):
        if smile in wrong:
            raise InputError(f"options[{place}]", "eta", "the smile has a butterfly arbitrage; lower eta or abs(rho)")
    count = len(flat["forward"])
    zeros, ones = np.zeros(count, dtype=np.int64), np.ones(count, dtype=np.int64)
    slices = Slices(
        flat["forward"],
        flat["total_variance"],
        flat["rho"],
        flat["eta"],
        zeros,
        ones * 10**6,
        flat["seconds"],
        zeros,
        flat["shift"],
        flat["width"],
    )
    options = Options(np.arange(count, dtype=np.int64), flat["strike"], flat["is_call"], ones * _LOT_E8)
    marks = pricing.compute_marks(slices, options)
    scales = (_E8, _PPM, _PPM, _E12, _E8, _E8)
    return PriceTable(*(column.reshape(shape) / scale for column, scale in zip(marks, scales, strict=True)))


def _read(name: str, values: ArrayLike, least: float, most: float, scale: float) -> NDArray[np.int64]:
    try:
        array: FloatArray = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("options", name, "is not a number or an array of numbers") from None
    wrong = ~(np.isfinite(array) & (array >= least) & (array <= most))
    if np.any(wrong):
        place = int(np.argmax(wrong.reshape(-1)))
        problem = f"{array.reshape(-1)[place]:g} is not between {least:g} and {most:g}"
        raise InputError(f"options[{place}]", name, problem)
    return np.rint(array * scale).astype(np.int64)
