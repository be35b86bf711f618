"""Trading: orders, amendments, cancels, mass quotes and their protection; joins book, portfolio, ledger and margin.

Orders reserve nothing. At a fill, a maker whose initial margin would break has that order cancelled and matching goes
on; the taker is judged once, on its end state, fees included.
"""
