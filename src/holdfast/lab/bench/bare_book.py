"""The peer of the state machine: a bare price-time book, as fast as plain Python lets it be.

A dict of deques a side, heaps of prices, lazy deletion. It knows no accounts, no margin, no root: it is the floor of
what matching the same orders costs.
"""

from collections import deque
from heapq import heappop, heappush


class BareBook:
    """One instrument's book."""

    def __init__(self) -> None:
        """Start empty."""
        self.levels: tuple[dict[int, deque[list[int]]], dict[int, deque[list[int]]]] = ({}, {})
        self.heaps: tuple[list[int], list[int]] = ([], [])
        self.orders: dict[int, list[int]] = {}
        self.fills = 0

    def place(self, order_id: int, side: int, price: int, lots: int) -> None:
        """Match, then rest the remainder. Side 0 buys."""
        other_levels, other_heap = self.levels[1 - side], self.heaps[1 - side]
        orders = self.orders
        while lots and other_heap:
            best = other_heap[0] if side == 0 else -other_heap[0]
            if best > price if side == 0 else best < price:
                break
            queue = other_levels[best]
            while queue and lots:
                resting = queue[0]
                if resting[1] == 0:
                    queue.popleft()
                    continue
                traded = min(lots, resting[1])
                lots -= traded
                resting[1] -= traded
                self.fills += 1
                if resting[1] == 0:
                    queue.popleft()
                    orders.pop(resting[0], None)
            if not queue:
                del other_levels[best]
                heappop(other_heap)
        if lots:
            level = self.levels[side].get(price)
            entry = [order_id, lots]
            orders[order_id] = entry
            if level is None:
                self.levels[side][price] = deque((entry,))
                heappush(self.heaps[side], -price if side == 0 else price)
            else:
                level.append(entry)

    def cancel(self, order_id: int) -> None:
        """Take an order back, if it still rests."""
        entry = self.orders.pop(order_id, None)
        if entry is not None:
            entry[1] = 0
