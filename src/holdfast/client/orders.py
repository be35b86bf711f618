"""People's orders as the exchange's commands: names, coins and dollars become ids, lots and ticks, exactly."""

from collections.abc import Mapping, Sequence
from typing import Final

from holdfast.client.amounts import Number, get_asset_id, to_steps
from holdfast.client.errors import InputError
from holdfast.client.results import Instrument
from holdfast.protocol.accounts.messages import Scope
from holdfast.protocol.limits import ID_MAX
from holdfast.protocol.trading.messages import (
    CancelAll,
    CancelOrder,
    MassQuote,
    PlaceOrder,
    Quote,
    SelfTrade,
    TimeInForce,
)

SIDES: Final = {"buy": 0, "sell": 1}
TIMES_IN_FORCE: Final = {
    "gtc": TimeInForce.GOOD_TILL_CANCELLED,
    "good_til_cancelled": TimeInForce.GOOD_TILL_CANCELLED,
    "ioc": TimeInForce.IMMEDIATE_OR_CANCEL,
    "immediate_or_cancel": TimeInForce.IMMEDIATE_OR_CANCEL,
    "fok": TimeInForce.FILL_OR_KILL,
    "fill_or_kill": TimeInForce.FILL_OR_KILL,
}
SELF_TRADES: Final = {
    "cancel-resting": SelfTrade.CANCEL_RESTING,
    "cancel-incoming": SelfTrade.CANCEL_INCOMING,
    "cancel-both": SelfTrade.CANCEL_BOTH,
}
SCOPES: Final = {scope.name.lower(): scope for scope in Scope if scope.name is not None}


def make_order(
    instrument: Instrument,
    side: str,
    amount: Number,
    price: Number | None,
    *,
    time_in_force: str = "",
    post_only: bool = False,
    reduce_only: bool = False,
    self_trade: str = "cancel-resting",
    client_id: int = 0,
) -> PlaceOrder:
    """Return an order; without a price it is a market order, which fills at once or not at all. Refuses: InputError."""
    if not 0 <= client_id <= ID_MAX:
        raise InputError(f"client id {client_id} does not fit; give a whole number from 0 to 2^63 - 1")
    time = choose(TIMES_IN_FORCE, time_in_force or ("gtc" if price is not None else "ioc"), "time in force")
    return PlaceOrder(
        instrument.instrument_id,
        choose(SIDES, side, "side"),
        0 if price is None else to_ticks(instrument, price, "price"),
        to_lots(instrument, amount, "amount"),
        time,
        post_only,
        reduce_only,
        choose(SELF_TRADES, self_trade, "self trade"),
        client_id,
    )


def make_quote(instrument: Instrument, bid: tuple[Number, Number] | None, ask: tuple[Number, Number] | None) -> Quote:
    """Return both sides of a quote as (price, amount); a side that is None is taken back. Refuses: InputError."""
    sides = [
        (0, 0) if one is None else (to_ticks(instrument, one[0], what), to_lots(instrument, one[1], f"{what} amount"))
        for what, one in (("bid", bid), ("ask", ask))
    ]
    if bid is not None and ask is not None and sides[0][0] >= sides[1][0]:
        raise InputError(f"bid {bid[0]} is not below ask {ask[0]}; a quote may not cross itself")
    return Quote(instrument.instrument_id, *sides[0], *sides[1])


Sides = tuple[Number, Number] | None


def make_quotes(quotes: Sequence[tuple[Instrument, Sides, Sides]]) -> MassQuote:
    """Return quotes of instruments of one underlying: (instrument, bid, ask), each side (price, amount) or None.

    Refuses: InputError.
    """
    underlyings = {instrument.base_currency for instrument, _, _ in quotes}
    if len(underlyings) != 1:
        raise InputError("a mass quote is for one underlying; send one for each")
    made = tuple(make_quote(instrument, bid, ask) for instrument, bid, ask in quotes)
    return MassQuote(get_asset_id(underlyings.pop()), made)


def make_cancel(order_id: int | str) -> CancelOrder:
    """Return what takes an order back. Refuses: InputError."""
    return CancelOrder(parse_order_id(order_id))


def make_cancel_all(instrument: Instrument | None) -> CancelAll:
    """Return what takes all orders back, or those of one instrument."""
    return CancelAll(0 if instrument is None else instrument.instrument_id)


def to_ticks(instrument: Instrument, price: Number, what: str) -> int:
    """Return a price in ticks. Refuses: InputError for a price off the grid."""
    return to_steps(price, instrument.tick_size, what, "USDC")


def to_lots(instrument: Instrument, amount: Number, what: str) -> int:
    """Return an amount in lots. Refuses: InputError for an amount off the grid."""
    return to_steps(amount, instrument.contract_size, what, instrument.base_currency)


def parse_order_id(order_id: int | str) -> int:
    """Return an order's number; Deribit's form BTC-123 is understood. Refuses: InputError."""
    digits = str(order_id).rsplit("-", 1)[-1]
    if not digits.isascii() or not digits.isdigit() or int(digits) > ID_MAX:
        raise InputError(f"order id {order_id!r} is not a number; find it with: holdfast query orders")
    return int(digits)


def parse_scopes(names: str) -> int:
    """Return the rights that names stand for, as `trade,cancel`. Refuses: InputError."""
    scopes = 0
    for name in names.split(","):
        scopes |= choose(SCOPES, name.strip().lower(), "scope")
    return scopes


def parse_key(text: str, what: str = "public key") -> bytes:
    """Return the 32 bytes of a public key. Refuses: InputError."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:  # noqa: PLR2004 -- an Ed25519 key
        raise InputError(f"{what} {text!r} is not 64 hexadecimal digits; copy it from: holdfast account list")
    return key


def choose(known: Mapping[str, int], name: str, what: str) -> int:
    """Return what a name stands for. Refuses: InputError, naming all that there are."""
    if name not in known:
        raise InputError(f"{what} {name!r} is not known; choose one of {', '.join(known)}")
    return int(known[name])
