"""Between people's numbers and the exchange's integers, exactly: a number off the grid is refused, never rounded."""

from decimal import Decimal, InvalidOperation
from typing import Final

from holdfast.client.errors import InputError
from holdfast.protocol.ledger.state import ASSET_ATOMS, ASSET_NAMES

Number = Decimal | int | float | str
# Quotients of such numbers and of any step keep within the 28 digits of exact decimal arithmetic.
_DIGITS_MAX: Final = 18


def parse_number(number: Number, what: str) -> Decimal:
    """Return a finite decimal. Refuses: InputError for anything else."""
    try:
        value = number if isinstance(number, Decimal) else Decimal(str(number))
    except InvalidOperation:
        raise InputError(f"{what} {number!r} is not a number; write it like 0.5 or 61250") from None
    if not value.is_finite() or len(value.as_tuple().digits) > _DIGITS_MAX or abs(value.adjusted()) > _DIGITS_MAX:
        raise InputError(f"{what} {number!r} is not a usable number; write it like 0.5 or 61250")
    return value


def to_steps(number: Number, step: Decimal, what: str, unit: str) -> int:
    """Return how many whole steps a positive number is. Refuses: InputError, naming the nearest that are valid."""
    value = parse_number(number, what)
    if value <= 0:
        raise InputError(f"{what} {show(value)} is not positive; give at least {show(step)} {unit}")
    count, rest = divmod(value, step)
    if rest:
        below, above = count * step, (count + 1) * step
        nearest = [show(one) for one in (below, above) if one > 0]
        mend = f"the nearest valid is {nearest[0]}" if len(nearest) == 1 else f"the nearest are {' and '.join(nearest)}"
        raise InputError(f"{what} {show(value)} is not a multiple of {show(step)} {unit}; {mend}")
    return int(count)


def to_atoms(number: Number, asset: str) -> tuple[int, int]:
    """Return (asset id, atoms) of an amount of an asset. Refuses: InputError."""
    asset_id = get_asset_id(asset)
    return asset_id, to_steps(number, Decimal(1) / ASSET_ATOMS[asset_id], "amount", asset.upper())


def get_asset_id(asset: str) -> int:
    """Return the id of an asset by its name. Refuses: InputError."""
    if asset.upper() not in ASSET_NAMES:
        raise InputError(f"asset {asset!r} is not one of the exchange's; choose one of {', '.join(ASSET_NAMES)}")
    return ASSET_NAMES.index(asset.upper())


def from_atoms(atoms: int, asset_id: int) -> Decimal:
    """Return an amount of whole units."""
    return Decimal(atoms) / ASSET_ATOMS[asset_id]


def show(number: Decimal) -> str:
    """Return a number as people write it: no exponent, no idle zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
