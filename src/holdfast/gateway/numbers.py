"""The edge between the exchange's integers and JSON numbers. Each is the double nearest to the exact value."""

from holdfast.primitives.units import E8, PPM, USDC_ATOMS
from holdfast.protocol.instruments.state import Instrument
from holdfast.protocol.ledger.state import ASSET_ATOMS

# What is divided for people, such as an average price, has a cent's ten thousandth at most.
PRICE_DECIMALS = 6
E9 = 10**9
E12 = 10**12


def price_of(ticks: int, instrument: Instrument) -> float:
    """Return an order's price in USDC a coin."""
    return ticks * instrument.tick_e8 / E8


def amount_of(lots: int, instrument: Instrument) -> float:
    """Return a size in coin; signed where the lots are."""
    return lots * instrument.lot_e8 / E8


def usd(value_e8: int) -> float:
    """Return a price in USD."""
    return value_e8 / E8


def usdc(value_atoms: int) -> float:
    """Return an amount of USDC."""
    return value_atoms / USDC_ATOMS


def whole(value_atoms: int, asset_id: int) -> float:
    """Return an amount of an asset in whole units."""
    return value_atoms / ASSET_ATOMS[asset_id]


def ratio(value_ppm: int) -> float:
    """Return a share."""
    return value_ppm / PPM


def quotient(numerator: int, denominator: int, decimals: int = PRICE_DECIMALS) -> float:
    """Return a quotient of exact integers, rounded once, to so many decimals."""
    return round(numerator / denominator, decimals)


def percent(value_ppm: int) -> float:
    """Return a share in percent, as Deribit writes volatilities."""
    return value_ppm * 100 / PPM
