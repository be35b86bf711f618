"""Settlement: the price of an expiry, written once, and what every position gets for it, exactly once.

The price is the average of thirty minutes' median prices. Every payment goes through the instrument's clearing pot,
one number a lot for longs and shorts alike, so that the pot ends empty to the atom. Dated futures also realise their
profit and loss in cash every day at 08:00 UTC. Nothing here is stopped by a pause; what does not fit a block waits for
the next one.
"""
