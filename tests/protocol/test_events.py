"""The union of events holds every event, and decodes what blocks leave behind."""

import importlib
import pkgutil
from typing import get_args

import holdfast.protocol
from holdfast.primitives.codec import Record, encode
from holdfast.protocol import messages
from holdfast.protocol.messages import BLOCK_EVENTS_DECODER, EVENTS_DECODER, encode_events
from holdfast.protocol.trading.messages import OrderCancelled, Quoted, Traded
from tests.support.exchange import Market

FIRST_EVENT_TAG = 100


def test_events__every_record_with_an_event_tag__is_in_the_union() -> None:
    found: set[type[Record]] = set()
    for module in pkgutil.walk_packages(holdfast.protocol.__path__, "holdfast.protocol."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, Record):
                tag = value.__struct_config__.tag
                if isinstance(tag, int) and tag >= FIRST_EVENT_TAG:
                    found.add(value)
    assert found == set(get_args(messages.Event))


def test_events__of_a_transaction__decode_to_themselves() -> None:
    events = (
        Traded(1, 100, 5, 0, 1_000, 1_001, 7, 6, 12, -3),
        Quoted(1_000, 1, (0, 6_009)),
        OrderCancelled(7, 1_000, 2, 4),
    )
    assert EVENTS_DECODER.decode(encode_events(events)) == events


def test_events__of_real_blocks__decode_to_themselves() -> None:
    market = Market()
    market.trade(0, 1, market.future(), 5)
    applied = market.solo.app.last_applied
    assert applied is not None
    response_events = encode((applied.events, tuple(receipt.events for receipt in applied.receipts)))
    decoded = BLOCK_EVENTS_DECODER.decode(response_events)
    assert decoded.block == applied.events
    assert decoded.txs == tuple(receipt.events for receipt in applied.receipts)
