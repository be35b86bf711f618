"""Events in words: an account's watcher reads names, coin and money."""

from decimal import Decimal

from holdfast.cli.events import Words
from holdfast.client.results import Instrument, Rows

BTC_FUTURE = Instrument(
    instrument_name="BTC_USDC-27MAR26",
    instrument_id=65,
    kind="future",
    base_currency="BTC",
    tick_size=Decimal(1),
    contract_size=Decimal("0.01"),
)


class Node:
    """A node with one instrument; it counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def instruments(self, currency: str) -> Rows[Instrument]:
        assert currency == "any"
        self.asked += 1
        return Rows([BTC_FUTURE], 1, "")


def test_words__a_placed_order_and_its_end__are_in_coin_and_usdc() -> None:
    node = Node()
    words = Words(node)
    placed = words.show(
        {"type": "OrderPlaced", "order_id": 7, "instrument_id": 65, "side": 1, "price_ticks": 120021, "rested_lots": 30}
    )
    assert placed == "OrderPlaced  BTC_USDC-27MAR26  order id 7  side sell  price 120021 USDC  rested 0.3 BTC"
    # Its end does not name the instrument; it is remembered.
    gone = words.show({"type": "OrderCancelled", "order_id": 7, "lots": 30, "reason": 0})
    assert gone == "OrderCancelled  BTC_USDC-27MAR26  order id 7  amount 0.3 BTC  reason by owner"
    assert node.asked == 1


def test_words__money__is_in_whole_units_of_its_asset() -> None:
    words = Words(Node())
    assert words.show({"type": "Deposited", "asset_id": 1, "amount_atoms": 150_000_000}) == "Deposited  amount 1.5 BTC"
    assert words.show({"type": "Traded", "instrument_id": 65, "taker_fee_atoms": 3_597_469}) == (
        "Traded  BTC_USDC-27MAR26  taker fee 3.597469 USDC"
    )


def test_words__what_is_not_known__is_shown_as_it_is() -> None:
    words = Words(Node())
    assert words.show({"type": "New", "instrument_id": 9, "lots": 5}) == "New  instrument 9  lots 5"
    assert (
        words.show({"type": "New", "thing": "x\x1b[2J", "asset_id": 99, "atoms": 5})
        == "New  thing x [2J  amount 5 atoms"
    )
