"""What the API shows of orders and trades. Deribit's names and units, and beside them the integers that were signed."""

from typing import Final

from holdfast.gateway.numbers import amount_of, price_of, quotient, usdc
from holdfast.gateway.objects import QUOTE_CURRENCY, Shown
from holdfast.gateway.rows import LIQUIDATION, MARKET, POST_ONLY, REDUCE_ONLY, OrderRow, TradeRow
from holdfast.primitives.units import E8
from holdfast.protocol.book.state import FLAG_QUOTE, FLAG_REDUCE_ONLY, Order
from holdfast.protocol.instruments.state import Instrument
from holdfast.protocol.limits import ID_MAX
from holdfast.protocol.trading.messages import Cancelled, TimeInForce

_DIRECTIONS: Final = ("buy", "sell")
_TIMES: Final = {
    TimeInForce.GOOD_TILL_CANCELLED: "good_til_cancelled",
    TimeInForce.IMMEDIATE_OR_CANCEL: "immediate_or_cancel",
    TimeInForce.FILL_OR_KILL: "fill_or_kill",
}


def order_id_of(number: int) -> str:
    """Return an order's id as text."""
    return f"{QUOTE_CURRENCY}-{number}"


def read_order_id(given: str | int) -> int | None:
    """Return the number of an order's id, None where it has none."""
    text = str(given).removeprefix(f"{QUOTE_CURRENCY}-")
    is_number = text.isdecimal() and text.isascii() and len(text) <= len(str(ID_MAX))
    return int(text) if is_number and int(text) <= ID_MAX else None


def show_trade(row: TradeRow, instrument: Instrument) -> Shown:
    """Return TRADE, as the public sees it: the direction is the taker's."""
    shown: Shown = {
        "trade_id": f"{QUOTE_CURRENCY}-{row.trade_id}",
        "trade_seq": row.trade_seq,
        "timestamp": row.time_ms,
        "instrument_name": instrument.name,
        "direction": _DIRECTIONS[row.taker_side],
        "price": price_of(row.price_ticks, instrument),
        "amount": amount_of(row.lots, instrument),
        "contracts": float(row.lots),
        "price_ticks": row.price_ticks,
        "lots": row.lots,
        "block_height": row.height,
        "tx_hash": row.tx_hash,
    }
    if row.is_liquidation:
        shown["liquidation"] = "T"
    return shown


def show_own_trade(row: TradeRow, instrument: Instrument, account_id: int, order: OrderRow | None) -> Shown:
    """Return TRADE as one of its two sides sees it."""
    is_taker = row.taker_id == account_id
    fee_atoms = row.taker_fee_atoms if is_taker else row.maker_fee_atoms
    number = row.taker_order_id if is_taker else row.maker_order_id
    flags = 0 if order is None else order.flags
    return show_trade(row, instrument) | {
        "direction": _DIRECTIONS[row.taker_side if is_taker else 1 - row.taker_side],
        "account_id": account_id,
        "order_id": order_id_of(number),
        "order_number": number,
        "order_type": "market" if flags & MARKET else "limit",
        "state": "open" if order is None else order.state,
        "liquidity": "T" if is_taker else "M",
        "fee": usdc(fee_atoms),
        "fee_atoms": fee_atoms,
        "fee_currency": QUOTE_CURRENCY,
        "label": _label(0 if order is None else order.client_id),
        "self_trade": False,
        "matching_id": None,
        "post_only": bool(flags & POST_ONLY),
        "reduce_only": bool(flags & REDUCE_ONLY),
    }


def _label(client_id: int) -> str:
    return str(client_id) if client_id else ""


def show_order(row: OrderRow, instrument: Instrument) -> Shown:
    """Return ORDER as the index knows it."""
    average = quotient(row.cost_ticks * instrument.tick_e8, row.filled_lots * E8) if row.filled_lots else 0.0
    shown = _order_head(row.order_id, row.account_id, instrument, row.side) | {
        "order_type": "market" if row.flags & MARKET else "limit",
        "order_state": row.state,
        "price": price_of(row.price_ticks, instrument),
        "amount": amount_of(row.lots, instrument),
        "contracts": float(row.lots),
        "filled_amount": amount_of(row.filled_lots, instrument),
        "average_price": average,
        "time_in_force": _TIMES[TimeInForce(row.time_in_force)],
        "post_only": bool(row.flags & POST_ONLY),
        "reduce_only": bool(row.flags & REDUCE_ONLY),
        "label": _label(row.client_id),
        "creation_timestamp": row.created_ms,
        "last_update_timestamp": row.updated_ms,
        "is_liquidation": bool(row.flags & LIQUIDATION),
        "mmp": False,
        "price_ticks": row.price_ticks,
        "lots": row.lots,
        "filled_lots": row.filled_lots,
        "open_lots": row.open_lots,
        "client_id": row.client_id,
        "block_height": row.updated_height,
        "creation_height": row.created_height,
        "tx_hash": row.tx_hash,
    }
    if row.state == "cancelled":
        shown["cancel_reason"] = Cancelled(row.reason).name.lower()
    return shown


def show_resting(order_id: int, order: Order, instrument: Instrument, row: OrderRow | None) -> Shown:
    """Return ORDER as the state holds it; what the state does not keep is the index's, where that knows the order."""
    if row is not None and row.open_lots == order.lots and row.price_ticks == order.price_ticks:
        return show_order(row, instrument)
    # A quote, or an order that is older than the index: the state knows what rests of it.
    is_quote = bool(order.flags & FLAG_QUOTE)
    return _order_head(order_id, order.account_id, instrument, order.side) | {
        "order_type": "limit",
        "order_state": "open",
        "price": price_of(order.price_ticks, instrument),
        "amount": amount_of(order.lots, instrument),
        "contracts": float(order.lots),
        "filled_amount": 0.0 if row is None else amount_of(row.filled_lots, instrument),
        "average_price": 0.0,
        "time_in_force": "good_til_cancelled",
        "post_only": is_quote,
        "reduce_only": bool(order.flags & FLAG_REDUCE_ONLY),
        "label": _label(order.client_id),
        "creation_timestamp": 0 if row is None else row.created_ms,
        "last_update_timestamp": 0 if row is None else row.updated_ms,
        "is_liquidation": False,
        "mmp": is_quote,
        "quote": is_quote,
        "price_ticks": order.price_ticks,
        "lots": order.lots,
        "filled_lots": 0 if row is None else row.filled_lots,
        "open_lots": order.lots,
        "client_id": order.client_id,
    }


def _order_head(order_id: int, account_id: int, instrument: Instrument, side: int) -> Shown:
    return {
        "order_id": order_id_of(order_id),
        "order_number": order_id,
        "account_id": account_id,
        "instrument_name": instrument.name,
        "direction": _DIRECTIONS[side],
        "api": True,
        "web": False,
        "replaced": False,
        "side": side,
    }
