"""Ranges: how far prices are assumed to move, followed from the oracle's own history.

Once an epoch each underlying's price is sampled; its volatility, the tail of its rescaled past and a stressed floor
give a band in which its scenario range must lie, and the correlation of the underlyings gives the weight of opposed
scenarios. What is in force moves within step limits, up fast and down slowly, and is announced before it counts.
Sampling costs a bounded time once an epoch and a comparison in any other block. It knows nothing of accounts.
"""
