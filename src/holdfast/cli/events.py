"""An account's events as people read them: names, coin and money for ids, ticks, lots and atoms."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from holdfast.cli.show import coin, show_time, show_value, usdc
from holdfast.client.amounts import from_atoms
from holdfast.client.names import ASSETS, CANCEL_REASONS

if TYPE_CHECKING:
    from holdfast.client.results import Instrument, Rows

_USDC: Final = 0
_TIMES: Final = frozenset(("time_ms", "expires_ms", "expiry_ms", "frozen_until_ms"))
_ORDERS_MAX: Final = 10_000
_SIDES: Final = ("buy", "sell")
_HIDDEN: Final = frozenset(("type", "asset_id", "instrument_id"))


class Lister(Protocol):
    """What knows the instruments: `Exchange`."""

    def instruments(self, currency: str) -> "Rows[Instrument]":
        """Return what is listed on a currency."""


class Words:
    """Puts events into words. What an event counts in is found by its fields; an unknown field is shown as it is."""

    def __init__(self, exchange: Lister) -> None:
        """Ask a node for its instruments when the first event needs one."""
        self._exchange = exchange
        self._instruments: dict[int, Instrument] = {}
        self._orders: dict[int, int] = {}  # order -> instrument; an order's later events do not name it

    def show(self, event: Mapping[str, object]) -> str:
        """Return one event in one line."""
        return "  ".join([show_value(event.get("type")), *self._parts(event)])

    def _parts(self, event: Mapping[str, object]) -> Iterator[str]:
        instrument_id, asset_id, order_id = (event.get(name) for name in ("instrument_id", "asset_id", "order_id"))
        if isinstance(order_id, int):
            instrument_id = self._remember(order_id, instrument_id)
        instrument = self._find(instrument_id) if isinstance(instrument_id, int) else None
        if instrument is not None:
            yield instrument.instrument_name
        elif instrument_id is not None:
            yield f"instrument {show_value(instrument_id)}"
        for name, value in event.items():
            if name not in _HIDDEN:
                yield _show_field(name, value, instrument, asset_id if isinstance(asset_id, int) else 0)

    def _remember(self, order_id: int, instrument_id: object) -> int | None:
        if not isinstance(instrument_id, int):
            return self._orders.get(order_id)
        if len(self._orders) >= _ORDERS_MAX:
            self._orders.clear()
        self._orders[order_id] = instrument_id
        return instrument_id

    def _find(self, instrument_id: int) -> "Instrument | None":
        if instrument_id not in self._instruments:
            listed = self._exchange.instruments("any")
            self._instruments |= {one.instrument_id: one for one in listed}
        return self._instruments.get(instrument_id)


def _show_field(name: str, value: object, instrument: "Instrument | None", asset_id: int) -> str:
    label = name.replace("_", " ")
    if not isinstance(value, int) or isinstance(value, bool):
        return f"{label} {show_value(value)}"
    if name in _TIMES:
        return f"{label.removesuffix(' ms')} {show_time(value)}"
    if name == "reason" and value in CANCEL_REASONS:
        return f"{label} {CANCEL_REASONS[value]}"
    if name.endswith("side") and value in (0, 1):
        return f"{label} {_SIDES[value]}"
    if name.endswith("atoms"):
        is_fee = "fee" in name or instrument is not None
        amount = _show_asset(value, _USDC if is_fee else asset_id)
        return f"{label.removesuffix('atoms').strip() or 'amount'} {amount}"
    if instrument is not None and name.endswith("ticks"):
        return f"{label.removesuffix('ticks').strip()} {usdc(value * instrument.tick_size)}"
    if instrument is not None and name.endswith("lots"):
        size = coin(value * instrument.contract_size, instrument.instrument_name)
        return f"{label.removesuffix('lots').strip() or 'amount'} {size}"
    return f"{label} {value}"


def _show_asset(atoms: int, asset_id: int) -> str:
    if not 0 <= asset_id < len(ASSETS):
        return f"{atoms} atoms"
    return f"{show_value(from_atoms(atoms, asset_id))} {ASSETS[asset_id]}"
