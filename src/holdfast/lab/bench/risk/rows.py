"""What the risk bench measures: each row's words, its bound, and the function that sets it up."""

from enum import StrEnum
from typing import Final, NamedTuple

import msgspec


class Size(msgspec.Struct, frozen=True):
    """How much is measured."""

    options: int = 100_000
    instruments: int = 2_048
    accounts: int = 1_000_000
    step_accounts: int = 100_000
    orders: int = 20_000
    turns: int = 5


FULL: Final = Size()
# For a look at the whole in seconds: the figures mean nothing.
QUICK: Final = Size(options=2_000, instruments=64, accounts=2_000, step_accounts=50, orders=192, turns=2)
GROWTH_ACCOUNTS: Final = (1_000, 10_000, 100_000, 1_000_000)


class Kind(StrEnum):
    """What of a row is held to its bound."""

    SPEED = "speed"  # the peer's time over the own, at least
    COST = "cost"  # the own time over the peer's, at most
    FIGURE = "figure"  # the own figure, at most


class Row(NamedTuple):
    """One row. `place` is `module:function` of this package; the function takes a `Size` and returns a `Duel`."""

    key: str
    words: str
    kind: Kind
    bound: float | None
    unit: str
    units_a_second: float
    place: str
    cores: int = 1


_NS: Final = 1e9
_MS: Final = 1e3
_US: Final = 1e6
_OPTION: Final = "ns an option"
_CELL: Final = "ns a position and scenario"

ROWS: Final = (
    Row("quantlib", "price and four Greeks / QuantLib loop", Kind.SPEED, 400, _OPTION, _NS, "pricing:native_quantlib"),
    Row("vollib", "price and four Greeks / py_vollib", Kind.SPEED, 1_000, _OPTION, _NS, "pricing:native_vollib"),
    Row("inexact", "price and four Greeks / the same in C, inexact", Kind.SPEED, 0.6, _OPTION, _NS, "pricing:inexact"),
    Row("twin", "NumPy twin / QuantLib loop", Kind.SPEED, 60, _OPTION, _NS, "pricing:twin_quantlib"),
    Row("array", "risk array / prices of its options", Kind.COST, 1.5, "ns a price", _NS, "pricing:array"),
    Row(
        "array-twin",
        "NumPy risk array / prices of its options",
        Kind.COST,
        1.5,
        "ns a price",
        _NS,
        "pricing:array_twin",
    ),
    Row("implied", "implied volatility / QuantLib's solver", Kind.SPEED, 2.5, _OPTION, _NS, "pricing:implied"),
    Row("scipy", "margin of all accounts / scipy CSR @ dense, min", Kind.SPEED, 7, _CELL, _NS, "margin:scipy"),
    Row("reads", "margin of all accounts / reads of random rows", Kind.SPEED, 0.5, _CELL, _NS, "margin:reads"),
    Row("threads", "margin on two threads / on one", Kind.SPEED, 1.7, _CELL, _NS, "margin:threads", cores=2),
    Row("fill", "margin after one fill", Kind.FIGURE, 50, "ns a fill", _NS, "margin:fill"),
    Row("step", "a block's whole risk step / its kernels", Kind.COST, 2, "ms a block", _MS, "exchange:step"),
    Row("signed", "signed orders / bare verification", Kind.SPEED, 0.6, "us an order", _US, "exchange:signed"),
    Row("machine", "orders without signatures / bare book", Kind.SPEED, 0.05, "us an order", _US, "exchange:machine"),
    Row(
        "quoting",
        "quotes of a whole chain: margin / notional",
        Kind.SPEED,
        None,
        "% of the notional",
        100.0,
        "quoting:quoting",
    ),
)
