"""From a document's decimal numbers to the exchange's integers, refusing what no integer says."""

from typing import Final

from holdfast.primitives.units import E8, USDC_ATOMS
from holdfast.protocol.instruments.params import DEFAULT_SPECS
from holdfast.protocol.ledger.state import ASSET_NAMES, BTC, ETH
from holdfast.protocol.limits import ACCOUNT_LOTS_MAX, AMOUNT_ATOMS_MAX
from holdfast.protocol.surface.rules import FORWARD_MAX_E8
from holdfast.risk.rows import InputError

UNDERLYINGS: Final = {ASSET_NAMES[asset_id]: asset_id for asset_id in (BTC, ETH)}
PPM: Final = 1e6
E12: Final = 1e12
# How far a multiple may be off one by the roundings of the doubles that it came in, in lots or ticks.
_DUST: Final = 1e-6
_STRIKE_MAX_E8: Final = 2**53 - 1


def get_underlying(name: str, row: str) -> int:
    """Return the exchange's number of a coin.

    Refuses: a coin that it lists nothing on.
    """
    if name not in UNDERLYINGS:
        raise InputError(
            row, "instrument", f"{name} is no underlying of the exchange, which has {', '.join(UNDERLYINGS)}"
        )
    return UNDERLYINGS[name]


def count_lots(amount: float, underlying: int, row: str, field: str = "amount") -> int:
    """Return an amount in coin as lots.

    Refuses: what is not a multiple of the lot, more than an account may hold.
    """
    lot = DEFAULT_SPECS[underlying].lot_e8 / E8
    if abs(amount) > ACCOUNT_LOTS_MAX * lot:
        most = f"{ACCOUNT_LOTS_MAX * lot:,.0f} {ASSET_NAMES[underlying]}"
        raise InputError(row, field, f"{amount:g} is beyond {most}, the most that one account can hold")
    return _count(amount, lot, row, field, f"the lot of {lot:g} {ASSET_NAMES[underlying]}")


def count_ticks(price: float, underlying: int, row: str) -> int:
    """Return a price in USD a coin as ticks.

    Refuses: what is not a multiple of the tick.
    """
    tick = DEFAULT_SPECS[underlying].tick_e8 / E8
    return _count(price, tick, row, "price", f"the tick of {tick:g} USD")


def to_price_e8(price: float, row: str, field: str) -> int:
    """Return a spot or a forward in USD x 1e8. Rounds: to the nearest.

    Refuses: beyond what the exchange prices, and what rounds to nothing.
    """
    price_e8 = round(price * E8)
    if not 0 < price_e8 <= FORWARD_MAX_E8:
        raise InputError(
            row, field, f"{price:g} is not between 1e-8 and {FORWARD_MAX_E8 / E8:,.0f}, which the exchange prices"
        )
    return price_e8


def to_strike_e8(strike: float, row: str) -> int:
    """Return a strike in USD x 1e8. Rounds: to the nearest.

    Refuses: beyond what the kernel takes.
    """
    strike_e8 = round(strike * E8)
    if not 0 < strike_e8 <= _STRIKE_MAX_E8:
        raise InputError(row, "instrument", f"a strike of {strike:g} is not one that the exchange prices")
    return strike_e8


def to_usdc_atoms(usd: float, row: str, field: str) -> int:
    """Return an amount of money in USDC atoms. Rounds: to the nearest.

    Refuses: beyond what the exchange books.
    """
    return to_atoms(usd, USDC_ATOMS, row, field)


def to_atoms(amount: float, atoms: int, row: str, field: str) -> int:
    """Return an amount of an asset in its atoms. Rounds: to the nearest.

    Refuses: beyond what the exchange books.
    """
    count = round(amount * atoms)
    if abs(count) > AMOUNT_ATOMS_MAX:
        raise InputError(
            row, field, f"{amount:g} is beyond {AMOUNT_ATOMS_MAX / atoms:,.0f}, the most that one account can hold"
        )
    return count


def to_usd(atoms: int) -> float:
    """Return USDC atoms in USD."""
    return atoms / USDC_ATOMS


def _count(amount: float, unit: float, row: str, field: str, name: str) -> int:
    count = amount / unit
    if abs(count - round(count)) > _DUST or (amount and not round(count)):
        raise InputError(row, field, f"{amount:g} is not a multiple of {name}")
    return round(count)
