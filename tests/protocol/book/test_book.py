"""The book against a plain list: price-time priority, ids that stay, indices that follow."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from holdfast.protocol.book import handlers as book
from holdfast.protocol.book.state import FLAG_QUOTE, ORDERS, Order, Side
from holdfast.protocol.rebuild import rebuild
from holdfast.protocol.schema import TABLES
from holdfast.state.store import State

prices, sizes, accounts = st.integers(1, 6), st.integers(1, 9), st.integers(1, 3)


class Book(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.state = State(TABLES)
        self.draft = self.state.draft()
        # The naive book: orders as they stand in line, oldest first, as (id, side, price, lots, account, is quote).
        self.line: list[tuple[int, int, int, int, int, bool]] = []

    @rule(account=accounts, side=st.sampled_from(Side), price=prices, lots=sizes)
    def add(self, account: int, side: Side, price: int, lots: int) -> None:
        order_id = book.take_number(self.draft)
        book.add(self.draft, order_id, Order(account, 1, side, price, lots, order_id, 0, 0))
        self.line.append((order_id, side, price, lots, account, False))

    @rule(account=accounts, side=st.sampled_from(Side), price=prices, lots=sizes)
    def add_quote(self, account: int, side: Side, price: int, lots: int) -> None:
        if book.get_quote(self.draft, account, 1, side) is not None:
            return
        order_id = book.take_number(self.draft)
        book.add(self.draft, order_id, Order(account, 1, side, price, lots, order_id, FLAG_QUOTE, 0))
        self.line.append((order_id, side, price, lots, account, True))
        assert book.get_quote(self.draft, account, 1, side) == order_id

    @rule(place=st.integers(0, 50))
    def remove(self, place: int) -> None:
        if self.line:
            order_id, *_ = self.line.pop(place % len(self.line))
            book.remove(self.draft, order_id)

    @rule(place=st.integers(0, 50), lots=sizes)
    def shrink(self, place: int, lots: int) -> None:
        if self.line:
            place %= len(self.line)
            order_id, side, price, before, account, is_quote = self.line[place]
            lots = min(lots, before)
            book.resize(self.draft, order_id, self.draft[ORDERS][order_id], lots)
            self.line[place] = (order_id, side, price, lots, account, is_quote)

    @rule(place=st.integers(0, 50), price=prices, lots=sizes)
    def replace(self, place: int, price: int, lots: int) -> None:
        if self.line:
            order_id, side, _, _, account, is_quote = self.line.pop(place % len(self.line))
            book.replace(self.draft, order_id, price, lots)
            self.line.append((order_id, side, price, lots, account, is_quote))

    @rule()
    def commit(self) -> None:
        self.state.commit(self.state.seal(self.draft))
        self.draft = self.state.draft()

    @invariant()
    def is_the_naive_book(self) -> None:
        for side, worst_first in ((Side.BUY, False), (Side.SELL, True)):
            ids = [entry[2] for entry in reversed(book.get_entries(self.draft, 1, side))]
            expected = sorted(
                (order for order in self.line if order[1] == side),
                key=lambda order: order[2] if worst_first else -order[2],
            )
            assert ids == [order[0] for order in expected]
            best = book.get_best(self.draft, 1, side)
            assert (best[2] if best else None) == (expected[0][0] if expected else None)
        for account in (1, 2, 3):
            owned = sorted(order[0] for order in self.line if order[4] == account)
            assert list(book.get_open_orders(self.draft, account)) == owned
        kept = {order[0]: order[3] for order in self.line}
        assert {order_id: order.lots for order_id, order in self.draft[ORDERS].items()} == kept

    @invariant()
    def indices_equal_rebuilt(self) -> None:
        shadow = self.draft.shadow()
        rebuild(shadow)
        for account in (1, 2, 3):
            assert book.get_open_orders(shadow, account) == book.get_open_orders(self.draft, account)
            for side in Side:
                assert book.get_quote(shadow, account, 1, side) == book.get_quote(self.draft, account, 1, side)
        for side in Side:
            assert book.get_entries(shadow, 1, side) == book.get_entries(self.draft, 1, side)


def test_book__any_sequence__equals_a_plain_list() -> None:
    run_state_machine_as_test(
        Book, settings=settings(max_examples=40, stateful_step_count=25, deadline=None, derandomize=True)
    )
