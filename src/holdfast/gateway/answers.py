"""What a submission is answered with, state by state. Every answer has the same fields, whatever is known."""

from typing import Final, NamedTuple

from holdfast.gateway.errors import ApiCode, is_retryable, name_of
from holdfast.gateway.rows import Decoded, OrderRow, TradeRow
from holdfast.primitives.codec import Record
from holdfast.primitives.reject import Code, RejectedError
from holdfast.protocol.accounts.rules import compute_nonce_window, get_nonce_window
from holdfast.protocol.trading.messages import OrderAmended, OrderCancelled, OrderPlaced, Traded
from holdfast.state.draft import Draft

# The nonce is gone: either these bytes used it, which the index tells, or others did and these never can.
NONCE_GONE: Final = frozenset((Code.NONCE_USED, Code.NONCE_TOO_OLD))
# These bytes can never be in a block, whatever becomes of the state.
NEVER: Final = frozenset((Code.BAD_ENCODING, Code.TX_TOO_LARGE, Code.BAD_SIGNATURE))
_ORDERS_SHOWN_MAX: Final = 64

Result = dict[str, object]


class Ended(NamedTuple):
    """A committed transaction with its block, and its orders' last states."""

    written_height: int
    time_ms: int
    app_hash: bytes
    decoded: Decoded
    trades: list[TradeRow]
    orders: dict[int, OrderRow]


def list_order_numbers(events: tuple[Record, ...], account_id: int) -> list[int]:
    """Return the orders of an account that events speak of: the one that the command is about comes first."""
    numbers: dict[int, None] = {}
    for event in events:
        match event:
            case OrderPlaced():
                numbers[event.order_id] = None
            case OrderAmended():
                numbers[event.order_id] = None
            case OrderCancelled() if event.account_id == account_id:
                numbers[event.order_id] = None
            case Traded():
                numbers[event.taker_order_id] = None
            case _:
                pass
    return list(numbers)[:_ORDERS_SHOWN_MAX]


def judge_nonce(draft: Draft, account_id: int, signer: bytes, nonce: int) -> int:
    """Return OK where a nonce can still be used, or the code that says why not."""
    try:
        compute_nonce_window(get_nonce_window(draft, account_id, signer), nonce)
    except RejectedError as refusal:
        return refusal.code
    return Code.OK


def refused(tx_hash: bytes, code: int, message: str) -> Result:
    """Return a rejection: these bytes are in no block, and were not taken here."""
    return {
        "state": "rejected",
        "tx_hash": tx_hash.hex(),
        "height": 0,
        "time_ms": 0,
        "app_hash": "",
        "code": int(code),
        "code_name": name_of(code),
        "final": code in NEVER or code in NONCE_GONE,
        "message": message or name_of(code),
        "retryable": is_retryable(code),
        "events": [],
        "order": None,
        "trades": [],
    }


def pending(tx_hash: bytes, message: str, *, is_stalled: bool) -> Result:
    """Return that nobody knows yet: the same bytes may be sent again, and the hash asked for."""
    return {
        "state": "pending",
        "tx_hash": tx_hash.hex(),
        "height": 0,
        "time_ms": 0,
        "app_hash": "",
        "code": 0,
        "code_name": "",
        "api_code": int(ApiCode.RETRY),
        "reason": "CHAIN_STALLED" if is_stalled else "NOT_YET",
        "message": message,
        "retryable": True,
        "events": [],
        "order": None,
        "trades": [],
    }
