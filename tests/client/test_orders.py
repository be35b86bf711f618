"""Names, coins and dollars as the exchange's commands."""

from decimal import Decimal

import pytest

from holdfast.client.errors import InputError
from holdfast.client.orders import (
    make_order,
    make_quotes,
    parse_key,
    parse_order_id,
    parse_scopes,
)
from holdfast.client.results import Instrument
from holdfast.protocol.trading.messages import MassQuote, PlaceOrder, Quote

FUTURE = Instrument(
    instrument_name="BTC_USDC-27MAR26",
    instrument_id=12,
    kind="future",
    base_currency="BTC",
    tick_size=Decimal("1.0"),
    contract_size=Decimal("0.01"),
)
ETHER = Instrument(
    instrument_name="ETH_USDC-27MAR26",
    instrument_id=13,
    kind="future",
    base_currency="ETH",
    tick_size=Decimal("0.05"),
    contract_size=Decimal("0.1"),
)


def test_make_order__a_limit_order__is_in_ticks_and_lots() -> None:
    order = make_order(FUTURE, "sell", "0.25", "100000", post_only=True, reduce_only=True, client_id=7)
    assert order == PlaceOrder(12, 1, 100_000, 25, 0, True, True, 0, 7)
    order = make_order(ETHER, "buy", 1.5, 4_400.05, time_in_force="fok", self_trade="cancel-both")
    assert order == PlaceOrder(13, 0, 88_001, 15, 2, False, False, 2, 0)


def test_make_order__without_a_price__is_a_market_order_that_never_rests() -> None:
    assert make_order(FUTURE, "buy", 1, None) == PlaceOrder(12, 0, 0, 100, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"price": "100000.5"}, "price 100000.5 is not a multiple of 1 USDC; the nearest are 100000 and 100001"),
        ({"amount": "0.001"}, "amount 0.001 is not a multiple of 0.01 BTC; the nearest valid is 0.01"),
        ({"side": "long"}, "side 'long' is not known; choose one of buy, sell"),
        ({"time_in_force": "day"}, "time in force 'day' is not known; choose one of gtc"),
        ({"self_trade": "both"}, "self trade 'both' is not known"),
        ({"client_id": -1}, "client id -1 does not fit"),
    ],
)
def test_make_order__what_cannot_be__is_refused_with_the_mend(change: dict[str, object], words: str) -> None:
    given: dict[str, object] = {"side": "buy", "amount": "1", "price": "100000", **change}
    with pytest.raises(InputError) as refusal:
        make_order(FUTURE, **given)  # type: ignore[arg-type]
    assert words in str(refusal.value)


def test_make_quotes__both_sides_or_one__is_one_mass_quote() -> None:
    assert make_quotes([(FUTURE, ("99000", "0.5"), None)]) == MassQuote(1, (Quote(12, 99_000, 50, 0, 0),))
    with pytest.raises(InputError, match="for one underlying"):
        make_quotes([(FUTURE, ("1", "1"), None), (ETHER, ("1", "1"), None)])
    with pytest.raises(InputError, match="bid 10 is not below ask 10"):
        make_quotes([(FUTURE, ("10", "1"), ("10", "1"))])


def test_parse__ids_scopes_and_keys__are_read_or_refused() -> None:
    assert [parse_order_id(one) for one in ("USDC-17", "17", 17)] == [17, 17, 17]
    assert parse_scopes("trade, CANCEL") == 3
    assert parse_key("ab" * 32) == b"\xab" * 32
    for wrong in ("USDC-", "-1x", "٣", str(2**63)):
        with pytest.raises(InputError, match="order id"):
            parse_order_id(wrong)
    with pytest.raises(InputError, match="scope 'withdraw' is not known; choose one of trade, cancel"):
        parse_scopes("trade,withdraw")
    with pytest.raises(InputError, match="64 hexadecimal digits"):
        parse_key("ab" * 31)
