"""The book: resting orders per instrument in price-time priority. It knows no money and no margin.

An order's id never changes; its place in the queue is its priority, which it loses when it is amended to a new price
or to a larger size.
"""
